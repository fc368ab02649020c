"""causalml's models through the adapter: the same numbers as by hand, on our contract."""

from __future__ import annotations

import copy
import pickle
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

import segcate
from segcate.cate import CausalMLEstimator, SegmentedCATE
from segcate.datasets import make_uplift
from segcate.effects import SegmentMatching
from segcate.exceptions import SegcateWarning
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold
from tests.helpers.other_libraries import import_causalml

meta = import_causalml("meta")
tree = import_causalml("tree")

needs_trees_of_018 = pytest.mark.skipif(
    version("causalml").startswith("0.17"),
    reason="trees of causalml 0.17 are not honest, and name arms by strings",
)
CART = DecisionTreeRegressor(max_depth=3, random_state=0)
LOGIT = LogisticRegression()


@pytest.fixture(autouse=True)
def threads():
    """causalml's R-learner asks for all cores: let it have threads, not processes."""
    with parallel_config(backend="threading"):
        yield


@pytest.fixture(scope="module")
def study():
    """Observational data as arrays, with propensities that are known."""
    data = make_uplift(800, design="observational", n_features=4, random_state=0)
    rng = np.random.default_rng(1)
    return {
        "X": data.X.to_numpy(),
        "y": data.y.to_numpy(),
        "visit": (data.y > data.y.median()).to_numpy().astype(float),
        "treatment": data.treatment.to_numpy(),
        "arms": rng.integers(0, 3, 800),
        "propensity": np.clip(data.propensity.to_numpy(), 0.05, 0.95),
        "new": rng.normal(size=(50, 4)),
    }


# A learner, its outcome, and what its fit and predict get by hand beside X, treatment and y.
BY_HAND = {
    "S": (lambda: meta.BaseSRegressor(CART), "y", {}),
    "T": (lambda: meta.BaseTRegressor(CART), "y", {}),
    "X": (lambda: meta.BaseXRegressor(CART), "y", {"p"}),
    "R": (lambda: meta.BaseRRegressor(CART, random_state=3), "y", {"p"}),
    "DR": (lambda: meta.BaseDRRegressor(CART), "y", {"p", "seed"}),
    "T-two-learners": (
        lambda: meta.BaseTRegressor(control_learner=Ridge(), treatment_learner=CART), "y", {},
    ),
    "S-classifier": (lambda: meta.BaseSClassifier(LOGIT), "visit", {}),
    "T-classifier": (lambda: meta.BaseTClassifier(LOGIT), "visit", {}),
    "X-classifier": (lambda: meta.BaseXClassifier(LOGIT, CART), "visit", {"p"}),
    "R-classifier": (lambda: meta.BaseRClassifier(LOGIT, CART, random_state=3), "visit", {"p"}),
    "OLS": (lambda: meta.LRSRegressor(), "y", {}),
    "XGBT": (lambda: meta.XGBTRegressor(n_estimators=4, max_depth=2), "y", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BY_HAND))
def test_predictions_equal_the_learner_called_by_hand(name, study):
    make, outcome, needs = BY_HAND[name]
    given = {"p": study["propensity"], "seed": 5}
    theirs = make()
    theirs.fit(
        X=study["X"], treatment=study["treatment"], y=study[outcome],
        **{key: given[key] for key in needs},
    )  # fmt: skip
    ours = CausalMLEstimator(make(), propensity_model=LOGIT, random_state=5)
    ours.fit(
        study["X"],
        study[outcome],
        treatment=study["treatment"],
        propensity=study["propensity"],
    )
    weighing = {}
    if name.startswith("X-") or name == "X":
        logit = clone(LOGIT).fit(study["X"], study["treatment"])
        weighing["p"] = np.clip(logit.predict_proba(study["new"])[:, 1], 0.01, 0.99)
    by_hand = theirs.predict(X=study["new"], **weighing)
    # The X-learner's chance is normalised by both arms, which may move its last bit.
    assert np.abs(ours.predict(study["new"]) - by_hand[:, 0]).max() < 1e-12


