"""All that a fit was given, checked and of one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.features import check_features
from segcate._inputs.groups import check_groups, groups_with_weight, refuse_groups_that_are_arms
from segcate._inputs.outcome import check_outcome
from segcate._inputs.propensity import check_propensity
from segcate._inputs.segments import Segment, SegmentCodes, code_segments, find_segment_column
from segcate._inputs.treatment import TreatmentKind, check_two_arms
from segcate._inputs.vectors import check_same_index
from segcate._inputs.weights import GivenRows, check_weights

__all__ = ["EffectData", "check_effect_data"]

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class EffectData:
    """Everything a fit was given, checked and of one length.

    Attributes
    ----------
    X : frame, or float array of shape (n_rows, n_columns), segment column included
    treatment : array of shape (n_rows,)
        int8 values 0 and 1; int64 codes of several arms, 0 the control; or float64 doses.
    segment : the rows' segments
    y : float64 array of shape (n_rows,), None in the design stage
    sample_weight : float64 array of shape (n_rows,) or None
        As `segcate._inputs.weights.read_weights` gives them; None where all rows weigh the same.
    groups : intp codes of shape (n_rows,) or None
    propensity : float64 array of shape (n_rows,), inside (0, 1), or None
    given : the rows as they came, where `present_rows` left some out
    """

    X: Any
    treatment: npt.NDArray[Any]
    segment: SegmentCodes
    y: Float | None = None
    sample_weight: Float | None = None
    groups: Int | None = None
    propensity: Float | None = None
    given: GivenRows | None = None

    @property
    def n_rows(self) -> int:
        """Count the rows."""
        return len(self.treatment)

    @property
    def covariates(self) -> list[int]:
        """Positions of the columns of X that are not the segment."""
        return [i for i in range(self.X.shape[1]) if i != self.segment.position]


def check_effect_data(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    treatment: Any,
    segment: Segment,
    sample_weight: Any = None,
    groups: Any = None,
    propensity: Any = None,
    needs_outcome: bool = True,
    allow_missing: bool = False,
    treatment_kind: TreatmentKind = "binary",
    takes_certain: bool = False,
    propensity_remedy: str = "drop them and say so",
) -> EffectData:
    """Check all that a fit was given, in the order a user would want to hear of it.

    `takes_certain` and `propensity_remedy` are those of `check_propensity`.
    """
    owner = type(estimator).__name__
    check_same_index(
        owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight, groups=groups,
        propensity=propensity,
    )  # fmt: skip
    X = check_features(estimator, X, reset=True, allow_missing=allow_missing, segment=segment)
    if needs_outcome or y is not None:
        y = check_outcome(owner, y, X)
    arms = check_two_arms(owner, treatment, X, treatment_kind)
    codes = code_segments(owner, X, find_segment_column(owner, X, segment))
    clusters = check_groups(owner, groups, X)
    if treatment_kind != "continuous":
        refuse_groups_that_are_arms(owner, clusters, arms)
    weight = check_weights(owner, sample_weight, X)
    return EffectData(
        X=X,
        treatment=arms,
        segment=codes,
        y=y,
        sample_weight=weight,
        groups=groups_with_weight(owner, clusters, weight),
        propensity=check_propensity(
            owner,
            propensity,
            X,
            weight=weight,
            takes_certain=takes_certain,
            remedy=propensity_remedy,
        ),
    )
