"""Steps of all folds together and folds solved alone: the same solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcate._nuisance import fold_logistic
from segcate._nuisance.curves import curves_of
from segcate._nuisance.fold_logistic import fit_logistic
from segcate._nuisance.fold_regression import fit_ridge
from segcate._nuisance.fold_sums import cells_of, sums_of

RNG = np.random.default_rng(2)
N = 3_000
Z = RNG.normal(size=(N, 3))
T = (RNG.random(N) < 1 / (1 + np.exp(1 - Z[:, 0] - 0.3 * Z[:, 1] ** 2))).astype(float)
CURVES = curves_of(Z)
CELLS = cells_of([np.arange(N) % 3 != k for k in range(3)])
M = CURVES.n_columns


SCALE = RNG.exponential(size=M)


def fitted(penalty=10.0, values=T, weight=None):
    response = values[:, None]
    lines = [fit_ridge(sums) for sums in sums_of(CURVES, CELLS, weight, response, [0] * 3)]
    lines = [replace(line, penalty=penalty, scale=SCALE) for line in lines]
    found = fit_logistic(CURVES, CELLS, weight, values, lines)
    return [(one.coef, one.intercept, one.constant) for one in found]


@pytest.mark.parametrize("weight", [None, RNG.exponential(size=N)], ids=["equal", "weighted"])
def test_folds_together_and_folds_alone_agree(weight, monkeypatch):
    solved = []
    solve = fold_logistic._Problem.solve
    monkeypatch.setattr(
        fold_logistic._Problem, "solve", lambda self, *at: solved.append(1) or solve(self, *at)
    )
    together = fitted(weight=weight)
    assert not solved
    monkeypatch.setattr(fold_logistic, "_MOST_TOGETHER", 1)
    alone = fitted(weight=weight)
    assert len(solved) == 3
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-5)
        assert one[1] == pytest.approx(other[1], abs=1e-5)


def test_steps_that_stay_long_are_steered_anew(monkeypatch):
    steep = (RNG.random(N) < 1 / (1 + np.exp(-4 * Z[:, 0] - Z[:, 1] ** 2))).astype(float)
    solved, looks = [], []
    solve, steer = fold_logistic._Problem.solve, fold_logistic._Steps.steer
    monkeypatch.setattr(
        fold_logistic._Problem, "solve", lambda self, *at: solved.append(1) or solve(self, *at)
    )
    monkeypatch.setattr(
        fold_logistic._Steps, "steer", lambda self, sums: looks.append(1) or steer(self, sums)
    )
    together = fitted(values=steep)
    assert looks
    assert not solved
    monkeypatch.setattr(fold_logistic, "_MOST_LOOKS", 0)
    monkeypatch.setattr(fold_logistic, "_MOST_TOGETHER", 1)
    alone = fitted(values=steep)
    assert len(solved) == 3
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-4)
        assert one[1] == pytest.approx(other[1], abs=1e-4)


def test_arms_that_can_be_told_apart_have_finite_slopes():
    values = (Z[:, 0] > 0.3).astype(float)
    for coef, intercept, _ in fitted(1e-3, values):
        assert np.isfinite(coef).all()
        chance = 1 / (1 + np.exp(-CURVES.of(np.arange(N)) @ coef - intercept))
        assert ((chance > 0.5) == (values == 1)).mean() > 0.98


def test_a_strong_penalty_leaves_the_share():
    for coef, intercept, constant in fitted(1e12):
        assert np.abs(coef).max() < 1e-6
        assert 1 / (1 + np.exp(-intercept)) == pytest.approx(T.mean(), abs=0.02)
        assert np.isnan(constant)


def test_one_value_is_a_constant():
    assert [constant for _, _, constant in fitted(values=np.ones(N))] == [1, 1, 1]


def test_extrapolated_steps_solve_a_linear_problem_in_as_many_as_it_has_unknowns():
    root = np.random.default_rng(4).normal(size=(5, 5))
    slope, goal = root @ root.T + np.eye(5), np.arange(5.0)
    at, past = np.zeros(5), []
    for _ in range(6):
        gradient = slope @ (goal - at)
        place = fold_logistic._Place(at, gradient / 10, gradient)
        at, past = place.extrapolated(past), [*past, place]
    np.testing.assert_allclose(at, goal, atol=1e-8)
