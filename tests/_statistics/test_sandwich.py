"""The sandwich against refits without each row or group, and against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.sandwich import (
    FULL_LEVERAGE,
    cluster_factor,
    cluster_scores,
    corrected,
    left_out_sums,
    row_factor,
    sums_by_group,
    unit_factor,
)


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(60), rng.normal(size=(60, 2))])
    return X, X @ [1.0, 2.0, 0.5] + rng.normal(size=60), rng.integers(0, 9, 60)


def test_left_out_sums_are_refits_without_each_group(study):
    X, y, codes = study
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ y
    sums = sums_by_group(X * (y - X @ beta)[:, None], codes)
    solved, leverage = left_out_sums(X, sums, bread, codes)
    for group in range(9):
        rows = codes != group
        without = np.linalg.lstsq(X[rows], y[rows], rcond=None)[0]
        np.testing.assert_allclose(bread @ solved[group], beta - without, rtol=1e-9, atol=1e-12)
    assert 0 < leverage < FULL_LEVERAGE


def test_groups_of_one_row_are_hc3(study):
    X, y, _ = study
    bread = np.linalg.inv(X.T @ X)
    residual = y - X @ bread @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, bread, X)
    solved, _ = left_out_sums(X, X * residual[:, None], bread, np.arange(60))
    np.testing.assert_allclose(solved, X * corrected(residual, leverage, "hc3")[:, None], rtol=1e-9)


def test_a_group_that_decides_a_coefficient_is_found(study):
    X, y, codes = study
    X = np.column_stack([X, codes == 3])
    bread = np.linalg.inv(X.T @ X)
    residual = y - X @ bread @ X.T @ y
    solved, leverage = left_out_sums(X, sums_by_group(X * residual[:, None], codes), bread, codes)
    assert leverage > FULL_LEVERAGE
    assert np.isnan(solved).all()


def test_the_factor_is_that_of_statsmodels(study):
    api = pytest.importorskip("statsmodels.api")
    X, y, codes = study
    fitted = api.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": codes})
    bread = np.linalg.inv(X.T @ X)
    sums = sums_by_group(X * fitted.resid[:, None], codes)
    covariance = cluster_factor(9, 60, 3) * bread @ sums.T @ sums @ bread
    np.testing.assert_allclose(covariance, fitted.cov_params(), rtol=1e-9)


def test_the_covariance_of_groups_left_out_is_the_jackknife(study):
    X, y, codes = study
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ y
    scores, _ = cluster_scores(X, y - X @ beta, bread, codes, leaves_out=True)
    moves = np.array(
        [beta - np.linalg.lstsq(X[codes != g], y[codes != g], rcond=None)[0] for g in range(9)]
    )
    factor = cluster_factor(9, 60, 3, leaves_out=True)
    np.testing.assert_allclose(factor * scores.T @ scores, 8 / 9 * moves.T @ moves, rtol=1e-9)


def test_factors_mean_nothing_without_a_second_unit_or_a_row_to_spare():
    assert unit_factor(5) == 1.25
    assert unit_factor(5, leaves_out=True) == 0.8
    assert row_factor("hc1", 12, 2) == 1.2
    assert row_factor("hc3", 2, 2) == 1.0
    assert np.isnan([unit_factor(1), row_factor("hc1", 2, 2), cluster_factor(9, 3, 3)]).all()
    np.testing.assert_array_equal(unit_factor(np.array([1, 2, 5])), [np.nan, 2.0, 1.25])
