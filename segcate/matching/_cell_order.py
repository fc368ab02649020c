"""Sort rows by (cell, arm, score): the one sort that every matching method starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._kernels import are_few, kernel
from segcate._statistics.sort import MOST_ROWS, sort_slices

Index = npt.NDArray[np.int32]


def sort_rows(
    cell: npt.NDArray[np.integer[Any]], n_cells: int, treatment: npt.NDArray[np.int8], score: Float
) -> tuple[Index, npt.NDArray[np.int64]]:
    """Order rows by cell, controls before treated, ascending score, then row.

    Parameters
    ----------
    cell : integer array of shape (n_rows,), values below n_cells; -1 leaves the row out
    n_cells : int
    treatment : int8 array of shape (n_rows,), values 0 and 1
    score : float64 array of shape (n_rows,), without NaN

    Returns
    -------
    order : int32 array of shape (n_kept,)
        Row at each sorted position.
    bounds : int64 array of shape (2 * n_cells + 1,)
        Controls of cell c stand at positions ``bounds[2c]:bounds[2c + 1]``, its treated at
        ``bounds[2c + 1]:bounds[2c + 2]``.

    Notes
    -----
    Counting sort into (cell, arm), then a radix sort of each slice: linear in the rows, stable, and
    in slices that mostly fit the processor's cache.
    """
    if len(score) > MOST_ROWS:
        raise ValueError(f"Matching takes at most {MOST_ROWS} rows at once; got {len(score)}.")
    order, bounds = _bucket(cell, n_cells, treatment)
    sort_slices(score, order, bounds)
    return order, bounds


def _bucket(
    cell: npt.NDArray[np.integer[Any]], n_cells: int, treatment: npt.NDArray[np.int8]
) -> tuple[Index, npt.NDArray[np.int64]]:
    """Sort the rows stably into (cell, arm)."""
    counts = np.zeros(2 * n_cells, np.int64)
    if are_few(len(cell)):
        key = (2 * cell + treatment).astype(np.int16 if n_cells < 1 << 14 else np.int64)
        order = np.argsort(key, kind="stable")[np.count_nonzero(cell < 0) :].astype(np.int32)
        counts += np.bincount(key[order], minlength=2 * n_cells)
        return order, np.append(0, np.cumsum(counts))
    _count_rows(cell, treatment, counts)
    bounds = np.append(0, np.cumsum(counts))
    order = np.empty(bounds[-1], np.int32)
    _deal_rows(cell, treatment, bounds[:-1].copy(), order)
    return order, bounds


@kernel
def _count_rows(cell, treatment, counts):  # type: ignore[no-untyped-def]
    for i in range(len(cell)):
        if cell[i] >= 0:
            counts[2 * cell[i] + treatment[i]] += 1


@kernel
def _deal_rows(cell, treatment, at, order):  # type: ignore[no-untyped-def]
    for i in range(len(cell)):
        if cell[i] >= 0:
            key = 2 * cell[i] + treatment[i]
            order[at[key]] = i
            at[key] += 1
