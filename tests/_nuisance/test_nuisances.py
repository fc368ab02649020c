"""Cross-fitted nuisances: what is predicted for whom, and by which models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate._nuisance.covariates import Covariates
from segcate._nuisance.cross_fit import Fold
from segcate._nuisance.nuisances import (
    NuisanceModels,
    check_cross_fitting,
    fit_nuisances,
    warn_of_clipped,
)
from segcate.exceptions import OverlapError, SegcateWarning

LINEAR = NuisanceModels(LinearRegression(), LogisticRegression(), random_state=0)


def study(n=3000, n_arms=2, seed=0):
    """Draw rows whose chances and expected outcomes are known."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    logits = np.outer(X[:, 0], np.arange(n_arms) - 1.0)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    treatment = (rng.random(n)[:, None] > chance.cumsum(axis=1)[:, :-1]).sum(axis=1)
    mu = X[:, [1]] + np.arange(n_arms) * (1 + X[:, [2]])
    y = mu[np.arange(n), treatment] + rng.normal(size=n)
    return X, y, treatment, chance, mu


def rmse(found, truth):
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def test_two_arms():
    X, y, treatment, chance, mu = study()
    found = fit_nuisances("F", X, y, treatment, {"mu", "propensity", "outcome"}, LINEAR)
    assert found.mu.shape == found.propensity.shape == (3000, 2)
    np.testing.assert_allclose(found.propensity.sum(axis=1), 1.0)
    assert rmse(found.propensity, chance) < 0.02
    assert rmse(found.mu, mu) < 0.1
    expected = (chance * mu).sum(axis=1)
    assert rmse(found.outcome, expected) < rmse(expected.mean(), expected) / 2
    assert found.dose is None
    assert len(found.clipped) == 0


def test_three_arms():
    X, y, treatment, chance, mu = study(6000, n_arms=3)
    models = NuisanceModels(LinearRegression(), clip=0, random_state=0)
    found = fit_nuisances("F", X, y, treatment, {"mu", "propensity"}, models)
    assert found.mu.shape == found.propensity.shape == (6000, 3)
    np.testing.assert_allclose(found.propensity.sum(axis=1), 1.0)
    assert rmse(found.propensity, chance) < 0.04
    assert rmse(found.mu, mu) < 0.15


def test_a_dose():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    dose = X[:, 0] + rng.normal(size=2000)
    y = dose * 2 + X[:, 1]
    models = NuisanceModels(LinearRegression(), LinearRegression(), random_state=0)
    found = fit_nuisances("F", X, y, dose, {"outcome", "dose"}, models)
    assert rmse(found.dose, X[:, 0]) < 0.1
    assert rmse(found.outcome, 2 * X[:, 0] + X[:, 1]) < 0.2
    assert found.mu is None
    assert found.propensity is None


def test_a_row_is_predicted_by_models_that_did_not_see_its_fold():
    X, y, treatment, _, _ = study(300)
    models = NuisanceModels(DummyRegressor(), DummyClassifier(), cv=3, random_state=0)
    found = fit_nuisances("F", X, y, treatment, {"outcome", "propensity"}, models)
    for k in range(3):
        here = found.fold == k
        np.testing.assert_allclose(found.outcome[here], y[~here].mean())
        np.testing.assert_allclose(found.propensity[here, 1], treatment[~here].mean())


@pytest.mark.parametrize("is_dose", [False, True])
def test_groups_stay_in_one_fold(is_dose):
    X, y, treatment, _, _ = study(400)
    groups = np.arange(400) % 40
    values = X[:, 0] if is_dose else treatment
    wants = {"outcome", "dose"} if is_dose else {"outcome"}
    models = NuisanceModels(LinearRegression(), LinearRegression(), random_state=0)
    fold = fit_nuisances("F", X, y, values, wants, models, groups=groups).fold
    assert all(len(np.unique(fold[groups == g])) == 1 for g in range(40))
    assert set(fold) == set(range(5))


