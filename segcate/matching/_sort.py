"""Sort rows by (cell, arm, score): the one sort that every matching method starts from."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.int32]

_DIGIT_BITS = 11
_N_BUCKETS = 1 << _DIGIT_BITS
_N_DIGITS = 6
_SMALL = 64
_MOST_ROWS = np.iinfo(np.int32).max // 2


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
    if len(score) > _MOST_ROWS:
        raise ValueError(f"Matching takes at most {_MOST_ROWS} rows at once; got {len(score)}.")
    order, bounds = _bucket(cell, n_cells, treatment)
    _sort_slices(score, order, bounds)
    return order, bounds


@numba.njit(cache=True, nogil=True)
def _bucket(cell, n_cells, treatment):  # type: ignore[no-untyped-def]
    """Stable counting sort of the rows into (cell, arm)."""
    bounds = np.zeros(2 * n_cells + 1, np.int64)
    for i in range(len(cell)):
        if cell[i] >= 0:
            bounds[2 * cell[i] + treatment[i] + 1] += 1
    for key in range(2 * n_cells):
        bounds[key + 1] += bounds[key]
    at = bounds[:-1].copy()
    order = np.empty(bounds[-1], np.int32)
    for i in range(len(cell)):
        if cell[i] >= 0:
            key = 2 * cell[i] + treatment[i]
            order[at[key]] = i
            at[key] += 1
    return order, bounds


@numba.njit(cache=True, nogil=True)
def _sort_slices(score, order, bounds):  # type: ignore[no-untyped-def]
    """Sort every slice of `order` by score, keeping row order among equal scores."""
    longest = 0
    for b in range(len(bounds) - 1):
        longest = max(longest, bounds[b + 1] - bounds[b])
    if longest <= _SMALL:
        longest = 0
    keys = np.empty(longest, np.uint64)
    spare_keys = np.empty(longest, np.uint64)
    spare_rows = np.empty(longest, np.int32)
    for b in range(len(bounds) - 1):
        rows = order[bounds[b] : bounds[b + 1]]
        if len(rows) <= _SMALL:
            _insertion_sort(score, rows)
        else:
            n = len(rows)
            _radix_sort(score, rows, keys[:n], spare_keys[:n], spare_rows[:n])


@numba.njit(cache=True, nogil=True)
def _insertion_sort(score, rows):  # type: ignore[no-untyped-def]
    for i in range(1, len(rows)):
        row = rows[i]
        j = i - 1
        while j >= 0 and score[rows[j]] > score[row]:
            rows[j + 1] = rows[j]
            j -= 1
        rows[j + 1] = row


@numba.njit(cache=True, nogil=True)
def _radix_sort(score, rows, keys, spare_keys, spare_rows):  # type: ignore[no-untyped-def]
    """Least-significant-digit radix sort of rows by score; passes with one bucket are skipped."""
    n = len(rows)
    counts = np.zeros((_N_DIGITS, _N_BUCKETS), np.int64)
    value = np.empty(1, np.float64)
    bits = value.view(np.int64)
    for i in range(n):
        value[0] = score[rows[i]] + 0.0  # -0.0 and 0.0 are one score
        sign = bits[0] >> np.int64(63)
        key = np.uint64(bits[0] ^ (sign | np.int64(-0x8000000000000000)))
        keys[i] = key
        for digit in range(_N_DIGITS):
            counts[digit, (key >> np.uint64(digit * _DIGIT_BITS)) & np.uint64(_N_BUCKETS - 1)] += 1
    swapped = False
    for digit in range(_N_DIGITS):
        shift = np.uint64(digit * _DIGIT_BITS)
        source_keys, source_rows = (spare_keys, spare_rows) if swapped else (keys, rows)
        target_keys, target_rows = (keys, rows) if swapped else (spare_keys, spare_rows)
        if counts[digit, (source_keys[0] >> shift) & np.uint64(_N_BUCKETS - 1)] == n:
            continue
        total = 0
        for bucket in range(_N_BUCKETS):
            count = counts[digit, bucket]
            counts[digit, bucket] = total
            total += count
        for i in range(n):
            bucket = (source_keys[i] >> shift) & np.uint64(_N_BUCKETS - 1)
            at = counts[digit, bucket]
            counts[digit, bucket] = at + 1
            target_keys[at] = source_keys[i]
            target_rows[at] = source_rows[i]
        swapped = not swapped
    if swapped:
        rows[:] = spare_rows
