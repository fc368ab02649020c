"""What is logged to MLflow, what is read back, and what its autolog makes of our estimators."""

from __future__ import annotations

import builtins
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import segcate
import segcate.mlflow
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.findings import collect_findings
from segcate.metrics import qini_experiment_scorer
from segcate.segmentation import KMeansSegmenter

mlflow = pytest.importorskip("mlflow", "3.9", reason="the extra `mlflow` is not installed")
pytest.importorskip("mlflow.sklearn")

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

users = make_segmented_users(400, n_segments=2, random_state=0)
SEGMENTS = {"kmeanssegmenter__n_clusters": [2, 3]}


def in_segments():
    return make_pipeline(KMeansSegmenter(2, random_state=0), SegmentMatching(on_empty="overall"))


def fit(model):
    with segcate.routing():
        return model.fit(users.X, users.y, treatment=users.treatment)


@pytest.fixture(scope="module")
def model():
    return fit(in_segments())


@pytest.fixture(scope="module")
def findings(model):
    return collect_findings(model, users.X, users.y, treatment=users.treatment)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Keep runs in files of their own; no server."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("effects")
    yield mlflow.MlflowClient()
    mlflow.sklearn.autolog(disable=True, silent=True)
    mlflow.set_tracking_uri(before)


def test_the_model_predicts_alike_when_it_is_loaded(model, findings):
    done = segcate.mlflow.log(findings, estimator=model, figures=False)
    expected = model.predict(users.X)
    back = mlflow.sklearn.load_model(done.model_uri)
    np.testing.assert_array_equal(back.predict(users.X), expected)
    pd.testing.assert_frame_equal(back[-1].effects_, model[-1].effects_)
    general = mlflow.pyfunc.load_model(done.model_uri)
    np.testing.assert_array_equal(general.predict(users.X), expected)


def test_the_model_carries_the_types_that_it_needs_and_no_others(model, findings):
    done = segcate.mlflow.log(findings, estimator=model, figures=False)
    flavor = mlflow.models.get_model_info(done.model_uri).flavors["sklearn"]
    assert flavor["serialization_format"] == "skops"
    assert "segcate.effects.SegmentMatching" in flavor["skops_trusted_types"]
    assert set(flavor["skops_trusted_types"]) < set(segcate.SKOPS_TRUSTED_TYPES)


def test_metrics_parameters_and_tags_are_those_of_the_analysis(model, findings, store):
    done = segcate.mlflow.log(findings, figures=False)
    run = store.get_run(done.run_id)
    overall, between = model[-1].overall_, model[-1].heterogeneity_
    assert run.data.metrics == dict(done.metrics)
    assert done.metrics["overall_effect"] == overall["effect"]
    assert done.metrics["overall_std_error"] == overall["std_error"]
    assert done.metrics["heterogeneity_q"] == between.q
    assert done.metrics["n_segments"] == 2
    worst = model[-1].balance_["smd_after"].abs().max()
    assert done.metrics["largest_smd_after"] == pytest.approx(worst, rel=1e-12)
    assert run.data.params["kmeanssegmenter__n_clusters"] == "2"
    assert run.data.tags["segcate.estimand"] == "att"
    assert run.data.tags["segcate.data_hash"] == findings.data_hash
    assert done.model_uri is None


def test_files_hold_the_card_the_pictures_and_the_tables(model, findings, store, tmp_path):
    pytest.importorskip("matplotlib")
    done = segcate.mlflow.log(findings)
    files = {file.path for file in store.list_artifacts(done.run_id, "segcate")}
    assert {"segcate/README.md", "segcate/effects.png", "segcate/balance.csv"} <= files
    place = mlflow.artifacts.download_artifacts(run_id=done.run_id, artifact_path="segcate")
    table = pd.read_csv(f"{place}/effects.csv")
    np.testing.assert_allclose(table["effect"], model[-1].effects_["effect"], rtol=1e-12)
    with open(f"{place}/findings.json", encoding="utf-8") as file:
        assert json.load(file)["overall"]["effect"] == findings.overall.effect


def test_an_active_run_is_used_and_stays_open(findings):
    with mlflow.start_run() as run:
        assert segcate.mlflow.log(findings, figures=False).run_id == run.info.run_id
        mlflow.log_metric("one_more", 1.0)
    assert mlflow.active_run() is None
    assert segcate.mlflow.log(findings, figures=False).run_id != run.info.run_id
    assert mlflow.active_run() is None


def test_a_search_is_logged_by_its_best_pipeline():
    search = fit(GridSearchCV(in_segments(), SEGMENTS, scoring=qini_experiment_scorer, cv=2))
    done = segcate.mlflow.log(search, users.X, users.y, treatment=users.treatment, figures=False)
    assert done.metrics["best_score"] == search.best_score_
    back = mlflow.sklearn.load_model(done.model_uri)
    np.testing.assert_array_equal(back.predict(users.X), search.predict(users.X))


def doubled(X):
    """Stand for a step of somebody's own."""
    return 2 * X


def test_types_that_are_not_trusted_are_named_before_anything_is_logged(store):
    model = fit(make_pipeline(FunctionTransformer(doubled), *in_segments()))
    given = {"treatment": users.treatment, "figures": False}
    with pytest.raises(TypeError, match=r"not trusted: .*doubled.*pass `trusted="):
        segcate.mlflow.log(model, users.X, users.y, **given)
    experiment = store.get_experiment_by_name("effects").experiment_id
    assert not store.search_runs([experiment])
    own = (f"{doubled.__module__}.doubled",)
    done = segcate.mlflow.log(model, users.X, users.y, trusted=own, **given)
    back = mlflow.sklearn.load_model(done.model_uri)
    np.testing.assert_array_equal(back.predict(users.X), model.predict(users.X))


def test_effect_estimators_are_no_regressors():
    assert not is_regressor(SegmentMatching())
    assert not is_regressor(in_segments())
    assert not is_classifier(SegmentMatching())


NONSENSE = ("r2", "error", "training_score", "accuracy")


@pytest.mark.parametrize("is_searched", [False, True])
def test_autolog_compares_no_effects_with_outcomes(is_searched, store):
    mlflow.sklearn.autolog(log_models=False, silent=True)
    search = GridSearchCV(in_segments(), SEGMENTS, scoring=qini_experiment_scorer, cv=2)
    with mlflow.start_run() as run:
        fit(search if is_searched else in_segments())
    logged = store.get_run(run.info.run_id).data
    assert logged.params  # autolog was at work
    assert not [name for name in logged.metrics if any(word in name for word in NONSENSE)]
    if is_searched:
        assert logged.metrics["best_cv_score"] == search.best_score_


def test_without_mlflow_the_error_names_the_extra(findings, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "mlflow":
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        with pytest.raises(ImportError, match=r"pip install segcate\[mlflow\]"):
            segcate.mlflow.log(findings)


def test_an_old_mlflow_is_told_to_be_updated(findings, monkeypatch):
    monkeypatch.delattr(mlflow.sklearn, "SERIALIZATION_FORMAT_SKOPS")
    with pytest.raises(ImportError, match=r"needs MLflow 3\.9 or later"):
        segcate.mlflow.log(findings)


def test_findings_and_rows_together_are_refused(findings):
    with pytest.raises(TypeError, match="with findings leave out X"):
        segcate.mlflow.log(findings, users.X)
    with pytest.raises(TypeError, match="y, treatment did not come"):
        segcate.mlflow.log(in_segments(), users.X)
