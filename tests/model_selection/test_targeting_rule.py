"""The rule behind a targeting policy: margins, limits, several arms and the price of a budget."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.model_selection._targeting_rule import Limits, TargetingRule, choose_rule
from tests.helpers.naive_groups import best_plan

FREE = Limits(np.inf, 1.0)


def choose(effects, cost=0.0, limits=FREE, value=1.0, psi=None, weight=None):
    effects = np.asarray(effects, dtype=float)
    effects = effects[:, None] if effects.ndim == 1 else effects
    costs = np.broadcast_to(np.asarray(cost, dtype=float), effects.shape[1]).copy()
    weight = np.ones(len(effects)) if weight is None else np.asarray(weight, dtype=float)
    psi = None if psi is None else np.asarray(psi, dtype=float).reshape(len(effects), -1)
    rule = choose_rule(effects, weight, value, costs, limits, psi)
    return rule, rule.assign(effects)


def test_without_limits_everyone_who_gains_is_treated():
    rule, arms = choose([3.0, 1.0, 0.5, 0.0, -1.0], cost=0.5)
    assert arms.tolist() == [1, 1, 0, 0, 0]
    assert (rule.margin, rule.price) == (0, 0)
    assert choose([3.0, 1.0, 0.5], cost=0.5, value=0.4)[1].tolist() == [1, 0, 0]


def test_limits_take_the_rows_of_largest_benefit():
    effects = [1.0, 4.0, 2.0, 3.0]
    assert choose(effects, 0.5, Limits(np.inf, 0.5))[1].tolist() == [0, 1, 0, 1]
    assert choose(effects, 0.5, Limits(0.25, 1.0))[1].tolist() == [0, 1, 0, 1]
    assert choose(effects, 0.5, Limits(0.30, 1.0))[1].tolist() == [0, 1, 0, 1]
    assert choose(effects, 0.5, Limits(0.0, 1.0))[1].tolist() == [0, 0, 0, 0]
    assert choose(effects, 0.5, Limits(np.inf, 0.0))[1].tolist() == [0, 0, 0, 0]
    assert choose(effects, 0.5, Limits(9.0, 1.0))[1].tolist() == [1, 1, 1, 1]


def test_rows_that_tie_are_treated_together_or_not_at_all():
    effects = [2.0, 1.0, 1.0, 1.0]
    assert choose(effects, 0.0, Limits(np.inf, 0.75))[1].tolist() == [1, 0, 0, 0]
    assert choose(effects, 0.0, Limits(np.inf, 1.0))[1].tolist() == [1, 1, 1, 1]


def test_weights_count_towards_the_limit():
    effects, weight = [3.0, 2.0, 1.0], [2.0, 1.0, 1.0]
    assert choose(effects, 0.0, Limits(np.inf, 0.5), weight=weight)[1].tolist() == [1, 0, 0]
    assert choose(effects, 0.0, Limits(np.inf, 0.75), weight=weight)[1].tolist() == [1, 1, 0]


def test_profit_decides_the_depth_when_effect_scores_are_given():
    # The predictions are too timid for the third row and too bold for the second.
    effects = [0.3, 0.2, 0.1, -0.1]
    assert choose(effects, 0.15)[1].tolist() == [1, 1, 0, 0]
    assert choose(effects, 0.15, psi=[1.0, 1.0, 1.0, -5.0])[1].tolist() == [1, 1, 1, 0]
    assert choose(effects, 0.15, psi=[1.0, -1.0, 0.0, 0.0])[1].tolist() == [1, 0, 0, 0]
    assert choose(effects, 0.15, psi=[-1.0] * 4)[1].tolist() == [0, 0, 0, 0]
    assert choose(effects, 0.15, psi=[1.0] * 4)[1].tolist() == [1, 1, 1, 1]
    half = Limits(np.inf, 0.5)
    assert choose(effects, 0.15, half, psi=[1.0] * 4)[1].tolist() == [1, 1, 0, 0]


def test_several_arms_give_the_best_one():
    effects = [[1.0, 2.0], [3.0, 1.0], [0.2, 0.1]]
    assert choose(effects, [0.0, 0.0])[1].tolist() == [2, 1, 1]
    assert choose(effects, [0.5, 1.8])[1].tolist() == [1, 1, 0]


@pytest.mark.parametrize("seed", range(30))
def test_a_budget_over_several_arms_is_kept_and_used_almost_as_well_as_can_be(seed):
    rng = np.random.default_rng(seed)
    effects, cost = rng.uniform(-0.5, 3, (7, 2)), np.array([0.4, 1.0])
    budget = float(rng.uniform(0.1, 0.8))
    rule, arms = choose(effects, cost, Limits(budget, 1.0))
    spend = np.append(0.0, cost)[arms].mean()
    assert spend <= budget * (1 + 1e-12)
    net = np.append(np.zeros((7, 1)), effects - cost, axis=1)
    gain = net[np.arange(7), arms].mean()
    best = best_plan(effects, 1.0, cost, budget)
    # What the budget leaves over is at most the dearest step of one row, and money is worth no
    # more than its price: the Lagrangian bound.
    assert gain <= best + 1e-12
    assert best - gain <= rule.price * (budget - spend) + 1e-9
    assert budget - spend <= cost.max() / 7 + 1e-9 or rule.price == 0


def test_margin_of_a_rule_is_exclusive():
    rule = TargetingRule(1.0, np.array([0.0]), 0.0, 1.0)
    assert rule.assign(np.array([[1.0], [1.0 + 1e-9]])).tolist() == [0, 1]
