"""Best linear prediction of the effect: does the predicted effect predict the effect.

Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Econometrica, 93(4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate._inputs.groups import refuse_groups_that_are_arms
from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_propensity, check_vector
from segcate._statistics.intervals import Law
from segcate._statistics.least_squares import least_squares
from segcate._statistics.sandwich import (
    FULL_LEVERAGE,
    cluster_factor,
    cluster_scores,
    row_factor,
    row_scores,
)
from segcate.metrics._scored_rows import ScoredRows, check_rows

StdError = Literal["hc3", "hc1", "const"]
BlpStrategy = Literal["weighted", "horvitz-thompson", "residual"]

# Values that differ by this share of their size differ by rounding.
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class BestLinearPrediction:
    """Average effect, and slope of the effect on the predicted effect.

    Attributes
    ----------
    ate, ate_std_error, ate_ci_low, ate_ci_high, ate_p_value : float
        Average effect at the mean prediction, in units of y; p-value of "it is 0".
    slope, slope_std_error, slope_ci_low, slope_ci_high : float
        Rise of the effect for a rise of the prediction by 1: 1 when calibrated, 0 when predictions
        tell nothing. NaN where every row has the same prediction, but for rounding.
    p_slope_zero, p_slope_one : float
        Two-sided p-values of "slope is 0" and "slope is 1".
    df : int
        Degrees of freedom of the t law.
    confidence_level : float
        Of the intervals.
    """

    ate: float
    ate_std_error: float
    ate_ci_low: float
    ate_ci_high: float
    ate_p_value: float
    slope: float
    slope_std_error: float
    slope_ci_low: float
    slope_ci_high: float
    p_slope_zero: float
    p_slope_one: float
    df: int
    confidence_level: float

    def frame(self) -> pd.DataFrame:
        """Return the table: rows `ate` and `slope`."""
        return pd.DataFrame(
            {
                "estimate": [self.ate, self.slope],
                "std_error": [self.ate_std_error, self.slope_std_error],
                "ci_low": [self.ate_ci_low, self.slope_ci_low],
                "ci_high": [self.ate_ci_high, self.slope_ci_high],
                "p_zero": [self.ate_p_value, self.p_slope_zero],
                "p_one": [np.nan, self.p_slope_one],
            },
            index=pd.Index(["ate", "slope"], name="term"),
        )


def blp(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    std_error: StdError = "hc3",
    confidence_level: float = 0.95,
) -> BestLinearPrediction:
    r"""Regress effect scores on the predicted effect: average effect and calibration slope.

    Use it to test whether a model found any heterogeneity (slope 0) and whether its predictions are
    too bold (slope below 1) or too timid (above 1). Predictions must come from other rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two: "hc1" and "hc3" are then those of
        clusters.
    std_error : {"hc3", "hc1", "const"}, default="hc3"
        Robust covariance ("hc3" leaves each row, or cluster, out in turn), or one error variance for
        all rows.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    BestLinearPrediction
        With `ate`, `slope`, standard errors, intervals and p-values; `frame()`.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if all effect scores are the same; if there
        are fewer than three rows (or two groups); with "hc3", if a single row or group decides the slope alone.

    See Also
    --------
    blp_from_outcome : From outcome, treatment and propensity, without effect scores.

    Notes
    -----
    Weighted least squares of :math:`\psi_i` on :math:`1, s_i - \bar s`, s the prediction: the
    intercept is the average effect, the slope :math:`\mathrm{cov}(\tau, s) / \mathrm{var}(s)`.
    Slope 1 says that effects rise one for one with predictions, not that their level is right; that
    is `calibration_error`. t law with n - 2 degrees of freedom, or clusters - 1.

    References
    ----------
    Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Fisher-Schultz lecture:
    generic machine learning inference on heterogeneous treatment effects in randomized experiments.
    Econometrica, 93(4), 1121-1164. doi:10.3982/ECTA19303

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import blp
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=1000)
    >>> found = blp(effect + rng.normal(size=1000), 2 * effect)   # predictions twice too bold
    >>> round(found.slope, 2), round(found.slope_std_error, 2), found.p_slope_one < 0.001
    (0.53, 0.02, True)
    """
    owner = "blp"
    _check_std_error(owner, std_error, is_clustered=groups is not None)
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, confidence_level=confidence_level
    )
    _check_enough(owner, rows, 2)
    _refuse_same(owner, "pseudo_outcome", rows.psi)
    centred = _centred(rows)
    ones = np.ones(rows.n_rows)
    columns = np.column_stack([ones] if centred is None else [ones, centred])
    line = _fit_line(owner, columns, rows.psi, rows.weight, rows.clusters, std_error)
    return _result(line, 0, centred is not None, confidence_level)


def blp_from_outcome(
    y: Any,
    prediction: Any,
    *,
    treatment: Any,
    propensity: Any,
    baseline: Any,
    strategy: BlpStrategy = "weighted",
    sample_weight: Any = None,
    groups: Any = None,
    std_error: StdError = "hc3",
    confidence_level: float = 0.95,
) -> BestLinearPrediction:
    r"""Estimate average effect and calibration slope from the outcome itself.

    Use it to reproduce GenericML ("weighted", "horvitz-thompson") or grf's `test_calibration`
    ("residual"). Otherwise `blp` on effect scores is simpler and as good.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    propensity : array-like of shape (n_samples,), inside (0, 1)
        Chance of treatment e of each row.
    baseline : array-like of shape (n_samples,)
        Predicted outcome: without treatment, B, for "weighted" and "horvitz-thompson"; of all,
        m(x) = E[y | x], for "residual".
    strategy : {"weighted", "horvitz-thompson", "residual"}, default="weighted"
        Regression to run; see Notes. The first two are for experiments, where e is known; the last
        one is also for observational data, with e and m fitted on other rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two: "hc1" and "hc3" are then those of
        clusters.
    std_error : {"hc3", "hc1", "const"}, default="hc3"
        Robust covariance, or one error variance for all rows.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    BestLinearPrediction
        With `ate`, `slope`, standard errors, intervals and p-values; `frame()`.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, if a propensity is 0 or 1, if all rows
        have the same outcome, or the same residual with "residual", if one arm is empty, or if there are too few rows.

    See Also
    --------
    blp : On effect scores.

    Notes
    -----
    With s the prediction, :math:`H = (t - e) / (e (1 - e))`, and coefficients in front of what
    gives `ate` and `slope`:

    * "weighted": y on 1, B, :math:`t - e`, :math:`(t - e)(s - \bar s)`, weights
      :math:`1 / (e (1 - e))`;
    * "horvitz-thompson": y H on 1, B H, :math:`s - \bar s`;
    * "residual": :math:`y - m` on :math:`t - e` and :math:`(t - e)(s - \bar s)`, no intercept. The
      "mean prediction" of grf is `ate` divided by the mean prediction.

    A column of the baseline that is constant is left out of the regression. std_error="const" with "weighted" is the
    textbook covariance of weighted least squares; GenericML's differs where e does.

    References
    ----------
    Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Econometrica, 93(4),
    1121-1164. doi:10.3982/ECTA19303
    Athey, S., & Wager, S. (2019). Estimating treatment effects with causal forests: an application.
    Observational Studies, 5(2), 37-51. doi:10.1353/obs.2019.0001

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import blp_from_outcome
    >>> rng = np.random.default_rng(0)
    >>> effect, treatment = rng.normal(size=2000), rng.integers(0, 2, 2000)
    >>> y = treatment * effect + rng.normal(size=2000)
    >>> half = np.full(2000, 0.5)
    >>> found = blp_from_outcome(y, effect, treatment=treatment, propensity=half, baseline=0 * y)
    >>> print(round(found.slope, 1), found.p_slope_zero < 0.001)
    1.0 True
    """
    owner = "blp_from_outcome"
    check_option(owner, "strategy", strategy, get_args(BlpStrategy))
    _check_std_error(owner, std_error, is_clustered=groups is not None)
    rows = check_rows(
        owner, y, prediction, sample_weight, groups, name="y", treatment=treatment,
        propensity=propensity, baseline=baseline, confidence_level=confidence_level,
    )  # fmt: skip
    arm, chance, expected = (
        rows.keep(values) for values in _design(owner, y, treatment, propensity, baseline)
    )
    if arm.min() == arm.max():
        raise ValueError(
            f"{owner}: all {rows.n_rows} rows with weight above 0 are "
            f"{'treated' if arm[0] else 'control'}; an effect needs both arms."
        )
    refuse_groups_that_are_arms(owner, rows.clusters, arm)
    _check_enough(owner, rows, 4)
    _refuse_same(owner, "y", rows.psi)
    if strategy == "residual":
        _refuse_same(owner, "y - baseline", rows.psi - expected)
    centred = _centred(rows)
    target, weight, columns, position = _regression(
        strategy, rows, arm - chance, chance, expected, centred
    )
    line = _fit_line(owner, columns, target, weight, rows.clusters, std_error)
    return _result(line, position, centred is not None, confidence_level)


def _design(
    owner: str, y: Any, treatment: Any, propensity: Any, baseline: Any
) -> tuple[Float, Float, Float]:
    """Check what the regressions need beside the outcome and the prediction."""
    for name, values in (("propensity", propensity), ("baseline", baseline)):
        if values is None:
            raise ValueError(
                f"{owner}: `{name}` is None, and the regression needs it. Pass one value for every "
                "row, fitted on other rows; or use blp on effect scores."
            )
    arm = check_treatment(owner, treatment, y).astype(np.float64)
    chance = np.asarray(check_propensity(owner, propensity, y), dtype=np.float64)
    return arm, chance, check_vector(owner, "baseline", baseline, y)


def _regression(
    strategy: BlpStrategy,
    rows: ScoredRows,
    residual: Float,
    chance: Float,
    expected: Float,
    centred: Float | None,
) -> tuple[Float, Float | None, Float, int]:
    """Return target, weights, columns and the position of the average effect among them."""
    variance = chance * (1.0 - chance)
    if strategy == "residual":
        effect = [residual] if centred is None else [residual, residual * centred]
        return rows.psi - expected, rows.weight, np.column_stack(effect), 0
    ones = np.ones(rows.n_rows)
    if strategy == "weighted":
        weight = 1.0 / variance if rows.weight is None else rows.weight / variance
        controls = [ones, *_varying(expected)]
        effect = [residual] if centred is None else [residual, residual * centred]
        return rows.psi, weight, np.column_stack([*controls, *effect]), len(controls)
    ht = residual / variance
    controls = _varying(expected * ht)
    effect = [ones] if centred is None else [ones, centred]
    return rows.psi * ht, rows.weight, np.column_stack([*controls, *effect]), len(controls)


def _varying(column: Float) -> list[Float]:
    """Return the column; nothing where it is constant, as the intercept is."""
    return [] if np.ptp(column) <= 1e-12 * np.abs(column).max() else [column]


def _centred(rows: ScoredRows) -> Float | None:
    """Return the predictions less their mean; None where they are all the same."""
    if _are_same(rows.prediction):
        return None
    # twice: the mean of numbers far from 0 is rounded, that of numbers around 0 is not
    near: Float = rows.prediction - rows.mean(rows.prediction)
    centred: Float = near - rows.mean(near)
    return centred


def _are_same(values: Float) -> bool:
    """Tell whether all values are one, but for rounding."""
    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max())


def _refuse_same(owner: str, name: str, values: Float) -> None:
    """Refuse a target without noise: its slope would be 0 with a standard error of 0."""
    if _are_same(values):
        raise ValueError(
            f"{owner}: `{name}` is {values[0]:.6g} in all {len(values)} rows with weight above 0, so no standard error "
            "can be told. Pass values that differ between rows, such as those of effect_scores for blp."
        )


def _check_enough(owner: str, rows: ScoredRows, n_columns: int) -> None:
    if rows.n_rows <= n_columns:
        raise ValueError(
            f"{owner}: {rows.n_rows} rows with weight above 0 for {n_columns} coefficients; at "
            f"least {n_columns + 1} are needed. Use more rows."
        )


def _result(
    line: _Line, position: int, has_slope: bool, confidence_level: float
) -> BestLinearPrediction:
    """Read the average effect and the slope, its next coefficient, off the regression."""
    spread = np.sqrt(np.diag(line.covariance).clip(0))
    ate, ate_se = float(line.coefficients[position]), float(spread[position])
    slope = slope_se = float("nan")
    if has_slope:
        slope, slope_se = float(line.coefficients[position + 1]), float(spread[position + 1])
    law = Law(line.df)
    (low, high), (slope_low, slope_high) = (
        map(float, law.interval(value, error, confidence_level))
        for value, error in ((ate, ate_se), (slope, slope_se))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = [
            float(law.two_sided_p(np.float64(gap) / error))
            for gap, error in ((ate, ate_se), (slope, slope_se), (slope - 1.0, slope_se))
        ]
    return BestLinearPrediction(
        ate, ate_se, low, high, p_values[0], slope, slope_se, slope_low, slope_high,
        p_values[1], p_values[2], line.df, float(confidence_level),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    """Coefficients and their covariance.

    Attributes
    ----------
    coefficients : float64 array of shape (n_columns,)
    covariance : float64 array of shape (n_columns, n_columns)
    df : degrees of freedom for t: units - columns for rows, clusters - 1 for clusters
    """

    coefficients: Float
    covariance: Float
    df: int


def _check_std_error(owner: str, std_error: str, *, is_clustered: bool) -> None:
    """Raise unless the standard error is known and takes clusters where there are some."""
    check_option(owner, "std_error", std_error, get_args(StdError))
    if std_error == "const" and is_clustered:
        raise ValueError(
            f"{owner}: std_error='const' takes all rows as independent, and `groups` says that they "
            "are not. Use std_error='hc3' or 'hc1' (for clusters then), or leave `groups` out."
        )


def _fit_line(
    owner: str,
    columns: Float,
    y: Float,
    weight: Float | None,
    clusters: Int | None,
    std_error: StdError,
) -> _Line:
    """Regress y on columns; HC1 and HC3 are those of clusters where there are any.

    HC3 for clusters leaves each out in turn (CR3); with clusters of one row it is HC3 times
    (n - 1) / n.
    """
    fit = least_squares(columns, y, weight)
    if not fit.kept.all():
        raise ValueError(
            f"{owner}: prediction and baseline leave columns of the regression that are combinations "
            "of each other, so their coefficients cannot be told apart. Pass another baseline."
        )
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    X, residual = columns * root[:, None], (y - columns @ fit.coef) * root
    n, k = X.shape
    if std_error == "const":
        return _Line(fit.coef, fit.bread * (residual @ residual) / (n - k), n - k)
    leaves_out = std_error == "hc3"
    if clusters is None:
        scores, leverages = row_scores(X, residual, fit.bread, std_error)
        leverage, unit, df = float(leverages.max()), "row", n - k
        factor = row_factor(std_error, n, k)
    else:
        scores, leverage = cluster_scores(X, residual, fit.bread, clusters, leaves_out=leaves_out)
        unit, df = "group", len(scores) - 1
        factor = cluster_factor(len(scores), n, k, leaves_out=leaves_out)
    if leaves_out:
        _refuse_full(owner, leverage, unit)
    return _Line(fit.coef, factor * (scores.T @ scores), df)


def _refuse_full(owner: str, leverage: float, unit: str) -> None:
    if leverage > FULL_LEVERAGE:
        raise ValueError(
            f"{owner}: one {unit} alone decides a coefficient (leverage {leverage:.6f}), so "
            f"std_error='hc3' is not defined. Use std_error='hc1', or more {unit}s with predictions "
            "that differ."
        )
