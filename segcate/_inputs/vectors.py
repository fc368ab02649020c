"""Arguments with one value for every row: outcome, propensity, predictions and other numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import column_or_1d

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.listing import listed

# Squares of larger numbers overflow, and those of numbers that are all smaller vanish.
_LARGEST = 1e150
_SMALLEST = 1e-150

_NUMERIC = frozenset({"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"})

_PREDICTION_ADVICE = (
    "Rows without an effect cannot be ranked: give every segment one (`on_empty='overall'`), merge "
    "thin segments, or leave those rows out of all arrays."
)


def check_same_index(owner: str, /, **arguments: Any) -> None:
    """Refuse arguments whose indexes name other rows, or the same rows in another order.

    Every public function collects all its row-aligned arguments here, once, under the names that
    its user knows; mappings are compared value by value. The first one that carries an index (a
    pandas Series or DataFrame) is compared with every other one that does, so that all pairs are
    compared in one pass, whether X is a frame, an array or None.

    Arguments of another length are left to the check of lengths. An argument that holds no rows yet,
    such as a LazyFrame, or hides some under a mask is refused by name.
    """
    for name, values in arguments.items():
        if not isinstance(values, Mapping) or name == "X":
            refuse_no_table(owner, values, name if name == "X" else f"`{name}`")
    first, wanted = "", None
    for name, index in _indexes(arguments):
        if wanted is None:
            first, wanted = name, index
        elif index is not wanted and len(index) == len(wanted) and not index.equals(wanted):
            raise ValueError(_difference(owner, name, index, first, wanted))


def _indexes(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the index of every argument that carries one."""
    for name, values in arguments.items():
        if isinstance(values, Mapping):
            yield from _indexes({f"{name}[{key!r}]": value for key, value in values.items()})
        elif (index := frames.index_of(values)) is not None:
            yield name, index


def _difference(owner: str, name: str, index: Any, first: str, wanted: Any) -> str:
    """Say how two indexes differ, and what to do."""
    what = "the same labels in another order" if set(index) == set(wanted) else "other labels"
    reference = first if first == "X" else f"`{first}`"
    return (
        f"{owner}: the index of `{name}` differs from the index of {reference} ({what}), so rows would "
        f"be paired wrongly. Align them first, `{name}.loc[{first}.index]` if the labels are unique, "
        f"or pass `{name}.to_numpy()` if its rows are already in the order of {reference}."
    )


def count_not_finite(values: Float) -> int:
    """Count NaN and infinity; where there are none this takes one sum."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return 0
    return int((~np.isfinite(values)).sum())


def as_array(owner: str, name: str, values: Any) -> npt.NDArray[Any]:
    """Return a value a row as an array; lists, dicts and the like in the place of a value are refused."""
    refuse_no_table(owner, values, f"`{name}`")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise ValueError(
            f"{owner}: `{name}` must hold one value for every row; its rows have several lengths."
        ) from None
    if array.dtype.kind == "c":
        raise ValueError(
            f"{owner}: `{name}` must hold real values. Complex data not supported: take the real part."
        )
    if array.dtype.kind == "O" and pd.api.types.infer_dtype(array.ravel(), skipna=True) == "mixed":
        nested = next((v for v in array.flat if not pd.api.types.is_hashable(v)), None)
        if nested is not None:
            raise TypeError(
                f"{owner}: `{name}` must hold one value for every row; found a {type(nested).__name__} "
                "in a row."
            )
    return array


def are_whole(values: Float) -> bool:
    """Tell whether numbers are whole, and small enough to count something."""
    return bool((np.abs(values) < np.iinfo(np.int32).max).all() and (values % 1 == 0).all())


def refuse_huge(owner: str, name: str, values: Float) -> None:
    """Raise if numbers are so large that squares overflow, or all so small that squares vanish."""
    size = max(values.max(), -values.min()) if len(values) else 0.0
    if size > _LARGEST or 0.0 < size < _SMALLEST:
        raise ValueError(
            f"{owner}: the largest value of `{name}` is {float(size):g} in size, and squares of such numbers "
            "leave the range of floating point. Use another unit."
        )


def check_vector(owner: str, name: str, values: Any, reference: Any, advice: str = "") -> Float:
    """Check that `values` are finite numbers, one for every row of `reference`."""
    column = as_column(owner, name, values)
    check_length(owner, name, column, reference)
    numbers = as_numbers(owner, f"`{name}`", column, "one number for every row")
    n_bad = count_not_finite(numbers)
    if n_bad:
        raise ValueError(
            f"{owner}: `{name}` is NaN or infinite in {n_bad} of {len(numbers)} rows."
            + (f" {advice}" if advice else "")
        )
    refuse_huge(owner, name, numbers)
    return numbers


def check_prediction(owner: str, prediction: Any, reference: Any) -> Float:
    """Check predicted effects; rows without one are named, never ranked."""
    return check_vector(owner, "prediction", prediction, reference, _PREDICTION_ADVICE)


def as_column(owner: str, name: str, values: Any, *, warn: bool = False) -> npt.NDArray[Any]:
    """Return `values` as a one-dimensional array; a single column counts as one."""
    array = as_array(owner, name, values)
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        return np.asarray(column_or_1d(array, warn=warn))
    raise ValueError(
        f"{owner}: `{name}` must be one-dimensional, one value for every row (y should be a 1d array); "
        f"got {type(values).__name__} of shape {array.shape}. Pass a column or a 1d array."
    )


def are_numbers(values: npt.NDArray[Any]) -> bool:
    """Tell whether an array holds real numbers, bools or gaps only, also one of dtype object."""
    if values.dtype.kind != "O":
        return values.dtype.kind in "iufb"
    return pd.api.types.infer_dtype(values, skipna=True) in _NUMERIC


def as_numbers(owner: str, name: str, values: npt.NDArray[Any], allowed: str) -> Float:
    """Return `values` as floats (gaps as NaN); refuse text, dates and complex numbers."""
    if values.dtype.kind == "c":
        raise ValueError(
            f"{owner}: {name} must be {allowed}. Complex data not supported: take the real part."
        )
    if not are_numbers(values):
        raise ValueError(
            f"{owner}: {name} must be {allowed}; found {listed(np.unique(values.astype(str)))}. "
            "Recode it to numbers."
        )
    return _floats(values)


def as_hashed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what a column is hashed by: numbers of any type as floats (one zero, one NaN), all else as it is."""
    if not are_numbers(values):
        return values
    numbers = _floats(values) + 0.0
    numbers[np.isnan(numbers)] = np.nan
    return numbers


