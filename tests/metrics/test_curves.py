"""Curves along a ranking: definitions, references, standard errors and bands."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segcate._ranking.rows import rank_rows
from segcate.metrics import (
    cumulative_effect_curve,
    qini_curve,
    qini_score,
    rank_test,
    toc_curve,
    uplift_at_k,
    uplift_curve,
)
from segcate.metrics._top_share import gain_polyline, top_shares
from tests.helpers.shared import shared_path

EXACT = {"rtol": 1e-9, "atol": 1e-12}  # figures are printed with 15 digits
GRF_DRAWS = 0.17  # grf's TOC.se come from 1000 half-samples of 200 to 400 rows
CURVES = [uplift_curve, qini_curve, cumulative_effect_curve, toc_curve]
CASES = [
    "binary_negative_ate",
    "binary_rct",
    "binary_ties",
    "binary_ties_permuted",
    "binary_unbalanced",
    "constant_score",
    "continuous_rct",
    "continuous_rct_shift100",
    "head_one_arm",
    "observational",
    "tiny_binary",
    "zero_ate",
]
SCORES = ("psi_ipw", "psi_aipw", "psi_armcentred")


def case(name):
    return json.loads(shared_path("reference", "metrics", f"{name}.json").read_text())


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 12, 60) / 7
    psi = prediction + rng.normal(size=60)
    return psi, prediction, rng.integers(0, 4, 60) / 2, rng.integers(0, 9, 60)


# References


@pytest.mark.parametrize("psi", SCORES)
@pytest.mark.parametrize("name", CASES)
def test_gain_and_toc_are_those_of_the_definitions_at_every_rank(name, psi):
    data = case(name)
    figures, n = data["outputs"]["own_definitions"], data["n"]
    effect, score = data["input"][psi], data["input"]["score"]
    share, gain = (np.array(v) for v in figures[f"gain_curve({psi})"])
    every_rank = uplift_curve(effect, score, n_points=n)
    expected = np.interp(every_rank.share, share, gain)
    np.testing.assert_allclose(every_rank.value, expected, **EXACT)
    if len(share) <= 201:  # their points are the ends of blocks, as ours without n_points
        by_block = uplift_curve(effect, score)
        np.testing.assert_allclose(by_block.share, share, **EXACT)
        np.testing.assert_allclose(by_block.value, gain, **EXACT)
    toc = toc_curve(effect, score, n_points=10)
    np.testing.assert_allclose(toc.value, figures[f"toc(q=.1..1,{psi})"], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "name", ["binary_rct", "binary_ties", "binary_unbalanced", "continuous_rct", "observational"]
)
def test_standard_error_of_toc_is_near_that_of_grf(name):
    data = case(name)
    theirs = data["outputs"]["r"]["grf.rank_average_treatment_effect.fit(psi_aipw,AUTOC)"]["TOC.se"]
    ours = toc_curve(data["input"]["psi_aipw"], data["input"]["score"], n_points=10).std_error
    np.testing.assert_allclose(ours[:-1], theirs[:-1], rtol=GRF_DRAWS)
    assert ours[-1] == 0


# Definitions


def test_six_rows_by_hand():
    # Ranked psi: 6 | 3, 0 tied | 0 | -3 | 3; collected 6, 9, 9, 6, 9 at shares 1/6, 3/6, 4/6, 5/6, 1.
    curve = uplift_curve([3, 6, 3, 0, 0, -3], [0.1, 0.9, 0.5, 0.5, 0.3, 0.2])
    np.testing.assert_allclose(curve.share, np.array([0, 1, 3, 4, 5, 6]) / 6)
    np.testing.assert_allclose(curve.value, np.array([0, 6, 9, 9, 6, 9]) / 6, atol=1e-15)


def test_the_four_curves_are_one(rows):
    psi, prediction, weight, _ = rows
    gain, qini, mean, toc = (
        curve(psi, prediction, sample_weight=weight, n_points=40) for curve in CURVES
    )
    q, all_rows = gain.share[1:], gain.value[-1]
    assert all_rows == pytest.approx(np.average(psi, weights=weight))
    np.testing.assert_allclose(qini.value[1:], gain.value[1:] - q * all_rows, atol=1e-14)
    np.testing.assert_allclose(mean.value, gain.value[1:] / q, atol=1e-13)
    np.testing.assert_allclose(toc.value, mean.value - all_rows, atol=1e-13)
    np.testing.assert_allclose(mean.std_error, gain.std_error[1:] / q, rtol=1e-10)
    np.testing.assert_allclose(toc.std_error[:-1], qini.std_error[1:-1] / q[:-1], rtol=1e-10)
    assert qini.value[0] == qini.value[-1] == toc.value[-1] == 0
    assert qini.std_error[0] == qini.std_error[-1] == toc.std_error[-1] == 0


def test_area_under_the_qini_curve_is_the_qini_score(rows):
    psi, prediction, weight, _ = rows
    for sample_weight in (None, weight):
        curve = qini_curve(psi, prediction, sample_weight=sample_weight)
        area = float(np.diff(curve.share) @ (curve.value[1:] + curve.value[:-1]) / 2)
        assert area == pytest.approx(qini_score(psi, prediction, sample_weight=sample_weight))


def test_last_points_have_the_standard_error_of_the_mean(rows):
    psi, prediction, _, groups = rows
    assert uplift_curve(psi, prediction).std_error[-1] == pytest.approx(
        psi.std(ddof=1) / math.sqrt(60)
    )
    sums = np.bincount(groups, weights=psi - psi.mean())
    expected = math.sqrt(9 / 8 * (sums**2).sum()) / 60
    clustered = uplift_curve(psi, prediction, groups=groups)
    assert clustered.std_error[-1] == pytest.approx(expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_variances_are_those_of_the_influence_of_each_row(rows, weighted, clustered):
    psi, prediction, weight, groups = rows
    ranked = rank_rows(prediction, psi, weight if weighted else None, groups if clustered else None)
    share = np.array([0.03, 0.1, 0.25, 0.5, 0.77, 1.0])
    reached = np.append(0, ranked.reached())
    top = top_shares(ranked, share)
    w = np.ones(ranked.n_ranked) if ranked.weight is None else ranked.weight
    block = np.repeat(np.arange(len(ranked.ends)), np.diff(ranked.ends, prepend=-1))
    parts = []
    for q, effect in zip(share, top.threshold_effect, strict=True):
        included = np.clip((q * reached[-1] - reached[:-1]) / np.diff(reached), 0, 1)[block]
        influence = included * (ranked.psi - effect) / q - ranked.psi
        influence -= np.average(influence, weights=w)
        part = influence * w
        parts.append(np.bincount(ranked.clusters, weights=part) if clustered else part)
    n = len(parts[0])
    expected = np.array(parts) @ np.array(parts).T * n / (n - 1) / w.sum() ** 2
    a, b = 1 / share, np.ones(6)
    np.testing.assert_allclose(top.covariance(a, b), expected, atol=1e-14)
    np.testing.assert_allclose(top.variance(a, b), np.diag(expected), atol=1e-14)


def test_effect_at_the_threshold_is_that_of_the_block_it_cuts():
    prediction = np.repeat([3.0, 2.0, 1.0], 200)
    psi = np.repeat([5.0, 2.0, -1.0], 200)
    line = gain_polyline(rank_rows(prediction, psi))
    slope = line.slope(np.array([0.2, 0.5, 0.8]), 600) + line.mean
    np.testing.assert_allclose(slope, [5, 2, -1], atol=1e-12)


# Invariances


@pytest.mark.parametrize("curve", CURVES)
def test_order_of_rows_changes_not_one_bit(rows, curve):
    psi, prediction, weight, groups = rows
    order = np.random.default_rng(1).permutation(60)
    for clusters in (None, groups):
        one = curve(psi, prediction, sample_weight=weight, groups=clusters, n_points=13)
        other = curve(
            psi[order],
            prediction[order],
            sample_weight=weight[order],
            groups=None if clusters is None else clusters[order],
            n_points=13,
        )
        pd.testing.assert_frame_equal(one.frame(), other.frame(), check_exact=True)


@pytest.mark.parametrize("curve", CURVES)
def test_a_weight_is_the_row_repeated_as_one_group(rows, curve):
    psi, prediction, weight, _ = rows
    repeats = (2 * weight).astype(int)
    weighted = curve(psi, prediction, sample_weight=repeats, n_points=7)
    repeated = curve(
        np.repeat(psi, repeats),
        np.repeat(prediction, repeats),
        groups=np.repeat(np.arange(60), repeats),
        n_points=7,
    )
    np.testing.assert_allclose(weighted.value, repeated.value, atol=1e-13)
    np.testing.assert_allclose(weighted.std_error, repeated.std_error, atol=1e-13)


@pytest.mark.parametrize("curve", CURVES)
def test_a_constant_prediction_is_a_straight_line(rows, curve):
    psi = rows[0]
    found = curve(psi, np.zeros(60), n_points=4)
    q = found.share
    expected = {"uplift": q, "qini": 0 * q, "cumulative_effect": q**0, "toc": 0 * q}[found.kind]
    np.testing.assert_allclose(found.value, expected * psi.mean(), atol=1e-14)
    std_error = psi.std(ddof=1) / math.sqrt(60)
    np.testing.assert_allclose(found.std_error, expected * std_error, atol=1e-14)


# Bands and tables


def test_points_are_blocks_or_even_shares():
    rng = np.random.default_rng(2)
    few, many = rng.integers(0, 9, 500), rng.normal(size=500)
    assert len(uplift_curve(many, few).share) == 10
    np.testing.assert_allclose(uplift_curve(many, many).share, np.arange(201) / 200)
    np.testing.assert_allclose(toc_curve(many, many, n_points=5).share, np.arange(1, 6) / 5)


def test_uniform_bands_are_wider_and_need_a_seed_to_repeat(rows):
    psi, prediction, _, groups = rows
    for clusters in (None, groups):
        narrow = uplift_curve(psi, prediction, groups=clusters, n_points=6)
        wide, again, other = (
            uplift_curve(
                psi, prediction, groups=clusters, n_points=6, band="uniform", random_state=seed
            )
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(wide.ci_low, again.ci_low)
        assert not np.array_equal(wide.ci_low, other.ci_low)
        np.testing.assert_allclose(wide.std_error, narrow.std_error)
        inner = slice(2, None)
        assert (wide.ci_low[inner] < narrow.ci_low[inner]).all()
        assert (wide.ci_high[inner] > narrow.ci_high[inner]).all()


def test_uniform_band_of_one_point_is_the_pointwise_one(rows):
    psi, prediction, _, _ = rows
    one, other = (
        cumulative_effect_curve(psi, prediction, n_points=1, band=band, random_state=0)
        for band in ("pointwise", "uniform")
    )
    assert other.ci_high[0] - other.value[0] == pytest.approx(
        one.ci_high[0] - one.value[0], rel=0.05
    )


def test_a_top_share_of_one_row_has_no_band():
    rng = np.random.default_rng(3)
    curve = uplift_curve(rng.normal(size=50), rng.normal(size=50))
    assert np.isnan(curve.ci_low[1])
    assert np.isfinite(curve.ci_low[2:]).all()
    assert (np.diff([curve.ci_high[k] - curve.ci_low[k] for k in (2, 5)]) < 0).all()


@pytest.mark.parametrize("curve", [qini_curve, toc_curve])
def test_groups_that_reach_from_top_to_bottom_leave_a_band(curve):
    # Every group has a row among the best fifth: none lies below the threshold as a whole.
    rng = np.random.default_rng(4)
    psi = rng.normal(size=100)
    prediction, group = np.arange(100.0)[::-1], np.arange(100) % 20
    found = curve(psi, prediction, groups=group, n_points=10)
    assert np.isfinite(found.ci_low).all()
    half = found.ci_high - found.value
    above = (found.share >= 0.2) & (found.share <= 0.8)
    expected = stats.t.ppf(0.975, 19) * found.std_error[above]
    np.testing.assert_allclose(half[above], expected, rtol=1e-12)


def test_one_point_of_a_curve(rows):
    psi, prediction, _, _ = rows
    curve = uplift_curve(psi, prediction, n_points=10)
    assert curve.at(0.3) == pytest.approx(curve.frame().iloc[3].to_dict())
    finer = uplift_curve(psi, prediction, n_points=20).frame().iloc[7]
    assert curve.at(0.35) == pytest.approx(finer.to_dict())
    assert set(curve.at(0).values()) == {0.0}
    with pytest.raises(ValueError, match=r"`share` must be a number in \(0, 1\]; got 0\."):
        toc_curve(psi, prediction, n_points=10).at(0)
    for share in (1.5, -0.1, np.nan, True, "0.3"):
        with pytest.raises(
            ValueError, match=rf"`share` must be a number in \[0, 1\]; got {share!r}\."
        ):
            curve.at(share)


def test_a_refined_curve_has_its_own_points_and_even_ones_between(rows):
    psi, prediction, _, _ = rows
    curve = toc_curve(psi, np.round(prediction))
    finer = curve.refined()
    assert set(curve.share) | set(np.arange(1, 201) / 200) == set(finer.share)
    for k in range(0, len(finer.share), 20):
        expected = curve.at(finer.share[k])
        assert finer.frame().iloc[k].to_dict() == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.fixture(params=["plain", "weights", "groups"])
def tied(request):
    """Three segments with one prediction each, as segment estimators give."""
    rng = np.random.default_rng(0)
    segment = rng.choice(3, 1500, p=[0.05, 0.35, 0.6])
    prediction = np.array([2.0, 1.0, 0.0])[segment]
    more = {
        "plain": {},
        "weights": {"sample_weight": rng.choice([0.0, 0.5, 2.0], 1500)},
        "groups": {"groups": rng.integers(0, 150, 1500)},
    }
    return prediction + rng.normal(size=1500), prediction, more[request.param]


SHARES = (0.01, 0.1, 0.2, 0.5, 0.95, 1.0)


@pytest.mark.parametrize("n_points", [None, 1, 10])
@pytest.mark.parametrize("q", SHARES)
def test_inside_a_block_of_ties_curves_equal_uplift_at_k(tied, q, n_points):
    psi, prediction, more = tied
    weight = more.get("sample_weight")
    top = uplift_at_k(psi, prediction, k=q, sample_weight=weight)
    mean = np.average(psi, weights=weight)
    expected = {
        cumulative_effect_curve: top,
        toc_curve: top - mean,
        uplift_curve: q * top,
        qini_curve: q * (top - mean),
    }
    for make, value in expected.items():
        found = make(psi, prediction, n_points=n_points, **more).at(q)
        assert found["value"] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("q", SHARES)
def test_inside_a_block_of_ties_standard_errors_are_those_of_rank_test(tied, q):
    psi, prediction, more = tied
    test = rank_test(psi, prediction, metric="uplift_at_k", k=q, **more)
    for make, unit in ((cumulative_effect_curve, 1.0), (uplift_curve, q)):
        found = make(psi, prediction, **more).at(q)
        assert found["std_error"] == pytest.approx(unit * test.std_error, rel=1e-9)


@pytest.mark.parametrize(
    "make", [uplift_curve, qini_curve, cumulative_effect_curve, toc_curve], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("band", ["pointwise", "uniform"])
def test_a_point_between_is_that_of_a_curve_which_has_it(tied, make, band):
    psi, prediction, more = tied
    curve = make(psi, prediction, n_points=20, band=band, random_state=0, **more)
    coarse = make(psi, prediction, n_points=2, band=band, random_state=0, **more)
    for q in (0.2, 0.65):
        row = curve.frame().iloc[int(np.argmin(np.abs(curve.share - q)))]
        found = coarse.at(float(row["share"]))
        columns = ["value", "std_error"] + (["ci_low", "ci_high"] if band == "pointwise" else [])
        assert {c: found[c] for c in columns} == pytest.approx(
            row[columns].to_dict(), rel=1e-9, nan_ok=True
        )


def test_a_constant_score_has_the_mean_effect_at_every_share():
    psi = np.random.default_rng(1).normal(1.0, 1.0, 400)
    for q in (0.1, 0.5, 1.0):
        assert toc_curve(psi, np.zeros(400)).at(q)["value"] == pytest.approx(0.0, abs=1e-12)
        at = cumulative_effect_curve(psi, np.zeros(400)).at(q)
        assert at["value"] == pytest.approx(psi.mean())
        assert at["std_error"] == pytest.approx(psi.std(ddof=1) / 20, rel=1e-9)


def test_frame_has_a_row_a_point(rows):
    frame = toc_curve(*rows[:2], n_points=3).frame()
    assert list(frame) == ["share", "value", "std_error", "ci_low", "ci_high"]
    assert len(frame) == 3


# Bad input


@pytest.mark.parametrize("curve", CURVES)
def test_bad_input_is_named(rows, curve):
    psi, prediction, weight, _ = rows
    name = curve.__name__
    with pytest.raises(ValueError, match=rf"{name}: `prediction` is NaN or infinite in 60.*rank"):
        curve(psi, prediction * np.nan)
    with pytest.raises(ValueError, match=rf"{name}: `pseudo_outcome` is NaN or infinite in 60"):
        curve(psi * np.nan, prediction)
    with pytest.raises(ValueError, match=rf"{name}: `sample_weight` must be finite and not neg"):
        curve(psi, prediction, sample_weight=-weight)
    with pytest.raises(
        ValueError,
        match=rf"{name}: `n_points` must be a whole number from 1 to 1,000,000 or None; got 0",
    ):
        curve(psi, prediction, n_points=0)
    with pytest.raises(ValueError, match=rf"{name}: `n_points` must be .*got 2\.5"):
        curve(psi, prediction, n_points=2.5)
    with pytest.raises(ValueError, match=rf"{name}: `band` must be one of"):
        curve(psi, prediction, band="simultaneous")
    with pytest.raises(
        ValueError, match=rf"{name}: `confidence_level` must be a number in \(0, 1\)"
    ):
        curve(psi, prediction, confidence_level=95)
    with pytest.raises(ValueError, match="a uniform band takes at most 2000 points; got"):
        curve(psi, prediction, n_points=3000, band="uniform")
    with pytest.raises(ValueError, match="1 rows with weight above 0"):
        curve(psi, prediction, sample_weight=np.arange(60) == 3)
