"""Dealing rows and groups to folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from segcate._nuisance.folds import deal_folds, deal_groups, deal_rows, splits_of, treatment_strata


def counts(strata, fold):
    return np.array(
        [np.bincount(strata[fold == k], minlength=strata.max() + 1) for k in range(fold.max() + 1)]
    )


def imbalance(table):
    """Largest distance of a fold's count from its share, relative to the stratum."""
    return np.abs(table - table.mean(axis=0)).max(axis=0) / table.sum(axis=0)


def strata_of(treatment, y, n_outcome_bins=5, min_rows=5, cells=None):
    arm = np.asarray(treatment, dtype=np.int8)
    y = None if y is None else np.asarray(y, dtype=float)
    return treatment_strata(
        "F", arm, y, n_outcome_bins=n_outcome_bins, min_rows=min_rows, cells=cells
    )


def test_strata_of_a_binary_outcome_are_its_values():
    treatment, y = np.repeat([0, 1], 20), np.tile([0, 1], 20)
    assert strata_of(treatment, y).tolist() == (5 * treatment + y).tolist()


def test_a_value_that_is_too_rare_does_not_make_a_stratum():
    treatment, y = np.repeat([0, 1], 20), np.zeros(40)
    y[[0, 21, 22, 23, 24, 25]] = 1
    strata = strata_of(treatment, y)
    assert set(strata[:20].tolist()) == {0}
    assert set(strata[20:].tolist()) == {5, 6}


def test_strata_of_a_measured_outcome_are_quantiles_within_the_arm():
    rng = np.random.default_rng(0)
    treatment = rng.integers(0, 2, 1000)
    y = rng.normal(size=1000) + 100 * treatment
    strata = strata_of(treatment, y)
    sizes = np.bincount(strata, minlength=10)
    for arm in (0, 1):
        ours = sizes[5 * arm : 5 * arm + 5]
        assert ours.max() - ours.min() <= 1
    order = np.argsort(y[treatment == 0])
    assert (np.diff(strata[treatment == 0][order]) >= 0).all()


def test_an_outcome_that_is_mostly_zero_keeps_its_rest_apart():
    treatment = np.tile([0, 1], 100)
    y = np.where(np.arange(200) % 10 < 2, np.arange(200) + 1.0, 0.0)
    strata = strata_of(treatment, y)
    assert not set(strata[y == 0].tolist()) & set(strata[y > 0].tolist())


def test_bins_shrink_until_every_fold_gets_a_row():
    rng = np.random.default_rng(1)
    treatment = np.repeat([0, 1], [100, 12])
    strata = strata_of(treatment, rng.normal(size=112))
    assert np.bincount(strata)[np.bincount(strata) > 0].min() >= 5
    assert len(set(strata[100:].tolist())) == 2


def test_an_arm_with_too_few_rows_is_named():
    with pytest.raises(ValueError, match=r"F: `treatment` has 4 treated rows.*at least 5"):
        strata_of(np.repeat([0, 1], [40, 4]), None)
    with pytest.raises(ValueError, match=r"`treatment` has 0 control rows"):
        strata_of(np.ones(10), None)


def test_strata_inside_cells_are_those_of_each_cell_alone():
    rng = np.random.default_rng(3)
    cells, treatment = rng.integers(0, 4, 300), rng.integers(0, 2, 300)
    y = (rng.random(300) < 0.3).astype(float)
    y[(cells == 1) & (treatment == 1)] = 0.0
    y[np.flatnonzero((cells == 1) & (treatment == 1))[:4]] = 1.0  # too rare to be split
    found = strata_of(treatment, y, 2, cells=10 * cells)
    assert set(found.tolist()) == set(range(15))
    for cell in range(4):
        here = cells == cell
        alone = strata_of(treatment[here], y[here], 2)
        assert len(set(zip(found[here].tolist(), alone.tolist(), strict=True))) == len(set(alone))
    assert len({*found[cells == 0]} & {*found[cells == 1]}) == 0


def test_an_arm_of_a_cell_may_be_small_where_the_arm_is_not():
    treatment, cells = np.tile([0, 1], 20), np.repeat([0, 1], [2, 38])
    assert strata_of(treatment, None, cells=cells).tolist() == (2 * cells + treatment).tolist()
    with pytest.raises(ValueError, match=r"has 20 control rows|has 20 treated rows"):
        strata_of(treatment, None, min_rows=21, cells=cells)


