"""Segments of trajectories, and the effect of a plan in each."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.frozen import FrozenEstimator

from segcate.exceptions import SegcateWarning
from segcate.segmentation import HDBSCANSegmenter
from segcate.temporal import (
    MSM,
    LinearGComputation,
    TrajectorySegmenter,
    cross_fit_segment_effects,
    segment_effects,
)
from segcate.temporal._models.average_effects import average_effects
from segcate.temporal._segments.plan_effects import warn_of_noise
from tests.helpers.small_panels import small, small_panel

PLAN, OTHER = {"a0": [1, 1, 0]}, {"a0": [0, 0, 0]}
ALWAYS = {"a0": [1, 1, 1]}


class Cut(BaseEstimator):
    """Clusters by the first feature: below `low` noise, then cuts."""

    def __init__(self, cuts=(0.0,), low=-np.inf):
        self.cuts = cuts
        self.low = low

    def fit(self, X):
        self.n_features_ = X.shape[1]
        return self

    def predict(self, X):
        return np.where(X[:, 0] < self.low, -1, np.searchsorted(self.cuts, X[:, 0]))


def number(estimator, panel):
    """One feature: the number of the unit."""
    return np.unique(panel["id"])[:, None].astype(float)


@pytest.fixture(scope="module")
def panel():
    return small_panel(60)


@pytest.fixture(scope="module")
def msm(panel):
    return MSM(["a0", "a1"], "y", horizon=3).fit(panel)


def by_number(msm, cuts, **options):
    return TrajectorySegmenter(
        msm, Cut(cuts, low=options.pop("low", -np.inf)), features=number, scale=False, **options
    )


def test_segments_number_units_in_sorted_order(msm, panel):
    segmenter = by_number(msm, (19.5, 39.5)).fit(panel.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(segmenter.labels_, np.repeat([0, 1, 2], 20))
    np.testing.assert_array_equal(segmenter.ids_, np.arange(60))
    assert (segmenter.n_segments_, segmenter.n_merged_) == (3, 0)
    some = panel[panel["id"] % 10 == 0]
    table = segmenter.transform(some)
    assert list(table.columns) == ["id", "segment"]
    np.testing.assert_array_equal(table["segment"], [0, 0, 1, 1, 2, 2])


def test_small_segments_join_the_one_whose_mean_is_nearest(msm, panel):
    # Units 0-19, 20-23 (too few) and 24-59: means 9.5 and 41.5, so 20-23 are nearer to the first.
    segmenter = by_number(msm, (19.5, 23.5), min_size=5).fit(panel)
    np.testing.assert_array_equal(segmenter.labels_, np.repeat([0, 1], [24, 36]))
    assert (segmenter.n_segments_, segmenter.n_merged_) == (2, 1)
    np.testing.assert_array_equal(segmenter.predict(panel), segmenter.labels_)
    with pytest.raises(ValueError, match=r"no cluster has min_size=50 units \(sizes 20, 4, 36"):
        by_number(msm, (19.5, 23.5), min_size=50).fit(panel)


def test_noise_stays_noise(msm, panel):
    segmenter = by_number(msm, (29.5,), low=12).fit(panel)
    np.testing.assert_array_equal(segmenter.labels_, np.repeat([-1, 0, 1], [12, 18, 30]))
    assert segmenter.n_segments_ == 2


def test_a_density_segmenter_of_the_package_serves(msm, panel):
    pytest.importorskip("hdbscan")

    def two_clouds(estimator, panel):
        unit = number(estimator, panel)
        return np.hstack([np.where(unit < 25, 0.0, 50.0) + np.sin(unit), np.cos(unit)])

    segmenter = TrajectorySegmenter(
        msm, HDBSCANSegmenter(min_cluster_size=8), features=two_clouds, scale=False
    ).fit(panel)
    is_noise = segmenter.labels_ < 0
    assert is_noise.sum() < 10
    first = segmenter.labels_[:25][~is_noise[:25]]
    assert len(set(first)) == 1
    assert not set(first) & set(segmenter.labels_[25:][~is_noise[25:]])
    np.testing.assert_array_equal(segmenter.predict(panel), segmenter.labels_)


def test_features_are_predictions_or_their_differences(msm, panel):
    both = TrajectorySegmenter(msm, features="potential_outcomes", plan=PLAN, reference=OTHER)
    ids, values = both._features(panel)
    assert values.shape == (60, 6)
    expected = msm.predict(panel, PLAN)["y"].to_numpy().reshape(60, 3)
    np.testing.assert_array_equal(values[:, :3], expected)
    contrasts = TrajectorySegmenter(msm, features="contrasts", plan=PLAN, reference=OTHER)
    np.testing.assert_allclose(
        contrasts._features(panel)[1], values[:, :3] - values[:, 3:], atol=1e-12
    )
    np.testing.assert_array_equal(ids, np.arange(60))


def test_default_clusters_do_not_depend_on_global_randomness(msm, panel):
    segmenter = TrajectorySegmenter(
        FrozenEstimator(msm), features="potential_outcomes", plan=PLAN, min_size=2
    )
    first = segmenter.fit(panel).labels_
    np.testing.assert_array_equal(clone(segmenter).fit(panel).labels_, first)
    assert np.isnan(segmenter.stability_)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "MSM has no representation. Give `plan` and `reference`"),
        ({"features": "plans"}, ValueError, "`features`"),
        ({"features": "contrasts", "plan": PLAN}, ValueError, "needs reference"),
        ({"features": "potential_outcomes"}, ValueError, "needs plan"),
        (
            {"features": number, "min_size": 0},
            ValueError,
            "`min_size` must be a whole number of at least 1; got 0",
        ),
        (
            {"features": lambda e, p: np.ones(3)},
            ValueError,
            "one row of finite numbers .* 60 units",
        ),
        ({"features": number, "clusterer": BaseEstimator()}, TypeError, "cannot label new units"),
    ],
)
def test_parameters_are_checked(msm, panel, options, message, error):
    with pytest.raises(error, match=f"TrajectorySegmenter: .*{message}"):
        TrajectorySegmenter(msm, **options).fit(panel)


@pytest.fixture(scope="module")
def gnet(panel):
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    from segcate.temporal import GNet

    return GNet(["a0", "a1"], "y", **small(), n_models=3, n_simulations=2).fit(panel)


@pytest.fixture(scope="module")
def new():
    """Units 100 to 139."""
    frame = small_panel(40, seed=5)
    return frame.assign(id=frame["id"] + 100)


@pytest.fixture(scope="module")
def segmenter(gnet, panel):
    found = by_number(gnet, (29.5,), low=5).fit(panel)
    found.clusterer_.set_params(cuts=(125.0,), low=103)
    return found


def test_effects_by_segment_are_rubin_averages_within_it(gnet, segmenter, new):
    table = segment_effects(gnet, segmenter, new, PLAN, OTHER, confidence_level=0.9)
    assert table.index.tolist() == [-1, 0, 1]
    assert table["n"].tolist() == [3, 23, 14]
    data = gnet._read(new)
    effects = gnet._contrast(data, gnet._origins(data, "last")[0], PLAN, OTHER)[:, :, 0]
    for label, rows in ((-1, slice(0, 3)), (0, slice(3, 26)), (1, slice(26, 40))):
        (expected,) = average_effects("G", effects[:, rows, 2:], ("y",), 0.9).to_dict("records")
        for name in ("effect", "std_error", "ci_low", "ci_high"):
            assert table.loc[label, name] == pytest.approx(expected[name], rel=1e-9)
    first = segment_effects(gnet, segmenter, new, PLAN, OTHER, step=1)
    effect = gnet.effect(new, PLAN, OTHER)
    expected = effect[(effect["step"] == 1) & (effect["id"] > 125)]["effect"].mean()
    assert first.loc[1, "effect"] == pytest.approx(expected, rel=1e-6)


def test_shares_that_began_and_followed_a_plan_look_at_rows_before_the_origin(gnet, segmenter, new):
    tables = {
        step: segment_effects(gnet, segmenter, new, PLAN, OTHER, step=step) for step in (2, 3)
    }
    for label, low, high in ((-1, 100, 102), (0, 103, 125), (1, 126, 139)):
        before = [
            unit[["a0", "a1"]].to_numpy()[:-1].tolist()
            for _, unit in new[new["id"].between(low, high)].groupby("id")
        ]
        for name, steps in (
            ("plan", [[1, 0], [1, 0], [0, 0]]),
            ("reference", [[0, 0], [0, 0], [0, 0]]),
        ):
            for step, table in tables.items():
                for what, run in (("began", steps[:1]), ("followed", steps[:step])):
                    had = [
                        any(rows[t : t + len(run)] == run for t in range(len(rows)))
                        for rows in before
                    ]
                    assert table.loc[label, f"{what}_{name}"] == pytest.approx(np.mean(had))


def test_a_plan_that_was_begun_and_never_kept_up_is_followed_by_nobody():
    # Treatment at every second row: the plan of two in a row is begun by all and followed by none.
    frame = small_panel(24, n_treatments=1, varies=False)
    every_second = frame.assign(a0=frame["t"] % 2)
    new = every_second.assign(id=frame["id"] + 100)
    model = LinearGComputation("a0", "y", horizon=2, n_bootstraps=4, random_state=0)
    # A gap in the fit, so that the model takes units with gaps.
    with pytest.warns(SegcateWarning, match="1 are not there at all"):
        model.fit(frame.drop(index=3))
    segmenter = by_number(model, (-1.0,)).fit(frame)
    twice, other = {"a0": [1, 1]}, {"a0": [1, 0]}
    table = segment_effects(model, segmenter, new, twice, other)
    assert (table["began_plan"] == 1).all()
    assert (table["followed_plan"] == 0).all()
    assert (table["followed_reference"] == 1).all()
    # One unit has three in a row; without the one between them they are no run.
    is_first = new["id"] == 100
    kept_up = new.assign(a0=np.where(is_first & new["t"].isin([3, 4, 5]), 1, new["a0"]))
    table = segment_effects(model, segmenter, kept_up, twice, other)
    assert table["followed_plan"].tolist() == [1 / 24]
    gone = kept_up[~(is_first & (kept_up["t"] == 4))]
    assert segment_effects(model, segmenter, gone, twice, other)["followed_plan"].tolist() == [0]


def test_a_plan_that_is_a_function_has_no_share_that_followed_it(gnet, segmenter, new):
    table = segment_effects(
        gnet, segmenter, new, lambda state: np.zeros((len(state.outcome), 2)), OTHER
    )
    assert not table["effect"].any()
    assert table[["followed_plan", "began_plan"]].isna().all(axis=None)
    assert table[["followed_reference", "began_reference"]].notna().all(axis=None)


def test_units_that_the_segments_were_found_on_are_refused(gnet, segmenter, panel, new):
    mixed = pd.concat([new, panel[panel["id"] < 7]])
    with pytest.raises(ValueError, match="7 of 47 units are among those that the segments"):
        segment_effects(gnet, segmenter, mixed, PLAN, OTHER)
    table = segment_effects(gnet, segmenter, mixed, PLAN, OTHER, allow_same_units=True)
    assert table["n"].sum() == 47


def test_what_does_not_serve_is_refused(gnet, segmenter, msm, new):
    with pytest.raises(ValueError, match=r"`step` must be a whole number from 1 to 3; got 4"):
        segment_effects(gnet, segmenter, new, PLAN, OTHER, step=4)
    with pytest.raises(ValueError, match="a unit has one segment"):
        segment_effects(gnet, segmenter, new, PLAN, OTHER, origin="all")
    with pytest.raises(TypeError, match="effects of MSM have no interval by segment"):
        segment_effects(msm, segmenter, new, PLAN, OTHER)
    with pytest.raises(ValueError, match="`plan` is 3 steps long and `reference` 1"):
        segment_effects(gnet, segmenter, new, PLAN, {"a0": [0]})


def test_stability_compares_the_segments_of_each_model(gnet, panel, new):
    from sklearn.metrics import adjusted_rand_score
    from sklearn.preprocessing import StandardScaler

    kmeans = KMeans(2, n_init=2, random_state=0)
    segmenter = TrajectorySegmenter(gnet, kmeans, min_size=2).fit(panel)
    parts = np.split(gnet.transform(panel), 3, axis=1)
    labels = [clone(kmeans).fit_predict(StandardScaler().fit_transform(part)) for part in parts]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([adjusted_rand_score(labels[i], labels[j]) for i, j in pairs])
    assert segmenter.stability_ == pytest.approx(expected)
    table = segment_effects(gnet, segmenter, new, PLAN, OTHER)
    assert (table["stability"] == segmenter.stability_).all()
    assert set(table.columns) == {
        "n", "effect", "std_error", "ci_low", "ci_high", "followed_plan", "followed_reference",
        "began_plan", "began_reference", "stability",
    }  # fmt: skip
    few = new[new["id"] < 101]
    with pytest.warns(SegcateWarning, match="holds a single unit"):
        assert len(segment_effects(gnet, segmenter, few, PLAN, OTHER)) == 1


def test_effects_are_clustered_where_plans_are_given(msm, panel):
    segmenter = TrajectorySegmenter(msm, plan=PLAN, reference=OTHER)
    contrasts = TrajectorySegmenter(msm, features="contrasts", plan=PLAN, reference=OTHER)
    np.testing.assert_array_equal(segmenter._features(panel)[1], contrasts._features(panel)[1])
    one = TrajectorySegmenter(msm, plan=PLAN)
    both = TrajectorySegmenter(msm, features="potential_outcomes", plan=PLAN)
    np.testing.assert_array_equal(one._features(panel)[1], both._features(panel)[1])


def test_segments_of_contrasts_are_stable_where_effects_differ():
    kinds = small_panel(160, n_steps=7, varies=False)
    kinds["y"] += np.where(kinds["kind"] == "b", 3.0, 0.0) * kinds.groupby("id")["a0"].shift(
        fill_value=0
    )
    none = small_panel(160, n_steps=7, varies=False)
    none["y"] = np.random.default_rng(0).normal(size=len(none))
    found = []
    for frame in (kinds, none):
        model = LinearGComputation(
            ["a0", "a1"], "y", static=["kind"], horizon=3, n_bootstraps=8, random_state=0
        )
        segmenter = TrajectorySegmenter(
            model.fit(frame),
            KMeans(2, n_init=3, random_state=0),
            plan=PLAN,
            reference=OTHER,
            origin=3,
        )
        found.append(segmenter.fit(frame).stability_)
    assert found[0] > 0.7
    assert found[1] < found[0] - 0.2


def kinds_and_none(n_units, seed, first=0):
    """Two panels: the effect of `a0` is 3 more in kind "b"; and no effect at all."""
    kinds = small_panel(n_units, n_steps=7, varies=False, seed=seed)
    given = kinds.groupby("id")["a0"].shift(fill_value=0)
    kinds["y"] += np.where(kinds["kind"] == "b", 3.0, 0.0) * given
    kinds["id"] += first
    noise = np.random.default_rng(seed).normal(size=len(kinds))
    return kinds, kinds.assign(y=noise)


def by_effects(frame):
    model = LinearGComputation(
        ["a0", "a1"], "y", static=["kind"], horizon=3, n_bootstraps=8, random_state=0
    )
    kmeans = KMeans(2, n_init=3, random_state=0)
    return TrajectorySegmenter(model.fit(frame), kmeans, plan=ALWAYS, reference=OTHER, origin=3)


def test_segments_that_are_not_found_again_are_told_to_be_noise():
    kinds, none = kinds_and_none(160, 0)
    others = kinds_and_none(160, 1, first=1000)
    segmenter = by_effects(none).fit(none)
    args = (others[1], ALWAYS, OTHER)
    with pytest.warns(
        SegcateWarning, match="segment_effects: segments are hardly found again"
    ) as told:
        table = segment_effects(segmenter.estimator, segmenter, *args, origin=3)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert f"stability {table['stability'].iloc[0]:.2f}" in str(told[0].message)
    # Effects that differ by kind: no word (warnings are errors).
    segmenter = by_effects(kinds).fit(kinds)
    table = segment_effects(segmenter.estimator, segmenter, others[0], ALWAYS, OTHER, origin=3)
    assert table["effect"].max() - table["effect"].min() > 1


def test_cross_fitted_segments_that_are_not_found_again_are_told_to_be_noise():
    kinds, none = kinds_and_none(160, 0)
    segmenter = by_effects(none)
    args = (ALWAYS, OTHER)
    options = {"origin": 3, "random_state": 0}
    with pytest.warns(SegcateWarning, match="effects: segments are hardly found again") as told:
        cross_fit_segment_effects(segmenter.estimator, segmenter, none, *args, **options)
    assert [one.filename for one in told] == [__file__]
    segmenter = by_effects(kinds)
    found = cross_fit_segment_effects(segmenter.estimator, segmenter, kinds, *args, **options)
    assert found.effects["effect"].max() - found.effects["effect"].min() > 1


@pytest.mark.parametrize(
    ("effects", "stability", "is_told"),
    [
        ([0.0, 1.0, 2.0], 0.3, True),
        ([0.0, 1.0, 2.0], 0.5, False),
        ([0.0, 1.0, 2.0], np.nan, False),
        # Q is 24.5 of two degrees of freedom.
        ([0.0, 3.5, 7.0], 0.3, False),
        ([1.0], 0.3, False),
    ],
)
def test_noise_is_told_by_stability_and_by_differences_within_errors(effects, stability, is_told):
    frame = small_panel(40, n_steps=7, varies=False)
    segmenter = by_effects(frame)
    table = pd.DataFrame({"effect": effects, "std_error": 1.0, "stability": stability})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_of_noise("here", segmenter, table)
    assert bool(told) is is_told
    segmenter.set_params(features="representation")
    warn_of_noise("here", segmenter, table)
