"""Windows of nearest neighbours by numpy, equal to those of the kernels to the last bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.matching._calipers import is_within

Index = npt.NDArray[np.int32]

# As in the kernel: weights that add up to the places wanted but for rounding fill them.
_FULL = 1e-9


class Slices(NamedTuple):
    """Where the focal rows and the donors of each cell lie among the sorted positions.

    Attributes
    ----------
    focal_first, focal_last, donor_first, donor_last : int64 arrays of shape (n_cells,)
    caliper, tolerance : float64 arrays of shape (n_cells,)
    """

    focal_first: npt.NDArray[np.int64]
    focal_last: npt.NDArray[np.int64]
    donor_first: npt.NDArray[np.int64]
    donor_last: npt.NDArray[np.int64]
    caliper: Float
    tolerance: Float

    def with_donors(self) -> Slices:
        """Return the cells that have donors, in arrays of one type, as kernels want them."""
        has_donors = self.donor_last > self.donor_first
        return Slices(*[part[has_donors] for part in self])  # type: ignore[arg-type]

    def focal_rows(self) -> tuple[Int, Int]:
        """Return the focal positions of cells that have donors, and the cell of each."""
        has_donors = self.donor_last > self.donor_first
        size = np.where(has_donors, self.focal_last - self.focal_first, 0)
        return _runs(self.focal_first, size), np.repeat(np.arange(len(size)), size)


class _Focal(NamedTuple):
    """Distinct scores of focal rows that have donors, and the donors of each."""

    x: Float
    first: Int
    last: Int
    cell: Int
    before: Int


def fill_windows(score: Float, slices: Slices, k: int, start: Index, stop: Index) -> None:
    """Write the windows of the k nearest donors, ties kept, of all focal rows into `start` and `stop`.

    The first window that need not move right begins at most k places before the first donor that is
    not below the row: it is found by bisection there.
    """
    positions, owner, focal = _distinct(score, slices)
    x, first, last, _, before = focal
    m = np.minimum(k, last - first)
    low, high = np.maximum(first, before - m), np.minimum(before, last - m)
    top = len(score) - 1
    while (low < high).any():
        middle = (low + high) // 2
        moves = score[np.minimum(middle + m, top)] - x < x - score[np.minimum(middle, top)]
        moves &= low < high
        low = np.where(moves, middle + 1, low)
        high = np.where(moves | (low == high), high, middle)
    lo, hi = low, low + m
    reach = np.maximum(np.abs(x - score[lo]), np.abs(score[hi - 1] - x))
    _finish(score, slices, focal, lo, hi, reach)
    start[positions], stop[positions] = lo[owner], hi[owner]


def fill_weighted_windows(
    score: Float, slices: Slices, k: float, weight: Float, start: Index, stop: Index
) -> None:
    """Write windows whose donors weigh k, or hold all donors; one donor more in each step."""
    positions, owner, focal = _distinct(score, slices)
    x, first, last, _, before = focal
    lo, hi = before.copy(), before.copy()
    total, reach = np.zeros(len(x)), np.zeros(len(x))
    grows = np.flatnonzero(first < last)
    while len(grows):
        a, b, at = lo[grows], hi[grows], x[grows]
        left = at - score[np.maximum(a - 1, 0)]
        right = score[np.minimum(b, len(score) - 1)] - at
        goes_left = (b == last[grows]) | ((a > first[grows]) & (left <= right))
        lo[grows], hi[grows] = a - goes_left, b + ~goes_left
        total[grows] += weight[np.where(goes_left, a - 1, b)]
        reach[grows] = np.where(goes_left, left, right)
        wants = total[grows] < k - _FULL
        grows = grows[wants & ((lo[grows] > first[grows]) | (hi[grows] < last[grows]))]
    _finish(score, slices, focal, lo, hi, reach)
    start[positions], stop[positions] = lo[owner], hi[owner]


def _distinct(score: Float, slices: Slices) -> tuple[Int, Int, _Focal]:
    """Return the focal positions that have donors, whose distinct scores they have, and those."""
    positions, cell = slices.focal_rows()
    x = score[positions]
    is_new = np.ones(len(x), dtype=bool)
    is_new[1:] = (x[1:] != x[:-1]) | (cell[1:] != cell[:-1])
    x, cell = x[is_new], cell[is_new]
    first, last = slices.donor_first[cell], slices.donor_last[cell]
    before = _before(score, slices, x, cell, positions[is_new])
    return positions, np.cumsum(is_new) - 1, _Focal(x, first, last, cell, before)


def _runs(first: npt.NDArray[np.int64], size: npt.NDArray[np.int64]) -> Int:
    """Return the positions of runs, one run after the other."""
    shift = first - (np.cumsum(size) - size)
    return np.repeat(shift, size) + np.arange(int(size.sum()))


def _before(score: Float, slices: Slices, x: Float, cell: Int, first_of_own: Int) -> Int:
    """Return the first donor of each row's cell that is not below it, the end where there is none."""
    size = slices.donor_last - slices.donor_first
    if slices.focal_first is slices.donor_first:  # the own arm, where x is
        return first_of_own
    if len(size) == 1:
        part = score[slices.donor_first[0] : slices.donor_last[0]]
        return np.asarray(slices.donor_first[0] + np.searchsorted(part, x))
    keys = np.empty(
        int(size.sum()), np.complex128
    )  # complex numbers are ordered by cell, then score
    keys.real = np.repeat(np.arange(len(size)), size)
    keys.imag = score[_runs(slices.donor_first, size)]
    wanted = np.empty(len(x), np.complex128)
    wanted.real, wanted.imag = cell, x
    shift = slices.donor_first - (np.cumsum(size) - size)
    return np.asarray(np.searchsorted(keys, wanted) + shift[cell])


