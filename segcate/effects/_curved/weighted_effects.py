"""The effect of every segment as weights on outcomes, and the variance of exactly those weights.

Weights of donors (from matches, from odds, or equal) and a ridge regression on curves together are
one linear estimator, whose weights are known (Bruns-Smith, Dukes, Feller & Ogburn 2025). Matching with a
regression of what it leaves is doubly robust (Lin, Ding & Han 2023, Econometrica 91:2187-2217): its
variance is that of the residuals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._statistics.intervals import satterthwaite
from segcate.effects._curved.arm_fit import ArmFit, fit_arm
from segcate.effects._curved.comparison import Comparison

__all__ = ["MOST_SEGMENTS", "DonorPart", "WeightedEffects", "gaps_of_means", "weighted_effects"]

# Every donor has a weight in every segment, and segments have a covariance matrix.
MOST_SEGMENTS = 1_000


def refuse_many_segments(owner: str, n_segments: int, instead: str) -> None:
    """Refuse more segments than one regression takes."""
    if n_segments > MOST_SEGMENTS:
        raise ValueError(
            f"{owner}: adjustment='auto' makes one regression of at most {MOST_SEGMENTS:,} segments and their "
            f"covariances; there are {n_segments:,}. Use {instead}, or fewer segments."
        )


@dataclass(frozen=True, slots=True)
class DonorPart:
    """What the donors of one arm add.

    Attributes
    ----------
    arm : the regression of the arm
    weights : float64 array of shape (n_rows,)
        Exact weight of a donor in the estimate of its own segment: they sum to 1 there.
    covariance : float64 array of shape (n_segments, n_segments)
        ``sum_j c_kj c_lj s_j`` over the donors of all segments.
    freedom : float64 array of shape (n_segments,)
        Donors that carry the variance, ``(sum c^2)^2 / sum c^4``.
    n_effective : float64 array of shape (n_segments,), ``1 / sum c^2``
    group_sums : float64 array of shape (n_segments, n_groups) or None
        ``sum c_kj e_j`` over the donors of each group.
    """

    arm: ArmFit
    weights: Float
    covariance: Float
    freedom: Float
    n_effective: Float
    group_sums: Float | None = None

    @property
    def sign(self) -> float:
        """1 where controls stand in for treated rows, -1 the other way round."""
        return 1.0 if self.arm.arm == 0 else -1.0


@dataclass(frozen=True, slots=True)
class WeightedEffects:
    """Effects of all segments, and what their variance is made of.

    Attributes
    ----------
    effect : float64 array of shape (n_segments,); NaN where an arm has no weight
    focal_value : float64 array of shape (n_rows,)
        Effect of a row by the regression alone: outcome less what it would have been in the other arm.
    focal_variance : float64 array of shape (n_segments,)
        Of the mean of `focal_value`.
    parts : one a donor arm
    n_focal : int64 array of shape (n_segments,)
    """

    effect: Float
    focal_value: Float
    focal_variance: Float
    parts: tuple[DonorPart, ...]
    n_focal: npt.NDArray[np.int64]

    @property
    def covariance(self) -> Float:
        """Covariance of the effects, shape (n_segments, n_segments)."""
        return np.diag(self.focal_variance) + sum(part.covariance for part in self.parts)

    def unit_scores(self, comparison: Comparison, rows: Int) -> Float:
        """Return what rows of one segment add to the error of its effect."""
        share = comparison.focal_weight(rows)
        value = np.where(share > 0, self.focal_value[rows], 0.0)
        out = np.where(share > 0, share * (value - share @ value), 0.0)
        for part in self.parts:
            donors = comparison.is_treated[rows] == bool(part.arm.arm)
            at = rows[donors]
            out[donors] -= part.sign * part.weights[at] * part.arm.residual[at]
        return out

    def exact_weights(self, comparison: Comparison, rows: Int) -> Float:
        """Return the weights of rows of one segment in the means of their arms that are compared."""
        out = comparison.focal_weight(rows)
        for part in self.parts:
            donors = comparison.is_treated[rows] == bool(part.arm.arm)
            out[donors] = part.weights[rows[donors]]
        return out

    @property
    def df(self) -> Float:
        """Degrees of freedom of each variance, after Satterthwaite."""
        variance = [self.focal_variance, *(np.diag(part.covariance) for part in self.parts)]
        freedom = [np.maximum(self.n_focal - 1.0, 1.0), *(part.freedom for part in self.parts)]
        return np.asarray(satterthwaite(np.transpose(variance), np.transpose(freedom)))


def weighted_effects(
    curves: Curves,
    comparison: Comparison,
    *,
    inference: str = "population",
    groups: Int | None = None,
    penalties: Sequence[Sequence[float]] | None = None,
) -> WeightedEffects:
    """Estimate every segment.

    Parameters
    ----------
    curves : of all rows
    comparison : weights of focal rows and donors
    inference : {"population", "sample"}
    groups : intp codes of shape (n_rows,), default=None
    penalties : four for each donor arm, default=None: chosen by cross-validation
    """
    known = _has_both(comparison)
    parts = tuple(
        _donor_part(curves, comparison, fit_arm(curves, comparison, arm, penalty), known, groups)
        for arm, penalty in zip(
            comparison.donor_arms, penalties or (None,) * len(comparison.donor_arms), strict=True
        )
    )
    value = np.zeros(len(comparison.y))
    for part in parts:
        value += part.sign * part.arm.residual
    effect = np.full(len(known), np.nan)
    for code, rows in _marked(comparison, known):
        effect[code] = _mean_over_focal(comparison, rows, value)
        for part in parts:
            donors = rows[comparison.is_treated[rows] == bool(part.arm.arm)]
            share = comparison.donor_weight(donors)
            effect[code] -= part.sign * float(share @ part.arm.residual[donors])
    n_focal = np.array([np.count_nonzero(comparison.own[rows]) for rows in comparison.rows_of])
    if inference == "sample":
        variance = _focal_noise(curves, comparison, known)
    else:
        variance = np.full(len(known), np.nan)
        for code, rows in _marked(comparison, known):
            variance[code] = _variance_of_mean(comparison, rows, value)
    return WeightedEffects(effect, value, variance, parts, n_focal.astype(np.int64))


def _marked(comparison: Comparison, known: npt.NDArray[np.bool_]) -> Iterator[tuple[int, Int]]:
    """Yield the marked segments and their rows."""
    for code in np.flatnonzero(known).tolist():
        yield code, comparison.rows_of[code]


def _mean_over_focal(comparison: Comparison, rows: Int, value: Float) -> float:
    focal = rows[comparison.own[rows] > 0]
    return float(comparison.focal_weight(focal) @ value[focal])


def _has_both(comparison: Comparison) -> npt.NDArray[np.bool_]:
    """Mark the segments that have rows to average over, and donors for them."""
    return np.array(
        [
            comparison.own[rows].any()
            and all(
                comparison.uses[rows[comparison.is_treated[rows] == bool(arm)]].any()
                for arm in comparison.donor_arms
            )
            for rows in comparison.rows_of
        ],
        dtype=bool,
    )


def _variance_of_mean(comparison: Comparison, rows: Int, value: Float) -> float:
    """Variance of a weighted mean over the focal rows of a segment."""
    focal = rows[comparison.own[rows] > 0]
    share = comparison.focal_weight(focal)
    n = len(focal)
    if n < 2:
        return np.nan
    gaps = share * (value[focal] - share @ value[focal])
    return float(gaps @ gaps) * n / (n - 1)


def _focal_noise(curves: Curves, comparison: Comparison, known: npt.NDArray[np.bool_]) -> Float:
    """Noise of the focal rows around a regression of their own arm, the covariates held fixed.

    It is 0 where both arms are averaged over: what stands for each row is then a fitted value.
    """
    out = np.where(known, 0.0, np.nan)
    if comparison.averages_both_arms:
        return out
    own = fit_arm(curves, comparison, 1 - comparison.donor_arms[0])
    for code, rows in _marked(comparison, known):
        focal = rows[comparison.own[rows] > 0]
        out[code] = comparison.focal_weight(focal) ** 2 @ own.noise[focal]
    return out


def gaps_of_means(
    curves: Curves, comparison: Comparison, arm: int, known: npt.NDArray[np.bool_]
) -> Float:
    """Means of the columns over the focal rows less those over the weighted donors of an arm."""
    out = np.zeros((len(known), curves.n_columns))
    for code, rows in _marked(comparison, known):
        balance = comparison.focal_weight(rows)
        in_arm = comparison.is_treated[rows] == bool(arm)
        balance[in_arm] -= comparison.donor_weight(rows[in_arm])
        start = 0
        for at, values in curves.blocks(rows):
            out[code] += balance[start : start + len(at)] @ values
            start += len(at)
    return out


def _donor_part(
    curves: Curves,
    comparison: Comparison,
    arm: ArmFit,
    known: npt.NDArray[np.bool_],
    groups: Int | None,
) -> DonorPart:
    """Find the exact weights of the donors of an arm, and add up what the variance needs of them."""
    n = len(known)
    gaps = gaps_of_means(curves, comparison, arm.arm, known)
    weights = np.zeros(len(comparison.y))
    covariance, second, fourth = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    sums = None if groups is None else np.zeros((n, int(groups.max()) + 1))
    for code, rows in enumerate(comparison.arm_rows(arm.arm)):
        if len(rows) == 0:
            continue
        directions = arm.fit.directions(code, gaps)
        middle = arm.sums.mean[code] @ directions
        own = comparison.donor_weight(rows) if known[code] else np.zeros(len(rows))
        start = 0
        for at, values in curves.blocks(rows):
            exact = values @ directions - middle
            if comparison.weight is not None:
                exact *= comparison.weight[at][:, None]
            exact[:, code] += own[start : start + len(at)]
            start += len(at)
            weights[at] = exact[:, code]
            square = exact**2
            covariance += (exact * arm.noise[at][:, None]).T @ exact
            second += square.sum(axis=0)
            fourth += (square**2).sum(axis=0)
            if sums is not None and groups is not None:
                np.add.at(sums.T, groups[at], exact * arm.residual[at][:, None])
    covariance[~known], covariance[:, ~known] = np.nan, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return DonorPart(arm, weights, covariance, second**2 / fourth, 1.0 / second, sums)