@needs_trees_of_018
@pytest.mark.parametrize("kind", ["tree", "forest"])
def test_causal_trees_get_inverse_propensities_as_weights(kind, study):
    small = {"min_samples_leaf": 20, "min_group_samples": 5, "random_state": 0}
    make = {
        "tree": lambda: tree.CausalTreeRegressor(**small),
        "forest": lambda: tree.CausalRandomForestRegressor(n_estimators=8, **small),
    }[kind]
    t, p = study["treatment"], study["propensity"]
    theirs = make()
    weight = np.where(t == 1, 1 / p, 1 / (1 - p))
    counts = 1.0 + np.arange(len(t)) % 2
    theirs.fit(X=study["X"], treatment=t, y=study["y"], sample_weight=counts * weight)
    ours = CausalMLEstimator(make()).fit(
        study["X"], study["y"], treatment=t, propensity=p, sample_weight=counts
    )
    assert np.array_equal(ours.predict(study["new"]), np.ravel(theirs.predict(X=study["new"])))


@needs_trees_of_018
@pytest.mark.parametrize("kind", ["UpliftTreeClassifier", "UpliftRandomForestClassifier"])
def test_uplift_trees_equal_those_grown_by_hand(kind, study):
    def make():
        return getattr(tree, kind)(control_name=0, max_depth=3, max_features=4, random_state=0)

    theirs = make()
    theirs.fit(X=study["X"], treatment=study["arms"], y=study["visit"])
    by_hand = theirs.predict(X=study["new"])
    if kind == "UpliftTreeClassifier":
        by_hand = by_hand[:, 1:] - by_hand[:, [0]]
    ours = CausalMLEstimator(make()).fit(study["X"], study["visit"], treatment=study["arms"])
    assert ours.predict(study["new"]).shape == (50, 2)
    assert np.array_equal(ours.predict(study["new"]), by_hand)


@pytest.mark.parametrize("name", ["S", "T", "X", "R", "DR"])
def test_several_arms_have_a_column_each(name, study):
    ours = CausalMLEstimator(BY_HAND[name][0](), propensity_model=LOGIT, random_state=5)
    ours.fit(study["X"], study["y"], treatment=study["arms"])
    found = ours.predict(study["new"])
    assert found.shape == (50, 2)
    assert ours.arms_.tolist() == [1, 2]
    if name in ("S", "T"):
        theirs = BY_HAND[name][0]()
        theirs.fit(X=study["X"], treatment=study["arms"], y=study["y"])
        assert np.array_equal(found, theirs.predict(X=study["new"]))
    if name in ("R", "DR"):
        chance = ours.propensity_
        pair = {k: chance[:, k] / (chance[:, k] + chance[:, 0]) for k in (1, 2)}
        theirs = BY_HAND[name][0]()
        more = {"seed": 5} if name == "DR" else {}
        theirs.fit(X=study["X"], treatment=study["arms"], y=study["y"], p=pair, **more)
        assert np.array_equal(found, theirs.predict(X=study["new"]))


def test_fit_leaves_the_model_alone(study):
    for name in ("R", "XGBT", "DR"):
        model = BY_HAND[name][0]()
        before = pickle.dumps(model)
        CausalMLEstimator(model, random_state=0).fit(
            study["X"], study["y"], treatment=study["treatment"], propensity=study["propensity"]
        )
        assert pickle.dumps(model) == before