def _finish(score: Float, slices: Slices, focal: _Focal, lo: Int, hi: Int, reach: Float) -> None:
    """Take in all donors tied with the farthest, and leave out those beyond the caliper, in place."""
    x, first, last, cell, _ = focal
    limit, caliper = reach * reach + slices.tolerance[cell], slices.caliper[cell]
    left, right = x - score[np.maximum(lo - 1, 0)], score[np.minimum(hi, len(score) - 1)] - x
    is_tied = (lo > first) & (left * left <= limit) | (hi < last) & (right * right <= limit)
    if not is_tied.any() and not (reach > caliper).any():
        return
    run_start, run_stop = _equal_scores(score, slices)
    at = np.flatnonzero(lo > first)
    while len(at):
        gap = x[at] - score[lo[at] - 1]
        at = at[gap * gap <= limit[at]]
        lo[at] = run_start[lo[at] - 1]
        at = at[lo[at] > first[at]]
    at = np.flatnonzero(hi < last)
    while len(at):
        gap = score[hi[at]] - x[at]
        at = at[gap * gap <= limit[at]]
        hi[at] = run_stop[hi[at]]
        at = at[hi[at] < last[at]]
    far = np.flatnonzero(reach > caliper)
    at = far
    while len(at):
        at = at[~is_within(x[at], score[lo[at]], caliper[at])]
        lo[at] = np.minimum(run_stop[lo[at]], hi[at])
        at = at[lo[at] < hi[at]]
    at = far[lo[far] < hi[far]]
    while len(at):
        at = at[~is_within(x[at], score[hi[at] - 1], caliper[at])]
        hi[at] = np.maximum(run_start[hi[at] - 1], lo[at])
        at = at[lo[at] < hi[at]]


def _equal_scores(score: Float, slices: Slices) -> tuple[Int, Int]:
    """Return where the run of equal scores of each position begins and ends, slice by slice."""
    is_new = np.ones(len(score) + 1, dtype=bool)
    is_new[1:-1] = score[1:] != score[:-1]
    is_new[slices.donor_first], is_new[slices.donor_last] = True, True
    begins = np.flatnonzero(is_new)
    size = np.diff(begins)
    return np.repeat(begins[:-1], size), np.repeat(begins[1:], size)
