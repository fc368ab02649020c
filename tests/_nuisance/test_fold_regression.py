"""Regressions of all folds together: against scikit-learn's, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import Ridge, RidgeCV

from segcate._nuisance import fold_logistic, fold_regression
from segcate._nuisance.curves import curves_of
from segcate._nuisance.fold_regression import ALPHAS, Response, fit_ridge, fit_sparse, predict_folds
from segcate._nuisance.fold_sums import cells_of, sums_of

RNG = np.random.default_rng(1)
N = 400
Z = np.column_stack([RNG.normal(size=(N, 2)), RNG.exponential(size=N)])
Y = 50 + Z[:, 0] ** 2 + Z[:, 2] + RNG.normal(size=N)
T = (RNG.random(N) < 1 / (1 + np.exp(-1.5 * Z[:, 0]))).astype(float)
WEIGHT = RNG.exponential(size=N)
FOLD = RNG.integers(0, 3, N)
TRAIN, TEST = [k != FOLD for k in range(3)], [np.flatnonzero(k == FOLD) for k in range(3)]
EVERYONE = np.ones(N, dtype=bool)


def sums(X, y, weight=None):
    curves = curves_of(X)
    rows = cells_of([np.ones(len(y), dtype=bool)])
    return curves.of(np.arange(len(y))), sums_of(curves, rows, weight, y[:, None], [0])[0]


def naive_chances(X, t, weight, penalty):
    """Minimise the penalised logistic loss by a general routine; the intercept comes first."""

    def loss(slopes):
        eta, shrunken = slopes[0] + X @ slopes[1:], penalty * np.append(0, slopes[1:])
        left = weight * (1 / (1 + np.exp(-eta)) - t)
        value = weight @ (np.logaddexp(0, eta) - t * eta) + shrunken @ slopes / 2
        return value, np.append(left.sum(), X.T @ left) + shrunken

    start = np.zeros(X.shape[1] + 1)
    return minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-8}).x


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_ridge_of_every_fold_and_arm_is_that_of_scikit_learn(weight):
    curves = curves_of(Z)
    A = curves.of(np.arange(N))
    arms = [T == 0, T == 1]
    found = predict_folds(
        curves, [Response(Y, arm, False) for arm in arms], TRAIN, TEST, weight, fit_sparse
    )
    for arm, predicted in zip(arms, found, strict=True):
        for train, test in zip(TRAIN, TEST, strict=True):
            rows = arm & train
            w = None if weight is None else weight[rows]
            line = fit_sparse(sums_of(curves, cells_of([rows]), weight, Y[:, None], [0])[0])
            theirs = Ridge(alpha=line.penalty, solver="cholesky")
            theirs.fit(A[rows] * line.scale, Y[rows], sample_weight=w)
            expected = theirs.predict(A[test] * line.scale)
            np.testing.assert_allclose(predicted[test], expected, rtol=1e-7)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("caution", [0.2, 0.999])
def test_chances_minimise_the_penalised_loss(weight, caution, monkeypatch):
    """Wherever the steps start."""
    monkeypatch.setattr(fold_logistic, "_CAUTION", caution)
    curves = curves_of(Z)
    A = curves.of(np.arange(N))
    (found,) = predict_folds(curves, [Response(T, EVERYONE, True)], TRAIN, TEST, weight, fit_sparse)
    for train, test in zip(TRAIN, TEST, strict=True):
        w = np.ones(train.sum()) if weight is None else weight[train]
        line = fit_sparse(sums_of(curves, cells_of([train]), weight, T[:, None], [0])[0])
        share = np.average(T[train], weights=w)
        B = A * line.scale
        slopes = naive_chances(B[train], T[train], w, line.penalty * share * (1 - share))
        expected = 1 / (1 + np.exp(-slopes[0] - B[test] @ slopes[1:]))
        np.testing.assert_allclose(found[test], expected, atol=1e-5)


def test_arms_that_can_be_told_apart_have_chances_inside_zero_and_one():
    curves = curves_of(Z)
    apart = (Z[:, 0] > 0.2).astype(float)
    (found,) = predict_folds(
        curves, [Response(apart, EVERYONE, True)], TRAIN, TEST, None, fit_sparse
    )
    assert ((found >= 0) & (found <= 1)).all()
    assert ((found > 0.5) == (apart == 1)).mean() > 0.95


def test_a_response_of_one_value_is_predicted_as_it_is():
    curves = curves_of(Z)
    first = np.where(FOLD == 0, T, 0.0)  # without the first fold nothing but 0 is left
    chance, number = predict_folds(
        curves,
        [Response(first, EVERYONE, True), Response(np.full(N, 7.5), EVERYONE, False)],
        TRAIN, TEST, None, fit_sparse,
    )  # fmt: skip
    np.testing.assert_array_equal(chance[FOLD == 0], 0)
    assert (chance[FOLD != 0] > 0).all()
    np.testing.assert_allclose(number, 7.5, rtol=1e-14)


def test_rows_of_a_fold_do_not_move_its_chances():
    curves = curves_of(Z)
    other = np.where(FOLD == 0, 1 - T, T)
    first, second = (
        predict_folds(curves, [Response(values, EVERYONE, True)], TRAIN, TEST, None, fit_sparse)[0]
        for values in (T, other)
    )
    np.testing.assert_allclose(first[FOLD == 0], second[FOLD == 0], atol=1e-5)
    assert np.abs(first - second)[FOLD != 0].max() > 0.1


@pytest.mark.parametrize(("n", "p", "noise"), [(60, 5, 1), (60, 50, 3), (30, 40, 1), (500, 20, 30)])
def test_the_penalty_predicts_about_as_well_as_leave_one_out(n, p, noise):
    ours, theirs = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, beta = rng.normal(size=(n + 1000, p)), rng.normal(size=p)
        y = X @ beta + noise * rng.normal(size=n + 1000)
        none = np.empty(0, dtype=int)
        curves = curves_of(X, most_in_products=0)
        curves = fold_regression.replace(
            curves, bent=none, knot=none, squared=none, size=np.empty(0)
        )
        A = curves.of(np.arange(n + 1000))
        rows = np.arange(n + 1000) < n
        line = fit_ridge(sums_of(curves, cells_of([rows]), None, y[:, None], [0])[0])
        model = RidgeCV(alphas=ALPHAS).fit(A[:n], y[:n])
        truth = X[n:] @ beta
        ours.append(np.mean((A[n:] @ line.coef + line.intercept - truth) ** 2))
        theirs.append(np.mean((model.predict(A[n:]) - truth) ** 2))
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_useless_columns_are_shrunk_more_than_useful_ones():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(2_000, 10))
    y = X[:, 0] ** 2 + X[:, 1] + rng.normal(size=2_000)
    curves = curves_of(X, most_in_products=30)
    found = sums_of(curves, cells_of([np.ones(2_000, dtype=bool)]), None, y[:, None], [0])[0]
    X_new = rng.normal(size=(2_000, 10))
    truth = X_new[:, 0] ** 2 + X_new[:, 1]
    A = fold_regression.replace(curves, columns=X_new).of(np.arange(2_000))
    error = [
        np.mean((A @ slopes - (A @ slopes - truth).mean() - truth) ** 2)
        for slopes in (fit_ridge(found).coef, fit_sparse(found).coef)
    ]
    assert error[1] < 0.7 * error[0]


def test_nothing_to_be_told_has_slopes_of_zero():
    line = fit_sparse(sums(Z, np.zeros(N))[1])
    np.testing.assert_array_equal(line.coef, 0)
    assert line.intercept == 0
