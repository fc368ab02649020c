"""What all estimators of segment effects promise, held for regression and AIPW as for matching."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeRegressor

import segcate
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.exceptions import EmptySegmentError, SegcateWarning
from segcate.matching import PropensityMatcher
from segcate.metrics import effect_scores, qini_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.plots import SegmentEffectDisplay
from segcate.segmentation import KMeansSegmenter, RuleSegmenter
from tests.helpers.small_studies import small_study

# Another order of the same sums.
RTOL = 1e-8
NUMBERS = ["effect", "std_error", "ci_low", "ci_high", "p_value", "shrunken_effect"]


def newton() -> LogisticRegression:
    """Return a logistic regression whose fit does not depend on where the optimiser stops."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-12)


def aipw(**options) -> SegmentAIPW:
    return SegmentAIPW(Ridge(), newton(), **{"random_state": 0, **options})


MODELS = {
    "regression": SegmentRegression(adjustment="linear"),
    "regression, att, sample": SegmentRegression(
        adjustment="linear", estimand="att", inference="sample"
    ),
    "regression, hc3": SegmentRegression(adjustment="linear", std_error="hc3"),
    "aipw": aipw(),
    "aipw, att": aipw(estimand="att"),
    "aipw, in segments": aipw(pool_nuisances=False),
    "aipw, att, in segments": aipw(pool_nuisances=False, estimand="att"),
}
IN_SEGMENTS = [name for name in MODELS if name != "aipw" and name != "aipw, att"]
REGRESSIONS = [name for name in MODELS if name.startswith("regression")]


@pytest.fixture(scope="module")
def data():
    return small_study(0, n=800, n_segments=4, share=0.4)


@pytest.fixture(scope="module")
def X(data):
    return data.X.drop(columns="cell")


def fit(name, X, y, treatment, **keywords):
    return clone(MODELS[name]).fit(X, y, treatment=treatment, **keywords)


def assert_same(found, expected, columns=NUMBERS, rtol=RTOL):
    found, expected = found.effects_, expected.effects_
    assert found["status"].tolist() == expected["status"].tolist()
    for column in columns:
        np.testing.assert_allclose(
            found[column], expected[column], rtol=rtol, atol=1e-12, err_msg=column
        )


# --- rows and containers --------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGRESSIONS)
def test_the_order_of_the_rows(data, X, name):
    order = np.random.default_rng(1).permutation(800)
    expected = fit(name, X, data.y, data.treatment)
    assert_same(fit(name, X.iloc[order], data.y[order], data.treatment[order]), expected)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_container(data, X, name):
    expected = fit(name, X, data.y, data.treatment)
    found = fit(name, pl.from_pandas(X), pl.Series(data.y), pl.Series(data.treatment))
    pd.testing.assert_frame_equal(found.effects_, expected.effects_, rtol=1e-12)
    np.testing.assert_allclose(found.predict(pl.from_pandas(X)), expected.predict(X), rtol=1e-12)
    array = clone(MODELS[name]).set_params(segment=-1)
    array.fit(X.to_numpy(), data.y.tolist(), treatment=data.treatment.tolist())
    pd.testing.assert_frame_equal(array.effects_, expected.effects_, rtol=1e-12)
    np.testing.assert_allclose(array.predict(X.to_numpy()), expected.predict(X), rtol=1e-12)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_names_of_the_rows(data, X, name):
    expected = fit(name, X, data.y, data.treatment)
    named = X.set_axis(pd.Index([f"user {i}" for i in range(800)]))
    y, t = (pd.Series(values, index=named.index) for values in (data.y, data.treatment))
    pd.testing.assert_frame_equal(fit(name, named, y, t).effects_, expected.effects_)
    with pytest.raises(ValueError, match="index of `treatment` differs"):
        fit(name, named, y, t.iloc[::-1])


