"""The default nuisance models, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance.curves import curves_of
from segcate._nuisance.default_models import (
    LEARNERS,
    Folds,
    predict_by_curves,
    predict_by_means,
    predict_by_trees,
)
from segcate._nuisance.fold_regression import Response


def rows(n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.arange(1, p + 1) + 3
    return X, X @ rng.normal(size=p) + 4 * rng.normal(size=n) + 50, rng.random(n) + 0.2


def predict(learner, X, values, weight, is_binary):
    is_first = np.arange(len(values)) % 2 == 0
    folds = Folds((is_first, ~is_first), (np.flatnonzero(~is_first), np.flatnonzero(is_first)))
    response = Response(values, np.ones(len(values), dtype=bool), is_binary)
    if learner == "mean":
        return predict_by_means(response, folds, weight)
    if learner == "trees":
        return predict_by_trees(X, values, X, weight=weight, is_binary=is_binary, seed=0)
    return predict_by_curves(learner, curves_of(X), [response], folds, weight)[0]


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("n", [8, 300])
def test_every_learner_predicts_few_and_many_rows(learner, is_binary, n):
    X, y, weight = rows(n)
    values = (y > np.median(y)).astype(float) if is_binary else y
    for sample_weight in (None, weight):
        predicted = predict(learner, X, values, sample_weight, is_binary)
        assert predicted.shape == (n,)
        assert np.isfinite(predicted).all()
        assert not is_binary or ((predicted >= 0) & (predicted <= 1)).all()


@pytest.mark.parametrize("learner", LEARNERS)
def test_weights_are_used(learner):
    X, y, _ = rows(300)
    one = predict(learner, X, y, None, False)
    heavy = np.where(y > np.median(y), 10.0, 0.1)
    assert predict(learner, X, y, heavy, False).mean() > one.mean() + 0.2


def test_curves_follow_what_lines_cannot():
    X, _, _ = rows(600, 3)
    y = (X[:, 0] - 3) ** 2
    assert np.corrcoef(predict("curves", X, y, None, False), y)[0, 1] > 0.95
    assert np.corrcoef(predict("lines", X, y, None, False), y)[0, 1] < 0.4


def test_the_mean_is_that_of_the_other_fold():
    y = np.array([1.0, 10.0, 3.0, 20.0])
    found = predict("mean", y[:, None], y, np.array([1.0, 1.0, 3.0, 3.0]), False)
    np.testing.assert_allclose(found, [17.5, 2.5, 17.5, 2.5])


def test_trees_of_one_value_predict_it():
    X, _, _ = rows(50)
    np.testing.assert_array_equal(
        predict_by_trees(X, np.full(50, 2.5), X[:4], weight=None, is_binary=False, seed=0), 2.5
    )
