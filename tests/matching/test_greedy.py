"""Greedy matching without replacement against the naive search, and what its orders promise."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.matching._cell_order import sort_rows
from segcate.matching._greedy import ORDERS, match_without_replacement
from tests.helpers import naive_matching as naive


def draw(seed, n=50, n_cells=1, decimals=None, share=0.4):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    score = score if decimals is None else np.round(score, decimals) / 8
    return rng.integers(0, n_cells, n), (rng.random(n) < share).astype(np.int8), score


def greedy_pairs(
    cell, treatment, score, *, k=1, order="largest", caliper=np.inf, priority=None, focal_arm=1
):
    """Return the matches of every row in the order they were made."""
    n_cells = int(cell.max()) + 1
    rows, bounds = sort_rows(cell, n_cells, treatment, score)
    start, stop, donors = match_without_replacement(
        score[rows], rows, bounds, focal_arm=focal_arm, n_neighbors=k,
        caliper=np.full(n_cells, caliper), order=order, priority=priority,
    )  # fmt: skip
    matches = [[] for _ in score]
    for at, row in enumerate(rows):
        matches[row] = rows[donors[start[at] : stop[at]]].tolist()
    return matches


@pytest.mark.parametrize("order", ["largest", "smallest", "data", "closest"])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("caliper", [np.inf, 0.125])
def test_pairs_are_those_of_the_naive_search(order, k, decimals, caliper):
    for seed in range(6):
        cell, treatment, score = draw(seed, n_cells=1 + seed % 3, decimals=decimals)
        found = greedy_pairs(cell, treatment, score, k=k, order=order, caliper=caliper)
        expected = naive.match_greedily(
            score, treatment, k, order=order, exact=cell,
            caliper=None if np.isinf(caliper) else caliper,
        )  # fmt: skip
        assert found == expected


@pytest.mark.parametrize("decimals", [None, 0])
def test_more_treated_than_controls_leave_some_unmatched(decimals):
    for seed in range(5):
        cell, treatment, score = draw(seed, share=0.8, decimals=decimals)
        for order in ("largest", "smallest", "data", "closest"):
            found = greedy_pairs(cell, treatment, score, k=2, order=order)
            assert found == naive.match_greedily(score, treatment, 2, order=order)
            assert sum(map(len, found)) == (treatment == 0).sum()


def test_controls_look_for_treated_when_they_are_focal():
    for seed in range(5):
        cell, treatment, score = draw(seed, decimals=0, share=0.6)
        found = greedy_pairs(cell, treatment, score, focal_arm=0)
        assert found == naive.match_greedily(score, 1 - treatment)


@pytest.mark.parametrize("k", [1, 3])
def test_random_order_serves_by_priority(k):
    for seed in range(5):
        cell, treatment, score = draw(seed)
        priority = np.random.default_rng(seed + 99).random(len(score))
        found = greedy_pairs(cell, treatment, score, k=k, order="random", priority=priority)
        # the data order of the rows sorted by priority is the same order
        by_priority = np.argsort(priority)
        moved = naive.match_greedily(score[by_priority], treatment[by_priority], k, order="data")
        expected = [[] for _ in score]
        for i, matches in zip(by_priority, moved, strict=True):
            expected[i] = by_priority[matches].tolist()
        assert found == expected


def test_everybody_gets_a_first_match_before_anyone_gets_a_second():
    # The treated at 1.0 chooses first, but the control at 0.9 is the only one for 0.8 as well.
    score = np.array([1.0, 0.8, 0.9, 0.75])
    treatment = np.array([1, 1, 0, 0], np.int8)
    found = greedy_pairs(np.zeros(4, int), treatment, score, k=2)
    assert found == [[2], [3], [], []]


def test_of_equally_near_donors_as_many_places_away_the_left_one_wins():
    score = np.array([2.0, 3.0, 1.0])
    treatment = np.array([1, 0, 0], np.int8)
    assert greedy_pairs(np.zeros(3, int), treatment, score)[0] == [2]


@pytest.mark.parametrize(
    ("treated_between", "expected"),
    [([], 1.0), ([1.5], 3.0), ([2.5], 1.0), ([1.5, 2.5], 1.0), ([1.2, 1.5, 2.5], 3.0)],
)
def test_of_equally_near_donors_the_one_fewer_places_away_wins(treated_between, expected):
    score = np.array([2.0, 1.0, 3.0, *treated_between])
    treatment = np.array([1, 0, 0, *[1] * len(treated_between)], np.int8)
    found = greedy_pairs(np.zeros(len(score), int), treatment, score, order="data")
    assert score[found[0][0]] == expected


def test_donors_that_are_taken_count_as_places():
    # Row 0 takes 1.5; then 1.0 is two places from 2.0, and 3.0, as near, is one place away.
    score = np.array([1.5, 2.0, 1.5, 1.0, 3.0])
    treatment = np.array([1, 1, 0, 0, 0], np.int8)
    found = greedy_pairs(np.zeros(5, int), treatment, score, order="data")
    assert [score[j].tolist() for j in found[:2]] == [[1.5], [3.0]]


def test_places_are_those_of_the_cell():
    # The rows of the other cell would make 1.0 the farther one.
    score = np.array([2.0, 1.0, 3.0, 1.2, 1.5, 1.7])
    treatment = np.array([1, 0, 0, 1, 0, 0], np.int8)
    found = greedy_pairs(np.array([0, 0, 0, 1, 1, 1]), treatment, score)
    assert score[found[0]].tolist() == [1.0]


def test_of_equal_scores_the_row_before_wins():
    score = np.zeros(4)
    treatment = np.array([0, 0, 1, 0], np.int8)
    # rows 0 and 1 stand left of row 2, row 3 right; the left neighbour is row 1
    assert greedy_pairs(np.zeros(4, int), treatment, score)[2] == [1]


def test_closest_makes_the_nearest_pair_first():
    score = np.array([0.50, 0.60, 0.61])
    treatment = np.array([1, 1, 0], np.int8)
    assert greedy_pairs(np.zeros(3, int), treatment, score, order="smallest")[0] == [2]
    assert greedy_pairs(np.zeros(3, int), treatment, score, order="closest") == [[], [2], []]


@pytest.mark.parametrize("order", ORDERS)
def test_no_donor_serves_twice_and_none_is_beyond_the_caliper(order):
    rng = np.random.default_rng(1)
    cell, treatment, score = draw(1, n=2000, n_cells=3)
    found = greedy_pairs(
        cell, treatment, score, k=3, order=order, caliper=0.01, priority=rng.random(2000)
    )
    flat = [(i, j) for i, matches in enumerate(found) for j in matches]
    focal, donor = np.array(flat).T
    assert len(np.unique(donor)) == len(donor)
    assert (cell[focal] == cell[donor]).all()
    assert (treatment[focal] == 1).all()
    assert (treatment[donor] == 0).all()
    assert (np.abs(score[focal] - score[donor]) <= 0.01).all()
    assert max(map(len, found)) <= 3


@pytest.mark.parametrize("order", ORDERS)
def test_long_runs_of_one_score_finish_at_once(order):
    n = 200_000
    treatment = (np.arange(n) % 2).astype(np.int8)
    rows, bounds = sort_rows(np.zeros(n, int), 1, treatment, np.zeros(n))
    start, stop, donors = match_without_replacement(
        np.zeros(n), rows, bounds, focal_arm=1, n_neighbors=1, caliper=np.full(1, np.inf),
        order=order, priority=np.linspace(0, 1, n),
    )  # fmt: skip
    assert (stop - start).sum() == n // 2
    assert len(np.unique(donors)) == n // 2
