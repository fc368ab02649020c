"""The kernel behind every ranking score, against grf, definitions, and simulation."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from segcate._ranking.estimates import RankScore
from segcate._ranking.formulas import rank_difference, rank_score
from tests.helpers.naive_ranking import jackknife_std_error, naive_rank_score
from tests.helpers.shared import shared_path

REFERENCE = Path(__file__).parents[1] / "reference" / "metrics" / "ranking.json"
EXACT = {"rel": 1e-9, "abs": 1e-12}  # figures are printed with 13 digits or more
GRF_DRAWS = 0.15  # grf's standard errors come from 1000 half-samples of few rows
CASES = list(json.loads(REFERENCE.read_text())["cases"])
SCORES = ("psi_ipw", "psi_aipw", "psi_armcentred")


@lru_cache
def case(name):
    return json.loads(REFERENCE.read_text())["cases"][name]


def arrays(name, *keys):
    return [np.array(case(name)["input"][key]) for key in keys]


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 8, 40) / 7
    return prediction, rng.normal(size=40) + prediction, rng.integers(0, 4, 40)


# References


@pytest.mark.parametrize("psi", SCORES)
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_definitions_and_of_grf(name, psi):
    score, effect = arrays(name, "score", psi)
    figures, grf = case(name)["own_definitions"], case(name)["grf"]
    for kind, figure in (("qini", "qini_area"), ("autoc", "autoc_rows")):
        result = rank_score(score, effect, kind=kind)
        theirs = grf[f"grf({psi},{kind.upper()})"]
        assert result.value == pytest.approx(figures[f"{figure}({psi})"], **EXACT)
        assert result.value == pytest.approx(theirs["estimate"], **EXACT)
        assert result.std_error == pytest.approx(theirs["std.err"], rel=GRF_DRAWS)


@pytest.mark.parametrize("name", CASES)
def test_weighted_qini_is_the_area_over_weights(name):
    score, effect, weight = arrays(name, "score", "psi_aipw", "sample_weight")
    figure = case(name)["own_definitions"]["qini_area(psi_aipw,sample_weight)"]
    result = rank_score(score, effect, weight)
    assert result.value == pytest.approx(figure, **EXACT)
    theirs = case(name)["grf"]["grf(psi_aipw,QINI,sample.weights)"]
    assert result.std_error == pytest.approx(theirs["std.err"], rel=GRF_DRAWS)


@pytest.mark.parametrize("name", CASES)
def test_clustered_weighted_standard_error_is_near_that_of_grf(name):
    score, effect, weight, cluster = arrays(name, "score", "psi_aipw", "sample_weight", "cluster")
    theirs = case(name)["grf"]["grf(psi_aipw,AUTOC,sample.weights,clusters)"]
    result = rank_score(score, effect, weight, kind="autoc", groups=cluster)
    assert result.std_error == pytest.approx(theirs["std.err"], rel=GRF_DRAWS)
    assert result.n_units == len(set(cluster))


@pytest.mark.parametrize("name", CASES)
def test_copied_inputs_are_the_originals(name):
    original = json.loads(shared_path("reference", "metrics", f"{name}.json").read_text())
    for key, values in case(name)["input"].items():
        assert values == original["input"][key]
    for key, value in case(name)["own_definitions"].items():
        assert value == original["outputs"]["own_definitions"][key]


# Definitions


def test_six_rows_by_hand():
    # Ranked: psi 6 | 3, 0 tied, mean 1.5 | 0 | -3 | 3; the mean of all is 1.5.
    # Less that mean: 4.5, 0, 0, -1.5, -4.5, 1.5; cumulated: 4.5, 4.5, 4.5, 3, -1.5, 0.
    # QINI = sum of the cumulated / 6^2 = 15 / 36.
    # AUTOC = (4.5/1 + 4.5/2 + 4.5/3 + 3/4 - 1.5/5 + 0/6) / 6 = 8.7 / 6.
    prediction = [0.1, 0.9, 0.5, 0.5, 0.3, 0.2]
    psi = [3, 6, 3, 0, 0, -3]
    assert rank_score(prediction, psi).value == pytest.approx(15 / 36, rel=1e-15)
    assert rank_score(prediction, psi, kind="autoc").value == pytest.approx(8.7 / 6, rel=1e-15)


def test_influence_of_six_rows_by_hand():
    # Two blocks, 2 rows of mean 4 (5, 3) above 4 rows of mean 1 (4, 0, 0, 0); N = 6.
    # QINI: area weights A(2) = 2*4/12 = 2/3, A(6) = 0, so 2/3 (4 - 1) / 6 = 1/3.
    # Own part: (psi - block mean) * A-step / size: upper +-1 * (2/3)/2 = +-1/3; lower
    # (3, -1, -1, -1) * (-2/3)/4 = (-1/2, 1/6, 1/6, 1/6).
    # Rank part, upper rows only: slope (1/2 - 2/6) times the step 4 - 1, 1/2; centred by its
    # mean 2 * (1/2) / 6 = 1/6: +1/3 for the upper rows, -1/6 for the lower.
    result = rank_score([1, 1, 0, 0, 0, 0], [5, 3, 4, 0, 0, 0], with_influence=True)
    expected = [2 / 3, 0, -2 / 3, 0, 0, 0]
    assert result.value == pytest.approx(1 / 3)
    np.testing.assert_allclose(result.influence, expected, rtol=1e-13, atol=1e-15)
    assert result.std_error == pytest.approx(math.sqrt(np.var(expected, ddof=1) / 6))


@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_equals_the_naive_definition(draw, kind):
    prediction, psi, repeats = draw
    distinct = np.random.default_rng(1).permutation(40) / 40
    for ranking in (prediction, distinct):
        value = rank_score(ranking, psi, kind=kind).value
        assert value == pytest.approx(naive_rank_score(ranking, psi, kind), rel=1e-12)
        weighted = rank_score(ranking, psi, repeats, kind=kind).value
        naive = naive_rank_score(ranking, psi, kind, repeats=repeats)
        assert weighted == pytest.approx(naive, rel=1e-12)


@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_a_weight_is_the_row_repeated_as_one_group(draw, kind):
    prediction, psi, repeats = draw
    repeated = rank_score(
        np.repeat(prediction, repeats),
        np.repeat(psi, repeats),
        kind=kind,
        groups=np.repeat(np.arange(40), repeats),
    )
    weighted = rank_score(prediction, psi, repeats, kind=kind)
    assert weighted.value == pytest.approx(repeated.value, rel=1e-12)
    assert weighted.std_error == pytest.approx(repeated.std_error, rel=1e-12)
    assert weighted.n_units == repeated.n_units == (repeats > 0).sum()


def test_rows_of_weight_zero_are_not_there(draw):
    prediction, psi, repeats = draw
    with_zeros = rank_score(prediction, psi, repeats, with_influence=True)
    kept = repeats > 0
    without = rank_score(prediction[kept], psi[kept], repeats[kept], with_influence=True)
    assert (with_zeros.value, with_zeros.std_error) == (without.value, without.std_error)
    np.testing.assert_array_equal(with_zeros.influence[kept], without.influence)
    assert (with_zeros.influence[~kept] == 0).all()


def test_equal_weights_are_no_weights(draw):
    prediction, psi, _ = draw
    assert rank_score(prediction, psi, np.ones(40)) == rank_score(prediction, psi)


def test_qini_does_not_depend_on_the_scale_of_weights(draw):
    prediction, psi, repeats = draw
    one, other = (rank_score(prediction, psi, scale * repeats) for scale in (1.0, 0.001))
    assert other.value == pytest.approx(one.value, rel=1e-12)
    assert other.std_error == pytest.approx(one.std_error, rel=1e-12)


# Invariances


@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_order_of_rows_is_irrelevant_under_ties(draw, kind):
    prediction, psi, weight = draw
    groups = np.arange(40) // 4
    first = rank_score(prediction, psi, weight, kind=kind, groups=groups, with_influence=True)
    order = np.random.default_rng(2).permutation(40)
    again = rank_score(
        prediction[order],
        psi[order],
        weight[order],
        kind=kind,
        groups=groups[order],
        with_influence=True,
    )
    assert again.value == pytest.approx(first.value, rel=1e-12)
    assert again.std_error == pytest.approx(first.std_error, rel=1e-12)
    np.testing.assert_allclose(again.influence, first.influence[order], atol=1e-12)


@pytest.mark.parametrize("kind", ["qini", "autoc"])
@pytest.mark.parametrize("n_levels", [1, 5, 300, 0])
def test_order_of_rows_changes_not_one_bit(kind, n_levels):
    # Ties come in blocks below and above the sizes that are sorted in different ways.
    rng = np.random.default_rng(n_levels)
    n = 1500
    prediction = rng.integers(0, n_levels, n) / 7 if n_levels else rng.normal(size=n)
    psi = rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)
    weight, groups = rng.integers(0, 5, n) / 3, rng.integers(0, 90, n)
    psi[::5], weight[::5] = psi[0], weight[0]
    for extra in ({}, {"groups": groups}):
        for w in (None, weight):
            first = rank_score(prediction, psi, w, kind=kind, **extra)
            for _ in range(3):
                order = rng.permutation(n)
                moved = {key: value[order] for key, value in extra.items()}
                again = rank_score(
                    prediction[order],
                    psi[order],
                    None if w is None else w[order],
                    kind=kind,
                    **moved,
                )
                assert (again.value, again.std_error) == (first.value, first.std_error)


@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_scale_shift_and_monotone_change(draw, kind):
    prediction, psi, _ = draw
    one = rank_score(prediction, psi, kind=kind)
    scaled = rank_score(np.exp(prediction), 3 * psi + 1000, kind=kind)
    assert scaled.value == pytest.approx(3 * one.value, rel=1e-10)
    assert scaled.std_error == pytest.approx(3 * one.std_error, rel=1e-10)
    assert scaled.p_value == pytest.approx(one.p_value, rel=1e-8)


def test_qini_upside_down_changes_its_sign(draw):
    prediction, psi, _ = draw
    one, other = rank_score(prediction, psi), rank_score(-prediction, psi)
    assert other.value == pytest.approx(-one.value, rel=1e-12)
    assert other.p_value == pytest.approx(one.p_value, rel=0.2)


@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_a_constant_prediction_ranks_nothing(draw, kind):
    _, psi, weight = draw
    for sample_weight in (None, weight):
        result = rank_score(np.full(40, 0.3), psi, sample_weight, kind=kind)
        assert result.value == 0.0
        assert result.std_error == 0.0
        assert math.isnan(result.p_value)


def test_one_row_has_no_standard_error():
    result = rank_score([1.0], [2.0])
    assert result.value == 0.0
    assert math.isnan(result.std_error)
    assert math.isnan(result.p_value)


# Standard errors


@pytest.mark.parametrize("kind", ["qini", "autoc"])
@pytest.mark.parametrize("n_levels", [0, 5])
def test_standard_error_is_near_the_jackknife(kind, n_levels):
    rng = np.random.default_rng(3)
    effect = rng.normal(size=400)
    prediction = effect if n_levels == 0 else np.floor(n_levels * rng.random(400))
    psi = prediction + rng.normal(size=400)
    jackknife = jackknife_std_error(lambda s, p: rank_score(s, p, kind=kind).value, prediction, psi)
    assert rank_score(prediction, psi, kind=kind).std_error == pytest.approx(jackknife, rel=0.02)


def test_influence_has_mean_zero_and_gives_the_standard_error(draw):
    prediction, psi, weight = draw
    result = rank_score(prediction, psi, weight, kind="autoc", with_influence=True)
    assert np.average(result.influence, weights=weight) == pytest.approx(0, abs=1e-14)
    part = (weight * result.influence)[weight > 0]
    n = len(part)
    expected = math.sqrt(n / (n - 1) * (part**2).sum()) / weight.sum()
    assert result.std_error == pytest.approx(expected, rel=1e-12)


def test_labels_of_groups_do_not_matter(draw):
    prediction, psi, _ = draw
    codes = np.arange(40) % 7
    names = np.array([f"school {7 - code}" for code in codes])
    one, other = (rank_score(prediction, psi, groups=groups) for groups in (codes, names))
    assert other.std_error == pytest.approx(one.std_error, rel=1e-12)
    assert one.std_error != rank_score(prediction, psi).std_error


@pytest.mark.parametrize(
    ("n_units", "quantile"), [(4, 2.3533634348018264), (100, 1.6448536269514722)]
)
def test_confidence_interval_follows_t_below_a_hundred_units(n_units, quantile):
    result = RankScore(0.7, 0.2, n_units, confidence_level=0.9)
    assert (result.ci_low + result.ci_high) / 2 == pytest.approx(0.7)
    assert (result.ci_high - result.ci_low) / 2 == pytest.approx(quantile * 0.2)
    assert repr(result).startswith("RankScore(value=0.7, std_error=0.2, ci_low=")
    assert "influence" not in repr(result)
    assert RankScore(quantile * 0.2, 0.2, n_units).p_value == pytest.approx(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [6, 10, 20])
def test_few_groups_reject_a_random_ranking_near_its_level(n_groups):
    """The normal law would reject 13 %, 10 % and 8 % of these draws at a level of 5 %."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), 40)
    n_rejected = 0
    for _ in range(1000):
        psi = rng.normal(size=n_groups)[groups] + 2 * rng.normal(size=len(groups))
        prediction = rng.normal(size=n_groups)[groups] + 0.5 * rng.normal(size=len(groups))
        n_rejected += rank_score(prediction, psi, groups=groups).p_value < 0.05
    assert 0.035 <= n_rejected / 1000 <= 0.09


