"""SegmentedCATE: own models, pooled ones, and all that is between."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import InteractionRegression, SegmentedCATE
from segcate.cate._segment_models import out_of_fold, residualise
from segcate.cate._segment_rows import without_segment_column
from segcate.cate._segment_weights import choose_shrinkage
from segcate.cate._treatment_kind import treatment_kind_of
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.exceptions import EmptySegmentError, SegcateWarning
from segcate.segmentation import KMeansSegmenter

# The pooled model takes clusters for lines, which it says; what is tested is how models are put together.
pytestmark = pytest.mark.filterwarnings("ignore:InteractionRegression. the mean effect is")


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(
        700, n_segments=3, segment_shares=[30, 30, 3], heterogeneity=0.5, random_state=0
    )


@pytest.fixture(scope="module")
def X(users):
    return users.X.assign(segment=np.array(["a", "b", "c"])[users.segment])


def fit(X, users, **parameters):
    model = SegmentedCATE(**{"random_state": 0, **parameters})
    return model.fit(X, users.y, treatment=users.treatment)


@pytest.fixture(scope="module")
def auto(X, users):
    return fit(X, users, min_per_arm=30)


def plain(X, users, rows):
    covariates = X.drop(columns="segment")[rows]
    return InteractionRegression().fit(
        covariates, users.y[rows], treatment=users.treatment[rows]
    ), covariates


# --- the three models -----------------------------------------------------------------------------


def test_without_shrinkage_each_segment_equals_the_model_fitted_on_it_alone(X, users):
    model = fit(X, users, shrinkage=None, min_per_arm=5)
    for label in "abc":
        own, covariates = plain(X, users, X["segment"] == label)
        rows = X[X["segment"] == label]
        np.testing.assert_allclose(model.predict(rows), own.predict(covariates), rtol=1e-9)
        np.testing.assert_allclose(
            model.predict_interval(rows), own.predict_interval(covariates), rtol=1e-9
        )
    assert model.weights_.tolist() == [1, 1, 1]
    assert np.isnan(model.shrinkage_factor_)


def test_full_shrinkage_equals_the_pooled_model(X, users):
    model = fit(X, users, shrinkage=1.0, min_per_arm=5)
    pooled, covariates = plain(X, users, np.ones(700, dtype=bool))
    np.testing.assert_allclose(model.predict(X), pooled.predict(covariates), rtol=1e-9)
    np.testing.assert_allclose(
        model.predict_interval(X), pooled.predict_interval(covariates), rtol=1e-9
    )


def test_a_share_lies_between(X, users):
    own, pooled, quarter = (
        fit(X, users, shrinkage=share, min_per_arm=5).predict(X) for share in (0, 1.0, 0.25)
    )
    np.testing.assert_allclose(quarter, 0.75 * own + 0.25 * pooled, rtol=1e-9)


def test_auto_takes_the_weights_of_the_kernel(X, users, auto):
    from segcate._inputs.effect_data import check_effect_data

    data = check_effect_data(
        SegmentedCATE(), X, users.y, treatment=users.treatment, segment="segment"
    )
    data = without_segment_column(data)
    codes = data.segment.codes
    centred, fold = residualise("test", data, 5, 0, None)
    parts = [np.flatnonzero(codes == k) for k in (0, 1)]
    pooled, own = out_of_fold(InteractionRegression(), data, parts, fold, None)
    wanted = choose_shrinkage(centred, pooled, own, codes, 3, weight=None, groups=None, n_folds=5)
    np.testing.assert_allclose(auto.weights_[:2], wanted.weight[:2], rtol=1e-9)
    assert auto.weights_[2] == 0
    # A row's out-of-fold effect comes from models that saw neither the row nor its fold.
    for k in (0, 3):
        train = fold != k
        model, _ = plain(X, users, train)
        test = X.drop(columns="segment")[~train]
        np.testing.assert_allclose(pooled[~train, 0], model.predict(test), rtol=1e-9)
        model, _ = plain(X, users, train & (codes == 1))
        np.testing.assert_allclose(
            own[~train & (codes == 1), 0], model.predict(test[codes[~train] == 1]), rtol=1e-9
        )
    assert np.array_equal(own[codes == 2], pooled[codes == 2])


def test_segments_table_tells_sizes_weights_and_reasons(auto, X, users):
    table = auto.segments_
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["n"].tolist() == [333, 333, 34]
    n_treated = [int(users.treatment[users.segment == k].sum()) for k in range(3)]
    assert table["n_treated"].tolist() == n_treated
    assert (table["n"] == table["n_treated"] + table["n_control"]).all()
    assert table["status"].tolist() == [
        "ok",
        "ok",
        f"pooled: {min(n_treated[2], 34 - n_treated[2])} treated, fewer than min_per_arm=30",
    ]
    assert auto.estimators_[2] is None
    assert table["weight"]["c"] == 0
    weight = fit(X, users, min_per_arm=30, shrinkage=0.5).segments_["weight"]
    assert ((weight > 0) == [True, True, False]).all()


def test_the_segment_is_no_covariate(X, users):
    model = fit(X, users, shrinkage=None, min_per_arm=30)
    assert list(model.pooled_.feature_names_in_) == [f"x{j}" for j in range(4)]


# --- rows without a model of their own --------------------------------------------------------------


def test_unseen_segments_get_the_pooled_effect_and_are_counted(X, users, auto):
    new = X.assign(segment=np.where(np.arange(700) < 5, "z", X["segment"]))
    with pytest.warns(SegcateWarning, match=r"5 of 700 rows are of segments .* \('z'; it knew"):
        found = auto.predict(new)
    np.testing.assert_allclose(found[:5], auto.pooled_.predict(X.iloc[:5, :4]))
    np.testing.assert_array_equal(found[5:], auto.predict(X)[5:])


def test_on_empty_nan_and_raise(X, users):
    blank = fit(X, users, on_empty="nan", min_per_arm=30)
    found = blank.predict(X)
    assert np.array_equal(np.isnan(found), X["segment"] == "c")
    with pytest.warns(SegcateWarning, match="and get NaN"):
        assert np.isnan(blank.predict(X.assign(segment="z"))).all()
    with pytest.raises(EmptySegmentError, match=r"1 of 3 segments .* 'c' \(\d+ treated, fewer"):
        fit(X, users, on_empty="raise", min_per_arm=30)
    strict = fit(X, users, on_empty="raise", min_per_arm=5, shrinkage=0.5)
    with pytest.raises(EmptySegmentError, match="5 of 5 rows are of segments that fit did not see"):
        strict.predict(X.head().assign(segment="z"))


def test_one_segment_is_the_pooled_model(X, users):
    covariates = X.drop(columns="segment")
    for model in (fit(covariates, users, segment=None), fit(X.assign(segment=1), users)):
        assert model.segments_["status"].tolist() == ["pooled: the only segment"]
        given = covariates if model.segment is None else X.assign(segment=1)
        np.testing.assert_allclose(
            model.predict(given), plain(X, users, np.ones(700, bool))[0].predict(covariates)
        )
        assert model.predict_interval(given).shape == (700, 2)


def test_one_armed_segment_and_one_group(X, users):
    treatment = np.where(X["segment"] == "b", 1, users.treatment)
    model = SegmentedCATE(min_per_arm=1, shrinkage=None).fit(X, users.y, treatment=treatment)
    assert model.segments_.loc["b", "status"] == "pooled: 0 control, fewer than min_per_arm=1"
    groups = np.where(X["segment"] == "b", 0, np.arange(700) // 3)
    model = SegmentedCATE(min_per_arm=1, shrinkage=None).fit(
        X, users.y, treatment=users.treatment, groups=groups
    )
    assert model.segments_.loc["b", "status"] == "pooled: fewer than 2 groups"
    assert model.pooled_.std_error_method_ == "group"


# --- kinds of treatment, containers, children -----------------------------------------------------


def test_three_arms_have_a_column_each(X, users):
    arms = np.arange(700) % 3
    y = users.y + arms * (X["segment"] == "a")
    model = SegmentedCATE(random_state=0, min_per_arm=30, cv=2).fit(X, y, treatment=arms)
    assert model.arms_.tolist() == [1, 2]
    assert model.predict(X).shape == (700, 2)
    assert model.weights_[2] == 0
    bare = model.set_params(shrinkage=None).fit(X, y, treatment=arms)
    assert bare.predict_interval(X).shape == (700, 2, 2)
    rows = X["segment"] == "a"
    own = InteractionRegression().fit(X[rows].iloc[:, :4], y[rows], treatment=arms[rows])
    np.testing.assert_allclose(bare.predict(X[rows]), own.predict(X[rows].iloc[:, :4]), rtol=1e-9)


def test_doses_whose_segment_holds_but_0_and_1_stay_doses(X, users):
    dose = np.where(X["segment"] == "a", np.arange(700) % 2, (np.arange(700) % 5) / 2)
    model = SegmentedCATE(shrinkage=None, min_per_arm=30).fit(
        X, users.y + dose * users.segment, treatment=dose
    )
    assert model.treatment_kind_ == "continuous"
    assert [e.treatment_kind_ for e in model.estimators_ if e] == ["continuous"] * 3
    assert list(model.segments_.columns) == ["n", "weight", "status"]
    effect = pd.Series(model.predict(X)).groupby(users.segment).mean()
    assert (effect.diff().dropna() > 0.4).all()


@pytest.mark.parametrize("is_on", [True, False])
def test_pipeline_as_child_works_with_routing_on_and_off(X, users, is_on):
    child = make_pipeline(StandardScaler(), InteractionRegression(Ridge(1e-9)))
    with segcate.routing(is_on):
        model = fit(X, users, estimator=child, min_per_arm=30, shrinkage=0.5)
    plain_child = fit(X, users, min_per_arm=30, shrinkage=0.5)
    np.testing.assert_allclose(model.predict(X), plain_child.predict(X), rtol=1e-5, atol=1e-7)


def test_segments_of_a_pipeline_and_their_containers(users):
    polars = pytest.importorskip("polars")
    model = SegmentedCATE(shrinkage=0.5, min_per_arm=30)
    pipe = make_pipeline(KMeansSegmenter(2, random_state=0), model)
    found = {}
    for name, rows in (
        ("pandas", users.X),
        ("polars", polars.from_pandas(users.X)),
        ("array", users.X.to_numpy()),
    ):
        segment = -1 if name == "array" else "auto"
        with segcate.routing():
            pipe.set_params(segmentedcate__segment=segment)
            pipe.fit(rows, users.y, treatment=users.treatment)
        found[name] = pipe.predict(rows)
        assert set(pipe[-1].segments_["status"]) == {"ok"}
    np.testing.assert_allclose(found["polars"], found["pandas"], rtol=1e-9)
    np.testing.assert_allclose(found["array"], found["pandas"], rtol=1e-9)


def test_n_jobs_seed_and_row_order(X, users, auto):
    with parallel_config(backend="threading"):
        parallel = fit(X, users, min_per_arm=30, n_jobs=2)
    np.testing.assert_array_equal(parallel.predict(X), auto.predict(X))
    order = np.random.default_rng(0).permutation(700)
    model = SegmentedCATE(shrinkage=0.5, min_per_arm=30)
    base = model.fit(X, users.y, treatment=users.treatment).predict(X)
    again = model.fit(
        X.iloc[order], users.y.iloc[order], treatment=users.treatment.iloc[order]
    ).predict(X)
    np.testing.assert_allclose(again, base, rtol=1e-9)


def test_weights_equal_repeated_rows_where_nothing_is_cross_fitted(X, users):
    weight = np.arange(700) % 3
    source = np.repeat(np.arange(700), weight)
    model = SegmentedCATE(shrinkage=0.3, min_per_arm=30)
    weighted = model.fit(X, users.y, treatment=users.treatment, sample_weight=weight).predict(X)
    repeated = model.fit(
        X.iloc[source], users.y.iloc[source], treatment=users.treatment.iloc[source]
    ).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-8)


def test_whole_groups_that_are_segments_leave_nothing_to_learn_from(X, users):
    """Groups of one fold hold all of segment c, so that leaving it out leaves no row."""
    groups = np.where(X["segment"] == "c", np.arange(700) % 2, 2 + np.arange(700) // 9)
    model = SegmentedCATE(min_per_arm=5, random_state=0).fit(
        X, users.y, treatment=users.treatment, groups=groups
    )
    assert model.segments_["status"].tolist()[:2] == ["ok", "ok"]
    assert model.segments_.loc["c", "status"] == "pooled: leaving out a fold leaves out an arm"


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shrinkage": 1.5}, "`shrinkage` must be a number in .0, 1. or None; got 1.5.*'auto'"),
        ({"shrinkage": "none"}, "`shrinkage` must be a number in .*'auto'"),
        ({"shrinkage": True}, "`shrinkage` must be a number in .*'auto'"),
        ({"min_per_arm": 0}, "`min_per_arm` must be a whole number of at least 1; got 0"),
        ({"on_empty": "drop"}, "`on_empty` must be one of"),
        ({"cv": 1}, "`cv` must be a whole number of at least 2"),
        ({"segment": "region"}, "X has no column 'region'"),
        ({"treatment_kind": "dose"}, "`treatment_kind` must be one of"),
    ],
)
def test_bad_parameters_are_named(X, users, parameters, message):
    with pytest.raises(ValueError, match=message):
        fit(X, users, **parameters)


def test_bad_estimators_and_rows_are_named(X, users, auto):
    with pytest.raises(TypeError, match="`estimator` must be an effect estimator"):
        fit(X, users, estimator=InteractionRegression)
    with pytest.raises(ValueError, match="X has no column beside the segment"):
        fit(X[["segment"]], users)
    with pytest.raises(ValueError, match="`propensity` is the chance of a 0/1 treatment"):
        SegmentedCATE().fit(X, users.y, treatment=np.arange(700) % 3, propensity=np.full(700, 0.3))
    with pytest.raises(ValueError, match=r"`estimator` is None\. Give it an instance"):
        SegmentedCATE().set_params(estimator__step=2.0)
    with pytest.raises(TypeError, match=r"no confidence interval .*Fit with shrinkage=None"):
        auto.predict_interval(X)
    with pytest.raises(TypeError, match="SegmentMatching has no interval for the effect on a row"):
        fit(
            X, users, estimator=SegmentMatching(segment=None), shrinkage=None, min_per_arm=30
        ).predict_interval(X)
    assert treatment_kind_of("test", "auto", None) == "binary"
