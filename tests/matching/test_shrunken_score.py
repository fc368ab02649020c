"""The logit with shrunken levels, against the likelihood written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from segcate.matching._shrunken_score import LEVEL_SDS, NUMBER_SD, Blocks, shrunken_logit

# The optimiser of the second way stops at about this.
ATOL = 2e-4


def draw(seed=0, n=240, n_levels=10, spread=1.0):
    rng = np.random.default_rng(seed)
    level, x = rng.integers(0, n_levels, n), rng.normal(size=n)
    eta = 0.3 + 0.5 * x + spread * rng.normal(size=n_levels)[level]
    t = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(np.int8)
    U = (level[:, None] == np.arange(n_levels)).astype(float)
    return Blocks(np.column_stack([x, U]), np.array([-1] + [0] * n_levels)), t


def marginal(blocks, t, sd):
    """Return -log marginal likelihood (Laplace), up to a constant, and the log-odds."""
    x = blocks.values[:, 0]
    x, U = (x - x.mean()) / x.std(), blocks.values[:, 1:]
    D = np.column_stack([np.ones(len(t)), x, U])
    ridge = np.array([0.0, 1 / NUMBER_SD**2, *[1 / sd**2] * U.shape[1]])

    def loss(b):
        eta = D @ b
        return np.logaddexp(0, eta).sum() - t @ eta + 0.5 * ridge @ b**2

    b = minimize(loss, np.zeros(D.shape[1]), method="BFGS", options={"gtol": 1e-7}).x
    p = 1 / (1 + np.exp(-D @ b))
    H = (D * (p * (1 - p))[:, None]).T @ D + np.diag(ridge)
    return loss(b) + U.shape[1] * np.log(sd) + 0.5 * np.linalg.slogdet(H)[1], D @ b


@pytest.mark.parametrize("spread", [0.0, 0.7, 2.5])
def test_the_spread_of_levels_has_the_highest_marginal_likelihood(spread):
    blocks, t = draw(spread=spread)
    best = min((marginal(blocks, t, sd) for sd in LEVEL_SDS), key=lambda found: found[0])
    found = shrunken_logit(blocks, t, sds=LEVEL_SDS, number_sd=NUMBER_SD)
    np.testing.assert_allclose(found, best[1], atol=ATOL)


def test_a_level_of_one_arm_has_finite_log_odds():
    blocks, t = draw(3)
    t[blocks.values[:, 4] == 1] = 1
    found = shrunken_logit(blocks, t, sds=LEVEL_SDS, number_sd=NUMBER_SD)
    assert np.abs(found).max() < 8


def test_columns_in_another_order_give_the_same_scores():
    blocks, t = draw(4)
    order = np.r_[0, 1 + np.random.default_rng(0).permutation(10)]
    found = shrunken_logit(blocks, t, sds=LEVEL_SDS, number_sd=NUMBER_SD)
    other = Blocks(blocks.values[:, order], blocks.block)
    again = shrunken_logit(other, t, sds=LEVEL_SDS, number_sd=NUMBER_SD)
    np.testing.assert_allclose(again, found, atol=1e-10)
