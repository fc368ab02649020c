"""Tables, overall effect, intervals and contrasts, from estimates to what a user reads."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segcate.effects import EffectTable, SegmentMatching, SegmentRegression
from segcate.exceptions import SegcateWarning
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import design_of

COLUMNS = [
    *("status", "n", "n_treated", "n_control", "n_matched", "effect", "std_error"),
    *("ci_low", "ci_high", "z", "p_value", "p_adjusted", "shrunken_effect"),
]
# Sums in another order.
RTOL = 1e-9


def fit(data, X=None, groups=None, matcher=None, y=None, **options):
    matcher = PropensityMatcher(**(matcher or {}))
    model = SegmentMatching(matcher, **{"adjustment": "bias", **options})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SegmentMatching: standard errors clustered by")
        return model.fit(
            data.X.drop(columns="cell") if X is None else X, data.y if y is None else y,
            treatment=data.treatment, propensity=data.score, groups=groups,
        )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return small_study(0, n=900, n_segments=5)


@pytest.fixture(scope="module")
def model(data):
    return fit(data)


def test_columns_and_counts(data, model):
    table = model.effects_
    assert table.columns[: len(COLUMNS)].tolist() == COLUMNS
    assert table.index.tolist() == [0, 1, 2, 3, 4]
    assert table.index.name == "segment"
    for segment in range(5):
        rows = data.segment == segment
        row = table.loc[segment]
        assert row["n"] == rows.sum()
        assert row["n_treated"] == data.treatment[rows].sum()
        assert row["n_control"] == (1 - data.treatment[rows]).sum()
        assert row["n_matched"] == row["n_treated"]


def test_intervals_and_p_values_follow_from_effect_and_standard_error(data, model):
    table = model.effects_
    df = smaller_arms(model, data) - 1
    df = np.where(df < 99, df, np.inf)
    np.testing.assert_array_equal(table["df"], df)
    half = stats.t.ppf(0.975, df) * table["std_error"]
    np.testing.assert_allclose(table["ci_low"], table["effect"] - half, rtol=1e-12)
    np.testing.assert_allclose(table["ci_high"], table["effect"] + half, rtol=1e-12)
    np.testing.assert_allclose(table["z"], table["effect"] / table["std_error"], rtol=1e-12)
    np.testing.assert_allclose(table["p_value"], 2 * stats.t.sf(table["z"].abs(), df), rtol=1e-12)
    order = np.argsort(table["p_value"].to_numpy())
    holm = np.empty(5)
    holm[order] = np.maximum.accumulate(table["p_value"].to_numpy()[order] * np.arange(5, 0, -1))
    np.testing.assert_allclose(table["p_adjusted"], np.minimum(holm, 1), rtol=1e-12)


def smaller_arms(model, data):
    """Count the matched rows or the distinct donors of each segment, whichever are fewer."""
    is_used = model.matcher_.matched_.weights > 0
    return np.array(
        [
            min((is_used & (data.treatment == arm) & (data.segment == s)).sum() for arm in (0, 1))
            for s in np.unique(data.segment)
        ]
    )


@pytest.mark.parametrize(("n", "law"), [(600, stats.norm), (120, None)])
def test_students_t_below_100_rows_of_the_smaller_arm(n, law):
    data = small_study(1, n=n, share=0.4)
    model = fit(data)
    row, n_smaller = model.effects_.loc[0], smaller_arms(model, data)[0]
    quantile = (row["ci_high"] - row["effect"]) / row["std_error"]
    if law is None:
        assert n_smaller < 100
        assert quantile == pytest.approx(stats.t.ppf(0.975, n_smaller - 1), rel=1e-9)
    else:
        assert n_smaller >= 100
        assert quantile == pytest.approx(stats.norm.ppf(0.975), rel=1e-9)


def test_for_the_ate_the_smaller_arm_counts():
    data = small_study(2, n=300, share=0.2)
    row = fit(data, estimand="ate").effects_.loc[0]
    n_treated = data.treatment.sum()
    assert n_treated < 100 <= row["n_matched"]
    quantile = (row["ci_high"] - row["effect"]) / row["std_error"]
    assert quantile == pytest.approx(stats.t.ppf(0.975, n_treated - 1), rel=1e-9)


def test_the_confidence_level_is_that_of_the_intervals(data, model):
    narrow = fit(data, confidence_level=0.5).effects_
    wide = model.effects_
    assert (narrow["ci_high"] - narrow["ci_low"] < wide["ci_high"] - wide["ci_low"]).all()
    np.testing.assert_array_equal(narrow["p_value"], wide["p_value"])


# --- the overall effect ---------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("inference", ["population", "sample"])
def test_overall_is_one_problem_that_is_exact_on_the_segment(data, estimand, inference):
    """Pooling segments, and matching everyone exactly on the segment, are the same estimator."""
    options = {
        "estimand": estimand, "inference": inference, "adjustment": None,
        "std_error": "abadie-imbens",
    }  # fmt: skip
    pooled = fit(data, **options).overall_
    whole = fit(data, matcher={"exact": "segment"}, segment=None, **options).effects_.loc["all"]
    assert pooled["effect"] == pytest.approx(whole["effect"], rel=RTOL)
    assert pooled["std_error"] == pytest.approx(whole["std_error"], rel=RTOL)
    for column in ("n", "n_treated", "n_control", "n_matched"):
        assert pooled[column] == whole[column]


def test_overall_weighs_segments_by_matched_rows_and_has_their_spread(model):
    table = model.effects_
    share = table["n_matched"] / table["n_matched"].sum()
    effect = (share * table["effect"]).sum()
    variance = (share**2 * table["std_error"] ** 2).sum()
    variance += (share * (table["effect"] - effect) ** 2).sum() / table["n_matched"].sum()
    assert model.overall_["effect"] == pytest.approx(effect, rel=1e-12)
    assert model.overall_["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_for_the_sample_the_spread_between_segments_is_left_out(data):
    model = fit(data, inference="sample")
    table = model.effects_
    share = table["n_matched"] / table["n_matched"].sum()
    expected = np.sqrt((share**2 * table["std_error"] ** 2).sum())
    assert model.overall_["std_error"] == pytest.approx(expected, rel=1e-12)


def test_one_segment_without_spread_does_not_take_the_overall_standard_error(data):
    y = np.where(data.segment == 3, 5.0, data.y)
    model = fit(data, y=y, adjustment=None)
    table = model.effects_
    assert np.isnan(table.loc[3, "std_error"])
    assert table.loc[3, "effect"] == 0
    share = table["n_matched"] / table["n_matched"].sum()
    effect = (share * table["effect"]).sum()
    variance = (share**2 * table["std_error"].fillna(0) ** 2).sum()
    variance += (share * (table["effect"] - effect) ** 2).sum() / table["n_matched"].sum()
    assert model.overall_["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-12)
    nothing = fit(data, y=np.ones(900))
    assert np.isnan(nothing.overall_["std_error"])
    assert np.isnan(nothing.overall_["p_value"])


# --- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inference", ["population", "sample"])
def test_segments_that_share_groups_have_covariances(data, inference):
    """Scores of all segments, summed by group by hand: covariance matrix and overall variance."""
    adjustment = None if inference == "population" else "linear"
    model = fit(data, groups=data.groups, inference=inference, adjustment=adjustment)
    if inference == "sample":  # 8 groups for 8 parameters
        assert model.effects_["std_error"].isna().all()
        return
    n, k = 900, 5
    design = design_of(model.matcher_.matched_)
    scores = np.zeros((n, k))
    effects = model.effects_["effect"].to_numpy()
    for segment in range(k):
        rows = data.segment == segment
        focal = rows & (data.treatment == 1)
        weight = np.zeros(n)
        weight[rows] = model.matcher_.matched_.weights[rows]
        donors = rows & (data.treatment == 0) & (weight > 0)
        centre = np.average(data.y[donors], weights=weight[donors])
        scores[focal, segment] = (data.y[focal] - data.y[focal].mean()) / focal.sum()
        scores[donors, segment] = -weight[donors] * (data.y[donors] - centre) / focal.sum()
    assert all(len(design[i]) for i in np.flatnonzero(data.treatment))
    sums = np.stack([np.bincount(data.groups, column, 8) for column in scores.T])
    covariance = sums @ sums.T * 8 / 7
    found = model.contrasts().found
    matrix = found.matrix
    expected = np.sqrt(np.einsum("ij,jk,ik->i", matrix, covariance, matrix))
    np.testing.assert_allclose(found.std_error, expected, rtol=RTOL)
    np.testing.assert_allclose(model.effects_["std_error"], np.sqrt(np.diag(covariance)), rtol=RTOL)

    n_k = np.array([(data.treatment[data.segment == s]).sum() for s in range(k)])
    overall = n_k @ effects / n_k.sum()
    by_group = np.array(
        [np.bincount(data.groups[(data.segment == s) & (data.treatment == 1)], minlength=8)
         for s in range(k)]
    )  # fmt: skip
    total = (n_k / n_k.sum()) @ (sums * np.sqrt(8 / 7))
    total += (effects - overall) @ by_group / n_k.sum()
    assert model.overall_["std_error"] == pytest.approx(np.sqrt(total @ total), rel=RTOL)


def test_intervals_over_groups_have_one_degree_less_than_groups():
    data = small_study(3, n=600, n_groups=40)
    row = fit(data, groups=data.groups).effects_.loc[0]
    quantile = (row["ci_high"] - row["effect"]) / row["std_error"]
    assert quantile == pytest.approx(stats.t.ppf(0.975, 39), rel=1e-9)


def test_few_groups_warn_and_say_so():
    data = small_study(4, n=400, n_groups=10)
    with pytest.warns(UserWarning, match=r"clustered by 10 groups run low below 30"):
        found = SegmentMatching().fit(data.X, data.y, treatment=data.treatment, groups=data.groups)
    assert "standard error from 10 groups only" in found.effects_["status"].item()


# --- contrasts ------------------------------------------------------------------------------------


def test_contrasts_by_default_are_all_differences(model):
    table = model.contrasts().table
    effects = model.effects_["effect"]
    assert len(table) == 10
    assert table.loc["0 - 1", "estimate"] == pytest.approx(effects[0] - effects[1], rel=1e-12)
    error = model.effects_["std_error"]
    assert table.loc["2 - 4", "std_error"] == pytest.approx(np.hypot(error[4], error[2]), rel=1e-12)


def test_the_joint_test_of_all_differences_is_cochrans_q(model):
    joint = model.contrasts().joint
    assert joint.statistic == pytest.approx(model.heterogeneity_.q, rel=1e-9)
    assert joint.p_value == pytest.approx(model.heterogeneity_.p_value, rel=1e-9)


def test_contrasts_by_name_and_by_matrix_are_the_same(model):
    by_name = model.contrasts([{0: 1, 3: -1}, {1: 0.5, 2: 0.5, 4: -1}])
    by_matrix = model.contrasts([[1, 0, 0, -1, 0], [0, 0.5, 0.5, 0, -1]])
    pd.testing.assert_frame_equal(by_name.table, by_matrix.table)
    assert by_name.table.index.tolist() == ["+1*0 -1*3", "+0.5*1 +0.5*2 -1*4"]
    alone = model.contrasts({0: 1, 3: -1}).table.drop(columns="p_adjusted")
    pd.testing.assert_frame_equal(alone, by_name.table.iloc[[0]].drop(columns="p_adjusted"))


def test_contrasts_of_unknown_segments_and_wrong_shapes_are_refused(model):
    with pytest.raises(ValueError, match=r"no segment is called 'east'.*the segments are 0, 1"):
        model.contrasts({"east": 1})
    with pytest.raises(ValueError, match=r"5"):
        model.contrasts([[1, -1]])


# --- noise and order of labels --------------------------------------------------------------------


def test_segments_stand_in_the_order_of_their_labels():
    data = small_study(5, n=600, n_segments=4)
    for labels, order in (
        ([10, -1, 9, 2], [-1, 2, 9, 10]),
        (["b", "a", "10", "9"], ["10", "9", "a", "b"]),
        ([0.0, 3.0, 1.0, 2.0], [0, 1, 2, 3]),
        ([True, False, True, False], [False, True]),
    ):
        X = data.X.assign(segment=np.array(labels, dtype=np.array(labels).dtype)[data.segment])
        found = fit(data, X=X.drop(columns="cell")).effects_
        assert found.index.tolist() == order


# --- one law for effects, contrasts and Q ---------------------------------------------------------


def nested(rng, n_segments=2, n_schools=6, n_pupils=20):
    """Draw schools nested in segments, half of the pupils treated, effects that differ by school."""
    n = n_segments * n_schools * n_pupils
    school = np.repeat(np.arange(n_segments * n_schools), n_pupils)
    treatment = rng.permuted(np.tile([0, 1], (school[-1] + 1, n_pupils // 2)), axis=1).ravel()
    y = treatment * (1 + rng.normal(size=school[-1] + 1)[school]) + rng.normal(size=n)
    X = pd.DataFrame({"segment": school // n_schools})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*clustered by")
        return SegmentRegression().fit(X, y, treatment=treatment, groups=school)


def test_contrasts_of_segments_with_schools_of_their_own_follow_welch():
    model = nested(np.random.default_rng(0), n_segments=3)
    effects, table = model.effects_, model.contrasts().table
    variance = effects["std_error"].to_numpy() ** 2
    np.testing.assert_array_equal(effects["df"], 5)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        row = table.loc[f"{i} - {j}"]
        df = (variance[i] + variance[j]) ** 2 / ((variance[i] ** 2 + variance[j] ** 2) / 5)
        assert row["df"] == pytest.approx(df, rel=1e-12)
        half = stats.t.ppf(0.975, df) * row["std_error"]
        assert row["ci_high"] - row["estimate"] == pytest.approx(half, rel=1e-9)
        assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["z"]), df), rel=1e-9)
    weight = 1 / variance
    spread = ((1 - weight / weight.sum()) ** 2 / 5).sum()
    found = model.heterogeneity_
    f = found.q / 2 / (1 + 2 * spread / 8)
    assert found.p_value == pytest.approx(stats.f.sf(f, 2, 8 / (3 * spread)), rel=1e-9)
    assert model.contrasts().joint.p_value == pytest.approx(found.p_value, rel=1e-9)
    assert model._table.n_groups == 18
    assert not model._table.shares_groups


def test_groups_that_reach_into_all_segments_are_counted_once(data):
    model = fit(data, groups=data.groups)
    np.testing.assert_array_equal(model.effects_["df"], 7)
    assert (model.contrasts().table["df"] <= 7 + 1e-9).all()
    joint = model.contrasts().joint
    assert joint.p_value >= stats.f.sf(joint.statistic * 4 / 28, 4, 4) * (1 - 1e-9)


def test_few_controls_widen_the_interval():
    """150 treated and 20 controls: the controls rule the variance, and the law with it."""
    rng = np.random.default_rng(0)
    treatment = (np.arange(170) < 150).astype(int)
    X = pd.DataFrame({"a": rng.normal(size=170), "segment": 0})
    y = X["a"] + treatment + rng.normal(size=170)
    for estimand in ("att", "ate"):
        model = SegmentMatching(adjustment="bias", estimand=estimand)
        found = model.fit(X, y, treatment=treatment)
        for row in (found.effects_.loc[0], found.overall_):
            quantile = (row["ci_high"] - row["ci_low"]) / 2 / row["std_error"]
            assert quantile >= stats.t.ppf(0.975, 19) * (1 - 1e-9)


def test_overall_follows_satterthwaite():
    data = small_study(1, n=240, n_segments=4)
    model = fit(data, inference="sample")
    effects, overall = model.effects_, model.overall_
    share = effects["n_matched"] / effects["n_matched"].sum()
    parts = share**2 * effects["std_error"] ** 2
    df = parts.sum() ** 2 / (parts**2 / effects["df"]).sum()
    half = stats.t.ppf(0.975, df) * overall["std_error"]
    assert overall["ci_high"] - overall["effect"] == pytest.approx(half, rel=1e-9)


def test_all_pairs_of_very_many_segments_are_refused(data):
    table = EffectTable(
        labels=np.arange(300), status=("ok",) * 300, n=np.full(300, 50), n_treated=np.full(300, 25),
        n_control=np.full(300, 25), n_matched=np.full(300, 50), effect=np.arange(300.0),
        variance=np.ones(300), df=np.full(300, 24.0), scores=None, usable=np.ones(300, bool),
        overall=(1.0, 1.0, 10.0), confidence_level=0.95,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"300 segments have 44,850 differences.*\{0: 1, 1: -1\}"):
        table.contrasts()
    assert len(table.contrasts([{0: 1, 1: -1}, {299: 1, 0: -1}]).table) == 2


@pytest.mark.slow
def test_contrasts_and_q_of_nested_schools_keep_their_size():
    """2,000 draws, true difference 0: binomial error 0.5 points."""
    rng, covered, rejected = np.random.default_rng(20_261_126), [], []
    for _ in range(2000):
        model = nested(rng)
        row = model.contrasts().table.iloc[0]
        covered.append(row["ci_low"] <= 0 <= row["ci_high"])
        rejected.append(model.heterogeneity_.p_value < 0.05)
    assert 0.935 <= np.mean(covered) <= 0.965
    assert 0.04 <= np.mean(rejected) <= 0.06


def test_contrasts_without_degrees_of_freedom_are_nan_and_no_error():
    rng = np.random.default_rng(4)
    segment, t = np.arange(240) % 2, rng.integers(0, 2, 240)
    groups = np.where(t == 1, np.arange(240) % 9, 99)
    y = t * segment + rng.normal(size=240)
    model = SegmentRegression()
    with pytest.warns(SegcateWarning, match="clustered by 10 groups"):
        model.fit(pd.DataFrame({"segment": segment}), y, treatment=t, groups=groups)
    row = model.contrasts().table.iloc[0]
    assert np.isfinite(model.effects_["effect"]).all()
    assert row[["std_error", "ci_low", "ci_high", "p_value", "df"]].isna().all()
