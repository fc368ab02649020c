"""The sort by (cell, arm, score, row) against numpy's lexsort."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.matching._cell_order import sort_rows


def draw_scores(rng, n, kind):
    """Scores of different shapes, all finite."""
    if kind == "normal":
        return rng.normal(size=n)
    if kind == "ties":
        return rng.integers(-3, 4, n) / 7.0
    if kind == "constant":
        return np.full(n, 0.25)
    if kind == "both zeros":
        return np.where(rng.random(n) < 0.5, 0.0, -0.0) * rng.integers(0, 2, n)
    if kind in ("close", "some close"):  # leading digits do not tell them apart
        share = 1.0 if kind == "close" else 0.02
        return np.where(
            rng.random(n) < share, 1 + 1e-12 * rng.integers(0, 999, n), rng.normal(size=n)
        )
    # magnitudes from denormal to the largest, both signs
    return rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-320, 308, n)


KINDS = ["normal", "ties", "constant", "both zeros", "all magnitudes", "close", "some close"]


# below and above the sizes from which slices are merged, and sorted by digits
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 400, 512, 513, 3000, 40_000])
@pytest.mark.parametrize("kind", KINDS)
def test_order_is_that_of_lexsort(n, kind):
    rng = np.random.default_rng(n)
    n_cells = 1 if n < 400 else 4
    cell = rng.integers(-1, n_cells, n)
    treatment = rng.integers(0, 2, n).astype(np.int8)
    score = draw_scores(rng, n, kind)
    order, bounds = sort_rows(cell, n_cells, treatment, score)
    kept = np.flatnonzero(cell >= 0)
    expected = kept[np.lexsort((kept, score[kept], treatment[kept], cell[kept]))]
    np.testing.assert_array_equal(order, expected)
    counts = np.bincount(2 * cell[kept] + treatment[kept], minlength=2 * n_cells)
    np.testing.assert_array_equal(np.diff(bounds), counts)
    assert bounds[0] == 0
    assert len(bounds) == 2 * n_cells + 1


def test_negative_zero_ties_with_zero():
    score = np.array([0.0, -0.0] * 50)
    order, _ = sort_rows(np.zeros(100, int), 1, np.zeros(100, np.int8), score)
    np.testing.assert_array_equal(order, np.arange(100))


def test_cells_without_rows_have_empty_slices():
    order, bounds = sort_rows(np.array([2, 2]), 4, np.array([1, 0], np.int8), np.array([1.0, 2.0]))
    assert order.tolist() == [1, 0]
    assert bounds.tolist() == [0, 0, 0, 0, 0, 1, 2, 2, 2]


def test_leaving_all_rows_out_leaves_nothing():
    order, bounds = sort_rows(np.array([-1, -1]), 1, np.array([0, 1], np.int8), np.zeros(2))
    assert len(order) == 0
    assert bounds.tolist() == [0, 0, 0]


def test_more_rows_than_positions_can_number_are_refused():
    n = 2**30 + 1
    many = np.broadcast_to(0.0, n)  # takes no memory
    with pytest.raises(ValueError, match=r"at most 1073741823 rows at once; got 1073741825"):
        sort_rows(np.broadcast_to(0, n), 1, np.broadcast_to(np.int8(0), n), many)


def test_the_input_is_left_as_it_was():
    rng = np.random.default_rng(0)
    cell, score = rng.integers(0, 3, 500), rng.normal(size=500)
    treatment = rng.integers(0, 2, 500).astype(np.int8)
    before = cell.copy(), treatment.copy(), score.copy()
    sort_rows(cell, 3, treatment, score)
    for old, new in zip(before, (cell, treatment, score), strict=True):
        np.testing.assert_array_equal(old, new)
