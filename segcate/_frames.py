"""Columns and rows of whatever container holds X: pandas, polars or a numpy array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]


def is_frame(X: Any) -> bool:
    """Tell whether X is a pandas or polars DataFrame (or another eager frame narwhals knows)."""
    return isinstance(nw.from_native(X, eager_only=True, pass_through=True), nw.DataFrame)


def column_names(X: Any) -> list[str] | None:
    """Return the column names of a frame, None for an array."""
    return (
        [str(name) for name in nw.from_native(X, eager_only=True).columns] if is_frame(X) else None
    )


def n_rows(X: Any) -> int:
    """Count the rows of a frame, array or list."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def column_values(X: Any, position: int) -> npt.NDArray[Any]:
    """Return one column as a numpy array (missing strings come as None or NaN)."""
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        return np.asarray(frame.get_column(frame.columns[position]).to_numpy())
    return np.asarray(X)[:, position]


def select_columns(X: Any, positions: Sequence[int]) -> Any:
    """Return X with the columns at `positions` alone, in that order, in the container it came in."""
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        return frame.select([frame.columns[i] for i in positions]).to_native()
    return np.asarray(X)[:, list(positions)]


def take_rows(X: Any, rows: npt.NDArray[Any]) -> Any:
    """Return the rows at the integer positions `rows` (or where a boolean mask holds)."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    if is_frame(X):
        return nw.from_native(X, eager_only=True)[rows].to_native()
    return np.asarray(X)[rows]


def append_column(X: Any, name: str, values: npt.NDArray[Any]) -> Any:
    """Return X with one more, last column; the caller's X stays as it is.

    A pandas index is kept. On an array the values must be numbers, and the result is float64 unless
    both sides are integers.
    """
    if isinstance(X, pd.DataFrame):
        return X.assign(**{name: values})
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        content = values.tolist() if values.dtype == object else values
        backend = nw.get_native_namespace(frame)
        return frame.with_columns(nw.new_series(name, content, native_namespace=backend)).to_native()
    return np.column_stack([np.asarray(X), values])


def index_of(values: Any) -> Any | None:
    """Return the pandas index that a Series or DataFrame carries, None for anything else."""
    return values.index if isinstance(values, pd.Series | pd.DataFrame) else None


@dataclass(frozen=True, slots=True)
class EncodedColumns:
    """A numeric matrix made of a container's columns, and where its columns came from.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_encoded)
    names : names of the encoded columns; a category becomes ``column=level``
    source : position in X of the column each encoded column was made of
    """

    values: Float
    names: tuple[str, ...]
    source: Int


def numeric_positions(X: Any) -> list[int]:
    """Return the positions of the numeric and boolean columns (all of them for an array)."""
    if not is_frame(X):
        return list(range(np.asarray(X).shape[1]))
    schema = nw.from_native(X, eager_only=True).schema
    return [i for i, kind in enumerate(schema.values()) if kind.is_numeric() or kind == nw.Boolean]


def encode_columns(X: Any, positions: Sequence[int], *, drop_first: bool = True) -> EncodedColumns:
    """Turn columns into numbers: numeric ones as they are, others into 0/1 columns per level.

    Levels are sorted; with `drop_first` the first one is the reference and gets no column. A missing
    value of a string or category column is a level of its own (``column=<missing>``); NaN in a numeric
    column stays NaN, for the caller to refuse.
    """
    numeric = set(numeric_positions(X))
    names = column_names(X)
    blocks: list[Float] = []
    labels: list[str] = []
    source: list[int] = []
    for i in positions:
        name = names[i] if names is not None else f"x{i}"
        column = column_values(X, i)
        if i in numeric:
            blocks.append(column.astype(np.float64)[:, None])
            labels.append(name)
            source.append(i)
            continue
        block, levels = _indicator_columns(column, drop_first)
        blocks.append(block)
        labels += [f"{name}={level}" for level in levels]
        source += [i] * len(levels)
    values = np.hstack(blocks) if blocks else np.empty((n_rows(X), 0))
    return EncodedColumns(
        np.ascontiguousarray(values), tuple(labels), np.array(source, dtype=np.intp)
    )


def _indicator_columns(column: npt.NDArray[Any], drop_first: bool) -> tuple[Float, list[str]]:
    """One 0/1 column per sorted level."""
    codes, levels = sorted_codes(column)
    names = ["<missing>" if is_missing(level) else str(level) for level in levels.tolist()]
    start = 1 if drop_first else 0
    block = np.zeros((len(column), len(names) - start))
    rows = np.flatnonzero(codes >= start)
    block[rows, codes[rows] - start] = 1.0
    return block, names[start:]


def sorted_codes(column: npt.NDArray[Any]) -> tuple[Int, npt.NDArray[Any]]:
    """Code the values of a column 0, 1, ... in sorted order; missing ones, if any, come last.

    Linear in the rows: only the distinct values are sorted, numbers by value and all else as text.
    """
    codes, levels = pd.factorize(column, use_na_sentinel=False)
    levels = np.asarray(levels)
    missing = np.array([is_missing(level) for level in levels.tolist()], dtype=bool)
    key = levels if levels.dtype.kind in "iufb" else np.array([str(v) for v in levels.tolist()])
    order = np.lexsort((key, missing))
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], levels[order]


def is_missing(value: Any) -> bool:
    """Tell whether one value is None, NaN or NaT (pandas.NA included)."""
    return value is None or value is pd.NA or bool(value != value)