@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.parametrize("kind", ["category", "string", object])
def test_strings_and_categories(name, kind):
    study = small_study(3, n=700, n_cells=4, n_segments=2)
    found = fit(name, study.X.astype({"cell": kind}), study.y, study.treatment)
    encoded = pd.get_dummies(study.X, columns=["cell"], drop_first=True, dtype=float)
    assert_same(found, fit(name, encoded, study.y, study.treatment))


# --- segments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_relabelling_the_segments(data, X, name):
    """Names in the same order keep the folds; in another order the folds move with them."""
    expected = fit(name, X, data.y, data.treatment).effects_
    names = np.array(["a", "b", "c", "d"])
    found = fit(name, X.assign(segment=names[data.segment]), data.y, data.treatment).effects_
    assert found.index.tolist() == names.tolist()
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.reset_index(drop=True), rtol=1e-12
    )


@pytest.mark.parametrize("name", IN_SEGMENTS)
def test_relabelling_in_another_order(data, X, name):
    expected = fit(name, X, data.y, data.treatment).effects_
    names = np.array(["north", "east", "west", "south"])
    found = fit(name, X.assign(segment=names[data.segment]), data.y, data.treatment).effects_
    for column in ("effect", "std_error"):
        np.testing.assert_allclose(found.loc[names, column], expected[column], rtol=RTOL)


@pytest.mark.parametrize("name", IN_SEGMENTS)
def test_filtering_to_a_segment_gives_its_row(data, X, name):
    whole = fit(name, X, data.y, data.treatment).effects_
    columns = ["status", "n", "n_matched", "effect", "std_error", "ci_low", "ci_high"]
    for segment in range(4):
        rows = data.segment == segment
        alone = fit(name, X[rows], data.y[rows], data.treatment[rows]).effects_
        pd.testing.assert_frame_equal(alone[columns], whole.loc[[segment], columns], rtol=1e-12)


def test_filtering_gives_the_row_with_the_default_models(data, X):
    model = SegmentAIPW(None, pool_nuisances=False, cv=2, random_state=0)
    rows = data.segment != 1
    whole = model.fit(X[rows], data.y[rows], treatment=data.treatment[rows]).effects_
    rows = data.segment == 3
    alone = model.fit(X[rows], data.y[rows], treatment=data.treatment[rows]).effects_
    pd.testing.assert_frame_equal(
        alone[["effect", "std_error"]], whole.loc[[3], ["effect", "std_error"]], rtol=1e-12
    )


@pytest.mark.parametrize("name", list(MODELS))
def test_one_segment_is_none(data, X, name):
    named = fit(name, X.assign(segment="all"), data.y, data.treatment)
    none = clone(MODELS[name]).set_params(segment=None)
    none.fit(X.drop(columns="segment"), data.y, treatment=data.treatment)
    pd.testing.assert_frame_equal(named.effects_, none.effects_)
    np.testing.assert_allclose(none.overall_["effect"], none.effects_["effect"], rtol=1e-12)
    np.testing.assert_allclose(none.overall_["std_error"], none.effects_["std_error"], rtol=1e-12)


@pytest.mark.parametrize("name", list(MODELS))
def test_predictions_are_the_effects_of_the_segments(data, X, name):
    model = fit(name, X, data.y, data.treatment)
    found = model.predict(X)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, model.effects_["effect"].to_numpy()[data.segment])
    with pytest.raises(EmptySegmentError, match="segments 9 were not seen in fit"):
        model.predict(X.assign(segment=9))
    model.set_params(on_empty="overall")
    with pytest.warns(SegcateWarning, match=f"{len(X)} of {len(X)} rows get everyone's effect"):
        np.testing.assert_allclose(model.predict(X.assign(segment=9)), model.overall_["effect"])
    with pytest.raises(NotFittedError):
        clone(model).predict(X)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("arm", [0, 1])
