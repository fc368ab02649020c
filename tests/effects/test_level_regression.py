"""Least squares with shrunken levels, against a mixed model's likelihood written out."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.effects._matched.level_regression import (
    VARIANCE_RATIOS,
    level_regression,
    penalised_least_squares,
)

# Two ways to the same normal equations.
RTOL = 1e-8


def draw(seed=0, n=200, n_levels=12, spread=1.0):
    rng = np.random.default_rng(seed)
    level = rng.integers(0, n_levels, n)
    x = rng.normal(size=n)
    y = 3 + x + spread * rng.normal(size=n_levels)[level] + rng.normal(size=n)
    U = (level[:, None] == np.arange(n_levels)).astype(float)
    return np.column_stack([x, U]), np.array([-1] + [0] * n_levels), y


def restricted_likelihood(values, block, y, ratio):
    """Return -2 log restricted likelihood, the residual variance profiled, from V itself."""
    U, X = values[:, block >= 0], np.column_stack([np.ones(len(y)), values[:, block < 0]])
    V = np.eye(len(y)) + ratio * U @ U.T
    W = np.linalg.inv(V)
    b = np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    left = (y - X @ b) @ W @ (y - X @ b)
    effects = ratio * U.T @ W @ (y - X @ b)
    free = len(y) - X.shape[1]
    value = free * np.log(left) + np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ W @ X)[1]
    return value, b[1:], effects


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 3.0])
def test_ratio_and_effects_are_those_of_the_restricted_likelihood(spread):
    values, block, y = draw(spread=spread)
    found = [restricted_likelihood(values, block, y, ratio) for ratio in VARIANCE_RATIOS]
    best = min(found, key=lambda each: each[0])
    coef = level_regression(values, block, y)
    np.testing.assert_allclose(coef[0], best[1][0], rtol=RTOL)
    np.testing.assert_allclose(coef[1:], best[2], rtol=1e-6, atol=1e-8)


def test_each_category_has_a_ratio_of_its_own():
    first, _, y = draw(spread=3.0)
    rng = np.random.default_rng(4)
    other = rng.integers(0, 8, len(y))
    noise = (other[:, None] == np.arange(8)).astype(float)
    block = np.array([-1] + [0] * 12 + [1] * 8)
    coef = level_regression(np.hstack([first, noise]), block, y)
    assert np.abs(coef[1:13]).max() > 2
    assert np.abs(coef[13:]).max() < 0.5


def test_weights_count_relatively_and_constants_do_nothing():
    values, block, y = draw(2)
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    once = level_regression(values, block, y, weight)
    np.testing.assert_allclose(level_regression(values, block, y, 7 * weight), once, rtol=RTOL)
    padded = np.column_stack([values, np.ones(len(y))])
    again = level_regression(padded, np.append(block, -1), y, weight)
    np.testing.assert_allclose(again, np.append(once, 0.0), rtol=RTOL)


def test_an_infinite_penalty_leaves_a_column_out():
    gram = np.array([[2.0, 1.0], [1.0, 4.0]])
    coef, log_determinant = penalised_least_squares(
        gram, np.array([2.0, 3.0]), np.array([0.0, np.inf])
    )
    np.testing.assert_allclose(coef, [1.0, 0.0])
    assert log_determinant == pytest.approx(np.log(2.0))
