"""The ridge from sums of products equals one that is fitted fold by fold on rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from segcate.temporal._linear.ridge import (
    PENALTIES,
    deal_folds,
    fit_ridge,
    held_out_errors,
    sums_by_fold,
)

N, T, P = 40, 5, 6


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, T, P - 1)) * np.array([1.0, 10.0, 0.1, 1.0, 1.0]) + 2.0
    y = X @ np.array([[1.0, 0.0], [0.02, 0.0], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    y = y + rng.normal(size=(N, T, 2))
    found = np.concatenate([np.ones((N, T, 1)), X, y], axis=2)
    found[rng.random((N, T)) < 0.2] = 0.0  # rows that do not count
    return found


def naive(columns, penalty):
    """Fit on the rows that count: all columns standardised, the second one without penalty."""
    rows = columns.reshape(-1, P + 2)
    rows = rows[rows[:, 0] == 1]
    X, y = rows[:, 1:P], rows[:, P:]
    big = 1e6  # a column that is so large bears next to no penalty
    stretch = np.r_[big, np.ones(P - 2)] / SPREAD
    model = Ridge(alpha=penalty).fit(X * stretch, y)
    return model, stretch


SPREAD = None


def test_penalties_and_coefficients_equal_those_of_a_loop(columns, monkeypatch):
    rows = columns.reshape(-1, P + 2)
    monkeypatch.setitem(globals(), "SPREAD", rows[rows[:, 0] == 1][:, 1:P].std(axis=0))
    fold = deal_folds(N, 0)
    losses = np.zeros((len(PENALTIES), 2))
    for i, penalty in enumerate(PENALTIES):
        for k in range(5):
            model, stretch = naive(columns[fold != k], penalty)
            rest = columns[fold == k].reshape(-1, P + 2)
            rest = rest[rest[:, 0] == 1]
            losses[i] += ((rest[:, P:] - model.predict(rest[:, 1:P] * stretch)) ** 2).sum(axis=0)
    sums = sums_by_fold(columns, fold, np.ones((1, N)))[0]
    fit = fit_ridge(sums, 2, np.array([True, True, False, False, False, False]))
    np.testing.assert_allclose(fit.penalty, PENALTIES[losses.argmin(axis=0)])
    assert fit.penalty[0] < fit.penalty[1]
    for j, penalty in enumerate(fit.penalty):
        model, stretch = naive(columns, penalty)
        np.testing.assert_allclose(fit.coef[1:, j], model.coef_[j] * stretch, atol=1e-6)
        np.testing.assert_allclose(fit.coef[0, j], model.intercept_[j], atol=1e-6)
        for k in range(5):
            model, stretch = naive(columns[fold != k], penalty)
            np.testing.assert_allclose(fit.by_fold[k, 1:, j], model.coef_[j] * stretch, atol=1e-6)


def test_held_out_errors_are_those_of_the_other_folds(columns):
    fold = deal_folds(N, 1)
    fit = fit_ridge(sums_by_fold(columns, fold, np.ones((1, N)))[0], 2, np.arange(P) < 1)
    found = held_out_errors(columns, fit, fold)
    expected = columns[7, :, P:] - columns[7, :, :P] @ fit.by_fold[fold[7]]
    np.testing.assert_allclose(found[7], expected, atol=1e-12)


def test_a_weight_is_as_many_copies_of_a_unit(columns):
    rng = np.random.default_rng(1)
    fold, weight = deal_folds(N, 0), rng.integers(0, 3, N).astype(float)
    found = sums_by_fold(columns, fold, np.stack([np.ones(N), weight]))
    again = np.repeat(np.arange(N), weight.astype(int))
    expected = sums_by_fold(columns[again], fold[again], np.ones((1, len(again))))
    np.testing.assert_allclose(found[1], expected[0], atol=1e-9)


def test_columns_that_others_give_away_do_no_harm(columns):
    doubled = np.concatenate([columns[..., :P], columns[..., 1:2], columns[..., P:]], axis=2)
    fold = deal_folds(N, 0)
    fit = fit_ridge(sums_by_fold(doubled, fold, np.ones((1, N)))[0], 2, np.ones(P + 1, dtype=bool))
    assert np.isfinite(fit.coef).all()
