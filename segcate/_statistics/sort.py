"""Sort rows by a number, whole or slice by slice: the sort behind matching and rankings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from segcate._kernels import are_few, kernel

_DIGIT_BITS = 11
_N_BUCKETS = 1 << _DIGIT_BITS
_N_DIGITS = 6
# Leading digits (sign, exponent and 21 bits) tell most scores apart; beyond this share of rows they do not.
_N_LEADING = 3
_MOST_UNSETTLED = 0.1
# So many slices are sorted one by one by numpy; more of them in one go.
_FEW_SLICES = 64
# Rows whose slices are sorted together.
_BATCH = 1 << 16
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


def sort_slices(
    score: npt.NDArray[np.float64], order: npt.NDArray[np.int32], bounds: npt.NDArray[np.int64]
) -> None:
    """Sort every slice of `order` by score, keeping the order among equal scores.

    Parameters
    ----------
    score : float64 array of shape (n_rows,), without NaN
    order : int32 array of shape (n_kept,), rows; changed in place
    bounds : int64 array of shape (n_slices + 1,)
        Slice s is ``order[bounds[s]:bounds[s + 1]]``.
    """
    if not are_few(len(order)):
        _sort_by_digits(score, order, bounds)
    elif len(bounds) <= _FEW_SLICES:
        for first, stop in pairwise(bounds.tolist()):
            rows = order[first:stop]
            order[first:stop] = rows[np.argsort(score[rows], kind="stable")]
    else:
        order[:] = order[np.lexsort((score[order], _slice_of_positions(bounds)))]


def _slice_of_positions(bounds: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.repeat(np.arange(len(bounds) - 1, dtype=np.int32), np.diff(bounds))


def _sort_by_digits(
    score: npt.NDArray[np.float64], order: npt.NDArray[np.int32], bounds: npt.NDArray[np.int64]
) -> None:
    """Sort by one digit of the score after the other, then by slice; a few slices at a time.

    Slices of a batch go through the digits together: a batch mostly fits the processor's cache.
    """
    first = 0
    while first < len(bounds) - 1:
        fits = int(np.searchsorted(bounds, bounds[first] + _BATCH, side="right")) - 1
        stop = max(first + 1, fits)
        part = order[bounds[first] : bounds[stop]]
        if len(part):
            place = _order_of_keys(_ascending_keys(score[part]))
            if stop - first > 1:
                own = bounds[first : stop + 1] - bounds[first]
                target = np.empty_like(place)
                _deal_to_slices(place, _slice_of_positions(own), own[:-1].copy(), target)
                place = target
            part[:] = part[place]
        first = stop


def _ascending_keys(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Turn numbers into whole ones of the same order; -0.0 and 0.0 are one number."""
    bits = (values + 0.0).view(np.int64)
    keys: npt.NDArray[np.uint64] = (bits ^ ((bits >> 63) | np.iinfo(np.int64).min)).view(np.uint64)
    return keys


def _order_of_keys(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Sort keys stably by their leading digits, and put right the few that those leave unsorted.

    Where they leave many, least significant digits come first; passes with one bucket are skipped.
    """
    counts = np.zeros(_N_DIGITS * _N_BUCKETS, np.int64)
    _count_digits(keys, counts)
    by_digit = counts.reshape(_N_DIGITS, _N_BUCKETS)
    starts = np.cumsum(by_digit, axis=1) - by_digit
    telling = np.flatnonzero(by_digit.max(axis=1) < len(keys)).tolist()
    leading = [digit for digit in telling if digit >= _N_DIGITS - _N_LEADING]
    ordered, place = _dealt(keys, leading, starts.copy())
    if len(leading) == len(telling):
        return place
    unsettled = _unsettled(ordered)
    if len(unsettled) > _MOST_UNSETTLED * len(keys):
        return _dealt(keys, telling, starts)[1]
    rows = place[unsettled]
    place[unsettled] = rows[np.argsort(ordered[unsettled], kind="stable")]
    return place


def _dealt(
    keys: npt.NDArray[np.uint64], digits: list[int], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    """Deal keys and their places by one digit after the other."""
    place, spare = np.arange(len(keys), dtype=np.int32), np.empty(len(keys), np.int32)
    dealt, spare_keys = keys, np.empty_like(keys)
    for digit in digits:
        _deal_places(dealt, place, starts[digit], np.uint64(digit * _DIGIT_BITS), spare_keys, spare)
        used = np.empty_like(keys) if dealt is keys else dealt
        dealt, spare_keys, place, spare = spare_keys, used, spare, place
    return dealt, place


def _unsettled(ordered: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """Return the positions of keys that share their leading digits with a smaller key behind them."""
    descends = np.flatnonzero(ordered[1:] < ordered[:-1])
    if not len(descends):
        return descends
    leading = ordered >> np.uint64(_DIGIT_BITS * (_N_DIGITS - _N_LEADING))
    first = np.searchsorted(leading, leading[descends], side="left")
    stop = np.searchsorted(leading, leading[descends], side="right")
    ends = np.zeros(len(ordered) + 1, dtype=np.int64)
    ends[np.unique(first)] = 1
    ends[np.unique(stop)] -= 1
    return np.flatnonzero(np.cumsum(ends[:-1]))


@kernel
def _count_digits(keys, counts):  # type: ignore[no-untyped-def]
    last = np.uint64(_N_BUCKETS - 1)
    for i in range(len(keys)):
        key = keys[i]
        for digit in range(_N_DIGITS):
            bucket = (key >> np.uint64(digit * _DIGIT_BITS)) & last
            counts[np.uint64(digit * _N_BUCKETS) + bucket] += 1


@kernel
def _deal_places(keys, place, starts, shift, new_keys, new_place):  # type: ignore[no-untyped-def]
    last = np.uint64(_N_BUCKETS - 1)
    for i in range(len(keys)):
        bucket = (keys[i] >> shift) & last
        at = starts[bucket]
        starts[bucket] = at + 1
        new_keys[at] = keys[i]
        new_place[at] = place[i]


@kernel
def _deal_to_slices(place, slice_of, starts, target):  # type: ignore[no-untyped-def]
    for i in range(len(place)):
        bucket = slice_of[place[i]]
        target[starts[bucket]] = place[i]
        starts[bucket] += 1


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
