"""Rosenbaum bounds: what rbounds and sensitivitymv print, brute force, and pairs of a fit."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching, pair_differences, rosenbaum_bounds
from segcate.matching import PropensityMatcher
from tests.helpers.references import COPIES, reference_pairs, study

REFERENCE = json.loads((COPIES / "sensitivity.json").read_text(encoding="utf-8"))
RBOUNDS = json.loads((COPIES / "rbounds.json").read_text(encoding="utf-8"))
# rbounds prints four decimals, and looks for Hodges-Lehmann bounds in steps of 1.
PRINTED, STEP = 5.001e-5, 1.0
EXACT = 1e-9


def differences(spec):
    y = study("lalonde").y
    pairs = sorted(reference_pairs("matchit", "lalonde", spec))
    return np.array([y[focal] - y[match] for focal, match in pairs])


@pytest.mark.parametrize("row", RBOUNDS["rows"], ids=lambda row: row["spec"])
def test_bounds_of_p_values_are_those_of_rbounds(row):
    gamma = [entry["Gamma"] for entry in row["psens"]]
    found = rosenbaum_bounds(differences(row["spec"]), gamma=gamma, alternative="greater")
    upper = [entry["Upper bound"] for entry in row["psens"]]
    lower = [entry["Lower bound"] for entry in row["psens"]]
    np.testing.assert_allclose(found.p_upper, upper, atol=PRINTED)
    np.testing.assert_allclose(found.p_lower, lower, atol=PRINTED)


@pytest.mark.parametrize("row", RBOUNDS["rows"], ids=lambda row: row["spec"])
def test_bounds_of_effects_are_those_of_rbounds(row):
    """At gamma 1 rbounds leaves pairs without a difference out of the estimate, above 1 it does not."""
    values = differences(row["spec"])
    first, *rest = row["hlsens"]
    found = rosenbaum_bounds(values, gamma=[entry["Gamma"] for entry in rest])
    lower = [entry["Lower bound"] for entry in rest]
    np.testing.assert_allclose(found.effect_low, lower, atol=STEP)
    np.testing.assert_allclose(
        found.effect_high, [entry["Upper bound"] for entry in rest], atol=STEP
    )
    known = rosenbaum_bounds(values[values != 0], gamma=1)
    assert known.effect_low[0] == pytest.approx(first["Lower bound"], abs=STEP)
    assert known.effect_low[0] == known.effect_high[0]


@pytest.mark.parametrize(
    "row", REFERENCE["senmv"]["rows"], ids=lambda r: f"{r['spec']}-{r['gamma']}"
)
def test_other_statistics_are_those_of_sensitivitymv(row):
    """The reference calls Huber's cut 3; its figures are those of a cut at 2.5 medians."""
    values = differences(row["spec"])
    for statistic, name in (("mean", "permutational_t_pval"), ("huber", "huber_pval")):
        found = rosenbaum_bounds(
            values, gamma=row["gamma"], statistic=statistic, alternative="greater"
        )
        assert found.p_upper[0] == pytest.approx(row[name], rel=EXACT)


def test_hodges_lehmann_without_bias_is_the_median_of_means_of_two():
    values = np.random.RandomState(0).standard_t(2, 41)
    means = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)]
    found = rosenbaum_bounds(values, gamma=[1, 1.7])
    assert found.effect_low[0] == pytest.approx(np.median(means), rel=EXACT)
    p = 1.7 / 2.7
    for x, chance in ((found.effect_low[1], p), (found.effect_high[1], 1 - p)):
        n_above = sum(m > x + 1e-9 for m in means), sum(m >= x - 1e-9 for m in means)
        assert n_above[0] <= chance * len(means) <= n_above[1]


