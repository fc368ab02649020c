"""Cross-fitted values of policies: who was fitted on what, and what choosing adds to the variance."""

import itertools
import math

import numpy as np
import pytest

from segcate._nuisance.folds import splits_of
from segcate.metrics import policy_value
from segcate.model_selection._targeting_value import (
    _linear_part,
    counting_the_choice,
    plan_fits,
)

N = 60
ARM = np.arange(N) % 2
FOLD = np.arange(N) // 2 % 5


def plan(fold=FOLD, groups=None, rules_see_rows=True):
    splits = splits_of(fold, int(fold.max()) + 1)
    rng = np.random.RandomState(0)
    return plan_fits("P", splits, ARM, groups, rng, rules_see_rows=rules_see_rows)


def test_each_pair_of_folds_is_left_out_once():
    fits = plan()
    left_out = [tuple(sorted(set(FOLD) - set(FOLD[train]))) for train in fits.train]
    assert left_out[:5] == [(k,) for k in range(5)]
    assert sorted(left_out[5:]) == list(itertools.combinations(range(5), 2))


def test_a_rule_that_looks_at_no_rows_costs_one_fit_a_fold():
    assert len(plan(rules_see_rows=False).train) == 5


@pytest.mark.parametrize("n_folds", [2, 3, 5, 12])
def test_training_rows_are_predicted_by_models_that_saw_neither_them_nor_the_fold(n_folds):
    fold = np.arange(N) // 2 % n_folds
    fits = plan(fold)
    for k, (train, test) in enumerate(fits.splits):
        rows = np.concatenate([part for _, part in fits.inner[k]])
        assert sorted(rows) == train.tolist()
        for fit, part in fits.inner[k]:
            assert not set(fits.train[fit]) & {*part, *test}
            assert set(part) <= set(fits.predicted[fit])
            assert set(ARM[fits.train[fit]]) == {0, 1}


def test_two_folds_are_cut_again_with_groups_whole():
    groups = np.arange(N) // 4
    fits = plan(groups % 2, groups)
    for k in range(2):
        for fit, part in fits.inner[k]:
            assert not set(groups[fits.train[fit]]) & set(groups[part])


def test_effects_of_training_rows_stand_in_their_order():
    fits = plan()
    effects = [np.column_stack([rows + 100.0 * i]) for i, rows in enumerate(fits.predicted)]
    for k, (train, _) in enumerate(fits.splits):
        found = fits.of_training_rows(k, effects)[:, 0]
        np.testing.assert_array_equal(found % 100, train)
    np.testing.assert_array_equal(fits.own_fold(effects)[:, 0], np.arange(N) + 100.0 * FOLD)


def value_of(psi):
    def value(arms, other):
        return policy_value(psi, arms, baseline=other)

    return value


def test_rules_that_agree_add_nothing():
    psi = np.random.default_rng(0).normal(size=N)
    arms = np.tile(ARM, (5, 1))
    found = counting_the_choice(value_of(psi), arms, plan().splits, np.ones(N))
    assert found == policy_value(psi, ARM)


def test_rules_that_disagree_widen_the_interval_about_the_same_value():
    rng = np.random.default_rng(0)
    psi, arms = rng.normal(size=N), rng.integers(0, 2, (5, N))
    plain = policy_value(psi, arms[0])
    found = counting_the_choice(value_of(psi), arms, plan().splits, np.ones(N))
    assert found.value == plain.value
    assert found.std_error > plain.std_error
    half = (found.ci_high - found.ci_low) / 2
    assert half / found.std_error == pytest.approx((plain.ci_high - plain.value) / plain.std_error)


@pytest.mark.parametrize("share", [0.5, 0.2, 0.9])
@pytest.mark.parametrize("overlap", [0.0, 0.75])
def test_the_linear_part_is_that_of_correlated_normal_scores(share, overlap):
    rng = np.random.default_rng(0)
    one, more = rng.normal(size=(2, 400_000))
    other = overlap * one + math.sqrt(1 - overlap**2) * more
    top, also = (score > np.quantile(score, 1 - share) for score in (one, other))
    slope = np.mean(top * one)  # the indicator's coefficient on the score
    assert _linear_part(share, overlap) == pytest.approx(slope**2 / np.mean(top != also), rel=0.02)
