"""Different estimators of effects stand in one search, as candidates for the same step."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.metrics import effect_scores, qini_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.segmentation import KMeansSegmenter

MODELS = {"outcome_model": LinearRegression(), "propensity_model": LogisticRegression()}


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(900, n_segments=3, confounding=0.5, random_state=0)


@pytest.fixture(scope="module")
def scores(users):
    return effect_scores(
        users.X, users.y, treatment=users.treatment, propensity=users.propensity,
        outcome_model=LinearRegression(), random_state=0,
    )  # fmt: skip


def candidates():
    forest = CausalForest(20, random_state=0, **MODELS)
    return [
        SegmentMatching(),
        SegmentRegression(),
        SegmentAIPW(**MODELS, random_state=0),
        forest,
        InteractionRegression(),
        SegmentedCATE(InteractionRegression(), shrinkage=0.5),
    ]


def pipeline():
    segmenter = KMeansSegmenter(3, n_init=1, random_state=0)
    steps = [("scale", StandardScaler()), ("segment", segmenter), ("effect", SegmentMatching())]
    return Pipeline(steps).set_output(transform="pandas")


def test_one_search_over_all_kinds_of_estimators(users, scores):
    with segcate.routing():
        search = GridSearchCV(
            pipeline(),
            {"effect": candidates()},
            scoring=qini_scorer,
            cv=TreatmentStratifiedKFold(2),
            error_score="raise",
        ).fit(users.X, users.y, treatment=users.treatment, pseudo_outcome=scores)
    found = search.cv_results_["mean_test_score"]
    assert np.isfinite(found).all()
    # Estimators of segment effects may order the segments alike, and then score alike.
    assert len(np.unique(found)) >= 4
    # Effects differ by segment, which every candidate can see.
    assert (found > 0).all()
    assert search.best_score_ == found.max()
    assert search.predict(users.X).shape == (900,)


def test_the_same_scores_come_from_cross_validate(users, scores):
    pipe = pipeline().set_params(effect=SegmentRegression(adjustment="linear"))
    with segcate.routing():
        found = cross_validate(
            pipe,
            users.X,
            users.y,
            scoring={"qini": qini_scorer},
            cv=TreatmentStratifiedKFold(2),
            params={"treatment": users.treatment, "pseudo_outcome": scores},
        )["test_qini"]
        again = GridSearchCV(
            pipe,
            {"effect__std_error": ["hc2"]},
            scoring=qini_scorer,
            cv=TreatmentStratifiedKFold(2),
        ).fit(users.X, users.y, treatment=users.treatment, pseudo_outcome=scores)
    assert again.cv_results_["mean_test_score"][0] == pytest.approx(found.mean(), abs=1e-12)
