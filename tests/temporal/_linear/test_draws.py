"""Errors that paths meet: of their level, in strata, and hardly correlated between steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from segcate.temporal._linear.draws import draw_ranks, find_coins, pool_errors


def test_errors_come_from_their_level_and_rank():
    level = np.linspace(0, 1, 4000)
    errors = np.column_stack([level + np.tile([0.0, 0.5], 2000), -level])
    pool = pool_errors(errors, level)
    assert pool.errors.shape == (10, 400, 2)
    assert (np.diff(pool.errors[..., 0], axis=1) >= 0).all()
    low, high = pool.at(np.array([[0.05, 0.95]]), np.array([0.0, 0.999]))[0]
    assert low[0] < 0.01
    assert high[0] > 1.49
    np.testing.assert_allclose(high[1], 0.5 - high[0], atol=1e-12)  # rows stay together


def test_few_errors_make_one_level():
    pool = pool_errors(np.arange(30.0)[:, None], np.arange(30.0))
    assert pool.errors.shape == (1, 30, 1)
    assert len(pool.edges) == 0
    assert pool.at(np.array([[5.0]]), np.array([0.5]))[0, 0, 0] == 15.0


def test_each_stratum_of_ranks_is_met_once_a_step():
    ranks = draw_ranks(20, 3, 0)
    np.testing.assert_array_equal(np.sort((ranks * 20).astype(int), axis=1), [np.arange(20)] * 3)
    np.testing.assert_array_equal(draw_ranks(20, 3, 0), ranks)


@pytest.mark.parametrize("seed", range(5))
def test_ranks_of_different_steps_hardly_correlate(seed):
    scores = special.ndtri(draw_ranks(100, 6, seed))
    # By chance the largest of 15 is about 0.2, and the variance of a sum of six off by a fifth.
    assert np.abs(np.corrcoef(scores) - np.eye(6)).max() < 0.03
    assert scores.sum(axis=0).var() == pytest.approx(6 * scores.var(), rel=0.03)


@pytest.mark.parametrize(("n_paths", "horizon"), [(1, 3), (3, 3), (3, 8), (6, 5)])
def test_few_paths_have_ranks_too(n_paths, horizon):
    ranks = draw_ranks(n_paths, horizon, 0)
    expected = [np.arange(n_paths)] * horizon
    np.testing.assert_array_equal(np.sort((ranks * n_paths).astype(int), axis=1), expected)


def test_as_many_paths_are_1_as_the_probability_says():
    ranks = draw_ranks(1000, 2, 0)
    coins = find_coins(
        np.array([True, False, True]), np.array([[-1.0, 0, -2], [1.0, 1, 3]]), ranks, 0
    )
    assert coins.columns.tolist() == [0, 2]
    chance, thrown = coins.throw(1, np.broadcast_to([-0.5, 9.0], (1, 1000, 2)))
    assert set(chance[0, :, 0]) == {-0.5}  # a quarter of the way from -1 to 1
    assert set(chance[0, :, 1]) == {3.0}  # cut off
    assert set(thrown[0, :, 0]) == {-1.0, 1.0}
    assert (thrown[0, :, 0] == 1).mean() == 0.25
    assert (thrown[0, :, 1] == 3).all()
    assert (ranks[1][thrown[0, :, 0] == 1] >= 0.75).all()
