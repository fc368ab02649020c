"""Uplift at k, standard errors on request, normalised scores, and comparisons of predictions."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segcate.exceptions import SegcateWarning
from segcate.metrics import (
    autoc_score,
    compare_scores,
    cumulative_effect_curve,
    dr_loss,
    effect_scores,
    qini_score,
    rank_test,
    uplift_at_k,
)
from tests.helpers.shared import shared_path
from tests.metrics.test_curves import CASES, SCORES

EXACT = {"rel": 1e-9, "abs": 1e-12}  # figures are printed with 13 digits or more
GRF_DRAWS = 0.15  # grf's standard errors come from 1000 half-samples
KINDS = ["qini", "autoc", "uplift_at_k"]


def case(name):
    return json.loads(shared_path("reference", "metrics", f"{name}.json").read_text())


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 12, 80) / 7
    psi = prediction + rng.normal(size=80)
    return psi, prediction, rng.integers(0, 4, 80) / 2, rng.integers(0, 20, 80)


# References


@pytest.mark.parametrize("name", CASES)
def test_uplift_at_k_is_that_of_the_definition(name):
    data = case(name)
    figures = data["outputs"]["own_definitions"]
    for psi in ("psi_aipw", "psi_armcentred"):
        for k, expected in zip(
            (0.1, 0.3, 0.5), figures[f"uplift_at(.1,.3,.5; {psi})"], strict=True
        ):
            value = uplift_at_k(data["input"][psi], data["input"]["score"], k=k)
            assert value == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("psi", SCORES)
@pytest.mark.parametrize("name", CASES)
def test_plain_standard_errors_are_near_those_of_grf(name, psi):
    data = case(name)
    for kind in ("qini", "autoc"):
        theirs = data["outputs"]["r"][
            f"grf.rank_average_treatment_effect.fit({psi},{kind.upper()})"
        ]
        test = rank_test(data["input"][psi], data["input"]["score"], metric=kind, std_error="plain")
        assert test.value == pytest.approx(theirs["estimate"], **EXACT)
        if (name, kind) == ("tiny_binary", "autoc"):
            # Of 20 rows a half-sample is 10, and the sum over ranks of AUTOC is far from its limit:
            # grf's figure is itself that of 10 rows. Ours with half-samples is the same.
            options = {"std_error": "half-sample", "n_draws": 1000, "random_state": 0}
            test = rank_test(data["input"][psi], data["input"]["score"], metric=kind, **options)
        assert test.std_error == pytest.approx(theirs["std.err"], rel=GRF_DRAWS)


@pytest.mark.parametrize("name", ["binary_rct", "continuous_rct", "observational"])
def test_half_samples_are_those_of_grf(name):
    data = case(name)
    for kind in ("qini", "autoc"):
        theirs = data["outputs"]["r"][
            f"grf.rank_average_treatment_effect.fit(psi_aipw,{kind.upper()})"
        ]["std.err"]
        test = rank_test(
            data["input"]["psi_aipw"],
            data["input"]["score"],
            metric=kind,
            std_error="half-sample",
            n_draws=1000,
            random_state=0,
        )
        assert test.std_error == pytest.approx(theirs, rel=0.1)  # two times 1000 draws: 3 % an SE


@pytest.mark.parametrize("name", ["binary_rct", "binary_ties", "binary_negative_ate"])
def test_qini_over_the_oracle_is_divided_as_in_scikit_uplift(name):
    data = case(name)
    inputs, out = data["input"], data["outputs"]
    y, t = np.array(inputs["y"]), np.array(inputs["treatment"])
    given = {"treatment": t, "design": "experiment"}
    ours = qini_score(y, inputs["score"], **given)
    over = qini_score(y, inputs["score"], normalize="oracle", **given)
    divisor = ours / over
    # Their numerator is the area of the joint Qini curve of counts, ours that of effect scores.
    joint = out["own_definitions"]["count_qini_area_above_chord_per_capita(ties collapsed)"]
    theirs = out["sklift"]["qini_auc_score(negative_effect=True)"]
    assert joint / divisor == pytest.approx(theirs, rel=1e-9)
    psi = effect_scores(None, y, treatment=t, design="experiment")
    by_hand = qini_score(psi, inputs["score"], normalize="oracle", y=y, treatment=t)
    assert by_hand == pytest.approx(over, rel=1e-12)


@pytest.mark.parametrize("name", ["binary_rct", "binary_negative_ate", "binary_unbalanced"])
def test_other_packages_print_what_the_conversion_table_says(name):
    data = case(name)
    inputs, out = data["input"], data["outputs"]
    own, n = out["own_definitions"], data["n"]
    score, y, t = (np.array(inputs[key]) for key in ("score", "y", "treatment"))
    causalml = out["causalml"]
    joint = causalml["qini_score(normalize=False)"] * (n + 1) / (n * t.sum())
    assert joint == pytest.approx(
        own["count_qini_area_above_chord_per_capita(ties collapsed)"], rel=1e-3
    )
    assert causalml["rate_score(qini,tau=psi_aipw)"] / 2 == pytest.approx(
        qini_score(inputs["psi_aipw"], score), rel=1e-9
    )
    ate = y[t == 1].mean() - y[t == 0].mean()
    ratio = causalml["auuc_score(normalize=True)"] / causalml["auuc_score(normalize=False)"]
    assert ratio == pytest.approx(1 / (n * abs(ate)), rel=1e-9)
    econml = out["econml"]["evaluate_uplift(qini)"]["coef"]
    assert econml == pytest.approx(qini_score(inputs["psi_aipw"], score), abs=4e-3)


# Uplift at k


def test_uplift_at_k_by_hand():
    # Ranked psi 6 | 3, 0 tied | 0: the best half takes 6 and half of the block, mean 1.5.
    psi, prediction = [3, 6, 0, 0], [0.5, 0.9, 0.5, 0.1]
    assert uplift_at_k(psi, prediction, k=0.5) == pytest.approx((6 + 1.5) / 2)
    assert uplift_at_k(psi, prediction, k=0.25) == pytest.approx(6)
    assert uplift_at_k(psi, prediction, k=1) == pytest.approx(9 / 4)


def test_uplift_at_k_is_a_point_of_its_curve(rows):
    psi, prediction, weight, groups = rows
    curve = cumulative_effect_curve(
        psi, prediction, sample_weight=weight, groups=groups, n_points=10
    )
    test = rank_test(
        psi, prediction, metric="uplift_at_k", k=0.3, sample_weight=weight, groups=groups
    )
    assert test.value == pytest.approx(curve.value[2])
    assert test.std_error == pytest.approx(curve.std_error[2])
    assert uplift_at_k(psi, prediction, sample_weight=weight) == pytest.approx(curve.value[2])


def test_plain_standard_error_at_k_is_that_of_a_mean_of_the_top():
    rng = np.random.default_rng(1)
    psi, prediction = rng.normal(size=500), rng.permutation(500)
    top = psi[prediction >= 400]
    test = rank_test(psi, prediction, metric="uplift_at_k", k=0.2, std_error="plain")
    assert test.std_error == pytest.approx(top.std() / 10 * math.sqrt(500 / 499), rel=1e-9)


def test_all_rows_have_the_average_effect(rows):
    psi, prediction, _, _ = rows
    test = rank_test(psi, prediction, metric="uplift_at_k", k=1)
    assert test.value == pytest.approx(psi.mean())
    assert test.std_error == pytest.approx(psi.std(ddof=1) / math.sqrt(80))


def test_uplift_at_k_of_an_experiment_is_on_arm_centred_scores(rows):
    y, prediction, weight, _ = rows
    treatment = np.arange(80) % 2
    psi = effect_scores(None, y, treatment=treatment, design="experiment", sample_weight=weight)
    for k in (0.1, 0.5):
        value = uplift_at_k(
            y, prediction, treatment=treatment, design="experiment", k=k, sample_weight=weight
        )
        assert value == pytest.approx(uplift_at_k(psi, prediction, k=k, sample_weight=weight))


def test_a_best_share_of_one_arm_has_an_effect():
    # By counts the head has no control to compare with; effect scores need none.
    y, treatment = np.array([1.0, 1, 0, 0, 1, 0]), np.array([1, 1, 0, 0, 1, 0])
    value = uplift_at_k(y, [6, 5, 4, 3, 2, 1], treatment=treatment, design="experiment", k=1 / 3)
    assert math.isfinite(value)


@pytest.mark.parametrize("k", [0, -0.1, 1.01, math.nan, "0.3", True, None])
def test_a_share_outside_its_range_is_named(rows, k):
    psi, prediction, _, _ = rows
    for call in (
        lambda: uplift_at_k(psi, prediction, k=k),
        lambda: rank_test(psi, prediction, metric="uplift_at_k", k=k),
        lambda: compare_scores(psi, {"a": psi, "b": prediction}, metric="uplift_at_k", k=k),
    ):
        with pytest.raises(ValueError, match=r"`k` must be a number in \(0, 1\]"):
            call()


# Standard errors on request


@pytest.mark.parametrize("kind", KINDS)
def test_three_standard_errors_of_the_same_value(kind):
    rng = np.random.default_rng(2)
    prediction = rng.normal(size=600)
    psi = prediction + rng.normal(size=600)
    influence, plain, half = (
        rank_test(psi, prediction, metric=kind, std_error=how, n_draws=400, random_state=0)
        for how in ("influence", "plain", "half-sample")
    )
    assert influence.value == plain.value == half.value
    assert half.std_error == pytest.approx(influence.std_error, rel=0.12)
    if kind != "uplift_at_k":
        assert plain.std_error > 1.1 * influence.std_error
    else:  # the threshold adds k (1 - k) (top mean - effect at the threshold)^2
        assert plain.std_error < influence.std_error


@pytest.mark.parametrize("kind", KINDS)
def test_half_samples_take_whole_clusters(rows, kind):
    psi, prediction, _, _ = rows
    options = {"metric": kind, "std_error": "half-sample", "n_draws": 300, "random_state": 3}
    tripled = rank_test(
        np.repeat(psi, 3), np.repeat(prediction, 3), groups=np.repeat(np.arange(80), 3), **options
    )
    once = rank_test(psi, prediction, **options)
    assert tripled.n_units == once.n_units == 80
    assert tripled.std_error == pytest.approx(once.std_error, rel=0.15)


def test_half_samples_repeat_with_a_seed_and_leave_rows_of_weight_zero_out(rows):
    psi, prediction, weight, _ = rows
    options = {"std_error": "half-sample", "n_draws": 50, "sample_weight": weight}
    one, again, other = (
        rank_test(psi, prediction, random_state=seed, **options).std_error for seed in (0, 0, 1)
    )
    assert one == again != other
    kept = weight > 0
    options["sample_weight"] = weight[kept]
    without = rank_test(psi[kept], prediction[kept], random_state=0, **options)
    assert without.n_units == kept.sum()
    assert without.std_error == pytest.approx(one, rel=0.5)


@pytest.mark.parametrize("how", ["influence", "plain", "half-sample"])
def test_differences_have_each_standard_error(rows, how):
    psi, prediction, _, groups = rows
    other = prediction + np.random.default_rng(4).normal(size=80)
    for kind in KINDS:
        options = {"metric": kind, "std_error": how, "n_draws": 100, "random_state": 0}
        gap = rank_test(psi, prediction, baseline=other, groups=groups, **options)
        ours, theirs = (rank_test(psi, p, groups=groups, **options) for p in (prediction, other))
        assert gap.value == pytest.approx(ours.value - theirs.value)
        assert 0 < gap.std_error < ours.std_error + theirs.std_error
        same = rank_test(psi, prediction, baseline=prediction, **options)
        assert (same.value, same.std_error) == (0, 0)
        assert math.isnan(same.p_value)


def test_options_out_of_range_are_named(rows):
    psi, prediction, _, _ = rows
    with pytest.raises(ValueError, match="`std_error` must be one of"):
        rank_test(psi, prediction, std_error="bootstrap")
    for n_draws in (1, 2.5, True):
        with pytest.raises(ValueError, match="`n_draws` must be a whole number of at least 2"):
            rank_test(psi, prediction, n_draws=n_draws)


# Normalised scores


def test_qini_over_the_average_effect(rows):
    psi, prediction, weight, _ = rows
    value = qini_score(psi, prediction, sample_weight=weight)
    mean = np.average(psi, weights=weight)
    over = qini_score(psi, prediction, sample_weight=weight, normalize="ate")
    assert over == pytest.approx(value / mean)
    assert qini_score(-psi, -prediction, normalize="ate") == pytest.approx(
        qini_score(psi, prediction, normalize="ate")
    )


def test_a_ranking_score_reads_like_every_estimate(rows):
    psi, prediction, weight, groups = rows
    options = {"sample_weight": weight, "groups": groups, "confidence_level": 0.9}
    score, loss = rank_test(psi, prediction, **options), dr_loss(psi, prediction, **options)
    assert list(score.frame()) == list(loss.frame())
    assert float(score) == score.value
    df = score.n_units - 1
    half = stats.t.ppf(0.95, df) * score.std_error
    assert score.ci_low == pytest.approx(score.value - half)
    assert score.ci_high == pytest.approx(score.value + half)
    assert score.p_value == pytest.approx(2 * stats.t.sf(abs(score.value) / score.std_error, df))
    gap = rank_test(psi, prediction, baseline=-prediction, **options)
    assert gap.confidence_level == 0.9
    assert gap.ci_high - gap.value == pytest.approx(stats.t.ppf(0.95, df) * gap.std_error)


def test_dividing_by_an_average_effect_near_zero_warns(rows):
    psi, prediction, _, _ = rows
    centred = psi - psi.mean()
    near = centred + psi.std() / math.sqrt(80)
    with pytest.warns(SegcateWarning, match="divides by an average effect of .* standard error"):
        qini_score(near, prediction, normalize="ate")
    with pytest.raises(ValueError, match="the average effect is 0"):
        qini_score([1.0, -1.0], [1.0, 0.0], normalize="ate")


def test_what_the_oracle_needs_is_named(rows):
    psi, prediction, _, _ = rows
    t, y = np.arange(80) % 2, (psi > 1).astype(int)
    with pytest.raises(ValueError, match=r"needs `y` and `treatment`.*`y` is None"):
        qini_score(psi, prediction, normalize="oracle")
    with pytest.raises(ValueError, match="`treatment` is None"):
        qini_score(psi, prediction, normalize="oracle", y=y)
    with pytest.raises(ValueError, match="`y` must hold only 0 and 1; it has 80 values"):
        qini_score(psi, prediction, normalize="oracle", y=psi, treatment=t)
    with pytest.raises(ValueError, match="`y` is 0 in every row"):
        qini_score(psi, prediction, normalize="oracle", y=0 * y, treatment=t)
    with pytest.raises(ValueError, match="needs rows of both arms"):
        qini_score(psi, prediction, normalize="oracle", y=y, treatment=0 * t)
    with pytest.raises(ValueError, match="`normalize` must be one of"):
        qini_score(psi, prediction, normalize="max")


def test_the_ranking_of_the_oracle_itself_scores_half():
    # Effect scores of an arm of half the rows count a responder twice and its neighbour never; the
    # counts behind the divisor compare the head with an arm that has no rows there.
    rng = np.random.default_rng(5)
    y, t = rng.integers(0, 2, 40_000), rng.integers(0, 2, 40_000)
    knows = np.where(y == 1, np.where(t == 1, 1.0, -1.0), 0.0)
    score = qini_score(y, knows, treatment=t, design="experiment", normalize="oracle")
    assert score == pytest.approx(0.5, abs=0.01)


# Comparisons


@pytest.fixture
def predictions(rows):
    prediction = rows[1]
    rng = np.random.default_rng(6)
    return {"best": prediction, "fair": prediction + rng.normal(size=80), "none": rng.random(80)}


@pytest.mark.parametrize("metric", KINDS)
def test_comparison_has_the_scores_and_paired_differences(rows, predictions, metric):
    psi, _, weight, groups = rows
    options = {"sample_weight": weight, "groups": groups}
    found = compare_scores(psi, predictions, metric=metric, **options)
    assert list(found.scores.index) == ["best", "fair", "none"]
    for name, prediction in predictions.items():
        test = rank_test(psi, prediction, metric=metric, **options)
        row = found.scores.loc[name]
        assert row["score"] == pytest.approx(test.value)
        assert row["std_error"] == pytest.approx(test.std_error)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((test.ci_low, test.ci_high))
    assert len(found.differences) == 3
    for row in found.differences.itertuples():
        test = rank_test(
            psi,
            predictions[row.prediction],
            baseline=predictions[row.than],
            metric=metric,
            **options,
        )
        assert row.difference == pytest.approx(test.value)
        assert row.std_error == pytest.approx(test.std_error)
        assert row.p_value == pytest.approx(test.p_value)
        assert row.z == pytest.approx(test.value / test.std_error)
    smallest = found.differences["p_value"].idxmin()
    raised = found.differences.loc[smallest]
    assert raised["p_adjusted"] == pytest.approx(min(1, 3 * raised["p_value"]))


def test_comparison_of_losses_is_the_mean_difference(rows, predictions):
    psi, _, weight, groups = rows
    found = compare_scores(
        psi, predictions, metric="dr_loss", baseline="none", sample_weight=weight, groups=groups
    )
    assert list(found.differences["than"]) == ["none", "none"]
    for row in found.differences.itertuples():
        loss = dr_loss(
            psi,
            predictions[row.prediction],
            baseline=predictions["none"],
            sample_weight=weight,
            groups=groups,
        )
        assert row.difference == pytest.approx(loss.value)
        assert row.std_error == pytest.approx(loss.std_error)
    level = dr_loss(psi, predictions["best"], sample_weight=weight, groups=groups)
    assert found.scores.loc["best", "score"] == pytest.approx(level.value)
    assert found.scores.loc["best", "std_error"] == pytest.approx(level.std_error)


def test_predictions_that_rank_alike_have_no_p_value(rows):
    psi, prediction, _, _ = rows
    found = compare_scores(psi, {"a": prediction, "b": 2 * prediction, "c": -prediction})
    assert found.differences.loc[0, "difference"] == 0
    assert found.differences.loc[0, ["z", "p_value", "p_adjusted"]].isna().all()
    assert found.differences.loc[1:, "p_adjusted"].notna().all()


def test_a_score_does_not_depend_on_what_it_is_compared_with(rows, predictions):
    psi = rows[0]
    few = {name: predictions[name] for name in ("best", "none")}
    pd.testing.assert_series_equal(
        compare_scores(psi, few).scores.loc["best"],
        compare_scores(psi, predictions).scores.loc["best"],
    )


def test_scores_are_those_of_the_functions(rows, predictions):
    psi = rows[0]
    for metric, function in (("qini", qini_score), ("autoc", autoc_score)):
        table = compare_scores(psi, predictions, metric=metric).scores
        for name, prediction in predictions.items():
            assert table.loc[name, "score"] == function(psi, prediction)


def test_comparisons_that_make_no_sense_are_named(rows, predictions):
    psi, prediction, _, _ = rows
    with pytest.raises(TypeError, match="`predictions` must be a mapping from names"):
        compare_scores(psi, [prediction, psi])
    with pytest.raises(TypeError, match="must be a mapping from names"):
        compare_scores(psi, {1: prediction, 2: psi})
    with pytest.raises(ValueError, match="holds 1; a comparison needs at least two"):
        compare_scores(psi, {"a": prediction})
    with pytest.raises(ValueError, match=r"baseline='worst' is none of the predictions: 'best'"):
        compare_scores(psi, predictions, baseline="worst")
    with pytest.raises(ValueError, match=r"compare_scores, 'bad': `prediction` is NaN"):
        compare_scores(psi, {"good": prediction, "bad": prediction * np.nan})
    with pytest.raises(ValueError, match="`metric` must be one of"):
        compare_scores(psi, predictions, metric="auuc")
    with pytest.raises(ValueError, match="std_error='plain' is for ranking scores"):
        compare_scores(psi, predictions, metric="dr_loss", std_error="plain")
