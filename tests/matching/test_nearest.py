"""The sliding-window kernels against plain searches over all rows."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.matching._cell_order import sort_rows
from segcate.matching._nearest import match_with_replacement, same_arm_windows
from segcate.matching._window_sums import count_uses, window_means, window_variances
from tests.helpers import naive_matching as naive

FOCAL = {"treated": (False, True), "control": (True, False), "all": (True, True)}
NO_DONORS = np.empty(0, np.int32)
NONE = np.empty(0)
# Sums in another order.
RTOL = 1e-12


def draw(seed, n=60, n_cells=1, decimals=None, share=0.4):
    """Return cell, treatment and score; `decimals` makes ties."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    score = score if decimals is None else np.round(score, decimals)
    return rng.integers(0, n_cells, n), (rng.random(n) < share).astype(np.int8), score


def windows_as_design(cell, treatment, score, *, focal, k, caliper=np.inf, tolerance=0.0):
    n_cells = int(cell.max()) + 1
    order, bounds = sort_rows(cell, n_cells, treatment, score)
    start, stop = match_with_replacement(
        score[order],
        bounds,
        focal_arms=FOCAL[focal],
        n_neighbors=k,
        caliper=np.full(n_cells, caliper),
        tie_tolerance=np.full(n_cells, tolerance),
    )
    design = [np.empty(0, dtype=int)] * len(score)
    for at, row in enumerate(order):
        design[row] = order[start[at] : stop[at]]
    return design


def assert_same_sets(found, expected):
    assert [sorted(s.tolist()) for s in found] == [sorted(s.tolist()) for s in expected]


@pytest.mark.parametrize("focal", list(FOCAL))
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_windows_are_the_nearest_with_all_ties(focal, k, decimals):
    for seed in range(6):
        cell, treatment, score = draw(seed, n_cells=1 + seed % 3, decimals=decimals)
        found = windows_as_design(cell, treatment, score, focal=focal, k=k)
        expected = naive.match_with_replacement(score, treatment, k, focal=focal, exact=cell)
        assert_same_sets(found, expected)


@pytest.mark.parametrize("caliper", [0.0, 0.125, 0.25, 0.5])
@pytest.mark.parametrize("k", [1, 3])
def test_the_caliper_is_inclusive_and_cuts_sets(caliper, k):
    for seed in range(6):
        # eighths are exact in binary, so that distances equal to the caliper do occur
        cell, treatment, score = draw(seed, decimals=0)
        score = score / 8
        found = windows_as_design(cell, treatment, score, focal="all", k=k, caliper=caliper)
        expected = naive.match_with_replacement(score, treatment, k, focal="all", caliper=caliper)
        assert_same_sets(found, expected)


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 0.5])
def test_a_tie_tolerance_widens_sets_on_both_sides(tolerance):
    for seed in range(6):
        cell, treatment, score = draw(seed, n_cells=2)
        found = windows_as_design(cell, treatment, score, focal="all", k=2, tolerance=tolerance)
        expected = naive.match_with_replacement(
            score, treatment, 2, focal="all", exact=cell, tie_tolerance=tolerance
        )
        assert_same_sets(found, expected)
        assert max(len(s) for s in found) > 2


def test_rows_equally_near_on_both_sides_are_both_kept():
    found = windows_as_design(
        np.zeros(3, int), np.array([0, 1, 0], np.int8), np.array([1.0, 2.0, 3.0]),
        focal="treated", k=1,
    )  # fmt: skip
    assert sorted(found[1].tolist()) == [0, 2]


def test_fewer_donors_than_neighbours_are_all_taken():
    cell, treatment, score = draw(0, n=12)
    found = windows_as_design(cell, treatment, score, focal="treated", k=99)
    for i in np.flatnonzero(treatment == 1):
        assert sorted(found[i].tolist()) == np.flatnonzero(treatment == 0).tolist()


def test_cells_without_donors_stay_empty():
    cell = np.array([0, 0, 1, 1])
    found = windows_as_design(
        cell, np.array([1, 1, 0, 1], np.int8), np.arange(4.0), focal="all", k=1
    )
    assert [len(s) for s in found] == [0, 0, 1, 1]


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("caliper", [np.inf, 0.25])
def test_weights_count_as_that_many_rows(k, decimals, caliper):
    for seed in range(8):
        _, treatment, score = draw(seed, decimals=decimals)
        weight = np.random.default_rng(seed).integers(1, 4, len(score))
        order, bounds = sort_rows(np.zeros(len(score), int), 1, treatment, score)
        start, stop = match_with_replacement(
            score[order], bounds, focal_arms=(True, True), n_neighbors=k,
            caliper=np.array([caliper]), tie_tolerance=np.zeros(1),
            weight=weight[order].astype(float),
        )  # fmt: skip
        source = np.repeat(np.arange(len(score)), weight)
        repeated = naive.match_with_replacement(
            score[source], treatment[source], k, focal="all",
            caliper=None if np.isinf(caliper) else caliper,
        )  # fmt: skip
        by_row = {row: set(source[s].tolist()) for row, s in zip(source, repeated, strict=True)}
        for at, row in enumerate(order):
            assert set(order[start[at] : stop[at]].tolist()) == by_row[row]


