"""Ridge regression with segments eliminated one by one: the same as one large system."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance.curves import curves_of
from segcate._nuisance.segment_ridge import (
    PENALTIES,
    choose_penalties,
    outcome_penalties,
    ridge,
    segment_sums,
)
from tests.helpers import naive_curves
from tests.helpers.naive_curves import basis, demeaned, penalties

RNG = np.random.default_rng(1)
N, S = 400, 3
Z = RNG.normal(size=(N, 4))
SEGMENT = RNG.integers(0, S, N)
Y = Z[:, 0] ** 2 + (SEGMENT - 1) * Z[:, 1] + RNG.normal(size=N)
ROWS = [np.flatnonzero(k == SEGMENT) for k in range(S)]
WEIGHTS = {"none": None, "some": RNG.exponential(size=N)}


def dense(weight):
    """One matrix of all columns, demeaned, the outcome and the blocks."""
    v = np.ones(N) if weight is None else weight
    X, block = basis(Z, SEGMENT, v)
    everyone = np.ones(N, dtype=bool)
    return demeaned(X, SEGMENT, everyone, v), demeaned(Y, SEGMENT, everyone, v), v, block


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("penalty", [(0.1, 10.0, 1.0, 1e3), (1e5, 1e5, 1e5, 1e5)])
def test_segments_eliminated_give_the_large_inverse(kind, penalty):
    weight = WEIGHTS[kind]
    A, r, v, block = dense(weight)
    G = A.T @ (A * v[:, None])
    inverse = np.linalg.inv(G + np.diag(np.array(penalty)[block]))
    curves = curves_of(Z, weight)
    sums = segment_sums(curves, ROWS, Y, weight)
    fit = ridge(curves, sums, penalty)
    beta = inverse @ (A.T @ (v * r))
    assert fit.n_parameters == pytest.approx(np.trace(inverse @ G), rel=1e-9)
    assert fit.left == pytest.approx(v @ (r - A @ beta) ** 2, rel=1e-9)
    gaps = RNG.normal(size=(S, curves.n_columns))
    for k, rows in enumerate(ROWS):
        x = curves.of(rows) - sums.mean[k]
        np.testing.assert_allclose(x @ fit.slopes(k), A[rows] @ beta, atol=1e-10)
        np.testing.assert_allclose(
            ((x @ fit.inverse(k)) * x).sum(axis=1), ((A[rows] @ inverse) * A[rows]).sum(axis=1), atol=1e-10
        )  # fmt: skip
        wide = np.zeros((S, A.shape[1]))  # gaps of the segments in the columns of the large system
        for one in range(S):
            wide[one, block < 2] = gaps[one, : curves.n_shared]
            slopes, squares = np.flatnonzero(block == 2), np.flatnonzero(block == 3)
            wide[one, slopes.reshape(S, -1)[one]] = gaps[one, : curves.n_lines]
            wide[one, squares.reshape(S, -1)[one]] = gaps[one, curves.n_shared :]
        np.testing.assert_allclose(
            x @ fit.directions(k, gaps), A[rows] @ inverse @ wide.T, atol=1e-10
        )


@pytest.mark.parametrize("kind", WEIGHTS)
def test_penalties_are_those_of_the_walk_written_out(kind):
    weight = WEIGHTS[kind]
    A, r, v, block = dense(weight)
    curves = curves_of(Z, weight)
    found = choose_penalties(curves, segment_sums(curves, ROWS, Y, weight))
    np.testing.assert_allclose(found, penalties(A, r, v, block, v.sum() - S))


@pytest.mark.parametrize("kind", WEIGHTS)
def test_outcome_penalties_are_those_of_two_walks_written_out(kind):
    weight = WEIGHTS[kind]
    A, r, v, block = dense(weight)
    curves = curves_of(Z, weight)
    found = outcome_penalties(curves, segment_sums(curves, ROWS, Y, weight))
    np.testing.assert_allclose(found, naive_curves.outcome_penalties(A, r, v, block, v.sum() - S))


def test_a_curve_that_segments_share_is_not_left_to_each_of_them():
    # One walk ends at curvature of each segment's own, a second one at shared bends.
    rng = np.random.default_rng(9)
    z = rng.normal(size=(900, 5))
    rows = np.split(np.arange(900), 6)
    y = np.exp(0.6 * z[:, 0]) + rng.normal(size=900)
    curves = curves_of(z)
    sums = segment_sums(curves, rows, y, None)
    assert choose_penalties(curves, sums)[3] < PENALTIES[-1]
    _, bends, _, curvature = outcome_penalties(curves, sums)
    assert bends <= 100
    assert curvature == PENALTIES[-1]


def test_slopes_of_another_sign_in_each_segment_are_hardly_held_back():
    """As cross-validation for predictions would have it, the treated of either kind were .13 off (poor overlap)."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(480, 3))
    rows = np.split(np.arange(480), 6)
    y = np.repeat([1.0, -1.0], 240) * z[:, 0] + rng.normal(size=480)
    curves = curves_of(z)
    sums = segment_sums(curves, rows, y, None)
    found, predicted = outcome_penalties(curves, sums), choose_penalties(curves, sums)
    assert found[2] < predicted[2]
    slopes = [ridge(curves, sums, penalty) for penalty in (found, predicted)]
    lines = [fit.shared[0] + fit.own[:, 0] for fit in slopes]
    ends = np.repeat([1.0, -1.0], 3)
    assert np.abs(lines[0] - ends).mean() < np.abs(lines[1] - ends).mean()


def test_few_rows_start_at_a_penalty_that_leaves_some_to_spare():
    rows = [part[:6] for part in ROWS]
    curves = curves_of(Z)
    found = choose_penalties(curves, segment_sums(curves, rows, Y, None))
    assert set(found) <= set(PENALTIES)
    fit = ridge(curves, segment_sums(curves, rows, Y, None), found)
    assert 1.4 * fit.n_parameters < 18 - S


def test_segments_without_rows_learn_the_shared_slopes():
    rows = [ROWS[0], ROWS[1], ROWS[2][:0]]
    curves = curves_of(Z)
    sums = segment_sums(curves, rows, Y, None)
    fit = ridge(curves, sums, (1.0, 1.0, 1.0, 1.0))
    np.testing.assert_allclose(fit.own[2], 0.0, atol=1e-12)
    assert sums.mass[2] == 0


def test_without_columns_only_means_are_left():
    curves = curves_of(np.empty((N, 0)))
    sums = segment_sums(curves, ROWS, Y, None)
    fit = ridge(curves, sums, choose_penalties(curves, sums))
    assert fit.n_parameters == 0.0
    assert fit.left == pytest.approx(sum(((Y[rows] - Y[rows].mean()) ** 2).sum() for rows in ROWS))
