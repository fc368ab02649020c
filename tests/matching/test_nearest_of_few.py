"""Windows, orders and counts by numpy are those of the kernels, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._kernels import decorator
from segcate.matching._balance import _largest_gap
from segcate.matching._cell_order import sort_rows
from segcate.matching._nearest import SharedWindows, match_with_replacement, same_arm_windows
from segcate.matching._nearest_of_few import Slices

ARMS = [(False, True), (True, False), (True, True)]


def on_both_paths(monkeypatch, function):
    found = []
    for few in (0, 10**9):
        monkeypatch.setattr(decorator, "FEW_ROWS", few)
        found.append(function())
    return found


def draw(seed):
    rng = np.random.default_rng(seed)
    n, n_cells = int(rng.choice([1, 2, 3, 10, 60, 300])), int(rng.choice([1, 2, 5, 100]))
    score = rng.normal(size=n).round(rng.choice([0, 1, 9]))
    score[score == 0] *= rng.choice([-1, 1], (score == 0).sum())  # zeros of both signs
    treatment = (rng.random(n) < rng.choice([0, 0.3, 0.5, 1])).astype(np.int8)
    return rng, rng.integers(-1, n_cells, n), n_cells, treatment, score


@pytest.mark.parametrize("seed", range(150))
def test_orders_windows_and_counts_are_equal(monkeypatch, seed):
    rng, cell, n_cells, treatment, score = draw(seed)
    one, other = on_both_paths(monkeypatch, lambda: sort_rows(cell, n_cells, treatment, score))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    order, bounds = one
    ascending, k = score[order], int(rng.integers(1, 5))
    caliper = rng.choice([0, 0.1, np.inf], n_cells)
    tolerance = rng.choice([0, 0.01], n_cells)
    weight = rng.choice([0.3, 1, 2], len(order)) if seed % 3 == 0 else None
    arms = ARMS[seed % len(ARMS)]

    def match():
        return match_with_replacement(
            ascending, bounds, focal_arms=arms, n_neighbors=k, caliper=caliper,
            tie_tolerance=tolerance, weight=weight,
        )  # fmt: skip

    np.testing.assert_array_equal(*on_both_paths(monkeypatch, match), strict=True)
    np.testing.assert_array_equal(
        *on_both_paths(
            monkeypatch, lambda: same_arm_windows(ascending, bounds, k, tolerance, arms)
        ),
        strict=True,
    )
    gaps = on_both_paths(monkeypatch, lambda: _largest_gap(ascending, np.ones(len(order)), bounds))
    np.testing.assert_allclose(*gaps, rtol=1e-12, atol=1e-14)


def test_many_rows_are_sorted_in_batches(monkeypatch):
    rng = np.random.default_rng(2)
    n = 150_000  # more than a batch; one cell alone is longer than one
    cell = np.where(rng.random(n) < 0.6, 0, rng.integers(1, 3000, n))
    score = np.concatenate(
        [
            rng.normal(size=n // 2) * 10.0 ** rng.integers(-300, 300, n // 2),
            rng.integers(-5, 5, n // 2),
        ]
    )
    treatment = rng.integers(0, 2, n).astype(np.int8)
    order, _ = sort_rows(cell, 3000, treatment, score)
    np.testing.assert_array_equal(order, np.lexsort((np.arange(n), score, treatment, cell)))


def test_long_ties_take_no_longer(monkeypatch):
    monkeypatch.setattr(decorator, "FEW_ROWS", 10**9)
    score = np.concatenate([np.zeros(9000), np.ones(9000), np.linspace(0, 1, 1000)])
    bounds = np.array([0, 18_000, 19_000])
    start, stop = match_with_replacement(
        score, bounds, focal_arms=(False, True), n_neighbors=1, caliper=np.array([np.inf]),
        tie_tolerance=np.zeros(1),
    )  # fmt: skip
    near_zero = score[18_000:] < 0.5
    assert start[18_000:].tolist() == np.where(near_zero, 0, 9000).tolist()
    assert stop[18_000:].tolist() == np.where(near_zero, 9000, 18_000).tolist()


def test_segments_share_windows_that_they_would_find():
    _, cell, n_cells, treatment, score = draw(11)
    order, bounds = sort_rows(cell, n_cells, treatment, score)

    class Sample:
        pass

    sample = Sample()
    sample.score, sample.bounds, sample.tie_tolerance = score[order], bounds, np.zeros(n_cells)
    shared = SharedWindows(sample)
    for c in range(n_cells):
        first, last = int(bounds[2 * c]), int(bounds[2 * c + 2])
        found = shared.of(first, last - first, 2, (True, True))
        alone = same_arm_windows(
            score[order][first:last],
            bounds[2 * c : 2 * c + 3] - first,
            2,
            np.zeros(1),
            (True, True),
        )
        np.testing.assert_array_equal(found, alone)


def test_cells_without_donors_are_left_out():
    slices = Slices(*np.array([[0, 5], [2, 7], [2, 7], [5, 7]]), np.ones(2), np.zeros(2))
    assert slices.with_donors().focal_first.tolist() == [0]
    rows, cells = slices.focal_rows()
    assert (rows.tolist(), cells.tolist()) == ([0, 1], [0, 0])
