"""SegmentAIPW beside the naive version, DoubleML, EconML and statsmodels, and its own rules."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from segcate.effects import SegmentAIPW
from segcate.effects._unmatched.aipw_estimate import doubly_robust_effect
from segcate.exceptions import EmptySegmentError, OverlapError, SegcateWarning
from segcate.metrics import effect_scores
from tests.helpers.naive_effects import cross_fitted, doubly_robust_mean
from tests.helpers.shared import shared_path
from tests.helpers.small_studies import small_study

# Sums in another order.
SAME = 1e-10
# Figures of other systems have 12 digits.
PRINTED = 1e-9


class KnownOutcome(RegressorMixin, BaseEstimator):
    """Predict what the columns of X say: mu0, mu1, treatment. The arm is that of the rows fitted."""

    def fit(self, X, y, sample_weight=None):
        self.arm_ = int(np.asarray(X)[0, 2])
        assert (np.asarray(X)[:, 2] == self.arm_).all()
        return self

    def predict(self, X):
        return np.asarray(X)[:, self.arm_]


def lines(**options):
    return SegmentAIPW(LinearRegression(), LogisticRegression(), **{"random_state": 0, **options})


def splits_of(n, k=4, seed=0):
    parts = np.array_split(np.random.default_rng(seed).permutation(n), k)
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


# --- the naive version ----------------------------------------------------------------------------


@pytest.mark.parametrize("by_group", [False, True])
@pytest.mark.parametrize("estimand", ["ate", "att"])
@pytest.mark.filterwarnings("ignore:.*run low below 30:segcate.exceptions.SegcateWarning")
def test_as_the_naive_version(estimand, by_group):
    """Models refitted by hand for every fold; propensities stay away from the bound."""
    data = small_study(0, n=240, n_groups=12)
    splits = splits_of(240)
    everyone = np.ones(240, dtype=bool)
    e = cross_fitted(
        LogisticRegression(), data.Z, data.treatment, everyone, splits, "predict_proba"
    )
    mu = [
        cross_fitted(LinearRegression(), data.Z, data.y, data.treatment == arm, splits)
        for arm in (0, 1)
    ]
    groups = data.groups if by_group else None
    expected = doubly_robust_mean(data.y, data.treatment, e, *mu, estimand, groups)
    model = lines(segment=None, estimand=estimand, cv=splits)
    found = model.fit(data.Z, data.y, treatment=data.treatment, groups=groups)
    row = found.effects_.loc["all"]
    np.testing.assert_allclose(row[["effect", "std_error"]].astype(float), expected, rtol=SAME)
    np.testing.assert_allclose(found.propensity_, e, rtol=SAME)
    assert found.std_error_method_ == ("group" if by_group else "influence")


def test_pooled_models_get_the_segment_as_columns():
    """The first segment is the reference; all slopes are common."""
    data = small_study(1, n=300, n_segments=3)
    X = data.X.drop(columns="cell")
    splits = splits_of(300)
    dummies = np.column_stack([data.segment == 1, data.segment == 2]).astype(float)
    Z = np.column_stack([data.Z, dummies])
    everyone = np.ones(300, dtype=bool)
    e = cross_fitted(LogisticRegression(), Z, data.treatment, everyone, splits, "predict_proba")
    mu = [
        cross_fitted(LinearRegression(), Z, data.y, data.treatment == arm, splits) for arm in (0, 1)
    ]
    found = lines(cv=splits).fit(X, data.y, treatment=data.treatment).effects_
    for segment in range(3):
        r = data.segment == segment
        expected = doubly_robust_mean(data.y[r], data.treatment[r], e[r], mu[0][r], mu[1][r], "ate")
        np.testing.assert_allclose(
            found.loc[segment, ["effect", "std_error"]].astype(float), expected, rtol=SAME
        )


def test_the_ate_for_everyone_is_the_mean_of_the_effect_scores():
    """The same scores as `effect_scores`, and the standard error of their mean."""
    data = small_study(2, n=400, n_segments=1)
    propensity = np.clip(data.score, 0.05, 0.95)
    constant = DummyRegressor(strategy="constant", constant=0.3)
    psi = effect_scores(
        data.Z, data.y, treatment=data.treatment, propensity=propensity,
        mu0=np.full(400, 0.3), mu1=np.full(400, 0.3),
    )  # fmt: skip
    model = SegmentAIPW(constant, segment=None)
    row = model.fit(data.Z, data.y, treatment=data.treatment, propensity=propensity).overall_
    np.testing.assert_allclose(row["effect"], psi.mean(), rtol=1e-12)
    np.testing.assert_allclose(row["std_error"], psi.std(ddof=1) / 20, rtol=1e-12)


def test_segments_add_up_to_everyone():
    """The pooled standard error is that of all scores together."""
    data = small_study(3, n=600, n_segments=3)
    X = data.X.drop(columns="cell")
    for estimand in ("ate", "att"):
        model = lines(estimand=estimand, cv=splits_of(600))
        table = model.fit(X, data.y, treatment=data.treatment)
        share = table.effects_["n_matched"] / table.effects_["n_matched"].sum()
        np.testing.assert_allclose(
            table.overall_["effect"], share @ table.effects_["effect"], rtol=1e-12
        )
    whole = lines(segment=None, cv=splits_of(600)).fit(
        pd.get_dummies(X, columns=["segment"], drop_first=True, dtype=float),
        data.y,
        treatment=data.treatment,
    )
    parts = lines(cv=splits_of(600)).fit(X, data.y, treatment=data.treatment)
    np.testing.assert_allclose(whole.overall_["effect"], parts.overall_["effect"], rtol=1e-10)
    np.testing.assert_allclose(
        whole.overall_["std_error"], parts.overall_["std_error"], rtol=5e-3
    )  # the factors n / (n - 1) differ


# --- other systems --------------------------------------------------------------------------------


def test_groups_of_doubleml_and_econml():
    """Effects of the quartiles of a score, nuisances handed in: GATEs of both, 12 digits."""
    path = shared_path("reference", "metrics", "observational.json")
    case = json.loads(path.read_text(encoding="utf-8"))
    given = {name: np.array(values) for name, values in case["input"].items()}
    rank = np.argsort(np.argsort(given["score"], kind="stable"), kind="stable")
    X = np.column_stack([given["mu0"], given["mu1"], given["treatment"], rank // 100])
    model = SegmentAIPW(KnownOutcome(), segment=3, pool_nuisances=False)
    found = model.fit(
        X, given["y"], treatment=given["treatment"], propensity=given["propensity"]
    ).effects_
    doubleml = case["outputs"]["doubleml"][
        "DoubleMLBLP(is_gate) quartile groups of score, psi_aipw"
    ]
    np.testing.assert_allclose(found["effect"], doubleml["gate"], rtol=PRINTED)
    # Both divide by the 100 rows of a group, not by 99.
    econml = case["outputs"]["econml"]["evaluate_cal(4)"]
    for theirs in (doubleml["se"], econml["se_gate"]):
        np.testing.assert_allclose(np.sqrt(0.99) * found["std_error"], theirs, rtol=PRINTED)


def test_statsmodels_aipw_from_its_own_models():
    """statsmodels does not cross-fit; handed its models' predictions, the effect is the same."""
    sm = pytest.importorskip("statsmodels.api")
    from statsmodels.treatment.treatment_effects import TreatmentEffect

    data = small_study(4, n=500)
    D = np.column_stack([np.ones(500), data.Z])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = sm.Logit(data.treatment, D).fit(disp=0, tol=1e-12)
        theirs = TreatmentEffect(sm.OLS(data.y, D), data.treatment, results_select=chosen).aipw(
            return_results=True, disp=False
        )
    mu = np.column_stack(
        [
            sm.OLS(data.y[data.treatment == arm], D[data.treatment == arm]).fit().predict(D)
            for arm in (0, 1)
        ]
    )
    ones = np.ones(500)
    effect, scores = doubly_robust_effect(
        data.y, data.treatment == 1, chosen.predict(D), mu, ones, ones
    )
    np.testing.assert_allclose(effect, theirs.effect[0], rtol=1e-6)  # their optimiser's
    # Their standard error counts the models' coefficients, which matters little when both are right.
    np.testing.assert_allclose(np.sqrt(scores @ scores), theirs.sd[0], rtol=0.02)


