"""The default nuisance models and how they are averaged."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance.cross_fit import Fold, Target, _combine, cross_fit


def target(values, rows=None, is_binary=False):
    rows = np.ones(len(values), dtype=bool) if rows is None else rows
    return Target("outcome_model", np.asarray(values, dtype=float), rows, is_binary, False, None)


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
    combined = _combine(columns, target(y, known), weight)
    loss = np.average((y - combined)[known] ** 2, weights=weight[known])
    grid = best_on_grid(columns[known], y[known], weight[known])
    assert loss <= grid * (1 + 1e-9)
    assert loss >= grid * 0.999
    assert (combined <= columns.max(axis=1) + 1e-9).all()
    assert (combined >= columns.min(axis=1) - 1e-9).all()


def test_equal_and_huge_columns_can_be_averaged():
    column = np.random.default_rng(0).normal(size=50) * 1e6 + 1e9
    combined = _combine(np.column_stack([column] * 3), target(column), None)
    np.testing.assert_allclose(combined, column, rtol=1e-9)
    zeros = _combine(np.zeros((50, 3)), target(np.zeros(50)), None)
    np.testing.assert_array_equal(zeros, 0)


def out_of_fold(X, values, is_binary=False, seed=0):
    fold = np.random.default_rng(seed).permutation(len(values)) % 4
    folds = [Fold(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    (predicted,) = cross_fit(
        "F", X, X, [target(values, is_binary=is_binary)], folds, weight=None, seed=0, n_jobs=None
    )
    return predicted


def test_pure_noise_is_predicted_by_its_mean():
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(400, 5)), rng.normal(size=400) + 3
    assert np.std(out_of_fold(X, noise)) < 0.15
    assert np.std(out_of_fold(X, noise > 3, is_binary=True)) < 0.1


def test_lines_and_bends_are_both_followed():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(800, 3))
    for signal, share in ((3 * X[:, 0], 0.97), (3 * np.abs(X[:, 0]), 0.8)):
        predicted = out_of_fold(X, signal + 0.5 * rng.normal(size=800))
        assert np.corrcoef(predicted, signal)[0, 1] ** 2 > share


def test_gaps_are_information():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 2))
    gap = rng.random(400) < 0.3
    X[gap, 0] = np.nan
    predicted = out_of_fold(X, 2.0 * gap + 0.3 * rng.normal(size=400))
    assert predicted[gap].mean() - predicted[~gap].mean() > 1.8


def test_probabilities_stay_between_zero_and_one():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 2))
    predicted = out_of_fold(X, rng.random(300) < 1 / (1 + np.exp(-4 * X[:, 0])), is_binary=True)
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert predicted[X[:, 0] > 1].mean() - predicted[X[:, 0] < -1].mean() > 0.8
