"""honest_effects: which rows choose, which rows estimate, and what is frozen."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import SegmentMatching
from segcate.exceptions import SegcateWarning
from segcate.matching import PropensityMatcher
from segcate.metrics import (
    autoc_scorer,
    effect_scores,
    qini_experiment_scorer,
    qini_scorer,
)
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    honest_effects,
)
from segcate.segmentation import KMeansSegmenter
from tests.helpers.tiny_effects import QuantileSegmenter, SegmentDifference, experiment

GRID = {"quantilesegmenter__column": [1, 0], "segmentdifference__shrink": [0.0, 0.1]}


def search(scoring=qini_experiment_scorer, cv=None, **options):
    options = {"error_score": "raise", **options}
    cv = cv or TreatmentStratifiedKFold(3)
    pipe = make_pipeline(QuantileSegmenter(), SegmentDifference())
    return GridSearchCV(pipe, GRID, scoring=scoring, cv=cv, **options)


@pytest.fixture(scope="module")
def data():
    return experiment(401)


@pytest.fixture(scope="module")
def honest(data):
    X, y, treatment = data
    return honest_effects(search(), X, y, treatment=treatment, random_state=0)


def test_halves_are_disjoint_complete_and_balanced(data, honest):
    _, _, treatment = data
    both = np.concatenate([honest.design_idx, honest.estimation_idx])
    assert sorted(both.tolist()) == list(range(401))
    for half in (honest.design_idx, honest.estimation_idx):
        assert len(half) in (200, 201)
        assert (np.diff(half) > 0).all()
        assert abs(treatment[half].mean() - treatment.mean()) < 0.005


def test_the_search_saw_the_design_half_alone(data, honest):
    X, y, treatment = data
    rows = honest.design_idx
    with segcate.routing():
        alone = search().fit(X[rows], y[rows], treatment=treatment[rows])
    np.testing.assert_array_equal(
        honest.search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert honest.best_params == alone.best_params_
    assert honest.best_params["quantilesegmenter__column"] == 0


def test_segments_are_frozen_and_effects_are_of_the_other_half(data, honest):
    X, y, treatment = data
    edges = honest.search.best_estimator_[0].edges_
    assert honest.pipeline[0].edges_ is edges
    rows = honest.estimation_idx
    segment = np.searchsorted(edges, X[rows, 0])
    expected = [
        y[rows][(segment == s) & (treatment[rows] == 1)].mean()
        - y[rows][(segment == s) & (treatment[rows] == 0)].mean()
        for s in (0, 1)
    ]
    np.testing.assert_allclose(honest.effects_["effect"], expected, rtol=1e-12)
    assert honest.estimator.n_rows_ == len(rows)
    assert honest.overall_ == pytest.approx(np.mean(expected))
    assert honest.heterogeneity_ == pytest.approx(np.var(expected))
    np.testing.assert_allclose(
        honest.pipeline.predict(X), np.array(expected)[np.searchsorted(edges, X[:, 0])]
    )


def test_fitting_the_frozen_pipeline_again_keeps_the_segments(data, honest):
    X, y, treatment = data
    with segcate.routing():
        again = clone(honest.pipeline).fit(X, y, treatment=treatment)
    assert again[0].edges_ is honest.pipeline[0].edges_
    assert again[-1].n_rows_ == 401
    assert honest.estimator.n_rows_ == len(honest.estimation_idx)


def test_what_was_passed_in_stays_as_it_was(data):
    X, y, treatment = data
    mine = search()
    result = honest_effects(mine, X, y, treatment=treatment, random_state=0)
    assert not hasattr(mine, "best_estimator_")
    assert result.search is not mine


def test_summary_names_both_halves_and_the_choice(honest):
    text = honest.summary()
    assert f"searched on {len(honest.design_idx)} rows" in text
    assert f"estimated on {len(honest.estimation_idx)} others" in text
    assert "quantilesegmenter__column=0" in text
    assert text.endswith("2 segments")
    assert "design_idx" not in repr(honest)


def test_a_result_can_be_pickled(data, honest):
    X, _, _ = data
    copy = pickle.loads(pickle.dumps(honest))
    np.testing.assert_array_equal(copy.pipeline.predict(X), honest.pipeline.predict(X))


def test_seeds_and_sizes(data):
    X, y, treatment = data
    results = [
        honest_effects(search(), X, y, treatment=treatment, random_state=seed, design_size=size)
        for seed, size in ((0, 0.5), (0, 0.5), (1, 0.5), (0, 0.25))
    ]
    designs = [result.design_idx.tolist() for result in results]
    assert designs[0] == designs[1] != designs[2]
    assert len(designs[3]) == 100


def test_routing_may_be_on_or_off(data, honest):
    X, y, treatment = data
    with segcate.routing():
        inside = honest_effects(search(), X, y, treatment=treatment, random_state=0)
    np.testing.assert_array_equal(inside.effects_["effect"], honest.effects_["effect"])


# Metadata


def test_effect_scores_are_made_of_the_design_half(data):
    X, y, treatment = data
    result = honest_effects(search(qini_scorer), X, y, treatment=treatment, random_state=3)
    assert result.best_params["quantilesegmenter__column"] == 0
    # Outcomes of the estimation half have no say: change them all, and the search is the same.
    changed = y.copy()
    changed[result.estimation_idx] *= -7
    again = honest_effects(search(qini_scorer), X, changed, treatment=treatment, random_state=3)
    np.testing.assert_array_equal(
        result.search.cv_results_["mean_test_score"], again.search.cv_results_["mean_test_score"]
    )


def test_effect_scores_handed_in_are_used(data):
    X, y, treatment = data
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    result = honest_effects(
        search(autoc_scorer), X, y, treatment=treatment, pseudo_outcome=psi, random_state=0
    )
    rows = result.design_idx
    with segcate.routing():
        alone = search(autoc_scorer).fit(
            X[rows], y[rows], treatment=treatment[rows], pseudo_outcome=psi[rows]
        )
    np.testing.assert_array_equal(
        result.search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_the_estimators_own_score_gets_effect_scores_too(data):
    X, y, treatment = data
    labelled = np.column_stack([X, X[:, 0] > 0])
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    own, named = (
        honest_effects(
            GridSearchCV(
                SegmentDifference(),
                {"shrink": [0.0, 0.5]},
                scoring=scoring,
                cv=TreatmentStratifiedKFold(3),
            ),
            labelled,
            y,
            treatment=treatment,
            pseudo_outcome=psi,
            random_state=0,
        )
        for scoring in (None, qini_scorer)
    )
    np.testing.assert_allclose(
        own.search.cv_results_["mean_test_score"], named.search.cv_results_["mean_test_score"]
    )


def test_groups_stay_together_and_reach_everyone(data):
    X, y, treatment = data
    groups = np.array([f"school {g}" for g in np.random.default_rng(0).integers(0, 40, 401)])
    result = honest_effects(
        search(cv=TreatmentStratifiedGroupKFold(3)),
        X,
        y,
        treatment=treatment,
        groups=groups,
        propensity=np.full(401, 0.5),
        sample_weight=np.linspace(1, 2, 401),
        random_state=0,
    )
    design, estimation = groups[result.design_idx], groups[result.estimation_idx]
    assert not set(design) & set(estimation)
    assert abs(len(design) - 200) <= 10
    for model, seen in (
        (result.search.best_estimator_[-1], design),
        (result.estimator, estimation),
    ):
        assert model.n_groups_ == len(set(seen))
        assert model.saw_propensity_
        assert model.saw_weight_


def test_containers_do_not_matter(data, honest):
    X, y, treatment = data
    index = pd.Index(np.arange(401)[::-1] * 3)
    framed = honest_effects(
        search(),
        pd.DataFrame(X, columns=["a", "b", "c"], index=index),
        pd.Series(y, index),
        treatment=pd.Series(treatment == 1, index),
        random_state=0,
    )
    polars = honest_effects(
        search(),
        pl.DataFrame(X, schema=["a", "b", "c"]),
        pl.Series(y),
        treatment=pl.Series(treatment),
        random_state=0,
    )
    for other in (framed, polars):
        np.testing.assert_allclose(other.effects_["effect"], honest.effects_["effect"], rtol=1e-12)


def test_other_searches_and_pipelines_without_segmenter(data):
    X, y, treatment = data
    labelled = np.column_stack([X, X[:, 0] > 0])
    drawn = RandomizedSearchCV(
        SegmentDifference(),
        {"shrink": [0.0, 0.5]},
        n_iter=2,
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedKFold(3),
        random_state=0,
    )
    result = honest_effects(drawn, labelled, y, treatment=treatment, random_state=0)
    assert len(result.pipeline) == 1
    assert len(result.effects_) == 2


# With the real segmenters and matching


def matching_search():
    pipe = make_pipeline(
        KMeansSegmenter(random_state=0),
        SegmentMatching(PropensityMatcher(), on_empty="overall"),
    )
    grid = {"kmeanssegmenter__n_clusters": [1, 2], "segmentmatching__matcher__n_neighbors": [1, 3]}
    return GridSearchCV(
        pipe, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(3), error_score="raise"
    )


def confounded(n=1200):
    rng = np.random.default_rng(5)
    side = rng.integers(0, 2, n)
    frame = pd.DataFrame({"place": 8.0 * side + rng.normal(size=n), "need": rng.normal(size=n)})
    treatment = (rng.random(n) < 1 / (1 + np.exp(1 - frame["need"]))).astype(int)
    y = frame["need"] + 2.0 * side * treatment + 0.5 * rng.normal(size=n)
    return frame, y, pd.Series(treatment), side


def test_segment_matching_after_a_search():
    X, y, treatment, side = confounded()
    psi = effect_scores(
        X,
        y,
        treatment=treatment,
        outcome_model=LinearRegression(),
        propensity_model=LogisticRegression(),
        cv=2,
        random_state=0,
    )
    result = honest_effects(
        matching_search(), X, y, treatment=treatment, pseudo_outcome=psi, random_state=0
    )
    assert result.best_params["kmeanssegmenter__n_clusters"] == 2
    segment = result.pipeline[:-1].transform(X)["segment"]
    effects = [float(result.effects_["effect"][segment[side == s].iloc[0]]) for s in (0, 1)]
    np.testing.assert_allclose(effects, [0, 2], atol=0.25)
    assert result.effects_["n_treated"].sum() == treatment.iloc[result.estimation_idx].sum()
    assert result.heterogeneity_.p_value < 1e-6
    assert "std. error" in result.summary().lower()
    predicted = result.pipeline.predict(X)
    assert predicted[side == 1].mean() - predicted[side == 0].mean() > 1.5


def test_a_segment_lost_in_the_estimation_half_is_named(data):
    X, y, treatment = data
    rows = np.flatnonzero(honest_rows(X, y, treatment))
    X = X.copy()
    X[:, 2] = 0.0
    X[rows[:30], 2] = 5.0

    class Island(QuantileSegmenter):
        def transform(self, X):
            return np.column_stack([np.asarray(X), np.asarray(X)[:, 2] > 1])

    alone = GridSearchCV(
        make_pipeline(Island(), SegmentDifference()),
        {"segmentdifference__shrink": [0.0]},
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedKFold(2),
    )
    with pytest.warns(SegcateWarning, match=r"segments 1 have rows in the design half and none"):
        honest_effects(alone, X, y, treatment=treatment, random_state=0)


def honest_rows(X, y, treatment):
    is_design = np.zeros(len(y), dtype=bool)
    result = honest_effects(search(), X, y, treatment=treatment, random_state=0)
    is_design[result.design_idx] = True
    return is_design


# Bad input


def test_bad_searches_are_named(data):
    X, y, treatment = data
    pipe = make_pipeline(QuantileSegmenter(), SegmentDifference())
    with pytest.raises(TypeError, match=r"`search` must be a search.*fit it on all rows"):
        honest_effects(pipe, X, y, treatment=treatment)
    with pytest.raises(TypeError, match="`search` must be a search"):
        honest_effects(GridSearchCV, X, y, treatment=treatment)
    with pytest.raises(ValueError, match=r"`search` has refit=False"):
        honest_effects(search(refit=False), X, y, treatment=treatment)
    hopeless = search(error_score=np.nan).set_params(
        param_grid={"segmentdifference__shrink": [np.nan]}
    )
    with (
        pytest.warns(UserWarning, match="test scores are non-finite|Scoring failed"),
        pytest.raises(
            ValueError,
            match=r"could be fitted and scored in every fold.*The first that failed said: Scoring",
        ),
    ):
        honest_effects(hopeless, X, y, treatment=treatment)


def test_a_search_of_scores_that_are_no_numbers_says_so(data):
    X, y, treatment = data
    silent = search(lambda estimator, X, y: float("nan"), error_score=np.nan)
    with (
        pytest.warns(UserWarning, match="test scores are non-finite"),
        pytest.raises(ValueError, match=r"in every fold.*Scores are not finite\."),
    ):
        honest_effects(silent, X, y, treatment=treatment)


def test_a_search_of_which_all_fits_fail_says_what_the_first_said(data):
    X, y, treatment = data
    failing = search(error_score=np.nan).set_params(param_grid={"quantilesegmenter__column": [9]})
    with pytest.raises(ValueError, match="no candidate of the search could be fitted") as told:
        honest_effects(failing, X, y, treatment=treatment, random_state=0)
    assert "The first one said: index 9 is out of bounds" in str(told.value)
    assert "Traceback" not in str(told.value)
    failing.set_params(error_score="raise")
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        honest_effects(failing, X, y, treatment=treatment, random_state=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treatment": None}, "needs `treatment`, but none came"),
        ({"treatment": np.zeros(401)}, "of the 200 rows of the design half, 0 are treated"),
        ({"treatment": np.arange(400) % 2}, "`treatment` has 400 values"),
        ({"design_size": 1.0}, r"`design_size` must be a number in \(0, 1\); got 1.0"),
        ({"groups": np.zeros(401)}, "`groups` holds one group only"),
        ({"groups": np.arange(401) // 4}, "given `groups`.*TreatmentStratifiedGroupKFold"),
        ({"propensity": np.ones(401)}, r"`propensity` must lie strictly inside"),
        ({"sample_weight": -np.ones(401)}, "`sample_weight` must be finite"),
        ({"pseudo_outcome": np.zeros(400)}, "`pseudo_outcome` has 400 values for 401 rows"),
        ({"pseudo_outcome": np.zeros(401)}, "`pseudo_outcome` was given, and the scorer"),
    ],
)
def test_bad_data_is_named(data, change, message):
    X, y, treatment = data
    with pytest.raises(ValueError, match=message):
        honest_effects(search(), X, y, **{"treatment": treatment, "random_state": 0, **change})


def test_an_outcome_with_gaps_is_named(data):
    X, y, treatment = data
    with pytest.raises(ValueError, match="honest_effects: Input y contains NaN"):
        honest_effects(search(), X, np.where(y > 2, np.nan, y), treatment=treatment)