def _floats(values: npt.NDArray[Any]) -> Float:
    if values.dtype.kind == "O":
        values = np.where(pd.isna(values), np.nan, values)
    return values.astype(np.float64)


def check_length(owner: str, name: str, values: npt.NDArray[Any], reference: Any) -> None:
    """Raise unless there is one value for every row of `reference`."""
    n_rows = frames.n_rows(reference)
    if len(values) != n_rows:
        raise ValueError(
            f"{owner}: `{name}` has {len(values)} values for {n_rows} rows (inconsistent numbers of samples); "
            "one for every row is needed."
        )


def check_outcome(owner: str, y: Any, X: Any) -> Float:
    """Check that y is numeric, finite, one-dimensional and as long as X."""
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None: an effect needs an outcome."
        )
    values = as_numbers(
        owner, "y", as_column(owner, "y", y, warn=True), "numeric (0/1 or measured)"
    )
    n_bad = count_not_finite(values)
    if n_bad:
        raise ValueError(
            f"{owner}: Input y contains NaN or infinity in {n_bad} of {len(values)} rows. "
            "Drop those rows from X, y and treatment alike before the fit."
        )
    check_length(owner, "y", values, X)
    refuse_huge(owner, "y", values)
    return values


def is_zero_one(y: Float) -> bool:
    """Tell whether all values are 0 or 1."""
    return bool(np.isin(y, (0.0, 1.0)).all())


def check_propensity(
    owner: str,
    propensity: Any,
    X: Any,
    *,
    weight: Float | None = None,
    takes_certain: bool = False,
    remedy: str = "drop them and say so",
) -> Float | None:
    """Check the propensities handed in.

    They must lie inside (0, 1). Exactly 0 and 1 are taken with `takes_certain`, and in rows of
    weight 0. `remedy` ends the message.
    """
    if propensity is None:
        return None
    values = as_column(owner, "propensity", propensity)
    check_length(owner, "propensity", values, X)
    allowed = "[0, 1]" if takes_certain else "(0, 1)"
    values = as_numbers(owner, "`propensity`", values, f"numbers inside {allowed}")
    if len(values) and values.min() >= 1e-100 and values.max() < 1:
        return values
    is_bad = ~((values >= 0) & (values <= 1))
    is_certain = (values == 0) | (values == 1)
    if not takes_certain:
        is_bad |= is_certain if weight is None else is_certain & (weight > 0)
    is_bad |= (values > 0) & (values < 1e-100)  # whose inverse has no square
    if is_bad.any():
        n_missing = int(np.isnan(values).sum())
        found = listed(np.unique(values[is_bad & ~np.isnan(values)]))
        strictly = "" if takes_certain else "strictly "
        raise ValueError(
            f"{owner}: `propensity` must lie {strictly}inside {allowed}; {int(is_bad.sum())} of {len(values)} values "
            f"do not ({found or 'no number'}; NaN {n_missing}). Rows that could never, or would always, be treated "
            f"have no counterpart: {remedy}."
        )
    return values
