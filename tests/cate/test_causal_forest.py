"""CausalForest: what it adjusts for, what must not change its answer, and what it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import CausalForest, predict_interval
from segcate.datasets import make_uplift
from segcate.effects import SegmentMatching
from segcate.exceptions import OverlapError, SegcateWarning
from segcate.metrics import qini_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from segcate.segmentation import KMeansSegmenter

# A regression on y + c and one on y differ by rounding, and so do the leaves' means.
ROUNDING = 1e-9

LINES = {"outcome_model": LinearRegression(), "propensity_model": LogisticRegression()}


def small(n_estimators=40, **parameters):
    options = {"bag_size": 4, "cv": 2, "random_state": 0} | LINES | parameters
    return CausalForest(n_estimators, **options)


@pytest.fixture(scope="module")
def study():
    return make_uplift(800, design="observational", n_features=4, random_state=0)


@pytest.fixture(scope="module")
def fitted(study):
    return small().fit(study.X, study.y, treatment=study.treatment)


def confounded(n, seed):
    """Draw rows whose difference in means is 1.82 where the effect is 1 on average."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    treatment = (rng.random(n) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    effect = 1 + 0.5 * X[:, 1]
    return X, X[:, 0] + effect * treatment + rng.normal(size=n), treatment, effect


# --- what it is for -------------------------------------------------------------------------------


