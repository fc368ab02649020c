"""A segment with its effect: what every standard error is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.intervals import freedom_of_rows
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect
from segcate.effects._matched.curved import CurvedDesign
from segcate.effects._matched.row_scores import RowScores, difference_scores, unit_scores
from segcate.effects._matched.view import SegmentView
from segcate.effects._table.segment_estimate import FEWEST_EVENTS, VarianceEstimate
from segcate.matching._design import Design

__all__ = ["EstimateOptions", "EstimatedSegment", "is_curved"]


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """How to turn matched sets into effects.

    Attributes
    ----------
    estimand, adjustment, inference : those of `SegmentMatching`
    std_error : name of a row of `STANDARD_ERRORS`
    n_variance_neighbors : int
    fewest : rows of each arm that an estimate needs
    as_published : whether the variance is left as the method has it where events are rare
    """

    estimand: str
    adjustment: Any
    std_error: str
    inference: str
    n_variance_neighbors: int
    fewest: int
    as_published: bool


def is_curved(adjustment: Any) -> bool:
    """Tell whether an adjustment asks for the curved regression of all segments together."""
    return isinstance(adjustment, str) and adjustment == "auto"


@dataclass(frozen=True, slots=True)
class EstimatedSegment:
    """A segment whose effect is known and whose variance is not yet.

    Attributes
    ----------
    design : the whole matched sample
    view : the rows of the segment
    found : the effect
    options : how it was estimated
    adjusted : adjusted outcomes; None after g-computation
    regression_scores : what g-computation says that each row adds to the error, else None
    curved : regression of all segments together, with ``adjustment="auto"``, else None
    """

    design: Design
    view: SegmentView
    found: MatchedEffect
    options: EstimateOptions
    adjusted: Adjusted | None
    regression_scores: RowScores | None
    curved: CurvedDesign | None = None

    @property
    def outcomes(self) -> Adjusted:
        """The adjusted outcomes, for variances that are refused after g-computation."""
        if self.adjusted is None:
            raise ValueError(f"std_error={self.options.std_error!r} needs adjusted outcomes")
        return self.adjusted

    @property
    def scores(self) -> RowScores:
        """What each row adds to the error of the estimate."""
        if self.regression_scores is not None:
            return self.regression_scores
        return difference_scores(self.view, self.outcomes, self.found)

    @property
    def units(self) -> Float:
        """What each position adds to the error of the estimate, as a focal row and as a donor."""
        if self.curved is None:
            return unit_scores(self.view, self.scores)
        return self.curved.unit_scores(self.view)

    @property
    def weights(self) -> Float:
        """How much each position counts in the mean of its arm, of any scale."""
        if self.curved is None:
            return self.view.own + self.view.uses
        return self.curved.exact_weights(self.view)

    @property
    def n_eff_controls(self) -> float:
        """Controls of equal weight that the estimate rests on, donors of other segments counted in."""
        if self.curved is not None and self.curved.found.parts[0].arm.arm == 0:
            return float(self.curved.found.parts[0].n_effective[self.view.code])
        share = self.weights[~self.view.is_treated]
        return float(share.sum() ** 2 / (share @ share))

    @property
    def fewest_events(self) -> int:
        """Events in an arm below which half of one is added to its variance."""
        return FEWEST_EVENTS if self.curved is None else 3 * FEWEST_EVENTS

    @property
    def takes_part(self) -> npt.NDArray[np.bool_]:
        """Mark the positions that are matched, serve as a match, or are in the regression."""
        used = (self.view.own > 0) | (self.view.uses > 0)
        return used if self.curved is None else used | self.curved.is_donor(self.view)

    def variance(self, value: float, method: str, note: str = "") -> VarianceEstimate:
        """Make a variance whose degrees of freedom are those of the rows of the smaller arm."""
        is_treated = self.view.is_treated[self.takes_part]
        n_treated = int(is_treated.sum())
        df = freedom_of_rows(min(n_treated, len(is_treated) - n_treated))
        return VarianceEstimate(value, method, df, note=note)
