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
    n = len(score)
    n_focal = int((bounds[focal_arm + 1 :: 2] - bounds[focal_arm:-1:2]).sum())
    start = np.zeros(n, np.int32)
    stop = np.zeros(n, np.int32)
    donors = np.full(n_focal * n_neighbors, -1, np.int32)
    keys = np.empty(0) if priority is None else priority[rows]
    _match_cells(
        score,
        rows,
        bounds,
        focal_arm,
        n_neighbors,
        caliper,
        ORDERS.index(order),
        keys,
        start,
        stop,
        donors,
    )
    return start, stop, donors


@kernel
def _match_cells(score, rows, bounds, arm, k, caliper, order, keys, start, stop, donors):  # type: ignore[no-untyped-def]
    filled = 0
    for c in range(len(caliper)):
        f0, f1 = bounds[2 * c + arm], bounds[2 * c + arm + 1]
        d0, d1 = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        for i in range(f0, f1):
            start[i] = filled + (i - f0) * k
            stop[i] = start[i]
        filled += (f1 - f0) * k
        if f0 == f1 or d0 == d1:
            continue
        place = _places(score, rows, f0, f1, d0, d1)
        rank = _ranks(score, rows, f0, f1, d0, d1)
        left = np.arange(d1 - d0 + 1, dtype=np.int32)  # 0 is "none free"; donor j stands at j + 1
        right = np.arange(d1 - d0 + 1, dtype=np.int32)  # d1 - d0 is "none free"
        if order == 4:
            _match_closest(
                score, rows, f0, f1, d0, k, caliper[c], place, rank, left, right, stop, donors
            )
            continue
        visit = _visits(score, rows, f0, f1, order, keys)
        for _ in range(k):
            for i in visit:
                j = _nearest_free(score, i, f0, d0, place, rank, left, right)
                if j >= 0 and is_within(score[i], score[d0 + j], caliper[c]):
                    _take(j, left, right)
                    donors[stop[i]] = d0 + j
                    stop[i] += 1


@kernel
def _places(score, rows, f0, f1, d0, d1):  # type: ignore[no-untyped-def]
    """Count the donors that come before each focal row in the order (score, row)."""
    place = np.empty(f1 - f0, np.int32)
    j = d0
    for i in range(f0, f1):
        while j < d1 and (score[j] < score[i] or (score[j] == score[i] and rows[j] < rows[i])):
            j += 1
        place[i - f0] = j - d0
    return place


@kernel
def _ranks(score, rows, f0, f1, d0, d1):  # type: ignore[no-untyped-def]
    """Return the place of each donor in the order (score, row) of both arms."""
    rank = _places(score, rows, d0, d1, f0, f1)
    for j in range(d1 - d0):
        rank[j] += j
    return rank


@kernel
def _visits(score, rows, f0, f1, order, keys):  # type: ignore[no-untyped-def]
    """Positions of the focal rows in the order they choose."""
    n = f1 - f0
    if order == 1:
        return np.arange(f0, f1)
    if order == 2:
        return f0 + np.argsort(rows[f0:f1])
    if order == 3:
        return f0 + np.argsort(keys[f0:f1])
    visit = np.empty(n, np.int64)
    filled, end = 0, f1
    while end > f0:  # runs of equal score from the top, each in row order
        begin = end - 1
        while begin > f0 and score[begin - 1] == score[begin]:
            begin -= 1
        for i in range(begin, end):
            visit[filled] = i
            filled += 1
        end = begin
    return visit


@kernel
def _root(parent, j):  # type: ignore[no-untyped-def]
    while parent[j] != j:
        parent[j] = parent[parent[j]]
        j = parent[j]
    return j


@kernel
def _nearest_free(score, i, f0, d0, place, rank, left, right):  # type: ignore[no-untyped-def]
    """Return the free donor that the focal row at position i takes, -1 for none."""
    before = place[i - f0]  # donors that come before it
    below = _root(left, before) - 1
    above = _root(right, before)
    if above == len(right) - 1:
        return below
    if below < 0:
        return above
    to_below, to_above = abs(score[i] - score[d0 + below]), abs(score[i] - score[d0 + above])
    if to_below != to_above:
        return below if to_below < to_above else above
    own = i - f0 + before
    return below if own - rank[below] <= rank[above] - own else above


@kernel
def _take(j, left, right):  # type: ignore[no-untyped-def]
    left[j + 1] = j
    right[j] = j + 1


@kernel
def _match_closest(  # type: ignore[no-untyped-def]
    score, rows, f0, f1, d0, k, caliper, place, rank, left, right, stop, donors
):
    """Make the nearest pair of all, then the next; a heap holds each row's best distance so far."""
    for _ in range(k):
        heap = [(0.0, np.int64(0), np.int64(0)) for _ in range(0)]
        for i in range(f0, f1):
            j = _nearest_free(score, i, f0, d0, place, rank, left, right)
            if j >= 0:
                heap.append((abs(score[i] - score[d0 + j]), np.int64(rows[i]), np.int64(i)))
        heapq.heapify(heap)
        while len(heap) > 0:
            distance, row, i = heapq.heappop(heap)  # type: ignore[assignment]
            j = _nearest_free(score, i, f0, d0, place, rank, left, right)
            if j < 0:
                continue
            now = abs(score[i] - score[d0 + j])
            if now > distance:
                heapq.heappush(heap, (now, row, i))  # type: ignore[misc]
            elif is_within(score[i], score[d0 + j], caliper):
                _take(j, left, right)
                donors[stop[i]] = d0 + j
                stop[i] += 1
