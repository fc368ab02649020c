"""Segments with one arm or a few rows: no estimate, three ways out, and merging by arms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.effects._thin_segments import FEWEST_PER_ARM, too_few_rows
from segcate.exceptions import EmptySegmentError, SegcateWarning
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold, honest_effects
from segcate.plots import SegmentEffectDisplay
from segcate.segmentation import KMeansSegmenter


def aipw(**options):
    return SegmentAIPW(LinearRegression(), LogisticRegression(), random_state=0, **options)


MODELS = {"matching": SegmentMatching, "regression": SegmentRegression, "aipw": aipw}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def study(thin=((4, 3),), seed=0):
    """Three segments around x = 0, 10, 20 with 120 rows each, then thin ones at 9, 21, ..."""
    rng = np.random.default_rng(seed)
    center = np.r_[
        np.repeat([0.0, 10.0, 20.0], 120),
        *(np.full(a + b, 9.0 + 12 * i) for i, (a, b) in enumerate(thin)),
    ]
    segment = np.r_[
        np.repeat([0, 1, 2], 120), *(np.full(a + b, 3 + i) for i, (a, b) in enumerate(thin))
    ]
    t = np.r_[rng.integers(0, 2, 360), *(np.r_[np.ones(a), np.zeros(b)] for a, b in thin)]
    x = rng.normal(size=len(t))
    X = pd.DataFrame(
        {"x": x, "place": center + rng.normal(size=len(t)), "segment": segment.astype(int)}
    )
    return X, x + t * (1 + segment / 10) + rng.normal(size=len(t)), t.astype(int)


# --- what an estimate needs -----------------------------------------------------------------------


@every_model
@pytest.mark.parametrize(("n_treated", "n_control"), [(4, 3), (4, 60), (60, 4), (1, 1), (2, 30)])
def test_fewer_than_five_rows_in_an_arm_have_no_estimate(make, n_treated, n_control):
    X, y, t = study([(n_treated, n_control)])
    with pytest.raises(EmptySegmentError, match=r"1 of 4 segments have no estimate: segment 3: "):
        make().fit(X, y, treatment=t)
    table = make(on_empty="nan").fit(X, y, treatment=t).effects_
    assert table.loc[3, ["effect", "std_error", "p_value"]].isna().all()
    assert not table.loc[3, "status"].startswith("ok")
    assert table.loc[[0, 1, 2], "effect"].notna().all()
    filled = make(on_empty="overall").fit(X, y, treatment=t)
    assert filled.effects_.loc[3, "status"] == f"overall effect ({table.loc[3, 'status']})"
    assert filled.predict(X.tail(1))[0] == filled.overall_["effect"]


@every_model
def test_the_status_counts_the_rows_once(make):
    X, y, t = study([(4, 4)])
    X = X.drop(columns="place")  # so that a regression has rows to spare
    status = "too few rows (4 treated, 4 control; at least 5 of each)"
    with pytest.raises(EmptySegmentError) as error:
        make().fit(X, y, treatment=t)
    assert f"segment 3: {status} (n_samples=368)" in str(error.value)


@every_model
def test_five_rows_in_each_arm_are_enough(make):
    X, y, t = study([(5, 40)])
    row = make().fit(X.drop(columns="place"), y, treatment=t).effects_.loc[3]
    assert row["status"].startswith("ok")
    assert np.isfinite(row["std_error"])


@every_model
def test_a_smaller_min_per_arm_asks_for_less(make):
    X, y, t = study([(4, 30)])
    row = make(min_per_arm=4).fit(X.drop(columns="place"), y, treatment=t).effects_.loc[3]
    assert row["status"].startswith("ok")
    assert np.isfinite(row["effect"])


@every_model
def test_rows_of_weight_zero_do_not_count(make):
    X, y, t = study([(10, 10)])
    weight = np.ones(len(t))
    weight[-19:-13] = 0.0  # six of the treated
    status = make(on_empty="nan").fit(X, y, treatment=t, sample_weight=weight).effects_["status"]
    assert status[3] == "too few rows (4 treated, 10 control; at least 5 of each)"
    merged = make(min_per_arm=8).fit(X, y, treatment=t, sample_weight=weight)
    assert merged.merged_segments_ == {3: 1}


def test_matches_that_rest_on_few_rows_are_no_estimate():
    X, y, t = study([(30, 30)])
    score = np.where(t == 1, 0.6, 0.4) + np.linspace(0, 0.001, len(t))
    score[:360] = 0.5 + np.linspace(-0.01, 0.01, 360)
    inside = np.flatnonzero(X["segment"] == 3)
    score[inside[:4]] = 0.4005  # four treated have controls near
    from segcate.matching import PropensityMatcher

    matcher = PropensityMatcher(caliper=0.01, caliper_scale="raw", score_scale="probability")
    model = SegmentMatching(matcher, on_empty="nan").fit(X, y, treatment=t, propensity=score)
    assert model.effects_.loc[3, "status"] == "too few matched rows"
    assert model.effects_.loc[3, "n_matched"] == 4


def test_too_few_rows_names_what_they_are_for():
    assert too_few_rows(FEWEST_PER_ARM, FEWEST_PER_ARM, FEWEST_PER_ARM) == ""
    text = "too few rows (6 treated, 9 control; at least 7 of each for cv=7)"
    assert too_few_rows(6, 9, 7, " for cv=7") == text


# --- the error ------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("thin", [[(4, 3)], [(0, 20)], [(20, 0)]])
def test_the_error_names_three_ways_out_that_work(make, thin):
    X, y, t = study(thin)
    with pytest.raises(EmptySegmentError) as error:
        make().fit(X, y, treatment=t)
    owner = type(make()).__name__
    for call in (
        f"{owner}(on_empty='nan')",
        "on_empty='overall'",
        f"{owner}(min_per_arm=10)",
        "KMeansSegmenter(min_size=50)",
        "KMeansSegmenter(n_clusters=3)",
    ):
        assert call in str(error.value)
    for options in ({"on_empty": "nan"}, {"on_empty": "overall"}, {"min_per_arm": 10}):
        model = make(**options).fit(X, y, treatment=t)
        assert np.isfinite(model.overall_["effect"])
    for segmenter in (
        KMeansSegmenter(8, columns=["place"], min_size=50, random_state=0),
        KMeansSegmenter(3, columns=["place"], random_state=0),
    ):
        with segcate.routing():
            pipe = make_pipeline(segmenter, make()).fit(X.drop(columns="segment"), y, treatment=t)
        assert np.isfinite(pipe[-1].effects_["effect"]).all()


# --- merging by arms ------------------------------------------------------------------------------


@every_model
def test_thin_segments_merge_into_the_nearest_and_say_so(make):
    X, y, t = study([(4, 30), (9, 9), (0, 25)])  # near 1, near 2, and beyond 2
    model = make(min_per_arm=10).fit(X, y, treatment=t)
    assert model.merged_segments_ == {3: 1, 4: 2, 5: 2}
    assert model.effects_.index.tolist() == [0, 1, 2]
    status = model.effects_["status"]
    assert status[0].startswith("ok")
    assert "merged" not in status[0]
    assert "segment 3 merged into 1 (fewer than 10 treated)" in status[1]
    assert "segments 4, 5 merged into 2 (fewer than 10 rows in an arm)" in status[2]
    assert "Merged          segment 3 merged into 1" in model.summary()
    assert model.effects_["n"].tolist() == [120, 154, 163]
    effect = model.effects_["effect"]
    expected = X["segment"].map({0: 0, 1: 1, 2: 2, 3: 1, 4: 2, 5: 2}).map(effect)
    np.testing.assert_array_equal(model.predict(X), expected)
    # everything else is as if the labels had come merged
    relabelled = X.assign(segment=X["segment"].replace({3: 1, 4: 2, 5: 2}))
    plain = make().fit(relabelled, y, treatment=t)
    numbers = ["n_treated", "n_control", "effect", "std_error", "p_adjusted"]
    pd.testing.assert_frame_equal(model.effects_[numbers], plain.effects_[numbers])
    assert model.heterogeneity_.q == plain.heterogeneity_.q
    assert len(model.contrasts().table) == 3
    SegmentEffectDisplay.from_estimator(model)


@every_model
def test_nothing_is_merged_by_default_or_where_all_have_enough(make):
    X, y, t = study([(30, 30)])
    plain = make().fit(X, y, treatment=t)
    model = make(min_per_arm=20).fit(X, y, treatment=t)
    assert plain.merged_segments_ == model.merged_segments_ == {}
    pd.testing.assert_frame_equal(plain.effects_, model.effects_)
    assert "Merged" not in model.summary()


@pytest.mark.parametrize("seed", range(5))
def test_merging_depends_on_no_order_of_rows(seed):
    rng = np.random.default_rng(seed)
    n = 400
    segment = rng.integers(0, 30, n)
    X = pd.DataFrame(
        {"a": rng.integers(0, 3, n) / 10, "b": rng.normal(size=n), "c": rng.choice(list("pqr"), n),
         "segment": [f"s{k}" for k in segment]}
    )  # fmt: skip
    t = rng.integers(0, 2, n)
    y = rng.normal(size=n)
    order = rng.permutation(n)
    first = SegmentMatching(min_per_arm=15).fit(X, y, treatment=t)
    second = SegmentMatching(min_per_arm=15).fit(X.iloc[order], y[order], treatment=t[order])
    assert first.merged_segments_ == second.merged_segments_
    assert len(first.merged_segments_) > 5
    table = first.effects_
    assert (table[["n_treated", "n_control"]] >= 15).all(axis=None)


def test_distance_is_in_standard_deviations():
    X, y, t = study([(2, 30)])
    metres = X.assign(place=X["place"] * 1e-6, x=X["x"] * 1e6)
    for frame in (X, metres):
        model = SegmentRegression(min_per_arm=5).fit(frame, y, treatment=t)
        assert model.merged_segments_ == {3: 1}


def test_noise_merges_and_receives_none():
    X, y, t = study([(2, 30)])
    X = X.assign(segment=X["segment"].replace({0: -1}))  # noise, in the middle of nowhere
    X.loc[X["segment"] == 3, "place"] = 0.0
    model = SegmentRegression(min_per_arm=5).fit(X, y, treatment=t)
    assert model.merged_segments_ == {3: 1}
    thin_noise = X.assign(segment=X["segment"].replace({-1: 0, 3: -1}))
    model = SegmentRegression(min_per_arm=5).fit(thin_noise, y, treatment=t)
    assert model.merged_segments_ == {-1: 0}


def test_where_all_are_thin_one_segment_is_left():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"x": rng.normal(size=40), "segment": np.arange(40) % 10})
    t = np.arange(40) // 10 % 2
    model = SegmentRegression(min_per_arm=25).fit(X, rng.normal(size=40), treatment=t)
    assert len(model.effects_) == 1
    assert len(model.merged_segments_) == 9


def test_without_covariates_the_first_segment_receives():
    X, y, t = study([(2, 30)])
    model = SegmentRegression(min_per_arm=5).fit(X[["segment"]], y, treatment=t)
    assert model.merged_segments_ == {3: 0}


@every_model
@pytest.mark.parametrize("bad", [1, 0, 2.5, True, "10"])
def test_min_per_arm_is_a_whole_number_of_at_least_two(make, bad):
    X, y, t = study()
    with pytest.raises(
        ValueError, match="`min_per_arm` must be a whole number of at least 2 or None"
    ):
        make(min_per_arm=bad).fit(X, y, treatment=t)


# --- searches -------------------------------------------------------------------------------------


def search_over(effects):
    return GridSearchCV(
        make_pipeline(KMeansSegmenter(random_state=0, n_init=1), effects),
        {"kmeanssegmenter__n_clusters": [2, 20]},
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedKFold(3),
    )


@pytest.mark.parametrize("options", [{"on_empty": "overall"}, {"min_per_arm": 8}])
def test_a_search_survives_thin_folds(options):
    X, y, t = study([])
    with segcate.routing():
        search = search_over(SegmentMatching(**options))
        search.fit(X.drop(columns="segment"), y, treatment=t)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_an_honest_estimate_is_not_lost_to_a_thin_segment():
    X, y, t = study([(10, 40)])
    rows = np.arange(328)  # the design half, to fit on and to score on
    search = GridSearchCV(
        SegmentRegression(adjustment="linear"),
        {"std_error": ["hc2"]},
        scoring=qini_experiment_scorer,
        cv=[(rows, rows)],
    )
    options = {"treatment": t, "design_size": 0.8, "random_state": 0}
    with pytest.warns(SegcateWarning, match=r"stay without one, as .*segment 3: too few rows"):
        honest = honest_effects(search, X, y, **options)
    assert np.isnan(honest.effects_.loc[3, "effect"])
    assert honest.effects_.loc[[0, 1, 2], "effect"].notna().all()
    search = GridSearchCV(
        SegmentRegression(adjustment="linear", min_per_arm=5),
        {"std_error": ["hc2"]},
        scoring=qini_experiment_scorer,
        cv=[(rows, rows)],
    )
    merged = honest_effects(search, X, y, **options)  # and no warning that segment 3 was lost
    assert merged.estimator.merged_segments_ == {3: 1}
