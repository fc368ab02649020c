"""Effect scores: the formula, the cross-fitting, what they are right for, and bad input."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from segcate._nuisance.pseudo_outcomes import doubly_robust_scores
from segcate.exceptions import OverlapError, SegcateWarning
from segcate.metrics import effect_scores, qini_score
from tests._nuisance.test_pseudo_outcomes import CASES

LINEAR = {
    "outcome_model": LinearRegression(),
    "propensity_model": LogisticRegression(),
    "random_state": 0,
    "clip": 0,
}


def observational(n=500, seed=0, confounding=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    propensity = 1 / (1 + np.exp(-confounding * X[:, 0]))
    treatment = (rng.random(n) < propensity).astype(int)
    effect = 1 + X[:, 1]
    y = 2 * X[:, 0] + effect * treatment + rng.normal(size=n)
    return X, y, treatment, effect, propensity


class Spy(BaseEstimator):
    """Remember the rows seen (the last column of X is the row's number), and refuse them later."""

    def __init__(self, log=None, blocks=None):
        self.log = log
        self.blocks = blocks

    def __sklearn_clone__(self):
        return type(self)(self.log, self.blocks)

    def fit(self, X, y, sample_weight=None):
        self.rows_ = set(np.asarray(X)[:, -1].astype(int).tolist())
        self.classes_ = np.array([0, 1])
        self.log.append((self.rows_, np.asarray(y), sample_weight))
        return self

    def _check(self, X):
        rows = np.asarray(X)[:, -1].astype(int)
        assert not self.rows_ & set(rows.tolist()), "a row was predicted by a model that saw it"
        if self.blocks is not None:
            assert not set(self.blocks[list(self.rows_)]) & set(self.blocks[rows])


class SpyRegressor(RegressorMixin, Spy):
    def predict(self, X):
        self._check(X)
        return np.zeros(len(X))


class SpyClassifier(ClassifierMixin, Spy):
    def predict_proba(self, X):
        self._check(X)
        return np.full((len(X), 2), 0.5)


# The formula


@pytest.mark.parametrize("name", list(CASES))
def test_reference_scores(name):
    data = {key: np.array(values) for key, values in CASES[name]["input"].items()}
    y, treatment = data["y"], data["treatment"]
    nuisances = {key: data[key] for key in ("propensity", "mu0", "mu1")}
    robust = effect_scores(None, y, treatment=treatment, **nuisances)
    np.testing.assert_allclose(robust, data["psi_aipw"], rtol=1e-9, atol=1e-9)
    centred = effect_scores(None, y, treatment=treatment, design="experiment")
    np.testing.assert_allclose(centred, data["psi_armcentred"], rtol=1e-9, atol=1e-9)
    also_robust = effect_scores(None, y, treatment=treatment, design="experiment", **nuisances)
    np.testing.assert_array_equal(also_robust, robust)


def test_handed_in_nuisances_are_mixed_with_fitted_ones():
    X, y, treatment, effect, propensity = observational()
    known = effect_scores(
        X,
        y,
        treatment=treatment,
        mu0=2 * X[:, 0],
        mu1=2 * X[:, 0] + effect,
        **{key: LINEAR[key] for key in ("propensity_model", "random_state")},
    )
    handed_in = effect_scores(
        X, y, treatment=treatment, propensity=propensity, mu0=2 * X[:, 0], mu1=2 * X[:, 0] + effect
    )
    assert np.corrcoef(known, handed_in)[0, 1] > 0.97
    expected = doubly_robust_scores(
        y, treatment.astype(np.int8), propensity, 2 * X[:, 0], 2 * X[:, 0] + effect
    )
    np.testing.assert_array_equal(handed_in, expected)


def test_an_experiment_with_covariates_is_narrower():
    X, y, treatment, effect, _ = observational(2000, confounding=0.0)
    plain = effect_scores(None, y, treatment=treatment, design="experiment")
    adjusted = effect_scores(
        X,
        y,
        treatment=treatment,
        design="experiment",
        outcome_model=LinearRegression(),
        random_state=0,
    )
    assert adjusted.mean() == pytest.approx(effect.mean(), abs=4 * adjusted.std() / math.sqrt(2000))
    assert adjusted.std() < 0.6 * plain.std()


def test_weights_of_an_experiment_repeat_its_rows():
    _, y, treatment, _, _ = observational(60)
    weight = np.random.default_rng(1).integers(1, 4, 60)
    weighted = effect_scores(
        None, y, treatment=treatment, design="experiment", sample_weight=weight
    )
    repeated = effect_scores(
        None, np.repeat(y, weight), treatment=np.repeat(treatment, weight), design="experiment"
    )
    np.testing.assert_allclose(np.repeat(weighted, weight), repeated, rtol=1e-12)


# Cross-fitting


def test_no_row_is_predicted_by_a_model_that_saw_it():
    X, y, treatment, _, _ = observational(100)
    X = np.column_stack([X, np.arange(100)])
    outcomes, chances = [], []
    effect_scores(
        X,
        y,
        treatment=treatment,
        outcome_model=SpyRegressor(outcomes),
        propensity_model=SpyClassifier(chances),
        cv=4,
    )
    assert len(chances) == 4
    assert len(outcomes) == 8
    for rows, seen, _ in chances:
        np.testing.assert_array_equal(np.sort(seen), np.sort(treatment[list(rows)]))
    arms = [set(treatment[list(rows)].tolist()) for rows, _, _ in outcomes]
    assert arms.count({0}) == arms.count({1}) == 4
    for rows, seen, _ in outcomes:
        assert sorted(seen) == sorted(y[list(rows)])


def test_whole_groups_are_left_out():
    X, y, treatment, _, _ = observational(120)
    X = np.column_stack([X, np.arange(120)])
    groups = np.random.default_rng(0).integers(0, 12, 120)
    effect_scores(
        X,
        y,
        treatment=treatment,
        outcome_model=SpyRegressor([], groups),
        propensity_model=SpyClassifier([], groups),
        groups=groups,
        cv=3,
    )


def test_weights_reach_the_models():
    X, y, treatment, _, _ = observational(100)
    X = np.column_stack([X, np.arange(100)])
    weight = np.random.default_rng(0).random(100)
    log = []
    effect_scores(
        X,
        y,
        treatment=treatment,
        outcome_model=SpyRegressor(log),
        propensity=np.full(100, 0.5),
        sample_weight=weight,
        cv=2,
    )
    for rows, _, seen in log:
        mean = weight.mean()  # of weights only the ratios count: models get them on one scale
        np.testing.assert_allclose(np.sort(seen), np.sort(weight[list(rows)]) / mean, rtol=1e-14)


def test_folds_have_both_arms_although_rows_are_sorted():
    X, y, treatment, _, _ = observational(100)
    order = np.argsort(treatment, kind="stable")
    psi = effect_scores(X[order], y[order], treatment=treatment[order], **LINEAR)
    assert np.isfinite(psi).all()


def test_same_seed_same_scores_for_any_n_jobs():
    X, y, treatment, _, _ = observational(120)
    one = effect_scores(X, y, treatment=treatment, cv=2, random_state=0)
    with parallel_config(backend="threading"):
        two = effect_scores(X, y, treatment=treatment, cv=2, random_state=0, n_jobs=2)
    np.testing.assert_array_equal(one, two)
    other = effect_scores(X, y, treatment=treatment, cv=2, random_state=1)
    assert (other != one).any()


# What they are right for


def naive_difference(y, treatment):
    return y[treatment == 1].mean() - y[treatment == 0].mean()


@pytest.mark.parametrize(
    "models",
    [
        {"outcome_model": LinearRegression(), "propensity_model": LogisticRegression()},
        {"outcome_model": DummyRegressor(), "propensity_model": LogisticRegression()},
        {"outcome_model": LinearRegression(), "propensity_model": DummyClassifier()},
    ],
    ids=["both right", "outcome wrong", "propensity wrong"],
)
def test_one_right_model_is_enough(models):
    X, y, treatment, effect, _ = observational(20_000)
    psi = effect_scores(X, y, treatment=treatment, random_state=0, **models)
    std_error = psi.std() / math.sqrt(len(psi))
    assert abs(psi.mean() - effect.mean()) < 3 * std_error
    assert abs(naive_difference(y, treatment) - effect.mean()) > 25 * std_error


def test_the_ranking_by_a_confounder_does_not_win():
    # Treatment is confounded only where x2 > 0, so without adjustment ranking by x2 looks good;
    # the effect follows x0.
    wins, unadjusted_wins = 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(2000, 3))
        pull = 2 * X[:, 1] * (X[:, 2] > 0)
        treatment = (rng.random(2000) < 1 / (1 + np.exp(-pull))).astype(int)
        y = 3 * X[:, 1] * (X[:, 2] > 0) + 0.5 * X[:, 0] * treatment + rng.normal(size=2000)
        features = np.column_stack([X, X[:, 1] * (X[:, 2] > 0)])
        psi = effect_scores(features, y, treatment=treatment, **LINEAR)
        wins += qini_score(psi, X[:, 0]) > qini_score(psi, X[:, 2])
        unadjusted = [
            qini_score(y, X[:, k], treatment=treatment, design="experiment") for k in (0, 2)
        ]
        unadjusted_wins += unadjusted[0] > unadjusted[1]
    assert wins == 10
    assert unadjusted_wins <= 1


