"""Cut columns into quantile bins, the values that a tree splits on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float

# A bin is one byte; the last code stands for a missing value.
N_CODES = 256
MISSING = 255
# Rows that place the borders of bins; more would not move them by a bin.
_MOST_ROWS = 200_000


def bin_edges(X: Float, rng: np.random.Generator) -> list[Float]:
    """Return the borders between the bins of each column: midpoints of neighbouring values.

    With at most 255 different values every one has a bin; else bins hold about equal shares of the
    rows. NaN is left out.
    """
    if len(X) > _MOST_ROWS:
        X = X[np.sort(rng.choice(len(X), _MOST_ROWS, replace=False))]
    return [_edges_of(column[~np.isnan(column)]) for column in X.T]


def _edges_of(values: Float) -> Float:
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) < 2:
        return np.empty(0)
    # A mean of halves cannot overflow.
    middles = levels[:-1] / 2 + levels[1:] / 2
    middles = np.where(middles < levels[1:], middles, levels[:-1])
    if len(levels) <= MISSING:
        return middles
    reached = np.cumsum(counts)[:-1]
    wanted = len(values) * np.arange(1, MISSING) / MISSING
    at = np.searchsorted(reached, wanted)
    edges: Float = middles[np.unique(np.minimum(at, len(middles) - 1))]
    return edges


def bin_columns(X: Float, edges: list[Float]) -> npt.NDArray[np.uint8]:
    """Return the bin of each value, one row a column of X: values up to edge k have codes <= k."""
    codes: npt.NDArray[Any] = np.empty((X.shape[1], len(X)), dtype=np.uint8)
    for j, borders in enumerate(edges):
        column = X[:, j]
        codes[j] = np.searchsorted(borders, column, side="left")
        codes[j, np.isnan(column)] = MISSING
    return codes
