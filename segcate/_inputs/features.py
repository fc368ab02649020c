"""X as a table: its columns, their names and gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.cells import read_cells
from segcate._inputs.containers import refuse_no_table, without_dump
from segcate._inputs.listing import first_few, listed
from segcate._inputs.peek import count_gaps
from segcate._inputs.segments import Segment


def takes_missing(model: Any) -> bool:
    """Tell whether a model says that it can be fitted with NaN in X."""
    is_tagged = hasattr(model, "__sklearn_tags__") and not isinstance(model, type)
    return is_tagged and bool(get_tags(model).input_tags.allow_nan)


def check_features(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    allow_missing: bool = True,
    segment: Segment = None,
) -> Any:
    """Check X and remember (or compare) its columns; a frame stays a frame, all else becomes floats.

    Infinite values are refused, and NaN too unless `allow_missing`. Of gaps in the column `segment`
    (a name or position) `code_segments` tells.
    """
    owner = type(estimator).__name__
    refuse_no_table(owner, X)
    _refuse_repeated_names(owner, X)
    if not frames.is_frame(X):
        X = _as_floats(estimator, X, reset)
        if not allow_missing and np.isnan(X.sum()):
            names = [f"x{i}" for i in range(X.shape[1])]
            skipped = _position(segment, names)
            _refuse_gaps(
                owner,
                {
                    name: int(np.isnan(X[:, i]).sum())
                    for i, name in enumerate(names)
                    if i != skipped
                },
            )
        return X
    rows, columns = X.shape
    if rows == 0 or columns == 0:
        raise ValueError(
            f"{owner}: X has {rows} rows and {columns} columns; at least one of each is needed."
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    names = frames.column_names(X) or []
    gaps = count_gaps(owner, X, skipped=_position(segment, names))
    if not allow_missing:
        _refuse_gaps(owner, gaps)
    return X


def _refuse_repeated_names(owner: str, X: Any) -> None:
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        repeated = X.columns[X.columns.duplicated()].unique()
        raise ValueError(
            f"{owner}: X has columns of the same name: {listed(repeated.astype(str))}. Rename them."
        )


def _position(segment: Segment, names: list[str]) -> int | None:
    """Return the position of the segment column if it is easy to tell, else None."""
    if isinstance(segment, str):
        segment = "segment" if segment == "auto" else segment
        return names.index(segment) if segment in names else None
    is_position = isinstance(segment, int | np.integer) and bool(names)
    return int(segment) % len(names) if is_position and segment is not None else None


def _as_floats(estimator: Any, X: Any, reset: bool) -> Float:
    """Return an array of numbers as floats; name the column that holds something else."""
    try:
        values: Float = validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        return values
    except (TypeError, ValueError) as error:
        found = _no_numbers(np.asarray(X)) if isinstance(X, np.ndarray | list | tuple) else ""
        said = f"{found or 'X is no table of numbers'} ({without_dump(error)})"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{type(estimator).__name__}: {said}") from error


def _no_numbers(values: npt.NDArray[Any]) -> str:
    """Say which column of an array is not numbers; "" where all of them are."""
    if values.ndim != 2 or values.dtype.kind not in "OUSMm":
        return ""
    for i in range(values.shape[1]):
        try:
            found = read_cells("", values, i).found
        except TypeError as error:
            return str(error)
        if found not in ("number", "nothing"):
            example = next((v for v in values[:, i].tolist() if not frames.is_missing(v)), None)
            return (
                f"X is an array, and column 'x{i}' of it holds {found} ({example!r}); arrays hold numbers. Pass a "
                "DataFrame, whose columns may be text, dates or categories."
            )
    return ""


def _refuse_gaps(owner: str, gaps: dict[str, int]) -> None:
    """Raise if any column has missing values, and say which."""
    found = [f"{name} ({n})" for name, n in gaps.items() if n]
    if found:
        raise ValueError(
            f"{owner}: Input X contains NaN, in the columns {first_few(found, noun='columns')}, and the models in use "
            "cannot take it. Impute before this step (a missing-indicator keeps the information), or choose models "
            "that can, such as HistGradientBoostingClassifier for the propensity."
        )