def confounded(seed: int = 1):
    """Users whose chance of treatment follows what moves the outcome; the effect is 0.99."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1000, 5))
    treatment = (rng.random(1000) < 1 / (1 + np.exp(-1.5 * X[:, 0]))).astype(int)
    return X, 2 * X[:, 0] + 0.99 * treatment + rng.normal(size=1000), treatment


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of their own call of LogisticRegressionCV
def test_dr_learner_finds_the_effect_that_its_default_propensity_misses():
    X, y, treatment = confounded()
    theirs = meta.BaseDRRegressor(LinearRegression())
    theirs.fit(X=X, treatment=treatment, y=y, seed=0)
    assert abs(theirs.predict(X=X).mean() - 0.99) > 2
    ours = CausalMLEstimator(meta.BaseDRRegressor(LinearRegression()), random_state=0)
    ours.set_params(propensity_model=LOGIT, clip=0.001).fit(X, y, treatment=treatment)
    assert abs(ours.predict(X).mean() - 0.99) < 0.3


@needs_trees_of_018
def test_causal_forest_adjusts_for_confounding_as_its_own_does_not():
    X, y, treatment = confounded()
    forest = tree.CausalRandomForestRegressor(
        n_estimators=30, min_samples_leaf=50, min_group_samples=20, random_state=0
    )
    theirs = copy.deepcopy(forest)
    theirs.fit(X=X, treatment=treatment, y=y)
    naive = y[treatment == 1].mean() - y[treatment == 0].mean()
    ours = CausalMLEstimator(forest, propensity_model=LOGIT, clip=0.001)
    ours.fit(X, y, treatment=treatment)
    assert naive > 2.5
    assert theirs.predict(X=X).mean() > 1.5
    assert abs(ours.predict(X).mean() - 0.99) < 0.3


def test_propensity_is_cross_fitted_unless_it_is_handed_in(study):
    model = CausalMLEstimator(meta.BaseDRRegressor(CART), propensity_model=LOGIT, random_state=0)
    model.fit(study["X"], study["y"], treatment=study["treatment"])
    in_sample = clone(LOGIT).fit(study["X"], study["treatment"]).predict_proba(study["X"])
    assert model.propensity_.shape == (800, 2)
    assert 0 < np.abs(model.propensity_ - in_sample).max() < 0.1
    model.fit(study["X"], study["y"], treatment=study["treatment"], propensity=study["propensity"])
    assert np.array_equal(model.propensity_[:, 1], study["propensity"])


def test_clipped_chances_are_counted(study):
    model = CausalMLEstimator(meta.BaseDRRegressor(CART), propensity_model=LOGIT, clip=0.3)
    with pytest.warns(SegcateWarning, match=r"outside \[0.3, 0.7\] in \d+ of 800 rows") as caught:
        model.fit(study["X"], study["y"], treatment=study["treatment"])
    assert caught[0].filename == __file__
    assert model.propensity_.min() == 0.3


def test_weights_reach_the_effect_model_of_an_r_learner(study):
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 4, 800).astype(float)
    given = {"treatment": study["treatment"], "sample_weight": weight}
    theirs = meta.BaseRRegressor(CART, random_state=0)
    theirs.fit(X=study["X"], y=study["y"], p=study["propensity"], **given)
    ours = CausalMLEstimator(meta.BaseRRegressor(CART, random_state=0))
    ours.fit(study["X"], study["y"], propensity=study["propensity"], **given)
    assert np.array_equal(ours.predict(study["new"]), theirs.predict(X=study["new"])[:, 0])


class TestParameters:
    def test_those_of_the_model_are_reached(self):
        model = CausalMLEstimator(meta.BaseTRegressor(CART), propensity_model=LogisticRegression())
        found = model.get_params()
        assert found["model__learner__max_depth"] == 3
        assert found["propensity_model__C"] == 1.0
        assert set(model.get_params(deep=False)) == {
            "model", "propensity_model", "cv", "clip", "random_state", "n_jobs",
        }  # fmt: skip
        model.set_params(model__ate_alpha=0.1, propensity_model__C=2.0, cv=3)
        assert (model.model.ate_alpha, model.propensity_model.C, model.cv) == (0.1, 2.0, 3)

    def test_a_new_learner_is_set_before_its_parameters(self):
        model = CausalMLEstimator(meta.BaseTRegressor())
        model.set_params(model__learner__alpha=7.0, model__learner=Ridge())
        assert model.model.learner.alpha == 7.0
        model.set_params(model__learner__alpha=8.0, model=meta.BaseSRegressor(Ridge()))
        assert model.get_params()["model__learner__alpha"] == 8.0

    def test_models_that_hide_their_parameters_have_them_all_the_same(self):
        model = CausalMLEstimator(meta.XGBTRegressor(max_depth=2, random_state=4))
        with pytest.raises(RuntimeError):
            model.model.get_params()
        assert model.get_params()["model__learner__max_depth"] == 2
        copy = clone(model).set_params(model__learner__max_depth=5)
        assert copy.model.learner.max_depth == 5
        assert model.model.learner.max_depth == 2
        assert repr(model) == "CausalMLEstimator(model=XGBTRegressor(...))"

    def test_clone_keeps_parameters_and_requests_but_not_the_fit(self, study):
        model = CausalMLEstimator(meta.BaseXRegressor(CART), random_state=0)
        with segcate.routing():
            model.set_fit_request(groups=False)
        model.fit(study["X"], study["y"], treatment=study["treatment"])
        copy = clone(model)
        assert not hasattr(copy, "model_")
        assert not hasattr(copy.model, "t_groups")
        assert copy.model is not model.model
        assert repr(copy.get_params()) == repr(model.get_params())
        with segcate.routing():
            assert copy.get_metadata_routing().fit.requests["groups"] is False

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("model__depth", r"BaseTRegressor has no parameter 'depth'.*'learner'"),
            (
                "model__control_learner__alpha",
                "`control_learner` .* is None.*instance of a learner",
            ),
            ("model__learner__depth", "Invalid parameter 'depth' for estimator Ridge"),
            ("depth", "Invalid parameter 'depth' for estimator CausalMLEstimator"),
        ],
    )
    def test_unknown_ones_are_errors(self, name, message):
        with pytest.raises(ValueError, match=message):
            CausalMLEstimator(meta.BaseTRegressor(Ridge())).set_params(**{name: 1})

    def test_seeds_that_are_none_are_filled_and_others_kept(self, study):
        forest = tree.CausalRandomForestRegressor(
            n_estimators=3, min_samples_leaf=20, min_group_samples=5
        )
        given = {"treatment": study["treatment"], "propensity": study["propensity"]}
        fitted = [
            CausalMLEstimator(forest, random_state=seed).fit(study["X"], study["y"], **given)
            for seed in (0, 0, 1)
        ]
        one, again, other = (model.predict(study["new"]) for model in fitted)
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)
        assert forest.random_state is None
        kept = CausalMLEstimator(clone(forest).set_params(random_state=9), random_state=0)
        assert kept.fit(study["X"], study["y"], **given).model_.random_state == 9


class TestStorage:
    def test_pickle(self, study):
        for name in ("X", "DR", "XGBT"):
            model = CausalMLEstimator(BY_HAND[name][0](), propensity_model=LOGIT, random_state=0)
            model.fit(study["X"], study["y"], treatment=study["treatment"])
            copy = pickle.loads(pickle.dumps(model))
            assert np.array_equal(copy.predict(study["new"]), model.predict(study["new"]))

    def test_skops_given_the_name_of_the_learner(self, study):
        skops_io = pytest.importorskip("skops.io")
        for name in ("T", "X", "R", "DR"):
            model = CausalMLEstimator(BY_HAND[name][0](), propensity_model=LOGIT, random_state=0)
            model.set_params(model__learner=Ridge())
            model.fit(study["X"], study["y"], treatment=study["treatment"])
            stored = skops_io.dumps(model)
            foreign = set(skops_io.get_untrusted_types(data=stored))
            foreign -= set(segcate.SKOPS_TRUSTED_TYPES)
            assert {kind.partition(".")[0] for kind in foreign} <= {"causalml", "sklearn"}, foreign
            trusted = [*segcate.SKOPS_TRUSTED_TYPES, *foreign]
            copy = skops_io.loads(stored, trusted=trusted)
            assert np.array_equal(copy.predict(study["new"]), model.predict(study["new"]))

    def test_html(self):
        assert "BaseTRegressor" in CausalMLEstimator(meta.BaseTRegressor(CART))._repr_html_()


class TestContainers:
    def test_text_columns_are_encoded_alike_in_fit_and_predict(self, study):
        X = pd.DataFrame(study["X"], columns=list("abcd"))
        X["city"] = np.array(["x", "y", "z"])[study["arms"]]
        numbers = X.drop(columns="city").assign(y=X["city"] == "y", z=X["city"] == "z")
        given = {"treatment": study["treatment"], "propensity": study["propensity"]}
        model = CausalMLEstimator(meta.BaseTRegressor(Ridge()))
        text = clone(model).fit(X, study["y"], **given)
        plain = clone(model).fit(numbers.astype(float), study["y"], **given)
        rows = X.iloc[[3]]
        assert np.array_equal(text.predict(rows), plain.predict(numbers.astype(float).iloc[[3]]))
        with pytest.raises(ValueError, match="column 'city' of X holds 'w'"):
            text.predict(rows.assign(city="w"))

    def test_polars_equals_arrays(self, study):
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame(study["X"], schema=list("abcd"))
        given = {"treatment": study["treatment"], "propensity": study["propensity"]}
        model = CausalMLEstimator(meta.BaseDRRegressor(CART), random_state=0)
        ours = clone(model).fit(frame, study["y"], **given).predict(frame)
        assert np.array_equal(ours, model.fit(study["X"], study["y"], **given).predict(study["X"]))

    @needs_trees_of_018
    def test_gaps_go_where_all_learners_take_them(self, study):
        X = study["X"].copy()
        X[::7, 1] = np.nan
        given = {"treatment": study["treatment"], "propensity": study["propensity"]}
        trees = HistGradientBoostingRegressor(max_iter=3)
        model = CausalMLEstimator(meta.BaseTRegressor(trees)).fit(X, study["y"], **given)
        assert np.isfinite(model.predict(X)).all()
        forest = tree.CausalRandomForestRegressor(
            n_estimators=3, min_samples_leaf=20, min_group_samples=5
        )
        assert np.isfinite(CausalMLEstimator(forest).fit(X, study["y"], **given).predict(X)).all()
        for learner in (Ridge(), None):
            model = CausalMLEstimator(meta.BaseTRegressor(trees, control_learner=learner))
            if learner is None:
                model.fit(X, study["y"], **given)
                continue
            with pytest.raises(ValueError, match=r"contains NaN, in the columns x1 \(115\)"):
                model.fit(X, study["y"], **given)


class TestSearch:
    def test_grid_over_the_learner_inside_a_pipeline(self, study):
        pipe = Pipeline(
            [
                ("scale", StandardScaler()),
                ("effect", CausalMLEstimator(meta.BaseTRegressor(CART), random_state=0)),
            ]
        )
        grid = {"effect__model__learner__max_depth": [1, 2, 4]}
        with segcate.routing():
            search = GridSearchCV(
                pipe, grid, scoring=qini_experiment_scorer,
                cv=TreatmentStratifiedKFold(3), error_score="raise",
            )  # fmt: skip
            search.fit(study["X"], study["y"], treatment=study["treatment"])
        scores = search.cv_results_["mean_test_score"]
        assert len(set(scores)) == 3
        best = search.best_params_["effect__model__learner__max_depth"]
        assert search.best_estimator_[-1].model_.models_t[1].max_depth == best

    def test_stands_in_one_search_with_matching(self, study):
        candidates = [
            SegmentMatching(segment=None),
            CausalMLEstimator(meta.BaseSRegressor(CART)),
            CausalMLEstimator(meta.XGBTRegressor(n_estimators=3)),
        ]
        with segcate.routing():
            search = GridSearchCV(
                Pipeline([("effect", candidates[0])]), {"effect": candidates},
                scoring=qini_experiment_scorer, cv=TreatmentStratifiedKFold(3),
                error_score="raise",
            )  # fmt: skip
            search.fit(study["X"], study["y"], treatment=study["treatment"])
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_is_fitted_once_a_segment(self, study):
        X = np.column_stack([study["X"], np.arange(800) % 2])
        model = SegmentedCATE(
            CausalMLEstimator(meta.BaseTRegressor(CART)), segment=-1, shrinkage=None
        )
        model.set_params(estimator__model__learner__max_depth=2)
        model.fit(X, study["y"], treatment=study["treatment"])
        rows = X[:, -1] == 1
        alone = CausalMLEstimator(meta.BaseTRegressor(clone(CART).set_params(max_depth=2)))
        alone.fit(X[rows, :-1], study["y"][rows], treatment=study["treatment"][rows])
        assert np.array_equal(model.predict(X[rows]), alone.predict(X[rows, :-1]))

    def test_groups_stay_whole_in_the_folds_of_the_propensity(self, study):
        groups = np.arange(800) // 20
        pipe = make_pipeline(
            CausalMLEstimator(
                tree.CausalTreeRegressor(min_samples_leaf=20, min_group_samples=5, random_state=0),
                propensity_model=LOGIT, random_state=0,
            )
        )  # fmt: skip
        with segcate.routing():
            pipe.fit(study["X"], study["y"], treatment=study["treatment"], groups=groups)
            with_groups = pipe[-1].propensity_
            pipe.fit(study["X"], study["y"], treatment=study["treatment"])
        assert not np.array_equal(with_groups, pipe[-1].propensity_)


BAD = {
    "class": (lambda: meta.BaseTRegressor, {}, TypeError, r"got the class BaseTRegressor.*\(\.\.\.\)\)"),
    "scikit-learn": (lambda: Ridge(), {}, TypeError, "must be an object of causalml: its S-, T-"),
    "tmle": (lambda: meta.TMLELearner(Ridge()), {}, TypeError, "its S-, T-, X-, R- and DR-learners"),
    "none": (lambda: None, {}, TypeError, "got None"),
    "fitted": (lambda: fitted_learner(), {}, ValueError, "BaseTRegressor, was fitted before"),
    "fitted-tree": (lambda: fitted_tree(), {}, ValueError, "was fitted before"),
    "control": (
        lambda: tree.UpliftTreeClassifier(control_name="none"), {},
        ValueError, "control_name='none'.*Set control_name=0",
    ),
    "weights": (
        lambda: meta.BaseTRegressor(Ridge()), {"sample_weight": np.arange(1.0, 61)},
        ValueError, "BaseTRegressor cannot weigh rows.*R-learner",
    ),
    "uplift-weights": (
        lambda: tree.UpliftTreeClassifier(control_name=0),
        {"sample_weight": np.arange(1.0, 61), "y": np.arange(60) % 2},
        ValueError, "UpliftTreeClassifier cannot weigh rows",
    ),
    "uplift-propensity": (
        lambda: tree.UpliftTreeClassifier(control_name=0),
        {"propensity": np.linspace(0.1, 0.9, 60), "y": np.arange(60) % 2},
        ValueError, "`propensity` differs between rows.*one chance of treatment for all",
    ),
    "uplift-outcome": (
        lambda: tree.UpliftRandomForestClassifier(control_name=0), {},
        ValueError, r"wants y in \{0, 1\}; found \{0.0, 1.0, 2.0, 3.0, 4.0 and 55 more\}",
    ),
    "classifier-outcome": (
        lambda: meta.BaseXClassifier(LOGIT, CART), {}, ValueError, r"wants y in \{0, 1\}",
    ),
    "groups": (
        lambda: meta.BaseRRegressor(CART), {"groups": np.arange(60) // 2},
        ValueError, "BaseRRegressor deals rows to its own folds",
    ),
    "propensity-of-arms": (
        lambda: meta.BaseXRegressor(CART),
        {"treatment": np.arange(60) % 3, "propensity": np.full(60, 0.5)},
        ValueError, "one chance a row, and there are 3 arms",
    ),
    "arm-unseen": (
        lambda: meta.BaseTRegressor(CART), {"treatment": np.arange(60) % 2 * 2},
        ValueError, r"every code from 0 to the largest; found \{0, 2\}",
    ),
    "no-control": (
        lambda: meta.BaseTRegressor(CART), {"treatment": np.ones(60)},
        ValueError, r"every code from 0|no control rows",
    ),
    "no-treatment": (
        lambda: meta.BaseTRegressor(CART), {"treatment": None}, ValueError, "needs `treatment`",
    ),
}  # fmt: skip


TREE_CASES = {"control", "uplift-weights", "uplift-propensity", "uplift-outcome", "fitted-tree"}


def fitted_learner():
    learner = meta.BaseTRegressor(Ridge())
    learner.fit(X=np.eye(4), treatment=np.array([0, 1, 0, 1]), y=np.arange(4.0))
    return learner


def fitted_tree():
    model = tree.CausalTreeRegressor(honesty=False, min_samples_leaf=1, min_group_samples=1)
    return model.fit(X=np.eye(4), treatment=np.array([0, 1, 0, 1]), y=np.arange(4.0))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=needs_trees_of_018 if name in TREE_CASES else []) for name in BAD],
)
def test_bad_input_is_told_what_to_do(name):
    make, given, kind, message = BAD[name]
    X = np.random.default_rng(0).normal(size=(60, 2))
    given = {"y": np.arange(60.0), "treatment": np.arange(60) % 2, **given}
    with pytest.raises(kind, match=message):
        CausalMLEstimator(make()).fit(X, given.pop("y"), **given)


def test_an_arm_missing_in_a_fold_of_theirs_is_explained():
    X = np.random.default_rng(0).normal(size=(60, 2))
    treatment = np.zeros(60, dtype=int)
    treatment[:2] = 1
    model = CausalMLEstimator(meta.BaseDRRegressor(Ridge()), random_state=0)
    with pytest.raises(ValueError, match="0 sample") as caught:
        model.fit(X, np.arange(60.0), treatment=treatment, propensity=np.full(60, 0.1))
    assert (
        "BaseDRRegressor of causalml, which got 60 rows, [58, 2] by arm"
        in caught.value.__notes__[0]
    )


def test_without_causalml_the_error_names_ways_out(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"not installed here.*no wheels.*EconMLEstimator there"):
        CausalMLEstimator(Ridge()).fit(np.eye(4), np.arange(4), treatment=[0, 1, 0, 1])
