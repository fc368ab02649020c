"""Means, variances and uses over matched sets that are windows of positions, or runs in a list of donors.

Sets of equal size and start that follow one another are one set: rows of equal score share theirs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._kernels import are_few, kernel
from segcate.matching._cell_order import Index

# Longer windows (many ties) go through running sums and difference arrays.
_DIRECT = 32
# Below, uses are the rounding of a difference array.
_NO_USE = 1e-12
# With more members a row, lists of them take too much memory.
_MOST_MEMBERS = 200
_NONE = np.empty(0)


class _Members(NamedTuple):
    """The members of some sets, one set after the other.

    Attributes
    ----------
    sets : positions of the sets
    owner : for each member the place of its set among `sets`
    at : position of each member
    """

    sets: Int
    owner: Int
    at: Int | Index

    def sums(self, values: Float) -> Float:
        """Add up values of the members of each set, in their order."""
        return np.bincount(self.owner, values, len(self.sets)).astype(np.float64, copy=False)


def _members(start: Index, stop: Index, donors: Index, longest: int | None) -> _Members:
    """List the members of all sets that have some, and at most `longest`."""
    size = (stop - start).astype(np.intp)
    is_listed = size > 0
    if longest is not None:
        is_listed &= size <= longest
    sets = np.flatnonzero(is_listed)
    size = size[sets]
    owner = np.repeat(np.arange(len(sets)), size)
    at = np.repeat(start[sets] - (np.cumsum(size) - size), size) + np.arange(len(owner))
    return _Members(sets, owner, donors[at] if len(donors) else at)


def _distinct(start: Index, stop: Index) -> tuple[Index, Index, Int]:
    """Return sets that differ from the one before, and which of them each position has."""
    is_new = np.ones(len(start), dtype=bool)
    is_new[1:] = (start[1:] != start[:-1]) | (stop[1:] != stop[:-1])
    return start[is_new], stop[is_new], np.cumsum(is_new) - 1


def _are_listable(
    start: Index, stop: Index, n_rows: int | None, longest: int | None = None
) -> bool:
    """Tell whether rows are few, and so are the members of their sets."""
    if not are_few(len(start) if n_rows is None else n_rows):
        return False
    size = stop - start
    size = size if longest is None else np.minimum(size, longest)
    return int(size.sum()) <= _MOST_MEMBERS * len(start)


def _common_size(start: Index, stop: Index) -> tuple[Int, int]:
    """Return which sets have members, and how many if all of them have as many; else 0."""
    size = stop - start
    sets = np.flatnonzero(size)
    longest = int(size.max(initial=0))
    return sets, longest if longest * len(sets) == int(size.sum()) else 0


def window_means(
    values: Float,
    start: Index,
    stop: Index,
    donors: Index,
    weight: Float,
    n_rows: int | None = None,
) -> Float:
    """Mean of `values` over each matched set; NaN for an empty one.

    `donors` and `weight` may be empty arrays: then the set is the window itself, unweighted. Long
    windows (many ties) go through running sums, short ones are summed directly. `n_rows` of the whole
    fit decide whether numpy or a kernel does it; None takes those given.
    """
    means = np.full(len(start), np.nan)
    if not len(weight) and are_few(len(start) if n_rows is None else n_rows):
        sets, size = _common_size(start, stop)
        if 0 < size <= _DIRECT:
            means[sets] = _sums_of_equal(values, start[sets], donors, size) / size
            return means
    longest = _DIRECT if len(donors) == 0 else None
    if longest and (stop - start).max(initial=0) > longest:
        _means_of_long(values, start, stop, weight, means)
    if _are_listable(start, stop, n_rows, longest):
        low, high, place = _distinct(start, stop)
        short = np.full(len(low), np.nan)
        members = _members(low, high, donors, longest)
        w = weight[members.at] if len(weight) else np.ones(len(members.at))
        short[members.sets] = members.sums(w * values[members.at]) / members.sums(w)
        short = short[place]
        is_short = ~np.isnan(short)
        means[is_short] = short[is_short]
    else:
        _mean_short(values, start, stop, donors, weight, longest or len(start), means)
    return means


def _sums_of_equal(values: Float, start: Index, donors: Index, size: int) -> Float:
    """Add up values over sets of one size."""
    total = values[donors[start] if len(donors) else start]
    for j in range(1, size):
        total = total + values[donors[start + j] if len(donors) else start + j]
    return total


def _means_of_long(values: Float, start: Index, stop: Index, weight: Float, means: Float) -> None:
    """Write the means of windows that are longer than is summed directly."""
    centre = float(values.mean())
    w = weight if len(weight) else np.ones(len(values))
    total = np.append(0.0, np.cumsum(w * (values - centre)))
    mass = np.append(0.0, np.cumsum(w))
    at = np.flatnonzero(stop - start > _DIRECT)
    low, high = start[at], stop[at]
    means[at] = centre + (total[high] - total[low]) / (mass[high] - mass[low])


@kernel
def _mean_short(values, start, stop, donors, weight, longest, means):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        if lo == hi or hi - lo > longest:
            continue
        total, mass = 0.0, 0.0
        for j in range(lo, hi):
            at = donors[j] if len(donors) > 0 else j
            w = weight[at] if len(weight) > 0 else 1.0
            total += w * values[at]
            mass += w
        means[i] = total / mass


def count_uses(
    start: Index, stop: Index, donors: Index, focal_weight: Float, weight: Float, n_positions: int
) -> tuple[Float, Float]:
    """Count how much each donor is used: K (sum of its shares) and K2 (sum of squared shares).

    The share of donor j in focal row i is ``focal_weight[i] * weight[j] / weight of J(i)``, which is
    ``1 / |J(i)|`` without weights. Long windows go through a difference array.
    """
    uses, squares = np.zeros(n_positions), np.zeros(n_positions)
    longest = _DIRECT if len(donors) == 0 else None
    if _are_listable(start, stop, None, longest):
        members = _members(start, stop, donors, longest)
        w = weight[members.at] if len(weight) else np.ones(len(members.at))
        f = focal_weight[members.sets] if len(focal_weight) else np.ones(len(members.sets))
        share = f[members.owner] * w / members.sums(w)[members.owner]
        uses += np.bincount(members.at, share, n_positions)
        squares += np.bincount(members.at, share * share, n_positions)
    else:
        _count_short(
            start, stop, donors, focal_weight, weight, longest or n_positions, uses, squares
        )
    if longest and (stop - start).max(initial=0) > longest:
        _add_long(start, stop, focal_weight, weight, uses, squares)
    return uses, squares


def _add_long(
    start: Index, stop: Index, focal_weight: Float, weight: Float, uses: Float, squares: Float
) -> None:
    """Add the uses in long windows."""
    at, n = np.flatnonzero(stop - start > _DIRECT), len(uses)
    low, high = start[at], stop[at]
    w = weight if len(weight) else np.ones(n)
    mass = np.append(0.0, np.cumsum(w))
    share = (focal_weight[at] if len(focal_weight) else 1.0) / (mass[high] - mass[low])
    level, square = (
        np.cumsum(np.bincount(low, part, n + 1) - np.bincount(high, part, n + 1))[:n]
        for part in (share, share * share)
    )
    used = level > _NO_USE
    uses[used] += (w * level)[used]
    squares[used] += (w * w * square)[used]


@kernel
def _count_short(start, stop, donors, focal_weight, weight, longest, uses, squares):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        if lo == hi or hi - lo > longest:
            continue
        mass = 0.0
        for j in range(lo, hi):
            at = donors[j] if len(donors) > 0 else j
            mass += weight[at] if len(weight) > 0 else 1.0
        f = focal_weight[i] if len(focal_weight) > 0 else 1.0
        for j in range(lo, hi):
            at = donors[j] if len(donors) > 0 else j
            share = f * (weight[at] if len(weight) > 0 else 1.0) / mass
            uses[at] += share
            squares[at] += share * share


def window_variances(
    values: Float, start: Index, stop: Index, members: Index, n_rows: int | None = None
) -> Float:
    """Sample variance (denominator size - 1) of `values` over each set; NaN below two rows.

    `members` may be an empty array: then the set is the window itself. `n_rows` as in `window_means`.
    """
    if are_few(len(start) if n_rows is None else n_rows):
        sets, n = _common_size(start, stop)
        if 1 < n <= _DIRECT:
            first, out = start[sets], np.full(len(start), np.nan)
            mean = _sums_of_equal(values, first, members, n) / n
            places = (first + j for j in range(n))
            gaps = np.array(
                [(values[members[at] if len(members) else at] - mean) ** 2 for at in places]
            )
            out[sets] = gaps.sum(axis=0) / (n - 1)
            return out
    low, high, place = _distinct(start, stop)
    out = np.full(len(low), np.nan)
    if _are_listable(low, high, n_rows):
        listed = _members(low, high, members, None)
        size = (high - low)[listed.sets]
        mean = listed.sums(values[listed.at]) / size
        squares = listed.sums((values[listed.at] - mean[listed.owner]) ** 2)
        several = size > 1
        out[listed.sets[several]] = squares[several] / (size[several] - 1)
    else:
        _variances(values, low, high, members, out)
    return out[place]


@kernel
def _variances(values, start, stop, members, out):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        if hi - lo < 2:
            continue
        mean = 0.0
        for j in range(lo, hi):
            mean += values[members[j] if len(members) > 0 else j]
        mean /= hi - lo
        total = 0.0
        for j in range(lo, hi):
            gap = values[members[j] if len(members) > 0 else j] - mean
            total += gap * gap
        out[i] = total / (hi - lo - 1)


def spread_covariances(
    y: Float,
    start: Index,
    stop: Index,
    coefficient: Float,
    shares: Float,
    n_rows: int | None = None,
) -> None:
    """Add ``coefficient_i (y_j - mean) / (size - 1)`` to the share of each row j of the window of i."""
    low, high, place = _distinct(start, stop)
    total = np.bincount(place, coefficient, len(low)).astype(np.float64, copy=False)
    if not _are_listable(low, high, n_rows):
        _spread(y, low, high, total, shares)
        return
    low, high, total = low[high - low > 1], high[high - low > 1], total[high - low > 1]
    members = _members(low, high, np.empty(0, np.int32), None)
    mean = members.sums(y[members.at]) / (high - low)
    weight = total / (high - low - 1)
    added = weight[members.owner] * (y[members.at] - mean[members.owner])
    shares += np.bincount(members.at, added, len(shares))


@kernel
def _spread(y, start, stop, total, shares):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        lo, hi = start[i], stop[i]
        size = hi - lo
        if size < 2:
            continue
        mean = 0.0
        for j in range(lo, hi):
            mean += y[j]
        mean /= size
        for j in range(lo, hi):
            shares[j] += total[i] / (size - 1) * (y[j] - mean)