def test_an_empty_arm(data, X, name, arm):
    t = np.where(data.segment == 2, arm, data.treatment)
    word = ("treated", "control")[arm]
    with pytest.raises(EmptySegmentError, match=rf"1 of 4 .* segment 2: no {word} rows"):
        fit(name, X, data.y, t)
    model = clone(MODELS[name]).set_params(on_empty="nan").fit(X, data.y, treatment=t)
    assert model.effects_["effect"].isna().tolist() == [False, False, True, False]
    assert np.isnan(model.predict(X)[data.segment == 2]).all()


# --- outcomes and arms ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_a_shift_of_the_outcome_changes_nothing(data, X, name):
    expected = fit(name, X, data.y, data.treatment)
    assert_same(fit(name, X, data.y + 1000.0, data.treatment), expected, rtol=1e-7)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("factor", [3.0, -0.01])
def test_a_factor_of_the_outcome(data, X, name, factor):
    expected = fit(name, X, data.y, data.treatment).effects_
    found = fit(name, X, factor * data.y, data.treatment).effects_
    np.testing.assert_allclose(found["effect"], factor * expected["effect"], rtol=RTOL)
    np.testing.assert_allclose(found["std_error"], abs(factor) * expected["std_error"], rtol=RTOL)


@pytest.mark.parametrize("name", ["regression", "regression, hc3"])
def test_swapped_arms_change_the_sign(data, X, name):
    one = fit(name, X, data.y, data.treatment).effects_
    two = fit(name, X, data.y, 1 - data.treatment).effects_
    np.testing.assert_allclose(one["effect"], -two["effect"], rtol=RTOL)
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=RTOL)


@pytest.mark.parametrize("pool_nuisances", [True, False])
def test_swapped_arms_change_the_sign_of_aipw(data, X, pool_nuisances):
    """On folds of the user's own, as dealt folds start with the controls."""
    parts = np.array_split(np.random.default_rng(0).permutation(800), 5)
    splits = [(np.setdiff1d(np.arange(800), part), part) for part in parts]
    model = aipw(cv=splits, pool_nuisances=pool_nuisances)
    one = model.fit(X, data.y, treatment=data.treatment).effects_
    two = model.fit(X, data.y, treatment=1 - data.treatment).effects_
    np.testing.assert_allclose(one["effect"], -two["effect"], rtol=RTOL)
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=RTOL)


def test_the_atc_is_the_att_of_the_swapped_arms(data, X):
    atc = SegmentRegression(estimand="atc").fit(X, data.y, treatment=data.treatment).effects_
    att = SegmentRegression(estimand="att").fit(X, data.y, treatment=1 - data.treatment).effects_
    np.testing.assert_allclose(atc["effect"], -att["effect"], rtol=RTOL)
    np.testing.assert_allclose(atc["std_error"], att["std_error"], rtol=RTOL)


@pytest.mark.parametrize("name", list(MODELS))
def test_an_outcome_without_variation(data, X, name):
    row = fit(name, X, np.full(800, 3.0), data.treatment).effects_
    np.testing.assert_allclose(row["effect"], 0.0, atol=1e-12)
    assert row["std_error"].isna().all()
    assert (row["status"] == "ok: no standard error (its variance estimate is not positive)").all()


@pytest.mark.parametrize("name", list(MODELS))
def test_rare_events_are_named(data, X, name):
    y = np.zeros(800)
    y[np.flatnonzero(data.treatment == 1)[:40]] = 1.0
    y[np.flatnonzero((data.treatment == 0) & (data.segment == 0))[:20]] = 1.0
    status = fit(name, X, y, data.treatment).effects_["status"]
    assert "fewer than 5 events in an arm" in status.loc[1]
    assert "events" not in status.loc[0]


# --- weights and groups ---------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ate", "att", "atc"])
def test_weights_count_as_repeated_rows(estimand):
    study = small_study(5, n=500, n_segments=2)
    X = study.X.drop(columns="cell")
    source = np.repeat(np.arange(500), study.weight.astype(int))
    model = SegmentRegression(estimand=estimand)
    weighted = model.fit(X, study.y, treatment=study.treatment, sample_weight=study.weight)
    weighted = weighted.effects_["effect"]
    repeated = model.fit(X.iloc[source], study.y[source], treatment=study.treatment[source])
    np.testing.assert_allclose(weighted, repeated.effects_["effect"], rtol=1e-9)


