"""A penalised logistic regression on curves, all segments together: against plain Newton steps."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance import segment_logit
from segcate._nuisance.curves import curves_of
from segcate._nuisance.segment_logit import fit_segment_logit
from tests.helpers import naive_curves

RNG = np.random.default_rng(3)
N, S = 400, 3
Z = np.column_stack([RNG.normal(size=(N, 2)), RNG.random(N) < 0.5]).astype(float)
SEGMENT = RNG.integers(0, S, N)
T = (RNG.random(N) < 1 / (1 + np.exp(1 - Z[:, 0] ** 2 - (SEGMENT - 1) * Z[:, 1]))).astype(float)
WEIGHT = RNG.exponential(size=N)


def log_odds(rows=None, weight=None, treatment=T):
    rows = np.arange(N) if rows is None else rows
    part = None if weight is None else weight[rows]
    curves = curves_of(Z[rows], part)
    rows_of = [np.flatnonzero(SEGMENT[rows] == k) for k in range(S)]
    fit = fit_segment_logit(curves, rows_of, treatment[rows], part)
    return fit.log_odds(curves, rows_of, len(rows))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_log_odds_are_those_of_plain_newton_steps(weight):
    v = np.ones(N) if weight is None else weight
    np.testing.assert_allclose(
        log_odds(weight=weight), naive_curves.log_odds(Z, SEGMENT, T, v), atol=1e-7
    )


def test_arms_that_can_be_told_apart_have_finite_log_odds():
    found = log_odds(treatment=(Z[:, 0] > 0.2).astype(float))
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 500


def test_part_of_many_rows_gives_nearly_the_same_in_any_order(monkeypatch):
    whole = log_odds()
    monkeypatch.setattr(segment_logit, "MOST_ROWS", 300)
    found = log_odds()
    order = RNG.permutation(N)
    np.testing.assert_allclose(log_odds(order), found[order], atol=1e-7)
    assert 0.9 < np.corrcoef(found, whole)[0, 1] < 1.0 - 1e-9


def test_a_segment_without_rows_has_none():
    curves = curves_of(Z)
    rows_of = [np.flatnonzero(SEGMENT == 0), np.flatnonzero(SEGMENT == 1), np.empty(0, np.intp)]
    found = fit_segment_logit(curves, rows_of, T, None).log_odds(curves, rows_of, N)
    np.testing.assert_array_equal(np.isnan(found), SEGMENT == 2)
