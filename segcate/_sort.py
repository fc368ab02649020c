"""Sort rows by a number, whole or slice by slice: the sort behind matching and rankings."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["MOST_ROWS", "highest_first", "sort_slices"]

_DIGIT_BITS = 11
_N_BUCKETS = 1 << _DIGIT_BITS
_N_DIGITS = 6
_SMALL = 64
# Below, clearing the buckets of a radix sort costs more than it saves.
_MEDIUM = 512
# Rows are numbered by int32.
MOST_ROWS = np.iinfo(np.int32).max // 2


@numba.njit(cache=True, nogil=True)
def sort_slices(score, order, bounds):  # type: ignore[no-untyped-def]
    """Sort every slice of `order` by score, keeping the order among equal scores.

    Parameters
    ----------
    score : float64 array of shape (n_rows,), without NaN
    order : int32 array of shape (n_kept,), rows; changed in place
    bounds : int64 array of shape (n_slices + 1,)
        Slice s is ``order[bounds[s]:bounds[s + 1]]``.
    """
    longest = 0
    for b in range(len(bounds) - 1):
        longest = max(longest, bounds[b + 1] - bounds[b])
    if longest <= _MEDIUM:
        longest = 0
    keys = np.empty(longest, np.uint64)
    spare_keys = np.empty(longest, np.uint64)
    spare_rows = np.empty(longest, np.int32)
    for b in range(len(bounds) - 1):
        rows = order[bounds[b] : bounds[b + 1]]
        if len(rows) <= _SMALL:
            _insertion_sort(score, rows)
        elif len(rows) <= _MEDIUM:
            rows[:] = rows[np.argsort(score[rows], kind="mergesort")]
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


def highest_first(
    score: npt.NDArray[np.float64], rows: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Sort rows by score, highest first, equal scores by row.

    A key of 64 bits holds the leading bits of the score and the number of the row, so that numpy's
    sort of integers, which uses the processor's vector instructions, does the work. Rows whose scores
    differ behind the leading bits only, few in most data, are put right afterwards.

    Parameters
    ----------
    score : float64 array of shape (n_rows,), without NaN
    rows : int32 array of shape (n_kept,), ascending

    Returns
    -------
    order : int32 array of shape (n_kept,)
    ends : int64 array of shape (n_blocks,)
        Last position of each block of equal scores.
    """
    n_bits = np.uint64(max(len(score) - 1, 1).bit_length())
    keys = _packed_keys(score, rows, n_bits)
    keys.sort()
    order, ends = _unpacked_order(keys, score, n_bits)
    return order, ends


@numba.njit(cache=True, nogil=True)
def _packed_keys(score, rows, n_bits):  # type: ignore[no-untyped-def]
    """Put the leading bits of the score, so turned that the highest comes first, before the row."""
    keys = np.empty(len(rows), np.uint64)
    value = np.empty(1, np.float64)
    bits = value.view(np.int64)
    low = (np.uint64(1) << n_bits) - np.uint64(1)
    for i in range(len(rows)):
        value[0] = score[rows[i]] + 0.0  # -0.0 and 0.0 are one score
        sign = bits[0] >> np.int64(63)
        ascending = np.uint64(bits[0] ^ (sign | np.int64(-0x8000000000000000)))
        keys[i] = (~ascending & ~low) | np.uint64(rows[i])
    return keys


@numba.njit(cache=True, nogil=True)
def _unpacked_order(keys, score, n_bits):  # type: ignore[no-untyped-def]
    """Take the rows out of sorted keys; order those of equal leading bits by the whole score."""
    n = len(keys)
    order = np.empty(n, np.int32)
    ends = np.empty(n, np.int64)
    low = (np.uint64(1) << n_bits) - np.uint64(1)
    n_blocks, first = 0, 0
    while first < n:
        lead = keys[first] >> n_bits
        order[first] = np.int32(keys[first] & low)
        stop = first + 1
        if stop < n and keys[stop] >> n_bits == lead:
            differs = False
            while stop < n and keys[stop] >> n_bits == lead:
                order[stop] = np.int32(keys[stop] & low)
                differs |= score[order[stop]] != score[order[first]]
                stop += 1
            if differs:
                run = order[first:stop]
                run[:] = run[np.argsort(-score[run], kind="mergesort")]
                for i in range(first, stop - 1):
                    if score[order[i]] != score[order[i + 1]]:
                        ends[n_blocks] = i
                        n_blocks += 1
        ends[n_blocks] = stop - 1
        n_blocks += 1
        first = stop
    if n_blocks == n:
        return order, ends
    return order, ends[:n_blocks].copy()
