"""The mean of models of different kinds."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans

from segcate.temporal import (
    MSM,
    LinearGComputation,
    TemporalMean,
    TrajectorySegmenter,
    cross_fit_segment_effects,
    segment_effects,
)
from tests.helpers.small_panels import binary_panel, linear_panel, small_panel

PLAN, OTHER = {"a0": [1, 1, 0]}, {"a0": [0, 0, 0]}
ROLES = {"treatment": ["a0", "a1"], "outcome": "y", "static": ["kind"], "horizon": 3}


def linear(seed=0, n_bootstraps=6, **options):
    return LinearGComputation(**{**ROLES, **options}, n_bootstraps=n_bootstraps, random_state=seed)


@pytest.fixture(scope="module")
def panel():
    return small_panel(60)


@pytest.fixture(scope="module")
def both(panel):
    return TemporalMean([linear(), MSM(**ROLES)]).fit(panel)


def test_predictions_and_effects_are_means_of_the_estimators(both, panel):
    parts = [clone(estimator).fit(panel) for estimator in both.estimators]
    for method, plans in (("predict", (PLAN,)), ("effect", (PLAN, OTHER))):
        tables = [getattr(part, method)(panel, *plans, origin="all") for part in parts]
        expected = tables[0].copy()
        expected.iloc[:, -1] = (tables[0].iloc[:, -1] + tables[1].iloc[:, -1]) / 2
        pd.testing.assert_frame_equal(getattr(both, method)(panel, *plans, origin="all"), expected)
    assert both.transform_ == f"LinearGComputation: {parts[0].transform_}; MSM: none"
    assert np.isfinite(both.score(panel))
    assert both.horizon == 3


def test_intervals_have_the_mean_error_and_the_fewest_degrees_of_freedom(both, panel):
    found = both.effect_interval(panel, PLAN, OTHER, origin=2)
    tables = [e.effect_interval(panel, PLAN, OTHER, origin=2) for e in both.estimators_]
    for name in ("effect", "std_error"):
        np.testing.assert_allclose(found[name], (tables[0][name] + tables[1][name]) / 2)
    np.testing.assert_array_equal(found["df"], np.minimum(tables[0]["df"], tables[1]["df"]))
    middle = (found["ci_low"] + found["ci_high"]) / 2
    np.testing.assert_allclose(middle, found["effect"], atol=1e-12)


def test_seeds_are_passed_on(panel):
    seeded = TemporalMean([linear(), linear(1)], random_state=3).fit(panel)
    again = clone(seeded).fit(panel)
    pd.testing.assert_frame_equal(
        again.effect(panel, PLAN, OTHER), seeded.effect(panel, PLAN, OTHER)
    )
    assert seeded.estimators_[0].random_state not in (0, 1, seeded.estimators_[1].random_state)
    assert [e.random_state for e in seeded.estimators] == [0, 1]


def test_segments_and_their_effects_come_from_all(panel):
    design, others = panel[panel["id"] < 30], panel[panel["id"] >= 30]
    model = TemporalMean([linear(), linear(1, outcome_transform="cbrt")]).fit(design)
    segmenter = TrajectorySegmenter(
        model, KMeans(2, n_init=3, random_state=0), plan=PLAN, reference=OTHER, min_size=3
    ).fit(design)
    assert np.isfinite(segmenter.stability_)
    table = segment_effects(model, segmenter, others, PLAN, OTHER)
    parts = [segment_effects(e, segmenter, others, PLAN, OTHER) for e in model.estimators_]
    for name in ("effect", "std_error"):
        np.testing.assert_allclose(table[name], (parts[0][name] + parts[1][name]) / 2)
    assert table["n"].sum() == 30


def test_segments_are_cross_fitted(panel):
    model = TemporalMean([linear(), linear(1, outcome_transform="cbrt")])
    segmenter = TrajectorySegmenter(
        model, KMeans(2, n_init=3, random_state=0), plan=PLAN, reference=OTHER, min_size=3
    )
    found = cross_fit_segment_effects(model, segmenter, panel, PLAN, OTHER, random_state=0)
    by_segment = found.units.groupby("segment")["effect"].mean()
    np.testing.assert_allclose(found.effects["effect"], by_segment)
    assert (found.effects["ci_low"] < found.effects["effect"]).all()


def test_rules_are_followed_where_all_can(panel):
    def rule(state):
        return np.column_stack([state.outcome[:, 0] > 0, np.zeros(len(state.outcome))])

    model = TemporalMean([linear(), linear(1)]).fit(panel)
    parts = [e.predict(panel, rule)["y"] for e in model.estimators_]
    np.testing.assert_allclose(model.predict(panel, rule)["y"], (parts[0] + parts[1]) / 2)
    with pytest.raises(TypeError, match="only a model that simulates"):
        TemporalMean([linear(), MSM(**ROLES)]).fit(panel).predict(panel, rule)


def test_probabilities_stay_inside():
    frame = binary_panel(200)
    roles = {"treatment": "a", "outcome": "y", "horizon": 2}
    model = TemporalMean([linear(static=(), **roles), MSM(**roles)]).fit(frame)
    assert model.predict(frame, [1, 1])["y"].between(0, 1).all()


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [
        ([linear()], ValueError, "at least two estimators; got 1"),
        ([linear(), KMeans()], TypeError, "must be estimators over time; got 'KMeans'"),
        ([linear(), MSM(["a0"], "y")], ValueError, "differ in 'static', 'treatment'"),
    ],
)
def test_estimators_are_checked(panel, estimators, error, message):
    with pytest.raises(error, match=f"TemporalMean: .*{message}"):
        TemporalMean(estimators).fit(panel)


def test_a_stored_mean_answers_the_same(panel, tmp_path):
    model = TemporalMean([linear(), linear(1, outcome_transform="cbrt")], random_state=3).fit(panel)
    model.save(tmp_path / "mean.npz")
    again = TemporalMean.load(tmp_path / "mean.npz")
    for method in ("effect", "effect_interval"):
        expected = getattr(model, method)(panel, PLAN, OTHER)
        pd.testing.assert_frame_equal(getattr(again, method)(panel, PLAN, OTHER), expected)
    assert again.transform_ == model.transform_
    assert again.panel_counts_ == model.panel_counts_
    assert again.score(panel) == model.score(panel)
    assert [e.outcome_transform for e in again.estimators] == ["auto", "cbrt"]
    assert not hasattr(again.estimators[0], "coef_")
    assert np.isfinite(clone(again).fit(panel).score(panel))


def test_files_of_means_are_checked(panel, both, tmp_path):
    with pytest.raises(TypeError, match=r"TemporalMean\.save: 'MSM' cannot be stored without code"):
        both.save(tmp_path / "mean.npz")
    linear().fit(panel).save(tmp_path / "one.npz")
    with pytest.raises(ValueError, match="the file holds a LinearGComputation"):
        TemporalMean.load(tmp_path / "one.npz")
    TemporalMean([linear(), linear(1)]).fit(panel).save(tmp_path / "mean.npz")
    with pytest.raises(ValueError, match="is damaged or no file"):
        LinearGComputation.load(tmp_path / "mean.npz")
    with np.load(tmp_path / "mean.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))

    def damage(message, part=None, **changed):
        parts = [header["parts"][0] | (part or {}), *header["parts"][1:]]
        text = np.array(json.dumps(header | {"parts": parts}))
        np.savez(tmp_path / "bad.npz", **{**arrays, "header": text, **changed})
        with pytest.raises(ValueError, match=message):
            TemporalMean.load(tmp_path / "bad.npz")

    damage("is damaged .*estimator 0 is a TrajectorySegmenter", {"class": "TrajectorySegmenter"})
    damage("is damaged .*estimator 0 is a __doc__", {"class": "__doc__"})
    coef = arrays["part1.weight.coef"]
    damage("is damaged", **{"part1.weight.coef": coef[:, 1:]})
    damage("holds numbers that are not finite", **{"part1.weight.coef": coef * np.nan})
    roles = header["parts"][0]["parameters"] | {"outcome": "other"}
    damage("the estimators differ in 'outcome'", {"parameters": roles})


def test_a_model_without_intervals_is_told(panel):
    model = TemporalMean([linear(n_bootstraps=0), linear(1)]).fit(panel)
    with pytest.raises(ValueError, match="at least two fits to resampled units"):
        model.effect_interval(panel, PLAN, OTHER)


def test_the_truth_of_a_linear_world_is_found():
    frame = linear_panel(800, seed=2)
    roles = {"treatment": "a", "outcome": "y", "horizon": 2}
    model = TemporalMean([linear(static=(), n_bootstraps=0, **roles), MSM(**roles)]).fit(frame)
    found = model.effect(frame, [1, 1], [0, 0]).groupby("step")["effect"].mean()
    np.testing.assert_allclose(found, [-1, -1.5], atol=0.15)
