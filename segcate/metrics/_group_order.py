"""Do effects rise from group to group: rank correlation, top against bottom, and violations.

Robertson, T., Wright, F. T., & Dykstra, R. L. (1988). Order restricted statistical inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from segcate._inputs.arrays import Float, Int
from segcate.metrics._scored_rows import one_sided_p, t_quantile, welch_freedom

__all__ = ["Monotonicity", "check_order"]

_N_DRAWS = 9_999
_SEED = 0
_ROUNDING = 1e-20


@dataclass(frozen=True, slots=True)
class Monotonicity:
    """How well the effects of ordered groups rise.

    Attributes
    ----------
    kendall_tau : float
        tau_b of group number and effect, 1 when every group is above the one before; a description
        without a standard error. NaN for a single group.
    difference, std_error, ci_low, ci_high : float
        Effect of the last group less that of the first, with its interval.
    p_value : float
        One-sided: small when the last group has the larger effect.
    violation : float
        Weighted squared distance of the effects to the nearest rising sequence; 0 when they rise.
    p_violation : float
        Chance of a violation this large if all groups had the same effect (the rising sequence that
        is hardest to tell apart); small when some groups are out of order.
    """

    kendall_tau: float
    difference: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    violation: float
    p_violation: float


def check_order(
    effect: Float,
    covariance: Float,
    units_in_group: Int,
    n_clusters: int | None,
    confidence_level: float,
) -> Monotonicity:
    """Describe and test the order of the groups."""
    if len(effect) < 2:
        return Monotonicity(*[float("nan")] * 8)
    difference = float(effect[-1] - effect[0])
    variance = np.diag(covariance)[[0, -1]]
    std_error = float(np.sqrt(max(variance.sum() - 2.0 * covariance[0, -1], 0.0)))
    df = welch_freedom(variance, units_in_group[[0, -1]], n_clusters)
    half = float(t_quantile(confidence_level, df)) * std_error
    violation, p_violation = _violation(effect, covariance)
    return Monotonicity(
        kendall_tau=float(stats.kendalltau(np.arange(len(effect)), effect).statistic),
        difference=difference,
        std_error=std_error,
        ci_low=difference - half,
        ci_high=difference + half,
        p_value=float(one_sided_p(difference / std_error, df)) if std_error > 0 else float("nan"),
        violation=violation,
        p_violation=p_violation,
    )


def _violation(effect: Float, covariance: Float) -> tuple[float, float]:
    """Return the distance to the nearest rising sequence and its p-value, by simulation."""
    variance = np.diag(covariance)
    if not (variance > 0).all():
        return float("nan"), float("nan")
    weight = 1.0 / variance
    observed = float(_distance(effect[None, :], weight)[0])
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(values.clip(0))
    draws = np.random.RandomState(_SEED).standard_normal((_N_DRAWS, len(effect))) @ root.T
    n_larger = int((_distance(draws, weight) >= observed * (1.0 - 1e-12)).sum())
    return observed, (1.0 + n_larger) / (_N_DRAWS + 1.0)


def _distance(effects: Float, weight: Float) -> Float:
    """Return the weighted squared distance of each row to its isotonic regression.

    What is within rounding of 0 is 0, so that sequences that rise do not differ.
    """
    centred = effects - (effects @ weight / weight.sum())[:, None]
    squares: Float = ((centred - _isotonic(centred, weight)) ** 2) @ weight
    squares[squares < _ROUNDING * (centred**2 @ weight)] = 0.0
    return squares


def _isotonic(effects: Float, weight: Float) -> Float:
    """Fit rising sequences to the rows: the largest over a of the least over b of the mean a..b."""
    sums = np.cumsum(effects * weight, axis=1)
    mass = np.cumsum(weight)
    fitted = np.full(effects.shape, -np.inf)
    for first in range(effects.shape[1]):
        before = sums[:, [first - 1]] if first else 0.0
        means = (sums[:, first:] - before) / (mass[first:] - (mass[first - 1] if first else 0.0))
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        np.maximum(fitted[:, first:], least, out=fitted[:, first:])
    return fitted
