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


def stacked(X, y, *, is_chance=False, n_jobs=None, weight=None, known=None):
    fold = np.arange(len(y)) % 3
    folds = Folds(
        tuple(fold != k for k in range(3)), tuple(np.flatnonzero(fold == k) for k in range(3))
    )
    known = np.ones(len(y), dtype=bool) if known is None else known
    response = Response(y, known, is_chance)
    covariates = Covariates(X, np.full(X.shape[1], -1))
    return predict_stacked(covariates, [response], folds, weight, [0], n_jobs)[0]


@pytest.fixture
def grown(monkeypatch):
    """Note on how many rows trees are grown, and let 2,000 of more than 4,000 race."""
    monkeypatch.setattr(stacking, "FEW_ROWS", 4_000)
    monkeypatch.setattr(stacking, "_IN_RACE", 2_000)
    seen, predict = [], stacking.predict_by_trees

    def noted(X, *more, **options):
        seen.append(len(X))
        return predict(X, *more, **options)

    monkeypatch.setattr(stacking, "predict_by_trees", noted)
    return seen


@pytest.mark.parametrize(("kind", "has_trees"), [("line", False), ("steps", True)])
@pytest.mark.parametrize("is_chance", [False, True], ids=["measured", "chance"])
def test_trees_are_grown_in_all_folds_where_they_win_a_race(grown, kind, has_trees, is_chance):
    X, y, signal = study(6_000, kind)
    if is_chance:
        y = (y > 0.5).astype(float)
    predicted = stacked(X, y, is_chance=is_chance)
    assert grown == [3_000 if is_chance else 2_000, *[4_000] * 3 * has_trees]  # half at most
    assert np.corrcoef(predicted, signal)[0, 1] > 0.8


def test_few_rows_do_not_race(grown):
    X, y, _ = study(1_500, "line")
    stacked(X, y)
    assert grown == [1_000] * 3


def test_a_rare_outcome_does_not_race(grown):
    """The part would hold too few events to learn from."""
    X, y, _ = study(6_000, "line")
    stacked(X, (y > np.quantile(y, 0.99)).astype(float), is_chance=True)
    assert grown == [4_000] * 3


def test_an_arm_of_few_rows_does_not_race(grown):
    """Its trees take little time."""
    X, y, _ = study(6_000, "line")
    stacked(X, y, known=np.arange(6_000) < 900)
    assert grown == [600] * 3


def test_who_races_does_not_depend_on_jobs(grown):
    X, y, _ = study(6_000, "steps")
    np.testing.assert_array_equal(stacked(X, y), stacked(X, y, n_jobs=2))


def test_rows_without_weight_do_not_race(grown):
    X, y, _ = study(6_000, "steps")
    weight = np.ones(6_000)
    weight[5_000:] = 0
    y[5_000:] = 1e6
    known = weight > 0
    predicted = stacked(X, y, weight=weight, known=known)
    assert grown[0] == 2_000
    assert np.abs(predicted[known]).max() < 10


def test_nothing_is_predicted_by_nearly_the_mean(grown):
    X, y, _ = study(7_000, "nothing")
    assert stacked(X, y + 5).std() < 0.1
