"""SegmentRegression beside statsmodels, beside stacked estimating equations, and in thin segments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import load_nhefs
from segcate.effects import SegmentRegression
from segcate.effects._unmatched.interacted_regression import interacted_regression
from segcate.exceptions import EmptySegmentError, OverlapError
from tests.helpers.naive_effects import stacked_regression
from tests.helpers.small_studies import small_study

# The normal equations of both, one refinement step here.
SAME = 1e-8
# Derivatives by finite differences.
NAIVE = 1e-6
NONROBUST = {"hc1": "HC1", "hc2": "HC2", "hc3": "HC3"}


def statsmodels_fit(y, treatment, Z, target, weight=None, **covariance):
    """Fit the interacted regression, covariates centred at the mean of the target rows."""
    sm = pytest.importorskip("statsmodels.api")
    w = np.ones(len(y)) if weight is None else weight
    centred = Z - np.average(Z, axis=0, weights=w * target)
    design = np.column_stack([np.ones(len(y)), treatment, centred, treatment[:, None] * centred])
    fit = sm.WLS(y, design, weights=w).fit(**covariance)
    return fit.params[1], fit.bse[1]


def target_of(estimand, treatment):
    return {"ate": np.ones(len(treatment)), "att": treatment, "atc": 1 - treatment}[estimand]


# --- other systems --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nhefs():
    pytest.importorskip("causaldata")
    data = load_nhefs()
    covariates = pd.get_dummies(data.X.drop(columns="sex"), drop_first=True, dtype=float)
    return data, covariates.to_numpy()


@pytest.mark.parametrize("estimand", ["ate", "att", "atc"])
@pytest.mark.parametrize("std_error", list(NONROBUST))
def test_nhefs_as_statsmodels(nhefs, std_error, estimand):
    data, Z = nhefs
    model = SegmentRegression(
        estimand=estimand,
        std_error=std_error,
        inference="sample",
        segment="sex",
        adjustment="linear",
    )
    found = model.fit(data.X, data.y, treatment=data.treatment).effects_
    for sex in ("female", "male"):
        rows = (data.X["sex"] == sex).to_numpy()
        t = data.treatment.to_numpy()[rows].astype(float)
        expected = statsmodels_fit(
            data.y.to_numpy()[rows], t, Z[rows], target_of(estimand, t),
            cov_type=NONROBUST[std_error],
        )  # fmt: skip
        np.testing.assert_allclose(found[["effect", "std_error"]].loc[sex], expected, rtol=SAME)


def test_weights_as_statsmodels():
    data = small_study(1, n=400)
    weight = data.weight + 0.5
    model = SegmentRegression(
        inference="sample", std_error="hc3", segment=None, adjustment="linear"
    )
    found = model.fit(data.Z, data.y, treatment=data.treatment, sample_weight=weight).effects_
    t = data.treatment.astype(float)
    expected = statsmodels_fit(data.y, t, data.Z, np.ones(400), weight, cov_type="HC3")
    np.testing.assert_allclose(found[["effect", "std_error"]].loc["all"], expected, rtol=SAME)


@pytest.mark.filterwarnings("ignore:.*run low below 30:segcate.exceptions.SegcateWarning")
def test_groups_as_statsmodels():
    data = small_study(2, n=400, n_groups=25)
    model = SegmentRegression(inference="sample", segment=None, adjustment="linear")
    found = model.fit(data.Z, data.y, treatment=data.treatment, groups=data.groups)
    t = data.treatment.astype(float)
    expected = statsmodels_fit(
        data.y, t, data.Z, np.ones(400), cov_type="cluster", cov_kwds={"groups": data.groups}
    )
    np.testing.assert_allclose(
        found.effects_[["effect", "std_error"]].loc["all"], expected, rtol=SAME
    )
    assert found.std_error_method_ == "group"


# --- the naive version ----------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("estimand", ["ate", "att", "atc"])
def test_stacked_equations_give_the_centring_term(estimand, weighted):
    data = small_study(3, n=300)
    is_treated = data.treatment == 1
    target = target_of(estimand, data.treatment).astype(float)
    weight = data.weight + 0.5 if weighted else None
    fit = interacted_regression(
        data.y, is_treated, data.Z, target * (1.0 if weight is None else weight), weight
    )
    effect, std_error = stacked_regression(data.y, data.treatment, data.Z, target, weight)
    scores = fit.scores("hc0")
    np.testing.assert_allclose(fit.effect, effect, rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(scores @ scores), std_error, rtol=NAIVE)


def test_population_errors_are_wider_by_the_variance_of_the_mean():
    """Where effects vary with unit slope on a standard normal, by about 1 / n."""
    rng = np.random.default_rng(0)
    n = 20_000
    Z, t = rng.normal(size=(n, 1)), rng.random(n) < 0.5
    y = t * Z[:, 0] + rng.normal(size=n)
    found = {
        inference: SegmentRegression(segment=None, inference=inference, adjustment="linear")
        .fit(Z, y, treatment=t)
        .effects_["std_error"]
        .item()
        ** 2
        for inference in ("population", "sample")
    }
    np.testing.assert_allclose((found["population"] - found["sample"]) * n, 1.0, rtol=0.05)


def test_without_covariates_it_is_the_difference_in_means():
    """HC2 is then Neyman's variance: s1^2 / n1 + s0^2 / n0."""
    data = small_study(4, n=200, n_segments=2)
    found = (
        SegmentRegression(adjustment="linear")
        .fit(data.X[["segment"]], data.y, treatment=data.treatment)
        .effects_
    )
    for segment in (0, 1):
        arms = [data.y[(data.segment == segment) & (data.treatment == arm)] for arm in (0, 1)]
        expected = [
            arms[1].mean() - arms[0].mean(),
            np.sqrt(sum(y.var(ddof=1) / len(y) for y in arms)),
        ]
        np.testing.assert_allclose(
            found.loc[segment, ["effect", "std_error"]].astype(float), expected, rtol=1e-12
        )