# --- what must hold -------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["ate", "att"])
def test_right_when_either_model_is(estimand):
    """One model is nonsense, the other true: both times the effect is within three errors."""
    rng = np.random.default_rng(5)
    n = 20_000
    Z = rng.normal(size=(n, 2))
    e = 1 / (1 + np.exp(-Z[:, 0]))
    t = (rng.random(n) < e).astype(int)
    y = 2 * Z[:, 0] + t * (1 + Z[:, 1]) + rng.normal(size=n)
    truth = (1 + Z[:, 1]).mean() if estimand == "ate" else (1 + Z[:, 1])[t == 1].mean()
    nothing = DummyRegressor()
    for outcome, propensity in ((LinearRegression(), np.full(n, 0.4)), (nothing, e)):
        model = SegmentAIPW(outcome, segment=None, estimand=estimand, random_state=0)
        row = model.fit(Z, y, treatment=t, propensity=propensity).overall_
        assert abs(row["effect"] - truth) < 3 * row["std_error"], row
    wrong = SegmentAIPW(nothing, segment=None, estimand=estimand, random_state=0)
    row = wrong.fit(Z, y, treatment=t, propensity=np.full(n, 0.4)).overall_
    assert abs(row["effect"] - truth) > 10 * row["std_error"], row


def test_an_int_seed_reproduces_the_effects():
    data = small_study(6, n=300, n_segments=2)
    X = data.X.drop(columns="cell")
    for options in ({}, {"pool_nuisances": False}):
        first = lines(**options).fit(X, data.y, treatment=data.treatment).effects_
        again = lines(**options).fit(X, data.y, treatment=data.treatment).effects_
        pd.testing.assert_frame_equal(first, again, check_exact=True)
        other = lines(random_state=1, **options).fit(X, data.y, treatment=data.treatment)
        assert (other.effects_["effect"] != first["effect"]).all()
        np.testing.assert_allclose(other.effects_["effect"], first["effect"], atol=0.15)


