"""Abadie & Imbens (2016), Econometrica 84:781-807: the variance when the score was estimated.

Estimating the propensity score changes the variance of matching on it: for the ATE always
downwards, for the ATT either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from segcate.effects._adjustment import Adjusted, MatchedEffect
from segcate.effects._segment_view import SegmentView
from segcate.matching._windows import match_with_replacement, same_arm_windows

Float = npt.NDArray[np.float64]

# Distances between covariate rows computed at most for one segment; above it, the average over all
# rows becomes one over evenly spaced rows and donors.
DISTANCE_BUDGET = 4_000_000
_FEWEST_ROWS = 500


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
    """

    regressors: Float
    propensity: Float
    slope: Float
    covariance: Float


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
    f, p = model.slope, model.propensity
    if view.estimand == "ate":
        y1, y0 = adjusted.for_focal_arm(0), adjusted.for_focal_arm(1)
        a = _covariance_shares(view, y1, 1, f / p, n_variance_neighbors)
        a += _covariance_shares(view, y0, 0, f / (1 - p), n_variance_neighbors)
        c = a @ model.regressors / len(f)
        return -float(c @ model.covariance @ c)
    focal = 1 if view.estimand == "att" else 0
    y = adjusted.for_focal_arm(focal)
    odds = p / (1 - p) if focal == 1 else (1 - p) / p
    a = _covariance_shares(view, y, focal, f, n_variance_neighbors)
    a += _covariance_shares(view, y, 1 - focal, f * odds, n_variance_neighbors)
    inside = _local_means(view, y, n_variance_neighbors)
    sign = 1.0 if focal == 1 else -1.0
    a += f * (sign * (inside[focal] - inside[1 - focal]) - found.effect) * sign
    c = a @ model.regressors / view.total
    b = _covariate_term(view, model, y, found.effect, n_neighbors) / view.total
    return float(b @ model.covariance @ b) - float(c @ model.covariance @ c)


def _arm_windows(view: SegmentView, n_neighbors: int) -> tuple[npt.NDArray[np.int32], ...]:
    """Windows of the J nearest (ties kept): own arm with the row itself among them, other arm."""
    own = same_arm_windows(
        view.score, view.bounds, n_neighbors - 1, view.tie_tolerance, (True, True)
    )
    other = match_with_replacement(
        view.score,
        view.bounds,
        focal_arms=(True, True),
        n_neighbors=n_neighbors,
        caliper=np.full(len(view.tie_tolerance), np.inf),
        tie_tolerance=view.tie_tolerance,
    )
    return (*own, *other)


def _covariance_shares(
    view: SegmentView, y: Float, arm: int, coefficient: Float, n_neighbors: int
) -> Float:
    """Write ``sum_i coefficient_i Cov_i(z, y)`` as ``sum_j a_j z_j`` and return a.

    Cov_i is the sample covariance among the nearest rows of `arm`; since ``Cov(z, y) = sum_j z_j
    (y_j - mean) / (m - 1)``, the covariates are needed only once, outside.
    """
    own_start, own_stop, other_start, other_stop = _arm_windows(view, n_neighbors)
    is_own = view.in_arm(arm)
    start = np.where(is_own, own_start, other_start)
    stop = np.where(is_own, own_stop, other_stop)
    shares = np.zeros(len(y))
    _spread_covariances(y, start, stop, coefficient, shares)
    return shares


@numba.njit(cache=True, nogil=True)
def _spread_covariances(y, start, stop, coefficient, shares):  # type: ignore[no-untyped-def]
    i = 0
    while i < len(start):
        lo, hi = start[i], stop[i]
        total = 0.0
        while i < len(start) and start[i] == lo and stop[i] == hi:  # equal windows go together
            total += coefficient[i]
            i += 1
        size = hi - lo
        if size < 2:
            continue
        mean = 0.0
        for j in range(lo, hi):
            mean += y[j]
        mean /= size
        for j in range(lo, hi):
            shares[j] += total * (y[j] - mean) / (size - 1)


def _local_means(view: SegmentView, y: Float, n_neighbors: int) -> tuple[Float, Float]:
    """Mean of y among the J nearest of arm 0 and of arm 1, the row itself left out."""
    start, stop = same_arm_windows(
        view.score, view.bounds, n_neighbors, view.tie_tolerance, (True, True)
    )
    other_start, other_stop = _arm_windows(view, n_neighbors)[2:]
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
    z = model.regressors[:, 1:]
    total = np.zeros(model.regressors.shape[1])
    for arm in (0, 1):
        rows = np.flatnonzero(view.in_arm(arm))
        donors = np.flatnonzero(view.in_arm(1 - arm))
        rows_used, donors_used = _within_budget(rows, donors)
        mean = nearest_covariate_means(z[rows_used], z[donors_used], y[donors_used], n_neighbors)
        gap = (y[rows_used] - mean) * (1.0 if arm == 1 else -1.0) - effect
        share = len(rows) / len(rows_used)
        total += share * (model.slope[rows_used] * gap) @ model.regressors[rows_used]
    return total


def _within_budget(
    rows: npt.NDArray[np.intp], donors: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Thin rows and donors evenly (in score order) until their distances fit the budget."""
    excess = len(rows) * len(donors) / DISTANCE_BUDGET
    if excess <= 1:
        return rows, donors
    n_rows = max(min(_FEWEST_ROWS, len(rows)), int(len(rows) / np.sqrt(excess)))
    n_donors = max(1, min(len(donors), DISTANCE_BUDGET // n_rows))
    return (
        rows[np.linspace(0, len(rows) - 1, n_rows).round().astype(np.intp)],
        donors[np.linspace(0, len(donors) - 1, n_donors).round().astype(np.intp)],
    )


def nearest_covariate_means(z: Float, donor_z: Float, donor_y: Float, n_neighbors: int) -> Float:
    """Mean of donor_y over the nearest donors in Euclidean distance, all ties kept."""
    out = np.empty(len(z))
    k = min(n_neighbors, len(donor_y))
    block = max(1, 4_000_000 // len(donor_y))
    for begin in range(0, len(z), block):
        distance = cdist(z[begin : begin + block], donor_z, "sqeuclidean")
        reach = np.partition(distance, k - 1, axis=1)[:, k - 1 : k]
        near = distance <= reach * (1 + 1e-12)
        out[begin : begin + block] = (near @ donor_y) / near.sum(axis=1)
    return out
