"""Columns and rows of whatever container holds X: pandas, polars or a numpy array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Int
from segcate._inputs.containers import refuse_no_table


def is_frame(X: Any) -> bool:
    """Tell whether X is a pandas or polars DataFrame (or another eager frame narwhals knows)."""
    if isinstance(X, pd.DataFrame):  # narwhals would say so, too, but takes its time
        return True
    if isinstance(X, np.ndarray | list):
        return False
    return isinstance(nw.from_native(X, eager_only=True, pass_through=True), nw.DataFrame)


def column_names(X: Any) -> list[str] | None:
    """Return the column names of a frame, None for an array."""
    if isinstance(X, pd.DataFrame):
        return [str(name) for name in X.columns]
    return (
        [str(name) for name in nw.from_native(X, eager_only=True).columns] if is_frame(X) else None
    )


def n_rows(X: Any) -> int:
    """Count the rows of a frame, array or list."""
    if hasattr(X, "shape"):
        return int(X.shape[0])
    refuse_no_table("", X)
    if not hasattr(X, "__len__"):
        raise TypeError(f"X and y must hold one row, or one value, for every case; got {X!r}.")
    return len(X)


def column_values(X: Any, position: int) -> npt.NDArray[Any]:
    """Return one column as a numpy array (missing strings come as None or NaN)."""
    if isinstance(X, pd.DataFrame):
        return _pandas_values(X.iloc[:, position])
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        return np.asarray(frame.get_column(frame.columns[position]).to_numpy())
    return np.asarray(X)[:, position]


def _pandas_values(column: pd.Series[Any]) -> npt.NDArray[Any]:
    """Return a column's values; numbers of pandas' own nullable types become floats with NaN."""
    kind = column.dtype
    if pd.api.types.is_extension_array_dtype(kind) and pd.api.types.is_numeric_dtype(kind):
        plain = np.float64 if column.hasnans else getattr(kind, "numpy_dtype", np.float64)
        return column.to_numpy(dtype=plain, na_value=np.nan)
    return column.to_numpy()


def select_columns(X: Any, positions: Sequence[int]) -> Any:
    """Return X with the columns at `positions` alone, in that order, in the container it came in."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, list(positions)]
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        return frame.select([frame.columns[i] for i in positions]).to_native()
    return np.asarray(X)[:, list(positions)]


def take_rows(X: Any, rows: npt.NDArray[Any]) -> Any:
    """Return the rows at the integer positions `rows` (or where a boolean mask holds)."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
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
        return frame.with_columns(
            nw.new_series(name, content, native_namespace=backend)
        ).to_native()
    return np.column_stack([np.asarray(X), values])


def replace_columns(X: Any, columns: Mapping[int, npt.NDArray[Any]]) -> Any:
    """Return X with the columns at some positions replaced by numbers; the caller's X stays as it is."""
    if not columns:
        return X
    if isinstance(X, pd.DataFrame):
        X = X.copy(deep=False)
        for position, values in columns.items():
            X.isetitem(position, values)
        return X
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        backend = nw.get_native_namespace(frame)
        names = frame.columns
        return frame.with_columns(
            *(
                nw.new_series(names[position], values, native_namespace=backend)
                for position, values in columns.items()
            )
        ).to_native()
    X = np.array(X)
    for position, values in columns.items():
        X[:, position] = values
    return X


def index_of(values: Any) -> Any | None:
    """Return the pandas index that a Series or DataFrame carries, None for anything else."""
    return values.index if isinstance(values, pd.Series | pd.DataFrame) else None


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