def test_the_order_of_the_rows_is_that_of_the_folds_and_nothing_else():
    data = small_study(7, n=300, n_segments=3)
    X = data.X.drop(columns="cell")
    splits = splits_of(300)
    order = np.random.default_rng(1).permutation(300)
    place = np.argsort(order)
    expected = lines(cv=splits).fit(X, data.y, treatment=data.treatment).effects_
    moved = [(np.sort(place[train]), np.sort(place[test])) for train, test in splits]
    found = lines(cv=moved).fit(X.iloc[order], data.y[order], treatment=data.treatment[order])
    pd.testing.assert_frame_equal(found.effects_, expected, rtol=1e-6)  # lbfgs stops by tolerance


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("pool_nuisances", [True, False])
def test_folds_hold_both_arms_of_every_segment(pool_nuisances, is_binary):
    """An outcome model that notes which rows it predicts shows the folds."""
    predicted = []

    class NotesRows(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            predicted.append(X[:, 0].astype(int))
            return np.zeros(len(X))

    data = small_study(8, n=400, n_segments=4)
    y = (data.y > 1.5).astype(float) if is_binary else data.y
    X = np.column_stack([np.arange(400), data.segment])
    SegmentAIPW(
        NotesRows(), segment=1, estimand="att", pool_nuisances=pool_nuisances, random_state=0
    ).fit(X, y, treatment=data.treatment, propensity=data.score)
    assert (np.sort(np.concatenate(predicted)) == np.arange(400)).all()
    cells = 2 * data.segment + data.treatment
    counts = np.array([np.bincount(cells[rows], minlength=8) for rows in predicted])
    for fits in [counts] if pool_nuisances else counts.reshape(4, 5, 8):
        there = fits[:, fits.sum(axis=0) > 0]
        assert there.shape == (5, 8 if pool_nuisances else 2)
        assert (there.max(axis=0) - there.min(axis=0) <= 2).all()
        assert np.ptp(there.sum(axis=1)) <= 1


def test_groups_stay_whole():
    """An outcome model that knows its groups finds none of them among the rows it predicts."""

    class NeverSeen(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.groups_ = np.unique(X[:, 0])
            return self

        def predict(self, X):
            assert not np.isin(X[:, 0], self.groups_).any()
            return np.zeros(len(X))

    data = small_study(9, n=400, n_segments=2, n_groups=40)
    X = np.column_stack([data.groups, data.segment])
    SegmentAIPW(NeverSeen(), segment=1, random_state=0).fit(
        X, data.y, treatment=data.treatment, propensity=data.score, groups=data.groups
    )


# --- overlap --------------------------------------------------------------------------------------


def poor_overlap():
    rng = np.random.default_rng(10)
    Z = rng.normal(size=(2000, 1))
    segment = np.arange(2000) % 2
    chance = 1 / (1 + np.exp(-np.where(segment == 1, 3.0, 0.3) * Z[:, 0]))
    t = (rng.random(2000) < chance).astype(int)
    return np.column_stack([Z, segment]), Z[:, 0] + t + rng.normal(size=2000), t


@pytest.mark.parametrize("estimand", ["ate", "att"])
def test_clipped_propensities_are_counted(estimand):
    X, y, t = poor_overlap()
    model = lines(segment=1, estimand=estimand, pool_nuisances=False)
    where = r"outside \[0\.01, 0\.99\]" if estimand == "ate" else r"above 0\.99"
    with pytest.warns(SegcateWarning, match=rf"SegmentAIPW: .*{where} in \d+ of 2000 rows"):
        model.fit(X, y, treatment=t)
    e = model.propensity_
    at_bound = (e == 0.99) | ((e == 0.01) & (estimand == "ate"))
    assert model.n_clipped_ == at_bound.sum() > 20
    assert e.max() == 0.99
    assert e.min() == 0.01 if estimand == "ate" else e.min() < 0.01
    inside = int(at_bound[X[:, 1] == 1].sum())
    share = f"{100 * inside / (X[:, 1] == 1).sum():.2g}"
    assert model.effects_.loc[1, "status"] == (
        f"ok: {inside} propensities clipped ({share} % of the rows)"
    )
    assert model.effects_.loc[0, "status"] == "ok"
    assert f"Clipped         {model.n_clipped_} propensities" in model.summary()


def test_propensities_handed_in_are_never_clipped():
    X, y, t = poor_overlap()
    given = 1 / (1 + np.exp(-np.where(X[:, 1] == 1, 3.0, 0.3) * X[:, 0]))
    model = SegmentAIPW(LinearRegression(), DecisionTreeClassifier(), segment=1, random_state=0)
    model.fit(X, y, treatment=t, propensity=given)
    np.testing.assert_array_equal(model.propensity_, given)
    assert model.n_clipped_ == 0
    assert "Propensity      handed in" in model.summary()


def test_without_a_bound_chances_of_zero_or_one_are_an_error():
    X, y, t = poor_overlap()
    model = SegmentAIPW(
        LinearRegression(), DecisionTreeClassifier(random_state=0), segment=1, clip=0,
        random_state=0,
    )  # fmt: skip
    with pytest.raises(OverlapError, match=r"exactly 0 or 1 in \d+ of 2000 rows.*Set `clip`"):
        model.fit(X, y, treatment=t)


# --- thin segments --------------------------------------------------------------------------------


@pytest.fixture
def thin():
    """Segment 1 has three treated rows."""
    data = small_study(11, n=300, n_segments=3)
    t = data.treatment.copy()
    t[data.segment == 1] = 0
    t[np.flatnonzero(data.segment == 1)[:3]] = 1
    return data.X.drop(columns="cell"), data.y, t


def test_pooled_models_serve_thin_segments(thin):
    X, y, t = thin
    row = lines(clip=0.001, min_per_arm=3).fit(X, y, treatment=t).effects_.loc[1]
    assert row["status"] == "ok"
    assert np.isfinite(row["std_error"])


def test_a_segment_too_thin_for_its_own_models_says_so(thin):
    X, y, t = thin
    n = int((X["segment"] == 1).sum()) - 3
    message = rf"segment 1: too few rows \(3 treated, {n} control; at least 5 of each for cv=5\)"
    with pytest.raises(EmptySegmentError, match=rf"{message}.*lower `cv`"):
        lines(pool_nuisances=False).fit(X, y, treatment=t)
    model = lines(pool_nuisances=False, on_empty="nan").fit(X, y, treatment=t)
    assert np.isnan(model.effects_.loc[1, "effect"])
    assert np.isnan(model.propensity_[X["segment"] == 1]).all()


@pytest.mark.parametrize("n_treated", [0, 1])
def test_segments_without_an_estimate_do_not_train_the_models(thin, n_treated):
    X, y, t = thin
    rows = np.flatnonzero(X["segment"] == 1)
    t[rows] = 0
    t[rows[:n_treated]] = 1
    found = lines(on_empty="nan").fit(X, y, treatment=t).effects_
    status = "no treated rows" if n_treated == 0 else "too few rows (1 treated, "
    assert found.loc[1, "status"].startswith(status)
    rest = X["segment"] != 1
    alone = lines().fit(X[rest], y[rest], treatment=t[rest]).effects_
    pd.testing.assert_frame_equal(
        found.loc[[0, 2], ["effect", "std_error"]], alone[["effect", "std_error"]]
    )


# --- inputs and parameters ------------------------------------------------------------------------


def test_strings_and_gaps_are_for_models_that_take_them():
    data = small_study(12, n=300, n_cells=3, n_segments=2)
    X = data.X.assign(z0=data.X["z0"].mask(data.X.index % 7 == 0))
    arguments = {"treatment": data.treatment, "propensity": data.score}
    trees = HistGradientBoostingRegressor(max_iter=10)
    with pytest.raises(ValueError, match=r"NaN, in the columns z0 \(43\).*missing='impute'"):
        lines().fit(X.drop(columns="cell"), data.y, **arguments)
    model = SegmentAIPW(trees, random_state=0).fit(X.drop(columns="cell"), data.y, **arguments)
    assert np.isfinite(model.effects_["std_error"]).all()
    assert np.isfinite(model.predict(X.drop(columns="cell"))).all()
    both = SegmentAIPW(trees, HistGradientBoostingClassifier(max_iter=10))
    assert both.__sklearn_tags__().input_tags.allow_nan
    assert not lines().__sklearn_tags__().input_tags.allow_nan


def test_columns_that_are_named_by_numbers():
    data = small_study(12, n=300, n_segments=2)
    X = data.X.drop(columns="cell")
    expected = lines().fit(X, data.y, treatment=data.treatment).effects_
    numbered = X.set_axis(range(4), axis=1)
    found = lines(segment=3).fit(numbered, data.y, treatment=data.treatment).effects_
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"estimand": "atc"}, ValueError, r"`estimand` must be one of \['ate', 'att'\]; got 'atc'"),
        ({"cv": 1}, ValueError, "`cv` must be a whole number of at least 2; got 1"),
        ({"cv": 2.5}, ValueError, r"`cv` must be a whole number of at least 2; got 2\.5"),
        ({"cv": "loo"}, TypeError, r"`cv` must be a number of folds, or pairs of arrays.*'loo'"),
        (
            {"cv": [([0, 1], [2, 3])]}, ValueError,
            r"each of the 80 rows once; 78 rows are never predicted, 0 more than once.*cv=5",
        ),
        (
            {"cv": [(range(1, 80), range(40)), (range(40), range(40, 80))]}, ValueError,
            r"39 rows would be predicted by models that saw them",
        ),
        ({"clip": 0.5}, ValueError, r"`clip` must be a number in \[0, 0\.5\); got 0\.5"),
        ({"pool_nuisances": "no"}, TypeError, r"`pool_nuisances` must be True or False; got 'no'"),
        ({"outcome_model": LinearRegression}, TypeError, "`outcome_model` must be .*an instance"),
        ({"propensity_model": LinearRegression()}, TypeError, "classifier with `predict_proba`"),
        ({"outcome_model": LogisticRegression()}, ValueError, "is a classifier.*y is not 0/1"),
    ],
)  # fmt: skip
def test_bad_parameters(options, error, message):
    data = small_study(0, n=80)
    with pytest.raises(error, match=message):
        lines(segment=None).set_params(**options).fit(data.Z, data.y, treatment=data.treatment)


