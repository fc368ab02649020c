"""Abadie & Imbens (2006), Econometrica 74:235-267: the variance of matching with replacement."""

from __future__ import annotations

import numpy as np

from segcate._inputs.arrays import Float
from segcate._statistics.least_squares import least_squares
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect
from segcate.effects._matched.estimated_segment import EstimatedSegment
from segcate.effects._matched.view import SegmentView
from segcate.effects._table.segment_estimate import VarianceEstimate
from segcate.matching._window_sums import window_variances

# Smaller factors are the rounding of a row that is not used.
_ROUNDING = 1e-12


def abadie_imbens_2006(segment: EstimatedSegment) -> VarianceEstimate:
    """Take the score as known."""
    return segment.variance(variance_2006(segment), "abadie-imbens")


def variance_2006(segment: EstimatedSegment, *, detrend: bool = False) -> float:
    """Estimate Var(y | score, arm) of every row, and the variance of the effect from it."""
    view, found, options = segment.view, segment.found, segment.options
    if options.n_variance_neighbors == 0:
        sigma2 = common_variance(view, segment.outcomes, found.effect)
    else:
        sigma2 = conditional_variances(
            view, options.n_variance_neighbors, options.inference, detrend
        )
    return abadie_imbens_variance(view, found, sigma2, options.inference)


def conditional_variances(
    view: SegmentView, n_neighbors: int, inference: str, detrend: bool = False
) -> Float:
    """Estimate Var(y | score or covariates, arm) at each position.

    The sample variance of the row itself, its `n_neighbors` nearest rows of the same arm and cell,
    and all tied with them (as `Matching` with Var.calc and Stata's ``vce(robust, nn())``). NaN for a
    row that is alone in its arm. With population inference it is NaN too in an arm without donors,
    where it is not needed. With `detrend` the outcome is first taken less its linear regression
    on the score (or the points) within the arm: where rows are few, neighbours lie far apart, and their distance
    would count as variance.
    """
    arms = (True, True) if inference == "sample" else (view.is_focal_arm(1), view.is_focal_arm(0))
    start, stop, members = view.same_arm_sets(n_neighbors, arms)
    y = _less_trend(view) if detrend else view.y
    return np.asarray(window_variances(y, start, stop, members, view.n_all))


def _less_trend(view: SegmentView) -> Float:
    out = view.y.copy()
    for arm in (0, 1):
        at = view.in_arm(arm)
        if view.points is not None:
            lines = np.column_stack([np.ones(int(at.sum())), view.points[at]])
            out[at] -= lines[:, 1:] @ least_squares(lines, out[at]).coef[1:]
            continue
        gap = view.score[at] - view.score[at].mean()
        spread = float(gap @ gap)
        if spread > 0:
            out[at] -= gap * float(gap @ out[at]) / spread
    return out


def common_variance(view: SegmentView, adjusted: Adjusted, effect: float) -> Float:
    """Estimate one Var(y | score, arm) for all rows, from the spread of pair differences.

    Half the mean over matched pairs of (y_treated - y_control - effect)^2, each set weighing as its
    focal row.
    """
    total = 0.0
    for arm in (0, 1):
        if not view.is_focal_arm(arm):
            continue
        r = adjusted.for_focal_arm(arm)
        sign = 1.0 if arm == 1 else -1.0
        mean, square = view.means_over_sets(r), view.means_over_sets(r**2)
        at = (view.own > 0) & view.in_arm(arm)
        gap = sign * (r[at] - mean[at]) - effect
        total += float(view.own[at] @ (gap**2 + square[at] - mean[at] ** 2))
    return np.full(len(view.y), 0.5 * total / view.total)


def abadie_imbens_variance(
    view: SegmentView, found: MatchedEffect, sigma2: Float, inference: str
) -> float:
    """Variance of the matched effect, with f_i the focal weight and K_i the uses of row i.

    population : ``{ sum f_i^2 (tau_i - tau)^2 + sum sigma2_i (K_i^2 + 2 f_i K_i - K2_i) } / (sum f)^2``
    sample : ``sum sigma2_i (f_i + K_i)^2 / (sum f)^2``, the covariates held fixed

    One formula for ATT, ATC and ATE (theorems 6 and 7): for the ATT a treated row has K = 0 and a
    control f = 0. NaN where a row whose sigma2 is needed stands alone in its arm.
    """
    own, uses = view.own, view.uses
    if inference == "sample":
        factor = (own + uses) ** 2
        total = 0.0
    else:
        factor = uses**2 + 2 * own * uses - view.squared_uses
        at = own > 0
        total = float(own[at] ** 2 @ (found.tau[at] - found.effect) ** 2)
    at = np.abs(factor) > _ROUNDING
    return (total + float(factor[at] @ sigma2[at])) / view.total**2
