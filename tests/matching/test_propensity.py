"""The propensity: fitted inside each segment, pooled, by any classifier, or handed in."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from segcate.exceptions import OverlapError
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study

# statsmodels stops its own Newton a little earlier.
RTOL = 1e-8


def draw(seed=0, n=600, n_segments=3, share=0.4):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    X["kind"] = rng.choice(["p", "q", "r"], n)
    X["segment"] = rng.integers(0, n_segments, n)
    eta = np.log(share / (1 - share)) + 0.8 * X["a"] - 0.4 * (X["kind"] == "q")
    treatment = np.array(rng.random(n) < 1 / (1 + np.exp(-eta)), dtype=int)
    return X, treatment, rng


def encoded(X):
    kinds = [(X["kind"] == level).astype(float) for level in sorted(X["kind"].unique())[1:]]
    return np.column_stack([X["a"], X["b"], *kinds])


def test_each_segment_is_fitted_on_its_own():
    X, treatment, _ = draw()
    found = PropensityMatcher().fit(X, treatment=treatment)
    for segment in range(3):
        rows = (X["segment"] == segment).to_numpy()
        Z = sm.add_constant(encoded(X[rows]))
        peer = sm.GLM(treatment[rows], Z, family=sm.families.Binomial()).fit(tol=1e-14)
        np.testing.assert_allclose(found.propensity_[rows], peer.fittedvalues, rtol=RTOL)
        alone = PropensityMatcher().fit(X[rows], treatment=treatment[rows])
        np.testing.assert_array_equal(alone.propensity_, found.propensity_[rows])
    assert found.score_notes_ == {}


def test_weights_count_as_rows_in_the_fit():
    X, treatment, rng = draw(1)
    weight = rng.integers(1, 4, len(X))
    found = PropensityMatcher().fit(X, treatment=treatment, sample_weight=weight)
    rows = np.repeat(np.arange(len(X)), weight)
    again = PropensityMatcher().fit(X.iloc[rows], treatment=treatment[rows])
    np.testing.assert_allclose(again.propensity_, found.propensity_[rows], rtol=1e-9)


def test_given_propensities_are_taken_as_they_are():
    X, treatment, rng = draw(2)
    p = rng.uniform(0.1, 0.9, len(X))
    found = PropensityMatcher().fit(X, treatment=treatment, propensity=p)
    np.testing.assert_array_equal(found.propensity_, p)
    np.testing.assert_allclose(found.matched_.score, logit(p)[found.matched_.order])
    on_p = PropensityMatcher(score_scale="probability").fit(X, treatment=treatment, propensity=p)
    np.testing.assert_array_equal(on_p.matched_.score, p[on_p.matched_.order])


def test_the_callers_propensities_are_not_written_to():
    X, treatment, rng = draw(3)
    treatment[X["segment"] == 0] = 0
    p = rng.uniform(0.1, 0.9, len(X))
    before = p.copy()
    PropensityMatcher(score_scale="probability").fit(X, treatment=treatment, propensity=p)
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize("score_scale", ["logit", "probability"])
@pytest.mark.parametrize("arm", [0, 1])
def test_a_segment_without_both_arms_has_no_propensity(score_scale, arm):
    X, treatment, _ = draw(4)
    lonely = (X["segment"] == 1).to_numpy()
    treatment[lonely] = arm
    found = PropensityMatcher(score_scale=score_scale).fit(X, treatment=treatment)
    np.testing.assert_array_equal(np.isnan(found.propensity_), lonely)
    assert not set(np.flatnonzero(lonely)) & set(found.matched_.pairs["focal"])
    unmatched = found.matched_.unmatched
    if arm == 1:
        assert set(unmatched["row"]) == set(np.flatnonzero(lonely))
        assert set(unmatched["reason"]) == {"no row of the other arm"}
    else:
        assert len(unmatched) == 0


# --- thin and separated segments ------------------------------------------------------------------


def thin_study():
    X, treatment, rng = draw(5, n=1200)
    keep = (X["segment"] != 2) | (rng.random(len(X)) < 0.12)
    return X[keep].reset_index(drop=True), treatment[keep]


def test_a_thin_segment_borrows_slopes_and_says_so():
    X, treatment = thin_study()
    thin = (X["segment"] == 2).to_numpy()
    assert min(np.bincount(treatment[thin])) < 40  # 10 for each of four slopes
    found = PropensityMatcher().fit(X, treatment=treatment)
    assert found.score_notes_ == {2: "score shrunk to the pooled one (few rows a slope)"}
    alone = PropensityMatcher().fit(X[thin], treatment=treatment[thin]).propensity_
    pooled = PropensityMatcher(pool_propensity=True).fit(X, treatment=treatment).propensity_
    assert not np.allclose(found.propensity_[thin], alone)
    # a departure from the pooled slopes is shrunk, so the log-odds lie between the two fits
    spread = [np.std(logit(p)) for p in (found.propensity_[thin], alone)]
    assert spread[0] < spread[1]
    np.testing.assert_allclose(found.propensity_[thin], pooled[thin])
    rest = PropensityMatcher().fit(X[~thin], treatment=treatment[~thin]).propensity_
    np.testing.assert_array_equal(found.propensity_[~thin], rest)


def test_pooling_says_nothing_as_it_was_asked_for():
    X, treatment = thin_study()
    found = PropensityMatcher(pool_propensity=True).fit(X, treatment=treatment)
    assert found.score_notes_ == {}


def test_pooling_reproduces_common_slopes_when_segments_agree():
    rng = np.random.default_rng(0)
    n = 30_000
    X = pd.DataFrame({"a": rng.normal(size=n), "segment": rng.integers(0, 3, n)})
    eta = 0.8 * X["a"] + np.array([-1.0, 0.0, 0.5])[X["segment"]]
    treatment = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    found = PropensityMatcher(pool_propensity=True).fit(X, treatment=treatment)
    for segment in range(3):
        rows = (X["segment"] == segment).to_numpy()
        slope = np.polyfit(X["a"][rows], logit(found.propensity_[rows]), 1)[0]
        assert slope == pytest.approx(0.8, abs=0.06)  # 10,000 rows: standard error 0.025


def test_separated_arms_are_penalised_and_say_so():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": np.r_[rng.uniform(-2, -1, 60), rng.uniform(1, 2, 60)]})
    treatment = np.repeat([0, 1], 60)
    treatment[[0, 60]] = [0, 1]
    found = PropensityMatcher(segment=None).fit(X, treatment=treatment)
    assert found.score_notes_ == {"all": "score penalised (arms can be separated)"}
    assert np.isfinite(found.propensity_).all()
    assert ((found.propensity_ > 0) & (found.propensity_ < 1)).all()
    # scikit-learn's default penalty, C = 1, on standardised columns, the constant free
    Z = StandardScaler().fit_transform(X)
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(Z, treatment)
    np.testing.assert_allclose(found.propensity_, peer.predict_proba(Z)[:, 1], rtol=1e-5)


# --- any classifier -------------------------------------------------------------------------------


def numeric(X):
    return X.drop(columns="kind")


def test_a_classifier_is_fitted_inside_each_segment():
    X, treatment, _ = draw(6)
    X = numeric(X)
    found = PropensityMatcher(LogisticRegression()).fit(X, treatment=treatment)
    for segment in range(3):
        rows = (X["segment"] == segment).to_numpy()
        part = X.loc[rows, ["a", "b"]]
        peer = LogisticRegression().fit(part, treatment[rows])
        np.testing.assert_array_equal(found.propensity_[rows], peer.predict_proba(part)[:, 1])


def test_a_pooled_classifier_gets_columns_for_the_segments():
    X, treatment, _ = draw(7)
    X = numeric(X)
    found = PropensityMatcher(LogisticRegression(), pool_propensity=True).fit(
        X, treatment=treatment
    )
    dummies = np.column_stack([X["segment"] == s for s in (1, 2)]).astype(float)
    Z = np.column_stack([X[["a", "b"]], dummies])
    peer = LogisticRegression().fit(Z, treatment)
    np.testing.assert_allclose(found.propensity_, peer.predict_proba(Z)[:, 1], rtol=1e-6)


def test_a_classifier_gets_the_weights():
    X, treatment, rng = draw(8)
    X, weight = numeric(X).assign(segment=0), rng.integers(1, 4, len(X)).astype(float)
    found = PropensityMatcher(LogisticRegression()).fit(
        X, treatment=treatment, sample_weight=weight
    )
    peer = LogisticRegression().fit(X[["a", "b"]], treatment, sample_weight=weight)
    expected = peer.predict_proba(X[["a", "b"]])[:, 1]
    np.testing.assert_array_equal(found.propensity_, expected)


class ContainerSpy(ClassifierMixin, BaseEstimator):
    """A classifier that insists on the container it was promised."""

    def __init__(self, kind):
        self.kind = kind

    def fit(self, X, y):
        assert isinstance(X, self.kind), type(X)
        assert y.dtype.kind == "i"
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X):
        assert isinstance(X, self.kind), type(X)
        return np.column_stack([np.full(len(X), 0.6), np.full(len(X), 0.4)])


@pytest.mark.parametrize("pooled", [False, True])
def test_a_classifier_gets_the_container_that_came(pooled):
    X, treatment, _ = draw(9)
    for kind, given in (
        (pd.DataFrame, X),
        (pl.DataFrame, pl.from_pandas(X)),
        (np.ndarray, numeric(X).to_numpy()),
    ):
        segment = -1 if kind is np.ndarray else "segment"
        matcher = PropensityMatcher(ContainerSpy(kind), pool_propensity=pooled, segment=segment)
        found = matcher.fit(given, treatment=treatment)
        assert (found.propensity_ == 0.4).all()


def test_a_classifier_that_takes_gaps_may_get_them():
    X, treatment, _ = draw(10)
    X = numeric(X)
    X.loc[::7, "a"] = np.nan
    model = DecisionTreeClassifier(min_samples_leaf=50)
    found = PropensityMatcher(model, score_scale="probability").fit(X, treatment=treatment)
    assert np.isfinite(found.propensity_).all()
    # balance of a column with gaps is unknown, that of the others is not
    smd = found.balance_["smd_after"].unstack()
    assert smd["a"].isna().all()
    assert smd["b"].notna().all()


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_n_jobs_does_not_change_the_scores(backend):
    X, treatment, _ = draw(11)
    for model, data in ((None, X), (RandomForestClassifier(5, random_state=0), numeric(X))):
        matcher = PropensityMatcher(model, score_scale="probability")
        one = matcher.fit(data, treatment=treatment).propensity_
        with joblib.parallel_config(backend):
            two = matcher.set_params(n_jobs=2).fit(data, treatment=treatment).propensity_
        np.testing.assert_array_equal(one, two)


# --- what cannot work -----------------------------------------------------------------------------


def test_scores_of_exactly_zero_or_one_are_refused_on_the_log_odds():
    X, treatment, _ = draw(12)
    with pytest.raises(OverlapError, match=r"gave exactly 0 or 1 to 600 rows \(0\.0, 1\.0\)"):
        PropensityMatcher(DecisionTreeClassifier()).fit(numeric(X), treatment=treatment)
    on_p = PropensityMatcher(DecisionTreeClassifier(max_depth=1), score_scale="probability")
    assert on_p.fit(numeric(X), treatment=treatment).matched_.is_matched.any()


class GapsClassifier(ContainerSpy):
    """A classifier whose probabilities are missing."""

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


def test_a_model_that_gives_gaps_is_refused():
    X, treatment, _ = draw(13)
    with pytest.raises(ValueError, match="propensity model gave NaN for 600 rows"):
        PropensityMatcher(GapsClassifier(pd.DataFrame)).fit(X, treatment=treatment)


def test_a_model_that_cannot_read_strings_is_named():
    X, treatment, _ = draw(14)
    with pytest.raises(
        ValueError, match=r"model LogisticRegression cannot be fitted.*convert string.*encode"
    ):
        PropensityMatcher(LogisticRegression()).fit(X, treatment=treatment)


def test_a_pipeline_encodes_for_itself():
    X, treatment, _ = draw(15)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    found = PropensityMatcher(model).fit(numeric(X), treatment=treatment)
    assert np.isfinite(found.propensity_).all()


@pytest.mark.parametrize("model", [LinearRegression(), "logit", LogisticRegression])
def test_what_is_no_classifier_is_refused(model):
    X, treatment, _ = draw(16)
    with pytest.raises(TypeError, match=r"`estimator` must be a classifier.*got .*Use None"):
        PropensityMatcher(model).fit(numeric(X), treatment=treatment)


def test_no_covariates_leave_nothing_to_fit_on():
    X, treatment, rng = draw(17)
    with pytest.raises(ValueError, match=r"no covariates beside the segment.*`propensity=`"):
        PropensityMatcher().fit(X[["segment"]], treatment=treatment)
    p = rng.uniform(0.2, 0.8, len(X))
    found = PropensityMatcher().fit(X[["segment"]], treatment=treatment, propensity=p)
    assert found.matched_.is_matched.any()


def test_propensities_of_0_and_1_are_taken_where_log_odds_are_not_needed():
    data = small_study(21, n=300)
    score = np.where(data.score < np.quantile(data.score, 0.02), 0.0, data.score)
    keywords = {"treatment": data.treatment, "propensity": score}
    PropensityMatcher(score_scale="probability").fit(data.X, **keywords)
    with pytest.raises(ValueError, match=r"6 of 300 values do not \(0\.0.*probability'\."):
        PropensityMatcher().fit(data.X, **keywords)
    weight = np.where(score == 0, 0.0, 1.0)  # rows that are not there
    PropensityMatcher().fit(data.X, sample_weight=weight, **keywords)