def test_only_segments_leave_nothing_to_model():
    data = small_study(0, n=80, n_segments=2)
    with pytest.raises(ValueError, match=r"no covariates beside the segment.*SegmentRegression"):
        lines().fit(data.X[["segment"]], data.y, treatment=data.treatment)


def test_more_folds_than_rows_of_an_arm():
    data = small_study(0, n=80)
    t = np.zeros(80, int)
    t[:6] = 1
    with pytest.raises(ValueError, match=r"has 6 treated rows.*at least 7 are needed\. Lower `cv`"):
        lines(segment=None, cv=7).fit(data.Z, data.y, treatment=t)


def test_more_folds_than_groups():
    data = small_study(0, n=80, n_groups=3)
    with pytest.raises(ValueError, match=r"`groups` holds 3 groups, too few for cv=5.*Lower `cv`"):
        lines(segment=None).fit(data.Z, data.y, treatment=data.treatment, groups=data.groups)


def test_groups_treated_whole_leave_a_fold_without_an_arm():
    data = small_study(0, n=80, n_groups=6)
    with pytest.raises(ValueError, match=r"training rows with 0 treated.*merge groups"):
        lines(segment=None, cv=3).fit(
            data.Z, data.y, treatment=(data.groups == 0).astype(int), groups=data.groups
        )


