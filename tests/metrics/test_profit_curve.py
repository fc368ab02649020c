"""Profit curve: definitions, naive code, equality with policy_value, budgets, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.metrics import policy_value, profit_curve
from tests.helpers.group_references import CASES, EXACT, inputs, own
from tests.helpers.naive_groups import naive_profit_curve


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 15, 90) / 10
    return (
        prediction - 0.5 + rng.normal(size=90),
        prediction,
        rng.uniform(0.3, 3, 90),
        rng.integers(0, 20, 90),
        rng.uniform(0, 1, 90),
    )


@pytest.mark.parametrize("psi", ["psi_aipw", "psi_armcentred"])
@pytest.mark.parametrize("name", CASES)
def test_best_point_is_that_of_the_definitions(name, psi):
    found = profit_curve(inputs(name)[psi], inputs(name)["score"], cost=0.05)
    share, profit = own(name, f"profit_curve max(value=1,cost=.05,{psi})")
    assert (found.best_share, found.best_profit) == pytest.approx((share, profit), **EXACT)


def test_six_rows_by_hand():
    # By prediction: psi 4 | 3, -1 tied | 2 | -3 | 1, value 2, cost 1: gains 7 | 5, -3 | 3 | -7 | 1.
    psi, prediction = [3, -3, 4, 2, -1, 1], [5, 2, 6, 3, 5, 1]
    found = profit_curve(psi, prediction, value=2, cost=1)
    assert found.share == pytest.approx(np.array([0, 1, 3, 4, 5, 6]) / 6)
    assert found.profit == pytest.approx(np.array([0, 7, 9, 12, 5, 6]) / 6)
    assert found.threshold.tolist() == [np.inf, 6, 5, 3, 2, 1]
    assert found.spend == pytest.approx(found.share)
    assert (found.best_share, found.best_profit, found.best_threshold) == pytest.approx(
        (4 / 6, 2, 3)
    )
    assert found.std_error[1] == pytest.approx(np.std([7, 0, 0, 0, 0, 0], ddof=1) / np.sqrt(6))
    assert found.frame()["is_best"].tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_naive_code(draw, weighted):
    psi, prediction, weight, _, cost = draw
    found = profit_curve(
        psi, prediction, value=1.5, cost=cost, sample_weight=weight if weighted else None
    )
    theirs = naive_profit_curve(psi, prediction, 1.5, cost, weight if weighted else None)
    got = np.column_stack([found.share, found.threshold, found.profit])
    np.testing.assert_allclose(got, theirs, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_every_point_is_the_value_of_its_policy(draw, weighted, clustered):
    psi, prediction, weight, cluster, cost = draw
    keywords = {"sample_weight": weight} if weighted else {}
    keywords |= {"groups": cluster} if clustered else {}
    found = profit_curve(psi, prediction, value=2.0, cost=cost, **keywords)
    for k, threshold in enumerate(found.threshold):
        policy = policy_value(2 * psi, prediction >= threshold, cost=cost, **keywords)
        for name in ("std_error", "ci_low", "ci_high", "share"):
            assert getattr(found, name)[k] == pytest.approx(
                getattr(policy, name), rel=1e-9, abs=1e-12
            )
        assert found.profit[k] == pytest.approx(policy.value, rel=1e-9, abs=1e-12)


def test_order_of_rows_is_irrelevant(draw):
    psi, prediction, weight, cluster, cost = draw
    order = np.random.default_rng(1).permutation(90)
    one = profit_curve(psi, prediction, cost=cost, sample_weight=weight, groups=cluster)
    two = profit_curve(
        psi[order], prediction[order], cost=cost[order], sample_weight=weight[order],
        groups=cluster[order],
    )  # fmt: skip
    for name in ("share", "profit", "std_error", "spend"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-10)


def test_budget_limits_the_best_point():
    psi, prediction = [4.0, 3.0, 2.0, 1.0], [4, 3, 2, 1]
    free = profit_curve(psi, prediction, cost=0.5)
    assert free.best_share == 1
    assert profit_curve(psi, prediction, cost=0.5, budget=0.25).best_share == 0.5
    assert profit_curve(psi, prediction, cost=0.5, budget=0.3).best_share == 0.5
    assert profit_curve(psi, prediction, cost=0.5, budget=0.0).best_share == 0
    assert profit_curve(psi, prediction, cost=0.5, max_share=0.75).best_share == 0.75
    assert profit_curve(psi, prediction, cost=0.5, max_share=0).best_threshold == np.inf
    np.testing.assert_array_equal(
        profit_curve(psi, prediction, cost=0.5, budget=0.1).profit, free.profit
    )


def test_where_nobody_gains_nobody_is_treated():
    found = profit_curve([-1.0, -2.0, -1.0], [3, 2, 1])
    assert (found.best_share, found.best_profit, found.best_threshold) == (0, 0, np.inf)


def test_summary_says_that_the_best_point_was_chosen_here(draw):
    text = profit_curve(draw[0], draw[1], cost=0.1).summary()
    assert "The point was chosen on these rows, so its profit and interval are too good." in text
    assert "Value the threshold on other rows" in text


@pytest.mark.parametrize("budget", [-1, -1e-9, np.nan, np.inf, "10", True])
def test_budget_is_checked(budget):
    with pytest.raises(ValueError, match=r"`budget` must be a number of at least 0"):
        profit_curve([1.0, 2.0], [1, 2], budget=budget)


@pytest.mark.parametrize("max_share", [-0.1, 1.1, np.nan, "0.2", True])
def test_share_is_checked(max_share):
    with pytest.raises(ValueError, match=r"`max_share` must be a number in \[0, 1\]"):
        profit_curve([1.0, 2.0], [1, 2], max_share=max_share)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`value` must be finite and above 0; 1 of 1 are not"):
        profit_curve([1.0, 2.0], [1, 2], value=-1)
    with pytest.raises(ValueError, match=r"`value` must be one number, or one for each of the 2"):
        profit_curve([1.0, 2.0], [1, 2], value=[1, 2, 3])
    with pytest.raises(ValueError, match=r"`cost` must be finite and at least 0"):
        profit_curve([1.0, 2.0], [1, 2], cost=[-1, 0])
    with pytest.raises(ValueError, match=r"`prediction` is NaN"):
        profit_curve([1.0, 2.0], [np.nan, 2])
