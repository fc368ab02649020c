"""Nearest neighbours on a sorted score: every matched set is a window of the other arm.

All functions work at sorted positions (see `_cell_order.sort_rows`). Within one cell the donors of a focal
row are a contiguous run `start:stop`, ties included, so nothing is ever stored pair by pair.
"""

from __future__ import annotations

import numpy as np

from segcate._inputs.arrays import Float
from segcate._kernels import are_few, kernel
from segcate.matching._cell_order import Index
from segcate.matching._nearest_of_few import Slices, fill_weighted_windows, fill_windows
from segcate.matching._sample import MatchedSample

# Weights that add up to the places wanted but for rounding fill them.
_FULL = 1e-9
_NONE = np.empty(0)


def match_with_replacement(
    score: Float,
    bounds: np.ndarray,
    *,
    focal_arms: tuple[bool, bool],
    n_neighbors: int,
    caliper: Float,
    tie_tolerance: Float,
    weight: Float | None = None,
    n_rows: int | None = None,
) -> tuple[Index, Index]:
    """Match each focal row with its nearest donors of the other arm; donors may serve many times.

    Parameters
    ----------
    score : float64 array of shape (n_positions,), ascending within each slice of `bounds`
    bounds : int64 array of shape (2 * n_cells + 1,)
    focal_arms : whether controls, and whether treated, look for matches
    n_neighbors : int
        Nearest donors wanted; all donors tied with the last of them are kept.
    caliper : float64 array of shape (n_cells,)
        Largest distance allowed, inclusive; infinity for none.
    tie_tolerance : float64 array of shape (n_cells,)
        Donors whose squared distance exceeds that of the last neighbour by at most this are tied.
    weight : float64 array of shape (n_positions,), default=None
        Places that a row fills: a donor of weight 2 counts as two rows of equal score.
    n_rows : int, default=None
        Rows of the whole fit, which decide whether numpy or a kernel does it; None takes those given.

    Returns
    -------
    start, stop : int32 arrays of shape (n_positions,)
        Window of donors at each focal position; empty (equal) where there is none.
    """
    found = np.zeros(len(score), np.int32), np.zeros(len(score), np.int32)
    for arm in (0, 1):
        if focal_arms[arm]:
            slices = Slices(
                bounds[arm:-1:2], bounds[arm + 1 :: 2], bounds[1 - arm : -1 : 2],
                bounds[2 - arm :: 2], caliper, tie_tolerance,
            )  # fmt: skip
            _fill(score, slices, n_neighbors, weight, found, n_rows)
    return found


def same_arm_windows(
    score: Float,
    bounds: np.ndarray,
    n_others: int,
    tolerance: Float,
    arms: tuple[bool, bool],
    n_rows: int | None = None,
) -> tuple[Index, Index]:
    """Window of each row's own arm: itself, its `n_others` nearest others, and all tied with them.

    Rows of equal score share a window. Where the arm has fewer others, all of them are taken. Rows
    of an arm that `arms` leaves out get an empty window.
    """
    found = np.zeros(len(score), np.int32), np.zeros(len(score), np.int32)
    for arm in (0, 1):
        if arms[arm]:
            first, last = bounds[arm:-1:2], bounds[arm + 1 :: 2]
            slices = Slices(first, last, first, last, np.full(len(tolerance), np.inf), tolerance)
            _fill(score, slices, n_others + 1, None, found, n_rows)
    return found


class SharedWindows:
    """Windows of the rows' own arm, found once for all segments of a matched sample with few rows."""

    def __init__(self, sample: MatchedSample) -> None:
        self._sample = sample
        self._found: dict[tuple[int, tuple[bool, bool]], tuple[Index, Index]] = {}

    def of(
        self, first: int, n_rows: int, n_others: int, arms: tuple[bool, bool]
    ) -> tuple[Index, Index]:
        """Return what `same_arm_windows` says of a run of positions, counted from the first of them."""
        if (n_others, arms) not in self._found:
            sample = self._sample
            assert sample.score is not None
            self._found[n_others, arms] = same_arm_windows(
                sample.score, sample.bounds, n_others, sample.tie_tolerance, arms
            )
        start, stop = self._found[n_others, arms]
        part, shift = slice(first, first + n_rows), np.int32(first)
        return np.maximum(start[part] - shift, 0), np.maximum(stop[part] - shift, 0)


def shared_windows(sample: MatchedSample) -> SharedWindows | None:
    """Return the windows that segments can share: numpy finds them faster in one go than one by one."""
    by_score = sample.score is not None and sample.points is None
    return SharedWindows(sample) if by_score and are_few(len(sample.order)) else None


