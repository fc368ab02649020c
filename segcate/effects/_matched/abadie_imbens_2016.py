"""Abadie & Imbens (2016), Econometrica 84:781-807: the variance when the score was estimated.

Estimating the propensity score changes the variance of matching on it: for the ATE always
downwards, for the ATT either way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from segcate._inputs.arrays import Float
from segcate.effects._matched.abadie_imbens_2006 import variance_2006
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect
from segcate.effects._matched.estimated_segment import EstimatedSegment
from segcate.effects._matched.view import SegmentView
from segcate.effects._table.segment_estimate import VarianceEstimate
from segcate.matching._design import Design
from segcate.matching._nearest import match_with_replacement
from segcate.matching._window_sums import spread_covariances

Windows = tuple[npt.NDArray[np.int32], ...]

# Distances between covariate rows computed at most for one segment; above it, the average over all
# rows becomes one over rows and donors that lie evenly in the order of the score.
DISTANCE_BUDGET = 4_000_000
_FEWEST_ROWS = 500
# Rows whose distances are computed together.
_BLOCK = 256
# Squared distances that differ by at most this share of their size are tied.
_TIED = 1e-12
# Method of a segment for which the theory asked for does not hold.
NOT_VALID = "not valid"
# Below this many treated the correction undercovers and "auto" leaves it out.
FEWEST_FOR_AUTO = 100
_SCORE_AS_GIVEN = "standard error takes the score as given (scores of 0 or 1)"


@dataclass(frozen=True, slots=True)
class ScoreModel:
    """The fitted score of a segment, in the order of its view.

    Attributes
    ----------
    regressors : float64 array of shape (n_positions, n_parameters), the constant first
    propensity : float64 array of shape (n_positions,)
    slope : float64 array of shape (n_positions,)
        Derivative of the propensity in its linear predictor; p (1 - p) for a logit.
    covariance : float64 array of shape (n_parameters, n_parameters)
        Of the estimated coefficients.
    by_chance : pair of float64 arrays of shape (n_positions,), default=None
        The slope over the chance of the control arm and of the treated arm. None divides, which
        loses rows whose propensity rounds to 0 or 1.
    points : float64 array of shape (n_positions, n_covariates), default=None
        Covariates on which rows are near each other. None takes the regressors.
    """

    regressors: Float
    propensity: Float
    slope: Float
    covariance: Float
    by_chance: tuple[Float, Float] | None = None
    points: Float | None = None

    def slope_by_chance(self, arm: int) -> Float:
        """Return the slope over the chance of an arm."""
        if self.by_chance is not None:
            return self.by_chance[arm]
        return self.slope / (self.propensity if arm == 1 else 1 - self.propensity)

    def chance(self, arm: int) -> Float:
        """Return the chance of an arm."""
        return self.propensity if arm == 1 else 1 - self.propensity


def logit_score_model(
    standard: Float, linear: Float, covariance: Float, points: Float
) -> ScoreModel:
    """Make the model of a logistic regression, whose terms need no division.

    With f = p (1 - p): f / p = 1 - p, f / (1 - p) = p and f p / (1 - p) = p^2, also where p rounds to
    0 or 1.

    Parameters
    ----------
    standard : float64 array of shape (n_positions, n_covariates), standardised covariates
    linear : float64 array of shape (n_positions,), log-odds
    covariance : of the coefficients of the constant and of `standard`
    points : float64 array of shape (n_positions, n_covariates)
    """
    p, q = expit(linear), expit(-linear)
    regressors = np.column_stack([np.ones(len(standard)), standard])
    return ScoreModel(regressors, p, p * q, covariance, (p, q), points)


def abadie_imbens_2016(segment: EstimatedSegment) -> VarianceEstimate:
    """Correct the variance of 2006 for the estimation of the score, as Stata does."""
    model = score_model(segment.design, segment.view, standardise=False)
    if model is None:
        return segment.variance(float("nan"), NOT_VALID)
    base = segment.variance(variance_2006(segment), "abadie-imbens")
    return corrected_variance(base, _correction(segment, model))


def larger_abadie_imbens(segment: EstimatedSegment) -> VarianceEstimate:
    """Return the larger of the variances of 2006 and 2016 where both are valid, else that of 2006."""
    is_sample = segment.options.inference == "sample"
    base = segment.variance(variance_2006(segment, detrend=is_sample), "abadie-imbens")
    model = score_model(segment.design, segment.view)
    if model is None or is_sample or int((segment.view.own > 0).sum()) < FEWEST_FOR_AUTO:
        return base
    return larger_variance(base, _correction(segment, model))


def larger_variance(base: VarianceEstimate, correction: float) -> VarianceEstimate:
    """Add what the estimation of the score adds to the variance of 2006; nothing that it takes away."""
    if not np.isfinite(correction):
        return replace(base, note=_SCORE_AS_GIVEN)
    if correction <= 0:
        return base
    return replace(base, value=base.value + correction, method="abadie-imbens-2016")


def corrected_variance(base: VarianceEstimate, correction: float) -> VarianceEstimate:
    """Add what the estimation of the score adds to the variance of 2006, or takes away."""
    if not np.isfinite(correction):
        return replace(base, note=_SCORE_AS_GIVEN)
    return replace(base, value=base.value + correction, method="abadie-imbens-2016")


def _correction(segment: EstimatedSegment, model: ScoreModel) -> float:
    """Return what the estimation of the score adds to the variance of a segment."""
    return estimated_score_correction(
        segment.view,
        model,
        segment.outcomes,
        segment.found,
        segment.design.sample.n_neighbors,
        segment.options.n_variance_neighbors + 1,
    )


def score_model(
    design: Design, view: SegmentView, *, standardise: bool = True
) -> ScoreModel | None:
    """Return the segment's logit for the 2016 variance; None where that theory does not hold.

    It holds for an unpenalised logit fitted in this segment, unweighted, without caliper, common
    support or exact columns. Rows are near each other by their standardised covariates, or by the
    covariates as they came, as in Stata.
    """
    if design.propensity is None or view.points is not None:
        return None
    fit = design.propensity.logits[view.code]
    limited = np.isfinite(design.sample.caliper[view.code]) or len(view.bounds) != 3
    left_out = len(view.rows) < design.counts[view.code].sum()
    if fit is None or limited or left_out or len(view.weight):
        return None
    Z = design.columns.values[view.rows]
    standard = fit.standard.apply(Z, fit.kept)
    near = standard if standardise else (Z - fit.standard.origin)[:, fit.kept]
    linear = design.propensity.linear[view.rows]
    return logit_score_model(standard, linear, fit.standard_covariance, near)


def estimated_score_correction(
    view: SegmentView,
    model: ScoreModel,
    adjusted: Adjusted,
    found: MatchedEffect,
    n_neighbors: int,
    n_variance_neighbors: int,
) -> float:
    """Return what the estimation of the score adds to the variance (negative: it takes away).

    ATE: ``-c' V c`` with ``c = (1/N) sum f_i {C1_i / p_i + C0_i / (1 - p_i)}``. ATT:
    ``-c' V c + b' V b`` with ``c = (1/N1) sum z_i f_i (y1_i - y0_i - ATT) + (1/N1) sum f_i {C1_i +
    p_i / (1 - p_i) C0_i}`` and ``b = (1/N1) sum z_i f_i {(2 w_i - 1)(y_i - y_i(Om_z)) - ATT}``, where
    C1_i, C0_i are covariances of (z, y) among the nearest on the score in either arm, y1_i, y0_i the
    means there without the row itself, and y_i(Om_z) the mean over the nearest of the other arm on
    the covariates. The ATC is the ATT with the arms renamed.
    """
    windows = arm_windows(view, n_variance_neighbors)
    if view.estimand == "ate":
        y1, y0 = adjusted.for_focal_arm(0), adjusted.for_focal_arm(1)
        a = arm_shares(view, model, y1, 1, windows) + arm_shares(view, model, y0, 0, windows)
        c = a @ model.regressors / len(a)
        return -float(c @ model.covariance @ c)
    y = adjusted.for_focal_arm(1 if view.estimand == "att" else 0)
    a = focal_shares(view, model, y, found.effect, n_variance_neighbors, windows)
    c = a @ model.regressors / view.total
    b = _covariate_term(view, model, y, found.effect, n_neighbors) / view.total
    return float(b @ model.covariance @ b) - float(c @ model.covariance @ c)


def arm_shares(view: SegmentView, model: ScoreModel, y: Float, arm: int, windows: Windows) -> Float:
    """Return what the covariances in one arm add to the derivative of the ATE, by regressor row."""
    return _covariance_shares(view, y, arm, model.slope_by_chance(arm), windows)


def focal_shares(
    view: SegmentView,
    model: ScoreModel,
    y: Float,
    effect: float,
    n_neighbors: int,
    windows: Windows,
) -> Float:
    """Return the derivative of the ATT (or ATC) in the score, by regressor row."""
    f, focal = model.slope, 1 if view.estimand == "att" else 0
    other = model.chance(focal) * model.slope_by_chance(1 - focal)  # f times the odds
    a = _covariance_shares(view, y, focal, f, windows)
    a += _covariance_shares(view, y, 1 - focal, other, windows)
    inside = _local_means(view, y, n_neighbors, windows)
    sign = 1.0 if focal == 1 else -1.0
    a += f * (sign * (inside[focal] - inside[1 - focal]) - effect) * sign
    return a


def arm_windows(view: SegmentView, n_neighbors: int) -> Windows:
    """Windows of the J nearest (ties kept): own arm with the row itself among them, other arm."""
    own = view.same_arm_windows(n_neighbors - 1, (True, True))
    other = match_with_replacement(
        view.score,
        view.bounds,
        focal_arms=(True, True),
        n_neighbors=n_neighbors,
        caliper=np.full(len(view.tie_tolerance), np.inf),
        tie_tolerance=view.tie_tolerance,
        n_rows=view.n_all,
    )
    return (*own, *other)


def _covariance_shares(
    view: SegmentView, y: Float, arm: int, coefficient: Float, windows: Windows
) -> Float:
    """Write ``sum_i coefficient_i Cov_i(z, y)`` as ``sum_j a_j z_j`` and return a.

    Cov_i is the sample covariance among the nearest rows of `arm`; since ``Cov(z, y) = sum_j z_j
    (y_j - mean) / (m - 1)``, the covariates are needed only once, outside.
    """
    own_start, own_stop, other_start, other_stop = windows
    is_own = view.in_arm(arm)
    start = np.where(is_own, own_start, other_start)
    stop = np.where(is_own, own_stop, other_stop)
    shares = np.zeros(len(y))
    spread_covariances(y, start, stop, coefficient, shares, view.n_all)
    return shares


def _local_means(
    view: SegmentView, y: Float, n_neighbors: int, windows: Windows
) -> tuple[Float, Float]:
    """Mean of y among the J nearest of arm 0 and of arm 1, the row itself left out."""
    start, stop = view.same_arm_windows(n_neighbors, (True, True))
    other_start, other_stop = windows[2:]
    before = np.concatenate([[0.0], np.cumsum(y - y.mean())])
    size = np.maximum(stop - start - 1, 1)
    own = np.where(stop - start > 1, (before[stop] - before[start] - (y - y.mean())) / size, 0.0)
    other_size = np.maximum(other_stop - other_start, 1)
    other = (before[other_stop] - before[other_start]) / other_size
    own, other = own + y.mean(), other + y.mean()
    return np.where(view.is_treated, other, own), np.where(view.is_treated, own, other)


def _covariate_term(
    view: SegmentView, model: ScoreModel, y: Float, effect: float, n_neighbors: int
) -> Float:
    """Return ``sum z_i f_i {(2 w_i - 1)(y_i - y_i(Om_z)) - effect}`` over the rows of the segment."""
    z = model.regressors[:, 1:] if model.points is None else model.points
    total = np.zeros(model.regressors.shape[1])
    for arm in (0, 1):
        rows = np.flatnonzero(view.in_arm(arm))
        donors = np.flatnonzero(view.in_arm(1 - arm))
        n_rows, n_donors = within_budget(len(rows), len(donors))
        rows_used = at_ranks(rows, ranks_taken(len(rows), n_rows), view.score, view.y, z)
        donors_used = at_ranks(donors, ranks_taken(len(donors), n_donors), view.score, view.y, z)
        mean = nearest_covariate_means(z[rows_used], z[donors_used], y[donors_used], n_neighbors)
        sign, share = 1.0 if arm == 1 else -1.0, len(rows) / len(rows_used)
        total += share * covariate_gaps(
            model.regressors[rows_used], model.slope[rows_used], y[rows_used], mean, sign, effect
        )
    return total


def covariate_gaps(
    regressors: Float, slope: Float, y: Float, mean: Float, sign: float, effect: float
) -> Float:
    """Add up ``z f (sign (y - mean) - effect)`` over rows, `mean` that of the nearest rows of the other arm."""
    return np.asarray((slope * ((y - mean) * sign - effect)) @ regressors)


def within_budget(n_rows: int, n_donors: int) -> tuple[int, int]:
    """Return how many rows and donors the budget of distances allows."""
    excess = n_rows * n_donors / DISTANCE_BUDGET
    if excess <= 1:
        return n_rows, n_donors
    fewer = max(min(_FEWEST_ROWS, n_rows), int(n_rows / np.sqrt(excess)))
    return fewer, max(1, min(n_donors, DISTANCE_BUDGET // fewer))


def ranks_taken(n: int, n_wanted: int) -> npt.NDArray[np.intp]:
    """Return the ranks of so many of n rows, spread evenly; all ranks where there are no more."""
    if n_wanted >= n:
        return np.arange(n)
    return np.linspace(0, n - 1, n_wanted).round().astype(np.intp)


def at_ranks(
    positions: npt.NDArray[np.intp], taken: npt.NDArray[np.intp], score: Float, y: Float, z: Float
) -> npt.NDArray[np.intp]:
    """Take the rows of some ranks out of an arm, in the order of score, covariates and outcome.

    The positions come in the order of the score, and rows of equal score in the order of the data.
    Those alone are sorted again, so that the order of the data does not decide who is taken.
    """
    if len(taken) == len(positions):
        return positions
    scores = score[positions]
    first = np.searchsorted(scores, scores[taken], side="left")
    last = np.searchsorted(scores, scores[taken], side="right")
    out = positions[taken]
    for begin in np.unique(first[last - first > 1]):
        at = np.flatnonzero(first == begin)
        tied = positions[begin : last[at[0]]]
        order = np.lexsort((y[tied], *z[tied].T[::-1]))
        out[at] = tied[order[taken[at] - begin]]
    return out


def nearest_covariate_means(z: Float, donor_z: Float, donor_y: Float, n_neighbors: int) -> Float:
    """Mean of donor_y over the nearest donors in Euclidean distance, all ties kept.

    Squared distances less the length of the row itself come from a matrix product; donors are tied
    within its rounding.
    """
    centre = donor_z.mean(axis=0)
    z, donor_z = z - centre, donor_z - centre
    donor_length = np.einsum("ij,ij->i", donor_z, donor_z)
    length = np.einsum("ij,ij->i", z, z)
    out = np.empty(len(z))
    k = min(n_neighbors, len(donor_y))
    for begin in range(0, len(z), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        distance = (-2.0 * z[part]) @ donor_z.T
        distance += donor_length
        reach = np.partition(distance, k - 1, axis=1)[:, k - 1]
        limit = reach + _TIED * (2.0 * length[part] + reach)
        near = np.flatnonzero(distance <= limit[:, None])
        row, donor = np.divmod(near, len(donor_y))
        out[part] = np.bincount(row, donor_y[donor]) / np.bincount(row)
    return out
