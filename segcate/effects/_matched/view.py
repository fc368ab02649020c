"""One segment of a matched sample, with the outcome: what every estimate and variance works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.weights import COUNTS_NOTE, weight_note
from segcate.matching._design import Design
from segcate.matching._near_points import same_arm_points
from segcate.matching._nearest import SharedWindows, same_arm_windows
from segcate.matching._sample import MatchedSample
from segcate.matching._support import FOCAL_ARMS
from segcate.matching._window_sums import window_means

Index = npt.NDArray[np.int32]

_NONE = np.empty(0)
_NO_DONORS = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class SegmentView:
    """Rows of one segment in sorted order (cell, arm, score), positions counted from 0.

    Attributes
    ----------
    code : segment code
    rows : row of X at each position
    y : outcome
    score : the score; an empty array where there is none
    is_treated : arm of each position
    own : weight of each position as a focal row: its sample weight, 0 where it is not focal or
        found no match
    uses, squared_uses : K and K2 of each position as a donor
    start, stop, donors : matched sets; empty `donors` means that the windows are the sets
    weight : sample weights, an empty array for none
    weight_note : how they were read, for the status
    bounds : where the controls and treated of each cell begin
    tie_tolerance : squared distance within which neighbours are tied, one a cell
    estimand : "att", "atc" or "ate"
    points : where rows lie, of shape (n_positions, n_coordinates); None where they were matched on
        the score
    first, n_all : position of the first row in the matched sample, and its rows in all
    shared : windows that all segments share; None where each finds its own
    """

    code: int
    rows: Index
    y: Float
    score: Float
    is_treated: npt.NDArray[np.bool_]
    own: Float
    uses: Float
    squared_uses: Float
    start: Index
    stop: Index
    donors: Index
    weight: Float
    bounds: npt.NDArray[np.int64]
    tie_tolerance: Float
    estimand: str
    weight_note: str = ""
    points: Float | None = None
    first: int = 0
    n_all: int = 0
    shared: SharedWindows | None = None

    @property
    def has_counts(self) -> bool:
        """Tell whether a weight says how many rows a row stands for."""
        return self.weight_note == COUNTS_NOTE

    @property
    def total(self) -> float:
        """Weight of all matched focal rows."""
        return float(self.own.sum())

    @property
    def sign(self) -> Float:
        """1 for treated positions, -1 for controls."""
        return np.where(self.is_treated, 1.0, -1.0)

    def is_focal_arm(self, arm: int) -> bool:
        """Tell whether rows of this arm look for matches."""
        return FOCAL_ARMS[self.estimand][arm]

    def in_arm(self, arm: int) -> npt.NDArray[np.bool_]:
        """Mark the positions of an arm."""
        return self.is_treated if arm == 1 else ~self.is_treated

    def means_over_sets(self, values: Float) -> Float:
        """Average `values` over the matched set of each position; NaN where it is empty."""
        return np.asarray(
            window_means(values, self.start, self.stop, self.donors, self.weight, self.n_all)
        )

    def same_arm_sets(self, n_others: int, arms: tuple[bool, bool]) -> tuple[Index, Index, Index]:
        """Find for each row of some arms itself, its nearest others of its arm and cell, and all ties.

        The rows were matched on decides what is near. Returns `start`, `stop` and the members of
        the sets; no members mean that windows of positions are the sets.
        """
        if self.points is not None:
            return same_arm_points(self.points, self.bounds, n_others, self.tie_tolerance, arms)
        start, stop = self.same_arm_windows(n_others, arms)
        return start, stop, _NO_DONORS

    def same_arm_windows(self, n_others: int, arms: tuple[bool, bool]) -> tuple[Index, Index]:
        """Find the same by the score."""
        if self.shared is not None:
            return self.shared.of(self.first, len(self.rows), n_others, arms)
        return same_arm_windows(
            self.score, self.bounds, n_others, self.tie_tolerance, arms, n_rows=self.n_all
        )


def segment_view(
    design: Design, y: Float, code: int, estimand: str, shared: SharedWindows | None = None
) -> SegmentView:
    """Cut one segment out of a design."""
    sample = design.sample
    part = sample.segment_slice(code)
    cells = np.flatnonzero(sample.cell_segment == code)
    bounds = np.zeros(1, np.int64)
    if len(cells):
        bounds = sample.bounds[2 * cells[0] : 2 * cells[-1] + 3] - part.start
    start, stop, donors = _local_sets(sample, part)
    rows = sample.order[part]
    own = (stop > start).astype(np.float64)
    weight = _NONE
    if sample.sample_weight is not None:
        weight = sample.sample_weight[part]
        own *= weight
    is_treated = np.zeros(len(rows), dtype=bool)
    for cell in range(len(cells)):
        is_treated[bounds[2 * cell + 1] : bounds[2 * cell + 2]] = True
    return SegmentView(
        code=code,
        rows=rows,
        y=y[rows],
        score=_NONE if sample.score is None else sample.score[part],
        is_treated=is_treated,
        own=own,
        uses=sample.uses[part],
        squared_uses=sample.squared_uses[part],
        start=start,
        stop=stop,
        donors=donors,
        weight=weight,
        bounds=bounds,
        tie_tolerance=sample.tie_tolerance[cells],
        estimand=estimand,
        weight_note=weight_note(sample.sample_weight),
        points=None if sample.points is None else sample.points[part],
        first=part.start,
        n_all=len(sample.order),
        shared=shared,
    )


def _local_sets(sample: MatchedSample, part: slice) -> tuple[Index, Index, Index]:
    """Cut out the matched sets of a run of positions, counted from its beginning; unmatched ones are empty."""
    start, stop = sample.start[part], sample.stop[part]
    shift, donors = np.int32(part.start), _NO_DONORS
    if sample.donors is not None:
        is_matched = stop > start
        low = int(start[is_matched].min()) if is_matched.any() else 0
        high = int(stop[is_matched].max()) if is_matched.any() else 0
        donors = sample.donors[low:high] - shift
        shift = np.int32(low)
    if shift == 0:
        return start, stop, donors
    # An unmatched position has start == stop; both are 0 then, or lie in a run of donors.
    return np.maximum(start - shift, 0), np.maximum(stop - shift, 0), donors
