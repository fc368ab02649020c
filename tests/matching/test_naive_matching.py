"""The naive matching code on cases small enough to work by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.naive_effects import (
    conditional_variance,
    dummies,
    estimated_score_effect,
    fit_score,
    homoskedastic_variance,
    independent_columns,
    matched_rows,
    matching_effect,
    paired_effect,
    pooled_variances,
    regression_effect,
    weighted_rows,
)
from tests.helpers.naive_matching import (
    match_greedily,
    match_with_replacement,
    matchit_weights,
    pair_of_unit,
    pairs,
    pooled_within_covariance,
    replay_excess,
    rounds_to_sets,
    same_arm_sets,
    scale_columns,
    squared_distances,
    usage,
    variable_ratio,
    whiten,
)

NONE = np.empty(0, dtype=int)


def _sets(design):
    return [sorted(found.tolist()) for found in design]


def test_with_replacement_keeps_all_ties():
    score, treatment = np.array([0.0, -1.0, 1.0, 2.0]), np.array([1, 0, 0, 0])
    for k, expected in ((1, [1, 2]), (2, [1, 2]), (3, [1, 2, 3]), (9, [1, 2, 3])):
        assert _sets(match_with_replacement(score, treatment, k)) == [expected, [], [], []]
    assert _sets(match_with_replacement(score, treatment, ties=False))[0] == [1]


def test_tie_tolerance_is_on_the_squared_distance():
    score, treatment = np.array([0.0, 1.0, 1.1]), np.array([1, 0, 0])
    assert _sets(match_with_replacement(score, treatment, tie_tolerance=0.20))[0] == [1]
    assert _sets(match_with_replacement(score, treatment, tie_tolerance=0.22))[0] == [1, 2]


def test_focal_caliper_and_exact():
    score = np.array([0.0, 0.5, 2.0, 3.0])
    treatment, cell = np.array([1, 0, 0, 1]), np.array(["a", "b", "a", "b"])
    assert _sets(match_with_replacement(score, treatment, focal="all")) == [[1], [0], [3], [2]]
    assert _sets(match_with_replacement(score, treatment, focal="control")) == [[], [0], [3], []]
    assert _sets(match_with_replacement(score, treatment, caliper=0.5)) == [[1], [], [], []]
    assert _sets(match_with_replacement(score, treatment, exact=cell)) == [[2], [], [], [1]]


def test_same_arm_sets_by_three_conventions():
    score, treatment = np.array([0.0, 1.0, 2.0, 10.0]), np.array([0, 0, 0, 1])
    found = {way: same_arm_sets(score, treatment, 1, itself=way) for way in ("out", "extra")}
    assert _sets(found["out"]) == [[1], [0, 2], [1], []]
    assert _sets(found["extra"]) == [[0, 1], [0, 1, 2], [1, 2], [3]]
    counted = same_arm_sets(score, treatment, 2, itself="counted")
    assert _sets(counted) == [[0, 1], [0, 1, 2], [1, 2], [3]]
    other = same_arm_sets(score, treatment, 1, itself="counted", arm_of=1)
    assert _sets(other) == [[3], [3], [3], [3]]


def test_usage():
    k, k2 = usage([np.array([2, 3]), np.array([3]), NONE, NONE], 4)
    np.testing.assert_array_equal(k, [0, 0, 0.5, 1.5])
    np.testing.assert_array_equal(k2, [0, 0, 0.25, 1.25])


# Treated 0, 1; controls 2, 3, 4. Matches {2, 3} and {3}: K = 0.5, 1.5, 0 and K2 = 0.25, 1.25, 0.
Y = np.array([5.0, 9.0, 1.0, 3.0, 7.0])
TREATMENT = np.array([1, 1, 0, 0, 0])
DESIGN = [np.array([2, 3]), np.array([3]), NONE, NONE, NONE]


def test_att_and_its_variances_by_hand():
    # tau = 5 - 2 = 3 and 9 - 3 = 6, ATT 4.5, squares 2.25 each; sigma2 = 2 everywhere:
    # population (4.5 + 2 * (0.25 - 0.25) + 2 * (2.25 - 1.25)) / 4 = 6.5 / 4
    # sample 2 * (1 + 1 + 0.25 + 2.25) / 4 = 9 / 4
    found = matching_effect(Y, TREATMENT, DESIGN, np.full(5, 2.0))
    assert found.estimate == 4.5
    assert found.std_error == pytest.approx(np.sqrt(6.5) / 2)
    assert found.sample_std_error == pytest.approx(1.5)
    np.testing.assert_array_equal(found.unit_effect, [3, 6, np.nan, np.nan, np.nan])


def test_ate_and_its_variances_by_hand():
    # All focal, each control matched to unit 1, K_1 = 3: tau = 3, 6, 8, 6, 2, ATE 5, squares
    # 4 + 1 + 9 + 1 + 9 = 24; sum sigma2 (K^2 + 2K - K2): unit 1 K2 = 3: 9 + 6 - 3 = 12;
    # unit 2 0.25 + 1 - 0.25 = 1; unit 3 2.25 + 3 - 1.25 = 4; so (24 + 17) / 25.
    design = [*DESIGN[:2], np.array([1]), np.array([1]), np.array([1])]
    found = matching_effect(Y, TREATMENT, design, np.ones(5))
    assert found.estimate == 5
    assert found.std_error == pytest.approx(np.sqrt(41) / 5)
    assert found.sample_std_error == pytest.approx(np.sqrt(1 + 16 + 2.25 + 6.25 + 1) / 5)


def test_atc_is_minus_the_att_of_the_relabelled():
    rng = np.random.default_rng(0)
    y, score, treatment = rng.normal(size=30), rng.normal(size=30), rng.integers(0, 2, 30)
    sigma2 = rng.uniform(1, 2, 30)
    atc = matching_effect(
        y, treatment, match_with_replacement(score, treatment, 2, focal="control"), sigma2
    )
    att = matching_effect(y, 1 - treatment, match_with_replacement(score, 1 - treatment, 2), sigma2)
    assert atc.estimate == pytest.approx(-att.estimate)
    assert atc.std_error == pytest.approx(att.std_error)
    assert atc.sample_std_error == pytest.approx(att.sample_std_error)


def test_conditional_variances_by_hand():
    sets = [np.array([2, 3]), np.array([1]), NONE, NONE, NONE]
    out = conditional_variance(Y, sets, "out")
    assert out[0] == pytest.approx(2 / 3 * 9)  # 5 against the mean 2 of 1 and 3
    extra = conditional_variance(Y, [np.array([0, 2, 3]), *sets[1:]], "extra")
    assert extra[0] == pytest.approx(4)  # 5, 1, 3
    np.testing.assert_array_equal(np.isnan(out), [False, False, True, True, True])
    np.testing.assert_array_equal(np.isnan(extra), [False, True, True, True, True])


def test_homoskedastic_variance_by_hand():
    # differences 4 and 2 (weight 1/2 each) and 6: mean 4.5; half of (0.125 + 3.125 + 2.25) / 2
    np.testing.assert_allclose(homoskedastic_variance(Y, TREATMENT, DESIGN), 1.375)


def test_bias_adjustment_is_exact_for_a_linear_outcome():
    rng = np.random.default_rng(1)
    Z, treatment = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    y = 1 + Z @ [2.0, -1.0] + 3 * treatment
    design = match_with_replacement(Z, treatment, 2, focal="all")
    plain = matching_effect(y, treatment, design, np.ones(60))
    adjusted = matching_effect(y, treatment, design, np.ones(60), Z)
    np.testing.assert_allclose(adjusted.unit_effect, 3)
    assert abs(plain.estimate - 3) > 0.01
    np.testing.assert_allclose(homoskedastic_variance(y, treatment, design, Z), 0, atol=1e-20)


def test_pooling_by_hand():
    # shares 1/4 and 3/4 of 4: estimate 0.25 * 2 + 0.75 * 6 = 5; fixed 1/16 + 9/16 * 4 = 37/16;
    # between (0.25 * 9 + 0.75 * 1) / 4 = 3/4
    estimate, fixed, population = pooled_variances([1, 3], np.array([2.0, 6.0]), np.array([1, 2]))
    assert (estimate, fixed, population) == (5, 37 / 16, 37 / 16 + 0.75)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("largest", {(1, 3), (0, 2)}),  # 1.0 takes 0.95, 0.9 is left with 0.5
        ("smallest", {(0, 3), (1, 2)}),
        ("data", {(0, 3), (1, 2)}),
        ("closest", {(1, 3), (0, 2)}),  # gaps 0.04 and 0.06 to 0.96
        ("farthest", {(0, 3), (1, 2)}),
    ],
)
def test_greedy_orders(order, expected):
    score, treatment = np.array([0.9, 1.0, 0.5, 0.96]), np.array([1, 1, 0, 0])
    found = rounds_to_sets(match_greedily(score, treatment, order=order))
    assert pairs(found) == expected
    if order in ("largest", "smallest", "data"):
        assert replay_excess(dict(expected), score, treatment, order=order) == 0
        wrong = {i: 5 - j for i, j in expected}
        assert replay_excess(wrong, score, treatment, order=order) > 0


def test_greedy_ties_fewest_places_away_then_left():
    # Sorted: rows 1, 2 (0.25), 0 (0.5), 3, 4 (0.75): rows 2 and 3 are one place away, 1 and 4 two.
    score, treatment = np.array([0.5, 0.25, 0.25, 0.75, 0.75]), np.array([1, 0, 0, 0, 0])
    assert match_greedily(score, treatment, 4)[0] == [2, 3, 1, 4]
    # A control of the same score counts as right where its row comes later.
    assert match_greedily(np.zeros(4), np.array([0, 0, 1, 0]), 3)[2] == [1, 3, 0]


def test_greedy_caliper_is_inclusive():
    score, treatment = np.array([0.0, 0.25]), np.array([1, 0])
    assert match_greedily(score, treatment, caliper=0.25)[0] == [1]
    assert match_greedily(score, treatment, caliper=0.2499)[0] == []


def test_greedy_rounds_serve_everybody_before_anyone_twice():
    score, treatment = np.array([0.9, 0.8, 0.85, 0.79, 0.1]), np.array([1, 1, 0, 0, 0])
    assert match_greedily(score, treatment, 2) == [[2, 4], [3], [], [], []]


def test_greedy_exact_forbidden_reuse_and_wanted():
    score, treatment = np.array([0.9, 0.8, 0.85, 0.1]), np.array([1, 1, 0, 0])
    cell = np.array([0, 1, 1, 0])
    assert match_greedily(score, treatment, exact=cell) == [[3], [2], [], []]
    assert match_greedily(score, treatment, forbidden=cell) == [[2], [3], [], []]
    assert match_greedily(score, treatment, reuse=2) == [[2], [2], [], []]
    wanted = np.array([0, 2, 0, 0])
    assert match_greedily(score, treatment, wanted=wanted) == [[], [2, 3], [], []]


def test_greedy_on_covariates_keeps_caliper_on_the_score():
    score, treatment = np.array([0.5, 0.6, 0.9]), np.array([1, 0, 0])
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert match_greedily(score, treatment, points=points)[0] == [2]
    assert match_greedily(score, treatment, points=points, caliper=0.2)[0] == [1]


def test_variable_ratio_gives_most_to_the_lowest_scores():
    # 2 * 4 = 8 controls, 1 to 4 each: one gets 4, the next 8 - 4 - 2 = 2, the others 1.
    score = np.array([0.4, 0.1, 0.3, 0.2, 0.0])
    wanted = variable_ratio(score, np.array([1, 1, 1, 1, 0]), 2, 1, 4)
    np.testing.assert_array_equal(wanted, [1, 4, 1, 2, 0])


def test_weights_average_one_over_the_matches():
    # K = 0.5 and 1.5 over two used controls: already mean 1
    np.testing.assert_allclose(matchit_weights(DESIGN, TREATMENT), [1, 1, 0.5, 1.5, 0])


def test_metrics():
    rng = np.random.default_rng(2)
    X, treatment = rng.normal(size=(20, 3)) @ rng.normal(size=(3, 3)), np.arange(20) % 2
    gap = X[4] - X[0]
    inverse = np.linalg.inv(np.cov(X.T))
    assert squared_distances(whiten(X), 0)[4] == pytest.approx(gap @ inverse @ gap)
    expected = (gap**2 / X.var(axis=0)).sum()
    assert squared_distances(scale_columns(X), 0)[4] == pytest.approx(expected)
    arms = [np.cov(X[treatment == arm].T) * 9 for arm in (0, 1)]
    np.testing.assert_allclose(pooled_within_covariance(X, treatment), (arms[0] + arms[1]) / 18)


def test_pair_clustered_error_is_the_paired_one():
    rng = np.random.default_rng(3)
    y, treatment = rng.normal(size=40), np.arange(40) % 2
    design = rounds_to_sets(match_greedily(rng.normal(size=40), treatment, caliper=0.5))
    weight, pair = matchit_weights(design, treatment), pair_of_unit(design)
    rows = weighted_rows(weight, pair)
    estimate, std_error = paired_effect(y, treatment, design)
    n_pairs = len(rows.unit) // 2
    for kind, factor in (
        ("HC0", (n_pairs - 1) / n_pairs),
        ("HC1", (2 * n_pairs - 1) / (2 * n_pairs - 2)),
    ):
        found = regression_effect(y, treatment, rows, kind=kind, clusters=(rows.pair,))
        assert found == pytest.approx((estimate, std_error * np.sqrt(factor)))
    twice = matched_rows(design)
    both = regression_effect(y, treatment, twice, kind="HC0", clusters=(twice.pair, twice.unit))
    # every unit once: clustering by unit is none, and comes off again
    assert both == pytest.approx((estimate, std_error * np.sqrt((n_pairs - 1) / n_pairs)))


def test_g_computation_averages_predictions_over_the_target():
    rng = np.random.default_rng(4)
    Z, treatment = rng.normal(size=(50, 2)), np.arange(50) % 2
    y = 1 + Z @ [1.0, 2.0] + treatment * (3 + Z @ [0.5, -1.0])
    rows = weighted_rows(rng.uniform(0.5, 2, 50))
    for target in (None, treatment == 1):
        found, _ = regression_effect(y, treatment, rows, covariates=Z, target=target)
        chosen = Z if target is None else Z[target]
        assert found == pytest.approx(3 + (chosen @ [0.5, -1.0]).mean())


def test_columns_spanned_by_earlier_ones_are_left_out():
    first = np.array([1.0, 2.0, 3.0, 4.0])
    X = np.column_stack([np.ones(4), first, 2 * first - 1, first**2, np.zeros(4)])
    assert independent_columns(X) == [0, 1, 3]


def test_dummies_leave_out_the_first_level():
    found = dummies(np.array([3, 1, 2]), np.array(["b", "a", "b"]))
    np.testing.assert_array_equal(found, [[0, 1, 1], [0, 0, 0], [1, 0, 1]])


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_score_solves_the_likelihood_equations(link):
    rng = np.random.default_rng(5)
    z = np.column_stack([np.ones(300), rng.integers(0, 4, (300, 2)) * [1.0, 1e4]])
    treatment = (rng.uniform(size=300) < 0.3 + 0.1 * (z[:, 1] > 1)).astype(int)
    score = fit_score(z, treatment, link)
    p, f = score.probability, score.slope
    gradient = z.T @ ((treatment - p) * f / (p * (1 - p)))
    np.testing.assert_allclose(gradient / np.abs(z).max(axis=0), 0, atol=1e-10)
    assert len(np.unique(p)) == len(np.unique(z, axis=0))
    if link == "logit":
        np.testing.assert_allclose(
            score.covariance, np.linalg.inv(z.T @ (z * f[:, None])), rtol=1e-8
        )


@pytest.mark.parametrize("focal", ["treated", "all"])
def test_estimated_score_changes_the_variance_only(focal):
    rng = np.random.default_rng(6)
    z = rng.normal(size=(200, 2))
    treatment = (rng.uniform(size=200) < 1 / (1 + np.exp(-z[:, 0]))).astype(int)
    y = z @ [1.0, 0.5] + treatment + rng.normal(size=200)
    found = estimated_score_effect(y, treatment, z, focal=focal)
    score = fit_score(np.column_stack([np.ones(200), z]), treatment).probability
    design = match_with_replacement(score, treatment, focal=focal)
    counted = same_arm_sets(score, treatment, 2, itself="counted")
    given = matching_effect(y, treatment, design, conditional_variance(y, counted, "counted"))
    assert found.estimate == given.estimate
    assert found.std_error != given.std_error
    if focal == "all":  # the score's estimation can only lower the variance of the ATE
        assert found.std_error < given.std_error