# --- means and uses over matched sets -------------------------------------------------------------


def random_windows(rng, n, widest):
    start = rng.integers(0, n, n).astype(np.int32)
    stop = np.minimum(start + rng.integers(0, widest, n), n).astype(np.int32)
    return start, stop


@pytest.mark.parametrize("widest", [4, 200])  # summed directly, and by running sums
@pytest.mark.parametrize("weighted", [False, True])
def test_window_means_are_plain_means(widest, weighted):
    rng = np.random.default_rng(widest)
    n = 300
    values = 1e4 + rng.normal(size=n)
    weight = rng.integers(1, 5, n).astype(float) if weighted else NONE
    start, stop = random_windows(rng, n, widest)
    means = window_means(values, start, stop, NO_DONORS, weight)
    for i in range(n):
        part = slice(start[i], stop[i])
        if start[i] == stop[i]:
            assert np.isnan(means[i])
        else:
            expected = np.average(values[part], weights=weight[part] if weighted else None)
            assert means[i] == pytest.approx(expected, rel=RTOL)


@pytest.mark.parametrize("widest", [4, 200])
@pytest.mark.parametrize("weighted", [False, True])
def test_uses_are_the_sums_of_shares(widest, weighted):
    rng = np.random.default_rng(widest)
    n = 300
    weight = rng.integers(1, 5, n).astype(float) if weighted else NONE
    start, stop = random_windows(rng, n, widest)
    uses, squares = count_uses(start, stop, NO_DONORS, weight, weight, n)
    expected, expected_squares = np.zeros(n), np.zeros(n)
    for i in range(n):
        part = slice(start[i], stop[i])
        if start[i] == stop[i]:
            continue
        shares = np.ones(stop[i] - start[i])
        if weighted:
            shares = weight[i] * weight[part]
        shares = shares / (weight[part].sum() if weighted else len(shares))
        expected[part] += shares
        expected_squares[part] += shares**2
    np.testing.assert_allclose(uses, expected, rtol=RTOL, atol=1e-13)
    np.testing.assert_allclose(squares, expected_squares, rtol=RTOL, atol=1e-13)
    assert (uses[expected == 0] == 0).all()  # an unused row is unused exactly, not up to rounding


def test_uses_of_listed_donors():
    # donors 5, 7 of focal 0; donor 7 of focal 1
    start, stop = np.array([0, 2], np.int32), np.array([2, 3], np.int32)
    donors = np.array([5, 7, 7], np.int32)
    uses, squares = count_uses(start, stop, donors, NONE, NONE, 8)
    assert uses.tolist() == [0, 0, 0, 0, 0, 0.5, 0, 1.5]
    assert squares.tolist() == [0, 0, 0, 0, 0, 0.25, 0, 1.25]
    means = window_means(np.arange(8.0), start, stop, donors, NONE)
    assert means.tolist() == [6.0, 7.0]


# --- the same arm ---------------------------------------------------------------------------------


@pytest.mark.parametrize("j", [1, 2, 4])
@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("tolerance", [0.0, 0.01])
def test_same_arm_windows_hold_the_row_and_its_nearest(j, decimals, tolerance):
    for seed in range(6):
        cell, treatment, score = draw(seed, n_cells=1 + seed % 2, decimals=decimals)
        n_cells = int(cell.max()) + 1
        order, bounds = sort_rows(cell, n_cells, treatment, score)
        start, stop = same_arm_windows(
            score[order], bounds, j, np.full(n_cells, tolerance), (True, True)
        )
        expected = naive.same_arm_sets(
            score, treatment, j, itself="extra", exact=cell, tie_tolerance=tolerance
        )
        for at, row in enumerate(order):
            window = order[start[at] : stop[at]]
            assert sorted(window.tolist()) == sorted(expected[row].tolist())


def test_an_arm_that_nobody_asks_about_has_empty_windows():
    cell, treatment, score = draw(0)
    order, bounds = sort_rows(cell, 1, treatment, score)
    start, stop = same_arm_windows(score[order], bounds, 2, np.zeros(1), (True, False))
    assert (stop > start)[treatment[order] == 0].all()
    assert (stop == start)[treatment[order] == 1].all()


def test_window_variances_are_sample_variances():
    rng = np.random.default_rng(0)
    n = 200
    values = 1e5 + rng.normal(size=n)
    start, stop = random_windows(rng, n, 12)
    found = window_variances(values, start, stop, np.empty(0, np.int32))
    for i in range(n):
        if stop[i] - start[i] < 2:
            assert np.isnan(found[i])
        else:
            # values around 1e5 leave 1e-11 of a variance of 1
            assert found[i] == pytest.approx(values[start[i] : stop[i]].var(ddof=1), rel=1e-9)