def test_zero_one_outcomes_get_the_exact_test_of_mcnemar():
    values = np.repeat([1.0, -1.0, 0.0], [30, 12, 58])
    found = rosenbaum_bounds(values, gamma=[1, 1.5], alternative="greater")
    assert found.statistic == "mcnemar"
    expected = [stats.binom.sf(29, 42, g / (1 + g)) for g in (1, 1.5)]
    np.testing.assert_allclose(found.p_upper, expected, rtol=EXACT)
    assert (found.n_pairs, found.n_different) == (100, 42)
    assert np.isnan(found.effect_low).all()


@pytest.mark.parametrize("statistic", ["wilcoxon", "mean", "huber"])
def test_at_the_limit_the_p_value_is_the_level(statistic):
    values = np.random.RandomState(1).normal(0.6, 1, 150)
    limit = rosenbaum_bounds(values, statistic=statistic).gamma_limit
    assert limit > 1
    at = rosenbaum_bounds(values, gamma=limit, statistic=statistic)
    assert at.p_upper[0] == pytest.approx(0.05, rel=1e-6)


def test_a_sign_turned_around_changes_sides():
    values = np.random.RandomState(2).normal(0.3, 1, 60)
    up = rosenbaum_bounds(values, alternative="greater")
    down = rosenbaum_bounds(-values, alternative="less")
    np.testing.assert_allclose(up.p_upper, down.p_upper, rtol=EXACT)
    np.testing.assert_allclose(up.effect_low, -down.effect_high, rtol=1e-6)
    both = rosenbaum_bounds(values)
    np.testing.assert_allclose(both.p_upper, np.minimum(1, 2 * up.p_upper), rtol=1e-6)


def test_there_is_no_limit_without_an_effect():
    values = np.random.RandomState(3).normal(0, 1, 50)
    assert np.isnan(rosenbaum_bounds(values - values.mean()).gamma_limit)
    assert rosenbaum_bounds(np.zeros(5)).p_upper[0] == 1.0
    assert rosenbaum_bounds(np.ones(5), confidence_level=0.9).frame().shape == (5, 4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"`gamma` must hold finite numbers of at least 1"):
        rosenbaum_bounds([1.0, 2.0], gamma=0.5)
    with pytest.raises(ValueError, match="`statistic`"):
        rosenbaum_bounds([1.0, 2.0], statistic="sign")
    with pytest.raises(ValueError, match="difference"):
        rosenbaum_bounds([1.0, np.nan])


def pairs_of(**options):
    users = make_segmented_users(600, n_segments=2, random_state=0)
    X = users.X.assign(segment=users.segment)
    matcher = PropensityMatcher(**{"n_neighbors": 1, "replacement": False, **options})
    return users, X, matcher


@pytest.mark.parametrize("estimand", ["att", "atc"])
def test_pairs_of_a_fit_have_its_unadjusted_effect(estimand):
    users, X, matcher = pairs_of()
    arms = users.treatment if estimand == "att" else 1 - users.treatment
    model = SegmentMatching(matcher, adjustment=None, estimand=estimand)
    model.fit(X, users.y, treatment=arms)
    found = pair_differences(model, users.y)
    for label, row in model.effects_.iterrows():
        assert len(found[label]) == row["n_matched"]
        assert found[label].mean() == pytest.approx(row["effect"], rel=EXACT)


def test_designs_without_pairs_say_why():
    for options, why in (
        ({"replacement": True}, "with replacement"),
        ({"n_neighbors": 2}, "up to 2"),
    ):
        users, X, matcher = pairs_of(**options)
        model = SegmentMatching(matcher, adjustment="bias").fit(
            X, users.y, treatment=users.treatment
        )
        with pytest.raises(ValueError, match=why):
            pair_differences(model, users.y)


def test_another_outcome_is_refused():
    users, X, matcher = pairs_of()
    model = SegmentMatching(matcher, adjustment="bias").fit(X, users.y, treatment=users.treatment)
    with pytest.raises(ValueError, match="`y` has 10 values"):
        pair_differences(model, users.y[:10])
