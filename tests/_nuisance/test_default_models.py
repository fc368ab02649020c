"""The default nuisance models, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from segcate._nuisance import default_models
from segcate._nuisance.default_models import (
    LEARNERS,
    _Basis,
    _fit_ridge,
    encoded_covariates,
    fit_predict_default,
    learning_rows,
)


def rows(n=200, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.arange(1, p + 1) + 3
    return X, X @ rng.normal(size=p) + 4 * rng.normal(size=n) + 50, rng.random(n) + 0.2


@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_is_that_of_scikit_learn(weighted):
    X, y, weight = rows()
    weight = weight / weight.mean() if weighted else None
    ours = _fit_ridge(X, y, weight)
    theirs = Ridge(alpha=ours.alpha, solver="cholesky").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


def test_ridge_does_not_depend_on_the_scale_of_weights():
    X, y, weight = rows()
    one, other = (_fit_ridge(X, y, scale * weight) for scale in (1, 1000))
    np.testing.assert_allclose(one.coef, other.coef, rtol=1e-9)


@pytest.mark.parametrize(("n", "p", "noise"), [(60, 5, 1), (60, 50, 3), (30, 40, 1), (500, 20, 30)])
def test_the_penalty_predicts_about_as_well_as_leave_one_out(n, p, noise):
    ours, theirs = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, beta = rng.normal(size=(n, p)), rng.normal(size=p)
        y, X_new = X @ beta + noise * rng.normal(size=n), rng.normal(size=(1000, p))
        model = RidgeCV(alphas=default_models._ALPHAS).fit(X, y)
        ours.append(np.mean((_fit_ridge(X, y, None).predict(X_new) - X_new @ beta) ** 2))
        theirs.append(np.mean((model.predict(X_new) - X_new @ beta) ** 2))
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_curves_bend_and_multiply_and_keep_new_rows_on_the_same_scale():
    X, _, _ = rows(300, 3)
    basis = _Basis(X, is_curved=True)
    curved = basis.of(X)
    assert curved.shape == (300, 3 + 3 * 5 + 3)
    np.testing.assert_allclose(curved.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(curved.std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(basis.of(X[:7]), curved[:7], rtol=1e-12)
    assert _Basis(X, is_curved=False).of(X).shape == (300, 3)


def test_indicators_do_not_bend_and_many_columns_are_not_multiplied():
    rng = np.random.default_rng(0)
    two_levels = rng.integers(0, 2, (100, 2)).astype(float)
    assert _Basis(two_levels, is_curved=True).of(two_levels).shape == (100, 2 + 1)
    wide = rng.normal(size=(100, 31))
    assert _Basis(wide, is_curved=True).of(wide).shape == (100, 31 * 6)
    flat = np.ones((20, 2))
    assert np.isfinite(_Basis(flat, is_curved=True).of(flat)).all()


def test_gaps_are_filled_and_marked():
    X, _, _ = rows(100, 2)
    X[:30, 0] = np.nan
    basis = _Basis(X, is_curved=False)
    assert basis.of(X).shape == (100, 3)
    assert len(set(basis.of(X)[:30, 2])) == 1
    assert basis.of(X)[0, 2] > basis.of(X)[50, 2]
    empty = np.column_stack([X[:, 1], np.full(100, np.nan)])
    assert np.isfinite(_Basis(empty, is_curved=True).of(empty)).all()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("n", [8, 300])
def test_every_learner_predicts_few_and_many_rows(learner, is_binary, n):
    X, y, weight = rows(n)
    values = (y > np.median(y)).astype(float) if is_binary else y
    for sample_weight in (None, weight):
        predicted = fit_predict_default(
            learner, X, values, X[:5] + 1, weight=sample_weight, is_binary=is_binary, seed=0
        )
        assert predicted.shape == (5,)
        assert np.isfinite(predicted).all()
        assert not is_binary or ((predicted >= 0) & (predicted <= 1)).all()


def test_curves_learn_from_a_sample_and_predict_in_blocks(monkeypatch):
    monkeypatch.setattr(default_models, "_MAX_ROWS_FOR_CURVES", 100)
    everyone = np.arange(1000)
    sample = learning_rows("curves", everyone, 0)
    assert len(set(sample.tolist())) == 100
    assert learning_rows("trees", everyone, 0) is everyone
    assert learning_rows("curves", everyone[:90], 0) is not None
    X, y, _ = rows(350)
    options = {"weight": None, "is_binary": False, "seed": 0}
    blocks = fit_predict_default("curves", X[:90], y[:90], X, **options)
    monkeypatch.setattr(default_models, "_MAX_ROWS_FOR_CURVES", 1000)
    np.testing.assert_allclose(
        blocks, fit_predict_default("curves", X[:90], y[:90], X, **options), rtol=1e-12
    )


def test_too_many_levels_are_named():
    many = pd.DataFrame({"a": [f"u{i}" for i in range(1001)] * 4})
    with pytest.raises(ValueError, match=r"F: column 'a' of X has 1001 different values in 4004"):
        encoded_covariates("F", many)
    few = pd.DataFrame({"a": [f"u{i % 10}" for i in range(60)], "b": np.arange(60)})
    assert encoded_covariates("F", few).shape == (60, 10)
