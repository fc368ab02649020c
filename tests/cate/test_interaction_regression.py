"""InteractionRegression against statsmodels, the naive code, and what must not change an answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segcate.cate import InteractionRegression
from segcate.datasets import load_nhefs, make_uplift
from segcate.exceptions import SegcateWarning
from tests.helpers.naive_interaction import interaction_effects

# statsmodels inverts by pseudo-inverse, we by Cholesky of centred columns.
STATSMODELS = 1e-8
# Two ways to solve the same normal equations of a few dozen rows.
NAIVE = 1e-9

KINDS = ("hc0", "hc1", "hc2", "hc3", "group")


def small_study(n_arms=2, n=60, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(loc=[0.0, 50.0, -3.0], size=(n, 3))
    treatment = 2.0 + rng.gamma(2.0, size=n) if n_arms == 0 else np.arange(n) % n_arms
    y = Z[:, 0] + (1 + Z[:, 0]) * treatment + rng.normal(size=n) * (1 + np.abs(Z[:, 0]))
    return Z, y, treatment, np.arange(n) // 4, rng.uniform(0.5, 3.0, n)


def columns_of(treatment, n_arms):
    if n_arms == 0:
        return treatment[:, None]
    return (treatment[:, None] == np.arange(1, n_arms)).astype(float)


# --- the naive code -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_arms", [2, 3, 0])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_effects_and_intervals_equal_the_naive_code(kind, n_arms, is_weighted):
    Z, y, treatment, groups, weight = small_study(n_arms)
    weight = weight if is_weighted else None
    new = Z[:7] + 0.3
    model = InteractionRegression(std_error=kind, interactions=[0, 2], confidence_level=0.9)
    model.fit(
        Z,
        y,
        treatment=treatment,
        sample_weight=weight,
        groups=groups if kind == "group" else None,
    )
    effects, intervals = interaction_effects(
        columns_of(treatment, n_arms), Z, [0, 2], y, weight, groups, kind, 0.9, new
    )
    shape = (7, 2) if n_arms == 3 else (7,)
    assert model.predict(new).shape == shape
    np.testing.assert_allclose(model.predict(new).reshape(7, -1), effects, rtol=NAIVE)
    found = model.predict_interval(new)
    assert found.shape == (*shape, 2)
    np.testing.assert_allclose(found.reshape(7, -1, 2), intervals, rtol=NAIVE)


# --- statsmodels ----------------------------------------------------------------------------------


def robust_ols(design, y, kind, groups, weight=None):
    sm = pytest.importorskip("statsmodels.api")
    model = sm.OLS(y, design) if weight is None else sm.WLS(y, design, weights=weight)
    if kind == "group":
        return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    return model.fit(cov_type=kind.upper(), use_t=True)


def assert_equals_statsmodels(model, reference, gradients, new):
    """Compare terms, standard errors, p-values and the interval of the effect on every row."""
    table = model.coefficients_
    size = np.abs(reference.params) + reference.bse
    assert (np.abs(table["coef"] - reference.params) / size).max() < STATSMODELS
    np.testing.assert_allclose(table["std_error"], reference.bse, rtol=STATSMODELS)
    np.testing.assert_allclose(table["p_value"], reference.pvalues, rtol=1e-6, atol=1e-12)
    interval = reference.conf_int()
    assert (np.abs(table[["ci_low", "ci_high"]] - interval) / size[:, None]).max(
        axis=None
    ) < STATSMODELS
    effect = reference.t_test(gradients)
    np.testing.assert_allclose(model.predict(new), effect.effect, rtol=STATSMODELS, atol=1e-8)
    np.testing.assert_allclose(
        model.predict_interval(new), effect.conf_int(alpha=0.05), rtol=STATSMODELS, atol=1e-8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nhefs_equals_statsmodels(kind):
    pytest.importorskip("causaldata")
    data = load_nhefs()
    text = data.X.astype(dict.fromkeys(data.X.select_dtypes("category"), object))
    Z = pd.get_dummies(text, drop_first=True, dtype=float)
    Z = Z[[c for name in data.X.columns for c in Z.columns if c.split("_")[0] == name]].to_numpy()
    t = data.treatment.to_numpy(dtype=float)
    design = np.column_stack([np.ones(len(t)), t, Z, t[:, None] * Z])
    groups = (data.X["age"].astype(str) + data.X["sex"].astype(str)).to_numpy()
    reference = robust_ols(design, data.y.to_numpy(), kind, pd.factorize(groups)[0])
    model = InteractionRegression(std_error=kind).fit(
        data.X, data.y, treatment=data.treatment, groups=groups if kind == "group" else None
    )
    gradients = np.column_stack([np.zeros(len(t)), np.ones(len(t)), np.zeros(Z.shape), Z])
    assert_equals_statsmodels(model, reference, gradients, data.X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_doses_equal_statsmodels(kind, is_weighted):
    rng = np.random.default_rng(1)
    Z = rng.normal(loc=[0, 10, 0, 0], size=(800, 4))
    dose = 3 + 0.5 * Z[:, 0] + rng.normal(size=800)
    y = np.sin(Z[:, 2]) + dose * (1 + 0.5 * Z[:, 0]) + rng.normal(size=800) * (1 + Z[:, 3] ** 2)
    groups, weight = rng.integers(0, 60, 800), rng.uniform(0.2, 3.0, 800)
    design = np.column_stack([np.ones(800), dose, Z, dose[:, None] * Z])
    weight = weight if is_weighted else None
    reference = robust_ols(design, y, kind, groups, weight)
    model = InteractionRegression(std_error=kind).fit(
        Z, y, treatment=dose, groups=groups if kind == "group" else None, sample_weight=weight
    )
    assert model.treatment_kind_ == "continuous"
    gradients = np.column_stack([np.zeros(800), np.ones(800), np.zeros(Z.shape), Z])
    assert_equals_statsmodels(model, reference, gradients, Z)


# --- what the numbers mean ------------------------------------------------------------------------


def test_two_rows_an_arm_by_hand():
    """y is 1 + 2 x without and 2 + 5 x with treatment: the effect is 1 + 3 x."""
    X = np.array([[0.0], [1.0], [0.0], [1.0]])
    with pytest.warns(SegcateWarning, match="4 rows .* beside 4 parameters"):
        model = InteractionRegression().fit(X, [1.0, 3.0, 2.0, 7.0], treatment=[0, 0, 1, 1])
    np.testing.assert_allclose(model.predict([[0.0], [1.0], [2.0]]), [1.0, 4.0, 7.0])
    assert np.isnan(model.predict_interval([[0.0]])).all()
    np.testing.assert_allclose(model.coefficients_["coef"], [1, 1, 2, 3])


def test_without_interactions_everyone_has_the_same_effect():
    Z, y, treatment, _, _ = small_study()
    model = InteractionRegression(interactions=[]).fit(Z, y, treatment=treatment)
    assert np.ptp(model.predict(Z)) == 0
    assert list(model.coefficients_.index) == ["intercept", "treatment", "x0", "x1", "x2"]


def test_step_scales_effect_and_interval_of_a_dose():
    Z, y, dose, _, _ = small_study(0)
    one, two = (
        InteractionRegression(step=step, at=at).fit(Z, y, treatment=dose)
        for step, at in ((1.0, None), (2.5, 7.0))
    )
    np.testing.assert_allclose(two.predict(Z), 2.5 * one.predict(Z))
    np.testing.assert_allclose(two.predict_interval(Z), 2.5 * one.predict_interval(Z))
    assert (one.at_, two.at_) == (pytest.approx(dose.mean()), 7.0)


def test_least_squares_handed_in_equals_our_own():
    for n_arms in (2, 3, 0):
        Z, y, treatment, _, weight = small_study(n_arms)
        fits = [
            InteractionRegression(estimator).fit(Z, y, treatment=treatment, sample_weight=weight)
            for estimator in (
                None,
                LinearRegression(),
                make_pipeline(StandardScaler(), LinearRegression()),
            )
        ]
        for other in fits[1:]:
            np.testing.assert_allclose(other.predict(Z), fits[0].predict(Z), rtol=1e-6, atol=1e-8)


def test_regressor_gives_the_one_step_difference():
    """One neighbour, no products: the prediction is the outcome of the nearest row."""
    X = np.array([[0.0], [0.0], [0.0], [0.0]])
    model = InteractionRegression(KNeighborsRegressor(1), interactions=[])
    model.fit(X, [1.0, 4.0, 9.0, 16.0], treatment=[1.5, 2.5, 3.5, 4.5])
    assert model.at_ == 3.0
    assert model.set_params(at=2.4).fit(
        X, [1.0, 4.0, 9.0, 16.0], treatment=[1.5, 2.5, 3.5, 4.5]
    ).predict([[0.0]]) == [9.0 - 4.0]
    model.set_params(step=2.0).fit(X, [1.0, 4.0, 9.0, 16.0], treatment=[1.5, 2.5, 3.5, 4.5])
    assert model.predict([[0.0]]) == [16.0 - 4.0]


def test_classifier_gives_risk_differences():
    data = make_uplift(20_000, outcome="binary", random_state=0, as_frame=False)
    model = InteractionRegression(LogisticRegression(C=10.0))
    effect = model.fit(data.X, data.y, treatment=data.treatment).predict(data.X)
    assert abs(effect.mean() - 0.1) < 0.02
    assert np.corrcoef(effect, data.effect)[0, 1] > 0.9


def test_flexible_regressor_finds_steps_that_a_line_cannot():
    data = make_uplift(6000, effect_shape="step", heterogeneity=2.0, random_state=0)
    error = {}
    for name, estimator in (
        ("line", None),
        ("trees", HistGradientBoostingRegressor(random_state=0)),
    ):
        model = InteractionRegression(estimator).fit(data.X, data.y, treatment=data.treatment)
        error[name] = np.sqrt(np.mean((model.predict(data.X) - data.effect) ** 2))
    assert error["trees"] < 0.6 * error["line"]


def test_regressor_that_takes_missing_values_gets_them():
    data = make_uplift(500, random_state=0, as_frame=False)
    X = np.where(np.random.default_rng(0).random(data.X.shape) < 0.1, np.nan, data.X)
    model = InteractionRegression(HistGradientBoostingRegressor(random_state=0))
    assert np.isfinite(model.fit(X, data.y, treatment=data.treatment).predict(X)).all()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        InteractionRegression().fit(X, data.y, treatment=data.treatment)


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_gaps_are_filled_in_fit_and_in_new_rows(share):
    data = make_uplift(1500, random_state=0)
    gap = np.random.default_rng(1).random(1500) < share
    X = data.X.assign(x0=data.X["x0"].mask(gap))
    by_hand = X.assign(x0=X["x0"].fillna(X["x0"].mean()), gap=gap.astype(float))
    model = InteractionRegression(missing="auto" if share < 0.05 else "indicator")
    model.fit(X, data.y, treatment=data.treatment)
    hand = InteractionRegression().fit(by_hand, data.y, treatment=data.treatment)
    np.testing.assert_allclose(model.predict(X), hand.predict(by_hand), rtol=1e-9)
    note = model.covariates_.set_index("column").loc["x0", "note"]
    assert "missing: mean and 0/1 indicator" in note
    other = X.assign(x1=X["x1"].mask(X.index == 3))
    with pytest.raises(
        ValueError, match=r"contains NaN in the columns 'x1', which had none in the"
    ):
        model.predict(other)


def test_dropped_gaps_are_the_complete_rows():
    data = make_uplift(800, random_state=0)
    gap = np.random.default_rng(1).random(800) < 0.3
    X = data.X.assign(x0=data.X["x0"].mask(gap))
    model = InteractionRegression(missing="drop").fit(X, data.y, treatment=data.treatment)
    alone = InteractionRegression().fit(X[~gap], data.y[~gap], treatment=data.treatment[~gap])
    np.testing.assert_array_equal(model.predict(X[~gap]), alone.predict(X[~gap]))


# --- text, segments, aliases, lonely levels -------------------------------------------------------


def test_text_segment_gives_each_segment_its_own_effect():
    rng = np.random.default_rng(0)
    segment = np.repeat(["a", "b", "c"], 40)
    t = np.arange(120) % 2
    y = rng.normal(size=120) + t * np.repeat([0.0, 1.0, 2.0], 40)
    X = pd.DataFrame({"segment": segment})
    model = InteractionRegression().fit(X, y, treatment=t)
    for label in "abc":
        rows = segment == label
        difference = y[rows & (t == 1)].mean() - y[rows & (t == 0)].mean()
        assert model.predict(X[rows])[0] == pytest.approx(difference)
    with pytest.raises(ValueError, match="column 'segment' of X holds 'd' in 1 of 1 rows"):
        model.predict(pd.DataFrame({"segment": ["d"]}))


def test_aliased_terms_change_nothing_and_show_as_nan():
    Z, y, treatment, _, _ = small_study()
    twice = np.column_stack([Z, Z[:, 0] + Z[:, 2]])
    plain = InteractionRegression().fit(Z, y, treatment=treatment)
    model = InteractionRegression().fit(twice, y, treatment=treatment)
    np.testing.assert_allclose(model.predict(twice), plain.predict(Z), rtol=1e-8)
    np.testing.assert_allclose(model.predict_interval(twice), plain.predict_interval(Z), rtol=1e-8)
    assert model.coefficients_["coef"].isna().tolist() == [i in (5, 9) for i in range(10)]
    kept = model.coefficients_.drop(index=["x3", "treatment:x3"])
    pd.testing.assert_frame_equal(kept, plain.coefficients_, rtol=1e-6)


def test_level_that_one_row_has_makes_its_own_interval_unknown_and_no_other():
    data = make_uplift(300, random_state=1)
    X = data.X.iloc[:, :3].assign(city=np.where(np.arange(300) == 7, "rare", "usual"))
    without = np.arange(300) != 7
    model = InteractionRegression().fit(X, data.y, treatment=data.treatment)
    rest = InteractionRegression().fit(
        data.X.iloc[without, :3], data.y[without], treatment=data.treatment[without]
    )
    interval = model.predict_interval(X)
    is_unknown = np.isnan(interval).any(axis=1)
    # The lonely row is treated or not; its product column is the same as its level or zero.
    assert set(np.flatnonzero(is_unknown)) <= {7}
    np.testing.assert_allclose(model.predict(X)[without], rest.predict(data.X.iloc[without, :3]))
    np.testing.assert_allclose(
        interval[without], rest.predict_interval(data.X.iloc[without, :3]), rtol=1e-3
    )
    assert np.isnan(model.coefficients_.loc["city=usual", "std_error"])
    assert np.isfinite(model.coefficients_.loc["x0", "std_error"])


def test_covariates_far_from_zero_cost_no_digits():
    Z, y, treatment, _, _ = small_study(0)
    far_off = Z + np.array([0, 2e6, 0])
    near = InteractionRegression().fit(Z, y, treatment=treatment)
    far = InteractionRegression().fit(far_off, y, treatment=treatment + 1e4)
    np.testing.assert_allclose(far.predict(far_off), near.predict(Z), rtol=1e-6)
    np.testing.assert_allclose(far.predict_interval(far_off), near.predict_interval(Z), rtol=1e-6)


# --- invariances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_arms", [2, 3, 0])
def test_repeated_rows_equal_weights(n_arms):
    Z, y, treatment, groups, _ = small_study(n_arms)
    weight = np.arange(60) % 4
    source = np.repeat(np.arange(60), weight)
    weighted = InteractionRegression().fit(Z, y, treatment=treatment, sample_weight=weight)
    repeated = InteractionRegression().fit(Z[source], y[source], treatment=treatment[source])
    np.testing.assert_allclose(weighted.predict(Z), repeated.predict(Z), rtol=1e-9)
    # With the copies of a row in one cluster the covariances agree too, but for (n - 1) / (n - k).
    weighted.fit(Z, y, treatment=treatment, sample_weight=weight, groups=groups)
    repeated.fit(Z[source], y[source], treatment=treatment[source], groups=groups[source])
    k, n, m = weighted._fit.kept.sum(), (weight > 0).sum(), len(source)
    factor = np.sqrt((n - 1) / (n - k) / ((m - 1) / (m - k)))
    np.testing.assert_allclose(
        np.diff(weighted.predict_interval(Z)),
        factor * np.diff(repeated.predict_interval(Z)),
        rtol=1e-8,
    )


def test_rows_of_weight_zero_might_as_well_be_absent():
    Z, y, treatment, groups, _ = small_study()
    weight = np.where(np.arange(60) < 16, 0.0, 2.0)
    for given in ({}, {"groups": groups}):
        kept = {name: values[16:] for name, values in given.items()}
        found = InteractionRegression().fit(
            Z, y, treatment=treatment, sample_weight=weight, **given
        )
        wanted = InteractionRegression().fit(Z[16:], y[16:], treatment=treatment[16:], **kept)
        np.testing.assert_allclose(found.predict_interval(Z), wanted.predict_interval(Z))


def test_scale_shift_swap_and_order():
    Z, y, treatment, _, _ = small_study()
    base = InteractionRegression().fit(Z, y, treatment=treatment).predict_interval(Z)

    def again(**changed):
        rows = {"X": Z, "y": y, "treatment": treatment} | changed
        return InteractionRegression().fit(**rows).predict_interval(Z)

    np.testing.assert_allclose(again(y=3 * y + 7), 3 * base, rtol=1e-9)
    np.testing.assert_allclose(again(treatment=1 - treatment), -base[:, ::-1], rtol=1e-9)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(
        again(X=Z[order], y=y[order], treatment=treatment[order]), base, rtol=1e-9
    )


def test_containers_agree():
    polars = pytest.importorskip("polars")
    data = make_uplift(200, random_state=0)
    X = data.X.assign(city=np.array(["a", "b"])[np.arange(200) % 2])
    frames = InteractionRegression().fit(X, data.y, treatment=data.treatment)
    other = InteractionRegression().fit(
        polars.from_pandas(X), polars.Series(data.y), treatment=polars.Series(data.treatment)
    )
    np.testing.assert_allclose(
        other.predict_interval(polars.from_pandas(X)), frames.predict_interval(X), rtol=1e-12
    )
    arrays = InteractionRegression().fit(
        data.X.to_numpy(np.float32), data.y, treatment=data.treatment.to_numpy(bool)
    )
    assert arrays.predict(data.X.to_numpy()).dtype == np.float64


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1, 0], "binary"),
        ([True, False, True, True], "binary"),
        ([0.0, 1.0, 1.0, 0.0], "binary"),
        ([0, 1, 2, 0], "arms"),
        ([0.5, 1.5, 1.0, 0.0], "continuous"),
    ],
)
def test_auto_tells_the_kind_from_the_values(values, kind):
    Z, y, _, _, _ = small_study()
    model = InteractionRegression().fit(Z, y, treatment=np.tile(values, 15))
    assert model.treatment_kind_ == kind


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"treatment_kind": "dose"}, "`treatment_kind` must be one of"),
        ({"std_error": "HC3"}, "`std_error` must be one of"),
        ({"confidence_level": 95}, r"`confidence_level` must be a number in \(0, 1\); got 95"),
        ({"step": 0}, "`step` must be a number above 0"),
        ({"at": "mean"}, "`at` must be a finite number or None; got 'mean'"),
        ({"interactions": ["x9"]}, "holds names"),
        ({"interactions": [9]}, "`interactions` holds positions 9"),
        ({"std_error": "group"}, "std_error='group' needs `groups=`"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    Z, y, treatment, _, _ = small_study()
    with pytest.raises(ValueError, match=message):
        InteractionRegression(**parameters).fit(Z, y, treatment=treatment)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"treatment": None}, "needs `treatment`, but none came"),
        ({"treatment": np.arange(60) % 2 + 1}, "treatment_kind='auto' cannot tell doses from arms"),
        ({"treatment": np.arange(60)}, "cannot tell doses from arms"),
        ({"treatment": np.ones(60)}, "no control rows"),
        ({"treatment": np.full(60, 1.5)}, "is 1.5 in all n_samples=60 rows"),
        ({"treatment": ["a", "b"] * 30}, "must hold only 0 and 1"),
        ({"y": np.full(60, np.nan)}, "Input y contains NaN"),
        ({"sample_weight": np.arange(60) % 2}, "no rows of positive weight in arm 0"),
    ],
)
def test_bad_rows_are_named(changed, message):
    Z, y, treatment, _, _ = small_study()
    with pytest.raises(ValueError, match=message):
        InteractionRegression().fit(**({"X": Z, "y": y, "treatment": treatment} | changed))


def test_regressor_has_no_interval_and_says_who_has():
    Z, y, treatment, _, _ = small_study()
    model = InteractionRegression(LinearRegression()).fit(Z, y, treatment=treatment)
    with pytest.raises(
        TypeError, match=r"`estimator` is LinearRegression\. Use InteractionRegress"
    ):
        model.predict_interval(Z)
    with pytest.raises(AttributeError, match="coefficients_: least squares alone"):
        model.coefficients_  # noqa: B018


def test_what_is_no_regressor_is_refused():
    Z, y, treatment, _, _ = small_study()
    for wrong in (LinearRegression, "ols", StandardScaler()):
        with pytest.raises(TypeError, match="`estimator` must be a regressor"):
            InteractionRegression(wrong).fit(Z, y, treatment=treatment)
    with pytest.raises(ValueError, match="is a classifier, LogisticRegression"):
        InteractionRegression(LogisticRegression()).fit(Z, y, treatment=treatment)
    with pytest.raises(ValueError, match="takes no `sample_weight`"):
        InteractionRegression(KNeighborsRegressor()).fit(
            Z, y, treatment=treatment, sample_weight=np.arange(60.0)
        )
    with pytest.raises(ValueError, match=r"`estimator` is None\. Give it an instance"):
        InteractionRegression().set_params(estimator__alpha=1.0)


def test_groups_and_a_method_for_independent_rows_contradict():
    Z, y, treatment, groups, _ = small_study()
    with pytest.raises(ValueError, match="takes rows as independent, but `groups` were given"):
        InteractionRegression(std_error="hc1").fit(Z, y, treatment=treatment, groups=groups)
    model = InteractionRegression().fit(Z, y, treatment=treatment, groups=groups)
    assert (model.std_error_method_, model._fit.dof) == ("group", 14)


def test_refit_forgets_the_kind_before():
    Z, y, dose, _, _ = small_study(0)
    model = InteractionRegression().fit(Z, y, treatment=dose)
    model.fit(Z, y, treatment=np.arange(60) % 3)
    assert model.at_ is None
    assert model.arms_.tolist() == [1, 2]
    model.set_params(estimator=LinearRegression())
    assert model.predict_interval(Z).shape == (60, 2, 2)


def test_without_a_column_that_says_anything_the_effect_is_the_difference_of_means():
    t = np.arange(100) % 2
    y = np.random.default_rng(0).normal(size=100) + t
    X = pd.DataFrame({"same": np.ones(100)})
    model = InteractionRegression().fit(X, y, treatment=t)
    np.testing.assert_allclose(model.predict(X), y[t == 1].mean() - y[t == 0].mean(), rtol=1e-12)
    assert model.covariates_["note"].tolist() == ["constant"]


def test_imputation_is_refused_with_the_options_that_there_are():
    X = np.array([[0.0], [1.0], [np.nan], [3.0]] * 5)
    with pytest.raises(
        ValueError, match=r"InteractionRegression: `missing` must be one of \['auto'"
    ):
        InteractionRegression(missing="impute").fit(
            X, np.arange(20.0), treatment=[0, 0, 1, 1, 1] * 4
        )
