"""Scores on a grid: exact sums, whatever the order, origin and unit of the covariates."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.columns import column_ranges
from segcate.matching._score_grid import column_units, linear_predictor, place_on_grid


def units(Z):
    rows = np.arange(len(Z))
    return column_units(Z, rows, *column_ranges(Z, rows))


def grid_of(Z, constant, slopes):
    rows = np.arange(len(Z))
    return place_on_grid(Z, rows, np.zeros(Z.shape[1]), constant, np.asarray(slopes, float))


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (np.arange(-2, 3), 1.0),
        (np.arange(0, 101, 2), 2.0),
        (np.arange(5) * 0.1 + 7, 0.1),
        (np.arange(1000) * 1e-6, 1e-6),
        (np.arange(60_000) + 1.7e12, 1.0),
        ([0.0, 6.0, 10.0, 15.0], 1.0),
        ([0.0, 1.0], 1.0),
    ],
)
def test_the_unit_is_that_of_which_all_differences_are_multiples(values, unit):
    Z = np.random.default_rng(0).permutation(np.asarray(values, float))[:, None]
    assert units(Z) == pytest.approx(unit, rel=1e-9)


def test_fractions_constants_and_too_many_levels_have_no_unit():
    rng = np.random.default_rng(0)
    fractions, constant = rng.normal(size=1000), np.full(1000, 7.0)
    many = np.r_[0.0, 1.0, 2.0**21, rng.integers(0, 2**21, 997)]
    far = rng.normal(size=1000) + 1e12  # a grid of rounding, not of the values
    assert units(np.column_stack([fractions, constant, many, far])).tolist() == [0, 0, 0, 0]


def test_scores_are_those_of_the_coefficients():
    rng = np.random.default_rng(1)
    Z = np.column_stack([rng.normal(size=500), rng.integers(-2, 3, 500), rng.integers(0, 90, 500)])
    slopes = np.array([0.7, -0.3, 0.02])
    grid = grid_of(Z, -0.4, slopes)
    assert grid.is_counted.tolist() == [False, True, True]
    expected = -0.4 + Z @ slopes
    np.testing.assert_allclose(linear_predictor(Z, grid, np.arange(500)), expected, atol=1e-12)
    np.testing.assert_allclose(grid.coef, [-0.4, *slopes], rtol=1e-11)


@pytest.mark.parametrize(
    ("factor", "shift"), [(1, 0), (1, 1e12), (1e-6, 0), (1e6, 0), (-1, 0), (2.54, 3.0)]
)
def test_rows_equally_far_apart_are_so_to_the_last_bit(factor, shift):
    rng = np.random.default_rng(2)
    whole = rng.integers(-2, 3, (4000, 5)).astype(float)
    slopes = rng.normal(size=5)
    Z = factor * whole + shift
    score = linear_predictor(Z, grid_of(Z, 0.3, slopes / factor), np.arange(4000))
    middle, left, right = whole[:-2] * 2, whole[1:-1], whole[2:]
    symmetric = (left + right == middle).all(axis=1)
    lines = np.array([[0, 1, 2, 0, 1], [1, 1, 1, 1, 1], [2, 1, 0, 2, 1]], float) - 1
    on_line = factor * np.vstack([whole, lines]) + shift
    score = linear_predictor(on_line, grid_of(Z, 0.3, slopes / factor), np.arange(4003))
    low, mid, high = score[-3:]
    assert high - mid == mid - low
    at = np.flatnonzero(symmetric)
    assert (score[at] - score[at + 1] == score[at + 2] - score[at]).all()


def test_a_value_the_fit_did_not_see_keeps_its_own_score():
    Z = np.array([[0.0], [1.0], [2.0]])
    grid = grid_of(Z, 0.0, [1.0])
    assert linear_predictor(np.array([[0.5]]), grid, np.array([0])) == pytest.approx(0.5)


def test_no_columns_and_no_slope():
    grid = grid_of(np.empty((3, 0)), -0.25, [])
    assert linear_predictor(np.empty((3, 0)), grid, np.arange(3)).tolist() == [-0.25] * 3
    grid = grid_of(np.ones((3, 1)), 0.0, [0.0])
    assert linear_predictor(np.ones((3, 1)), grid, np.arange(3)).tolist() == [0.0] * 3
