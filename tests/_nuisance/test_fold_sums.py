"""Sums of training rows are added up from cells: against the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._nuisance.curves import curves_of
from segcate._nuisance.fold_sums import cells_of, sums_of

RNG = np.random.default_rng(0)
N = 300
Z = RNG.normal(size=(N, 3)) + 5
Y = np.column_stack([Z[:, 0] + RNG.normal(size=N), RNG.normal(size=N)])
WEIGHT = RNG.exponential(size=N)
FOLD, ARM = RNG.integers(0, 4, N), RNG.integers(0, 2, N)
TRAIN = [(k != FOLD) & (arm == ARM) for arm in (0, 1) for k in range(4)]


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_sums_are_those_of_the_rows(weight):
    curves = curves_of(Z)
    of = [0, 0, 0, 0, 1, 1, 1, 1]
    found = sums_of(curves, cells_of(TRAIN), weight, Y, of)
    for rows, at, sums in zip(TRAIN, of, found, strict=True):
        w = np.ones(rows.sum()) if weight is None else weight[rows]
        A, y = curves.of(np.flatnonzero(rows)), Y[rows, at]
        centred = A - np.average(A, axis=0, weights=w)
        assert sums.mass == pytest.approx(w.sum())
        np.testing.assert_allclose(sums.gram, (centred * w[:, None]).T @ centred, atol=1e-8)
        np.testing.assert_allclose(sums.product, (centred * w[:, None]).T @ y, atol=1e-8)
        assert sums.response_mean == pytest.approx(np.average(y, weights=w))
        assert sums.square == pytest.approx(w @ (y - sums.response_mean) ** 2)


def test_folds_and_arms_make_as_many_cells():
    cells = cells_of(TRAIN)
    assert len(cells.rows) == 8
    assert cells.serves.sum() == 8 * 3
    np.testing.assert_array_equal(np.sort(np.concatenate(cells.rows)), np.arange(N))
    part = cells.of_models([0, 1])
    np.testing.assert_array_equal(
        np.sort(np.concatenate(part.rows)), np.flatnonzero((ARM == 0) & (FOLD < 9))
    )


def test_training_rows_need_be_no_folds():
    """Any sets of rows do: overlapping ones, and more than a code of 60 bits tells apart."""
    sets = [np.roll(np.arange(N) < 150, 4 * k) for k in range(70)]
    cells = cells_of(sets)
    for k, rows in enumerate(sets):
        served = [
            part for part, serves in zip(cells.rows, cells.serves[:, k], strict=True) if serves
        ]
        np.testing.assert_array_equal(np.sort(np.concatenate(served)), np.flatnonzero(rows))
