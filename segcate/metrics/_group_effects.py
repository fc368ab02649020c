"""Effects of groups of rows, and what follows from them: calibration, equality, order.

Robertson, T., Wright, F. T., & Dykstra, R. L. (1988). Order restricted statistical inference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from segcate._inputs.arrays import Float, Int
from segcate._statistics.contrasts import pairwise_matrix
from segcate._statistics.intervals import Law
from segcate._statistics.joint_tests import WaldTest, wald_test
from segcate.metrics._group_means import clusters_freedom, group_means, welch_freedom
from segcate.metrics._scored_rows import ScoredRows

# Draws, and their seed, behind the chance of a violation of the order.
_N_DRAWS = 9_999
_SEED = 0
_ROUNDING = 1e-20


@dataclass(frozen=True, slots=True)
class GroupCalibration:
    """Do mean predictions of groups agree with their estimated effects.

    Attributes
    ----------
    intercept, slope : float
        Of the estimated effects on the mean predictions; 0 and 1 when calibrated. NaN where all
        groups have the same mean prediction.
    intercept_std_error, slope_std_error : float
        Their standard errors.
    p_slope_zero, p_slope_one : float
        Two-sided p-values of "slope is 0" (predictions tell nothing) and "slope is 1".
    statistic, df, p_value : float, int, float
        Joint test that every group's effect equals its mean prediction.
    """

    intercept: float
    slope: float
    intercept_std_error: float
    slope_std_error: float
    p_slope_zero: float
    p_slope_one: float
    statistic: float
    df: int
    p_value: float


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


@dataclass(frozen=True)
class EffectByGroup:
    """Effect of each group of rows.

    Attributes
    ----------
    group : array of shape (n_groups,)
        Label of each group, sorted.
    n : int array of shape (n_groups,)
        Rows with weight above 0.
    mean_prediction : float64 array of shape (n_groups,)
        Mean predicted effect; NaN where no prediction was given.
    effect, std_error, ci_low, ci_high : float64 arrays of shape (n_groups,)
        Mean effect score, in units of y, and its interval. NaN where a group is a single unit.
    confidence_level : float
        Of the intervals.
    n_units : int
        Independent rows, or clusters, in all groups together.
    is_clustered : bool
        Whether standard errors are those of clusters.
    covariance, residual_covariance : float64 arrays of shape (n_groups, n_groups)
        Of the effects, and of the differences between effect and mean prediction.
    units_in_group : int array of shape (n_groups,)
        Independent rows, or clusters, in each group.
    """

    group: npt.NDArray[Any]
    n: Int
    mean_prediction: Float
    effect: Float
    std_error: Float
    ci_low: Float
    ci_high: Float
    confidence_level: float
    n_units: int
    is_clustered: bool
    covariance: Float = field(repr=False)
    residual_covariance: Float = field(repr=False)
    units_in_group: Int = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Return the table: one row a group."""
        columns = {name: getattr(self, name) for name in self._columns()}
        return pd.DataFrame(columns, index=pd.Index(self.group, name="group"))

    def heterogeneity(self) -> WaldTest:
        """Test that all groups have the same effect.

        Returns
        -------
        WaldTest
            With `statistic`, `df` and `p_value`: Welch's law, or Hotelling's where clusters reach
            into several groups. Groups without a standard error are left out.
        """
        known = self._known()
        matrix = pairwise_matrix(int(known.sum()))
        return self._wald_test(self.effect, self.covariance, matrix)

    def calibration(self) -> GroupCalibration:
        """Compare the mean predictions of the groups with their effects.

        Returns
        -------
        GroupCalibration
            Line through the points (mean prediction, effect), weighted by 1 / std_error^2, with
            standard errors that allow for dependent groups; and the joint test that all points lie
            on the diagonal. Groups without a standard error are left out.

        Raises
        ------
        ValueError
            If no prediction was given.
        """
        if np.isnan(self.mean_prediction).any():
            raise ValueError(
                "EffectByGroup.calibration: the groups have no mean predictions. Pass "
                "`prediction=` to effect_by_group."
            )
        known = self._known()
        block = np.ix_(known, known)
        joint = self._wald_test(
            self.effect - self.mean_prediction, self.residual_covariance, np.eye(int(known.sum()))
        )
        line = _fit_line(self.mean_prediction[known], self.effect[known], self.covariance[block])
        (intercept, slope), (intercept_se, slope_se) = line
        law = Law(self.n_units - 1)
        return GroupCalibration(
            intercept, slope, intercept_se, slope_se,
            float(law.two_sided_p(slope / slope_se)),
            float(law.two_sided_p((slope - 1.0) / slope_se)),
            joint.statistic, joint.df, joint.p_value,
        )  # fmt: skip

    def _columns(self) -> list[str]:
        shown = ["n", "mean_prediction", "effect", "std_error", "ci_low", "ci_high"]
        return shown if np.isfinite(self.mean_prediction).all() else [shown[0], *shown[2:]]

    def _known(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.std_error > 0)

    def _wald_test(self, effect: Float, covariance: Float, matrix: Float) -> WaldTest:
        """Test combinations of the groups that have a standard error."""
        known = self._known()
        units, spread = self.units_in_group[known], covariance[np.ix_(known, known)]
        is_tied = bool((spread != np.diag(np.diag(spread))).any())
        return wald_test(
            effect[known],
            spread if is_tied else np.diag(spread),
            matrix,
            df=units - 1,
            group_df=clusters_freedom(units, self.n_units) if is_tied else None,
        )


