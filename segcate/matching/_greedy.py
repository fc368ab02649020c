"""Greedy matching without replacement on a sorted score, in linear time by union-find."""

from __future__ import annotations

import heapq

import numpy as np

from segcate._inputs.arrays import Float
from segcate._kernels import kernel
from segcate.matching._calipers import is_within_kernel as is_within
from segcate.matching._cell_order import Index

ORDERS = ("largest", "smallest", "data", "random", "closest")


def match_without_replacement(
    score: Float,
    rows: Index,
    bounds: np.ndarray,
    *,
    focal_arm: int,
    n_neighbors: int,
    caliper: Float,
    order: str,
    priority: Float | None = None,
) -> tuple[Index, Index, Index]:
    """Match each focal row with its nearest free donor, `n_neighbors` times round.

    Everybody gets a first match before anyone gets a second. Candidates are the nearest free donor on
    each side in the order (score, row) of the cell. The nearer one wins; of equally near ones the one
    fewer places away in that order, which counts all rows of both arms, taken ones too; of equally
    many places the left one. The caliper is inclusive.

    Parameters
    ----------
    score : float64 array of shape (n_positions,), ascending within each slice of `bounds`
    rows : int32 array of shape (n_positions,)
        Row in the data of each position: it breaks ties of the score.
    bounds : int64 array of shape (2 * n_cells + 1,)
    focal_arm : 0 or 1
    n_neighbors : int
    caliper : float64 array of shape (n_cells,), infinity for none
    order : one of ORDERS
        Who chooses first: "largest" or "smallest" score (ties by row), "data" row order, "random"
        (by `priority`), or "closest" (the nearest pair of all, again and again).
    priority : float64 array of shape (n_rows,), needed for "random"

    Returns
    -------
    start, stop : int32 arrays of shape (n_positions,)
        Run in `donors` that holds the matches of each focal position, in the order they were made.
    donors : int32 array
        Positions of matched donors, each at most once; -1 in places that stayed empty.
    """
    n, n_cells = len(score), len(caliper)
    bounds = np.ascontiguousarray(bounds)
    n_focal = int((bounds[focal_arm + 1 :: 2] - bounds[focal_arm:-1:2]).sum())
    start, stop = np.zeros(n, np.int32), np.zeros(n, np.int32)
    donors = np.full(n_focal * n_neighbors, -1, np.int32)
    before = np.empty(n, np.int32)
    left, right = np.empty((2, n + n_cells), np.int32)
    _prepare.for_rows(n)(
        score, rows, bounds, focal_arm, n_neighbors, before, left, right, start, stop
    )
    turns = (score, before, bounds, focal_arm, n_neighbors, caliper)
    found = (left, right, stop, donors)
    if order == "closest":
        _match_closest(*turns, rows, *found)
        return start, stop, donors
    visit = np.arange(n)
    if order == "largest":
        _visit_from_the_top.for_rows(n)(score, bounds, focal_arm, visit)
    elif order != "smallest":
        key = rows if priority is None else priority[rows]
        for first, last in zip(
            bounds[focal_arm:-1:2].tolist(), bounds[focal_arm + 1 :: 2].tolist(), strict=True
        ):
            visit[first:last] = first + np.argsort(key[first:last])
    with np.errstate(invalid="ignore"):  # infinite scores, which compiled code does not mention
        _match_in_turn.for_rows(n)(*turns, visit, *found)
    return start, stop, donors