def test_degrees_of_freedom_are_the_spare_rows_of_the_smaller_arm():
    from scipy import stats

    data = small_study(5, n=80)
    row = (
        SegmentRegression(segment=None, adjustment="linear")
        .fit(data.Z, data.y, treatment=data.treatment)
        .effects_
    )
    df = min(data.treatment.sum(), (1 - data.treatment).sum()) - 4
    half = (row["ci_high"] - row["effect"]) / row["std_error"]
    np.testing.assert_allclose(half, stats.t.ppf(0.975, df), rtol=1e-12)


# --- thin segments --------------------------------------------------------------------------------


def study_with(n_treated, n_columns=3, n=60):
    rng = np.random.default_rng(6)
    Z = rng.normal(size=(n, n_columns))
    t = (np.arange(n) < n_treated).astype(int)
    return Z, Z.sum(axis=1) + t + rng.normal(size=n), t


@pytest.mark.parametrize(
    ("n_treated", "n_columns", "status"),
    [
        (4, 3, r"too few rows for 4 coefficients in each arm \(4 treated, 56 control\)"),
        (1, 3, r"too few rows for 4 coefficients in each arm \(1 treated, 59 control\)"),
        (1, 0, r"too few rows for 1 coefficient in each arm \(1 treated, 59 control\)"),
    ],
)
def test_an_arm_without_a_spare_row_has_no_estimate(n_treated, n_columns, status):
    Z, y, t = study_with(n_treated, max(n_columns, 1))
    Z = Z if n_columns else np.ones((60, 1))  # a constant is no covariate
    with pytest.raises(EmptySegmentError, match=rf"{status}.*use fewer covariates"):
        SegmentRegression(segment=None, adjustment="linear").fit(Z, y, treatment=t)


