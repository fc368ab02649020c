"""Value of a policy: definitions, causalml's risk, several arms, costs, differences, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.metrics import policy_value
from tests.helpers.group_references import CASES, EXACT, GROUPS, inputs, own
from tests.helpers.naive_groups import naive_mean


@pytest.mark.parametrize("psi", ["psi_aipw", "psi_armcentred"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_definitions(name, psi):
    case = inputs(name)
    found = policy_value(case[psi], case["score"] > 0.1, cost=0.05)
    assert found.value == pytest.approx(
        own(name, f"policy_gain(score>0.1, cost=.05, {psi})"), **EXACT
    )


RISKS = [name for name in CASES if isinstance(GROUPS[name]["policy_risk"], float)]


@pytest.mark.parametrize("name", RISKS)
def test_the_documented_value_of_outcomes_is_one_less_causalmls_risk(name):
    # causalml takes treatment as randomised: one chance for all, which cancels.
    case = inputs(name)
    policy, t = (case["score"] > 0).astype(int), case["treatment"]
    value = sum(
        np.mean(policy == arm) * case["y"][(policy == arm) & (t == arm)].mean() for arm in (0, 1)
    )
    assert 1 - value == pytest.approx(GROUPS[name]["policy_risk"], **EXACT)


def test_six_rows_by_hand():
    # Treated: rows 0, 1, 2 with psi 3 1 -1, cost 0.5: gains 2.5 0.5 -1.5 0 0 0, mean 0.25.
    psi = [3, 1, -1, 4, 0, -2]
    found = policy_value(psi, [1, 1, 1, 0, 0, 0], cost=0.5)
    assert found.value == 0.25
    gains = [2.5, 0.5, -1.5, 0, 0, 0]
    assert found.std_error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(6))
    assert (found.n_treated, found.share, found.arm_counts) == (3, 0.5, (3, 3))
    # Over everybody: the rows not treated count with the opposite sign: -(3.5 - 0.5 - 2.5) / 6.
    assert policy_value(psi, [1, 1, 1, 0, 0, 0], cost=0.5, baseline=1).value == pytest.approx(
        -0.5 / 6
    )
    # Per-row costs 1 2 3: gains 2 -1 -4.
    per_row = policy_value(psi, [1, 1, 1, 0, 0, 0], cost=[1, 2, 3, 9, 9, 9])
    assert per_row.value == pytest.approx(-0.5)


@pytest.mark.parametrize("name", ["observational", "binary_ties"])
def test_errors_are_those_of_a_mean_over_clusters(name):
    case = inputs(name)
    psi, d, w, c = case["psi_aipw"], case["score"] > 0.1, case["sample_weight"], case["cluster"]
    found = policy_value(psi, d, cost=0.1, sample_weight=w, groups=c)
    assert (found.value, found.std_error) == pytest.approx(naive_mean(d * (psi - 0.1), w, c))
    assert found.share == pytest.approx(np.average(d, weights=w))


def test_treating_nobody_is_worth_nothing_and_everybody_the_mean():
    psi = np.random.default_rng(0).normal(size=30)
    nobody, everybody = policy_value(psi, 0), policy_value(psi, 1)
    assert (nobody.value, nobody.std_error, nobody.n_treated) == (0, 0, 0)
    assert np.isnan(nobody.p_value)
    assert everybody.value == pytest.approx(psi.mean())
    same = policy_value(psi, psi > 0, baseline=psi > 0)
    assert (same.value, same.std_error) == (0, 0)


def test_several_arms_take_the_scores_and_costs_of_the_arm_given():
    psi = np.array([[1.0, 5.0], [2.0, 4.0], [3.0, 0.0], [7.0, 8.0]])
    arms = [2, 1, 0, 1]
    assert policy_value(psi, arms).value == (5 + 2 + 0 + 7) / 4
    assert policy_value(psi, arms, cost=1).value == (4 + 1 + 0 + 6) / 4
    assert policy_value(psi, arms, cost=[1, 3]).value == (2 + 1 + 0 + 6) / 4
    full = np.arange(8).reshape(4, 2)
    assert policy_value(psi, arms, cost=full).value == (4 + 0 + 0 + 1) / 4
    found = policy_value(psi, arms, baseline=2)
    assert found.value == (0 - 2 + 0 - 1) / 4
    assert found.arm_counts == (1, 2, 1)
    frame = pd.DataFrame(psi, index=list("abcd"))
    assert policy_value(frame, pd.Series(arms, index=list("abcd"))).value == 3.5
    with pytest.raises(ValueError, match=r"index of `policy` differs"):
        policy_value(frame, pd.Series(arms, index=list("abdc")))


def test_rows_of_weight_zero_are_not_counted():
    found = policy_value([1.0, 2.0, 100.0], [1, 0, 1], sample_weight=[1, 3, 0])
    assert (found.value, found.n_treated, found.share, found.n_units) == (0.25, 1, 0.25, 2)


@pytest.mark.parametrize("policy", [[0.3, 1, 0], [2, 0, 1], [-1, 0, 1], [np.nan, 0, 1]])
def test_policies_are_arm_codes(policy):
    with pytest.raises(
        ValueError, match=r"`policy` must hold arm codes from 0 \(control\) to 1; 1 of"
    ):
        policy_value([1.0, 2.0, 3.0], policy)


def test_bad_input_is_named():
    psi = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"`cost` must be finite and at least 0; 1 of 1 values"):
        policy_value(psi, [0, 1, 1], cost=-1)
    with pytest.raises(
        ValueError, match=r"`cost` must be one number, or one for each of the 3 rows"
    ):
        policy_value(psi, [0, 1, 1], cost=[1, 2])
    with pytest.raises(ValueError, match=r"one for each of the 2 arms"):
        policy_value(np.ones((3, 2)), [0, 1, 2], cost=[1, 2, 3])
    with pytest.raises(ValueError, match=r"`policy` has 2 values for 3 rows"):
        policy_value(psi, [0, 1])
    with pytest.raises(ValueError, match=r"`baseline` must hold arm codes from 0"):
        policy_value(psi, 1, baseline=2)
    with pytest.raises(ValueError, match=r"`pseudo_outcome` is NaN or infinite in 1 of 3"):
        policy_value([1.0, np.nan, 2.0], 1)
    with pytest.raises(ValueError, match=r"found 'no', 'yes'"):
        policy_value(psi, ["yes", "no", "no"])
