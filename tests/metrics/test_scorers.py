"""Scorers inside searches and cross-validation, with metadata routing on and off."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

import segcate
from segcate.metrics import (
    autoc_experiment_scorer,
    autoc_score,
    autoc_scorer,
    effect_scores,
    get_scorer,
    make_uplift_scorer,
    qini_experiment_scorer,
    qini_score,
    qini_scorer,
)
from segcate.model_selection import TreatmentStratifiedKFold
from tests.helpers.tiny_effects import QuantileSegmenter, SegmentDifference, experiment

NAMES = ("qini", "autoc", "qini_experiment", "autoc_experiment")
GRID = {"quantilesegmenter__column": [1, 0], "quantilesegmenter__n_bins": [2, 4]}


def pipeline(**options):
    return make_pipeline(QuantileSegmenter(), SegmentDifference(**options))


def search(scoring, **options):
    options = {"error_score": "raise", **options}
    return GridSearchCV(
        pipeline(), GRID, scoring=scoring, cv=TreatmentStratifiedKFold(3), **options
    )


@pytest.fixture(scope="module")
def data():
    return experiment()


@pytest.fixture(scope="module")
def psi(data):
    _, y, treatment = data
    return effect_scores(None, y, treatment=treatment, design="experiment")


def mean_of_positive(pseudo_outcome, prediction, *, sample_weight=None, above=0.0):
    return float(np.average(pseudo_outcome * (prediction > above), weights=sample_weight))


@pytest.mark.parametrize("name", ["qini", "autoc"])
def test_a_search_finds_the_segments_that_differ(data, psi, name):
    X, y, treatment = data
    with segcate.routing():
        fitted = search(get_scorer(name)).fit(X, y, treatment=treatment, pseudo_outcome=psi)
    assert fitted.best_params_["quantilesegmenter__column"] == 0
    assert np.isfinite(fitted.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("name", ["qini_experiment", "autoc_experiment"])
def test_an_experiment_needs_the_treatment_alone(data, name):
    X, y, treatment = data
    with segcate.routing():
        fitted = search(get_scorer(name)).fit(X, y, treatment=treatment)
    assert fitted.best_params_["quantilesegmenter__column"] == 0


def test_scores_of_folds_are_those_of_the_function(data, psi):
    X, y, treatment = data
    weight = np.random.default_rng(1).integers(1, 4, len(y))
    cv = TreatmentStratifiedKFold(4)
    params = {"treatment": treatment, "pseudo_outcome": psi, "sample_weight": weight}
    with segcate.routing():
        scores = cross_val_score(pipeline(), X, y, scoring=qini_scorer, cv=cv, params=params)
        parts = list(cv.split(X, y, treatment=treatment))
        for score, (train, test) in zip(scores, parts, strict=True):
            model = pipeline().fit(
                X[train], y[train], treatment=treatment[train], sample_weight=weight[train]
            )
            expected = qini_score(psi[test], model.predict(X[test]), sample_weight=weight[test])
            assert score == pytest.approx(expected, rel=1e-12)


def test_an_experiment_is_centred_within_the_fold(data):
    X, y, treatment = data
    cv = TreatmentStratifiedKFold(4)
    with segcate.routing():
        scores = cross_val_score(
            pipeline(),
            X,
            y,
            scoring=qini_experiment_scorer,
            cv=cv,
            params={"treatment": treatment},
        )
        for score, (train, test) in zip(scores, cv.split(X, y, treatment=treatment), strict=True):
            model = pipeline().fit(X[train], y[train], treatment=treatment[train])
            expected = qini_score(
                y[test], model.predict(X[test]), treatment=treatment[test], design="experiment"
            )
            assert score == pytest.approx(expected, rel=1e-12)


def test_frames_and_series_travel_together():
    X, y, treatment = experiment(as_frame=True)
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    plain = experiment()
    with segcate.routing():
        framed = search(qini_scorer).fit(
            X, y, treatment=treatment, pseudo_outcome=type(y)(psi, index=y.index)
        )
        arrays = search(qini_scorer).fit(*plain[:2], treatment=plain[2], pseudo_outcome=psi)
    np.testing.assert_allclose(
        framed.cv_results_["mean_test_score"], arrays.cv_results_["mean_test_score"], rtol=1e-12
    )


def test_several_metrics_at_once(data, psi):
    X, y, treatment = data
    metrics = {name: get_scorer(name) for name in NAMES}
    with segcate.routing():
        results = cross_validate(
            pipeline(),
            X,
            y,
            scoring={**metrics, "mse": "neg_mean_squared_error"},
            cv=TreatmentStratifiedKFold(3),
            params={"treatment": treatment, "pseudo_outcome": psi},
            error_score="raise",
        )
        fitted = search(metrics, refit="autoc").fit(X, y, treatment=treatment, pseudo_outcome=psi)
    assert all(np.isfinite(results[f"test_{name}"]).all() for name in NAMES)
    assert fitted.best_params_["quantilesegmenter__column"] == 0


def test_two_processes_score_as_one(data, psi):
    X, y, treatment = data
    with segcate.routing():
        one, two = (
            search(qini_scorer, n_jobs=n_jobs).fit(X, y, treatment=treatment, pseudo_outcome=psi)
            for n_jobs in (None, 2)
        )
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


def test_random_and_nested_searches(data, psi):
    X, y, treatment = data
    with segcate.routing():
        inner = RandomizedSearchCV(
            pipeline(),
            GRID,
            n_iter=2,
            scoring=qini_scorer,
            cv=TreatmentStratifiedKFold(2),
            random_state=0,
            error_score="raise",
        )
        scores = cross_val_score(
            inner,
            X,
            y,
            scoring=autoc_scorer,
            cv=TreatmentStratifiedKFold(2),
            params={"treatment": treatment, "pseudo_outcome": psi},
            error_score="raise",
        )
    assert np.isfinite(scores).all()


def test_without_a_scorer_the_estimator_scores_by_qini(data, psi):
    # On an estimator alone: scikit-learn 1.6 does not route a Pipeline's own score in a search.
    X, y, treatment = data
    X = np.column_stack([X, X[:, 0] > 0])
    with segcate.routing():
        own, given = (
            GridSearchCV(
                SegmentDifference(),
                {"shrink": [0.0, 0.5]},
                scoring=scoring,
                cv=TreatmentStratifiedKFold(3),
                error_score="raise",
            ).fit(X, y, treatment=treatment, pseudo_outcome=psi)
            for scoring in (None, qini_scorer)
        )
    np.testing.assert_allclose(
        own.cv_results_["mean_test_score"], given.cv_results_["mean_test_score"], rtol=1e-12
    )


def test_missing_pseudo_outcome_names_the_two_ways_out(data):
    X, y, treatment = data
    with (
        segcate.routing(),
        pytest.raises(ValueError, match=r"effect_scores.*qini_experiment_scorer") as error,
    ):
        search(qini_scorer).fit(X, y, treatment=treatment)
    assert "needs `pseudo_outcome`" in str(error.value)


def test_missing_treatment_is_named(data):
    X, y, treatment = data
    with segcate.routing():
        model = pipeline().fit(X, y, treatment=treatment)
        with pytest.raises(ValueError, match="needs `treatment`, but none came"):
            qini_experiment_scorer(model, X, y)
        assert qini_experiment_scorer(model, X, y, treatment=treatment) > 0


def test_routing_off_stops_a_search_before_it_picks_its_first_candidate(data):
    X, y, treatment = data
    for scorer in (qini_scorer, qini_experiment_scorer):
        quiet = search(scorer, error_score=np.nan)
        with pytest.raises(
            ValueError, match=r"TreatmentStratifiedKFold needs `treatment`"
        ) as error:
            quiet.fit(X, y, treatment=treatment)
        assert "sklearn.set_config(enable_metadata_routing=True)" in str(error.value)
        assert not hasattr(quiet, "best_params_")


def test_a_fold_with_one_arm_is_named(data):
    X, y, _ = data
    treatment = np.arange(len(y)) < len(y) // 2
    with segcate.routing(), pytest.raises(ValueError, match=r"0 are treated.*StratifiedKFold"):
        cross_val_score(
            SegmentDifference(),
            np.column_stack([X, np.arange(len(y)) % 2]),
            y,
            scoring=qini_experiment_scorer,
            cv=[(np.arange(len(y)), np.flatnonzero(~treatment))],
            params={"treatment": treatment},
            error_score="raise",
        )


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_an_effect_are_never_ranked(data, psi, name):
    X, y, treatment = data
    labelled = np.column_stack([X, np.arange(len(y)) % 3])
    model = SegmentDifference(gaps=np.nan)
    kept = labelled[:, -1] < 2
    model.fit(labelled[kept], y[kept], treatment=treatment[kept])
    metadata = {"treatment": treatment}
    if "experiment" not in name:
        metadata["pseudo_outcome"] = psi
    with (
        segcate.routing(),
        pytest.raises(ValueError, match=r"`prediction` is NaN.*on_empty='overall'"),
    ):
        get_scorer(name)(model, labelled, y, **metadata)


def test_a_candidate_without_effects_loses_and_the_rest_go_on(data, psi):
    X, y, treatment = data
    parts = make_pipeline(QuantileSegmenter(), SegmentDifference())
    grid = {"segmentdifference__shrink": [np.nan, 0.0]}
    tolerant = GridSearchCV(parts, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(2))
    with segcate.routing(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tolerant.fit(X, y, treatment=treatment, pseudo_outcome=psi)
    assert tolerant.best_params_ == {"segmentdifference__shrink": 0.0}
    assert any("`prediction` is NaN" in str(warning.message) for warning in caught)


def test_a_pseudo_outcome_of_other_rows_is_named(data, psi):
    X, y, treatment = data
    with segcate.routing():
        model = pipeline().fit(X, y, treatment=treatment)
        with pytest.raises(ValueError, match="`pseudo_outcome` has 399 values for 400 rows"):
            qini_scorer(model, X, y, pseudo_outcome=psi[1:])
        with pytest.raises(ValueError, match="`pseudo_outcome` is NaN or infinite in 400"):
            qini_scorer(model, X, y, pseudo_outcome=psi * np.nan)
        with pytest.raises(ValueError, match="`treatment` must hold only 0 and 1"):
            qini_scorer(model, X, y, pseudo_outcome=psi, treatment=treatment + 1)


@pytest.mark.parametrize("name", NAMES)
def test_scorers_survive_pickle_copy_and_repr(data, psi, name):
    X, y, treatment = data
    scorer = get_scorer(name)
    metadata = {"treatment": treatment}
    if "experiment" not in name:
        metadata["pseudo_outcome"] = psi
    with segcate.routing():
        model = pipeline().fit(X, y, treatment=treatment)
        expected = scorer(model, X, y, **metadata)
        for other in (pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer)):
            assert other(model, X, y, **metadata) == expected
    assert "make_scorer" in repr(scorer)
    clone(search(scorer))


def test_a_scorer_by_name_is_a_copy():
    assert get_scorer("qini") is not qini_scorer
    with pytest.raises(ValueError, match=r"no scorer 'auuc'.*autoc_experiment"):
        get_scorer("auuc")
    with pytest.raises(ValueError, match="no scorer 3"):
        get_scorer(3)


def test_a_metric_of_ones_own(data, psi):
    X, y, treatment = data
    weight = np.random.default_rng(2).random(len(y))
    scorer = make_uplift_scorer(mean_of_positive, above=0.5)
    twin = make_uplift_scorer(mean_of_positive, design="experiment", above=0.5)
    loss = make_uplift_scorer(mean_of_positive, greater_is_better=False)
    with segcate.routing():
        model = pipeline().fit(X, y, treatment=treatment)
        prediction = model.predict(X)
        assert scorer(model, X, y, pseudo_outcome=psi) == mean_of_positive(
            psi, prediction, above=0.5
        )
        weighted = mean_of_positive(psi, prediction, sample_weight=weight, above=0.5)
        assert scorer(model, X, y, pseudo_outcome=psi, sample_weight=weight) == pytest.approx(
            weighted, rel=1e-14
        )  # it gets weights of mean 1
        assert twin(model, X, y, treatment=treatment) == pytest.approx(
            mean_of_positive(psi, prediction, above=0.5), rel=1e-12
        )
        assert loss(model, X, y, pseudo_outcome=psi) == -mean_of_positive(psi, prediction)
    assert pickle.loads(pickle.dumps(scorer)) is not None


def test_make_uplift_scorer_checks_its_arguments():
    with pytest.raises(TypeError, match="`func` must be callable"):
        make_uplift_scorer("qini")
    with pytest.raises(ValueError, match="`design` must be one of"):
        make_uplift_scorer(autoc_score, design="rct")


def test_importing_scorers_leaves_the_users_configuration_alone():
    import sklearn

    assert sklearn.get_config()["enable_metadata_routing"] is False
    with segcate.routing():
        scores = cross_val_score(
            pipeline(),
            *experiment()[:2],
            scoring=autoc_experiment_scorer,
            cv=KFold(2, shuffle=True, random_state=0),
            params={"treatment": experiment()[2]},
        )
    assert np.isfinite(scores).all()
    assert sklearn.get_config()["enable_metadata_routing"] is False