def test_groups_that_hold_an_arm_together_are_refused():
    X, y, _, _, _ = study(400)
    groups = np.arange(400) % 40
    treatment = (groups == 0).astype(int)
    with pytest.raises(ValueError, match=r"F: keeping groups whole leaves a fold's \d+ .* 0 treat"):
        fit_nuisances("F", X, y, treatment, {"mu"}, LINEAR, groups=groups)
    arms = np.where(groups == 0, 2, np.arange(400) // 40 % 2)
    with pytest.raises(ValueError, match="none of arm 2"):
        fit_nuisances("F", X, y, arms, {"mu"}, LINEAR, groups=groups)


def test_folds_that_are_given_are_used():
    X, y, treatment, _, _ = study(300)
    part = np.arange(300) % 7
    folds = [Fold(np.flatnonzero(part != k)[::2], np.flatnonzero(part == k)) for k in range(7)]
    found = fit_nuisances("F", X, y, treatment, {"mu"}, LINEAR, folds=folds)
    np.testing.assert_array_equal(found.fold, part)
    for fold in folds:
        for arm in (0, 1):
            train = fold.train[treatment[fold.train] == arm]
            by_hand = LinearRegression().fit(X[train], y[train]).predict(X[fold.test])
            np.testing.assert_allclose(found.mu[fold.test, arm], by_hand, rtol=1e-12)


def test_folds_that_are_given_must_leave_both_arms():
    X, y, treatment, _, _ = study(300)
    part = np.where(treatment == 1, 0, np.arange(300) % 3)
    folds = [Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(3)]
    with pytest.raises(ValueError, match=r"F: the cut into folds .* 0 treated.*pass other folds"):
        fit_nuisances("F", X, y, treatment, {"mu"}, LINEAR, folds=folds, groups=part)


def test_only_the_arms_wanted_have_an_expected_outcome():
    X, y, treatment, _, _ = study(300, n_arms=3)
    models = NuisanceModels(LinearRegression(), cv=3, random_state=0)
    every = fit_nuisances("F", X, y, treatment, {"mu"}, models).mu
    some = fit_nuisances("F", X, y, treatment, {"mu"}, models, arms=(0, 2)).mu
    np.testing.assert_array_equal(some[:, [0, 2]], every[:, [0, 2]])
    assert np.isnan(some[:, 1]).all()


def test_strata_are_spread_over_the_folds():
    X, y, treatment, _, _ = study(400)
    strata = np.arange(400) % 40
    found = fit_nuisances("F", X, y, treatment, {"mu"}, LINEAR, strata=strata)
    counts = np.bincount(strata * 5 + found.fold, minlength=200).reshape(40, 5)
    assert (counts >= 1).all()
    assert counts.max() <= 4


def test_the_seed_of_the_models_leaves_the_folds_alone():
    X, _, treatment, _, _ = study(2000)
    y = np.sign(X[:, 0] * X[:, 1] * X[:, 2])  # which trees alone follow
    models = NuisanceModels(cv=2, random_state=0)
    first, again, other = (
        fit_nuisances("F", X, y, treatment, {"outcome"}, models, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.fold, other.fold)
    np.testing.assert_array_equal(first.outcome, again.outcome)
    assert (first.outcome != other.outcome).any()


def test_numbers_made_before_stand_in_for_x():
    """A measured outcome of which these rows hold 0 and 1 alone is not taken for chances."""
    X, y, treatment, _, _ = study(300)
    y = (y > 0).astype(float)
    models = NuisanceModels(cv=2, random_state=0)
    found, expected = (
        fit_nuisances("F", given, y, treatment, {"mu"}, models, encoded=encoded, is_binary=False)
        for given, encoded in [(None, Covariates(X, np.full(X.shape[1], -1))), (X, None)]
    )
    np.testing.assert_array_equal(found.mu, expected.mu)
    assert (found.mu < 0).any()
    chances = fit_nuisances("F", X, y, treatment, {"mu"}, models).mu
    assert (chances >= 0).all()


def test_the_seed_decides_and_jobs_do_not():
    X, y, treatment, _, _ = study(400)
    tables = [
        fit_nuisances(
            "F", X, y, treatment, {"mu"}, NuisanceModels(random_state=seed, n_jobs=jobs, cv=2)
        ).mu
        for seed, jobs in [(0, None), (0, 2), (1, None)]
    ]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert (tables[0] != tables[2]).any()


def test_chances_are_clipped_and_counted():
    X, y, treatment, _, _ = study()
    models = NuisanceModels(None, LogisticRegression(), clip=0.2, random_state=0)
    found = fit_nuisances("F", X, y, treatment, {"propensity"}, models)
    assert found.propensity.min() == pytest.approx(0.2)
    assert len(found.clipped) == (np.abs(found.propensity[:, 1] - 0.5) >= 0.3 - 1e-12).sum() > 100
    with pytest.warns(SegcateWarning, match=r"outside \[0.2, 0.8\] in 7 of 9 rows"):
        warn_of_clipped("F", np.arange(7), 9, 0.2)


def test_chances_may_be_left_as_they_are():
    X, y, treatment, _, _ = study(200)
    models = NuisanceModels(None, DummyClassifier(strategy="most_frequent"), clip=None)
    found = fit_nuisances("F", X, y, treatment, {"propensity"}, models)
    assert set(found.propensity.ravel().tolist()) == {0.0, 1.0}
    assert len(found.clipped) == 0


def test_a_chance_of_zero_is_refused_where_nothing_is_clipped():
    X, y, treatment, _, _ = study(200)
    models = NuisanceModels(None, DummyClassifier(strategy="most_frequent"), clip=0)
    with pytest.raises(OverlapError, match="exactly 0 or 1 in 200 of 200 rows"):
        fit_nuisances("F", X, y, treatment, {"propensity"}, models)


@pytest.mark.parametrize(
    ("cv", "clip", "message"),
    [(1, 0.1, "`cv`"), (True, 0.1, "`cv`"), (5, 0.5, "`clip`"), (5, -0.1, "`clip`")],
)
def test_settings_out_of_range(cv, clip, message):
    with pytest.raises(ValueError, match=f"F: {message}"):
        check_cross_fitting("F", cv, clip)