@pytest.mark.filterwarnings("ignore:.*was clipped there:segcate.exceptions.SegcateWarning")
def test_default_models_adjust_for_what_a_line_cannot_follow():
    """The chance of treatment is above .99 in a few rows, and the models find them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    bend = X[:, 0] ** 2 - 1
    treatment = (rng.random(3000) < 1 / (1 + np.exp(-bend / 2))).astype(int)
    y = 2 * bend + (1 + X[:, 1]) * treatment + rng.normal(size=3000)
    psi = effect_scores(X, y, treatment=treatment, cv=3, random_state=0)
    line = effect_scores(X, y, treatment=treatment, **LINEAR)
    assert abs(psi.mean() - 1) < 0.12
    assert abs(line.mean() - 1) > 0.8


def test_default_models_on_a_binary_outcome():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 3))
    treatment = (rng.random(2000) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    risk = 1 / (1 + np.exp(-(X[:, 0] - 1)))
    effect = 0.2 * (X[:, 1] > 0)
    y = rng.random(2000) < np.clip(risk + effect * treatment, 0, 1)
    psi = effect_scores(X, y, treatment=treatment, cv=2, random_state=0)
    assert abs(psi.mean() - effect.mean()) < 3 * psi.std() / math.sqrt(2000)
    assert abs(naive_difference(y.astype(float), treatment) - effect.mean()) > 0.1
    assert qini_score(psi, X[:, 1] > 0) > 0.02


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::segcate.exceptions.SegcateWarning")
@pytest.mark.parametrize(
    ("n_draws", "options", "least"),
    [(150, LINEAR, 0.9), (40, {"cv": 2}, 0.85)],  # 3 binomial standard errors below 95 %
    ids=["linear", "default"],
)
def test_intervals_of_the_mean_cover_the_effect(n_draws, options, least):
    errors = np.empty(n_draws)
    for seed in range(n_draws):
        X, y, treatment, _, _ = observational(400, seed + 100)
        psi = effect_scores(X, y, treatment=treatment, **{"random_state": seed, **options})
        errors[seed] = (psi.mean() - 1) / psi.std(ddof=1) * 20
    assert least <= (np.abs(errors) < 1.96).mean() <= 0.99 + 1 / n_draws
    assert abs(errors.mean()) < 3 / math.sqrt(n_draws)


# Containers and kinds of columns


def test_containers_do_not_matter():
    X, y, treatment, _, _ = observational(150)
    expected = effect_scores(X, y, treatment=treatment, **LINEAR)
    index = pd.Index(np.arange(150)[::-1] + 7)
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=index)
    series = pd.Series(y, index), pd.Series(treatment.astype(bool), index)
    np.testing.assert_allclose(
        effect_scores(frame, series[0], treatment=series[1], **LINEAR), expected, rtol=1e-10
    )
    np.testing.assert_allclose(
        effect_scores(
            pl.DataFrame(X, schema=["a", "b", "c"]), pl.Series(y), treatment=treatment, **LINEAR
        ),
        expected,
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        effect_scores(X.tolist(), y.tolist(), treatment=treatment.tolist(), **LINEAR),
        expected,
        rtol=1e-10,
    )


def test_text_categories_and_gaps_are_covariates():
    rng = np.random.default_rng(0)
    region = rng.choice(["north", "south", "west"], 600)
    plan = pd.Categorical(rng.choice(["basic", "pro"], 600))
    age = np.where(rng.random(600) < 0.2, np.nan, rng.normal(size=600))
    pull = 1.5 * (region == "south") + np.isnan(age)
    treatment = (rng.random(600) < 1 / (1 + np.exp(1 - pull))).astype(int)
    y = 3 * pull + treatment + 0.5 * rng.normal(size=600)
    frame = pd.DataFrame({"region": region, "plan": plan, "age": age})
    psi = effect_scores(frame, y, treatment=treatment, cv=2, random_state=0)
    assert abs(psi.mean() - 1) < 0.15
    assert naive_difference(y, treatment) > 2
    polars = pl.DataFrame({"region": region, "plan": np.asarray(plan), "age": age})
    np.testing.assert_allclose(
        effect_scores(polars, y, treatment=treatment, cv=2, random_state=0), psi, rtol=1e-9
    )


def test_models_get_the_columns_as_they_came():
    X, y, treatment, _, _ = observational(100)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    seen = []

    class Columns(LinearRegression):
        def fit(self, X, y):
            seen.append(list(X.columns))
            return super().fit(X, y)

    effect_scores(
        frame, y, treatment=treatment, outcome_model=Columns(), propensity=np.full(100, 0.5)
    )
    assert seen == [["a", "b", "c"]] * 10
    pipe = make_pipeline(StandardScaler(), LinearRegression())
    psi = effect_scores(X, y, treatment=treatment, **{**LINEAR, "outcome_model": pipe})
    np.testing.assert_allclose(psi, effect_scores(X, y, treatment=treatment, **LINEAR), rtol=1e-8)


def test_few_rows_and_an_arm_without_events():
    X, y, treatment, _, _ = observational(24)
    psi = effect_scores(X, y, treatment=treatment, cv=2, random_state=0, clip=0)
    assert np.isfinite(psi).all()
    no_events = np.where(treatment == 1, (y > 0).astype(int), 0)
    psi = effect_scores(
        X, no_events, treatment=treatment, cv=2, random_state=0, propensity=np.full(24, 0.5)
    )
    assert np.isfinite(psi).all()


# Overlap


def test_clipped_propensities_are_counted():
    X, y, treatment, _, _ = observational(300, confounding=4)
    with pytest.warns(
        SegcateWarning, match=r"outside \[0\.05, 0\.95\] in (\d+) of 300 rows"
    ) as caught:
        clipped = effect_scores(X, y, treatment=treatment, **{**LINEAR, "clip": 0.05})
    (caught,) = (warning for warning in caught if warning.category is SegcateWarning)
    n_clipped = int(str(caught.message).split(" in ")[1].split(" of ")[0])
    free = effect_scores(X, y, treatment=treatment, **LINEAR)
    assert 100 < n_clipped < 280
    assert (clipped != free).sum() == n_clipped
    assert caught.filename == __file__


def test_a_propensity_handed_in_is_never_clipped():
    _, y, treatment, _, _ = observational(50)
    propensity = np.where(treatment == 1, 0.001, 0.999)
    psi = effect_scores(None, y, treatment=treatment, propensity=propensity, mu0=y * 0, mu1=y * 0)
    np.testing.assert_allclose(np.abs(psi), np.abs(y) * 1000, rtol=1e-9)


def test_a_propensity_of_exactly_zero_is_an_error_without_clipping():
    X, y, treatment, _, _ = observational(100)
    tree = {**LINEAR, "propensity_model": DecisionTreeClassifier(random_state=0)}
    with pytest.raises(OverlapError, match=r"exactly 0 or 1 in 100 of 100 rows.*`clip`"):
        effect_scores(X, y, treatment=treatment, **tree)
    with pytest.warns(SegcateWarning, match="in 100 of 100 rows"):
        effect_scores(X, y, treatment=treatment, **{**tree, "clip": 0.01})


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treatment": None}, "needs `treatment`, but none came"),
        ({"treatment": np.zeros(60)}, "no treated rows among 60"),
        ({"treatment": np.ones(60)}, "no control rows among 60"),
        ({"treatment": np.arange(60) % 3 + 1}, "must hold every code from 0"),
        ({"treatment": np.arange(59) % 2}, "`treatment` has 59 values for 60 rows"),
        ({"treatment": np.repeat([0, 1], [57, 3])}, "has 3 treated rows"),
        (
            {"treatment": np.arange(60) < 30, "sample_weight": np.arange(60) // 30},
            "no treated rows",
        ),
        ({"design": "rct"}, "`design` must be one of"),
        ({"cv": 1}, "`cv` must be a whole number of at least 2; got 1"),
        ({"cv": 2.0}, "`cv` must be a whole number of at least 2"),
        ({"clip": 0.5}, r"`clip` must be a number in \[0, 0\.5\); got 0\.5"),
        ({"clip": None}, "`clip` must be a number"),
        ({"mu0": np.zeros(60)}, "`mu0` was given without `mu1`"),
        ({"mu1": np.zeros(60)}, "`mu1` was given without `mu0`"),
        ({"mu0": np.full(60, np.nan), "mu1": np.zeros(60)}, "`mu0` is NaN or infinite in 60"),
        ({"propensity": np.zeros(60)}, r"`propensity` must lie strictly inside \(0, 1\)"),
        ({"sample_weight": -np.ones(60)}, "`sample_weight` must be finite and not negative"),
        ({"groups": np.zeros(60)}, "`groups` holds one group only"),
        ({"groups": np.arange(60) % 3}, "`groups` holds 3 groups, too few for cv=5"),
        (
            {
                "propensity": np.full(60, 0.5),
                "propensity_model": LogisticRegression(),
            },
            "either `propensity_model` or `propensity`",
        ),
        (
            {"outcome_model": LinearRegression(), "mu0": np.zeros(60), "mu1": np.zeros(60)},
            "either `outcome_model` or `mu0` and `mu1`",
        ),
        (
            {"design": "experiment", "propensity_model": LogisticRegression()},
            "`propensity_model` with design='experiment'",
        ),
        ({"outcome_model": LogisticRegression()}, "is a classifier, .* and y is not 0/1"),
        (
            {"outcome_model": KNeighborsRegressor(), "sample_weight": np.arange(60)},
            "takes no `sample",
        ),
    ],
)
def test_bad_arguments_are_named(change, message):
    X, y, treatment, _, _ = observational(60)
    with pytest.raises(ValueError, match=message):
        effect_scores(X, y, **{"treatment": treatment, "random_state": 0, **change})


def test_models_of_the_wrong_kind_are_named():
    X, y, treatment, _, _ = observational(60)
    with pytest.raises(TypeError, match=r"`outcome_model` must be a scikit-learn estimator"):
        effect_scores(X, y, treatment=treatment, outcome_model=LinearRegression)
    with pytest.raises(
        TypeError, match=r"`propensity_model` must be a classifier with `predict_pro"
    ):
        effect_scores(X, y, treatment=treatment, propensity_model=LinearRegression())
    with pytest.raises(TypeError, match=r"classifier without `predict_proba`"):
        effect_scores(X, y > 0, treatment=treatment, outcome_model=RidgeClassifier())


def test_bad_data_is_named():
    X, y, treatment, _, _ = observational(60)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        effect_scores(X, np.where(y > 0, y, np.nan), treatment=treatment)
    with pytest.raises(ValueError, match="X is None, and models"):
        effect_scores(None, y, treatment=treatment)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        effect_scores(np.where(X > 1, np.inf, X), y, treatment=treatment)
    frame = pd.DataFrame(np.where(X > 1, np.inf, X), columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"X contains infinity in column 'a' \(\d+ rows\)"):
        effect_scores(frame, y, treatment=treatment)
    frame = pd.DataFrame({"a": X[:, 0], "user": [f"u{i}" for i in range(60)]})
    with pytest.raises(ValueError, match=r"olumn 'user' of X has 60 different values in 60 rows"):
        effect_scores(frame, y, treatment=treatment)
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=range(1, 61))
    with pytest.raises(ValueError, match="index of `treatment` differs"):
        effect_scores(frame, y, treatment=pd.Series(treatment))


def test_a_model_that_predicts_nothing_is_named():
    X, y, treatment, _, _ = observational(60)

    class Broken(LinearRegression):
        def predict(self, X):
            return np.full(len(X), np.nan)

    with pytest.raises(ValueError, match=r"the outcome_model, Broken, predicts NaN"):
        effect_scores(X, y, treatment=treatment, **{**LINEAR, "outcome_model": Broken()})


def test_groups_that_cannot_give_both_arms_to_every_fold():
    X, y, _, _, _ = observational(60)
    groups = np.arange(60) // 6
    with pytest.raises(ValueError, match=r"keeping groups whole leaves a fold's .* 0 treated"):
        effect_scores(X, y, treatment=groups == 0, groups=groups)


def test_nothing_given_is_changed():
    X, y, treatment, _, _ = observational(60)
    model, frame = LinearRegression(), pd.DataFrame(X, columns=["a", "b", "c"])
    before = frame.copy()
    effect_scores(frame, y, treatment=treatment, **{**LINEAR, "outcome_model": model})
    pd.testing.assert_frame_equal(frame, before)
    assert not hasattr(model, "coef_")


def three_arms(n=4000, seed=0):
    """Draw an observational study of two treatments whose effects are known."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    logits = np.column_stack([np.zeros(n), X[:, 0], -X[:, 0]])
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    treatment = (rng.random(n)[:, None] > chance.cumsum(axis=1)[:, :2]).sum(axis=1)
    mu = np.column_stack([2 * X[:, 0], 2 * X[:, 0] + 1 + X[:, 1], 2 * X[:, 0] - 0.5])
    y = mu[np.arange(n), treatment] + rng.normal(size=n)
    return X, y, treatment, chance, mu


