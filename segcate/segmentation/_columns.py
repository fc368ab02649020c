"""Choose the columns of X that a segmenter reads, and return their values as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.cells import column_label
from segcate._inputs.encoding import read_again
from segcate._inputs.kinds import ColumnKind, as_used, read_column
from segcate._inputs.listing import first_few, listed
from segcate._inputs.peek import number_positions


def resolve_columns(owner: str, X: Any, columns: Any, *, argument: str = "columns") -> Int:
    """Turn names, positions, a boolean mask, a selector or None into positions in X.

    Parameters
    ----------
    owner : str
        Class that a message names.
    X : frame or array of shape (n_rows, n_columns)
        Checked rows.
    columns : str, int, sequence of those, boolean mask, callable of X, or None
        None means all columns of numbers, dates and durations too.
    argument : str
        Name of the parameter that a message names.

    Returns
    -------
    intp array of shape (n_chosen,), in the order asked for
    """
    if columns is None:
        found = number_positions(owner, X)
        if not found:
            raise ValueError(
                f"{owner}: `{argument}=None` means the numeric columns, and X has none; its "
                f"columns are {listed(frames.column_names(X) or [])}. Name the columns and encode "
                "them first."
            )
        return np.array(found, dtype=np.intp)
    if isinstance(columns, type):
        raise TypeError(
            f"{owner}: `{argument}` must name columns or be a selector; got the class {columns.__name__}."
        )
    if callable(columns):
        columns = columns(_typed_row(X) if isinstance(columns, make_column_selector) else X)
    positions = _positions(owner, X, columns, argument)
    if not positions:
        raise ValueError(
            f"{owner}: `{argument}` chose no column of X. Name at least one of its {X.shape[1]} "
            "columns."
        )
    repeated = sorted({column_label(X, i) for i in positions if positions.count(i) > 1})
    if repeated:
        raise ValueError(
            f"{owner}: `{argument}` names columns twice: {listed(repeated)}. Name each once."
        )
    return np.array(positions, dtype=np.intp)


def _positions(owner: str, X: Any, columns: Any, argument: str) -> list[int]:
    single = isinstance(columns, str | int | np.integer) and not isinstance(columns, bool)
    try:
        wanted = [columns] if single else list(columns)
    except TypeError:
        wanted = [columns]
    if wanted and all(isinstance(item, bool | np.bool_) for item in wanted):
        return _masked(owner, X, wanted, argument)
    if all(isinstance(item, str) for item in wanted):
        return _named(owner, X, wanted, argument)
    if all(isinstance(item, int | np.integer) for item in wanted):
        return _numbered(owner, X, wanted, argument)
    raise TypeError(
        f"{owner}: `{argument}` must hold column names, or positions, or be a callable such as "
        f"make_column_selector(...); got {columns!r}."
    )


def _masked(owner: str, X: Any, mask: Sequence[Any], argument: str) -> list[int]:
    if len(mask) != X.shape[1]:
        raise ValueError(
            f"{owner}: the boolean mask in `{argument}` has {len(mask)} values, but X has "
            f"{X.shape[1]} columns. Give one value for each column, or name the columns."
        )
    return [i for i, chosen in enumerate(mask) if chosen]


def _named(owner: str, X: Any, wanted: Sequence[str], argument: str) -> list[int]:
    names = frames.column_names(X)
    if names is None and wanted:
        raise ValueError(
            f"{owner}: `{argument}` holds names ({listed(wanted)}), but X is an array without "
            f"column names. Pass positions, `{argument}=[0, 1]`, or a DataFrame."
        )
    known = names or []
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ValueError(
            f"{owner}: X has no column {listed(missing)} for `{argument}`; its columns are "
            f"{listed(known)}. Check the spelling."
        )
    return [known.index(name) for name in wanted]


def _numbered(owner: str, X: Any, wanted: Sequence[Any], argument: str) -> list[int]:
    n_columns = X.shape[1]
    outside = [item for item in wanted if not -n_columns <= item < n_columns]
    if outside:
        raise ValueError(
            f"{owner}: `{argument}` holds positions {listed(outside)}, but X has {n_columns} "
            f"columns. Positions run from 0 to {n_columns - 1}."
        )
    return [int(item) % n_columns for item in wanted]


def _typed_row(X: Any) -> Any:
    """Return at most one row of X as a pandas frame; a selector reads its names and dtypes."""
    if isinstance(X, pd.DataFrame) or not frames.is_frame(X):
        return X
    frame = nw.from_native(X, eager_only=True).head(1)
    columns = {}
    for i, (name, kind) in enumerate(frame.schema.items()):
        column = pd.Series(frames.column_values(frame.to_native(), i))
        is_category = kind in (nw.Categorical, nw.Enum)
        columns[name] = column.astype("category") if is_category else column
    return pd.DataFrame(columns)


def numeric_kinds(
    owner: str, X: Any, positions: Int, *, argument: str = "columns"
) -> tuple[ColumnKind, ...]:
    """Decide what the chosen columns are, and refuse those that are not numbers."""
    read = (read_column(owner, X, int(i), describe=True)[0] for i in positions)
    kinds = tuple(map(as_used, read))
    text = [kind.name for kind in kinds if kind.found == "category"]
    if text:
        raise ValueError(
            f"{owner}: the columns {listed(text)} are not numeric, and distances need numbers. "
            f"Leave them out of `{argument}`, or encode them inside the clusterer: "
            "ClusterSegmenter(make_pipeline(make_column_transformer(...), KMeans(8)), "
            "columns=[...])."
        )
    return kinds


def numeric_matrix(
    owner: str,
    X: Any,
    positions: Int,
    *,
    argument: str = "columns",
    kinds: Sequence[ColumnKind] | None = None,
    allow_missing: bool = False,
) -> Float:
    """Copy the chosen columns into one float64 matrix, and refuse text, NaN and infinity.

    Parameters
    ----------
    kinds : kinds of the columns in fit, so that new rows are read alike; None: decide
    allow_missing : whether missing values stay, as NaN

    Returns
    -------
    C-contiguous float64 array of shape (n_rows, n_chosen)
    """
    if kinds is None:
        kinds = numeric_kinds(owner, X, positions, argument=argument)
    values = np.empty((frames.n_rows(X), len(kinds)))
    for j, kind in enumerate(kinds):
        values[:, j] = read_again(owner, X, kind)
    labels = [kind.name for kind in kinds]
    if not allow_missing:
        _refuse(
            owner,
            labels,
            np.isnan(values).sum(axis=0),
            len(values),
            argument,
            "missing values (NaN)",
        )
    _refuse(owner, labels, np.isinf(values).sum(axis=0), len(values), argument, "infinity")
    return values


def _refuse(
    owner: str, labels: Sequence[str], counts: Int, n_rows: int, argument: str, what: str
) -> None:
    bad = [f"{label!r} ({count})" for label, count in zip(labels, counts, strict=True) if count]
    if bad:
        raise ValueError(
            f"{owner}: clustered columns contain {what}, in rows of {n_rows}: "
            f"{first_few(bad)}. Fill or drop them before this step, or leave the column "
            f"out of `{argument}`."
        )


@contextmanager
def blame_rows(owner: str, rows: Any, *, fitting: bool) -> Iterator[None]:
    """Say what is wrong with the rows when a clusterer raises: missing values, or one row."""
    try:
        yield
    except ValueError as error:
        n_rows = frames.n_rows(rows)
        counts = missing_counts(rows)
        bad = [f"{column_label(rows, i)!r} ({n})" for i, n in enumerate(counts) if n]
        if bad and "NaN" in str(error):
            raise ValueError(
                f"{owner}: clustered columns have missing values (NaN): {first_few(bad)} of "
                f"{n_rows} rows, and the clusterer cannot take them. Put an imputer into its "
                "Pipeline, or leave those columns out of `columns`."
            ) from error
        if fitting and n_rows == 1:
            raise ValueError(
                f"{owner}: X has n_samples=1 row, and the clusterer needs more: {error}"
            ) from error
        raise


def missing_counts(rows: Any) -> list[int]:
    """Count the missing values of each column."""
    width = rows.shape[1]
    return [int(pd.isna(frames.column_values(rows, i)).sum()) for i in range(width)]
