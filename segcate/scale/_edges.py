"""Where the parts of a segment end, and what their rows are counted by: one pass with the final scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate.scale._halo import Halo, Near, halo_of, merged_near, nearest_to_cuts
from segcate.scale._rows import Rows
from segcate.scale._score import RowScore


@dataclass(slots=True)
class Edges:
    """What is seen of one segment.

    Attributes
    ----------
    cuts : float64 array of shape (n_parts - 1,)
    wanted : rows of each arm that a halo holds on each side
    places : what weights are multiplied by in each arm; None without weights
    centre : outcome and score that sums are taken about
    low, high : float64 arrays of shape (2,), range of the scores of each arm
    """

    cuts: Float
    wanted: tuple[int, int]
    places: tuple[float, float] | None
    centre: tuple[float, float]
    counts: npt.NDArray[np.int64] = field(init=False)
    _near: dict[int, tuple[Near, Near]] = field(default_factory=dict)
    _trend: Float = field(default_factory=lambda: np.zeros((2, 5)))
    _weighed: Float = field(default_factory=lambda: np.zeros(3))
    low: Float = field(default_factory=lambda: np.full(2, np.inf))
    high: Float = field(default_factory=lambda: np.full(2, -np.inf))

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.cuts) + 1, 2), np.int64)

    def add(self, rows: Rows, score: Float) -> None:
        """Take in the rows of a batch."""
        part = np.searchsorted(self.cuts, score, side="right")
        self.counts += np.bincount(2 * part + rows.treatment, minlength=self.counts.size).reshape(
            -1, 2
        )
        gap = score - self.centre[1]
        w = np.ones(len(gap)) if rows.weight is None else rows.weight
        self._weighed += [w.sum(), w @ gap, w @ gap**2]
        for arm in (0, 1):
            at = rows.treatment == arm
            self.low[arm] = min(self.low[arm], score[at].min(initial=np.inf))
            self.high[arm] = max(self.high[arm], score[at].max(initial=-np.inf))
            y, s = rows.y[at] - self.centre[0], score[at] - self.centre[1]
            self._trend[arm] += [len(y), y.sum(), s.sum(), s @ s, s @ y]
            if len(self.cuts):
                self._add_near(arm, score[at], None if rows.weight is None else rows.weight[at])

    def join(self, other: Edges) -> None:
        """Take in what was seen elsewhere."""
        self.counts += other.counts
        self._trend += other._trend
        self._weighed += other._weighed
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        for arm, (below, above) in other._near.items():
            self._join_near(arm, below, above)

    def _add_near(self, arm: int, score: Float, weight: Float | None) -> None:
        mass = None
        if weight is not None and self.places is not None:
            mass = np.minimum(weight * self.places[arm], 1.0)  # so many rows, too
        below, above = nearest_to_cuts(score, mass, self.cuts, self.wanted[arm])
        self._join_near(arm, below, above)

    def _join_near(self, arm: int, below: Near, above: Near) -> None:
        if arm in self._near:
            low, high = self._near[arm]
            below = merged_near(low, below, self.wanted[arm], below=True)
            above = merged_near(high, above, self.wanted[arm], below=False)
        self._near[arm] = below, above

    @property
    def halo(self) -> Halo:
        """The parts, and what each sees."""
        if not len(self.cuts):
            return Halo(self.cuts, np.array([-np.inf]), np.array([np.inf]))
        below, above = (tuple(self._near[arm][side] for arm in (0, 1)) for side in (0, 1))
        return halo_of(self.cuts, below, above, self.wanted)  # type: ignore[arg-type]

    @property
    def trends(self) -> tuple[float, float]:
        """Slope of the outcome on the score in each arm."""
        return self._slope(0), self._slope(1)

    def _slope(self, arm: int) -> float:
        n, y, s, ss, sy = self._trend[arm]
        spread = ss - s * s / n
        return float((sy - s * y / n) / spread) if spread > 0 else 0.0

    def deviation(self, total: float) -> float:
        """Return the standard deviation of the score over rows that weigh `total`."""
        if total <= 1:
            return 0.0
        mass, first, second = self._weighed
        spread = max(second / mass - (first / mass) ** 2, 0.0)
        return float(np.sqrt(spread * total / (total - 1)))

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Rows of each arm before each part."""
        return np.vstack([np.zeros(2, np.int64), np.cumsum(self.counts, axis=0)[:-1]])


@dataclass(frozen=True, slots=True)
class EdgesStep:
    """Sees what lies at the cuts of every segment.

    Attributes
    ----------
    scores : by segment
    empty : edges of each segment at which nothing was seen yet
    """

    scores: Mapping[int, RowScore]
    empty: dict[int, Edges]

    def of(self, code: int, rows: Rows) -> Edges | None:
        """See some rows of one segment."""
        if code not in self.empty:
            return None
        none = self.empty[code]
        edges = Edges(none.cuts, none.wanted, none.places, none.centre)
        edges.add(rows, self.scores[code].of(rows.columns))
        return edges

    def merged(self, code: int, one: Edges, other: Edges) -> Edges:
        """Put two results together."""
        one.join(other)
        return one
