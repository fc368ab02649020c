"""Nearest neighbours on a sorted score: every matched set is a window of the other arm.

All kernels work at sorted positions (see `_cell_order.sort_rows`). Within one cell the donors of a focal
row are a contiguous run `start:stop`, ties included, so nothing is ever stored pair by pair.
"""

from __future__ import annotations

import numpy as np

from segcate._inputs.arrays import Float
from segcate._kernels import kernel
from segcate.matching._calipers import is_within
from segcate.matching._cell_order import Index

# Weights that add up to the places wanted but for rounding fill them.
_FULL = 1e-9


def match_with_replacement(
    score: Float,
    bounds: np.ndarray,
    *,
    focal_arms: tuple[bool, bool],
    n_neighbors: int,
    caliper: Float,
    tie_tolerance: Float,
    weight: Float | None = None,
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

    Returns
    -------
    start, stop : int32 arrays of shape (n_positions,)
        Window of donors at each focal position; empty (equal) where there is none.
    """
    start = np.zeros(len(score), np.int32)
    stop = np.zeros(len(score), np.int32)
    for arm in (0, 1):
        if not focal_arms[arm]:
            continue
        if weight is None:
            _match_cells(score, bounds, arm, n_neighbors, caliper, tie_tolerance, start, stop)
        else:
            _match_cells_weighted(
                score, bounds, arm, float(n_neighbors), caliper, tie_tolerance, weight, start, stop
            )
    return start, stop


@kernel
def _match_cells(score, bounds, arm, k, caliper, tolerance, start, stop):  # type: ignore[no-untyped-def]
    for c in range(len(caliper)):
        first, last = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        if first == last:
            continue
        m = min(k, last - first)
        lo = first
        for i in range(bounds[2 * c + arm], bounds[2 * c + arm + 1]):
            x = score[i]
            if i > bounds[2 * c + arm] and x == score[i - 1]:
                start[i], stop[i] = start[i - 1], stop[i - 1]
                continue
            while lo + m < last and score[lo + m] - x < x - score[lo]:
                lo += 1
            reach = max(abs(x - score[lo]), abs(score[lo + m - 1] - x))
            start[i], stop[i] = _widen(score, x, lo, lo + m, first, last, reach, tolerance[c])
            if reach > caliper[c]:
                start[i], stop[i] = _trim(score, x, start[i], stop[i], caliper[c])


@kernel
def _match_cells_weighted(score, bounds, arm, k, caliper, tolerance, weight, start, stop):  # type: ignore[no-untyped-def]
    """As `_match_cells`; a window is wide enough once its donors weigh k (or all are in)."""
    for c in range(len(caliper)):
        first, last = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        if first == last:
            continue
        for i in range(bounds[2 * c + arm], bounds[2 * c + arm + 1]):
            x = score[i]
            right = first + np.searchsorted(score[first:last], x)
            left = right
            total, reach = 0.0, 0.0
            while total < k - _FULL and (left > first or right < last):
                if right == last or (left > first and x - score[left - 1] <= score[right] - x):
                    left -= 1
                    total += weight[left]
                    reach = x - score[left]
                else:
                    total += weight[right]
                    reach = score[right] - x
                    right += 1
            start[i], stop[i] = _widen(score, x, left, right, first, last, reach, tolerance[c])
            if reach > caliper[c]:
                start[i], stop[i] = _trim(score, x, start[i], stop[i], caliper[c])


@kernel
def _widen(score, x, lo, hi, first, last, reach, tolerance):  # type: ignore[no-untyped-def]
    """Take in all donors tied with the farthest one of `lo:hi`; long runs by binary search."""
    limit = reach * reach + tolerance
    while lo > first and (x - score[lo - 1]) * (x - score[lo - 1]) <= limit:
        lo = first + np.searchsorted(score[first:lo], score[lo - 1])
    while hi < last and (score[hi] - x) * (score[hi] - x) <= limit:
        hi += np.searchsorted(score[hi:last], score[hi], side="right")
    return lo, hi


@kernel
def _trim(score, x, lo, hi, caliper):  # type: ignore[no-untyped-def]
    """Keep the donors of `lo:hi` within the caliper."""
    while lo < hi and not is_within(x, score[lo], caliper):
        lo += 1
    while hi > lo and not is_within(score[hi - 1], x, caliper):
        hi -= 1
    return lo, hi


@kernel
def window_means(values, start, stop, donors, weight):  # type: ignore[no-untyped-def]
    """Mean of `values` over each matched set; NaN for an empty one.

    `donors` and `weight` may be empty arrays: then the set is the window itself, unweighted. Long
    windows (many ties) go through running sums, short ones are summed directly.
    """
    n = len(start)
    means = np.full(n, np.nan)
    running = np.empty(0)
    running_weight = np.empty(0)
    centre = 0.0
    for i in range(n):
        lo, hi = start[i], stop[i]
        if lo == hi:
            continue
        if hi - lo <= _DIRECT or len(donors) > 0:
            total, mass = 0.0, 0.0
            for j in range(lo, hi):
                at = donors[j] if len(donors) > 0 else j
                w = weight[at] if len(weight) > 0 else 1.0
                total += w * values[at]
                mass += w
            means[i] = total / mass
            continue
        if len(running) == 0:
            centre = values.mean()
            running, running_weight = _running_sums(values, weight, centre)
        means[i] = centre + (running[hi] - running[lo]) / (running_weight[hi] - running_weight[lo])
    return means


_DIRECT = 32


@kernel
def _running_sums(values, weight, centre):  # type: ignore[no-untyped-def]
    total = np.zeros(len(values) + 1)
    mass = np.zeros(len(values) + 1)
    for j in range(len(values)):
        w = weight[j] if len(weight) > 0 else 1.0
        total[j + 1] = total[j] + w * (values[j] - centre)
        mass[j + 1] = mass[j] + w
    return total, mass


@kernel
def count_uses(start, stop, donors, focal_weight, weight, n_positions):  # type: ignore[no-untyped-def]
    """Count how much each donor is used: K (sum of its shares) and K2 (sum of squared shares).

    The share of donor j in focal row i is ``focal_weight[i] * weight[j] / weight of J(i)``, which is
    ``1 / |J(i)|`` without weights. Long windows go through a difference array.
    """
    uses = np.zeros(n_positions)
    squares = np.zeros(n_positions)
    steps = np.empty(0)
    square_steps = np.empty(0)
    mass_before = np.empty(0)
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        if lo == hi:
            continue
        f = focal_weight[i] if len(focal_weight) > 0 else 1.0
        if hi - lo <= _DIRECT or len(donors) > 0:
            mass = 0.0
            for j in range(lo, hi):
                at = donors[j] if len(donors) > 0 else j
                mass += weight[at] if len(weight) > 0 else 1.0
            for j in range(lo, hi):
                at = donors[j] if len(donors) > 0 else j
                share = f * (weight[at] if len(weight) > 0 else 1.0) / mass
                uses[at] += share
                squares[at] += share * share
            continue
        if len(steps) == 0:
            steps = np.zeros(n_positions + 1)
            square_steps = np.zeros(n_positions + 1)
            if len(weight) > 0:
                mass_before = np.zeros(n_positions + 1)
                mass_before[1:] = np.cumsum(weight)
        mass = mass_before[hi] - mass_before[lo] if len(weight) > 0 else float(hi - lo)
        share = f / mass
        steps[lo] += share
        steps[hi] -= share
        square_steps[lo] += share * share
        square_steps[hi] -= share * share
    if len(steps) > 0:
        _add_steps(uses, squares, steps, square_steps, weight)
    return uses, squares


@kernel
def _add_steps(uses, squares, steps, square_steps, weight):  # type: ignore[no-untyped-def]
    level, square_level = 0.0, 0.0
    for j in range(len(uses)):
        level += steps[j]
        square_level += square_steps[j]
        w = weight[j] if len(weight) > 0 else 1.0
        if level > 1e-12:
            uses[j] += w * level
            squares[j] += w * w * square_level


@kernel
def same_arm_windows(score, bounds, n_others, tolerance, arms):  # type: ignore[no-untyped-def]
    """Window of each row's own arm: itself, its `n_others` nearest others, and all tied with them.

    Rows of equal score share a window. Where the arm has fewer others, all of them are taken. Rows
    of an arm that `arms` leaves out get an empty window.
    """
    start = np.zeros(len(score), np.int32)
    stop = np.zeros(len(score), np.int32)
    for b in range(len(bounds) - 1):
        if not arms[b % 2]:
            continue
        first, last = bounds[b], bounds[b + 1]
        m = min(n_others + 1, last - first)
        lo = first
        for i in range(first, last):
            x = score[i]
            if i > first and x == score[i - 1]:
                start[i], stop[i] = start[i - 1], stop[i - 1]
                continue
            while lo + m < last and score[lo + m] - x < x - score[lo]:
                lo += 1
            reach = max(abs(x - score[lo]), abs(score[lo + m - 1] - x))
            start[i], stop[i] = _widen(score, x, lo, lo + m, first, last, reach, tolerance[b // 2])
    return start, stop


@kernel
def window_variances(values, start, stop, members):  # type: ignore[no-untyped-def]
    """Sample variance (denominator size - 1) of `values` over each set; NaN below two rows.

    `members` may be an empty array: then the set is the window itself.
    """
    out = np.full(len(start), np.nan)
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        if i > 0 and lo == start[i - 1] and hi == stop[i - 1]:
            out[i] = out[i - 1]
            continue
        if hi - lo < 2:
            continue
        mean = 0.0
        for j in range(lo, hi):
            mean += values[members[j] if len(members) > 0 else j]
        mean /= hi - lo
        total = 0.0
        for j in range(lo, hi):
            total += (values[members[j] if len(members) > 0 else j] - mean) ** 2
        out[i] = total / (hi - lo - 1)
    return out