def test_one_spare_row_is_enough_and_the_status_says_how_thin_it_is():
    Z, y, t = study_with(5)
    row = (
        SegmentRegression(segment=None, adjustment="linear")
        .fit(Z, y, treatment=t)
        .effects_.loc["all"]
    )
    assert row["status"] == "ok: 5 treated for 4 coefficients"
    assert np.isfinite(row["std_error"])
    assert SegmentRegression(segment=None, adjustment="linear").fit(
        *study_with(20)[:2], treatment=study_with(20)[2]
    ).effects_["status"].tolist() == ["ok"]


def test_a_thin_segment_can_take_the_overall_effect():
    data = small_study(7, n=300, n_segments=3)
    t = data.treatment.copy()
    t[data.segment == 1] = 0
    t[np.flatnonzero(data.segment == 1)[:3]] = 1
    X = data.X.drop(columns="cell")
    model = SegmentRegression(on_empty="overall", adjustment="linear").fit(X, data.y, treatment=t)
    row = model.effects_.loc[1]
    assert row["status"].startswith("overall effect (too few rows for 4 coefficients")
    assert row["effect"] == model.overall_["effect"]
    assert (model.predict(X)[data.segment == 1] == model.overall_["effect"]).all()


def test_covariates_that_tell_the_arms_apart():
    Z, y, t = study_with(30)
    for bad, error, words in (
        (t, OverlapError, "column 'x3' of X decides the treatment"),
        (3 * Z[:, 0] - 2 * t, EmptySegmentError, "covariates tell the arms apart"),
    ):
        with pytest.raises(error, match=words):
            SegmentRegression(segment=None, adjustment="linear").fit(
                np.column_stack([Z, bad]), y, treatment=t
            )


def test_repeated_and_constant_columns_change_nothing():
    Z, y, t = study_with(30)
    expected = SegmentRegression(segment=None, adjustment="linear").fit(Z, y, treatment=t).effects_
    more = np.column_stack([Z, Z[:, 0] - Z[:, 1], np.full(60, 7.0), 5 * Z[:, 2] + 1])
    found = SegmentRegression(segment=None, adjustment="linear").fit(more, y, treatment=t).effects_
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9)


def test_a_covariate_that_varies_in_one_arm_only_has_one_slope():
    Z, y, t = study_with(30)
    flag = np.where(t == 1, 0.0, np.arange(60) % 2)
    found = SegmentRegression(segment=None, adjustment="linear").fit(
        np.column_stack([Z, flag]), y, treatment=t
    )
    assert found.effects_["status"].tolist() == [
        "ok: 1 covariate has one slope for both arms (no own variation in one)"
    ]
    # Its slope is that of the controls.
    D = np.column_stack([np.ones(60), t, Z, t[:, None] * Z, flag])
    D[:, 2:5] -= Z.mean(axis=0)
    D[:, 5:8] = t[:, None] * D[:, 2:5]
    expected = np.linalg.lstsq(D, y, rcond=None)[0][1]
    np.testing.assert_allclose(found.effects_["effect"], expected, rtol=1e-10)


def test_a_row_that_alone_decides_a_coefficient_adds_the_spread_of_its_arm():
    """Its residual is 0 whatever its error; without it the standard error would leave it out."""
    Z, y, t = study_with(30)
    lone = np.zeros(60)
    lone[[3, 40, 41, 42]] = 1.0  # one treated row, three controls
    fit = interacted_regression(y, t == 1, np.column_stack([Z, lone]), np.ones(60), None)
    assert fit.n_alone == 1
    assert fit.influence[3] == 0.0
    # The effect moves with that row's outcome by its share, 4 / 60 plus what its Z moves.
    step = np.zeros(60)
    step[3] = 1.0
    moved = interacted_regression(y + step, t == 1, np.column_stack([Z, lone]), np.ones(60), None)
    D1 = np.column_stack([np.ones(30), Z[:30], lone[:30]])
    residual = y[:30] - D1 @ np.linalg.lstsq(D1, y[:30], rcond=None)[0]
    expected = (moved.effect - fit.effect) ** 2 * (residual @ residual) / (30 - 5)
    np.testing.assert_allclose(fit.alone_variance, expected, rtol=1e-8)
    row = (
        SegmentRegression(segment=None, adjustment="linear")
        .fit(np.column_stack([Z, lone]), y, treatment=t)
        .effects_
    )
    assert row["status"].tolist() == ["ok: 1 row alone decides a coefficient"]


