"""From sorted rows to matched sets: by score or by points, with replacement or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate.matching._greedy import match_without_replacement
from segcate.matching._near_points import match_points, match_points_without_replacement
from segcate.matching._nearest import match_with_replacement
from segcate.matching._options import MatchingOptions, neighbors_for
from segcate.matching._support import FOCAL_ARMS

Index = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PositionedRows:
    """Rows in sorted order: by cell, controls before treated, ascending score or point.

    Attributes
    ----------
    score : float64 array of shape (n_positions,)
    points : float64 array of shape (n_positions, n_coordinates); None to match on the score
    order : int32 array of shape (n_positions,), row in the data
    bounds : int64 array of shape (2 * n_cells + 1,)
    caliper, tie_tolerance : float64 arrays of shape (n_cells,)
    places : float64 array of shape (n_positions,), None where every row fills one place
    """

    score: Float
    points: Float | None
    order: Index
    bounds: npt.NDArray[np.int64]
    caliper: Float
    tie_tolerance: Float
    places: Float | None

    @property
    def sorted_score(self) -> Float:
        """Scores, ascending within each cell and arm."""
        if self.points is None:
            return self.score
        return np.concatenate([np.sort(part) for part in np.split(self.score, self.bounds[1:-1])])


def point_ranks(points: Float, score: Float) -> Float:
    """Rank the rows by point, then score: rows that agree in both have one rank."""
    columns = np.column_stack([points, score])
    order = np.lexsort(columns.T[::-1])
    is_new = np.append(False, (np.diff(columns[order], axis=0) != 0).any(axis=1))
    ranks = np.empty(len(order))
    ranks[order] = np.cumsum(is_new)
    return ranks


def matched_sets(
    rows: PositionedRows, options: MatchingOptions
) -> tuple[Index, Index, Index | None]:
    """Return `start`, `stop` and `donors` as `MatchedSample` keeps them."""
    if rows.points is not None:
        return _sets_of_points(rows, rows.points, options)
    focal_arms = FOCAL_ARMS[options.estimand]
    if options.n_neighbors is None:
        return *_wide_windows(rows, focal_arms), None
    if options.replacement:
        start, stop = match_with_replacement(
            rows.score,
            rows.bounds,
            focal_arms=focal_arms,
            n_neighbors=options.n_neighbors,
            caliper=rows.caliper,
            tie_tolerance=rows.tie_tolerance,
            weight=rows.places,
        )
        return start, stop, None
    return match_without_replacement(
        rows.score,
        rows.order,
        rows.bounds,
        focal_arm=focal_arms.index(True),
        n_neighbors=options.n_neighbors,
        caliper=rows.caliper,
        order=options.order,
        priority=options.priority,
    )


def _wide_windows(rows: PositionedRows, focal_arms: tuple[bool, bool]) -> tuple[Index, Index]:
    """Match within each cell and arm with as many neighbours as its number of donors says."""
    start, stop = np.zeros(len(rows.score), np.int32), np.zeros(len(rows.score), np.int32)
    for cell, arm in np.ndindex(len(rows.caliper), 2):
        first, middle, last = rows.bounds[2 * cell : 2 * cell + 3].tolist()
        donors, focal = slice(first, middle), slice(middle, last)
        if arm == 0:
            donors, focal = focal, donors
        if not focal_arms[arm] or donors.start == donors.stop:
            continue
        places = None if rows.places is None else rows.places[first:last]
        n_donors = donors.stop - donors.start if rows.places is None else rows.places[donors].sum()
        low, high = match_with_replacement(
            rows.score[first:last],
            np.array([0, middle - first, last - first]),
            focal_arms=(arm == 0, arm == 1),
            n_neighbors=neighbors_for(n_donors),
            caliper=rows.caliper[cell : cell + 1],
            tie_tolerance=rows.tie_tolerance[cell : cell + 1],
            weight=places,
        )
        here = slice(focal.start - first, focal.stop - first)
        is_empty = low[here] == high[here]
        start[focal] = np.where(is_empty, 0, low[here] + first)
        stop[focal] = np.where(is_empty, 0, high[here] + first)
    return start, stop


def _sets_of_points(
    rows: PositionedRows, points: Float, options: MatchingOptions
) -> tuple[Index, Index, Index]:
    focal_arms = FOCAL_ARMS[options.estimand]
    if options.n_neighbors is None:
        raise ValueError("the number of neighbours in space must be given")
    n_coordinates = points.shape[1]
    if options.caliper is not None:
        points = np.column_stack([points, rows.score])
    if options.replacement:
        return match_points(
            points,
            n_coordinates,
            rows.bounds,
            focal_arms=focal_arms,
            n_neighbors=options.n_neighbors,
            caliper=rows.caliper,
            tie_tolerance=rows.tie_tolerance,
            weight=rows.places,
        )
    return match_points_without_replacement(
        points,
        n_coordinates,
        rows.order,
        rows.bounds,
        focal_arm=focal_arms.index(True),
        n_neighbors=options.n_neighbors,
        caliper=rows.caliper,
        tie_tolerance=rows.tie_tolerance,
        turns=_turns(rows, options),
    )


def _turns(rows: PositionedRows, options: MatchingOptions) -> npt.NDArray[np.intp] | None:
    """Return the positions in the order in which their rows choose; None for the nearest pair first."""
    if options.order == "closest":
        return None
    if options.order == "data":
        return np.argsort(rows.order)
    if options.priority is not None:
        return np.argsort(options.priority[rows.order])
    sign = -1.0 if options.order == "largest" else 1.0
    return np.lexsort((rows.order, sign * rows.score))
