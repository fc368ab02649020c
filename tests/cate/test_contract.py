"""The models of individual effects keep the contract: search, storage, scores."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import InteractionRegression, SegmentedCATE
from segcate.datasets import make_segmented_users, make_uplift
from segcate.effects import SegmentMatching
from segcate.metrics import effect_scores, qini_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.segmentation import KMeansSegmenter

MODELS = {
    "line": InteractionRegression(),
    "ridge": InteractionRegression(make_pipeline(StandardScaler(), Ridge()), interactions=["x0"]),
    "segmented": SegmentedCATE(InteractionRegression(), shrinkage=0.3, min_per_arm=10),
    "shrunk": SegmentedCATE(
        make_pipeline(StandardScaler(), InteractionRegression()), min_per_arm=10, cv=2,
        random_state=0,
    ),
}  # fmt: skip

# Lines through two clusters, which it says; what is tested is the contract.
pytestmark = pytest.mark.filterwarnings("ignore:InteractionRegression. the mean effect is")


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(500, n_segments=2, heterogeneity=0.5, random_state=0)


@pytest.fixture(scope="module")
def X(users):
    return users.X.assign(segment=np.array(["a", "b"])[users.segment])


@pytest.fixture(scope="module", params=list(MODELS))
def fitted(request, users, X):
    return clone(MODELS[request.param]).fit(X, users.y, treatment=users.treatment)


def test_pickle_round_trip(fitted, X):
    stored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(stored.predict(X), fitted.predict(X))


def test_skops_round_trip_with_our_trusted_types(fitted, X):
    skops_io = pytest.importorskip("skops.io")
    stored = skops_io.dumps(fitted)
    assert set(skops_io.get_untrusted_types(data=stored)) <= set(segcate.SKOPS_TRUSTED_TYPES)
    loaded = skops_io.loads(stored, trusted=segcate.SKOPS_TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    if isinstance(fitted, SegmentedCATE):
        assert loaded.segments_.equals(fitted.segments_)
    elif fitted.estimator is None:
        np.testing.assert_array_equal(loaded.predict_interval(X), fitted.predict_interval(X))
        assert loaded.coefficients_.equals(fitted.coefficients_)


def test_clone_forgets_the_fit_and_html_shows(fitted):
    again = clone(fitted)
    assert not [name for name in vars(again) if name.endswith("_")]
    assert again.get_params().keys() == fitted.get_params().keys()
    assert type(fitted).__name__ in fitted._repr_html_()


def test_score_needs_effect_scores(fitted, X, users):
    with pytest.raises(ValueError, match="needs `pseudo_outcome`"):
        fitted.score(X, users.y)
    assert fitted.score(X, users.y, pseudo_outcome=users.effect) > 0


def test_matching_segments_and_regressions_stand_in_one_search(users):
    psi = effect_scores(
        users.X, users.y, treatment=users.treatment, outcome_model=Ridge(),
        propensity=users.propensity, random_state=0,
    )  # fmt: skip
    pipe = Pipeline(
        [("segment", KMeansSegmenter(2, n_init=1, random_state=0)), ("effect", SegmentMatching())]
    )
    grid = [
        {"effect": [SegmentMatching(on_empty="overall"), InteractionRegression()]},
        {
            "effect": [SegmentedCATE(InteractionRegression(), min_per_arm=10, shrinkage=0.5)],
            "effect__estimator__interactions": [["x0"], None],
        },
    ]
    search = GridSearchCV(
        pipe, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(3), error_score="raise"
    )
    with segcate.routing():
        search.fit(users.X, users.y, treatment=users.treatment, pseudo_outcome=psi)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert np.isfinite(scores).all()
    # Effects that move with the need inside segments: a line finds them, one effect a segment cannot.
    assert scores[1:].max() > scores[0]
    np.testing.assert_array_equal(search.predict(users.X), search.best_estimator_.predict(users.X))


def test_cross_val_predict_routes_the_treatment():
    data = make_uplift(300, random_state=0)
    with segcate.routing():
        found = cross_val_predict(
            make_pipeline(StandardScaler(), InteractionRegression()),
            data.X,
            data.y,
            cv=TreatmentStratifiedKFold(3),
            params={"treatment": data.treatment},
        )
    assert np.corrcoef(found, data.effect)[0, 1] > 0.4


def test_routing_off_in_a_pipeline_says_how_to_pass_the_treatment(X, users):
    pipe = make_pipeline(StandardScaler(), InteractionRegression())
    with pytest.raises(ValueError, match=r"(?s)needs `treatment`.*segcate\.routing"):
        pipe.fit(users.X, users.y)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_treatment_without_a_name_is_refused_by_the_class_that_was_asked(model, X, users):
    with pytest.raises(TypeError, match=rf"^{type(model).__name__}\.fit .*`treatment=`"):
        clone(model).fit(X, users.y, users.treatment)
