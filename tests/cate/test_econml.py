"""EconML's models through the adapter: the same numbers as by hand, on our contract."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import EconMLEstimator, predict_interval
from segcate.datasets import make_uplift
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from tests.helpers.other_libraries import import_econml

dml = import_econml("dml")
dr = import_econml("dr")
metalearners = import_econml("metalearners")
instruments = import_econml("iv.dml")

# A forest adds its trees' votes in the order in which threads finish: last bits differ from call to
# call, in EconML called by hand as well.
SUM_ORDER = 1e-12
LINE, LOGIT = LinearRegression(), LogisticRegression()
ARMS = {"discrete_treatment": True, "random_state": 0}


@pytest.fixture(scope="module")
def study():
    """Observational data as arrays."""
    data = make_uplift(600, design="observational", n_features=4, random_state=0)
    rng = np.random.default_rng(1)
    return {
        "X": data.X.to_numpy(),
        "y": data.y.to_numpy(),
        "treatment": data.treatment.to_numpy(),
        "arms": rng.integers(0, 3, 600),
        "dose": data.treatment.to_numpy() + rng.uniform(0, 1, 600),
        "new": rng.normal(size=(40, 4)),
    }


MODELS = {
    "LinearDML": lambda: dml.LinearDML(model_y=LINE, model_t=LOGIT, **ARMS),
    "CausalForestDML": lambda: dml.CausalForestDML(
        model_y=LINE, model_t=LOGIT, n_estimators=40, n_jobs=1, **ARMS
    ),
    "DRLearner": lambda: dr.DRLearner(
        model_regression=LINE, model_propensity=LOGIT, random_state=0
    ),
    "LinearDRLearner": lambda: dr.LinearDRLearner(
        model_regression=LINE, model_propensity=LOGIT, random_state=0
    ),
    "SLearner": lambda: metalearners.SLearner(overall_model=Ridge()),
    "TLearner": lambda: metalearners.TLearner(models=[Ridge(), Ridge(2.0)]),
    "XLearner": lambda: metalearners.XLearner(models=Ridge(), propensity_model=LOGIT),
}
WITH_INTERVALS = ["LinearDML", "CausalForestDML", "DRLearner", "LinearDRLearner"]


@pytest.mark.parametrize("name", list(MODELS))
def test_predictions_equal_the_model_called_by_hand(name, study):
    theirs = MODELS[name]()
    theirs.fit(study["y"], study["treatment"], X=study["X"])
    ours = EconMLEstimator(MODELS[name]())
    ours.fit(study["X"], study["y"], treatment=study["treatment"])
    by_hand = theirs.effect(study["new"])
    assert np.abs(ours.predict(study["new"]) - by_hand).max() < SUM_ORDER
    if name in WITH_INTERVALS:
        low, high = theirs.effect_interval(study["new"], alpha=0.1)
        found = ours.predict_interval(study["new"], confidence_level=0.9)
        assert np.abs(found - np.column_stack([low, high])).max() < SUM_ORDER


@pytest.mark.parametrize("name", ["LinearDML", "CausalForestDML", "DRLearner", "XLearner"])
def test_several_arms_have_a_column_each(name, study):
    theirs = MODELS[name]()
    theirs.fit(study["y"], study["arms"], X=study["X"])
    ours = EconMLEstimator(MODELS[name]()).fit(study["X"], study["y"], treatment=study["arms"])
    by_hand = [theirs.effect(study["new"], T0=0, T1=arm) for arm in (1, 2)]
    assert ours.arms_.tolist() == [1, 2]
    assert np.abs(ours.predict(study["new"]) - np.column_stack(by_hand)).max() < SUM_ORDER
    if name in WITH_INTERVALS:
        found = ours.predict_interval(study["new"])
        assert found.shape == (40, 2, 2)
        for arm in (1, 2):
            bounds = theirs.effect_interval(study["new"], T0=0, T1=arm, alpha=0.05)
            assert np.abs(found[:, arm - 1] - np.column_stack(bounds)).max() < 1e-9


def test_a_dose_has_the_effect_of_one_unit(study):
    make = lambda: dml.LinearDML(model_y=LINE, model_t=LINE, random_state=0)  # noqa: E731
    theirs = make()
    theirs.fit(study["y"], study["dose"], X=study["X"])
    ours = EconMLEstimator(make()).fit(study["X"], study["y"], treatment=study["dose"])
    assert ours.arms_.size == 0
    assert np.array_equal(ours.predict(study["new"]), theirs.effect(study["new"], T0=0, T1=1))
    assert ours.predict_interval(study["new"]).shape == (40, 2)


def test_weights_and_groups_reach_the_model(study):
    rng = np.random.default_rng(0)
    weight, groups = rng.integers(1, 4, 600).astype(float), np.arange(600) // 10
    theirs = MODELS["LinearDML"]()
    theirs.fit(study["y"], study["treatment"], X=study["X"], sample_weight=weight, groups=groups)
    ours = EconMLEstimator(MODELS["LinearDML"]())
    ours.fit(
        study["X"], study["y"], treatment=study["treatment"], sample_weight=weight, groups=groups
    )
    assert np.array_equal(ours.predict(study["new"]), theirs.effect(study["new"]))
    with pytest.raises(ValueError, match=r"given `groups`.*rows as independent.*Interaction"):
        ours.predict_interval(study["new"])


def test_intervals_need_inference_and_can_be_bootstrapped(study):
    plain = EconMLEstimator(MODELS["SLearner"]())
    plain.fit(study["X"], study["y"], treatment=study["treatment"])
    with pytest.raises(TypeError, match=r"SLearner was fitted without inference.*'bootstrap'"):
        plain.predict_interval(study["new"])
    inference = import_econml("inference")
    booted = EconMLEstimator(
        MODELS["TLearner"](), inference=inference.BootstrapInference(10, n_jobs=1)
    )
    booted.fit(study["X"], study["y"], treatment=study["treatment"])
    low, high = booted.predict_interval(study["new"]).T
    assert (low < high).all()
    with pytest.raises(ValueError, match=r"`confidence_level` must be a number in \(0, 1\)"):
        booted.predict_interval(study["new"], confidence_level=95)


def test_intervals_come_through_a_pipeline(study):
    pipe = make_pipeline(StandardScaler(), EconMLEstimator(MODELS["LinearDML"]()))
    with segcate.routing():
        pipe.fit(study["X"], study["y"], treatment=study["treatment"])
    found = predict_interval(pipe, study["new"], confidence_level=0.8)
    low, high = pipe[-1].model_.effect_interval(pipe[0].transform(study["new"]), alpha=0.2)
    assert np.abs(found - np.column_stack([low, high])).max() < SUM_ORDER


CHANGES = {
    "LinearDML": {"fit_cate_intercept": False, "cv": 3, "model_y": Ridge(50.0)},
    "CausalForestDML": {"n_estimators": 80, "min_samples_leaf": 30, "max_depth": 2, "cv": 3},
    "DRLearner": {"min_propensity": 0.4, "cv": 3, "model_regression": Ridge(50.0)},
    "LinearDRLearner": {"fit_cate_intercept": False, "min_propensity": 0.4},
    "SLearner": {"overall_model": Ridge(50.0)},
    "TLearner": {"models": Ridge(50.0)},
    "XLearner": {"models": Ridge(50.0), "propensity_model": LogisticRegression(C=1e-4)},
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_parameters_set_afterwards_act_like_those_of_the_constructor(name, study):
    """Theirs have no `set_params`; a parameter that stayed without effect would fail here."""
    changed = EconMLEstimator(MODELS[name]())
    changed.set_params(**{f"model__{k}": v for k, v in CHANGES[name].items()})
    kwargs = {**changed.get_params(), **{f"model__{k}": v for k, v in CHANGES[name].items()}}
    names = {k.removeprefix("model__") for k in kwargs if k.startswith("model__")}
    given = {k: kwargs[f"model__{k}"] for k in names if "__" not in k}
    built = EconMLEstimator(type(changed.model)(**given))
    plain = EconMLEstimator(MODELS[name]())
    found = [
        model.fit(study["X"], study["y"], treatment=study["treatment"]).predict(study["new"])
        for model in (changed, built, plain)
    ]
    assert np.abs(found[0] - found[1]).max() < SUM_ORDER
    assert np.abs(found[0] - found[2]).max() > 1e-6


def test_learners_inside_are_reached_also_in_lists():
    model = EconMLEstimator(MODELS["TLearner"]())
    assert model.get_params()["model__models__1__alpha"] == 2.0
    model.set_params(model__models__1__alpha=3.0)
    assert [learner.alpha for learner in model.model.models] == [1.0, 3.0]
    with pytest.raises(ValueError, match="`models` of TLearner is"):
        model.set_params(model__models__2__alpha=3.0)
    forest = EconMLEstimator(MODELS["CausalForestDML"]())
    assert forest.get_params()["model__model_t__C"] == 1.0


def test_clone_and_pickle(study):
    for name in ("CausalForestDML", "DRLearner", "TLearner"):
        model = EconMLEstimator(MODELS[name](), random_state=0)
        copy = clone(model)
        assert copy.model is not model.model
        assert str(copy.get_params(deep=False).keys()) == str(model.get_params(deep=False).keys())
        deep = {k: v for k, v in model.get_params().items() if isinstance(v, int | float | str)}
        assert {k: copy.get_params()[k] for k in deep} == deep
        model.fit(study["X"], study["y"], treatment=study["treatment"])
        assert not hasattr(model.model, "_d_y")
        stored = pickle.loads(pickle.dumps(model))
        assert np.abs(stored.predict(study["new"]) - model.predict(study["new"])).max() < SUM_ORDER
        again = copy.fit(study["X"], study["y"], treatment=study["treatment"])
        assert np.abs(again.predict(study["new"]) - model.predict(study["new"])).max() < SUM_ORDER


def test_seeds_that_are_none_are_filled_also_in_lists(study):
    trees = [RandomForestRegressor(n_estimators=3, n_jobs=1) for _ in range(2)]
    fitted = [
        EconMLEstimator(metalearners.TLearner(models=trees), random_state=seed).fit(
            study["X"], study["y"], treatment=study["treatment"]
        )
        for seed in (0, 0, 1)
    ]
    one, again, other = (model.predict(study["new"]) for model in fitted)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert trees[0].random_state is None


def test_grid_search_inside_a_pipeline(study):
    pipe = make_pipeline(StandardScaler(), EconMLEstimator(MODELS["TLearner"]()))
    grid = {"econmlestimator__model__models__0__alpha": [0.1, 300.0]}
    with segcate.routing():
        search = GridSearchCV(
            pipe, grid, scoring=qini_experiment_scorer, cv=TreatmentStratifiedKFold(3),
            error_score="raise",
        )  # fmt: skip
        search.fit(study["X"], study["y"], treatment=study["treatment"])
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    best = search.best_params_["econmlestimator__model__models__0__alpha"]
    assert search.best_estimator_[-1].model_.models[0].alpha == best


def test_gaps_go_only_into_models_that_were_told(study):
    trees = RandomForestRegressor(n_estimators=3, random_state=0, n_jobs=1)
    X = study["X"].copy()
    X[::5, 0] = np.nan
    told = EconMLEstimator(metalearners.TLearner(models=trees, allow_missing=True))
    with pytest.warns(UserWarning, match="X contains NaN"):
        told.fit(X, study["y"], treatment=study["treatment"])
    with pytest.warns(UserWarning, match="Input contains NaN"):
        assert np.isfinite(told.predict(X)).all()
    for make in (MODELS["TLearner"], MODELS["LinearDML"]):
        with pytest.raises(ValueError, match=r"contains NaN, in the columns x0 \(120\)"):
            EconMLEstimator(make()).fit(X, study["y"], treatment=study["treatment"])


def fitted_dml():
    model = MODELS["LinearDML"]()
    X = np.random.default_rng(0).normal(size=(40, 2))
    return model.fit(X[:, 0], np.arange(40) % 2, X=X)


BAD = {
    "class": (lambda: dml.LinearDML, {}, TypeError, r"got the class LinearDML.*\(\.\.\.\)\)"),
    "scikit-learn": (lambda: Ridge(), {}, TypeError, "must be an object of EconML"),
    "fitted": (fitted_dml, {}, ValueError, "LinearDML, was fitted before"),
    "instruments": (
        lambda: instruments.OrthoIV(), {}, TypeError, r"OrthoIV needs \['Z'\] in fit",
    ),
    "weights": (
        MODELS["TLearner"], {"sample_weight": np.arange(1.0, 61)},
        ValueError, "TLearner cannot weigh rows",
    ),
    "propensity": (
        MODELS["LinearDML"], {"propensity": np.full(60, 0.5)},
        ValueError, "LinearDML estimates it with its own `model_t`",
    ),
    "categories": (
        lambda: dr.DRLearner(categories=[1, 0]), {}, ValueError, r"categories=\[1, 0\]",
    ),
    "level": (lambda: None, {}, TypeError, "got None"),
    "arm-unseen": (
        MODELS["DRLearner"], {"treatment": np.arange(60) % 2 * 2},
        ValueError, r"every code from 0 to the largest; found \{0, 2\}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_told_what_to_do(name):
    make, given, kind, message = BAD[name]
    X = np.random.default_rng(0).normal(size=(60, 2))
    given = {"treatment": np.arange(60) % 2, **given}
    with pytest.raises(kind, match=message):
        EconMLEstimator(make()).fit(X, np.arange(60.0), **given)


def test_without_econml_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"not installed here.*pip install segcate\[econml\]"):
        EconMLEstimator(Ridge()).fit(np.eye(4), np.arange(4), treatment=[0, 1, 0, 1])