def test_weights_of_zero_in_one_arm():
    data = small_study(8, n=100, n_segments=2)
    weight = np.where((data.segment == 1) & (data.treatment == 1), 0.0, 1.0)
    with pytest.raises(EmptySegmentError, match="segment 1: weights are zero"):
        SegmentRegression(adjustment="linear").fit(
            data.X[["z0", "segment"]], data.y, treatment=data.treatment, sample_weight=weight
        )


@pytest.mark.filterwarnings("ignore:.*run low below 30:segcate.exceptions.SegcateWarning")
def test_fewer_groups_than_parameters_give_no_standard_error():
    data = small_study(9, n=200, n_groups=6)
    model = SegmentRegression(segment=None, adjustment="linear")
    row = model.fit(data.Z, data.y, treatment=data.treatment, groups=data.groups).effects_.iloc[0]
    assert row["status"] == (
        "ok: no standard error (6 groups for 8 parameters): use fewer covariates"
    )
    assert np.isfinite(row["effect"])
    assert np.isnan(row["std_error"])


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimand": "late"}, "`estimand` must be one of .*got 'late'"),
        ({"std_error": "hc4"}, "`std_error` must be one of .*got 'hc4'"),
        ({"inference": "both"}, "`inference` must be one of .*got 'both'"),
        ({"on_empty": "drop"}, "`on_empty` must be one of .*got 'drop'"),
        ({"confidence_level": 95}, r"`confidence_level` must be a number in \(0, 1\); got 95"),
        ({"std_error": "group"}, "std_error='group' needs `groups=` in fit"),
    ],
)
def test_bad_parameters(options, message):
    data = small_study(0, n=80)
    with pytest.raises(ValueError, match=message):
        SegmentRegression(segment=None, **{"adjustment": "linear", **options}).fit(
            data.Z, data.y, treatment=data.treatment
        )


def test_robust_errors_are_refused_where_groups_are_given():
    data = small_study(0, n=80)
    with pytest.raises(ValueError, match=r"'hc2' takes rows as independent.*Use 'group'"):
        SegmentRegression(segment=None, std_error="hc2", adjustment="linear").fit(
            data.Z, data.y, treatment=data.treatment, groups=data.groups
        )


def test_missing_values_are_refused():
    data = small_study(0, n=80)
    X = data.X.drop(columns="cell").assign(z1=data.X["z1"].mask(data.X.index < 6))
    with pytest.raises(ValueError, match=r"NaN, in the columns z1 \(6\).*missing='impute'"):
        SegmentRegression(adjustment="linear").fit(X, data.y, treatment=data.treatment)


def test_few_groups_warn():
    from segcate.exceptions import SegcateWarning

    data = small_study(0, n=400, n_groups=20)
    with pytest.warns(SegcateWarning, match="clustered by 20 groups run low below 30"):
        SegmentRegression(segment=None, adjustment="linear").fit(
            data.Z, data.y, treatment=data.treatment, groups=data.groups
        )


def test_summary_names_the_design():
    data = small_study(0, n=300, n_segments=2)
    X = data.X.drop(columns="cell")
    text = (
        SegmentRegression(inference="sample", adjustment="linear")
        .fit(X, data.y, treatment=data.treatment)
        .summary()
    )
    assert text.startswith("Estimand        ATE, effect on all, sample inference\n")
    assert "Standard error  hc2; intervals 95 %; p adjusted by Holm" in text
