"""Cells: rows of one segment that agree on the exact columns. Matches never leave a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Int
from segcate._inputs.effect_data import DesignData
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.parameters import is_whole


def exact_positions(owner: str, data: DesignData, exact: Any) -> list[int]:
    """Resolve the columns of `exact`, names or positions, to positions in X; None is no column."""
    if exact is None:
        return []
    is_one = isinstance(exact, str | int | np.integer)
    if not is_one and not isinstance(exact, list | tuple | np.ndarray | pd.Index):
        raise TypeError(
            f"{owner}: `exact` must be None, a column or a list of columns (names or positions); got {exact!r}."
        )
    return [_position(owner, data.X, column) for column in ([exact] if is_one else exact)]


def _position(owner: str, X: Any, column: Any) -> int:
    names = frames.column_names(X)
    n_columns = X.shape[1]
    if isinstance(column, str) and names is not None and column in names:
        return names.index(column)
    if is_whole(column) and -n_columns <= column < n_columns:
        return int(column % n_columns)
    known = "X is an array without names" if names is None else f"its columns are {listed(names)}"
    raise ValueError(
        f"{owner}: X has no column {column!r} for `exact`; {known}, {n_columns} in all. Name columns of X, "
        "or give their positions."
    )


def exact_codes(owner: str, data: DesignData, positions: list[int]) -> Int | None:
    """Code the combinations of the exact columns; None where there are none."""
    if not positions:
        return None
    codes = np.zeros(data.n_rows, dtype=np.intp)
    for position in positions:
        part, levels = frames.sorted_codes(label_values(owner, data.X, position))
        codes = codes * len(levels) + part
        codes = np.unique(codes, return_inverse=True)[1]
    return codes


def cells_of(segment: Int, n_segments: int, exact: Int | None) -> tuple[Int, Int]:
    """Return the cell of every row, and the segment of every cell; cells of a segment stand together."""
    if exact is None:
        return segment, np.arange(n_segments, dtype=np.intp)
    n_codes = int(exact.max()) + 1
    combined, cell = np.unique(segment * n_codes + exact, return_inverse=True)
    return cell, (combined // n_codes).astype(np.intp)
