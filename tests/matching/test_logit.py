"""Our logistic regression against statsmodels, and what must survive rounding."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from segcate._statistics.columns import independent_columns, independent_in_gram
from segcate.matching._logit import fit_logit
from segcate.matching._score_grid import linear_predictor

# statsmodels stops its own Newton a little earlier.
RTOL = 1e-8


def draw(seed=0, n=400, p=4):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, p)) * 10.0 ** np.arange(p) + np.arange(p)
    eta = -0.5 + Z @ (np.array([0.8, -0.05, 0.003, 0.0002])[:p])
    return Z, (rng.random(n) < expit(eta)).astype(np.int8), rng


def peer(Z, treatment, weight=None, offset=None):
    model = sm.GLM(
        treatment, sm.add_constant(Z), family=sm.families.Binomial(), freq_weights=weight,
        offset=offset,
    )  # fmt: skip
    return model.fit(tol=1e-14, maxiter=200)


def assert_same_fit(found, expected):
    np.testing.assert_allclose(found.coef, expected.params, rtol=RTOL)
    # by columns of very different scale: compare correlations and standard errors
    covariance = expected.cov_params()
    error = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), error, rtol=RTOL)
    np.testing.assert_allclose(
        found.covariance / np.outer(error, error), covariance / np.outer(error, error), atol=RTOL
    )
    assert found.converged
    assert not found.penalised


def test_fit_is_that_of_statsmodels():
    Z, treatment, _ = draw()
    assert_same_fit(fit_logit(Z, treatment), peer(Z, treatment))


def test_weights_and_offset_are_those_of_statsmodels():
    Z, treatment, rng = draw(1)
    weight, offset = rng.integers(1, 5, len(Z)).astype(float), rng.normal(size=len(Z))
    found = fit_logit(Z, treatment, weight=weight, offset=offset)
    assert_same_fit(found, peer(Z, treatment, weight, offset))


def test_rows_outside_are_not_looked_at():
    Z, treatment, rng = draw(2)
    rows = np.sort(rng.choice(len(Z), 250, replace=False))
    found = fit_logit(Z, treatment, rows=rows)
    assert_same_fit(found, peer(Z[rows], treatment[rows]))
    spoiled = np.full_like(Z, np.nan)
    spoiled[rows] = Z[rows]
    np.testing.assert_array_equal(found.coef, fit_logit(spoiled, treatment, rows=rows).coef)


def test_more_rows_than_a_block_holds():
    rng = np.random.default_rng(3)
    Z = rng.normal(size=(40_000, 2))
    treatment = (rng.random(40_000) < expit(Z @ [0.5, -0.5])).astype(np.int8)
    assert_same_fit(fit_logit(Z, treatment), peer(Z, treatment))


def test_the_gradient_vanishes_to_the_last_digits():
    Z, treatment, _ = draw(4)
    found = fit_logit(Z, treatment)
    residual = expit(linear_predictor(Z, found.grid, np.arange(len(Z)))) - treatment
    standard = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    assert abs(residual.sum()) < 1e-9
    assert np.abs(standard.T @ residual).max() < 1e-9


def test_centring_on_segment_means_is_fitting_the_centred_columns():
    Z, treatment, rng = draw(5)
    codes = rng.integers(0, 3, len(Z))
    means = np.stack([Z[codes == c].mean(axis=0) for c in range(3)])
    found = fit_logit(Z, treatment, centre=(codes, means))
    assert_same_fit(found, peer(Z - means[codes], treatment))


# --- columns that carry nothing ------------------------------------------------------------------


def test_constant_and_repeated_columns_get_no_coefficient():
    Z, treatment, _ = draw(6)
    padded = np.column_stack([np.full(len(Z), 7.0), Z, Z[:, 0] - 2 * Z[:, 1], Z[:, 2]])
    found = fit_logit(padded, treatment)
    assert found.kept.tolist() == [False, True, True, True, True, False, False]
    assert (found.coef[1:][~found.kept] == 0).all()
    np.testing.assert_allclose(found.coef[1:][found.kept], fit_logit(Z, treatment).coef[1:], 1e-9)
    assert found.covariance.shape == (5, 5)


def test_independent_columns_are_the_first_that_span():
    rng = np.random.default_rng(0)
    for _ in range(20):
        base = rng.normal(size=(50, 4))
        mix = base @ rng.normal(size=(4, 3))
        Z = np.column_stack([base, mix])[:, rng.permutation(7)]
        kept = independent_columns(Z)
        rank = [
            np.linalg.matrix_rank(np.column_stack([np.ones(50), Z[:, : j + 1]])) for j in range(7)
        ]
        assert kept.tolist() == (np.diff([1, *rank]) > 0).tolist()


def test_scale_and_shift_do_not_decide_which_columns_are_independent():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(80, 5)) * [1e-8, 1.0, 1e6, 1e-3, 1e9] + [0.0, 1e3, 0.0, 5.0, 1e9]
    assert independent_columns(Z).all()


def test_independent_in_gram_skips_what_is_no_candidate():
    gram = np.eye(3)
    assert independent_in_gram(gram, np.array([True, False, True])).tolist() == [True, False, True]


def test_no_columns_leave_the_constant():
    treatment = np.array([0, 0, 1, 0], np.int8)
    found = fit_logit(np.empty((4, 0)), treatment)
    assert found.coef == pytest.approx([np.log(1 / 3)])


# --- separation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1.0, 1e-6])
def test_separated_arms_are_no_maximum(gap):
    z = np.r_[np.linspace(-1, 0, 20), np.linspace(gap, 1 + gap, 20)][:, None]
    treatment = np.repeat([0, 1], 20).astype(np.int8)
    assert not fit_logit(z, treatment).converged


def test_a_category_with_one_arm_alone_is_no_maximum():
    """Quasi-separation: every row of a level is treated, so that its slope runs away."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=100)
    level = (np.arange(100) < 10).astype(float)
    treatment = ((rng.random(100) < expit(z)) | (level == 1)).astype(np.int8)
    assert not fit_logit(np.column_stack([z, level]), treatment).converged


