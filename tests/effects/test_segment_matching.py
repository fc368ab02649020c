"""SegmentMatching as users meet it: statuses, what to do with empty segments, the right method."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from segcate.effects import SegmentMatching
from segcate.exceptions import EmptySegmentError, SegcateWarning
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study


@pytest.fixture(scope="module")
def data():
    return small_study(0, n=600, n_segments=4, share=0.4)


@pytest.fixture(scope="module")
def X(data):
    return data.X.drop(columns="cell")


@pytest.fixture(scope="module")
def model(data, X):
    return SegmentMatching().fit(X, data.y, treatment=data.treatment)


# --- statuses -------------------------------------------------------------------------------------


def spoil(data, how):
    """Return treatment, propensity, options and weight that leave segment 2 without an estimate."""
    inside = data.segment == 2
    treatment, score = data.treatment.copy(), data.score.copy()
    options, weight = {}, None
    if how in ("no treated rows", "no control rows"):
        treatment[inside] = int(how == "no control rows")
    elif how == "no overlap of scores":
        score[inside] = np.where(treatment[inside] == 1, 0.8, 0.2)
    elif how == "caliper took all matches":
        score[inside] = np.where(treatment[inside] == 1, 0.5, 0.9)
        score[np.flatnonzero(inside & (treatment == 1))[0]] = 0.95  # the arms do overlap
        options = {"caliper": 0.04, "caliper_scale": "raw"}
    elif how == "too few matched rows":
        keep = np.flatnonzero(inside & (treatment == 1))[0]
        treatment[inside] = 0
        treatment[keep] = 1
        score[keep] = np.median(score[inside])
    elif how == "too few distinct matches":
        keep = np.flatnonzero(inside & (treatment == 0))[0]
        treatment[inside] = 1
        treatment[keep] = 0
        score[keep] = np.median(score[inside])
    elif how == "weights are zero":
        weight = np.where(inside & (treatment == 1), 0.0, 1.0)
    return treatment, score, options, weight


STATUSES = [
    *("no treated rows", "no control rows", "no overlap of scores", "caliper took all matches"),
    *("too few matched rows", "too few distinct matches", "weights are zero"),
]


@pytest.mark.parametrize("status", STATUSES)
def test_a_segment_without_an_estimate_says_why(data, X, status):
    treatment, score, options, weight = spoil(data, status)
    keywords = {"treatment": treatment, "propensity": score, "sample_weight": weight}
    matcher = PropensityMatcher(score_scale="probability", **options)
    with pytest.raises(EmptySegmentError, match=rf"1 of 4 segments .*segment 2: {status} \(\d+ tr"):
        SegmentMatching(matcher).fit(X, data.y, **keywords)

    gap = SegmentMatching(matcher, on_empty="nan").fit(X, data.y, **keywords)
    table = gap.effects_
    assert table.loc[2, "status"] == status
    assert table.loc[2, ["effect", "std_error", "ci_low", "ci_high", "p_value"]].isna().all()
    others = table.drop(index=2)
    assert others[["effect", "std_error", "p_adjusted"]].notna().all(axis=None)
    predicted = gap.predict(X)
    np.testing.assert_array_equal(np.isnan(predicted), data.segment == 2)

    filled = SegmentMatching(matcher, on_empty="overall").fit(X, data.y, **keywords)
    assert filled.effects_.loc[2, "status"] == f"overall effect ({status})"
    for column in ("effect", "std_error", "ci_low", "ci_high", "p_value"):
        assert filled.effects_.loc[2, column] == pytest.approx(filled.overall_[column], rel=1e-12)
    assert np.isnan(filled.effects_.loc[2, "p_adjusted"])  # no test of its own
    pd.testing.assert_frame_equal(filled.effects_.drop(index=2), others)
    expected = filled.effects_["effect"].to_numpy()[data.segment]
    np.testing.assert_array_equal(filled.predict(X), expected)
    # the segment is in no other figure
    for one in (gap, filled):
        assert one.heterogeneity_.n_segments == 3
        assert one.overall_["effect"] == gap.overall_["effect"]
        assert one.overall_["n_matched"] == others["n_matched"].sum()


def test_exact_cells_without_both_arms_say_so(data, X):
    cell = np.where(data.segment == 2, 1 - data.treatment, 0)
    matcher = PropensityMatcher(exact="arm")
    found = SegmentMatching(matcher, on_empty="nan").fit(
        X.assign(arm=cell), data.y, treatment=data.treatment, propensity=data.score
    )
    status = found.effects_.loc[2, "status"]
    assert status == "no rows of both arms in any cell of the exact columns"


def test_when_no_segment_has_an_estimate_it_raises_whatever_on_empty_says(data, X):
    score = np.where(data.treatment == 1, 0.8, 0.2)
    for on_empty in ("raise", "nan", "overall"):
        with pytest.raises(EmptySegmentError, match=r"4 of 4 segments have no estimate"):
            SegmentMatching(on_empty=on_empty).fit(
                X, data.y, treatment=data.treatment, propensity=score
            )


def test_at_most_five_empty_segments_are_listed():
    data = small_study(1, n=900, n_segments=9)
    treatment = np.where(data.segment > 0, 0, data.treatment)
    with pytest.raises(EmptySegmentError, match=r"8 of 9 segments.*segment 5: [^;]*and 3 more"):
        SegmentMatching().fit(data.X, data.y, treatment=treatment, propensity=data.score)


def test_remarks_of_the_score_and_the_adjustment_reach_the_status():
    data = small_study(2, n=400, n_segments=2, share=0.5)
    keep = (data.segment == 0) | (np.arange(400) % 8 == 0)
    X = data.X[keep].drop(columns="cell")
    found = SegmentMatching(adjustment="bias").fit(X, data.y[keep], treatment=data.treatment[keep])
    assert found.effects_.loc[0, "status"] == "ok"
    thin = found.effects_.loc[1, "status"]
    assert thin.startswith("ok: score shrunk to the pooled one (few rows a slope); ")
    assert "bias adjust" in thin
    assert thin in found.summary()


def test_few_events_are_said():
    data = small_study(3, n=500, share=0.4)
    rare = np.zeros(500)
    rare[np.flatnonzero(data.treatment == 1)[:30]] = 1
    rare[np.flatnonzero(data.treatment == 0)[:3]] = 1
    found = SegmentMatching(segment=None).fit(data.Z, rare, treatment=data.treatment)
    assert "fewer than 5 events in an arm" in found.effects_["status"].item()
    common = (data.y > 0).astype(float)
    found = SegmentMatching(segment=None).fit(data.Z, common, treatment=data.treatment)
    assert found.effects_["status"].item() == "ok"


# --- predict --------------------------------------------------------------------------------------


def test_predict_is_the_effect_of_the_rows_segment(data, X, model):
    predicted = model.predict(X)
    assert predicted.dtype == np.float64
    np.testing.assert_array_equal(predicted, model.effects_["effect"].to_numpy()[data.segment])
    assert model.predict(X.iloc[:1]) == predicted[0]
    np.testing.assert_array_equal(model.predict(X.iloc[::-1]), predicted[::-1])
    # only the segment is read
    np.testing.assert_array_equal(model.predict(X.assign(z0=0.0, z1=1e9, z2=-1.0)), predicted)


def test_predict_does_not_mind_how_whole_numbers_are_stored(X, model):
    expected = model.predict(X)
    for kind in (float, "Int64", "category", np.int8):
        np.testing.assert_array_equal(model.predict(X.astype({"segment": kind})), expected)


def test_a_segment_unseen_in_fit(data, X):
    new = X.assign(segment=np.where(data.segment == 3, 99, data.segment))
    keywords = {"treatment": data.treatment}
    raising = SegmentMatching().fit(X, data.y, **keywords)
    with pytest.raises(
        EmptySegmentError, match=r"predict: segments 99 were not seen.*knew 0, 1, 2, 3.*on_empty"
    ):
        raising.predict(new)
    counted = f"predict: {(data.segment == 3).sum()} of {len(X)} rows get"
    empty = SegmentMatching(on_empty="nan").fit(X, data.y, **keywords)
    with pytest.warns(SegcateWarning, match=rf"{counted} NaN: segments 99 were not seen"):
        gap = empty.predict(new)
    np.testing.assert_array_equal(np.isnan(gap), data.segment == 3)
    filled = SegmentMatching(on_empty="overall").fit(X, data.y, **keywords)
    with pytest.warns(SegcateWarning, match=rf"{counted} everyone's effect: segments 99 were"):
        effect = filled.predict(new)
    np.testing.assert_array_equal(effect[data.segment == 3], filled.overall_["effect"])


def test_predict_before_fit_and_with_other_columns(X, model):
    with pytest.raises(NotFittedError):
        SegmentMatching().predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X.rename(columns={"z0": "a"}))
    with pytest.raises(ValueError, match=r"segment column has missing values in 600 of 600"):
        model.predict(X.assign(segment=np.nan))


# --- which standard error -------------------------------------------------------------------------

BIAS = {"adjustment": "bias"}
AUTO = [
    ({}, {}, "residual"),
    ({"estimand": "ate"}, {}, "residual"),
    ({}, {"replacement": False}, "residual"),
    ({"inference": "sample"}, {"replacement": False}, "residual"),
    (BIAS, {}, "abadie-imbens"),
    ({"adjustment": None}, {}, "abadie-imbens"),
    ({"estimand": "ate", **BIAS}, {}, "abadie-imbens"),
    ({"inference": "sample", **BIAS}, {}, "abadie-imbens"),
    ({"adjustment": "linear"}, {}, "pair+unit"),
    ({"adjustment": "linear", "inference": "sample"}, {}, "pair+unit"),
    (BIAS, {"replacement": False}, "pair"),
    ({"adjustment": "linear"}, {"replacement": False}, "pair"),
    ({"adjustment": "linear", "inference": "sample"}, {"replacement": False}, "pair"),
    ({"inference": "sample", **BIAS}, {"replacement": False}, "abadie-imbens"),
]


@pytest.mark.parametrize(("options", "matcher", "expected"), AUTO)
def test_auto_takes_the_method_that_is_valid_and_names_it(data, X, options, matcher, expected):
    auto = SegmentMatching(PropensityMatcher(**matcher), **options)
    keywords = {"treatment": data.treatment, "propensity": data.score}
    auto.fit(X, data.y, **keywords)
    assert auto.std_error_method_ == expected
    assert expected in auto.summary()
    asked = clone(auto).set_params(std_error=expected).fit(X, data.y, **keywords)
    if options.get("inference") != "sample":  # there auto also takes a trend out of the outcomes
        pd.testing.assert_frame_equal(asked.effects_, auto.effects_)


@pytest.mark.parametrize("matcher", [{}, {"replacement": False}])
@pytest.mark.parametrize("adjustment", ["auto", "bias", "linear"])
def test_auto_takes_groups_where_they_are_given(data, X, matcher, adjustment):
    groups = np.arange(600) % 60
    model = SegmentMatching(PropensityMatcher(**matcher), adjustment=adjustment)
    model.fit(X, data.y, treatment=data.treatment, groups=groups)
    assert model.std_error_method_ == "group"


INVALID = [
    ("residual", {}, {}, False, "is for adjustment='auto'"),
    ("abadie-imbens", {}, {"replacement": False}, False, "is for matching with replacement, or"),
    ("abadie-imbens", {"adjustment": "linear"}, {}, False, "does not know adjustment='linear'"),
    ("abadie-imbens", {}, {}, True, "takes rows as independent, but `groups` were given"),
    ("abadie-imbens-2016", {"inference": "sample"}, {}, False, "needs inference='population'"),
    (
        "abadie-imbens-2016",
        {"n_variance_neighbors": 0},
        {},
        False,
        "needs inference='population' and `n_var",
    ),
    ("pair", {}, {}, False, "is for matching without replacement"),
    ("pair", {"inference": "sample"}, {"replacement": False}, False, "is for inference='popul"),
    ("pair", {}, {"replacement": False}, True, "leaves the dependence within `groups` out"),
    ("pair+unit", {}, {}, True, "leaves the dependence within `groups` out"),
    ("pair+unit", {"estimand": "ate"}, {}, False, "is for one focal arm"),
    ("pair+unit", {"inference": "sample"}, {}, False, "is for inference='population' unless"),
    ("group", {}, {}, False, "needs `groups=` in fit"),
    ("group", {"inference": "sample"}, {}, True, "is for inference='population' unless"),
]


@pytest.mark.parametrize(("method", "options", "matcher", "grouped", "text"), INVALID)
def test_a_standard_error_that_is_not_valid_is_refused(
    data, X, method, options, matcher, grouped, text
):
    model = SegmentMatching(PropensityMatcher(**matcher), std_error=method, **{**BIAS, **options})
    groups = np.arange(600) % 60 if grouped else None
    with pytest.raises(ValueError, match=rf"std_error='{method}' {text}".replace("+", r"\+")):
        model.fit(X, data.y, treatment=data.treatment, groups=groups)


def test_combinations_that_no_standard_error_can_save(data, X):
    keywords = {"treatment": data.treatment}
    with pytest.raises(ValueError, match=r"adjustment='linear' .* estimand='ate' use .*'bias'"):
        SegmentMatching(estimand="ate", adjustment="linear").fit(X, data.y, **keywords)
    without = PropensityMatcher(replacement=False)
    with pytest.raises(ValueError, match="estimand='ate' needs `replacement=True`"):
        SegmentMatching(without, estimand="ate").fit(X, data.y, **keywords)


BAD_PARAMETERS = [
    ({"estimand": "late"}, ValueError, r"`estimand` must be one of \['att', 'atc', 'ate'\]"),
    ({"std_error": "bootstrap"}, ValueError, "`std_error` must be one of.*got 'bootstrap'"),
    ({"inference": "both"}, ValueError, r"`inference` must be one of \['population', 'sample'\]"),
    ({"on_empty": None}, ValueError, "`on_empty` must be one of.*got None"),
    ({"confidence_level": 95}, ValueError, r"`confidence_level` .* in \(0, 1\); got 95"),
    ({"n_variance_neighbors": -1}, ValueError, "`n_variance_neighbors` must be a whole number.*-1"),
    ({"matcher": "nearest"}, TypeError, "`matcher` must be a Matcher.*'nearest'"),
    ({"matcher": PropensityMatcher}, TypeError, "`matcher` must be a Matcher, such as"),
    ({"segment": "region"}, ValueError, "no column 'region' for `segment`; its columns are 'z0'"),
]


@pytest.mark.parametrize(("bad", "kind", "text"), BAD_PARAMETERS)
def test_bad_parameters_are_named(data, X, bad, kind, text):
    with pytest.raises(kind, match=f"^SegmentMatching: .*{text}|^SegmentMatching: {text}"):
        SegmentMatching(**bad).fit(X, data.y, treatment=data.treatment)


# --- the fitted estimator -------------------------------------------------------------------------


def test_the_users_matcher_stays_unfitted(data, X):
    matcher = PropensityMatcher(n_neighbors=2)
    model = SegmentMatching(matcher).fit(X, data.y, treatment=data.treatment)
    assert not hasattr(matcher, "matched_")
    assert model.matcher_ is not matcher
    pd.testing.assert_frame_equal(model.balance_, model.matcher_.balance_)
    alone = matcher.fit(X, treatment=data.treatment)
    pd.testing.assert_frame_equal(alone.balance_, model.balance_)
    np.testing.assert_array_equal(alone.propensity_, model.matcher_.propensity_)


def test_the_summary_says_what_was_done(data, X):
    matcher = PropensityMatcher(n_neighbors=1, replacement=False, caliper=0.1, order="smallest")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = SegmentMatching(matcher, **BIAS, on_empty="nan", confidence_level=0.9).fit(
            X, data.y, treatment=data.treatment
        ).summary()  # fmt: skip
    for part in (
        "ATT, effect on the treated, population inference",
        "1 nearest on the logit score, without replacement, order smallest, caliper 0.1 SD",
        "Adjustment      bias",
        "Standard error  pair; intervals 90 %; p adjusted by Holm",
        "rows: no row within the caliper",
        "Heterogeneity   Q = ",
        "Overall ",
    ):
        assert part in text, part


def test_refitting_forgets_the_first_fit(data, X):
    model = SegmentMatching().fit(X, data.y, treatment=data.treatment)
    few = X["segment"] < 2
    model.fit(X[few], data.y[few], treatment=data.treatment[few])
    assert model.effects_.index.tolist() == [0, 1]
    with pytest.raises(EmptySegmentError):
        model.predict(X)


def test_the_callers_data_is_left_as_it_was(data, X):
    before = X.copy(), data.y.copy(), data.treatment.copy(), data.weight.copy()
    SegmentMatching().fit(X, data.y, treatment=data.treatment, sample_weight=data.weight)
    pd.testing.assert_frame_equal(X, before[0])
    for now, then in zip((data.y, data.treatment, data.weight), before[1:], strict=True):
        np.testing.assert_array_equal(now, then)


def test_one_arm_much_larger_than_the_other():
    data = small_study(4, n=3000, share=0.02)
    found = SegmentMatching(segment=None).fit(data.Z, data.y, treatment=data.treatment)
    row = found.effects_.loc["all"]
    assert row["n_matched"] == data.treatment.sum()
    assert np.isfinite(row["std_error"])
    swapped = SegmentMatching(segment=None).fit(data.Z, data.y, treatment=1 - data.treatment)
    assert np.isfinite(swapped.effects_["std_error"].item())
