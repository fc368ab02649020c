"""A segment with its effect: what every standard error is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._statistics.intervals import freedom_of_rows
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect
from segcate.effects._matched.row_scores import RowScores, difference_scores
from segcate.effects._matched.view import SegmentView
from segcate.effects._table.segment_estimate import VarianceEstimate
from segcate.matching._design import Design

__all__ = ["EstimateOptions", "EstimatedSegment"]


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
    """

    design: Design
    view: SegmentView
    found: MatchedEffect
    options: EstimateOptions
    adjusted: Adjusted | None
    regression_scores: RowScores | None

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
    def takes_part(self) -> npt.NDArray[np.bool_]:
        """Mark the positions that are matched or serve as a match."""
        return (self.view.own > 0) | (self.view.uses > 0)

    def variance(self, value: float, method: str, note: str = "") -> VarianceEstimate:
        """Make a variance whose degrees of freedom are those of the rows of the smaller arm."""
        is_treated = self.view.is_treated[self.takes_part]
        n_treated = int(is_treated.sum())
        df = freedom_of_rows(min(n_treated, len(is_treated) - n_treated))
        return VarianceEstimate(value, method, df, note=note)
