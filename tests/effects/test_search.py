"""Pipelines and searches: parameters of the matcher are reachable, and routing is explained."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

import segcate
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.metrics import effect_scores, qini_experiment_scorer, qini_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.segmentation import KMeansSegmenter


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(900, n_segments=2, effects=[0, 2], confounding=0.3, random_state=1)


@pytest.fixture(scope="module")
def psi(users):
    return effect_scores(users.X, users.y, treatment=users.treatment, random_state=0)


def search(**parameters) -> GridSearchCV:
    pipe = make_pipeline(
        KMeansSegmenter(random_state=0, n_init=1),
        SegmentMatching(PropensityMatcher(), on_empty="overall"),
    )
    grid = {
        "kmeanssegmenter__n_clusters": [1, 2],
        "segmentmatching__matcher__n_neighbors": [1, 3],
    }
    return GridSearchCV(
        pipe, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(3), **parameters
    )


def test_search_finds_the_segments_that_differ(users, psi):
    with segcate.routing():
        found = search().fit(users.X, users.y, treatment=users.treatment, pseudo_outcome=psi)
    assert found.best_params_["kmeanssegmenter__n_clusters"] == 2
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    one_segment = found.cv_results_["param_kmeanssegmenter__n_clusters"] == 1
    np.testing.assert_allclose(found.cv_results_["mean_test_score"][one_segment], 0, atol=1e-12)
    effects = found.best_estimator_[-1].effects_["effect"]
    assert effects.max() - effects.min() > 1


def test_n_jobs_changes_nothing(users, psi):
    keywords = {"treatment": users.treatment, "pseudo_outcome": psi}
    with segcate.routing():
        one = search().fit(users.X, users.y, **keywords)
        two = search(n_jobs=2).fit(users.X, users.y, **keywords)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


def test_without_routing_the_splitter_explains(users, psi):
    with (
        segcate.routing(False),
        pytest.raises(ValueError, match=r"treatment.*(routing|segcate\.routing)"),
    ):
        search().fit(users.X, users.y)


def test_without_pseudo_outcome_the_scorer_names_both_ways_out(users):
    model = SegmentMatching(segment=None).fit(users.X, users.y, treatment=users.treatment)
    with segcate.routing(), pytest.raises(ValueError, match=r"(?s)effect_scores.*experiment"):
        qini_scorer(model, users.X, users.y, treatment=users.treatment)


def test_cross_validate_with_the_experiment_scorer(users):
    pipe = make_pipeline(KMeansSegmenter(2, random_state=0), SegmentMatching())
    with segcate.routing():
        found = cross_validate(
            pipe, users.X, users.y, scoring=qini_experiment_scorer,
            cv=TreatmentStratifiedKFold(3), params={"treatment": users.treatment},
        )  # fmt: skip
    assert (found["test_score"] > 0).all()


def test_matcher_parameters_need_an_instance():
    with pytest.raises(
        ValueError, match=r"matcher__caliper.*`matcher` is None.*PropensityMatcher\(\)"
    ):
        SegmentMatching().set_params(matcher__caliper=0.2)
    model = SegmentMatching().set_params(matcher=PropensityMatcher(), matcher__caliper=0.2)
    assert model.matcher.caliper == 0.2


def test_score_without_pseudo_outcome_raises_cleanly(users):
    model = SegmentMatching(segment=None).fit(users.X, users.y, treatment=users.treatment)
    with pytest.raises(ValueError, match=r"score needs `pseudo_outcome`.*effect_scores"):
        model.score(users.X, users.y)