def test_scores_of_several_arms_are_unbiased_for_each():
    X, y, treatment, chance, mu = three_arms()
    models = {"outcome_model": LinearRegression(), "propensity_model": LogisticRegression()}
    fitted = effect_scores(X, y, treatment=treatment, clip=0, random_state=0, **models)
    known = effect_scores(
        None, y, treatment=treatment, propensity=chance, mu0=mu[:, 0], mu1=mu[:, 1:]
    )
    for psi in (fitted, known):
        error = psi.mean(axis=0) - (mu[:, 1:] - mu[:, :1]).mean(axis=0)
        assert (np.abs(error) < 3 * psi.std(axis=0) / np.sqrt(len(y))).all()
    at = np.flatnonzero(treatment == 2)[0]
    by_hand = mu[at, 2] - mu[at, 0] + (y[at] - mu[at, 2]) / chance[at, 2]
    np.testing.assert_allclose(known[at], [mu[at, 1] - mu[at, 0], by_hand])


def test_an_experiment_of_several_arms_gives_differences_in_means():
    rng = np.random.default_rng(0)
    y, treatment = rng.normal(size=300), np.arange(300) % 3
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    means = np.array([y[treatment == arm].mean() for arm in range(3)])
    np.testing.assert_allclose(psi.mean(axis=0), means[1:] - means[0])
    moved = effect_scores(None, y + 7, treatment=treatment, design="experiment")
    np.testing.assert_allclose(moved, psi, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensity": np.full(300, 0.3)}, "must have 3 columns"),
        ({"propensity": np.full((300, 3), 0.3)}, "must sum to 1; 300 of 300"),
        ({"mu0": np.zeros(300), "mu1": np.zeros(300)}, "`mu1` must have 2 columns"),
        ({"sample_weight": (np.arange(300) % 3 != 2) * 1.0}, "no rows of arm 2 among 300"),
    ],
)
def test_bad_input_with_several_arms(change, message):
    data = {"treatment": np.arange(300) % 3, "design": "experiment", **change}
    with pytest.raises(ValueError, match=message):
        effect_scores(None, np.zeros(300), **data)
