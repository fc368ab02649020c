"""The search is described as it was run."""

from __future__ import annotations

import numpy as np

import segcate
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import honest_effects
from tests.findings.small import collect, users
from tests.findings.test_collect import grid


def fit(search):
    with segcate.routing():
        return search.fit(users().X, users().y, treatment=users().treatment)


def test_grid_scores_and_best_are_those_of_the_search():
    search = fit(grid())
    found = collect(search, users().X).search
    assert found.grid == {"kmeanssegmenter__n_clusters": ("2", "3")}
    assert (found.kind, found.n_candidates, found.n_splits) == ("GridSearchCV", 2, 2)
    scores = search.cv_results_["mean_test_score"]
    assert [c.mean_score for c in found.candidates] == scores.tolist()
    assert found.best_score == search.best_score_
    assert found.std_between == scores.std(ddof=1)
    assert found.frame()["rank"].tolist() == [1, 2]
    assert not found.is_honest


def test_the_metric_that_decided_is_shown():
    search = grid()
    search.set_params(scoring={"a": qini_experiment_scorer, "b": qini_experiment_scorer}, refit="b")
    found = collect(fit(search), users().X).search
    assert found.best_score == np.max(search.cv_results_["mean_test_b"])


def test_a_search_may_be_handed_in_beside_its_best_pipeline():
    search = fit(grid())
    findings = collect(search.best_estimator_, users().X, search=search)
    assert findings.search == collect(search, users().X).search
    assert findings.population.segments_saw_outcome


def test_honest_halves_are_counted():
    honest = honest_effects(
        grid(), users().X, users().y, treatment=users().treatment, random_state=0
    )
    for estimator, more in ((honest, {}), (honest.pipeline, {"search": honest})):
        found = collect(estimator, users().X, **more).search
        assert found.is_honest
        assert (found.n_design, found.n_estimation) == (
            len(honest.design_idx),
            len(honest.estimation_idx),
        )


def test_without_a_search_there_is_none():
    assert collect().search is None
