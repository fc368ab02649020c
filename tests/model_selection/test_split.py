"""Splitters: both arms in every part, groups whole, clear errors where that cannot be."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

import segcate
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    TreatmentStratifiedShuffleSplit,
)
from tests.helpers.tiny_effects import SegmentDifference, experiment

SPLITTERS = [
    TreatmentStratifiedKFold(4),
    TreatmentStratifiedKFold(4, shuffle=True, random_state=0),
    TreatmentStratifiedGroupKFold(4),
    TreatmentStratifiedGroupKFold(4, shuffle=True, random_state=0),
    TreatmentStratifiedShuffleSplit(4, test_size=0.25, random_state=0),
]


def ids(splitter):
    return f"{type(splitter).__name__}{'-shuffle' if getattr(splitter, 'shuffle', 0) else ''}"


def groups_for(splitter, groups):
    return groups if isinstance(splitter, TreatmentStratifiedGroupKFold) else None


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    treatment = np.sort(rng.random(300) < 0.2).astype(int)
    y = rng.normal(size=300) + 3 * treatment
    return np.zeros((300, 2)), y, treatment, rng.permutation(groups)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=ids)
def test_every_part_has_both_arms_although_rows_are_sorted_by_arm(rows, splitter):
    X, y, treatment, groups = rows
    parts = list(splitter.split(X, y, groups_for(splitter, groups), treatment))
    assert len(parts) == splitter.get_n_splits() == 4
    near = 0.03 if isinstance(splitter, TreatmentStratifiedGroupKFold) else 0.01
    for train, test in parts:
        assert len(np.intersect1d(train, test)) == 0
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        assert treatment[test].mean() == pytest.approx(treatment.mean(), abs=near)
        assert treatment[train].mean() == pytest.approx(treatment.mean(), abs=near)
        assert y[test].mean() == pytest.approx(y.mean(), abs=0.3)


@pytest.mark.parametrize("splitter", SPLITTERS[:4], ids=ids)
def test_every_row_is_scored_on_once(rows, splitter):
    X, y, treatment, groups = rows
    parts = list(splitter.split(X, y, groups_for(splitter, groups), treatment))
    tests = np.concatenate([test for _, test in parts])
    assert sorted(tests.tolist()) == list(range(300))
    for train, test in parts:
        assert len(train) + len(test) == 300


@pytest.mark.parametrize("splitter", SPLITTERS[2:4], ids=ids)
def test_groups_are_never_torn_apart(rows, splitter):
    X, y, treatment, groups = rows
    names = np.array([f"school {g}" for g in groups])
    for train, test in splitter.split(X, y, names, treatment):
        assert not set(names[train]) & set(names[test])


@pytest.mark.parametrize("splitter", SPLITTERS, ids=ids)
def test_same_seed_same_split(rows, splitter):
    X, y, treatment, groups = rows
    groups = groups_for(splitter, groups)
    first, again = (
        list(s.split(X, y, groups, treatment)) for s in (splitter, copy.deepcopy(splitter))
    )
    for (_, one), (_, other) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_another_split(rows):
    X, y, treatment, _ = rows
    tests = [
        next(
            TreatmentStratifiedKFold(4, shuffle=True, random_state=seed).split(
                X, y, treatment=treatment
            )
        )[1].tolist()
        for seed in (0, 1)
    ]
    assert tests[0] != tests[1]


def test_folds_of_groups_do_not_depend_on_the_order_of_rows(rows):
    X, y, treatment, groups = rows
    order = np.random.default_rng(1).permutation(300)
    cv = TreatmentStratifiedGroupKFold(4, shuffle=True, random_state=0)
    first = [set(groups[test]) for _, test in cv.split(X, y, groups, treatment)]
    again = [
        set(groups[order][test])
        for _, test in cv.split(X, y[order], groups[order], treatment[order])
    ]
    assert first == again


def test_data_sorted_by_a_covariate_spread_over_all_folds():
    treatment, region = np.tile([0, 1], 100), np.repeat(np.arange(10), 20)
    for _, test in TreatmentStratifiedKFold(5).split(region[:, None], treatment=treatment):
        assert set(region[test]) == set(range(10))


def test_a_rare_binary_outcome_is_in_every_fold():
    rng = np.random.default_rng(2)
    treatment = rng.integers(0, 2, 500)
    y = (rng.random(500) < 0.05).astype(int)
    for _, test in TreatmentStratifiedKFold(4).split(treatment[:, None], y, treatment=treatment):
        assert all(y[test][treatment[test] == arm].sum() >= 1 for arm in (0, 1))


def test_containers_do_not_matter(rows):
    X, y, treatment, _ = rows
    expected = [t.tolist() for _, t in TreatmentStratifiedKFold(3).split(X, y, None, treatment)]
    index = pd.Index(np.arange(300) * 2)
    frames = (
        (pd.DataFrame(X, index=index), pd.Series(y, index), pd.Series(treatment == 1, index)),
        (pl.DataFrame(X), pl.Series(y), pl.Series(treatment)),
        (X.tolist(), y.tolist(), treatment.tolist()),
    )
    for frame, outcome, arm in frames:
        parts = TreatmentStratifiedKFold(3).split(frame, outcome, None, arm)
        assert [t.tolist() for _, t in parts] == expected


def test_sizes_of_shuffle_splits():
    treatment = np.tile([0, 1, 1], 40)
    X = np.zeros((120, 1))
    for options, sizes in (
        ({}, (108, 12)),
        ({"test_size": 30}, (90, 30)),
        ({"train_size": 0.5}, (60, 60)),
        ({"train_size": 60, "test_size": 0.25}, (60, 30)),
    ):
        cv = TreatmentStratifiedShuffleSplit(2, random_state=0, **options)
        for train, test in cv.split(X, treatment=treatment):
            assert (len(train), len(test)) == sizes
            assert treatment[test].mean() == pytest.approx(2 / 3, abs=0.05)


# In searches


def test_groups_reach_the_group_splitter_and_the_fit():
    X, y, treatment = experiment(200)
    X = np.column_stack([X, X[:, 0] > 0])
    groups = np.repeat(np.arange(40), 5)
    search = GridSearchCV(
        SegmentDifference(),
        {"shrink": [0.0, 0.5]},
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedGroupKFold(4),
        error_score="raise",
    )
    with segcate.routing():
        search.fit(X, y, treatment=treatment, groups=groups)
    assert search.best_estimator_.n_groups_ == 40


@pytest.mark.parametrize(
    "cv", [TreatmentStratifiedKFold(4), TreatmentStratifiedShuffleSplit(2)], ids=ids
)
def test_groups_are_refused_by_splitters_that_would_tear_them_apart(cv):
    X, y, treatment = experiment(200)
    X = np.column_stack([X, X[:, 0] > 0])
    search = GridSearchCV(
        SegmentDifference(), {"shrink": [0.0, 0.5]}, scoring=qini_experiment_scorer, cv=cv
    )
    with (
        segcate.routing(),
        pytest.raises(ValueError, match=r"given `groups`.*cv=TreatmentStratifiedGroupKFold"),
    ):
        search.fit(X, y, treatment=treatment, groups=np.arange(200) // 5)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=ids)
def test_a_missing_treatment_names_routing(rows, splitter):
    X, y, _, groups = rows
    with pytest.raises(ValueError, match=r"needs `treatment`.*enable_metadata_routing=True"):
        next(splitter.split(X, y, groups_for(splitter, groups)))
    with segcate.routing(), pytest.raises(ValueError, match=r"needs `treatment`.*params=") as error:
        next(splitter.split(X, y, groups_for(splitter, groups)))
    assert "set_config" not in str(error.value)


def test_cross_validation_with_routing_off_is_stopped():
    X, y, treatment = experiment(200)
    with pytest.raises(ValueError, match=r"TreatmentStratifiedKFold needs `treatment`"):
        cross_val_score(
            SegmentDifference(),
            X,
            y,
            scoring=qini_experiment_scorer,
            cv=TreatmentStratifiedKFold(4),
            params={"treatment": treatment},
        )


# Bad input


def test_too_few_rows_of_an_arm():
    treatment = np.repeat([0, 1], [50, 3])
    X = np.zeros((53, 1))
    with pytest.raises(
        ValueError, match=r"TreatmentStratifiedKFold: `treatment` has 3 treated rows"
    ):
        next(TreatmentStratifiedKFold(5).split(X, treatment=treatment))
    with pytest.raises(ValueError, match=r"ShuffleSplit: `treatment` has 3 treated rows"):
        next(TreatmentStratifiedShuffleSplit(5).split(X, treatment=treatment))
    assert len(list(TreatmentStratifiedKFold(3).split(X, treatment=treatment))) == 3


def test_groups_that_cannot_give_both_arms_to_every_fold():
    groups = np.repeat(np.arange(20), 5)
    treatment = (groups < 3).astype(int)
    X = np.zeros((100, 1))
    cv = TreatmentStratifiedGroupKFold(5)
    with pytest.raises(ValueError, match=r"rows to score on, 0 are treated.*whole groups"):
        list(cv.split(X, groups=groups, treatment=treatment))
    assert len(list(TreatmentStratifiedGroupKFold(3).split(X, None, groups, treatment))) == 3


def test_missing_and_few_groups():
    X, y, treatment = experiment(100)
    with pytest.raises(ValueError, match=r"needs `groups`.*TreatmentStratifiedKFold"):
        next(TreatmentStratifiedGroupKFold(3).split(X, y, treatment=treatment))
    with pytest.raises(ValueError, match=r"holds 4 groups, too few for n_splits=5"):
        next(TreatmentStratifiedGroupKFold(5).split(X, y, np.arange(100) % 4, treatment))


@pytest.mark.parametrize(
    ("splitter", "name"),
    [
        (TreatmentStratifiedKFold(1), "n_splits"),
        (TreatmentStratifiedKFold(2.5), "n_splits"),
        (TreatmentStratifiedKFold(True), "n_splits"),
        (TreatmentStratifiedGroupKFold("5"), "n_splits"),
        (TreatmentStratifiedShuffleSplit(0), "n_splits"),
        (TreatmentStratifiedKFold(3, n_outcome_bins=0), "n_outcome_bins"),
    ],
    ids=lambda value: str(value),
)
def test_parameters_are_checked(splitter, name):
    X, y, treatment = experiment(100)
    with pytest.raises(ValueError, match=rf"`{name}` must be a whole number of at least"):
        next(splitter.split(X, y, None, treatment))


@pytest.mark.parametrize(
    "sizes",
    [
        {"test_size": 1.5},
        {"test_size": 0},
        {"test_size": 100},
        {"train_size": -0.1},
        {"test_size": 0.6, "train_size": 0.6},
    ],
    ids=str,
)
def test_sizes_that_leave_no_rows_are_named(sizes):
    X, y, treatment = experiment(100)
    cv = TreatmentStratifiedShuffleSplit(2, **sizes)
    with pytest.raises(ValueError, match="leave no rows to fit or to score on, of 100"):
        next(cv.split(X, y, None, treatment))


def test_bad_data_is_named():
    X, y, treatment = experiment(100, as_frame=True)
    cv = TreatmentStratifiedKFold(3)
    with pytest.raises(ValueError, match="index of `treatment` differs"):
        next(cv.split(X, y, None, treatment.iloc[::-1]))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        next(cv.split(X, y.where(y > 0), None, treatment))
    with pytest.raises(ValueError, match="`treatment` has 99 values"):
        next(cv.split(X, y, None, treatment.to_numpy()[1:]))
    with pytest.raises(ValueError, match=r"from 0 to the largest; found \{0, 2\}"):
        next(cv.split(X, y, None, treatment * 2))


def test_every_arm_is_in_every_fold():
    rng = np.random.default_rng(0)
    treatment = rng.choice(3, 90, p=[0.8, 0.1, 0.1])
    X, y = np.zeros((90, 1)), rng.normal(size=90)
    counts = np.bincount(treatment)
    for _, test in TreatmentStratifiedKFold(4).split(X, y, treatment=treatment):
        here = np.bincount(treatment[test], minlength=3)
        assert (np.abs(here - counts / 4) < 1.01).all()
    with pytest.raises(ValueError, match="has 3 arm 2 rows"):
        next(
            TreatmentStratifiedKFold(4).split(
                X, y, treatment=np.where(np.arange(90) < 3, 2, np.arange(90) % 2)
            )
        )


def test_doses_are_balanced_over_folds():
    rng = np.random.default_rng(0)
    dose = np.sort(rng.exponential(size=200))
    for _, test in TreatmentStratifiedKFold(5).split(np.zeros((200, 1)), treatment=dose):
        assert abs(np.median(dose[test]) - np.median(dose)) < 0.1


@pytest.mark.parametrize("splitter", SPLITTERS, ids=ids)
def test_splitters_can_be_printed_cloned_and_pickled(splitter):
    assert repr(splitter).startswith(f"{type(splitter).__name__}(")
    assert repr(copy.deepcopy(splitter)) == repr(splitter)
    assert repr(pickle.loads(pickle.dumps(splitter))) == repr(splitter)
