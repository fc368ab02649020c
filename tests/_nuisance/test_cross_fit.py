"""The default nuisance models and how they are averaged."""

from __future__ import annotations

import numpy as np

from segcate._nuisance.covariates import Covariates
from segcate._nuisance.cross_fit import Fold, Target, cross_fit


def target(values, rows=None, is_binary=False):
    rows = np.ones(len(values), dtype=bool) if rows is None else rows
    return Target("outcome_model", np.asarray(values, dtype=float), rows, is_binary, False, None)


def out_of_fold(X, values, is_binary=False, seed=0):
    fold = np.random.default_rng(seed).permutation(len(values)) % 4
    folds = [Fold(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    covariates = Covariates(X, np.full(X.shape[1], -1))
    (predicted,) = cross_fit(
        "F",
        X,
        covariates,
        [target(values, is_binary=is_binary)],
        folds,
        weight=None,
        seed=0,
        n_jobs=None,
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