@pytest.mark.parametrize("child", ["outcome_model", "propensity_model"])
def test_parameters_of_a_model_need_an_instance(child):
    with pytest.raises(ValueError, match=rf"'{child}__C' cannot be set because `{child}` is None"):
        SegmentAIPW(None).set_params(**{f"{child}__C": 2.0})
    model = SegmentAIPW(None).set_params(**{child: LogisticRegression(), f"{child}__C": 2.0})
    assert getattr(model, child).C == 2.0


def test_a_binary_outcome_takes_a_classifier():
    data = small_study(13, n=600, n_segments=2)
    y = (data.y > 1).astype(int)
    model = SegmentAIPW(LogisticRegression(), LogisticRegression(), random_state=0)
    found = model.fit(data.X.drop(columns="cell"), y, treatment=data.treatment)
    assert found.effects_["effect"].between(0.1, 0.5).all()


@pytest.mark.filterwarnings("ignore:.*was clipped there:segcate.exceptions.SegcateWarning")
def test_the_default_models_find_a_bent_effect():
    """The outcome bends, and who is treated with it: lines are wrong, the default models are not.

    The chance of treatment is above .99 in one row of fifty.
    """
    rng = np.random.default_rng(14)
    n = 2000
    Z = rng.normal(size=(n, 2))
    t = (rng.random(n) < 1 / (1 + np.exp(-(Z[:, 0] ** 2 - 1)))).astype(int)
    y = 2 * Z[:, 0] ** 2 + t + rng.normal(size=n)
    naive = lines(segment=None).fit(Z, y, treatment=t).overall_
    assert abs(naive["effect"] - 1) > 5 * naive["std_error"]
    row = SegmentAIPW(None, segment=None, cv=2, random_state=0).fit(Z, y, treatment=t).overall_
    assert abs(row["effect"] - 1) < 3 * row["std_error"], row


