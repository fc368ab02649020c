"""Nearest neighbours among points of several coordinates, by a tree of boxes.

Kernels work at sorted positions, as those of `_nearest`: rows of a cell and arm stand together, and
rows of one point next to each other, so that they share one matched set and sets take no more memory
than there are different points. A set lists its members, `members[start:stop]`.

Where rows may differ by a caliper at most, the score stands in the last column of `points`, behind
the `n_coordinates` that make the distance.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._kernels import kernel
from segcate.matching._calipers import is_within_kernel as is_within

Index = npt.NDArray[np.int32]
Bounds = npt.NDArray[np.int64]

# Rows in a box that is not cut any further.
_LEAF = 16
# More than the boxes that ever wait to be looked at: two for each halving of the rows.
_DEEPEST = 128
# In place of the box of a row that is not free.
_TAKEN = -1
# Weights that add up to the places wanted but for rounding fill them.
_FULL = 1e-9


def match_points(
    points: Float,
    n_coordinates: int,
    bounds: Bounds,
    *,
    focal_arms: tuple[bool, bool],
    n_neighbors: int,
    caliper: Float,
    tie_tolerance: Float,
    weight: Float | None = None,
) -> tuple[Index, Index, Index]:
    """Match each focal row with its nearest donors of the other arm; donors may serve many times.

    Parameters
    ----------
    points : float64 array of shape (n_positions, n_coordinates or one more)
    n_coordinates : how many columns make the distance
    bounds : int64 array of shape (2 * n_cells + 1,)
    focal_arms : whether controls, and whether treated, look for matches
    n_neighbors : int
        Nearest donors wanted among those within the caliper; all tied with the last are kept.
    caliper : float64 array of shape (n_cells,), infinity for none
    tie_tolerance : float64 array of shape (n_cells,)
        Donors whose squared distance exceeds that of the last neighbour by at most this are tied.
    weight : float64 array of shape (n_positions,), default=None
        Places that a row fills.

    Returns
    -------
    start, stop, members : int32 arrays
        The set of position i is ``members[start[i]:stop[i]]``, ascending.
    """
    places = np.ones(len(points)) if weight is None else weight
    arms = np.array(focal_arms)
    found: tuple[Index, Index, Index] = _nearest_sets(
        points, n_coordinates, bounds, arms, 1, n_neighbors, caliper, tie_tolerance, places
    )
    return found


def same_arm_points(
    points: Float, bounds: Bounds, n_others: int, tie_tolerance: Float, arms: tuple[bool, bool]
) -> tuple[Index, Index, Index]:
    """Find each row's set in its own arm: itself, its `n_others` nearest others, and all ties.

    Rows of an arm that `arms` leaves out get an empty set.
    """
    caliper = np.full(len(tie_tolerance), np.inf)
    found: tuple[Index, Index, Index] = _nearest_sets(
        points, points.shape[1], bounds, np.array(arms), 0, n_others + 1, caliper, tie_tolerance,
        np.ones(len(points)),
    )  # fmt: skip
    return found


def match_points_without_replacement(
    points: Float,
    n_coordinates: int,
    rows: Index,
    bounds: Bounds,
    *,
    focal_arm: int,
    n_neighbors: int,
    caliper: Float,
    tie_tolerance: Float,
    turns: npt.NDArray[np.intp] | None,
) -> tuple[Index, Index, Index]:
    """Match each focal row with its nearest free donor, `n_neighbors` times round.

    Everybody gets a first match before anyone gets a second. Of donors at the same distance the one
    that comes first in the data is taken.

    Parameters
    ----------
    points, n_coordinates, bounds, n_neighbors, caliper, tie_tolerance : as in `match_points`
    rows : int32 array of shape (n_positions,), row in the data of each position
    focal_arm : 0 or 1
    turns : intp array of shape (n_positions,), or None
        Positions in the order in which their rows choose; None makes the nearest pair of all, again
        and again.

    Returns
    -------
    start, stop, donors : int32 arrays, as from `match_without_replacement`
    """
    found: tuple[Index, Index, Index] = _greedy_sets(
        points, n_coordinates, rows, bounds, focal_arm, n_neighbors, caliper, tie_tolerance,
        np.empty(0, np.intp) if turns is None else turns,
    )  # fmt: skip
    return found


@kernel
def _nearest_sets(points, n_coordinates, bounds, arms, shift, k, caliper, tolerance, weight):  # type: ignore[no-untyped-def]
    """Find sets among the other arm (shift 1) or the own arm (shift 0)."""
    start = np.zeros(len(points), np.int32)
    stop = np.zeros(len(points), np.int32)
    members = np.empty(max(len(points), 16), np.int32)
    filled = 0
    for c in range(len(caliper)):
        for arm in range(2):
            donor_arm = arm if shift == 0 else 1 - arm
            first, last = bounds[2 * c + donor_arm], bounds[2 * c + donor_arm + 1]
            begin, end = bounds[2 * c + arm], bounds[2 * c + arm + 1]
            if not arms[arm] or first == last or begin == end:
                continue
            tree = _build(points, first, last)
            for i in range(begin, end):
                if i > begin and _is_same(points, i, i - 1):
                    start[i], stop[i] = start[i - 1], stop[i - 1]
                    continue
                reach = _reach(tree, points, n_coordinates, i, k, caliper[c], weight)
                start[i] = filled
                members, filled = _collect(
                    tree,
                    points,
                    n_coordinates,
                    i,
                    reach + tolerance[c],
                    caliper[c],
                    members,
                    filled,
                )
                stop[i] = filled
                members[start[i] : filled].sort()
    return start, stop, members[:filled].copy()


@kernel
def _is_same(points, i, j):  # type: ignore[no-untyped-def]
    for k in range(points.shape[1]):  # noqa: SIM110
        if points[i, k] != points[j, k]:
            return False
    return True


@kernel
def _build(points, begin, end):  # type: ignore[no-untyped-def]
    """Cut the positions begin:end into boxes; the children of box b are 2b + 1 and 2b + 2.

    Returns the positions by box, where each box begins and ends among them, its lowest and highest
    coordinates, how many of its rows are free, and the smallest box of each position.
    """
    n = end - begin
    depth = 0
    while (n >> depth) > _LEAF:
        depth += 1
    n_boxes = 2 ** (depth + 1) - 1
    order = np.arange(begin, end)
    first = np.zeros(n_boxes, np.int64)
    last = np.zeros(n_boxes, np.int64)
    low = np.full((n_boxes, points.shape[1]), np.inf)
    high = np.full((n_boxes, points.shape[1]), -np.inf)
    box_of = np.empty(n, np.int64)
    last[0] = n
    for b in range(n_boxes):
        for at in range(first[b], last[b]):
            box_of[order[at] - begin] = b
            for k in range(points.shape[1]):
                low[b, k] = min(low[b, k], points[order[at], k])
                high[b, k] = max(high[b, k], points[order[at], k])
        if 2 * b + 1 < n_boxes:
            widest = np.argmax(high[b] - low[b])
            inside = order[first[b] : last[b]]
            order[first[b] : last[b]] = inside[np.argsort(points[:, widest][inside])]
            middle = (first[b] + last[b]) // 2
            first[2 * b + 1], last[2 * b + 1] = first[b], middle
            first[2 * b + 2], last[2 * b + 2] = middle, last[b]
    return order, first, last, low, high, last - first, box_of, begin


@kernel
def _take(tree, j):  # type: ignore[no-untyped-def]
    """Position j is no longer free."""
    free, box_of, begin = tree[5], tree[6], tree[7]
    b = box_of[j - begin]
    box_of[j - begin] = _TAKEN
    free[b] -= 1
    while b > 0:
        b = (b - 1) // 2
        free[b] -= 1


@kernel
def _to_box(tree, points, n_coordinates, i, b, caliper):  # type: ignore[no-untyped-def]
    """Squared distance of a position to a box; infinite where no row in it is free or within the caliper."""
    low, high, free = tree[3], tree[4], tree[5]
    if free[b] == 0:
        return np.inf
    total = 0.0
    for k in range(n_coordinates):
        gap = max(low[b, k] - points[i, k], points[i, k] - high[b, k])
        if gap > 0:
            total += gap * gap
    if points.shape[1] > n_coordinates:
        x = points[i, n_coordinates]
        nearest = min(max(x, low[b, n_coordinates]), high[b, n_coordinates])
        if not is_within(x, nearest, caliper):
            return np.inf
    return total


@kernel
def _to_row(tree, points, n_coordinates, i, j, caliper):  # type: ignore[no-untyped-def]
    """Squared distance between two positions; infinite if j is taken or beyond the caliper."""
    if tree[6][j - tree[7]] == _TAKEN:
        return np.inf
    if points.shape[1] > n_coordinates and not is_within(
        points[i, n_coordinates], points[j, n_coordinates], caliper
    ):
        return np.inf
    total = 0.0
    for k in range(n_coordinates):
        gap = points[i, k] - points[j, k]
        total += gap * gap
    return total


@kernel
def _reach(tree, points, n_coordinates, i, k, caliper, weight):  # type: ignore[no-untyped-def]
    """Squared distance within which the nearest rows weigh k; of the farthest if all weigh less."""
    order, first, last = tree[0], tree[1], tree[2]
    near = np.empty(k + 1)  # squared distances, ascending, and what weighs how much
    mass = np.empty(k + 1)
    size, total, limit = 0, 0.0, np.inf
    boxes, away = np.zeros(_DEEPEST, np.int64), np.zeros(_DEEPEST)
    height = 1
    while height > 0:
        height -= 1
        b = boxes[height]
        if away[height] >= limit:
            continue
        child = 2 * b + 1
        if child < len(first):
            left = _to_box(tree, points, n_coordinates, i, child, caliper)
            right = _to_box(tree, points, n_coordinates, i, child + 1, caliper)
            nearer = child if left <= right else child + 1
            boxes[height], away[height] = 2 * child + 1 - nearer, max(left, right)
            boxes[height + 1], away[height + 1] = nearer, min(left, right)
            height += 2
            continue
        for at in range(first[b], last[b]):
            distance = _to_row(tree, points, n_coordinates, i, order[at], caliper)
            if distance >= limit:
                continue
            if size == len(near):
                near = np.append(near, np.empty(size))
                mass = np.append(mass, np.empty(size))
            place = size
            while place > 0 and near[place - 1] > distance:
                near[place], mass[place] = near[place - 1], mass[place - 1]
                place -= 1
            near[place], mass[place] = distance, weight[order[at]]
            total += weight[order[at]]
            size += 1
            while size > 1 and total - mass[size - 1] >= k - _FULL:
                size -= 1
                total -= mass[size]
            if total >= k - _FULL:
                limit = near[size - 1]
    return near[size - 1] if size > 0 else -np.inf


@kernel
def _collect(tree, points, n_coordinates, i, limit, caliper, members, filled):  # type: ignore[no-untyped-def]
    """Append all free positions within a squared distance."""
    order, first, last = tree[0], tree[1], tree[2]
    boxes = np.zeros(_DEEPEST, np.int64)
    height = 1
    while height > 0:
        height -= 1
        b = boxes[height]
        if _to_box(tree, points, n_coordinates, i, b, caliper) > limit:
            continue
        if 2 * b + 1 < len(first):
            boxes[height], boxes[height + 1] = 2 * b + 1, 2 * b + 2
            height += 2
            continue
        for at in range(first[b], last[b]):
            if _to_row(tree, points, n_coordinates, i, order[at], caliper) <= limit:
                if filled == len(members):
                    members = np.append(members, np.empty(filled, np.int32))
                members[filled] = order[at]
                filled += 1
    return members, filled


@kernel
def _greedy_sets(  # type: ignore[no-untyped-def]
    points, n_coordinates, rows, bounds, arm, k, caliper, tolerance, turns
):
    start = np.zeros(len(points), np.int32)
    stop = np.zeros(len(points), np.int32)
    n_focal = 0
    for c in range(len(caliper)):
        n_focal += bounds[2 * c + arm + 1] - bounds[2 * c + arm]
    donors = np.full(n_focal * k, -1, np.int32)
    visits = _turns_by_cell(turns, bounds)
    weight = np.ones(len(points))
    filled = 0
    for c in range(len(caliper)):
        begin, end = bounds[2 * c + arm], bounds[2 * c + arm + 1]
        first, last = bounds[2 * c + 1 - arm], bounds[2 * c + 2 - arm]
        for i in range(begin, end):
            start[i] = filled + (i - begin) * k
            stop[i] = start[i]
        filled += (end - begin) * k
        if begin == end or first == last:
            continue
        tree = _build(points, first, last)
        query = (points, n_coordinates, rows, caliper[c], tolerance[c], weight)
        for _ in range(k):
            if len(turns) == 0:
                _take_closest(tree, query, begin, end, stop, donors)
                continue
            for i in visits[begin:end]:
                _take_nearest(tree, query, i, _free_distance(tree, query, i), stop, donors)
    return start, stop, donors


@kernel
def _turns_by_cell(turns, bounds):  # type: ignore[no-untyped-def]
    """Put the turns of each cell and arm together, in their order."""
    slice_of = np.empty(bounds[-1], np.int64)
    for b in range(len(bounds) - 1):
        slice_of[bounds[b] : bounds[b + 1]] = b
    at = bounds[:-1].copy()
    out = np.empty(len(turns), np.int64)
    for i in turns:
        out[at[slice_of[i]]] = i
        at[slice_of[i]] += 1
    return out


@kernel
def _free_distance(tree, query, i):  # type: ignore[no-untyped-def]
    """Squared distance to the nearest free row; minus infinity where there is none."""
    points, n_coordinates, _, caliper, _, weight = query
    return _reach(tree, points, n_coordinates, i, 1, caliper, weight)


@kernel
def _take_nearest(tree, query, i, distance, stop, donors):  # type: ignore[no-untyped-def]
    """Give position i the free row at a distance, of those tied the one of lowest row; if there is one."""
    if distance < 0:
        return
    points, n_coordinates, rows, caliper, tolerance, _ = query
    tied, n_tied = _collect(
        tree, points, n_coordinates, i, distance + tolerance, caliper, np.empty(4, np.int32), 0
    )
    best = tied[0]
    for j in tied[1:n_tied]:
        if rows[j] < rows[best]:
            best = j
    _take(tree, best)
    donors[stop[i]] = best
    stop[i] += 1


@kernel
def _take_closest(tree, query, begin, end, stop, donors):  # type: ignore[no-untyped-def]
    """Make the nearest pair of all, then the next; a heap holds each row's best distance so far."""
    rows = query[2]
    heap = [(0.0, np.int64(0), np.int64(0)) for _ in range(0)]
    for i in range(begin, end):
        distance = _free_distance(tree, query, i)
        if distance >= 0:
            heap.append((distance, np.int64(rows[i]), np.int64(i)))
    heapq.heapify(heap)
    while len(heap) > 0:
        distance, row, i = heapq.heappop(heap)  # type: ignore[assignment]
        now = _free_distance(tree, query, i)
        if now > distance:
            heapq.heappush(heap, (now, row, i))  # type: ignore[misc]
        else:
            _take_nearest(tree, query, i, now, stop, donors)
