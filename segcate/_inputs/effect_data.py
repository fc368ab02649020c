"""All that a fit was given, checked and of one length: with an outcome, or without one for a design."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.features import check_features
from segcate._inputs.groups import check_groups, groups_with_weight, refuse_groups_that_are_arms
from segcate._inputs.segments import Segment, SegmentCodes, code_segments, find_segment_column
from segcate._inputs.treatment import TreatmentKind, check_two_arms
from segcate._inputs.vectors import check_outcome, check_propensity, check_same_index
from segcate._inputs.weights import GivenRows, check_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignData:
    """All that a design was given, checked and of one length; it has no outcome.

    Attributes
    ----------
    X : frame, or float array of shape (n_rows, n_columns), segment column included
    treatment : array of shape (n_rows,)
        int8 values 0 and 1; int64 codes of several arms, 0 the control; or float64 doses.
    segment : the rows' segments
    sample_weight : float64 array of shape (n_rows,) or None
        As `segcate._inputs.weights.read_weights` gives them; None where all rows weigh the same.
    groups : intp codes of shape (n_rows,) or None
    propensity : float64 array of shape (n_rows,), inside (0, 1), or None
    given : the rows as they came, where `present_rows` left some out
    """

    _aligned: ClassVar[tuple[str, ...]] = ("treatment", "sample_weight", "groups", "propensity")

    X: Any
    treatment: npt.NDArray[Any]
    segment: SegmentCodes
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

    def take(self, rows: Int) -> Self:
        """Return some of the rows; codes of segments and groups stay as they are."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self._aligned}
        parts = {name: None if part is None else part[rows] for name, part in parts.items()}
        segment = replace(self.segment, codes=self.segment.codes[rows])
        return replace(self, X=frames.take_rows(self.X, rows), segment=segment, **parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectData(DesignData):
    """All that an estimate was given: a design, and the outcome.

    Attributes
    ----------
    y : float64 array of shape (n_rows,)
    """

    _aligned: ClassVar[tuple[str, ...]] = (*DesignData._aligned, "y")

    y: Float


def check_design_data(estimator: Any, X: Any, *, treatment: Any, **more: Any) -> DesignData:
    """Check all that a design was given; keywords are those of `check_effect_data`."""
    checked, _ = _check(estimator, X, None, needs_outcome=False, treatment=treatment, **more)
    return DesignData(**checked)


def check_effect_data(estimator: Any, X: Any, y: Any, *, treatment: Any, **more: Any) -> EffectData:
    """Check all that a fit was given, in the order a user would want to hear of it.

    Parameters
    ----------
    estimator : the estimator that is fitted
    X, y, treatment, sample_weight, groups, propensity : as users pass them
    segment : "auto", str, int or None
    allow_missing : bool, default=False
        Whether X may have gaps.
    treatment_kind : {"binary", "arms", "continuous"}, default="binary"
    takes_certain, propensity_remedy : those of `check_propensity`
    """
    checked, outcome = _check(estimator, X, y, needs_outcome=True, treatment=treatment, **more)
    return EffectData(**checked, y=outcome)


def _check(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    needs_outcome: bool,
    treatment: Any,
    segment: Segment,
    sample_weight: Any = None,
    groups: Any = None,
    propensity: Any = None,
    allow_missing: bool = False,
    treatment_kind: TreatmentKind = "binary",
    takes_certain: bool = False,
    propensity_remedy: str = "drop them and say so",
) -> tuple[dict[str, Any], Any]:
    """Return the fields of `DesignData`, and the outcome where one is needed."""
    owner = type(estimator).__name__
    check_same_index(
        owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight, groups=groups,
        propensity=propensity,
    )  # fmt: skip
    X = check_features(estimator, X, reset=True, allow_missing=allow_missing, segment=segment)
    outcome = check_outcome(owner, y, X) if needs_outcome else None
    arms = check_two_arms(owner, treatment, X, treatment_kind)
    codes = code_segments(owner, X, find_segment_column(owner, X, segment))
    clusters = check_groups(owner, groups, X)
    if treatment_kind != "continuous":
        refuse_groups_that_are_arms(owner, clusters, arms)
    weight = check_weights(owner, sample_weight, X)
    chance = check_propensity(
        owner, propensity, X, weight=weight, takes_certain=takes_certain, remedy=propensity_remedy
    )
    checked = {
        "X": X,
        "treatment": arms,
        "segment": codes,
        "sample_weight": weight,
        "groups": groups_with_weight(owner, clusters, weight),
        "propensity": chance,
    }
    return checked, outcome