# --- no overlap -----------------------------------------------------------------------------------


def told_apart():
    """Draw two segments; in the first a covariate tells the arms apart."""
    rng = np.random.default_rng(101)
    x = rng.normal(size=600)
    t = (rng.random(600) < 1 / (1 + np.exp(-x))).astype(int)
    segment = rng.integers(0, 2, 600)
    z = np.where(segment == 0, t + 0.1 * rng.normal(size=600), rng.normal(size=600))
    X = pd.DataFrame({"x": x, "z": z, "segment": segment})
    return X, x + 2 * t + rng.normal(size=600), t


@pytest.mark.filterwarnings("ignore:.*was clipped there:segcate.exceptions.SegcateWarning")
@pytest.mark.parametrize("estimand", ["ate", "att"])
@pytest.mark.parametrize("pool_nuisances", [True, False])
@pytest.mark.parametrize("kind", ["logit", "tree", "default"])
def test_a_segment_without_overlap_has_no_estimate(estimand, pool_nuisances, kind):
    X, y, t = told_apart()
    models = {
        "logit": (LinearRegression(), LogisticRegression()),
        "tree": (LinearRegression(), DecisionTreeClassifier(max_depth=4, random_state=0)),
        "default": (None, None),
    }[kind]
    options = {"estimand": estimand, "pool_nuisances": pool_nuisances, "random_state": 0}
    table = SegmentAIPW(*models, on_empty="nan", **options).fit(X, y, treatment=t).effects_
    assert table.loc[0, "status"].startswith("no overlap of scores")
    assert np.isnan(table.loc[0, ["effect", "std_error", "ci_low"]].astype(float)).all()
    assert table.loc[1, "status"].startswith("ok")
    with pytest.raises(EmptySegmentError, match="segment 0: no overlap of scores"):
        SegmentAIPW(*models, **options).fit(X, y, treatment=t)


@pytest.mark.parametrize("shift", [1e6, 1e12])
def test_a_shift_of_a_covariate_changes_no_standard_error(shift):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 40, 300).astype(float), rng.normal(size=300)
    t = rng.integers(0, 2, 300)
    y = 0.1 * a + b + t + rng.normal(size=300)
    near, far = (
        SegmentAIPW(None, segment=None, random_state=0)
        .fit(pd.DataFrame({"a": column, "b": b}), y, treatment=t)
        .effects_["std_error"]
        for column in (a, a + shift)
    )
    assert far.to_numpy() == pytest.approx(near.to_numpy(), rel=1e-10)