def test_difference_of_two_rankings(draw):
    _, psi, weight = draw
    rng = np.random.default_rng(5)
    predictions = psi + rng.normal(size=40), psi + 2 * rng.normal(size=40)
    ours, theirs = (rank_score(p, psi, weight, with_influence=True) for p in predictions)
    result = rank_difference(ours, theirs, weight)
    assert result.value == ours.value - theirs.value
    assert result.n_units == (weight > 0).sum()
    # Two rankings of the same rows are correlated: the difference is surer than its parts suggest.
    assert 0 < result.std_error < math.hypot(ours.std_error, theirs.std_error)
    assert math.isnan(rank_difference(ours, ours, weight).p_value)


def test_difference_needs_influences(draw):
    prediction, psi, _ = draw
    with pytest.raises(ValueError, match="with_influence=True"):
        rank_difference(rank_score(prediction, psi), rank_score(prediction, psi))


def simulate(kind, noise, n_levels, n_groups, n_draws=2000, n=500):
    """Return the root mean squared standard error over the standard deviation of the values."""
    rng = np.random.default_rng(20)
    values, variances = np.empty(n_draws), np.empty(n_draws)
    for i in range(n_draws):
        group = np.arange(n) % n_groups if n_groups else np.arange(n)
        shared = rng.normal(size=n)[group] if n_groups else 0.0
        effect = rng.normal(size=n) + shared
        psi = effect + noise * (rng.normal(size=n) + (rng.normal(size=n)[group] if n_groups else 0))
        prediction = effect
        if n_levels:
            prediction = np.digitize(effect, np.linspace(-1.5, 1.5, n_levels - 1))
        result = rank_score(prediction, psi, kind=kind, groups=group if n_groups else None)
        values[i], variances[i] = result.value, result.std_error**2
    return math.sqrt(variances.mean()) / values.std(ddof=1)


