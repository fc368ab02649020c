"""Sort rows by a number, whole or slice by slice: the sort behind matching and rankings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segcate._kernels import kernel

_DIGIT_BITS = 11
_N_BUCKETS = 1 << _DIGIT_BITS
_N_DIGITS = 6
_SMALL = 64
# Below, clearing the buckets of a radix sort costs more than it saves.
_MEDIUM = 512
# Below, numpy's sort takes less than the buckets of three passes.
_MIN_ROWS_FOR_BUCKETS = 10_000
_N_PASSES = 3
_ROW_BITS = 32
# A pass over 11 bits takes twice as long: the ends of its buckets do not fit the nearest memory.
_PLACE_BITS = 10
_N_PLACE_BUCKETS = 1 << _PLACE_BITS
_N_PLACES = 1 << (_N_PASSES * _PLACE_BITS)
# A sample of this many scores shows whether distinct scores get distinct places.
_N_SAMPLED = 1000
# Rows are numbered by int32.
MOST_ROWS = np.iinfo(np.int32).max // 2


@kernel
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


@kernel
def _insertion_sort(score, rows):  # type: ignore[no-untyped-def]
    for i in range(1, len(rows)):
        row = rows[i]
        j = i - 1
        while j >= 0 and score[rows[j]] > score[row]:
            rows[j + 1] = rows[j]
            j -= 1
        rows[j + 1] = row


@kernel
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

    A key of 64 bits holds where the score stands between the highest and the lowest, in 2^30 places,
    and the number of the row: three passes over 10 bits each sort by place. Where places do not tell
    a sample of scores apart (a few are far from all others) the key holds the leading bits of the
    score, and numpy's sort of integers does the work. Rows whose scores differ although their places
    or leading bits do not, few in most data, are put right afterwards.

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
    high, scale = _place_scale(score, rows)
    if scale > 0:
        n_bits = np.uint64(_ROW_BITS)
        keys = _sorted_by_place(score, rows, high, scale)
    else:
        n_bits = np.uint64(max(len(score) - 1, 1).bit_length())
        keys = _packed_keys(score, rows, n_bits)
        keys.sort()
    order, ends = np.empty(len(rows), np.int32), np.empty(len(rows), np.int64)
    n_blocks = _unpack_order(keys, score, n_bits, order, ends)
    return order, ends if n_blocks == len(rows) else ends[:n_blocks].copy()


def _place_scale(
    score: npt.NDArray[np.float64], rows: npt.NDArray[np.int32]
) -> tuple[float, float]:
    """Return the highest score, and the places a unit of score; 0 where places should not be used."""
    if len(rows) < _MIN_ROWS_FOR_BUCKETS:
        return 0.0, 0.0
    high = float(score.max())
    spread = high - float(score.min())
    scale = (_N_PLACES - 1) / spread if spread > 0 else 0.0
    if not 0 < scale < np.inf:
        return high, 0.0
    sample = np.unique(score[rows[:: len(rows) // _N_SAMPLED]])
    n_places = len(np.unique(((high - sample) * scale).astype(np.uint64)))
    return high, scale if n_places == len(sample) else 0.0


def _sorted_by_place(
    score: npt.NDArray[np.float64], rows: npt.NDArray[np.int32], high: float, scale: float
) -> npt.NDArray[np.uint64]:
    """Return keys of place and row, sorted by place, rows of one place as they came."""
    # Arrays are made by numpy, which asks for large pages of memory; numba does not.
    keys, spare = np.empty((2, len(rows)), dtype=np.uint64)
    starts = np.zeros((_N_PASSES, _N_PLACE_BUCKETS), dtype=np.uint32)
    _place_keys(score, rows, high, scale, keys, starts)
    for digit in range(_N_PASSES):
        shift = np.uint64(_ROW_BITS + digit * _PLACE_BITS)
        _deal_keys(keys, spare, starts[digit], shift)
        keys, spare = spare, keys
    return keys


@kernel
def _place_keys(score, rows, high, scale, keys, starts):  # type: ignore[no-untyped-def]
    """Make the keys, and find where each bucket of each pass starts."""
    last = np.uint64(_N_PLACE_BUCKETS - 1)
    for i in range(np.uint64(len(rows))):
        row = np.uint32(rows[i])
        place = np.uint64((high - score[row]) * scale)
        keys[i] = (place << np.uint64(_ROW_BITS)) | np.uint64(row)
        for digit in range(_N_PASSES):
            starts[digit, (place >> np.uint64(digit * _PLACE_BITS)) & last] += np.uint32(1)
    for digit in range(_N_PASSES):
        total = np.uint32(0)
        for bucket in range(_N_PLACE_BUCKETS):
            count = starts[digit, bucket]
            starts[digit, bucket] = total
            total += count


@kernel
def _deal_keys(source, target, starts, shift):  # type: ignore[no-untyped-def]
    """Deal keys to the buckets of one digit; `starts` is changed."""
    last = np.uint64(_N_PLACE_BUCKETS - 1)
    for i in range(np.uint64(len(source))):
        key = source[i]
        bucket = (key >> shift) & last
        at = starts[bucket]
        target[at] = key
        starts[bucket] = at + np.uint32(1)


@kernel
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


@kernel
def _unpack_order(keys, score, n_bits, order, ends):  # type: ignore[no-untyped-def]
    """Take the rows out of sorted keys; order those of equal leading bits by the whole score.

    Returns the number of blocks of equal scores, whose last positions go into `ends`.
    """
    n = len(keys)
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
    return n_blocks