def with_rare_level(n, share, seed):
    """Draw an experiment in groups of ten whose effect is 2 at one rare level and 0 elsewhere."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"age": rng.normal(size=n), "plan": np.where(rng.random(n) < share, "vip", "a")}
    )
    treatment, is_vip = rng.integers(0, 2, n), (X["plan"] == "vip").to_numpy()
    y = X["age"].to_numpy() + 2.0 * is_vip * treatment + rng.normal(size=n)
    return X, y, treatment, is_vip


@pytest.mark.parametrize("by_weight", [False, True])
def test_a_level_of_few_rows_or_little_weight_keeps_its_effect(by_weight):
    # 6 % of the rows, or 20 % of them with 6 % of the weight: less than `min_balance` of either.
    X, y, treatment, is_vip = with_rare_level(4000, 0.2 if by_weight else 0.06, 0)
    weight = np.where(is_vip, 0.25, 1.0) if by_weight else None
    forest = CausalForest(100, trend=None, shrink=False, cv=2, random_state=0).fit(
        X, y, treatment=treatment, sample_weight=weight, propensity=np.full(4000, 0.5)
    )
    effect = forest.predict(X)
    # Standard errors are about .15 and .08.
    assert abs(effect[is_vip].mean() - 2.0) < 0.5
    assert abs(effect[~is_vip].mean()) < 0.2


def test_confounding_is_adjusted_for_and_would_show_without_centring():
    """True effect 1, difference in means 1.82: a forest that does not centre comes out near it."""
    X, y, treatment, effect = confounded(3000, 0)
    naive = y[treatment == 1].mean() - y[treatment == 0].mean()
    assert naive == pytest.approx(1.82, abs=0.1)
    found = small(100).fit(X, y, treatment=treatment).predict(X)
    assert found.mean() == pytest.approx(effect.mean(), abs=0.08)
    assert np.corrcoef(found, effect)[0, 1] > 0.85
    nothing = {"outcome_model": DummyRegressor(), "propensity_model": DummyClassifier()}
    without = small(100, max_depth=1, **nothing).fit(X, y, treatment=treatment).predict(X)
    assert without.mean() > 1.5


def test_a_step_is_found_and_importance_names_its_column():
    data = make_uplift(3000, effect_shape="step", n_features=5, random_state=1)
    forest = small(100).fit(data.X, data.y, treatment=data.treatment)
    new = make_uplift(500, effect_shape="step", n_features=5, random_state=2)
    error = np.sqrt(np.mean((forest.predict(new.X) - new.effect) ** 2))
    assert error < 0.6 * new.effect.std()
    assert set(np.argsort(forest.feature_importances_)[-2:]) == {0, 2}
    assert forest.feature_importances_[[0, 2]].sum() > 0.6
    assert forest.feature_importances_.sum() == pytest.approx(1)


def test_a_constant_effect_has_a_small_spread():
    data = make_uplift(2000, heterogeneity=0.0, random_state=3)
    forest = small(200, min_samples_leaf=20).fit(data.X, data.y, treatment=data.treatment)
    found = forest.predict(data.X)
    assert found.std() < 0.12
    assert found.mean() == pytest.approx(1, abs=0.12)


def test_a_constant_effect_is_the_same_for_all_by_default_and_would_not_be_without_shrinkage():
    data = make_uplift(1000, heterogeneity=0.0, random_state=3)
    default = small(100).fit(data.X, data.y, treatment=data.treatment).predict(data.X)
    bare = small(100, shrink=False).fit(data.X, data.y, treatment=data.treatment).predict(data.X)
    assert default.std() < 0.6 * bare.std()
    assert default.mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("trend", ["auto", "linear"])
def test_a_slope_is_followed_to_the_edges_by_a_line_and_not_by_leaves(trend):
    """The effect is x0. Importance is that of trees before the line was taken out."""
    rng = np.random.default_rng(0)
    X, treatment = rng.normal(size=(1500, 3)), rng.integers(0, 2, 1500)
    y = treatment * X[:, 0] + rng.normal(size=1500)
    new = rng.normal(size=(500, 3))
    new[:, 0] = np.sign(new[:, 0]) * rng.uniform(1.5, 2.5, 500)

    def error(model):
        found = model.fit(X, y, treatment=treatment).predict(new)
        return np.sqrt(np.mean((found - new[:, 0]) ** 2))

    line = small(100, trend=trend)
    assert error(line) < 0.7 * error(small(100, trend=None))
    assert np.argmax(line.feature_importances_) == 0


def test_gaps_in_a_column_of_the_line_are_filled_and_marked():
    rng = np.random.default_rng(1)
    x, is_missing = rng.normal(size=1500), rng.random(1500) < 0.3
    treatment = rng.integers(0, 2, 1500)
    effect = np.where(is_missing, 3.0, x)
    X = np.where(is_missing, np.nan, x)[:, None]
    models = {
        "outcome_model": HistGradientBoostingRegressor(max_iter=20),
        "propensity_model": HistGradientBoostingClassifier(max_iter=5),
    }
    forest = small(100, trend="linear", **models)
    forest.fit(X, effect * treatment + rng.normal(size=1500), treatment=treatment)
    high, missing, low = forest.predict(np.array([[2.0], [np.nan], [-2.0]]))
    assert missing == pytest.approx(3, abs=0.25)
    assert high - low == pytest.approx(4, abs=0.4)


def test_doses_have_a_local_slope():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 3))
    dose = X[:, 1] + rng.normal(size=2000)
    slope = np.where(X[:, 0] > 0, 2.0, -1.0)
    y = X[:, 1] + slope * dose + 0.5 * rng.normal(size=2000)
    forest = small(100, propensity_model=LinearRegression()).fit(X, y, treatment=dose)
    assert forest.treatment_kind_ == "continuous"
    away = np.abs(X[:, 0]) > 0.2
    assert np.abs(forest.predict(X) - slope)[away].mean() < 0.2
    counted = small(20, propensity_model=None, treatment_kind="continuous")
    assert counted.fit(X, y, treatment=np.round(4 * dose)).treatment_kind_ == "continuous"


def test_default_models_take_gaps_and_categories():
    data = make_uplift(400, heterogeneity=1.0, n_features=4, random_state=4)
    rng = np.random.default_rng(0)
    X = data.X.mask(rng.random(data.X.shape) < 0.1)
    X["plan"] = pd.Categorical(rng.choice(["basic", "plus", "pro"], 400))
    X["channel"] = rng.choice(["app", "web"], 400)
    forest = small(outcome_model=None, propensity_model=None)
    forest.fit(X, data.y, treatment=data.treatment)
    assert forest.feature_importances_.shape == (6,)
    assert np.corrcoef(forest.predict(X), data.effect)[0, 1] > 0.5
    unseen = X.assign(plan="gold")
    with pytest.raises(ValueError, match=r"CausalForest\.predict.*'plan'.*'gold'"):
        forest.predict(unseen)


def test_gaps_can_carry_the_effect():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    is_missing = rng.random(2000) < 0.4
    X[is_missing, 0] = np.nan
    treatment = rng.integers(0, 2, 2000)
    y = treatment * is_missing * 2.0 + rng.normal(size=2000)
    models = {
        "outcome_model": HistGradientBoostingRegressor(max_iter=20),
        "propensity_model": HistGradientBoostingClassifier(max_iter=5),
    }
    found = small(**models).fit(X, y, treatment=treatment).predict(X)
    assert found[is_missing].mean() == pytest.approx(2, abs=0.2)
    assert found[~is_missing].mean() == pytest.approx(0, abs=0.2)


# --- what must not change the answer --------------------------------------------------------------


def test_the_level_of_the_outcome_does_not_matter(study, fitted):
    moved = small().fit(study.X, study.y + 64, treatment=study.treatment)
    expected = fitted.predict(study.X)
    np.testing.assert_allclose(moved.predict(study.X), expected, rtol=ROUNDING, atol=ROUNDING)


def test_the_unit_of_the_outcome_scales_effects_and_intervals(study, fitted):
    scaled = small().fit(study.X, study.y * 4, treatment=study.treatment)
    np.testing.assert_allclose(scaled.predict(study.X), 4 * fitted.predict(study.X), rtol=ROUNDING)
    np.testing.assert_allclose(
        scaled.predict_interval(study.X), 4 * fitted.predict_interval(study.X), rtol=1e-6
    )


def test_swapped_arms_flip_the_sign(study):
    """With the nuisances given: folds are dealt by arm."""
    y = study.y - study.y.mean()
    given = {"outcome_model": DummyRegressor(strategy="constant", constant=0.0)}
    model = small(propensity_model=None, **given)
    one = model.fit(study.X, y, treatment=study.treatment, propensity=study.propensity)
    expected = one.predict_interval(study.X)
    other = model.fit(study.X, y, treatment=1 - study.treatment, propensity=1 - study.propensity)
    np.testing.assert_allclose(
        other.predict_interval(study.X), -expected[:, ::-1], rtol=ROUNDING, atol=ROUNDING
    )


def test_containers_and_workers_do_not_matter(study, fitted):
    expected = fitted.predict_interval(study.X)
    arrays = study.X.to_numpy(), study.y.to_numpy(), study.treatment.to_numpy()
    array = small(n_jobs=2).fit(arrays[0], arrays[1], treatment=arrays[2])
    close = {"rtol": ROUNDING, "atol": ROUNDING}  # least squares rounds by memory layout
    np.testing.assert_allclose(array.predict_interval(arrays[0]), expected, **close)
    frame = pl.DataFrame(arrays[0], schema=list(study.X.columns))
    polars = small().fit(frame, pl.Series(arrays[1]), treatment=pl.Series(arrays[2]))
    np.testing.assert_allclose(polars.predict_interval(frame), expected, **close)


@pytest.mark.parametrize("trend", ["linear", None])
def test_unit_level_and_workers_do_not_matter_with_any_trend(study, trend):
    """With the line chosen by the data they are looked at above."""
    model = small(trend=trend, shrink=trend is not None)
    base = model.fit(study.X, study.y, treatment=study.treatment).predict_interval(study.X)
    moved = small(trend=trend, shrink=trend is not None, n_jobs=2)
    moved.fit(study.X, 4 * study.y + 64, treatment=study.treatment)
    np.testing.assert_allclose(moved.predict_interval(study.X), 4 * base, rtol=1e-6, atol=1e-6)


def test_rows_of_weight_zero_count_for_nothing(study):
    given = {"outcome_model": DummyRegressor(strategy="constant", constant=0.0)}
    model = small(propensity_model=None, **given)
    kept = np.arange(800) % 4 > 0
    inside = {"treatment": study.treatment[kept], "propensity": study.propensity[kept]}
    one = model.fit(study.X[kept], study.y[kept], **inside).predict(study.X)
    other = model.fit(
        study.X, study.y, treatment=study.treatment, propensity=study.propensity,
        sample_weight=kept.astype(float),
    ).predict(study.X)  # fmt: skip
    np.testing.assert_array_equal(one, other)


def test_all_weights_times_a_constant_change_nothing(study):
    model = small(propensity_model=None)
    known = {"treatment": study.treatment, "propensity": study.propensity}
    one = model.fit(study.X, study.y, **known).predict_interval(study.X)
    doubled = model.fit(study.X, study.y, **known, sample_weight=np.full(800, 2.0))
    found = doubled.predict_interval(study.X)
    np.testing.assert_allclose(found, one, rtol=ROUNDING, atol=ROUNDING)


def test_the_seed_decides(study, fitted):
    keywords = {"treatment": study.treatment}
    again = clone(fitted).fit(study.X, study.y, **keywords).predict(study.X)
    np.testing.assert_array_equal(again, fitted.predict(study.X))
    other = small(random_state=1).fit(study.X, study.y, **keywords).predict(study.X)
    assert np.abs(other - again).max() > 0.01


def test_data_are_left_as_they_were(study):
    X, y, treatment = study.X.copy(), study.y.copy(), study.treatment.copy()
    small(8).fit(X, y, treatment=treatment).predict(X)
    pd.testing.assert_frame_equal(X, study.X)
    pd.testing.assert_series_equal(y, study.y)
    pd.testing.assert_series_equal(treatment, study.treatment)


# --- groups and intervals -------------------------------------------------------------------------


def test_dependent_rows_need_groups_for_their_intervals():
    """Sixteen copies of each row are no news: with groups intervals stay wide."""
    data = make_uplift(150, random_state=5, n_features=3, as_frame=False)
    copies = np.repeat(np.arange(150), 16)
    X, y, treatment = data.X[copies], data.y[copies], data.treatment[copies]
    model = small(200, bag_size=10, min_samples_leaf=40)

    def covered(**keywords):
        fitted = model.fit(X, y, treatment=treatment, **keywords)
        low, high = fitted.predict_interval(data.X).T
        return np.mean((low <= data.effect) & (data.effect <= high))

    assert covered(groups=copies) > 0.85
    assert covered() < 0.55


def test_intervals_lie_around_the_prediction_and_widen_with_confidence(study, fitted):
    effect = fitted.predict(study.X)
    narrow = fitted.predict_interval(study.X, confidence_level=0.5)
    wide = fitted.predict_interval(study.X, confidence_level=0.95)
    np.testing.assert_allclose(wide.mean(axis=1), effect, rtol=1e-12)
    np.testing.assert_allclose(np.diff(wide) / np.diff(narrow), 1.959964 / 0.6744898, rtol=1e-6)
    assert (np.diff(wide) > 0).all()


def test_interval_through_a_pipeline_is_the_method(study):
    pipe = make_pipeline(StandardScaler(), small())
    with segcate.routing():
        pipe.fit(study.X, study.y, treatment=study.treatment)
    expected = pipe[-1].predict_interval(pipe[0].transform(study.X))
    np.testing.assert_array_equal(predict_interval(pipe, study.X), expected)


# --- storage and search ---------------------------------------------------------------------------


def test_pickle_and_skops_keep_the_answer(study, fitted):
    skops_io = pytest.importorskip("skops.io")
    stored = skops_io.dumps(fitted)
    assert set(skops_io.get_untrusted_types(data=stored)) <= set(segcate.SKOPS_TRUSTED_TYPES)
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        skops_io.loads(stored, trusted=segcate.SKOPS_TRUSTED_TYPES),
    ):
        np.testing.assert_array_equal(
            other.predict_interval(study.X), fitted.predict_interval(study.X)
        )


def test_it_stands_in_one_search_with_segment_matching(study):
    psi = study.effect
    pipe = make_pipeline(KMeansSegmenter(2, n_init=1, random_state=0), small(20))
    grid = [
        {"causalforest": [SegmentMatching(on_empty="overall")]},
        {"causalforest__min_samples_leaf": [5, 20]},
    ]
    search = GridSearchCV(pipe, grid, scoring=qini_scorer, cv=TreatmentStratifiedKFold(2))
    with segcate.routing():
        search.fit(study.X, study.y, treatment=study.treatment, pseudo_outcome=psi)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert isinstance(search.best_estimator_[-1], CausalForest)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_estimators": 10, "bag_size": 4}, ValueError, r"multiple of `bag_size`.*got 10 and 4"),
        ({"n_estimators": 4, "bag_size": 4}, ValueError, r"at least twice it.*n_estimators=8"),
        ({"bag_size": 1}, ValueError, r"`bag_size` must be a whole number of at least 2; got 1"),
        ({"min_samples_leaf": 0}, ValueError, "`min_samples_leaf`.*at least 1; got 0"),
        ({"min_samples_leaf": 2.5}, ValueError, "whole number.*got 2.5"),
        ({"max_depth": 0}, ValueError, "`max_depth`"),
        ({"subsample": 0.7}, ValueError, r"`subsample`.*\(0, 0\.5\]; got 0\.7"),
        ({"min_balance": 0.5}, ValueError, r"`min_balance`.*\[0, 0\.5\)"),
        ({"honest": "yes"}, TypeError, "`honest` must be True or False; got 'yes'"),
        ({"trend": "curve"}, ValueError, "`trend` must be 'auto', 'linear' or None; got 'curve'"),
        ({"shrink": 1}, TypeError, "`shrink` must be True or False; got 1"),
        ({"max_features": 9}, ValueError, r"`max_features`.*from 1 to the 4 columns.*got 9"),
        ({"max_features": "all"}, ValueError, "`max_features`.*None tries all"),
        ({"cv": 1}, ValueError, "`cv`.*at least 2; got 1"),
        ({"clip": 0.6}, ValueError, r"`clip`.*\[0, 0\.5\)"),
        ({"treatment_kind": "dose"}, ValueError, "`treatment_kind`"),
        ({"outcome_model": LinearRegression}, TypeError, "`outcome_model`.*instance"),
        ({"outcome_model": LogisticRegression()}, ValueError, "classifier.*not 0/1"),
        ({"propensity_model": LinearRegression()}, TypeError, "`predict_proba`"),
    ],
)
def test_bad_parameters_are_named(study, parameters, error, message):
    with pytest.raises(error, match=f"(?s)CausalForest.*{message}"):
        small(**parameters).fit(study.X, study.y, treatment=study.treatment)


def test_more_arms_are_refused_with_the_ways_out(study):
    arms = np.arange(800) % 3
    with pytest.raises(
        ValueError, match=r"3 arms.*each arm k.*InteractionRegression.*'continuous'"
    ):
        small().fit(study.X, study.y, treatment=arms)


def test_missing_treatment_says_how_to_pass_it(study):
    with pytest.raises(ValueError, match=r"needs `treatment`.*segcate\.routing"):
        small().fit(study.X, study.y)


def test_propensity_and_its_model_contradict_each_other(study):
    with pytest.raises(ValueError, match="either `propensity_model` or `propensity`"):
        small().fit(study.X, study.y, treatment=study.treatment, propensity=study.propensity)


def test_doses_have_no_propensity_and_no_classifier(study):
    dose = study.X["x0"] + study.treatment
    with pytest.raises(ValueError, match="these are doses"):
        small(propensity_model=None).fit(
            study.X, study.y, treatment=dose, propensity=study.propensity
        )
    with pytest.raises(TypeError, match="must be a regressor"):
        small().fit(study.X, study.y, treatment=dose)


def test_gaps_that_a_model_cannot_take_are_refused(study):
    X = study.X.mask(study.X > 2)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        small().fit(X, study.y, treatment=study.treatment)


@pytest.mark.parametrize("groups", [None, np.arange(6) % 3])
def test_too_little_to_halve_twice(groups):
    rows = slice(0, 3) if groups is None else slice(0, 6)
    X, y, treatment = np.arange(12.0).reshape(6, 2), np.arange(6.0), np.array([0, 1] * 3)
    weight = None
    if groups is None:
        rows, weight = slice(0, 6), np.array([1, 1, 1, 0, 0, 0])
    model = small(propensity_model=None, outcome_model=DummyRegressor())
    with pytest.raises(ValueError, match="at least 4 are needed"):
        model.fit(
            X[rows], y[rows], treatment=treatment[rows], groups=groups, sample_weight=weight,
            propensity=np.full(6, 0.5),
        )  # fmt: skip


def test_treatment_that_is_explained_away_is_refused(study):
    line = {"propensity_model": LinearRegression(), "treatment_kind": "continuous"}
    dose = 1 + study.X["x0"] - 2 * study.X["x1"]
    with pytest.raises(ValueError, match=r"no effect can be told.*Drop the columns"):
        small(**line).fit(study.X, study.y, treatment=dose)
    model = small(propensity_model=None, outcome_model=DummyRegressor())
    with pytest.raises(ValueError, match=r"no effect can be told.*both arms"):
        model.fit(
            study.X, study.y, treatment=study.treatment, sample_weight=study.treatment,
            propensity=np.full(800, 0.5),
        )  # fmt: skip


def test_clipped_chances_are_counted(study):
    X = study.X.assign(x0=np.where(study.treatment == 1, 3.0, -3.0) + study.X["x0"])
    with pytest.warns(
        SegcateWarning, match=r"outside \[0\.01, 0\.99\] in \d+ of 800 rows"
    ) as caught:
        small().fit(X, study.y, treatment=study.treatment)
    assert caught[0].filename == __file__
    certain = DummyClassifier(strategy="constant", constant=1)
    with pytest.raises(OverlapError, match="exactly 0 or 1"):
        small(clip=0, propensity_model=certain).fit(X, study.y, treatment=study.treatment)


@pytest.mark.filterwarnings("ignore:.*measured after the treatment")
def test_rows_without_variation_of_treatment_get_nan_and_a_warning():
    X = np.repeat([[-1.0], [1.0]], 100, axis=0)
    treatment = np.where(X[:, 0] < 0, 1, np.arange(200) % 2)
    y = treatment * X[:, 0] + 1.0 * np.random.default_rng(0).normal(size=200)
    model = small(propensity_model=None, outcome_model=DummyRegressor())
    model.fit(X, y, treatment=treatment, propensity=np.full(200, 0.5))
    with pytest.warns(SegcateWarning, match="effect of 100 of 200 rows is NaN"):
        found = model.predict(X)
    np.testing.assert_array_equal(np.isnan(found), X[:, 0] < 0)


@pytest.mark.parametrize("level", [0, 1, 95, "high"])
def test_confidence_level_is_checked(study, fitted, level):
    with pytest.raises(ValueError, match=r"predict_interval.*`confidence_level`"):
        fitted.predict_interval(study.X, confidence_level=level)
