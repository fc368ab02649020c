"""Passes of `scale.fit` for the curved adjustment: outcomes regressed, rows matched twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segcate.effects._curved.words import describe_curves
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.matching._support import FOCAL_ARMS
from segcate.scale._core import SegmentPlan
from segcate.scale._curved_estimate import (
    CurvedFindings,
    Regressions,
    curved_findings,
    curved_segment,
    exact_plans,
    weighing,
)
from segcate.scale._curves import Basis
from segcate.scale._edges import Edges
from segcate.scale._estimate import SegmentFacts
from segcate.scale._exact import AloneStep, ExactStep
from segcate.scale._halo import Halo
from segcate.scale._moments import Moments
from segcate.scale._outcomes import OutcomeStep, fitted_arm
from segcate.scale._runner import Parts, Runner
from segcate.scale._score import RowScore
from segcate.scale._sums import Sums
from segcate.scale._weighing import WeighStep

# Each segment adds up a matrix of this size, squared.
MOST_SEGMENTS = 300


def refuse_many(n_segments: int) -> None:
    """Refuse more segments than matrices are added up for."""
    if n_segments > MOST_SEGMENTS:
        raise ValueError(
            f"scale.fit: adjustment='auto' adds up covariances of at most {MOST_SEGMENTS} segments in parts; there are "
            f"{n_segments:,}. Use SegmentMatching(PropensityMatcher(), adjustment='bias'), or fewer segments."
        )


def outcome_step(
    basis: Basis, moments: Mapping[int, Moments], estimand: str, inference: str
) -> OutcomeStep:
    """Say which rows outcomes are regressed on: of segments with one arm those that look for no match."""
    focal = FOCAL_ARMS[estimand]
    arms = [arm for arm in (0, 1) if focal[1 - arm] or inference == "sample"]
    taking = frozenset(
        (code, arm)
        for code, m in moments.items()
        for arm in arms
        if m.has_both_arms or not focal[arm]
    )
    return OutcomeStep(basis, taking, {code: float(m.plain_mean[0]) for code, m in moments.items()})


def regressions(
    step: OutcomeStep,
    sums: Mapping[int, Sums],
    order: Sequence[int],
    estimand: str,
    inference: str,
) -> Regressions:
    """Fit the regressions of the arms that give donors, and of the focal one where its noise counts."""
    focal = FOCAL_ARMS[estimand]
    arms = [arm for arm in (0, 1) if focal[1 - arm]]
    donors = tuple(fitted_arm(step.basis, sums, order, step, arm) for arm in arms)
    own = None
    if inference == "sample" and len(arms) == 1:
        own = fitted_arm(step.basis, sums, order, step, 1 - arms[0])
    return Regressions(step.basis, order, estimand, inference, step, sums, donors, own)


@dataclass(frozen=True, slots=True)
class Matching:
    """Who is matched how, by segment.

    Attributes
    ----------
    plans, scores, edges : by segment
    has_weights : bool
    """

    plans: Mapping[int, SegmentPlan]
    scores: Mapping[int, RowScore]
    edges: Mapping[int, Edges]
    has_weights: bool

    @property
    def halos(self) -> dict[int, Halo]:
        """The parts of each segment."""
        return {code: edges.halo for code, edges in self.edges.items()}


@dataclass(frozen=True, slots=True)
class CurvedRun:
    """What the passes have found.

    Attributes
    ----------
    parts : of the first match
    exact : sums of the second, by segment
    found : effects and their covariances
    fits : regressions behind them
    """

    parts: Parts
    exact: Mapping[int, Sums]
    found: CurvedFindings
    fits: Regressions

    @property
    def words(self) -> str:
        """Describe the adjustment."""
        return describe_curves(self.fits.basis.curves, self.found.effects)

    def estimate(self, code: int, facts: SegmentFacts) -> SegmentEstimate:
        """Estimate one segment."""
        first, place = self.parts.sums[code], self.fits.order.index(code)
        return curved_segment(
            place, first, self.exact.get(code, {}), facts, self.found, self.fits.basis
        )

    def without(self, code: int, counted: SegmentEstimate) -> SegmentEstimate:
        """Complete a segment that has no estimate."""
        place = self.fits.order.index(code)
        return replace(counted, covariances=np.asarray(self.found.effects.covariance[place]))


def curved_run(runner: Runner, matching: Matching, fits: Regressions) -> CurvedRun:
    """Match, find exact weights, and match again to add up what they say."""
    plans, scores, halos = matching.plans, matching.scores, matching.halos
    farthest = {
        code: (float(edges.low[1]), float(edges.high[0])) for code, edges in matching.edges.items()
    }
    weigh = WeighStep(plans, scores, halos, matching.has_weights, fits.basis, farthest)
    parts = runner.match(weigh)
    weighed = weighing(parts.sums, fits)
    exact = exact_plans(weighed, fits)
    found = dict(runner.match(ExactStep(plans, scores, halos, matching.has_weights, exact)).sums)
    alone = {code: plan for code, plan in exact.items() if code not in plans and plan.arms}
    if alone:
        found |= runner.fold(AloneStep(alone))
    return CurvedRun(parts, found, curved_findings(parts.sums, found, weighed, fits), fits)
