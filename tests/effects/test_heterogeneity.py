"""Cochran's Q, tau^2, Hartung-Knapp and shrinkage: by hand, against metafor, in simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.empirical_bayes import shrink
from segcate.effects._table.heterogeneity import Heterogeneity, heterogeneity
from tests.helpers.shared import shared_path

REFERENCE = Path(__file__).parents[1] / "reference" / "matching" / "metafor.json"
METHODS = {"DL": "dersimonian-laird", "PM": "paule-mandel", "REML": "reml"}

# Closed forms: 15 digits printed, both sides rounded in a different order.
RTOL = 1e-9
# metafor's Fisher scoring for REML stops at a step of 1e-5 in tau^2 (it converges linearly, so what
# is left is a few such steps), its uniroot for PM at .Machine$double.eps^0.25 = 1.2e-4.
TAU2_ATOL = {"REML": 5e-5, "PM": 1.3e-4}
N_DRAWS = 4000


def _blocks() -> list[dict]:
    return json.loads(REFERENCE.read_text())["blocks"]


def _assert_agrees_with_metafor(effect, std_error, fits):
    for name, method in METHODS.items():
        fit = fits[name]
        found = heterogeneity(effect, std_error, tau2_method=method)
        assert found.q == pytest.approx(fit["Q"], rel=RTOL)
        assert found.p_value == pytest.approx(fit["Qp"], rel=RTOL)
        assert found.df == len(effect) - 1
        if name == "DL":
            assert found.tau2 == pytest.approx(fit["tau2"], rel=RTOL, abs=1e-15)
            assert found.i2 == pytest.approx(fit["I2"] / 100, rel=RTOL, abs=1e-15)
            assert found.mean == pytest.approx(fit["mu"], rel=RTOL)
            assert found.mean_std_error == pytest.approx(fit["se"], rel=RTOL)
            assert found.hartung_knapp_std_error == pytest.approx(fit["knha_se"], rel=RTOL)
        else:
            assert found.tau2 == pytest.approx(fit["tau2"], rel=RTOL, abs=TAU2_ATOL[name])
    for name in ("DL", "REML", "PM", "EB", "HE"):
        fit = fits[name]
        shrunken = shrink(effect, std_error, fit["tau2"], fit["mu"], method="plug-in")
        np.testing.assert_allclose(shrunken.effect, fit["blup"], rtol=RTOL)
        np.testing.assert_allclose(shrunken.std_error, fit["blup_se"], rtol=RTOL)


@pytest.mark.parametrize("block", _blocks(), ids=lambda block: block["name"])
def test_agrees_with_metafor(block):
    _assert_agrees_with_metafor(block["effect"], block["std_error"], block["fits"])


def test_agrees_with_metafor_on_all_shared_blocks():
    files = sorted(shared_path("reference", "matching").glob("by_cluster_*.json"))
    blocks = [b for file in files for b in json.loads(file.read_text())["meta"].values()]
    assert len(blocks) == 21
    for block in blocks:
        _assert_agrees_with_metafor(block["yi"], block["sei"], block)


def _restricted_likelihood(effect, std_error, tau2):
    total = np.square(std_error) + tau2
    mean = np.average(effect, weights=1 / total)
    return -0.5 * (
        np.log(total).sum() + np.log((1 / total).sum()) + ((effect - mean) ** 2 / total).sum()
    )


@pytest.mark.parametrize("block", _blocks(), ids=lambda block: block["name"])
def test_reml_is_at_least_as_likely_as_metafor_and_every_grid_point(block):
    effect, std_error = np.array(block["effect"]), np.array(block["std_error"])
    tau2 = heterogeneity(effect, std_error, tau2_method="reml").tau2
    best = _restricted_likelihood(effect, std_error, tau2)
    others = [block["fits"]["REML"]["tau2"], *(effect.var() * np.linspace(0, 4, 1001))]
    assert best >= max(_restricted_likelihood(effect, std_error, v) for v in others) - 1e-12


def test_reml_of_equal_standard_errors_is_sample_variance_less_sampling_variance():
    effect = np.array([1.0, 4.0, 2.0, 7.0])
    found = heterogeneity(effect, np.full(4, 0.5), tau2_method="reml")
    assert found.tau2 == pytest.approx(effect.var(ddof=1) - 0.25, rel=1e-10)


def test_paule_mandel_solves_its_equation():
    effect, std_error = np.array([1.0, 4.0, 2.0, 7.0]), np.array([0.5, 1.0, 0.3, 2.0])
    found = heterogeneity(effect, std_error, tau2_method="paule-mandel")
    weight = 1 / (std_error**2 + found.tau2)
    q = (weight * (effect - np.average(effect, weights=weight)) ** 2).sum()
    assert q == pytest.approx(3, rel=1e-10)


def test_three_segments_by_hand():
    # t = 0, 3, 6 with s = 1: w = 1, mean 3, Q = 9 + 0 + 9 = 18 on 2 df;
    # tau2 = (18 - 2) / (3 - 3/3) = 8 = sample variance 9 - 1; I2 = 16/18; w* = 1/9, var(mean) = 3.
    # Hartung-Knapp: sum w*(t - 3)^2 / (2 * 3/9) = 2 / (2/3) = 3.
    found = heterogeneity([0.0, 3.0, 6.0], [1.0, 1.0, 1.0])
    assert (found.q, found.df, found.tau2, found.mean) == pytest.approx((18, 2, 8, 3))
    assert found.p_value == pytest.approx(np.exp(-9))  # chi-squared, 2 df
    assert found.i2 == pytest.approx(16 / 18)
    assert found.mean_std_error == pytest.approx(np.sqrt(3))
    assert found.hartung_knapp_std_error == pytest.approx(np.sqrt(3))
    low, high = found.mean_interval(0.9)
    assert (low, high) == pytest.approx((3 - 2.919985580 * 3**0.5, 3 + 2.919985580 * 3**0.5))


def test_equal_effects_have_no_heterogeneity():
    for method in METHODS.values():
        found = heterogeneity([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], tau2_method=method)
        assert (found.q, found.p_value, found.tau2, found.i2) == (0, 1, 0, 0)
        assert found.mean == pytest.approx(2)
        assert found.mean_interval() == pytest.approx((2, 2))


def test_two_segments_test_their_difference():
    found = heterogeneity([1.0, 4.0], [0.6, 0.8])
    assert found.df == 1
    assert found.q == pytest.approx(9.0)  # (4 - 1)^2 / (0.36 + 0.64)


def test_one_segment_has_a_mean_and_no_heterogeneity():
    found = heterogeneity([1.5], [0.5])
    assert (found.mean, found.mean_std_error, found.n_segments, found.df) == (1.5, 0.5, 1, 0)
    assert np.isnan([found.q, found.p_value, found.i2, found.tau2]).all()
    assert np.isnan(found.mean_interval()).all()


def test_no_segment_gives_nan():
    found = heterogeneity([np.nan], [np.nan])
    assert found.n_segments == 0
    assert np.isnan([found.mean, found.q]).all()


def test_segments_without_weight_are_left_out_and_counted():
    effect = [1.0, np.nan, 2.0, 5.0, 9.0, 3.0]
    std_error = [0.5, 0.5, 0.7, 0.9, 0.0, np.nan]
    found = heterogeneity(effect, std_error)
    assert found.n_segments == 3
    assert found == heterogeneity([1.0, 2.0, 5.0], [0.5, 0.7, 0.9])


def test_usable_leaves_a_segment_out():
    found = heterogeneity([1.0, 99.0, 2.0], [0.5, 0.1, 0.7], usable=[True, False, True])
    assert found == heterogeneity([1.0, 2.0], [0.5, 0.7])


@pytest.mark.parametrize("method", METHODS.values())
def test_shift_scale_and_order_carry_over(method):
    rng = np.random.default_rng(3)
    effect, std_error = rng.normal(0, 2, 7), rng.uniform(0.3, 1.5, 7)
    base = heterogeneity(effect, std_error, tau2_method=method)
    shifted = heterogeneity(effect + 10, std_error, tau2_method=method)
    scaled = heterogeneity(-1e4 * effect, 1e4 * std_error, tau2_method=method)
    permuted = heterogeneity(effect[::-1], std_error[::-1], tau2_method=method)
    for other, factor, offset in ((shifted, 1, 10), (scaled, -1e4, 0), (permuted, 1, 0)):
        assert other.q == pytest.approx(base.q, rel=1e-9)
        assert other.i2 == pytest.approx(base.i2, rel=1e-7)
        assert other.tau2 == pytest.approx(base.tau2 * factor**2, rel=1e-7)
        assert other.mean == pytest.approx(base.mean * factor + offset, rel=1e-7)
        assert other.mean_std_error == pytest.approx(base.mean_std_error * abs(factor), rel=1e-7)


@pytest.mark.parametrize("method", METHODS.values())
def test_diagonal_covariance_equals_standard_errors(method):
    rng = np.random.default_rng(4)
    effect, std_error = rng.normal(0, 2, 6), rng.uniform(0.3, 1.5, 6)
    alone = heterogeneity(effect, std_error, tau2_method=method)
    joint = heterogeneity(effect, std_error, covariance=np.diag(std_error**2), tau2_method=method)
    assert joint.tau2_method == alone.tau2_method
    for name in Heterogeneity.__slots__[:-1]:
        assert getattr(joint, name) == pytest.approx(getattr(alone, name), rel=1e-9), name


def test_covariance_gives_the_wald_test_of_equal_effects():
    # Two effects, difference 2 with variance 1 + 1 - 2 * 0.5 = 1.
    found = heterogeneity([3.0, 1.0], [1.0, 1.0], covariance=[[1.0, 0.5], [0.5, 1.0]])
    assert (found.q, found.df) == pytest.approx((4.0, 1))
    # tau2: sample variance 2 estimates tau2 + s^2 - cov, so 2 - 1 + 0.5.
    assert found.tau2 == pytest.approx(1.5)
    assert found.mean_std_error == pytest.approx(np.sqrt((1 + 1 + 1) / 4 + 1.5 / 2))


def test_wald_q_equals_generalised_least_squares_residual():
    rng = np.random.default_rng(5)
    root = rng.normal(size=(6, 9))
    covariance, effect = root @ root.T, rng.normal(size=6)
    precision = np.linalg.inv(covariance)
    mean = precision.sum(axis=0) @ effect / precision.sum()
    expected = (effect - mean) @ precision @ (effect - mean)
    found = heterogeneity(effect, np.ones(6), covariance=covariance)
    assert found.q == pytest.approx(expected, rel=1e-9)
    assert found.df == 5


@pytest.mark.parametrize("method", ["dersimonian-laird", "paule-mandel"])
def test_covariance_of_deficient_rank_lowers_the_degrees_of_freedom(method):
    root = np.random.default_rng(6).normal(size=(6, 4))  # six segments, four groups
    effect = np.arange(6.0)
    found = heterogeneity(effect, np.ones(6), covariance=root @ root.T, tau2_method=method)
    assert found.df == 4
    assert np.isfinite([found.q, found.tau2, found.mean, found.mean_std_error]).all()


def test_perfectly_correlated_segments_cannot_be_told_apart():
    found = heterogeneity([1.0, 1.0, 1.0], [0.5] * 3, covariance=np.full((3, 3), 0.25))
    assert (found.df, found.tau2, found.i2, found.mean) == (0, 0, 0, 1)
    assert found.mean_std_error == pytest.approx(0.5)
    assert np.isnan([found.q, found.p_value, found.hartung_knapp_std_error]).all()


def test_reml_refuses_a_covariance_of_deficient_rank():
    root = np.random.default_rng(6).normal(size=(6, 4))
    with pytest.raises(ValueError, match="full rank"):
        heterogeneity(np.arange(6.0), np.ones(6), covariance=root @ root.T, tau2_method="reml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effect": [1.0, 2.0], "std_error": [1.0]}, "one length"),
        ({"effect": [1.0, 2.0], "std_error": [1.0, -1.0]}, "1 of 2 values"),
        ({"effect": [1.0, 2.0], "std_error": [1.0, 1.0], "usable": [1, 0]}, "True or False"),
        ({"effect": [1.0, 2.0], "std_error": [1.0, 1.0], "tau2_method": "DL"}, "'DL'"),
        ({"effect": [1.0, 2.0], "std_error": [1.0, 1.0], "covariance": [[1.0, 1.0]]}, "shape"),
        ({"effect": [1.0, 2.0], "std_error": [1, 1], "covariance": [[1, 0], [1, 1]]}, "symmetric"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        heterogeneity(**arguments)


def _coverage(std_error, tau, *, method, seed):
    """Share of true effects inside the 95 % interval, one figure a segment."""
    rng = np.random.default_rng(seed)
    is_inside = np.empty((N_DRAWS, len(std_error)))
    for draw in range(N_DRAWS):
        truth = rng.normal(1.0, tau, len(std_error))
        effect = rng.normal(truth, std_error)
        found = heterogeneity(effect, std_error)
        shrunken = shrink(effect, std_error, found.tau2, found.mean, method=method)
        is_inside[draw] = np.abs(shrunken.effect - truth) <= 1.96 * shrunken.std_error
    return is_inside.mean(axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("std_error", [0.1, 0.15, 0.2])
def test_morris_intervals_cover(std_error):
    covered = _coverage(np.full(8, std_error), 0.2, method="morris", seed=11).mean()
    assert 0.92 <= covered <= 0.96


@pytest.mark.slow
def test_morris_intervals_are_conservative_where_noise_rules():
    for tau in (0.0, 0.2):
        covered = _coverage(np.full(8, 0.4), tau, method="morris", seed=11).mean()
        assert 0.965 <= covered <= 1.0


@pytest.mark.slow
def test_morris_intervals_of_precise_segments_cover():
    std_error = np.array([0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.4, 0.4])
    for tau in (0.1, 0.2, 0.4):
        assert _coverage(std_error, tau, method="morris", seed=12).min() >= 0.935


@pytest.mark.slow
def test_plug_in_intervals_undercover():
    covered = _coverage(np.full(8, 0.2), 0.2, method="plug-in", seed=13).mean()
    assert 0.82 <= covered <= 0.89


@pytest.mark.slow
@pytest.mark.parametrize("n_segments", [2, 8])
def test_q_test_keeps_its_size(n_segments):
    rng = np.random.default_rng(14)
    std_error = rng.uniform(0.1, 0.5, n_segments)
    p_value = np.array(
        [heterogeneity(rng.normal(1, std_error), std_error).p_value for _ in range(N_DRAWS)]
    )
    # 3.3 binomial standard errors around 5 %
    assert abs((p_value < 0.05).mean() - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / N_DRAWS)
    assert stats.kstest(p_value, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_wald_q_keeps_its_size_with_shared_groups_and_cochran_does_not():
    # Eight segments spread over common groups: a shock of the group moves all its segments, so
    # their effects are correlated and differences between them are surer than Cochran's Q thinks.
    rng = np.random.default_rng(15)
    covariance = 0.04 * (0.3 * np.eye(8) + 0.7)
    root, std_error = np.linalg.cholesky(covariance), np.full(8, 0.2)
    wald, cochran = np.empty(N_DRAWS), np.empty(N_DRAWS)
    for draw in range(N_DRAWS):
        effect = 1 + root @ rng.normal(size=8)
        wald[draw] = heterogeneity(effect, std_error, covariance=covariance).p_value
        cochran[draw] = heterogeneity(effect, std_error).p_value
    assert abs((wald < 0.05).mean() - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / N_DRAWS)
    assert (cochran < 0.05).mean() < 0.001


@pytest.mark.slow
@pytest.mark.parametrize(
    ("std_error", "low", "high"),
    [
        (np.full(8, 0.2), 0.94, 0.96),
        (np.array([0.1, 0.15, 0.2, 0.2, 0.25, 0.3, 0.3, 0.4]), 0.92, 0.95),
        (np.array([0.05, 0.3, 0.3, 0.3]), 0.79, 0.85),  # known to be off: see mean_interval
    ],
)
def test_hartung_knapp_interval_of_the_mean_covers_as_documented(std_error, low, high):
    rng = np.random.default_rng(16)
    hits = 0
    for _ in range(N_DRAWS):
        effect = rng.normal(rng.normal(1.0, 0.2, len(std_error)), std_error)
        interval = heterogeneity(effect, std_error).mean_interval()
        hits += interval[0] <= 1.0 <= interval[1]
    assert low <= hits / N_DRAWS <= high
