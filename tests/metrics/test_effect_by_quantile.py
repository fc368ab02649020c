"""Effects by quantile and by group: figures of others, hand-worked rows, naive code, bad input."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.isotonic import isotonic_regression

from segcate.exceptions import SegcateWarning
from segcate.metrics import effect_by_group, effect_by_quantile
from segcate.metrics._group_effects import _isotonic
from tests.helpers.group_references import CASES, EXACT, GROUPS, RANKING, inputs, own
from tests.helpers.naive_groups import naive_isotonic, naive_mean, naive_quantile_groups
from tests.helpers.shared import shared_path

SCORES = ("psi_aipw", "psi_armcentred")


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SegcateWarning)
        return effect_by_quantile(*args, **kwargs)


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 12, 80) / 11
    psi = prediction + rng.normal(size=80)
    return psi, prediction, rng.uniform(0.2, 3.0, 80), rng.integers(0, 15, 80)


# References


@pytest.mark.parametrize("psi", SCORES)
@pytest.mark.parametrize("name", CASES)
def test_groups_are_those_of_the_definitions(name, psi):
    figures = [line for line in own(name, f"gates_dr(k=5, {psi})") if line[0]]
    found = quietly(inputs(name)[psi], inputs(name)["score"])
    got = np.column_stack([found.n, found.mean_prediction, found.effect, found.std_error])
    assert got == pytest.approx(np.array(figures), **EXACT)
    kendall = own(name, f"kendall_groups(k=5, {psi})")
    assert found.monotonicity().kendall_tau == pytest.approx(
        np.nan if kendall is None else kendall, **EXACT, nan_ok=True
    )


@pytest.mark.parametrize("name", [n for n in CASES if n[:10] not in ("binary_tie", "constant_s")])
def test_quartiles_are_those_of_doubleml_and_econml(name):
    found = effect_by_quantile(inputs(name)["psi_aipw"], inputs(name)["score"], n_groups=4)
    doubleml, econml = GROUPS[name]["doubleml_gate"], GROUPS[name]["econml"]["evaluate_cal(4)"]
    assert found.effect == pytest.approx(np.array(doubleml["gate"]), **EXACT)
    assert found.effect == pytest.approx(np.array(econml["gate"]), **EXACT)
    assert found.mean_prediction == pytest.approx(np.array(econml["g_cate"]), **EXACT)
    # Both divide a variance by the rows; here it is the rows less one.
    without_factor = found.std_error * np.sqrt((found.n - 1) / found.n)
    assert without_factor == pytest.approx(np.array(doubleml["se"]), **EXACT)
    assert without_factor == pytest.approx(np.array(econml["se_gate"]), **EXACT)


def test_order_of_rows_under_ties_changes_nothing():
    one, other = inputs("binary_ties"), inputs("binary_ties_permuted")
    a = quietly(one["psi_aipw"], one["score"]).frame()
    b = quietly(other["psi_aipw"], other["score"]).frame()
    pd.testing.assert_frame_equal(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_copied_figures_are_the_originals(name):
    original = json.loads(shared_path("reference", "metrics", f"{name}.json").read_text())
    for key, value in GROUPS[name]["own_definitions"].items():
        assert value == original["outputs"]["own_definitions"][key]
    for key, values in {**RANKING[name]["input"], **GROUPS[name]["input"]}.items():
        assert values == original["input"][key]


# Definitions


def test_six_rows_by_hand():
    # Predictions 1 1 | 2 3 | 4 4: effects (0 + 2) / 2 = 1, (1 + 2) / 2 = 1.5, (4 + 6) / 2 = 5.
    # Standard errors sd / sqrt(2) = half the gap: 1, 0.5, 1.
    found = effect_by_quantile([4, 1, 0, 6, 2, 2], [4, 2, 1, 4, 1, 3], n_groups=3)
    assert found.n.tolist() == [2, 2, 2]
    assert found.low.tolist() == [1, 2, 4]
    assert found.high.tolist() == [1, 3, 4]
    assert found.effect.tolist() == [1, 1.5, 5]
    assert found.std_error == pytest.approx([1, 0.5, 1])
    assert found.mean_prediction.tolist() == [1, 2.5, 4]
    order = found.monotonicity()
    assert order.kendall_tau == pytest.approx(1)
    assert order.difference == 4
    assert order.std_error == pytest.approx(np.sqrt(2))
    # Equal variances, one degree of freedom each: Welch gives 2; P(t_2 > 4 / sqrt(2)).
    assert order.p_value == pytest.approx(stats.t.sf(4 / np.sqrt(2), 2))
    assert order.violation == 0
    # With one degree of freedom a group's t is 12.706.
    assert found.ci_high[1] == pytest.approx(1.5 + 12.7062 * 0.5, abs=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_equals_naive_code(draw, weighted, clustered):
    psi, prediction, weight, cluster = draw
    keywords = {"sample_weight": weight} if weighted else {}
    keywords |= {"groups": cluster} if clustered else {}
    found = effect_by_quantile(psi, prediction, n_groups=4, **keywords)
    w = weight if weighted else np.ones(80)
    c = cluster if clustered else np.arange(80)
    group = np.array(naive_quantile_groups(prediction, 4, w))
    assert found.group.tolist() == [1, 2, 3, 4]
    for g in range(4):
        rows = group == g
        mean, std_error = naive_mean(psi[rows], w[rows], c[rows])
        assert found.n[g] == rows.sum()
        assert found.effect[g] == pytest.approx(mean, rel=1e-12)
        assert found.std_error[g] == pytest.approx(std_error, rel=1e-12)
        assert found.low[g] == prediction[rows].min()
        assert found.high[g] == prediction[rows].max()
        s = np.average(prediction[rows], weights=w[rows])
        assert found.mean_prediction[g] == pytest.approx(s, rel=1e-12)


def test_whole_number_weights_cut_groups_like_repeated_rows(draw):
    psi, prediction, _, _ = draw
    times = np.random.default_rng(1).integers(0, 4, 80)
    found = effect_by_quantile(psi, prediction, n_groups=4, sample_weight=times)
    again = effect_by_quantile(
        np.repeat(psi, times),
        np.repeat(prediction, times),
        n_groups=4,
        groups=np.repeat(np.arange(80), times),
    )
    for name in ("effect", "mean_prediction", "low", "high", "std_error"):
        assert getattr(found, name) == pytest.approx(getattr(again, name), rel=1e-12)
    assert found.n.sum() == (times > 0).sum()


def test_difference_of_groups_knows_that_clusters_tie_them():
    # Each cluster has one row in either group, with the same disturbance: it cancels.
    rng = np.random.default_rng(2)
    shared = np.tile(10 * rng.normal(size=50), 2)
    prediction = np.repeat([0.0, 1.0], 50)
    psi = prediction + shared + 0.01 * rng.normal(size=100)
    found = effect_by_quantile(psi, prediction, n_groups=2, groups=np.tile(np.arange(50), 2))
    order = found.monotonicity()
    assert found.std_error.min() > 1
    gap = psi[50:] - psi[:50]
    assert order.std_error == pytest.approx(gap.std(ddof=1) / np.sqrt(50), rel=1e-9)
    assert found.heterogeneity().p_value < 1e-10


def test_reversed_predictions_reverse_the_groups():
    rng = np.random.default_rng(3)
    psi, prediction = rng.normal(size=100), rng.normal(size=100)
    up = effect_by_quantile(psi, prediction)
    down = effect_by_quantile(psi, -prediction)
    assert up.effect == pytest.approx(down.effect[::-1])


def test_units_of_the_outcome_scale_effects_and_errors(draw):
    psi, prediction, weight, _ = draw
    one = effect_by_quantile(psi, prediction, n_groups=3, sample_weight=weight)
    ten = effect_by_quantile(10 * psi + 7, 10 * prediction + 7, n_groups=3, sample_weight=weight)
    assert ten.effect == pytest.approx(10 * one.effect + 7)
    assert ten.std_error == pytest.approx(10 * one.std_error)
    assert ten.calibration().slope == pytest.approx(one.calibration().slope)
    assert ten.calibration().p_value == pytest.approx(one.calibration().p_value)
    assert ten.monotonicity().p_violation == one.monotonicity().p_violation


# Tests on the groups


def test_calibration_line_is_weighted_least_squares():
    rng = np.random.default_rng(4)
    prediction = rng.normal(size=400)
    psi = 0.3 + 0.5 * prediction + rng.normal(size=400)
    found = effect_by_quantile(psi, prediction)
    line = found.calibration()
    slope, intercept = np.polyfit(found.mean_prediction, found.effect, 1, w=1 / found.std_error)
    assert line.slope == pytest.approx(slope)
    assert line.intercept == pytest.approx(intercept)
    design = np.column_stack([np.ones(5), found.mean_prediction])
    covariance = np.linalg.inv(design.T @ (design / found.std_error[:, None] ** 2))
    assert line.slope_std_error == pytest.approx(np.sqrt(covariance[1, 1]))
    assert line.p_slope_one < 0.001
    residual = [
        stats.ttest_1samp((psi - prediction)[rows], 0).statistic ** 2
        for rows in np.array_split(np.argsort(prediction), 5)
    ]
    assert line.statistic == pytest.approx(sum(residual))
    a = 5 / 79  # Johansen (1980): each of five groups of 80 rows carries one of five combinations
    scale, below = 5 + 2 * a - 6 * a / 7, 5 * 7 / (3 * a)
    assert line.p_value == pytest.approx(stats.f.sf(sum(residual) / scale, 5, below), rel=1e-9)


def test_isotonic_fit_equals_pooling_and_scikit_learn():
    rng = np.random.default_rng(5)
    weight = rng.uniform(0.1, 4, 9)
    values = rng.normal(size=(40, 9))
    found = _isotonic(values, weight)
    for row, fitted in zip(values, found, strict=True):
        assert fitted == pytest.approx(naive_isotonic(row, weight))
        assert fitted == pytest.approx(isotonic_regression(row, sample_weight=weight))


def test_violation_is_chi_bar_squared_for_two_groups():
    # Two groups: the distance is 0 or z^2, each half of the time, so p = P(chi2_1 > z^2) / 2.
    rng = np.random.default_rng(6)
    prediction = np.repeat([0.0, 1.0], 200)
    psi = rng.normal(size=400) - 0.2 * prediction
    order = effect_by_quantile(psi, prediction, n_groups=2).monotonicity()
    z = order.difference / order.std_error
    assert z < 0
    assert order.violation == pytest.approx(z**2)
    assert order.p_violation == pytest.approx(stats.norm.sf(-z), abs=4 * np.sqrt(0.25 / 9999))
    assert order.kendall_tau == pytest.approx(-1)


def test_groups_out_of_order_are_found():
    rng = np.random.default_rng(7)
    prediction = rng.normal(size=2000)
    rising = effect_by_quantile(prediction + rng.normal(size=2000), prediction).monotonicity()
    bent = effect_by_quantile(-(prediction**2) + rng.normal(size=2000), prediction).monotonicity()
    assert (rising.p_value < 1e-6, rising.violation, rising.p_violation) == (True, 0.0, 1.0)
    assert bent.p_violation < 0.001
    assert bent.p_value > 0.01


# Groups fixed in advance


def test_effect_by_group_is_the_mean_in_each_group(draw):
    psi, prediction, weight, cluster = draw
    label = np.array(["b", "a", "c", "a"])[np.arange(80) % 4]
    found = effect_by_group(psi, label, sample_weight=weight, groups=cluster)
    assert found.frame().index.tolist() == ["a", "b", "c"]
    assert list(found.frame().columns) == ["n", "effect", "std_error", "ci_low", "ci_high"]
    for g, name in enumerate("abc"):
        rows = label == name
        mean, std_error = naive_mean(psi[rows], weight[rows], cluster[rows])
        assert found.effect[g] == pytest.approx(mean)
        assert found.std_error[g] == pytest.approx(std_error)
    with pytest.raises(ValueError, match=r"no mean predictions. Pass `prediction=`"):
        found.calibration()
    with_prediction = effect_by_group(psi, label, prediction=prediction)
    assert "mean_prediction" in with_prediction.frame()
    assert 0 <= with_prediction.calibration().p_value <= 1


def test_equality_of_two_groups_is_welchs_test(draw):
    psi = draw[0]
    label = np.arange(80) % 2
    found = effect_by_group(psi, label).heterogeneity()
    t = stats.ttest_ind(psi[label == 0], psi[label == 1], equal_var=False).statistic
    assert found.statistic == pytest.approx(t**2)
    assert found.df == 1


def test_a_group_of_one_row_has_no_standard_error():
    found = effect_by_group([1.0, 2.0, 3.0], [0, 0, 1])
    assert found.effect.tolist() == [1.5, 3.0]
    assert np.isnan(found.std_error[1])
    assert np.isnan(found.ci_low[1])
    assert found.heterogeneity().df == 0


# Bad input


def test_ties_that_empty_groups_are_told():
    with pytest.warns(
        SegcateWarning, match=r"of 5 quantile groups 3 are empty.*2 different values"
    ):
        found = effect_by_quantile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0, 0, 0, 1, 1, 1])
    assert found.group.tolist() == [2, 4]
    with pytest.warns(SegcateWarning, match="1 groups are left"):
        constant = effect_by_quantile([1.0, 2.0, 3.0, 4.0, 5.0], [5.0] * 5)
    assert constant.effect.tolist() == [3.0]
    assert np.isnan(constant.monotonicity().p_value)
    assert np.isnan(constant.calibration().slope)


@pytest.mark.parametrize("n_groups", [0, -1, 5, 2.5, True, "5", None])
def test_number_of_groups_is_checked(n_groups):
    with pytest.raises(ValueError, match=r"`n_groups` must be a whole number from 1 to"):
        effect_by_quantile([1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4], n_groups=n_groups)


def test_arrays_are_checked():
    with pytest.raises(ValueError, match=r"`prediction` is NaN or infinite in 1 of 3 rows"):
        effect_by_quantile([1.0, 2.0, 3.0], [1, np.nan, 3], n_groups=2)
    with pytest.raises(ValueError, match=r"`pseudo_outcome` is NaN.*see segcate.metrics.effect_sc"):
        effect_by_quantile([1.0, np.inf, 3.0], [1, 2, 3], n_groups=2)
    with pytest.raises(ValueError, match=r"`prediction` has 2 values for 3 rows"):
        effect_by_quantile([1.0, 2.0, 3.0], [1, 2], n_groups=2)
    with pytest.raises(ValueError, match=r"`confidence_level` must be a number in \(0, 1\)"):
        effect_by_quantile([1.0, 2.0], [1, 2], n_groups=2, confidence_level=95)
    with pytest.raises(ValueError, match=r"1 rows with weight above 0"):
        effect_by_quantile([1.0, 2.0], [1, 2], n_groups=1, sample_weight=[0, 1])
    with pytest.raises(ValueError, match=r"index of `prediction` differs"):
        effect_by_quantile(pd.Series([1.0, 2.0]), pd.Series([1, 2], index=[1, 0]), n_groups=2)
    with pytest.raises(ValueError, match=r"`group` has missing values"):
        effect_by_group([1.0, 2.0], ["a", None])
    with pytest.raises(ValueError, match=r"`group` has 1 labels for 2 rows"):
        effect_by_group([1.0, 2.0], ["a"])