def test_dealt_folds_leave_each_row_out_once():
    strata = np.arange(43) % 2
    splits = splits_of(deal_folds("F", strata, None, 5, np.random.RandomState(0)), 5)
    assert sorted(np.concatenate([test for _, test in splits]).tolist()) == list(range(43))
    assert all(set(train) | set(test) == set(range(43)) for train, test in splits)
    assert not any(set(train) & set(test) for train, test in splits)


def test_fewer_groups_than_folds():
    with pytest.raises(ValueError, match=r"F: `groups` holds 2 groups.*Lower `cv`, or pray\."):
        deal_folds(
            "F",
            np.zeros(9, dtype=int),
            np.arange(9) % 2,
            5,
            np.random.RandomState(0),
            remedy=", or pray",
        )


@pytest.mark.parametrize("seed", [None, 0])
def test_rows_are_dealt_evenly(seed):
    rng = None if seed is None else np.random.RandomState(seed)
    strata = np.sort(np.random.default_rng(0).integers(0, 4, 103))
    table = counts(strata, deal_rows(strata, 5, rng))
    assert (table.max(axis=0) - table.min(axis=0) <= 1).all()
    assert table.sum(axis=1).max() - table.sum(axis=1).min() <= 1


def test_rows_in_order_are_dealt_in_turn():
    assert deal_rows(np.array([0, 0, 0, 1, 1, 1]), 3, None).tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("shares", [[0.2] * 5, [0.5, 0.5], [0.3, 0.7]])
def test_groups_stay_whole_and_parts_get_their_share(seed, shares):
    draw = np.random.RandomState(1)
    groups = np.repeat(np.arange(300), draw.randint(1, 8, 300))
    draw.shuffle(groups)
    strata = draw.randint(0, 4, len(groups))
    rng = None if seed is None else np.random.RandomState(seed)
    part = deal_groups(strata, groups, np.array(shares), rng)
    assert all(len(set(part[groups == g])) == 1 for g in range(300))
    share = counts(strata, part) / np.bincount(strata)
    np.testing.assert_allclose(share, np.array(shares)[:, None] * np.ones(4), atol=0.02)


def test_few_groups_are_dealt_no_worse_than_by_scikit_learn():
    ours, theirs = [], []
    for seed in range(20):
        draw = np.random.RandomState(seed)
        groups = np.repeat(np.arange(60), draw.randint(1, 200, 60))
        strata = draw.randint(0, 2, len(groups)) + 2 * (draw.rand(60) < 0.3)[groups]
        part = deal_groups(strata, groups, np.full(5, 0.2), np.random.RandomState(seed))
        ours.append(imbalance(counts(strata, part)).max())
        split = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(
            strata, strata, groups
        )
        table = np.array([np.bincount(strata[test], minlength=4) for _, test in split])
        theirs.append(imbalance(table).max())
    assert np.mean(ours) <= np.mean(theirs)


def test_dealing_groups_does_not_depend_on_the_order_of_rows():
    draw = np.random.RandomState(2)
    groups = draw.randint(0, 50, 400)
    strata = draw.randint(0, 4, 400)
    order = draw.permutation(400)
    part = deal_groups(strata, groups, np.full(4, 0.25), np.random.RandomState(0))
    again = deal_groups(strata[order], groups[order], np.full(4, 0.25), np.random.RandomState(0))
    assert (again == part[order]).all()


def test_treated_groups_go_one_to_each_fold_where_there_are_just_enough():
    for seed in range(20):
        draw = np.random.RandomState(seed)
        groups = np.repeat(np.arange(25), draw.randint(1, 60, 25))
        treatment = (np.arange(25) < 5).astype(int)[groups]
        part = deal_groups(treatment, groups, np.full(5, 0.2), draw)
        assert sorted(
            {(g, p) for g, p in zip(groups, part, strict=True) if g < 5}, key=lambda x: x[1]
        )
        assert len({part[groups == g][0] for g in range(5)}) == 5


def test_a_seed_changes_who_goes_where():
    groups, strata = np.repeat(np.arange(40), 3), np.tile([0, 1, 0], 40)
    first, second = (
        deal_groups(strata, groups, np.array([0.5, 0.5]), np.random.RandomState(seed))
        for seed in (0, 1)
    )
    assert 0.2 < (first == second).mean() < 0.8