@pytest.mark.parametrize("name", list(MODELS))
def test_weights_of_one_are_no_weights(data, X, name):
    expected = fit(name, X, data.y, data.treatment)
    found = fit(name, X, data.y, data.treatment, sample_weight=np.ones(800))
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_unit_of_the_weights_does_not_matter(data, X, name):
    """Ridge and logistic regression have penalties of their own unit, so none is used here."""
    weight = data.weight + 0.5
    keywords = {"propensity": data.score} if name.startswith("aipw") else {}
    options = {"outcome_model__alpha": 1e-10} if name.startswith("aipw") else {}
    model = clone(MODELS[name]).set_params(**options)
    one = model.fit(X, data.y, treatment=data.treatment, sample_weight=weight, **keywords)
    one = one.effects_
    ten = model.fit(X, data.y, treatment=data.treatment, sample_weight=10 * weight, **keywords)
    for column in ("effect", "std_error", "ci_low"):
        np.testing.assert_allclose(ten.effects_[column], one[column], rtol=1e-7)


@pytest.mark.parametrize("name", list(MODELS))
def test_rows_of_weight_zero_might_as_well_be_absent(data, X, name):
    weight = np.where(np.arange(800) % 5 == 0, 0.0, 2.0)
    kept = weight > 0
    found = fit(name, X, data.y, data.treatment, sample_weight=weight)
    rest = fit(name, X[kept], data.y[kept], data.treatment[kept], sample_weight=weight[kept])
    for column in ("effect", "std_error", "n_matched"):
        np.testing.assert_allclose(found.effects_[column], rest.effects_[column], rtol=RTOL)


@pytest.mark.parametrize("name", ["regression", "aipw", "aipw, att", "aipw, in segments"])
def test_rows_that_repeat_within_groups_do_not_narrow_the_interval(name):
    """Each row three times, as one group: the standard error of the rows once, nearly."""
    study = small_study(6, n=400, n_segments=2)
    X = study.X.drop(columns="cell")
    once = fit(name, X, study.y, study.treatment).effects_["std_error"]
    at = np.repeat(np.arange(400), 3)
    arguments = (X.iloc[at], study.y[at], study.treatment[at])
    thrice = fit(name, *arguments, groups=at).effects_["std_error"]
    np.testing.assert_allclose(thrice, once, rtol=0.08)
    assert (fit(name, *arguments).effects_["std_error"] < 0.7 * once).all()


@pytest.mark.parametrize("name", ["regression", "aipw", "aipw, att"])
def test_segments_that_share_groups_have_covariances(name):
    study = small_study(7, n=600, n_segments=3, n_groups=40)
    X = study.X.drop(columns="cell")
    shared = np.random.default_rng(0).normal(size=40)[study.groups]
    y = study.y + 3 * shared * study.treatment
    model = fit(name, X, y, study.treatment, groups=study.groups)
    assert model._table.shares_groups
    assert (model._table.covariance[np.triu_indices(3, 1)] > 0).all()
    assert model.std_error_method_ == "group"
    differences = model.contrasts().table["std_error"]
    alone = np.sqrt(model.effects_["std_error"][0] ** 2 + model.effects_["std_error"][1] ** 2)
    assert differences.iloc[0] < alone


# --- workers and storage --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["regression", "aipw", "aipw, in segments"])
def test_n_jobs(data, X, name, backend):
    expected = fit(name, X, data.y, data.treatment)
    with joblib.parallel_config(backend):
        model = clone(MODELS[name]).set_params(n_jobs=2)
        found = model.fit(X, data.y, treatment=data.treatment)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


