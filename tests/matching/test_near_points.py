"""The search among points against a full sort of all distances."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.matching._near_points import (
    match_points,
    match_points_without_replacement,
    same_arm_points,
)


def cloud(seed, n_controls, n_treated, n_coordinates, decimals=None):
    """Make one cell: controls, then treated, rows of one point next to each other."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n_controls + n_treated, n_coordinates))
    if decimals is not None:
        points = np.round(points, decimals)
    for part in (slice(0, n_controls), slice(n_controls, None)):
        points[part] = points[part][np.lexsort(points[part].T[::-1])]
    return points, np.array([0, n_controls, n_controls + n_treated])


def squared(points, i):
    return ((points - points[i]) ** 2).sum(axis=1)


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("n_coordinates", [1, 2, 6])
@pytest.mark.parametrize("k", [1, 4])
def test_sets_with_replacement(n_coordinates, k, decimals):
    points, bounds = cloud(k, 300, 120, n_coordinates, decimals)
    start, stop, members = match_points(
        points, n_coordinates, bounds, focal_arms=(False, True), n_neighbors=k,
        caliper=np.array([np.inf]), tie_tolerance=np.array([1e-10]),
    )  # fmt: skip
    assert (stop[:300] == start[:300]).all()
    for i in range(300, 420):
        distance = squared(points, i)[:300]
        wanted = np.flatnonzero(distance <= np.sort(distance)[k - 1] + 1e-10)
        np.testing.assert_array_equal(members[start[i] : stop[i]], wanted)


def test_a_set_is_wide_enough_once_its_donors_weigh_as_much_as_is_wanted():
    points, bounds = cloud(3, 200, 50, 3)
    weight = np.random.default_rng(0).choice([0.25, 0.5, 1.0, 4.0], 250)
    start, stop, members = match_points(
        points, 3, bounds, focal_arms=(False, True), n_neighbors=3, caliper=np.array([np.inf]),
        tie_tolerance=np.array([0.0]), weight=weight,
    )  # fmt: skip
    for i in range(200, 250):
        order = np.argsort(squared(points, i)[:200])
        n = int(np.searchsorted(np.cumsum(weight[order]), 3 - 1e-9)) + 1
        assert set(members[start[i] : stop[i]]) == set(order[:n])


def test_the_caliper_is_inclusive_and_comes_before_the_distance():
    points, bounds = cloud(4, 200, 60, 2)
    score = np.round(np.random.default_rng(1).random(260), 1)
    with_score = np.column_stack([points, score])
    width = 0.1 + 1e-12
    start, stop, members = match_points(
        with_score, 2, bounds, focal_arms=(False, True), n_neighbors=2, caliper=np.array([width]),
        tie_tolerance=np.array([0.0]),
    )  # fmt: skip
    for i in range(200, 260):
        near = np.flatnonzero(np.abs(score[:200] - score[i]) <= width)
        wanted = near[np.argsort(squared(points, i)[near])[:2]]
        assert set(members[start[i] : stop[i]]) == set(wanted)


@pytest.mark.parametrize("decimals", [None, 0])
def test_sets_of_the_own_arm_hold_the_row_itself(decimals):
    points, bounds = cloud(5, 150, 40, 3, decimals)
    start, stop, members = same_arm_points(points, bounds, 2, np.array([1e-10]), (True, True))
    for i in range(190):
        arm = np.arange(150) if i < 150 else np.arange(150, 190)
        distance = squared(points, i)[arm]
        wanted = arm[distance <= np.sort(distance)[2] + 1e-10]
        np.testing.assert_array_equal(members[start[i] : stop[i]], wanted)
        assert i in members[start[i] : stop[i]]


@pytest.mark.parametrize("n_treated", [60, 260])
def test_without_replacement_everybody_takes_the_nearest_that_is_free(n_treated):
    points, bounds = cloud(6, 200, n_treated, 3)
    rows = np.random.default_rng(2).permutation(len(points)).astype(np.int32)
    turns = np.argsort(rows)
    start, stop, donors = match_points_without_replacement(
        points, 3, rows, bounds, focal_arm=1, n_neighbors=2, caliper=np.array([np.inf]),
        tie_tolerance=np.array([1e-10]), turns=turns,
    )  # fmt: skip
    free = np.arange(len(points)) < 200
    wanted = {i: [] for i in range(200, 200 + n_treated)}
    for _ in range(2):
        for i in (i for i in turns if i >= 200):
            if free.any():
                distance = np.where(free, squared(points, i), np.inf)
                wanted[i].append(int(np.argmin(distance)))
                free[wanted[i][-1]] = False
    for i, found in wanted.items():
        assert donors[start[i] : stop[i]].tolist() == found


def test_no_donor_is_no_set():
    points = np.zeros((3, 2))
    start, stop, members = match_points(
        points, 2, np.array([0, 0, 3]), focal_arms=(True, True), n_neighbors=1,
        caliper=np.array([np.inf]), tie_tolerance=np.array([0.0]),
    )  # fmt: skip
    assert (start == stop).all()
    assert len(members) == 0
