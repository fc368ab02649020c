"""Turn predicted effects into a rule of whom to treat, within a budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_option
from segcate.metrics._policy_value import check_costs
from segcate.metrics._profit_curve import check_budget, check_share, check_unit_value

# Prices are found by halving an interval this often: to the last bits of a float64.
_N_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class TargetingRule:
    """Give each row the arm of largest net benefit, where that is above the margin.

    Attributes
    ----------
    value : float
        Worth of a unit of y.
    cost : float64 array of shape (n_arms - 1,)
        Cost of each arm beside control.
    price : float
        What a unit of money costs beyond itself when arms are compared: 0 unless a budget binds and
        there are several arms.
    margin : float
        Net benefit that a row must exceed; 0 unless limits bind or a threshold was searched.
    """

    value: float
    cost: Float
    price: float
    margin: float

    def best(self, effects: Float) -> tuple[Int, Float]:
        """Return the best arm (from 1) of each row, and its net benefit at the price."""
        net = self.value * effects - (1.0 + self.price) * self.cost
        arm = np.argmax(net, axis=1)
        return arm + 1, net[np.arange(len(net)), arm]

    def assign(self, effects: Float) -> Int:
        """Return the arm of each row, 0 for control."""
        arm, benefit = self.best(effects)
        return np.where(benefit > self.margin, arm, 0).astype(np.intp)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rule may use at most, per row of all rows.

    Attributes
    ----------
    budget : money, infinite for no limit
    max_share : share of rows
    """

    budget: float
    max_share: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rules are made of predicted effects.

    Attributes
    ----------
    value : worth of a unit of y
    cost : float64 array of shape (n_arms - 1,), cost of each arm beside control
    limits : what a rule may use
    searches_profit : whether the threshold is where the profit on effect scores is largest
    """

    value: float
    cost: Float
    limits: Limits
    searches_profit: bool

    @property
    def sees_rows(self) -> bool:
        """Tell whether a rule depends on the predictions of the rows that choose it."""
        is_limited = np.isfinite(self.limits.budget) or self.limits.max_share < 1
        return bool(is_limited) or self.searches_profit

    def choose(self, effects: Float, weight: Float, psi: Float | None) -> TargetingRule:
        """Choose the rule for some rows."""
        searched = psi if self.searches_profit else None
        return choose_rule(effects, weight, self.value, self.cost, self.limits, searched)


def check_recipe(
    owner: str,
    *,
    value: Any,
    cost: Any,
    budget: Any,
    max_share: Any,
    threshold: Any,
    n_arms: int,
) -> Recipe:
    """Check what rules are made by."""
    check_option(owner, "threshold", threshold, ("cost", "profit"))
    check_budget(owner, budget)
    check_share(owner, max_share)
    check_unit_value(owner, value, n_rows=0)
    costs = check_costs(owner, cost, np.empty((1, n_arms - 1)))
    costs = np.array(np.broadcast_to(costs, (1, n_arms - 1)).ravel())
    if budget is not None and not costs.any():
        raise ValueError(
            f"{owner}: `budget` limits what is spent, and with cost=0 nothing is. Set `cost`, or "
            "limit the share of rows by `max_share`."
        )
    limits = Limits(
        np.inf if budget is None else float(budget),
        1.0 if max_share is None else float(max_share),
    )
    return Recipe(float(value), costs, limits, threshold == "profit")


def choose_rule(
    effects: Float,
    weight: Float,
    value: float,
    cost: Float,
    limits: Limits,
    psi: Float | None = None,
) -> TargetingRule:
    """Choose price and margin so that the rows given stay within the limits.

    Rows are taken in the order of their net benefit, those of equal benefit together, as long as
    they fit. Without effect scores they must promise a benefit above 0; with `psi` the depth is that
    of largest profit on the effect scores.
    """
    price = _price(effects, weight, value, cost, limits.budget)
    arm, benefit = TargetingRule(value, cost, price, 0.0).best(effects)
    order = np.argsort(-benefit, kind="stable")
    ranked, mass = benefit[order], weight[order] / weight.sum()
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    share = np.cumsum(mass)[ends]
    spend = np.cumsum(mass * cost[arm[order] - 1])[ends]
    slack = 1.0 + 1e-12
    fits = (share <= limits.max_share * slack) & (spend <= limits.budget * slack)
    if psi is None:
        n_blocks = int((fits & (ranked[ends] > 0)).sum())
        floor = 0.0
    else:
        gain = value * psi[np.arange(len(psi)), arm - 1] - cost[arm - 1]
        profit = np.append(0.0, np.cumsum(mass * gain[order])[ends])
        n_blocks = int(np.argmax(np.where(np.append(True, fits), profit, -np.inf)))
        floor = -np.inf
    margin = ranked[ends[n_blocks]] if n_blocks < len(ends) else -np.inf
    return TargetingRule(value, cost, price, float(max(margin, floor)))


def _price(effects: Float, weight: Float, value: float, cost: Float, budget: float) -> float:
    """Return the least price at which the best arms of all rows cost no more than the budget."""
    if len(cost) == 1 or not (cost > 0).any() or np.isinf(budget):
        return 0.0

    def is_affordable(price: float) -> bool:
        rule = TargetingRule(value, cost, price, 0.0)
        arm = rule.assign(effects)
        spent = np.append(0.0, cost)[arm] @ weight / weight.sum()
        return bool(spent <= budget * (1.0 + 1e-12))

    if is_affordable(0.0):
        return 0.0
    dear = cost > 0
    low, high = 0.0, float((value * effects[:, dear] / cost[dear]).max())
    for _ in range(_N_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if is_affordable(middle) else (middle, high)
    return high