@pytest.mark.parametrize("name", ["regression", "aipw", "aipw, att, in segments"])
def test_stored_and_read_again(name):
    users = make_segmented_users(600, n_segments=2, random_state=0)
    pipe = make_pipeline(KMeansSegmenter(2, n_init=1, random_state=0), clone(MODELS[name]))
    with segcate.routing():
        pipe.fit(users.X, users.y, treatment=users.treatment)
    again = [pickle.loads(pickle.dumps(pipe))]
    skops_io = pytest.importorskip("skops.io")
    stored = skops_io.dumps(pipe)
    assert set(skops_io.get_untrusted_types(data=stored)) <= set(segcate.SKOPS_TRUSTED_TYPES)
    again.append(skops_io.loads(stored, trusted=segcate.SKOPS_TRUSTED_TYPES))
    for other in again:
        np.testing.assert_array_equal(pipe.predict(users.X), other.predict(users.X))
        pd.testing.assert_frame_equal(pipe[-1].effects_, other[-1].effects_)
        assert pipe[-1].summary() == other[-1].summary()
    for value in vars(pipe[-1]).values():
        assert not isinstance(value, pd.DataFrame | pd.Series | pd.Index)


@pytest.mark.parametrize("name", list(MODELS))
def test_tables_agree_with_each_other(data, X, name):
    model = fit(name, X, data.y, data.treatment)
    table = model.effects_
    expected = SegmentMatching().fit(X, data.y, treatment=data.treatment).effects_
    assert table.columns.tolist() == expected.columns.tolist()
    assert table.index.equals(expected.index)
    np.testing.assert_array_equal(table["n"], np.bincount(data.segment))
    averaged = "n_treated" if "att" in name else "n"
    np.testing.assert_array_equal(table["n_matched"], table[averaged])
    np.testing.assert_allclose(
        model.overall_["effect"], np.average(table["effect"], weights=table["n_matched"])
    )
    assert model.heterogeneity_.n_segments == 4
    assert len(model.contrasts().table) == 6
    for text in (str(table["n_treated"].iloc[0]), "Heterogeneity   Q = ", "Standard error  "):
        assert text in model.summary()


def test_the_forest_plot_takes_every_estimator(data, X):
    pytest.importorskip("matplotlib").use("agg")
    for name in ("regression", "aipw"):
        display = SegmentEffectDisplay.from_estimator(fit(name, X, data.y, data.treatment))
        assert display.figure_ is not None
        display.figure_.clear()


# --- one search -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(900, n_segments=2, effects=[0, 2], confounding=0.3, random_state=1)


@pytest.fixture(scope="module")
def psi(users):
    return effect_scores(
        users.X, users.y, treatment=users.treatment, outcome_model=Ridge(),
        propensity_model=newton(), random_state=0,
    )  # fmt: skip


def test_one_search_over_all_estimators(users, psi):
    """Matching, regression and AIPW as steps of one grid, with parameters of their models."""
    pipe = Pipeline([("segment", RuleSegmenter({"north": "x0 < 3.5"})), ("effect", aipw())])
    grid = [
        {"effect": [SegmentMatching(PropensityMatcher()), SegmentRegression(), aipw(cv=2)]},
        {
            "effect": [aipw(cv=2)],
            "effect__outcome_model": [Ridge(), DecisionTreeRegressor(max_depth=3)],
            "effect__propensity_model__C": [0.01, 1.0],
        },
        {"effect": [aipw(cv=2)], "effect__outcome_model__alpha": [1.0, 1e6]},
    ]
    search = GridSearchCV(pipe, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(3))
    with segcate.routing():
        search.fit(users.X, users.y, treatment=users.treatment, pseudo_outcome=psi)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 9
    assert np.isfinite(scores).all()
    assert (scores > 0.1).all()
    effects = search.best_estimator_[-1].effects_["effect"]
    assert effects.max() - effects.min() > 1


def test_without_routing_the_error_explains(data, X):
    for name in ("regression", "aipw"):
        with (
            segcate.routing(False),
            pytest.raises(ValueError, match=r"needs `treatment`.*segcate\.routing"),
        ):
            clone(MODELS[name]).fit(X, data.y)
