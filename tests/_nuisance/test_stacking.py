"""The average of learners, and the race that says which of them run on many rows."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance import stacking
from segcate._nuisance.covariates import Covariates
from segcate._nuisance.default_models import Folds
from segcate._nuisance.fold_regression import Response
from segcate._nuisance.stacking import predict_stacked, stack_shares


def best_on_grid(columns, y, weight, step=0.01):
    """Try all non-negative weights that sum to 1."""
    grid = np.arange(0, 1 + step / 2, step)
    shares = [(a, b, 1 - a - b) for a in grid for b in grid if a + b <= 1 + 1e-9]
    losses = [np.average((y - columns @ np.array(s)) ** 2, weights=weight) for s in shares]
    return min(losses)


@pytest.mark.parametrize("case", ["inside", "edge", "corner"])
def test_the_average_is_the_best_one(case):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(200, 3))
    truth = {"inside": [0.5, 0.3, 0.2], "edge": [0.7, 0.3, 0], "corner": [2, -0.5, -0.5]}[case]
    y = columns @ np.array(truth) + 0.3 * rng.normal(size=200)
    weight, known = rng.random(200), rng.random(200) < 0.7
    share = stack_shares(columns[known], y[known], weight[known])
    combined = columns @ share
    loss = np.average((y - combined)[known] ** 2, weights=weight[known])
    grid = best_on_grid(columns[known], y[known], weight[known])
    assert loss <= grid * (1 + 1e-9)
    assert loss >= grid * 0.999
    assert share.sum() == pytest.approx(1)
    assert (share >= 0).all()


def test_equal_and_huge_columns_can_be_averaged():
    column = np.random.default_rng(0).normal(size=50) * 1e6 + 1e9
    table = np.column_stack([column] * 3)
    np.testing.assert_allclose(table @ stack_shares(table, column, None), column, rtol=1e-9)
    np.testing.assert_array_equal(stack_shares(np.zeros((50, 3)), np.zeros(50), None), [1, 0, 0])


def study(n, kind):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 4))
    signal = {
        "line": 4 * X[:, 0],
        "steps": 2.0 * (X[:, 0] > 0.5) * np.sign(X[:, 1] * X[:, 2]),
        "nothing": np.zeros(n),
    }[kind]
    return X, signal + rng.normal(size=n), signal


def stacked(X, y, *, seed=0, is_chance=False, n_jobs=None):
    fold = np.arange(len(y)) % 3
    folds = Folds(
        tuple(fold != k for k in range(3)), tuple(np.flatnonzero(fold == k) for k in range(3))
    )
    response = Response(y, np.ones(len(y), dtype=bool), is_chance)
    covariates = Covariates(X, np.full(X.shape[1], -1))
    return predict_stacked(covariates, [response], folds, None, [seed], n_jobs)[0]


@pytest.fixture
def ran(monkeypatch):
    """Note on how many rows which learners run, and let 3,000 of more than 4,000 race."""
    monkeypatch.setattr(stacking, "FEW_ROWS", 4_000)
    monkeypatch.setattr(stacking, "_IN_RACE", 3_000)
    monkeypatch.setattr(stacking, "_RARER_IN_RACE", 100)
    seen, run = [], stacking._run

    def noted(covariates, curves, responses, learners, *more):
        seen.append((len(covariates.values), *learners))
        return run(covariates, curves, responses, learners, *more)

    monkeypatch.setattr(stacking, "_run", noted)
    return seen


@pytest.mark.parametrize(("kind", "has_trees"), [("line", False), ("steps", True)])
def test_learners_that_lose_the_race_do_not_run_on_all_rows(ran, kind, has_trees):
    X, y, signal = study(7_000, kind)
    predicted = stacked(X, y)
    race, whole = ran
    assert race == (3_000, stacking.LEARNERS)
    assert whole[0] == 7_000
    assert ("trees" in whole[1]) == has_trees
    assert np.corrcoef(predicted, signal)[0, 1] > 0.9


def test_few_rows_do_not_race(ran):
    X, y, _ = study(1_500, "line")
    stacked(X, y)
    assert ran == [(1_500, stacking.LEARNERS)]


def test_a_rare_outcome_does_not_race(ran):
    """The part would hold too few events to tell learners apart."""
    X, y, _ = study(7_000, "line")
    stacked(X, (y > np.quantile(y, 0.98)).astype(float), is_chance=True)
    assert ran == [(7_000, stacking.LEARNERS)]


def test_who_races_does_not_depend_on_jobs(ran):
    X, y, _ = study(7_000, "steps")
    np.testing.assert_array_equal(stacked(X, y), stacked(X, y, n_jobs=2))


def test_nothing_is_predicted_by_nearly_the_mean(ran):
    X, y, _ = study(7_000, "nothing")
    assert stacked(X, y + 5).std() < 0.1
