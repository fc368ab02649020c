"""Profit by the share of rows treated, highest predicted effect first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_number
from segcate._inputs.vectors import as_numbers
from segcate._statistics.intervals import Law
from segcate._statistics.sandwich import unit_factor
from segcate._writing.number_texts import write_number
from segcate.metrics._policy_value import check_costs
from segcate.metrics._scored_rows import ScoredRows, check_rows

_OWNER = "profit_curve"


@dataclass(frozen=True, slots=True)
class ProfitCurve:
    """Profit per row of all rows, by the share that is treated.

    Attributes
    ----------
    share : float64 array of shape (n_points,)
        Share of the weight that is treated: 0, then the end of each block of equal predictions.
    threshold : float64 array of shape (n_points,)
        The point treats rows with a prediction of at least this; infinite at share 0.
    profit, std_error, ci_low, ci_high : float64 arrays of shape (n_points,)
        Profit of the policy "treat from the threshold up", in units of money per row of all rows,
        with pointwise intervals: each is for a threshold named in advance.
    spend : float64 array of shape (n_points,)
        Cost per row of all rows.
    best_idx : int
        Point of largest profit within the budget.
    confidence_level : float
        Of the intervals.
    n_units : int
        Independent rows, or clusters.
    """

    share: Float = field(repr=False)
    threshold: Float = field(repr=False)
    profit: Float = field(repr=False)
    std_error: Float = field(repr=False)
    ci_low: Float = field(repr=False)
    ci_high: Float = field(repr=False)
    spend: Float = field(repr=False)
    best_idx: int
    confidence_level: float
    n_units: int

    @property
    def best_share(self) -> float:
        """Share treated at the best point."""
        return float(self.share[self.best_idx])

    @property
    def best_profit(self) -> float:
        """Profit at the best point: too good, because these rows chose the point."""
        return float(self.profit[self.best_idx])

    @property
    def best_threshold(self) -> float:
        """Prediction from which on rows are treated at the best point; infinite for nobody."""
        return float(self.threshold[self.best_idx])

    def frame(self) -> pd.DataFrame:
        """Return the table, one row a point; `is_best` marks the point that these rows chose."""
        names = ("share", "threshold", "profit", "std_error", "ci_low", "ci_high", "spend")
        table = pd.DataFrame({name: getattr(self, name) for name in names})
        return table.assign(is_best=np.arange(len(table)) == self.best_idx)

    def summary(self) -> str:
        """Describe the best point, and say what its interval is not."""
        at = self.best_idx
        return (
            f"Best point     treat {self.share[at]:.1%} (prediction >= {write_number(self.threshold[at])})\n"
            f"Profit a row   {write_number(self.profit[at])}, {self.confidence_level:.0%} interval "
            f"{write_number(self.ci_low[at])} to {write_number(self.ci_high[at])} for a threshold named in advance\n"
            "Caution        The point was chosen on these rows, so its profit and interval are too "
            "good.\n"
            "               Value the threshold on other rows: policy_value(psi, prediction >= "
            "threshold, cost=cost)"
        )


def profit_curve(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    value: Any = 1.0,
    cost: Any = 0.0,
    budget: float | None = None,
    max_share: float | None = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> ProfitCurve:
    r"""Estimate the profit of treating the rows of highest predicted effect, share by share.

    Use it to see how far down the ranking treatment pays, and to choose a threshold that is then
    valued on other rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        What ranks the rows, highest first: the predicted effect, or, where costs or values differ
        from row to row, `value * predicted effect - cost`. Finite.
    value : float or array-like of shape (n_samples,), default=1.0
        Worth of a unit of y, above 0. For an outcome that should fall hand in `-pseudo_outcome` and
        `-prediction`.
    cost : float or array-like of shape (n_samples,), default=0.0
        Cost of treating a row, in units of money, >= 0.
    budget : float, default=None
        The most that may be spent per row of all rows, >= 0: 10,000 for 50,000 customers is 0.2.
        It limits the best point, not the curve.
    max_share : float, default=None
        The largest share that may be treated, in [0, 1], where capacity is short.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    ProfitCurve
        `frame()` has one row a point; `best_share`, `best_profit` and `best_threshold` are the best
        point within the budget, chosen on these rows, and `summary()` says what that means.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if a value is not positive, a cost or
        the budget negative, or `max_share` outside [0, 1].

    See Also
    --------
    policy_value : Value of one policy, for the rows that did not choose it.
    segcate.model_selection.TargetingPolicy : Chooses a threshold and values it on other rows.

    Notes
    -----
    :math:`\frac{1}{W} \sum_{i: s_i \ge c} w_i (v_i \psi_i - c_i)` at threshold c; with one value and
    cost for all, value times the gain curve less cost times share. Rows of equal prediction are
    treated together; between two points the curve is a straight line. The standard error is that of
    `policy_value` for a threshold named in advance, not for a share: the share treated varies from
    sample to sample. Intervals are pointwise. Of several best points the smallest share is taken.

    Examples
    --------
    >>> from segcate.metrics import profit_curve
    >>> found = profit_curve([3.0, 1.0, -1.0, 1.0], [0.9, 0.7, 0.2, 0.7], cost=0.5)
    >>> found.frame()[["share", "threshold", "profit", "is_best"]]
       share  threshold  profit  is_best
    0   0.00        inf   0.000    False
    1   0.25        0.9   0.625    False
    2   0.75        0.7   0.875     True
    3   1.00        0.2   0.500    False
    """
    check_budget(_OWNER, budget)
    check_share(_OWNER, max_share)
    rows = check_rows(
        _OWNER, pseudo_outcome, prediction, sample_weight, groups, value=value, cost=cost,
        confidence_level=confidence_level,
    )  # fmt: skip
    n_all = len(rows.psi) if rows.is_kept is None else len(rows.is_kept)
    worth = _per_row(check_unit_value(_OWNER, value, n_all), rows)
    costs = _per_row(check_costs(_OWNER, cost, np.empty((n_all, 1))), rows)
    order = np.argsort(-rows.prediction, kind="stable")
    ranked = rows.prediction[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    weight = np.ones(len(ranked)) if rows.weight is None else rows.weight[order]
    clusters = None if rows.clusters is None else rows.clusters[order]
    total = weight.sum()
    gain = weight * (worth * rows.psi - costs)[order]
    share = _from_zero(np.cumsum(weight)[ends] / total)
    share[-1] = 1.0
    profit = _from_zero(np.cumsum(gain)[ends] / total)
    spend = _from_zero(np.cumsum(weight * costs[order])[ends] / total)
    std_error = _from_zero(_std_errors(gain, weight, clusters, ends, profit[1:]))
    low, high = Law(rows.n_units - 1).interval(profit, std_error, confidence_level)
    return ProfitCurve(
        share=share,
        threshold=np.append(np.inf, ranked[ends]),
        profit=profit,
        std_error=std_error,
        ci_low=low,
        ci_high=high,
        spend=spend,
        best_idx=_best(profit, share, spend, budget, max_share),
        confidence_level=float(confidence_level),
        n_units=rows.n_units,
    )


def _per_row(values: Float, rows: ScoredRows) -> Float:
    """Return one value for every row that counts."""
    values = values.reshape(-1) if values.ndim == 2 else values
    if values.ndim == 0:
        return np.full(rows.n_rows, float(values))
    kept: Float = rows.keep(values)
    return kept


def _from_zero(values: Float) -> Float:
    return np.append(0.0, values)


def _std_errors(
    gain: Float, weight: Float, clusters: Int | None, ends: Int, profit: Float
) -> Float:
    """Return the standard error of the mean gain of all rows, when those after each end gain 0.

    The sum of squares of unit sums is built up row by row in rank order.
    """
    if clusters is None:
        before, of_unit, n_units = np.zeros(len(gain)), weight, len(gain)
        squares = float(weight @ weight)
    else:
        mass = np.bincount(clusters, weights=weight).astype(np.float64)
        before, of_unit, n_units = _running(gain, clusters), mass[clusters], len(mass)
        squares = float(mass @ mass)
    own = np.cumsum(gain * (2.0 * before + gain))[ends]
    crossed = np.cumsum(gain * of_unit)[ends]
    variance = own - 2.0 * profit * crossed + profit**2 * squares
    variance = np.maximum(variance, 0.0) * unit_factor(n_units)
    spread: Float = np.sqrt(variance) / weight.sum()
    return spread


def _running(gain: Float, clusters: Int) -> Float:
    """Return for each row the sum of the rows before it in its cluster."""
    order = np.argsort(clusters, kind="stable")
    sums = np.cumsum(gain[order]) - gain[order]
    first = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 1))
    before = np.empty(len(gain))
    before[order] = sums - sums[first][clusters[order]]
    return before


def _best(
    profit: Float, share: Float, spend: Float, budget: float | None, max_share: float | None
) -> int:
    """Return the point of largest profit that the budget allows; share 0 always is one."""
    allowed = np.ones(len(profit), dtype=bool)
    if budget is not None:
        allowed &= spend <= budget * (1.0 + 1e-12)
    if max_share is not None:
        allowed &= share <= max_share * (1.0 + 1e-12)
    return int(np.argmax(np.where(allowed, profit, -np.inf)))


def check_unit_value(owner: str, value: Any, n_rows: int) -> Float:
    """Check the worth of a unit of y: one number, or one a row, above 0."""
    values = as_numbers(owner, "`value`", np.asarray(value), "numbers above 0")
    if values.shape not in ((), (n_rows,)):
        raise ValueError(
            f"{owner}: `value` must be one number, or one for each of the {n_rows} rows; got shape "
            f"{values.shape}."
        )
    n_bad = int((~((values > 0) & np.isfinite(values))).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: `value` must be finite and above 0; {n_bad} of {values.size} are not. For an "
            "outcome that should fall, change the sign of y (or of scores and predictions)."
        )
    return values


def check_budget(owner: str, budget: Any) -> None:
    """Raise unless the budget is None or a finite number of at least 0."""
    check_number(
        owner, "budget", budget, least=0, optional=True,
        advice="It is money per row of all rows: divide a total by the number of rows.",
    )  # fmt: skip


def check_share(owner: str, max_share: Any) -> None:
    """Raise unless the largest share is None or a number in [0, 1]."""
    check_number(
        owner, "max_share", max_share, least=0, most=1, optional=True,
        advice="0.2 treats at most a fifth of the rows; None means no limit.",
    )  # fmt: skip