# The sampling error of a ratio over 2000 draws is 1 / sqrt(2 * 2000) = 1.6 %, so a right standard
# error is inside 3 % with 94 % chance a time; seeds are fixed.
@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.5, 1, 2, 4])
@pytest.mark.parametrize("n_levels", [0, 6])
def test_standard_error_of_qini_is_true_within_three_percent(noise, n_levels):
    assert simulate("qini", noise, n_levels, 0) == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.5, 1, 2, 4])
@pytest.mark.parametrize("n_levels", [0, 6])
def test_standard_error_of_autoc_is_true_within_eight_percent(noise, n_levels):
    assert simulate("autoc", noise, n_levels, 0) == pytest.approx(1, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qini", "autoc"])
def test_standard_error_holds_for_dependent_rows(kind):
    assert simulate(kind, 1, 0, 100) == pytest.approx(1, abs=0.05)


# Bad input


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_without_a_prediction_are_never_ranked(bad):
    with pytest.raises(ValueError, match=r"`prediction` is NaN or infinite in 1 of 3 rows"):
        rank_score([1.0, bad, 0.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`psi` is NaN or infinite in 1 of 3 rows"):
        rank_score([1.0, 2.0, 0.0], [1.0, bad, 3.0])


def test_shapes_and_weights_are_checked():
    with pytest.raises(ValueError, match=r"`psi` as one vector .* shape is \(3,\)"):
        rank_score([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`prediction` as one vector .* shape is \(2, 1\)"):
        rank_score([[1.0], [2.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"`groups` as one vector .* shape is \(3,\)"):
        rank_score([1.0, 2.0], [1.0, 2.0], groups=[0, 1, 2])
    with pytest.raises(ValueError, match="at least one row"):
        rank_score([], [])
    with pytest.raises(ValueError, match="1 of 2 weights are negative"):
        rank_score([1.0, 2.0], [1.0, 2.0], [-1.0, 1.0])
    with pytest.raises(ValueError, match="not 0 everywhere"):
        rank_score([1.0, 2.0], [1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="`kind` must be one of"):
        rank_score([1.0, 2.0], [1.0, 2.0], kind="auuc")


def test_equal_weights_of_any_size_are_none():
    plain = rank_score(np.arange(50), np.arange(50), kind="autoc")
    for size in (1 / 50, 1e-300, 7.0):
        assert rank_score(np.arange(50), np.arange(50), np.full(50, size), kind="autoc") == plain