@dataclass(frozen=True)
class EffectByQuantile(EffectByGroup):
    """Effect of each quantile group of the predicted effect, from lowest to highest.

    Beside the attributes of `EffectByGroup` (`group` numbers the quantile groups from 1, the lowest
    predicted effects):

    Attributes
    ----------
    low, high : float64 arrays of shape (n_groups,)
        Smallest and largest prediction in the group.
    """

    low: Float = field(kw_only=True)
    high: Float = field(kw_only=True)

    def monotonicity(self) -> Monotonicity:
        """Test whether effects rise with the predictions.

        Returns
        -------
        Monotonicity
            Kendall's tau of group number and effect (a coarse description: five groups allow eleven
            values), the effect of the top group less that of the bottom group with a one-sided
            test, and a test for groups that are out of order.
        """
        n_clusters = self.n_units if self.is_clustered else None
        return _check_order(
            self.effect, self.covariance, self.units_in_group, n_clusters, self.confidence_level
        )

    def _columns(self) -> list[str]:
        shown = super()._columns()
        return [shown[0], "low", "high", *shown[1:]]


def estimate_groups(
    rows: ScoredRows, codes: Int, n_groups: int, confidence_level: float, has_prediction: bool
) -> dict[str, Any]:
    """Return the fields of an `EffectByGroup` but its labels. Every group must have a row."""
    means = group_means(rows.psi, codes, n_groups, rows.weight, rows.clusters)
    if has_prediction:
        residual = rows.psi - rows.prediction
        gap = group_means(residual, codes, n_groups, rows.weight, rows.clusters)
        mean_prediction, residual_covariance = means.mean - gap.mean, gap.covariance
    else:
        mean_prediction = np.full(n_groups, np.nan)
        residual_covariance = np.full((n_groups, n_groups), np.nan)
    law = Law(np.maximum(means.n_units - 1, 1))
    low, high = law.interval(means.mean, means.std_error, confidence_level)
    return {
        "n": np.bincount(codes, minlength=n_groups),
        "mean_prediction": mean_prediction,
        "effect": means.mean,
        "std_error": means.std_error,
        "ci_low": low,
        "ci_high": high,
        "confidence_level": float(confidence_level),
        "n_units": rows.n_units,
        "is_clustered": rows.clusters is not None,
        "covariance": means.covariance,
        "residual_covariance": residual_covariance,
        "units_in_group": means.n_units,
    }


def _fit_line(x: Float, y: Float, covariance: Float) -> tuple[list[float], list[float]]:
    """Fit y on x by least squares weighted by 1 / variance; NaN where x does not vary."""
    nothing = [np.nan, np.nan]
    if len(x) < 2 or np.ptp(x) <= 1e-12 * np.abs(x).max():
        return nothing, nothing
    weight = 1.0 / np.diag(covariance)
    design = np.column_stack([np.ones(len(x)), x])
    solve = np.linalg.solve(design.T @ (design * weight[:, None]), (design * weight[:, None]).T)
    coefficients = solve @ y
    spread = np.sqrt(np.diag(solve @ covariance @ solve.T))
    return coefficients.tolist(), spread.tolist()


def _check_order(
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
    law = Law(welch_freedom(variance, units_in_group[[0, -1]], n_clusters))
    low, high = law.interval(difference, std_error, confidence_level)
    violation, p_violation = _violation(effect, covariance)
    return Monotonicity(
        kendall_tau=float(stats.kendalltau(np.arange(len(effect)), effect).statistic),
        difference=difference,
        std_error=std_error,
        ci_low=float(low),
        ci_high=float(high),
        p_value=float(law.one_sided_p(difference / std_error)) if std_error > 0 else float("nan"),
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

    Distances within rounding of 0 are 0, so that all rising sequences are alike.
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