def test_a_penalty_gives_the_ridge_of_the_standardised_columns():
    z = np.r_[np.linspace(-1, 0, 20), np.linspace(1, 2, 20)][:, None]
    treatment = np.repeat([0, 1], 20).astype(np.int8)
    found = fit_logit(z, treatment, penalty=2.0)
    assert found.converged
    assert found.penalised
    standard = (z[:, 0] - z.mean()) / z.std()
    slope = found.coef[1] * z.std()
    p = expit(linear_predictor(z, found.grid, np.arange(40)))
    assert abs((p - treatment).sum()) < 1e-9  # the constant is not penalised
    assert standard @ (p - treatment) + 2.0 * slope == pytest.approx(0.0, abs=1e-9)


# --- ties ----------------------------------------------------------------------------------------


def test_equal_rows_get_equal_scores_to_the_last_bit():
    Z, treatment, rng = draw(7)
    repeated = np.vstack([Z, Z])
    found = fit_logit(Z, treatment)
    coef = found.coef
    shuffled = rng.permutation(len(repeated))
    out = linear_predictor(repeated, found.grid, shuffled)
    back = np.empty(len(repeated))
    back[shuffled] = out
    np.testing.assert_array_equal(back[: len(Z)], back[len(Z) :])
    np.testing.assert_allclose(back[: len(Z)], coef[0] + Z @ coef[1:], rtol=1e-12, atol=1e-12)


def test_the_order_of_the_rows_moves_the_coefficients_by_rounding_only():
    Z, treatment, rng = draw(8)
    order = rng.permutation(len(Z))
    found, moved = fit_logit(Z, treatment), fit_logit(Z[order], treatment[order])
    np.testing.assert_allclose(found.coef, moved.coef, rtol=1e-9)
