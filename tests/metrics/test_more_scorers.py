"""Scorers of uplift at k and of losses inside searches, cross-validation and learning curves."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline

import segcate
from segcate.metrics import (
    dr_loss,
    effect_scores,
    get_scorer,
    make_uplift_scorer,
    neg_r_loss_experiment_scorer,
    neg_r_loss_scorer,
    qini_score,
    r_loss,
    uplift_at_k,
    uplift_at_k_experiment_scorer,
    uplift_at_k_scorer,
)
from segcate.model_selection import TreatmentStratifiedKFold
from tests.helpers.tiny_effects import QuantileSegmenter, SegmentDifference, experiment

NAMES = ["uplift_at_k", "neg_dr_loss", "neg_r_loss"]
ALL_NAMES = [*NAMES, *(f"{name}_experiment" for name in NAMES)]


@pytest.fixture(scope="module")
def data():
    return experiment()


def metadata_of(name, data, rows=slice(None)):
    _, y, treatment = data
    found = {"treatment": treatment[rows]}
    if name == "neg_r_loss":
        found["outcome_prediction"] = np.full(len(y), y.mean())[rows]
        found["treatment_prediction"] = np.full(len(y), 0.5)[rows]
    elif "experiment" not in name:
        psi = effect_scores(None, y, treatment=treatment, design="experiment")
        found["pseudo_outcome"] = psi[rows]
    return found


def search(scoring, **options):
    grid = {"quantilesegmenter__column": [1, 0], "quantilesegmenter__n_bins": [2, 4]}
    parts = make_pipeline(QuantileSegmenter(), SegmentDifference())
    cv = TreatmentStratifiedKFold(3)
    return GridSearchCV(parts, grid, scoring=scoring, cv=cv, error_score="raise", **options)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_search_finds_the_segments_that_differ(data, name):
    X, y, _ = data
    with segcate.routing():
        fitted = search(get_scorer(name)).fit(X, y, **metadata_of(name, data))
    assert fitted.best_params_["quantilesegmenter__column"] == 0
    assert np.isfinite(fitted.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("name", ALL_NAMES)
def test_learning_curves_and_weights(data, name):
    X, y, _ = data
    metadata = metadata_of(name, data)
    metadata["sample_weight"] = np.random.default_rng(0).integers(1, 4, len(y))
    model = make_pipeline(QuantileSegmenter(), SegmentDifference())
    with segcate.routing():
        _, train, test = learning_curve(
            model,
            X,
            y,
            scoring=get_scorer(name),
            cv=TreatmentStratifiedKFold(3, shuffle=True, random_state=0),
            train_sizes=[0.5, 1.0],
            params=metadata,
            error_score="raise",
        )
    assert np.isfinite(train).all()
    assert np.isfinite(test).all()


def test_all_at_once(data):
    X, y, _ = data
    metadata = {key: v for name in ALL_NAMES for key, v in metadata_of(name, data).items()}
    model = make_pipeline(QuantileSegmenter(), SegmentDifference())
    with segcate.routing():
        found = cross_validate(
            model,
            X,
            y,
            scoring={name: get_scorer(name) for name in ALL_NAMES},
            cv=TreatmentStratifiedKFold(3),
            params=metadata,
            error_score="raise",
        )
    for name in NAMES:
        # The treatment is random: the twin that needs it alone says nearly the same.
        twin = found[f"test_{name}_experiment"]
        np.testing.assert_allclose(found[f"test_{name}"], twin, rtol=0.05, atol=0.05)


def test_scores_are_those_of_the_functions(data):
    X, y, treatment = data
    with segcate.routing():
        model = make_pipeline(QuantileSegmenter(), SegmentDifference())
        model.fit(X, y, treatment=treatment)
    effect = model.predict(X)
    metadata = {name: metadata_of(name, data) for name in ALL_NAMES}
    psi = metadata["uplift_at_k"]["pseudo_outcome"]
    mean, share = np.full(len(y), y.mean()), np.full(len(y), treatment.mean())
    expected = {
        "uplift_at_k": uplift_at_k(psi, effect),
        "neg_dr_loss": -dr_loss(psi, effect).value,
        "neg_r_loss": -r_loss(
            y, effect, treatment=treatment, propensity=np.full(len(y), 0.5), outcome=mean
        ).value,
        "neg_r_loss_experiment": -r_loss(
            y, effect, treatment=treatment, propensity=share, outcome=mean
        ).value,
    }
    with segcate.routing():
        for name, value in expected.items():
            score = get_scorer(name)(model, X, y, **metadata[name])
            assert score == pytest.approx(value, rel=1e-12)
        at_tenth = make_uplift_scorer(uplift_at_k, k=0.1)
        score = at_tenth(model, X, y, pseudo_outcome=psi)
        assert score == pytest.approx(uplift_at_k(psi, effect, k=0.1))
        over = make_uplift_scorer(qini_score, normalize="ate")
        assert over(model, X, y, pseudo_outcome=psi) == pytest.approx(
            qini_score(psi, effect, normalize="ate")
        )


@pytest.mark.parametrize("name", ALL_NAMES)
def test_scorers_survive_pickle_and_copy(data, name):
    X, y, treatment = data
    with segcate.routing():
        model = make_pipeline(QuantileSegmenter(), SegmentDifference())
        model.fit(X, y, treatment=treatment)
        scorer, metadata = get_scorer(name), metadata_of(name, data)
        expected = scorer(model, X, y, **metadata)
        for other in (pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer)):
            assert other(model, X, y, **metadata) == expected
    assert "make_scorer" in repr(scorer)


def test_what_is_missing_is_named_with_both_ways_out(data):
    X, y, treatment = data
    with segcate.routing():
        model = make_pipeline(QuantileSegmenter(), SegmentDifference())
        model.fit(X, y, treatment=treatment)
        with pytest.raises(ValueError, match=r"needs `pseudo_outcome`.*effect_scores.*twin"):
            uplift_at_k_scorer(model, X, y, treatment=treatment)
        with pytest.raises(
            ValueError,
            match=r"needs `outcome_prediction`.*cross_val_predict.*neg_r_loss_experiment_scorer",
        ):
            neg_r_loss_scorer(model, X, y, treatment=treatment)
        with pytest.raises(ValueError, match=r"needs `treatment_prediction`, but none came"):
            neg_r_loss_scorer(model, X, y, treatment=treatment, outcome_prediction=y)
        for twin in (neg_r_loss_experiment_scorer, uplift_at_k_experiment_scorer):
            with pytest.raises(ValueError, match="needs `treatment`, but none came"):
                twin(model, X, y)
            with pytest.raises(ValueError, match="0 are treated, and both arms are needed"):
                twin(model, X, y, treatment=0 * treatment)
        with pytest.raises(ValueError, match=r"`propensity` must lie strictly inside \(0, 1\)"):
            neg_r_loss_scorer(
                model, X, y, treatment=treatment, outcome_prediction=y, treatment_prediction=0 * y
            )


def test_predictions_of_the_r_loss_do_not_reach_the_fit(data):
    # An estimator that asks for `propensity` must not be fitted on what a scorer is given.
    X, y, _ = data
    seen = []

    class Watching(SegmentDifference):
        def fit(self, X, y, *, treatment=None, propensity=None, **other):
            seen.append(propensity)
            return super().fit(X, y, treatment=treatment)

    model = make_pipeline(QuantileSegmenter(), Watching())
    with segcate.routing():
        cross_validate(
            model,
            X,
            y,
            scoring=neg_r_loss_scorer,
            cv=TreatmentStratifiedKFold(2),
            params=metadata_of("neg_r_loss", data),
            error_score="raise",
        )
    assert seen == [None, None]
