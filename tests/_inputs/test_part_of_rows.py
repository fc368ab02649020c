"""Folds and segments that lack levels of a category are fitted and predicted; new levels are errors."""

from __future__ import annotations

import collections
import warnings

import numpy as np
import pandas as pd
import pytest

from segcate._inputs.encoding import fit_encoding
from segcate._inputs.part_of_rows import (
    fold_of_rows,
    is_fold_of_rows,
    is_part_of_rows,
    part_of_rows,
    said_once,
)
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching, SegmentRegression
from segcate.metrics import effect_scores
from segcate.model_selection import TargetingPolicy


@pytest.fixture(scope="module")
def rows():
    """Forty cities, half of them on a few rows each: folds and segments lack some."""
    rng = np.random.default_rng(0)
    n, share = 1200, np.repeat([1.0, 0.03], 20)
    X = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "city": rng.choice([f"c{i}" for i in range(40)], n, p=share / share.sum()),
            "segment": rng.integers(0, 4, n),
        }
    )
    treatment = rng.integers(0, 2, n)
    return X, X.x.to_numpy() + treatment * (1 + X.x.to_numpy()) + rng.normal(size=n), treatment


def new_city(X):
    return X.assign(city=["nowhere", *X.city[1:]])


def test_a_level_that_a_part_lacks_is_the_average_level():
    X = pd.DataFrame({"z": [1.0, 2.0, 3.0, 4.0], "k": list("aabc")})
    encoding, _ = fit_encoding(X, [0, 1])
    new = pd.DataFrame({"z": [5.0, 6.0], "k": ["d", "c"]})
    with part_of_rows():
        assert is_part_of_rows()
        found = encoding.encode("Model", new)
    np.testing.assert_array_equal(found, [[5.0, 0.25, 0.25], [6.0, 0.0, 1.0]])
    assert not is_part_of_rows()
    with pytest.raises(ValueError, match=r"Model\.predict: column 'k' of X holds 'd'"):
        encoding.encode("Model", new)


def test_a_part_with_many_levels_is_no_id():
    X = pd.DataFrame({"k": [f"k{i}" for i in range(30)] * 2})
    with pytest.raises(ValueError, match="looks like an id"):
        fit_encoding(X[:40], [0])
    with part_of_rows():
        assert len(fit_encoding(X[:40], [0])[0].names) == 29


@pytest.mark.parametrize("shrinkage", ["auto", None, 1.0])
@pytest.mark.parametrize("text", [True, False])
def test_segments_and_folds_may_lack_levels(rows, shrinkage, text):
    X, y, treatment = rows
    if not text:
        X = X.assign(city=X.city.astype("category"))
    model = SegmentedCATE(shrinkage=shrinkage, random_state=0).fit(X, y, treatment=treatment)
    lacking = [X.city[X.segment == k].nunique() < X.city.nunique() for k in range(4)]
    assert any(lacking)
    assert (model.segments_.status == "ok").all()
    effect = model.predict(X)
    assert np.corrcoef(effect, 1 + X.x)[0, 1] > 0.8
    swapped = X.assign(segment=(X.segment + 1) % 4)
    assert np.isfinite(model.predict(swapped)).all()
    with pytest.raises(ValueError, match=r"column 'city' of X holds 'nowhere' in 1 of 1200 rows"):
        model.predict(new_city(X))
    if shrinkage is None:
        interval = model.predict_interval(swapped)
        # a city with a single row in an arm has no variance that the data tell: NaN, as ever
        known = ~np.isnan(interval).any(axis=1)
        assert known.mean() > 0.5
        assert (interval[known, 0] < interval[known, 1]).all()
        with pytest.raises(ValueError, match=r"column 'city' of X holds 'nowhere'"):
            model.predict_interval(new_city(X))


def test_a_small_segment_may_hold_many_levels(rows):
    X, y, treatment = rows
    rng = np.random.default_rng(1)
    X = X.assign(
        city=rng.choice([f"d{i}" for i in range(110)], len(X)),
        segment=(np.arange(len(X)) >= 120).astype(int),
    )
    model = SegmentedCATE(random_state=0, min_per_arm=20).fit(X, y, treatment=treatment)
    assert np.isfinite(model.predict(X)).all()


def test_policies_and_forests_take_folds_that_lack_levels(rows):
    X, y, treatment = rows
    X = X[["x", "city"]]
    policy = TargetingPolicy(InteractionRegression(), random_state=0)
    policy.fit(X, y, treatment=treatment)
    assert set(policy.predict(X)) <= {0, 1}
    with pytest.raises(ValueError, match=r"column 'city' of X holds 'nowhere'"):
        policy.predict(new_city(X))
    forest = CausalForest(n_estimators=20, random_state=0).fit(X, y, treatment=treatment)
    assert np.isfinite(forest.predict(X)).all()
    scores = effect_scores(X, y, treatment=treatment, random_state=0)
    assert np.isfinite(np.asarray(scores)).all()


def told_by(fit):
    """Return how often each warning was given, by its text."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit()
    return collections.Counter(str(warning.message) for warning in told)


@pytest.fixture(scope="module")
def dependent():
    """Users in 20 groups, with a column that the treatment made."""
    users = make_segmented_users(800, n_segments=3, n_features=2, n_groups=20, random_state=0)
    rng = np.random.default_rng(0)
    late = users.y + 0.1 * rng.normal(size=800)
    X = users.X.assign(segment=users.segment, late=late)
    return X, users.y, {"treatment": users.treatment, "groups": users.groups}


@pytest.mark.parametrize(
    ("estimator", "n_told"),
    [
        (SegmentedCATE(SegmentRegression(segment=None), random_state=0), 2),
        (TargetingPolicy(SegmentMatching(), cost=0.3, max_share=0.3, random_state=0), 2),
    ],
)
def test_a_finding_of_all_rows_is_told_once(dependent, estimator, n_told):
    X, y, given = dependent
    told = told_by(lambda: estimator.fit(X, y, **given))
    assert set(told.values()) == {1}
    assert len(told) == n_told
    late, groups = sorted(told, key=lambda text: "clustered" in text)
    assert "'late': it nearly tells the outcome" in late
    assert "standard errors clustered by 20 groups run low below 30" in groups


def test_a_segment_with_few_groups_is_told_beside_all_rows(dependent):
    """Groups lie within segments here, so that a model of one segment has fewer than the whole."""
    X, y, given = dependent
    groups = 10 * X["segment"] + np.arange(800) % 10
    X = X.drop(columns="late")
    told = told_by(
        lambda: SegmentedCATE(SegmentRegression(segment=None), random_state=0).fit(
            X, y, treatment=given["treatment"], groups=groups
        )
    )
    (text,) = told
    assert told[text] == 1
    assert "clustered by 10 groups" in text  # all 30 groups are enough


def test_different_warnings_are_all_told_and_one_that_is_repeated_once():
    def fit():
        with said_once():
            for text in ("a", "b", "a"):
                warnings.warn(text, UserWarning, stacklevel=1)
            warnings.warn("a", RuntimeWarning, stacklevel=1)

    assert told_by(fit) == {"a": 2, "b": 1}

    def failing():
        with said_once():
            warnings.warn("a", UserWarning, stacklevel=1)
            raise ValueError("x")

    def caught():
        with pytest.raises(ValueError, match="x"):
            failing()

    assert told_by(caught) == {"a": 1}
    with fold_of_rows():
        assert is_part_of_rows()
        assert is_fold_of_rows()
    with part_of_rows():
        assert not is_fold_of_rows()
