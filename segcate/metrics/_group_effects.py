"""Effects of groups of rows, and what follows from them: calibration, equality, order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate._statistics.contrasts import pairwise_matrix
from segcate._statistics.joint_tests import WaldTest, wald_test
from segcate.metrics._group_order import Monotonicity, check_order
from segcate.metrics._scored_rows import (
    ScoredRows,
    clusters_freedom,
    group_means,
    t_quantile,
    two_sided_p,
)

__all__ = ["EffectByGroup", "EffectByQuantile", "GroupCalibration", "estimate_groups"]


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
        df = self.n_units - 1
        return GroupCalibration(
            intercept, slope, intercept_se, slope_se,
            float(two_sided_p(slope / slope_se, df)),
            float(two_sided_p((slope - 1.0) / slope_se, df)),
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

    def _n_clusters(self) -> int | None:
        return self.n_units if self.is_clustered else None


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
        return check_order(
            self.effect,
            self.covariance,
            self.units_in_group,
            self.n_units if self.is_clustered else None,
            self.confidence_level,
        )

    def _columns(self) -> list[str]:
        shown = super()._columns()
        return [shown[0], "low", "high", *shown[1:]]


def estimate_groups(
    rows: ScoredRows, codes: Int, n_groups: int, confidence_level: float, has_prediction: bool
) -> dict[str, Any]:
    """Return all that an `EffectByGroup` holds but the labels. Every group must have a row."""
    means = group_means(rows.psi, codes, n_groups, rows.weight, rows.clusters)
    if has_prediction:
        residual = rows.psi - rows.prediction
        gap = group_means(residual, codes, n_groups, rows.weight, rows.clusters)
        mean_prediction, residual_covariance = means.mean - gap.mean, gap.covariance
    else:
        mean_prediction = np.full(n_groups, np.nan)
        residual_covariance = np.full((n_groups, n_groups), np.nan)
    width = t_quantile(confidence_level, np.maximum(means.n_units - 1, 1)) * means.std_error
    return {
        "n": np.bincount(codes, minlength=n_groups),
        "mean_prediction": mean_prediction,
        "effect": means.mean,
        "std_error": means.std_error,
        "ci_low": means.mean - width,
        "ci_high": means.mean + width,
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
