"""What matching returns: who is matched with whom, how often, and who is not and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate.matching._calipers import REASONS, RowStatus

if TYPE_CHECKING:
    import pandas as pd

# A list of as many pairs takes about 2 GB while it is made.
MOST_PAIRS = 20_000_000

Index = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class MatchedSample:
    """Matched sets of rows.

    The rows that took part stand in sorted order: by cell (segment and exact columns), controls
    before treated, ascending score or point. The matched set of the focal row at position i is
    ``donors[start[i]:stop[i]]``, or the positions ``start[i]:stop[i]`` themselves when `donors` is
    None, as with replacement.

    Attributes
    ----------
    order : int32 array of shape (n_positions,)
        Row of X at each position.
    bounds : int64 array of shape (2 * n_cells + 1,)
        Where the controls and the treated of each cell begin.
    cell_segment : intp array of shape (n_cells,)
        Segment code of each cell; cells of a segment stand together.
    score : float64 array of shape (n_positions,), or None
        The score on the matcher's `score_scale`: what was matched on unless there are `points`, and
        what the caliper limits. None where the design needs no score.
    start, stop : int32 arrays of shape (n_positions,)
        Matched set of each focal position.
    donors : int32 array or None
        Positions that `start` and `stop` point into.
    uses, squared_uses : float64 arrays of shape (n_positions,)
        How often each position serves as a match: K, the sum of its shares in the matched sets, and
        the sum of the squared shares.
    status : int8 array of shape (n_rows,)
        Index into `reasons` for every row of X.
    n_neighbors : int
    replacement : bool
    caliper : float64 array of shape (n_segments,)
        Caliper of each segment in units of `score`; infinite for none.
    tie_tolerance : float64 array of shape (n_cells,)
        Squared distance by which neighbours may differ and still be tied; 0 for a score.
    sample_weight : float64 array of shape (n_positions,) or None
    ids : array of shape (n_rows,) or None
        Index labels of X, None when rows are simply numbered.
    level_names : tuple of str
        Categories that have a level without a donor row; the last reasons name them.
    points : float64 array of shape (n_positions, n_coordinates), or None
        Where rows lie, if they were matched on more than a score: their distance is Euclidean.
    """

    order: Index
    bounds: npt.NDArray[np.int64]
    cell_segment: npt.NDArray[np.intp]
    score: Float | None
    start: Index
    stop: Index
    donors: Index | None
    uses: Float
    squared_uses: Float
    status: npt.NDArray[np.int8]
    n_neighbors: int
    replacement: bool
    caliper: Float
    tie_tolerance: Float
    sample_weight: Float | None = None
    ids: npt.NDArray[Any] | None = None
    level_names: tuple[str, ...] = ()
    points: Float | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """List what the codes of `status` mean."""
        return (
            *REASONS[: RowStatus.NO_LEVEL],
            *(f"no donor in level of {name}" for name in self.level_names),
        )

    @property
    def unmatched_reason(self) -> npt.NDArray[np.object_]:
        """Why each row of X that looked for a match found none; "" for all other rows."""
        texts = np.array(self.reasons, dtype=object)
        texts[: RowStatus.OUTSIDE_SUPPORT] = ""
        return np.asarray(texts[self.status])

    @property
    def n_rows(self) -> int:
        """Count the rows of X, matched or not."""
        return len(self.status)

    @property
    def is_matched(self) -> npt.NDArray[np.bool_]:
        """Mark the focal positions that found a match."""
        return self.stop > self.start

    @property
    def weights(self) -> Float:
        """Weight of every row of X in the matched sample.

        A matched focal row counts its sample weight (1 without weights) and a donor the sum of its
        shares; rows outside the matched sample have weight 0. Within an arm the weights sum to the
        number (or weight) of matched focal rows.
        """
        out = np.zeros(self.n_rows)
        out[self.order] = self.sorted_weights
        return out

    @property
    def sorted_weights(self) -> Float:
        """Weight of every position in the matched sample."""
        own = self.is_matched.astype(np.float64)
        if self.sample_weight is not None:
            own *= self.sample_weight
        own += self.uses
        return own

    def segment_slice(self, segment: int) -> slice:
        """Return the positions of a segment."""
        cells = np.flatnonzero(self.cell_segment == segment)
        if len(cells) == 0:
            return slice(0, 0)
        return slice(int(self.bounds[2 * cells[0]]), int(self.bounds[2 * cells[-1] + 2]))

    @property
    def n_pairs(self) -> int:
        """Count the matched pairs without listing them."""
        return int((self.stop - self.start).sum(dtype=np.int64))

    @property
    def pairs(self) -> pd.DataFrame:
        """List every matched pair, up to 20 million.

        One row a pair: `segment` (code), `focal` and `match` (rows of X, or its index labels), `rank`
        (0 for the nearest), `distance` (of scores, or of points) and `weight` (share of the match in
        its set). Where scores are equal, as with few discrete covariates, all ties are pairs:
        `n_pairs` counts them, and `weights` holds what they come to.
        """
        import pandas as pd

        if self.n_pairs > MOST_PAIRS:
            raise ValueError(
                f"MatchedSample: `pairs` would list {self.n_pairs:,} pairs of {self.n_rows:,} rows (rows with equal "
                f"scores are all matched); it lists at most {MOST_PAIRS:,}. Use `weights`, `uses` and `distances()`, "
                "which need no list, or match without replacement (PropensityMatcher(replacement=False))."
            )
        size = self.stop - self.start
        focal = np.repeat(np.arange(len(size)), size)
        offset = np.arange(len(focal)) - np.repeat(np.cumsum(size) - size, size)
        at = self.start[focal] + offset
        match = at if self.donors is None else self.donors[at]
        distance = self.distance_between(focal, match)
        mass = np.ones(len(match)) if self.sample_weight is None else self.sample_weight[match]
        total = np.bincount(focal, mass, len(size))
        cell = np.searchsorted(self.bounds[::2], focal, side="right") - 1
        names = np.arange(self.n_rows) if self.ids is None else self.ids
        frame = pd.DataFrame(
            {
                "segment": self.cell_segment[cell],
                "focal": names[self.order[focal]],
                "match": names[self.order[match]],
                "distance": distance,
                "weight": mass / total[focal],
                "_focal_row": self.order[focal],
                "_match_row": self.order[match],
            }
        ).sort_values(["_focal_row", "distance", "_match_row"], kind="stable", ignore_index=True)
        frame.insert(3, "rank", frame.groupby("_focal_row").cumcount())
        return frame.drop(columns=["_focal_row", "_match_row"])

    @property
    def unmatched(self) -> pd.DataFrame:
        """List the rows that looked for a match in vain (`row`, `reason`), and the rows left out."""
        import pandas as pd

        rows, reasons = np.flatnonzero(self.status >= RowStatus.OUTSIDE_SUPPORT), self.reasons
        names = np.arange(self.n_rows) if self.ids is None else self.ids
        return pd.DataFrame(
            {"row": names[rows], "reason": [reasons[code] for code in self.status[rows]]}
        )

    def distance_between(self, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Float:
        """Return the distances between positions, one by one."""
        return position_distances(self.score, self.points, one, other)

    def distances(self) -> Float:
        """Return the distance of each focal position to the farthest of its matches, NaN for none."""
        return farthest_matches(self.score, self.points, self.start, self.stop, self.donors)


def position_distances(
    score: Float | None, points: Float | None, one: npt.NDArray[Any], other: npt.NDArray[Any]
) -> Float:
    """Return the distances between positions: of their points, or of their scores without points."""
    if points is not None:
        return np.asarray(np.sqrt(((points[one] - points[other]) ** 2).sum(axis=1)))
    if score is None:
        raise ValueError("rows have neither points nor scores")
    return np.asarray(np.abs(score[one] - score[other]))


def farthest_matches(
    score: Float | None, points: Float | None, start: Index, stop: Index, donors: Index | None
) -> Float:
    """Return the distance of each position to the farthest row of its set, NaN for an empty set."""
    out = np.full(len(start), np.nan)
    if donors is None:  # the ends of a window lie farthest
        at = np.flatnonzero(stop > start)
        ends = (start[at], stop[at] - 1)
        out[at] = np.maximum(*(position_distances(score, points, at, end) for end in ends))
        return out
    size = stop - start
    focal = np.repeat(np.arange(len(size)), size)
    at = np.repeat(start - (np.cumsum(size) - size), size) + np.arange(len(focal))
    np.fmax.at(out, focal, position_distances(score, points, focal, donors[at]))
    return out