@kernel
def _prepare(score, rows, bounds, arm, k, before, left, right, start, stop):  # type: ignore[no-untyped-def]
    """Count the rows of the other arm of the cell that come before each in the order (score, row).

    Write also where the matches of each focal row begin, and that all donors are free.
    """
    filled = 0
    for piece in range(len(bounds) - 1):
        other = piece + 1 - 2 * (piece % 2)
        first, last = bounds[other], bounds[other + 1]
        j = first
        for i in range(bounds[piece], bounds[piece + 1]):
            while j < last and (
                score[j] < score[i] or (score[j] == score[i] and rows[j] < rows[i])
            ):
                j += 1
            before[i] = j - first
            if piece % 2 == arm:
                start[i], stop[i] = filled, filled
                filled += k
        if piece % 2 == arm:
            for j in range(last - first + 1):
                left[first + piece // 2 + j], right[first + piece // 2 + j] = j, j


@kernel
def _visit_from_the_top(score, bounds, arm, visit):  # type: ignore[no-untyped-def]
    """Write the focal positions of each cell from the highest score on, ties in row order."""
    for c in range(len(bounds) // 2):
        first, end = bounds[2 * c + arm], bounds[2 * c + arm + 1]
        filled = first
        while end > first:  # runs of equal score
            begin = end - 1
            while begin > first and score[begin - 1] == score[begin]:
                begin -= 1
            for i in range(begin, end):
                visit[filled] = i
                filled += 1
            end = begin


@kernel
def _match_in_turn(  # type: ignore[no-untyped-def]
    score, before, bounds, arm, k, caliper, visit, left, right, stop, donors
):
    """Give each focal row in turn its nearest free donor.

    Within a cell donors are counted from 0. Following `left` from the place of a row leads to 1 more
    than the free donor below it (0: none), `right` to the free donor above it (their number: none).
    """
    for c in range(len(caliper)):
        f0, f1 = bounds[2 * c + arm], bounds[2 * c + arm + 1]
        d0, d1 = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        base, n = d0 + c, d1 - d0
        for turn in range(k * (f1 - f0)):
            i = visit[f0 + turn % (f1 - f0)]
            below = before[i]
            while left[base + below] != below:
                left[base + below] = left[base + left[base + below]]
                below = left[base + below]
            below -= 1
            above = before[i]
            while right[base + above] != above:
                right[base + above] = right[base + right[base + above]]
                above = right[base + above]
            j = below
            if above < n:
                j = above
                if below >= 0:
                    to_below = abs(score[i] - score[d0 + below])
                    to_above = abs(score[i] - score[d0 + above])
                    if to_below == to_above:  # places away in the order of both arms
                        own = i - f0 + before[i]
                        to_below = own - before[d0 + below] - below
                        to_above = before[d0 + above] + above - own
                    if to_below <= to_above:
                        j = below
            if j >= 0 and abs(score[i] - score[d0 + j]) <= caliper[c]:  # as `is_within`
                left[base + j + 1], right[base + j] = j, j + 1
                donors[stop[i]] = d0 + j
                stop[i] += 1


# Kernels of order="closest", which keep a heap and are no leaves.


@kernel
def _root(parent, base, j):  # type: ignore[no-untyped-def]
    while parent[base + j] != j:
        parent[base + j] = parent[base + parent[base + j]]
        j = parent[base + j]
    return j


@kernel
def _nearest_free(score, before, i, f0, d0, base, n, left, right):  # type: ignore[no-untyped-def]
    """Return the free donor that the focal row at position i takes, -1 for none: as in turn."""
    below = _root(left, base, before[i]) - 1
    above = _root(right, base, before[i])
    if above == n:
        return below
    if below < 0:
        return above
    to_below, to_above = abs(score[i] - score[d0 + below]), abs(score[i] - score[d0 + above])
    if to_below != to_above:
        return below if to_below < to_above else above
    own = i - f0 + before[i]
    is_left = own - before[d0 + below] - below <= before[d0 + above] + above - own
    return below if is_left else above


@kernel
def _match_closest(  # type: ignore[no-untyped-def]
    score, before, bounds, arm, k, caliper, rows, left, right, stop, donors
):
    """Make the nearest pair of all, then the next; a heap holds each row's best distance so far."""
    for c in range(len(caliper)):
        f0, f1 = bounds[2 * c + arm], bounds[2 * c + arm + 1]
        d0, d1 = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        base, n = d0 + c, d1 - d0
        for _ in range(k):
            heap = [(0.0, np.int64(0), np.int64(0)) for _ in range(0)]
            for i in range(f0, f1):
                j = _nearest_free(score, before, i, f0, d0, base, n, left, right)
                if j >= 0:
                    heap.append((abs(score[i] - score[d0 + j]), np.int64(rows[i]), np.int64(i)))
            heapq.heapify(heap)
            while len(heap) > 0:
                distance, row, i = heapq.heappop(heap)  # type: ignore[assignment]
                j = _nearest_free(score, before, i, f0, d0, base, n, left, right)
                if j < 0:
                    continue
                now = abs(score[i] - score[d0 + j])
                if now > distance:
                    heapq.heappush(heap, (now, row, i))  # type: ignore[misc]
                elif is_within(score[i], score[d0 + j], caliper[c]):
                    left[base + j + 1], right[base + j] = j, j + 1
                    donors[stop[i]] = d0 + j
                    stop[i] += 1
