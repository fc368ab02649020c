"""`predict_interval` reaches the model through pipelines and searches, with X transformed on the way."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import InteractionRegression, SegmentedCATE, predict_interval
from segcate.datasets import make_uplift
from segcate.effects import SegmentMatching
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.segmentation import KMeansSegmenter


@pytest.fixture(scope="module")
def data():
    return make_uplift(400, random_state=0)


def fitted(model, data):
    with segcate.routing():
        return model.fit(data.X, data.y, treatment=data.treatment)


def test_a_model_alone_gives_what_its_method_gives(data):
    model = fitted(InteractionRegression(confidence_level=0.8), data)
    found = predict_interval(model, data.X)
    np.testing.assert_array_equal(found, model.predict_interval(data.X, confidence_level=0.95))
    narrower = predict_interval(model, data.X, confidence_level=0.5)
    assert (np.diff(narrower) < np.diff(found)).all()


@pytest.mark.parametrize(
    "steps",
    [
        [],
        ["passthrough"],
        [StandardScaler(), make_pipeline(StandardScaler(), "passthrough")],
        [make_column_transformer((StandardScaler(), ["x0", "x2"]), remainder="passthrough")],
    ],
    ids=["none", "passthrough", "nested", "columns"],
)
def test_transforms_on_the_way_change_nothing_for_a_line(data, steps):
    """Least squares with all products gives the same effects however columns are scaled."""
    alone = fitted(InteractionRegression(), data)
    pipe = fitted(make_pipeline(*steps, InteractionRegression()), data)
    np.testing.assert_allclose(
        predict_interval(pipe, data.X), predict_interval(alone, data.X), rtol=1e-7
    )


def test_search_leads_to_its_best_pipeline(data):
    pipe = Pipeline([("scale", StandardScaler()), ("effect", InteractionRegression())])
    search = GridSearchCV(
        make_pipeline(StandardScaler(), pipe),
        {
            "pipeline__effect__interactions": [["x0", "x2"], None],
            "pipeline__scale": ["passthrough"],
        },
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedKFold(3),
    )
    # Names are lost behind a scaler of a frame unless it gives frames.
    search.estimator.set_output(transform="pandas")
    with pytest.raises(NotFittedError, match="has no `best_estimator_`"):
        predict_interval(search, data.X)
    search = fitted(search, data)
    best = search.best_params_["pipeline__effect__interactions"]
    alone = fitted(InteractionRegression(interactions=best), data)
    np.testing.assert_allclose(
        predict_interval(search, data.X), predict_interval(alone, data.X), rtol=1e-7
    )
    np.testing.assert_allclose(
        predict_interval(search, data.X).mean(axis=1), search.predict(data.X), rtol=1e-9
    )


def test_segments_made_on_the_way_reach_the_model(data):
    model = SegmentedCATE(shrinkage=None, min_per_arm=10)
    pipe = fitted(make_pipeline(KMeansSegmenter(2, columns=["x0"], random_state=0), model), data)
    interval = predict_interval(pipe, data.X)
    segment = pipe[0].predict(data.X)
    for k in (0, 1):
        rows = segment == k
        own = InteractionRegression().fit(
            data.X[rows], data.y[rows], treatment=data.treatment[rows]
        )
        np.testing.assert_allclose(interval[rows], own.predict_interval(data.X[rows]), rtol=1e-9)


def test_model_without_intervals_names_those_that_have_them(data):
    model = fitted(SegmentMatching(segment=None), data)
    with pytest.raises(
        TypeError, match=r"stands in its `effects_`\. Use InteractionRegression, Caus"
    ):
        predict_interval(model, data.X)
    with pytest.raises(TypeError, match=r"Ridge has no interval for the effect on a row\. Use"):
        predict_interval(make_pipeline(StandardScaler(), Ridge()).fit(data.X, data.y), data.X)
    flexible = fitted(make_pipeline(StandardScaler(), InteractionRegression(Ridge())), data)
    with pytest.raises(TypeError, match="`estimator` is Ridge"):
        predict_interval(flexible, data.X)


def test_level_outside_its_range(data):
    model = fitted(InteractionRegression(), data)
    for level in (0, 1, 95, "high"):
        with pytest.raises(ValueError, match=r"`confidence_level` must be a number in \(0, 1\)"):
            predict_interval(model, data.X, confidence_level=level)
