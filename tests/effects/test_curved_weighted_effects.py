"""Effects as exact weights: against formulas written out, and what must hold of the weights."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance.curves import curves_of
from segcate.effects._curved.arm_fit import _root, _squared_lengths
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.weighted_effects import weighted_effects
from tests.helpers import naive_curves

N, S = 300, 3
RNG = np.random.default_rng(2)
Z = np.column_stack([RNG.normal(size=(N, 3)), RNG.random(N) < 0.4])
SEGMENT = RNG.integers(0, S, N)
TREATED = (RNG.random(N) < 1 / (1 + np.exp(-Z[:, 0]))).astype(int)
Y = Z[:, 0] ** 2 + Z[:, 1] * (SEGMENT - 1) + TREATED * (1.0 + Z[:, 2]) + RNG.normal(size=N)
USES = RNG.exponential(size=N) * (RNG.random(N) < 0.8)
WEIGHT = RNG.exponential(size=N)
FOCAL = {"att": TREATED == 1, "atc": TREATED == 0, "ate": np.ones(N, dtype=bool)}


def comparison(estimand, weight=None, y=Y, uses=USES, rows=None):
    rows = np.arange(N) if rows is None else rows
    own = FOCAL[estimand] * (1.0 if weight is None else weight)
    return Comparison(
        [rows[SEGMENT[rows] == k] for k in range(S)], y, TREATED == 1, own, uses, weight, estimand
    )


@pytest.mark.parametrize("estimand", FOCAL)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_figures_are_those_of_the_formulas(estimand, weight):
    found = weighted_effects(curves_of(Z, weight), comparison(estimand, weight))
    v = np.ones(N) if weight is None else weight
    naive = naive_curves.effects(Z, SEGMENT, Y, TREATED, FOCAL[estimand] * v, USES, v, estimand)
    np.testing.assert_allclose(found.effect, naive.effect, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, naive.covariance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.df, naive.df, rtol=1e-9)
    if estimand != "atc":
        np.testing.assert_allclose(found.parts[0].n_effective, naive.n_eff_controls, rtol=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_the_effect_is_treated_mean_less_weighted_outcomes_of_all_controls(weight):
    compared = comparison("att", weight)
    curves = curves_of(Z, weight)
    found = weighted_effects(curves, compared)
    v = np.ones(N) if weight is None else weight
    all_weights = naive_curves.effects(
        Z, SEGMENT, Y, TREATED, FOCAL["att"] * v, USES, v, "att"
    ).weights[0]
    for k in range(S):
        treated = (k == SEGMENT) & (TREATED == 1)
        mean = v[treated] @ Y[treated] / v[treated].sum()
        assert found.effect[k] == pytest.approx(mean - all_weights[k] @ Y, abs=1e-10)
        own = (k == SEGMENT) & (TREATED == 0)
        assert found.parts[0].weights[own].sum() == pytest.approx(1.0, abs=1e-10)
        np.testing.assert_allclose(found.parts[0].weights[own], all_weights[k, own], atol=1e-10)
        for other in set(range(S)) - {k}:
            assert all_weights[k, (other == SEGMENT) & (TREATED == 0)].sum() == pytest.approx(0, abs=1e-10)  # fmt: skip


@pytest.mark.parametrize("estimand", FOCAL)
def test_a_constant_of_each_segment_changes_nothing(estimand):
    found = weighted_effects(curves_of(Z), comparison(estimand))
    shifted = weighted_effects(curves_of(Z), comparison(estimand, y=Y + 100.0 * SEGMENT))
    np.testing.assert_allclose(shifted.effect, found.effect, rtol=1e-9)
    np.testing.assert_allclose(shifted.covariance, found.covariance, rtol=1e-7, atol=1e-12)


def test_another_unit_of_a_column_changes_nothing():
    found = weighted_effects(curves_of(Z), comparison("att"))
    other = weighted_effects(curves_of(Z * [1e3, 1e-3, 1.0, 7.0]), comparison("att"))
    np.testing.assert_allclose(other.effect, found.effect, rtol=1e-9)


def test_the_order_of_rows_changes_nothing():
    order = np.random.default_rng(5).permutation(N)
    found = weighted_effects(curves_of(Z), comparison("ate"))
    other = weighted_effects(curves_of(Z), comparison("ate", rows=order))
    np.testing.assert_allclose(other.effect, found.effect, rtol=1e-9)
    np.testing.assert_allclose(other.covariance, found.covariance, rtol=1e-8, atol=1e-12)


def test_without_regression_it_is_the_difference_of_weighted_means():
    found = weighted_effects(curves_of(Z), comparison("att"), penalties=[(1e12,) * 4])
    for k in range(S):
        controls = (k == SEGMENT) & (TREATED == 0)
        treated = (k == SEGMENT) & (TREATED == 1)
        expected = Y[treated].mean() - USES[controls] @ Y[controls] / USES[controls].sum()
        assert found.effect[k] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("arm", [0, 1])
def test_free_slopes_and_equal_weights_are_the_regression_in_each_segment(arm):
    estimand = {0: "att", 1: "atc"}[arm]
    compared = comparison(estimand, uses=np.ones(N))
    found = weighted_effects(curves_of(Z), compared, penalties=[(1e13, 1e13, 0.0, 1e13)])
    for k in range(S):
        here = k == SEGMENT
        donors, focal = here & (arm == TREATED), here & (arm != TREATED)
        design = np.column_stack([np.ones(N), Z])
        coef = np.linalg.lstsq(design[donors], Y[donors], rcond=None)[0]
        gap = (Y[focal] - design[focal] @ coef).mean()
        assert found.effect[k] == pytest.approx(gap if arm == 0 else -gap, abs=1e-8)


def test_segments_without_donors_or_focal_rows_have_no_effect():
    uses = np.where((SEGMENT == 1) & (TREATED == 0), 0.0, USES)
    found = weighted_effects(curves_of(Z), comparison("att", uses=uses))
    assert np.isnan(found.effect[1])
    assert np.isnan(found.covariance[1]).all()
    assert np.isfinite(found.effect[[0, 2]]).all()
    assert np.isfinite(found.covariance[np.ix_([0, 2], [0, 2])]).all()


def test_covariates_held_fixed_leave_the_noise_of_the_treated():
    population = weighted_effects(curves_of(Z), comparison("att"))
    sample = weighted_effects(curves_of(Z), comparison("att"), inference="sample")
    np.testing.assert_array_equal(sample.effect, population.effect)
    assert (
        sample.focal_variance < population.focal_variance
    ).all()  # effects vary with a covariate
    both = weighted_effects(curves_of(Z), comparison("ate"), inference="sample")
    np.testing.assert_array_equal(both.focal_variance, 0.0)


@pytest.mark.parametrize("rank", [5, 3])
def test_leverages_by_a_root_are_those_of_the_inverse_also_where_it_is_not_positive(rank):
    rng = np.random.default_rng(3)
    half = rng.normal(size=(5, rank))
    inverse = half @ half.T
    if rank < 5:  # rounding has left eigenvalues below 0
        inverse -= 1e-13 * np.eye(5)
    values = rng.normal(size=(20, 5))
    expected = np.einsum("ij,jk,ik->i", values, inverse, values)
    found = _squared_lengths(np.asfortranarray(values), _root(inverse))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_columns_held_give_the_effects_of_columns_made_in_blocks():
    curves = curves_of(Z)
    found = weighted_effects(curves, comparison("att"))
    held = weighted_effects(curves.held(), comparison("att"))
    assert curves.held().made is not None
    np.testing.assert_allclose(held.effect, found.effect, rtol=1e-12)
    np.testing.assert_allclose(held.covariance, found.covariance, rtol=1e-12)