def _fill(
    score: Float,
    slices: Slices,
    k: int,
    weight: Float | None,
    found: tuple[Index, Index],
    n_rows: int | None,
) -> None:
    """Write the windows of the focal slices into `found`."""
    if are_few(len(score) if n_rows is None else n_rows):
        if weight is None:
            fill_windows(score, slices, k, *found)
        else:
            fill_weighted_windows(score, slices, float(k), weight, *found)
        return
    slices = slices.with_donors()
    *parts, caliper, tolerance = slices
    if weight is None:
        _nearest_rows(score, *parts, k, *found)
    else:
        _nearest_weight(score, *parts, float(k), weight, *found)
    rows, width = (
        _beyond_caliper(score, slices, found) if np.isfinite(caliper).any() else (_NONE, _NONE)
    )
    _widen(score, *parts, tolerance, *found)
    if len(rows):
        _trim(score, rows, width, *found)


def _beyond_caliper(
    score: Float, slices: Slices, found: tuple[Index, Index]
) -> tuple[np.ndarray, Float]:
    """Return the focal rows whose farthest neighbour lies beyond the caliper, and its width."""
    rows, cell = slices.focal_rows()
    low, high, x = score[found[0][rows]], score[found[1][rows] - 1], score[rows]
    width = slices.caliper[cell]
    is_far = np.maximum(np.abs(x - low), np.abs(high - x)) > width
    return rows[is_far], width[is_far]


@kernel
def _nearest_rows(score, focal_first, focal_last, donor_first, donor_last, k, start, stop):  # type: ignore[no-untyped-def]
    for c in range(len(focal_first)):
        last = donor_last[c]
        m = min(k, last - donor_first[c])
        lo = donor_first[c]
        for i in range(focal_first[c], focal_last[c]):
            x = score[i]
            while lo + m < last and score[lo + m] - x < x - score[lo]:
                lo += 1
            start[i], stop[i] = lo, lo + m


@kernel
def _nearest_weight(  # type: ignore[no-untyped-def]
    score, focal_first, focal_last, donor_first, donor_last, k, weight, start, stop
):
    """Take in the nearest donors until they weigh k, or all are in."""
    for c in range(len(focal_first)):
        first, last = donor_first[c], donor_last[c]
        right = first
        for i in range(focal_first[c], focal_last[c]):
            x = score[i]
            while right < last and score[right] < x:
                right += 1
            lo, hi, total = right, right, 0.0
            while total < k - _FULL and (lo > first or hi < last):
                if hi == last or (lo > first and x - score[lo - 1] <= score[hi] - x):
                    lo -= 1
                    total += weight[lo]
                else:
                    total += weight[hi]
                    hi += 1
            start[i], stop[i] = lo, hi


@kernel
def _widen(  # type: ignore[no-untyped-def]
    score, focal_first, focal_last, donor_first, donor_last, tolerance, start, stop
):
    """Take in all donors tied with the farthest one of a window; long runs by binary search."""
    for c in range(len(focal_first)):
        first, last = donor_first[c], donor_last[c]
        for i in range(focal_first[c], focal_last[c]):
            x = score[i]
            if i > focal_first[c] and x == score[i - 1]:
                start[i], stop[i] = start[i - 1], stop[i - 1]
                continue
            lo, hi = np.int64(start[i]), np.int64(stop[i])
            limit = max(abs(x - score[lo]), abs(score[hi - 1] - x)) ** 2 + tolerance[c]
            while lo > first and (x - score[lo - 1]) * (x - score[lo - 1]) <= limit:
                tied, low, lo = score[lo - 1], first, lo - 1
                while low < lo:
                    middle = (low + lo) // 2
                    low, lo = (middle + 1, lo) if score[middle] < tied else (low, middle)
            while hi < last and (score[hi] - x) * (score[hi] - x) <= limit:
                tied, hi, high = score[hi], hi + 1, last
                while hi < high:
                    middle = (hi + high) // 2
                    hi, high = (middle + 1, high) if score[middle] <= tied else (hi, middle)
            start[i], stop[i] = lo, hi


@kernel
def _trim(score, rows, width, start, stop):  # type: ignore[no-untyped-def]
    """Keep the donors within the caliper, as `is_within` has it."""
    for a in range(len(rows)):
        i = rows[a]
        lo, hi = start[i], stop[i]
        while lo < hi and abs(score[i] - score[lo]) > width[a]:
            lo += 1
        while hi > lo and abs(score[hi - 1] - score[i]) > width[a]:
            hi -= 1
        start[i], stop[i] = lo, hi
