"""Every estimate and standard error against the naive code, on small studies full of ties.

The naive code of tests/helpers reproduces R's and Stata's figures itself; here it is held against
the engine where those systems have no figure: every combination of estimand, neighbours, ties,
exact columns, calipers, weights and groups.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import statsmodels.api as sm

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers import naive_effects as naive
from tests.helpers import naive_matching
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import assert_valid_match, design_of

# Sums in another order; least squares by another decomposition.
RTOL = 1e-9
FOCAL = {"att": "treated", "atc": "control", "ate": "all"}


def fit(data, *, matcher=None, groups=None, sample_weight=None, **options):
    """Fit with the study's own score, one segment."""
    matcher = PropensityMatcher(score_scale="probability", **(matcher or {}))
    X = data.X.drop(columns="segment")
    model = SegmentMatching(matcher, segment=None, **{"adjustment": "bias", **options})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SegmentMatching: standard errors clustered by")
        return model.fit(
            X if matcher.exact else X.drop(columns="cell"), data.y, treatment=data.treatment,
            propensity=data.score, groups=groups, sample_weight=sample_weight,
        )  # fmt: skip


def assert_row(model, effect, std_error):
    row = model.effects_.loc["all"]
    scale = max(abs(effect), std_error)
    assert row["effect"] == pytest.approx(effect, abs=RTOL * scale)
    assert row["std_error"] == pytest.approx(std_error, rel=RTOL)


def checked_design(model, data, estimand):
    matched = model.matcher_.matched_
    options = model.matcher_.get_params()
    assert_valid_match(
        matched, data.treatment, n_neighbors=options["n_neighbors"], score=data.score,
        replacement=options["replacement"], estimand=estimand, caliper=matched.caliper[0],
        exact=data.cell if options["exact"] else None,
    )  # fmt: skip
    return design_of(matched)


# --- Abadie & Imbens (2006) -----------------------------------------------------------------------


@pytest.mark.parametrize("estimand", list(FOCAL))
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("j", [0, 1, 4])
@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("inference", ["population", "sample"])
def test_abadie_imbens(estimand, k, j, decimals, inference):
    for seed in range(2):
        data = small_study(seed, n=70, decimals=decimals)
        model = fit(
            data, matcher={"n_neighbors": k}, estimand=estimand, adjustment=None,
            std_error="abadie-imbens", inference=inference, n_variance_neighbors=j,
        )  # fmt: skip
        design = naive_matching.match_with_replacement(
            data.score, data.treatment, k, focal=FOCAL[estimand]
        )
        assert naive_matching.pairs(design) == naive_matching.pairs(
            checked_design(model, data, estimand)
        )
        found = naive.matching_effect(data.y, data.treatment, design, sigma2_of(data, design, j))
        wanted = found.std_error if inference == "population" else found.sample_std_error
        assert_row(model, found.estimate, wanted)


def sigma2_of(data, design, j, exact=None, Z=None):
    if j == 0:
        return naive.homoskedastic_variance(data.y, data.treatment, design, Z)
    same_arm = naive_matching.same_arm_sets(
        data.score, data.treatment, j, itself="extra", exact=exact
    )
    return naive.conditional_variance(data.y, same_arm, "extra")


@pytest.mark.parametrize("estimand", list(FOCAL))
@pytest.mark.parametrize("caliper", [None, 0.1])
@pytest.mark.parametrize("exact", [None, "cell"])
@pytest.mark.parametrize("j", [0, 2])
def test_abadie_imbens_with_caliper_and_exact_columns(estimand, caliper, exact, j):
    for seed in range(3):
        data = small_study(seed, n=120, n_cells=2, decimals=2)
        model = fit(
            data, matcher={"n_neighbors": 2, "caliper": caliper, "exact": exact},
            estimand=estimand, adjustment=None, std_error="abadie-imbens", n_variance_neighbors=j,
        )  # fmt: skip
        cells = data.cell if exact else None
        design = naive_matching.match_with_replacement(
            data.score, data.treatment, 2, focal=FOCAL[estimand], exact=cells,
            caliper=model.matcher_.matched_.caliper[0] if caliper else None,
        )  # fmt: skip
        checked_design(model, data, estimand)
        sigma2 = sigma2_of(data, design, j, exact=cells)
        found = naive.matching_effect(data.y, data.treatment, design, sigma2)
        assert_row(model, found.estimate, found.std_error)
        assert model.effects_["n_matched"].item() == sum(len(s) > 0 for s in design)


@pytest.mark.parametrize("estimand", list(FOCAL))
@pytest.mark.parametrize("j", [0, 2])
@pytest.mark.parametrize("inference", ["population", "sample"])
def test_abadie_imbens_after_bias_adjustment(estimand, j, inference, monkeypatch):
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    for seed in range(4):
        data = small_study(seed, n=90, decimals=2)
        model = fit(
            data, matcher={"n_neighbors": 2}, estimand=estimand, std_error="abadie-imbens",
            inference=inference, n_variance_neighbors=j,
        )  # fmt: skip
        design = checked_design(model, data, estimand)
        sigma2 = sigma2_of(data, design, j, Z=data.Z)
        found = naive.matching_effect(data.y, data.treatment, design, sigma2, data.Z)
        wanted = found.std_error if inference == "population" else found.sample_std_error
        assert_row(model, found.estimate, wanted)


@pytest.mark.parametrize("adjustment", [None, "bias"])
@pytest.mark.parametrize("order", ["largest", "data"])
def test_with_covariates_held_fixed_abadie_imbens_holds_without_replacement(
    adjustment, order, monkeypatch
):
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    for seed in range(3):
        data = small_study(seed, n=100, share=0.3)
        model = fit(
            data, matcher={"n_neighbors": 2, "replacement": False, "order": order},
            adjustment=adjustment, std_error="abadie-imbens", inference="sample",
        )  # fmt: skip
        design = checked_design(model, data, "att")
        Z = data.Z if adjustment else None
        found = naive.matching_effect(data.y, data.treatment, design, sigma2_of(data, design, 2), Z)
        assert_row(model, found.estimate, found.sample_std_error)


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", list(FOCAL))
@pytest.mark.parametrize("inference", ["population", "sample"])
@pytest.mark.parametrize("decimals", [None, 1])
def test_weighted_abadie_imbens_by_its_formula(estimand, inference, decimals):
    """``{sum f^2 (tau_i - tau)^2 + sum sigma2 (K^2 + 2 f K - K2)} / (sum f)^2``, shares by hand."""
    for seed in range(4):
        data = small_study(seed, n=80, decimals=decimals)
        model = fit(
            data, matcher={"n_neighbors": 3}, estimand=estimand, adjustment=None,
            std_error="abadie-imbens", inference=inference, sample_weight=data.weight,
        )  # fmt: skip
        n, w = len(data.y), data.weight
        design = design_of(model.matcher_.matched_)
        K, K2, f, tau = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
        for i, found in enumerate(design):
            if len(found):
                share = w[found] / w[found].sum()
                f[i] = w[i]
                K[found] += w[i] * share
                K2[found] += (w[i] * share) ** 2
                tau[i] = (2 * data.treatment[i] - 1) * (data.y[i] - share @ data.y[found])
        effect = f @ tau / f.sum()
        kept = np.flatnonzero(w > 0)
        same_arm = naive_matching.same_arm_sets(
            data.score[kept], data.treatment[kept], 2, itself="extra"
        )
        sigma2 = np.zeros(n)
        sigma2[kept] = naive.conditional_variance(data.y[kept], same_arm, "extra")
        variance = (f**2 @ (tau - effect) ** 2 + sigma2 @ (K**2 + 2 * f * K - K2)) / f.sum() ** 2
        if inference == "sample":
            variance = sigma2 @ (f + K) ** 2 / f.sum() ** 2
        assert_row(model, effect, np.sqrt(variance))


# --- pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["largest", "smallest", "data", "closest"])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("caliper", [None, 0.2])
def test_pairs_without_replacement(order, k, caliper):
    for seed in range(3):
        data = small_study(seed, n=100, share=0.4, decimals=2)
        model = fit(
            data, adjustment=None,
            matcher={"n_neighbors": k, "replacement": False, "order": order, "caliper": caliper},
        )  # fmt: skip
        assert model.std_error_method_ == "pair"
        design = checked_design(model, data, "att")
        greedy = naive_matching.match_greedily(
            data.score, data.treatment, k, order=order,
            caliper=model.matcher_.matched_.caliper[0] if caliper else None,
        )  # fmt: skip
        pairs = naive_matching.pairs(naive_matching.rounds_to_sets(greedy))
        assert naive_matching.pairs(design) == pairs
        weight = naive_matching.matchit_weights(design, data.treatment)
        rows = naive.weighted_rows(weight, naive_matching.pair_of_unit(design))
        assert_row(
            model,
            *naive.regression_effect(
                data.y, data.treatment, rows, kind="HC1", clusters=(rows.pair,)
            ),
        )


@pytest.mark.parametrize("estimand", ["att", "atc"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("decimals", [None, 1])
def test_pairs_and_units_with_replacement(estimand, k, decimals):
    for seed in range(3):
        data = small_study(seed, n=80, decimals=decimals)
        model = fit(
            data, matcher={"n_neighbors": k}, estimand=estimand, adjustment=None,
            std_error="pair+unit",
        )  # fmt: skip
        rows = naive.matched_rows(checked_design(model, data, estimand))
        assert_row(
            model,
            *naive.regression_effect(
                data.y, data.treatment, rows, kind="HC1", clusters=(rows.pair, rows.unit)
            ),
        )


# --- g-computation --------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["att", "atc"])
@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("k", [1, 2])
def test_g_computation_with_covariates_held_fixed(estimand, replacement, k):
    for seed in range(3):
        share = 0.3 if estimand == "att" else 0.7
        data = small_study(seed, n=150, share=share, decimals=2)
        model = fit(
            data, matcher={"n_neighbors": k, "replacement": replacement}, estimand=estimand,
            adjustment="linear", inference="sample",
        )  # fmt: skip
        design = checked_design(model, data, estimand)
        rows = naive.matched_rows(design)
        clusters = (rows.pair, rows.unit) if replacement else (rows.pair,)
        expected = naive.regression_effect(
            data.y, data.treatment, rows, covariates=data.Z, kind="HC1", clusters=clusters,
            target=data.treatment == (estimand == "att"),
        )  # fmt: skip
        assert_row(model, *expected)


def test_g_computation_is_statsmodels_wls_with_cluster_covariance():
    data = small_study(5, n=200, share=0.3)
    model = fit(
        data, matcher={"replacement": False, "n_neighbors": 2}, adjustment="linear",
        inference="sample",
    )  # fmt: skip
    design = design_of(model.matcher_.matched_)
    weight = model.matcher_.matched_.weights
    pair = naive_matching.pair_of_unit(design)
    used = weight > 0
    t = data.treatment[used].astype(float)
    Z = data.Z[used]
    target = Z[t == 1].mean(axis=0)
    centred = Z - target  # the coefficient of the treatment is then the effect on the treated
    columns = np.column_stack([np.ones(len(t)), t, centred, t[:, None] * centred])
    peer = sm.WLS(data.y[used], columns, weights=weight[used]).fit(
        cov_type="cluster", cov_kwds={"groups": pair[used]}
    )
    assert_row(model, peer.params[1], peer.bse[1])


@pytest.mark.parametrize("replacement", [True, False])
def test_for_the_population_the_spread_of_predicted_effects_is_added(replacement):
    """Scores of the regression, and (tau(z_i) - effect) / P for each focal row, summed by hand."""
    for seed in range(3):
        data = small_study(seed, n=150, share=0.3, decimals=2)
        model = fit(
            data, matcher={"n_neighbors": 2, "replacement": replacement}, adjustment="linear"
        )
        rows = naive.matched_rows(design_of(model.matcher_.matched_))
        assert_row(model, *population_g_computation(data, rows, two_ways=replacement))


def population_g_computation(data, rows, two_ways):
    t, Z, y, w = data.treatment[rows.unit] * 1.0, data.Z[rows.unit], data.y[rows.unit], rows.weight
    X = np.column_stack([np.ones(len(t)), t, Z, t[:, None] * Z])
    bread = np.linalg.inv(X.T @ (X * w[:, None]))
    coef = bread @ X.T @ (w * y)
    is_focal = t == 1
    p = Z.shape[1]
    tau = coef[1] + Z @ coef[2 + p :]
    effect = tau[is_focal].mean()
    gradient = np.concatenate([[0, 1], np.zeros(p), Z[is_focal].mean(axis=0)])
    score = w * (X @ bread @ gradient) * (y - X @ coef)
    score[is_focal] += (tau[is_focal] - effect) / is_focal.sum()

    def spread(labels):
        total = np.bincount(np.unique(labels, return_inverse=True)[1].ravel(), score)
        return total @ total * len(total) / (len(total) - 1)

    variance = spread(rows.pair)
    n = len(np.unique(rows.unit))
    if two_ways:
        n = len(rows.unit)
        variance += spread(rows.unit) - score @ score * n / (n - 1)
    return effect, np.sqrt(variance * (n - 1) / (n - X.shape[1]))


# --- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", list(FOCAL))
@pytest.mark.parametrize("adjustment", [None, "bias"])
@pytest.mark.parametrize("replacement", [True, False])
def test_groups_are_a_plain_sum_of_scores(estimand, adjustment, replacement, monkeypatch):
    """Deviations of each row from its arm's weighted mean, times its weight, summed by group."""
    if estimand == "ate" and not replacement:
        return
    monkeypatch.setattr("segcate.effects._matched.adjustment.DONORS_PER_PARAMETER", 0)
    for seed in range(3):
        data = small_study(seed, n=140, share=0.3 if estimand == "att" else 0.6, n_groups=12)
        model = fit(
            data, matcher={"n_neighbors": 2, "replacement": replacement}, estimand=estimand,
            adjustment=adjustment, groups=data.groups,
        )  # fmt: skip
        assert model.std_error_method_ == "group"
        design = design_of(model.matcher_.matched_)
        assert_row(model, *group_sum(data, design, data.Z if adjustment else None))


def group_sum(data, design, Z):
    n, t, y = len(data.y), data.treatment, data.y
    fitted = np.zeros((n, 2)) if Z is None else naive.donor_regression(y, t, design, Z)
    is_focal = np.array([len(found) > 0 for found in design])
    tau = naive.matching_effect(y, t, design, np.zeros(n), Z).unit_effect
    effect = tau[is_focal].mean()
    score = np.zeros(n)
    for arm in (0, 1):
        focal = is_focal & (t == arm)
        if not focal.any():
            continue
        r = y - fitted[:, 1 - arm]
        sign = 2 * arm - 1
        K = naive_matching.usage(
            [found if here else found[:0] for found, here in zip(design, focal, strict=True)], n
        )[0]
        share = sign * (r - r[focal].mean()) + tau[focal].mean() - effect
        score[focal] += share[focal] / is_focal.sum()
        donors = K > 0
        centre = np.average(r[donors], weights=K[donors])
        score[donors] -= (sign * K * (r - centre))[donors] / is_focal.sum()
    used = is_focal | (naive_matching.usage(design, n)[0] > 0)
    codes = np.unique(data.groups[used], return_inverse=True)[1]
    total = np.bincount(codes, score[used])
    return effect, np.sqrt(total @ total * len(total) / (len(total) - 1))


@pytest.mark.parametrize("inference", ["population", "sample"])
def test_groups_after_g_computation(inference):
    data = small_study(3, n=300, share=0.3, n_groups=25)
    model = fit(data, adjustment="linear", inference=inference, groups=data.groups)
    matched = model.matcher_.matched_
    weight = matched.weights
    used = weight > 0
    t, Z, y, w = data.treatment[used] * 1.0, data.Z[used], data.y[used], weight[used]
    target = Z[t == 1].mean(axis=0)
    X = np.column_stack([np.ones(len(t)), t, Z - target, t[:, None] * (Z - target)])
    peer = sm.WLS(y, X, weights=w).fit()
    effect = peer.params[1]
    bread = np.linalg.inv(X.T @ (X * w[:, None]))
    score = w * (X @ bread)[:, 1] * (y - X @ peer.params)
    if inference == "population":
        tau = effect + (Z - target) @ peer.params[5:]
        score[t == 1] += (tau - effect)[t == 1] / (t == 1).sum()
    total = np.bincount(data.groups[used], score)
    n_groups = len(np.unique(data.groups[used]))
    assert_row(model, effect, np.sqrt(total @ total * n_groups / (n_groups - 1)))


def test_a_regression_with_as_many_parameters_as_groups_has_no_standard_error():
    data = small_study(4, n=300, share=0.3, n_groups=8)  # 1 + 1 + 3 + 3 parameters
    row = fit(data, adjustment="linear", groups=data.groups).effects_.loc["all"]
    assert np.isnan(row["std_error"])
    assert np.isfinite(row["effect"])
    assert row["status"] == (
        "ok: no standard error (8 groups for 8 parameters): try adjustment='bias'"
    )
    assert fit(data, groups=data.groups).effects_["std_error"].notna().all()


# --- where there is nothing to estimate a variance from -------------------------------------------


@pytest.mark.parametrize("level", [0.0, 1.0, 1e9])
@pytest.mark.parametrize("adjustment", [None, "bias", "linear"])
def test_a_constant_outcome_has_an_effect_of_zero_and_no_standard_error(level, adjustment):
    data = small_study(6, n=200)
    model = SegmentMatching(segment=None, adjustment=adjustment).fit(
        data.Z, np.full(200, level), treatment=data.treatment
    )
    row = model.effects_.loc["all"]
    assert row["effect"] == pytest.approx(0, abs=1e-6 * max(level, 1))
    assert np.isnan(row["std_error"])
    assert np.isnan(row["p_value"])
    assert "no standard error" in row["status"]


def test_a_row_alone_in_its_cell_that_serves_twice_leaves_no_variance():
    X = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    treatment = np.array([1, 1, 0, 1, 0, 0])
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=1, exact=0), segment=None, adjustment=None,
        std_error="abadie-imbens", min_per_arm=2,
    ).fit(
        X, np.arange(6.0) ** 2, treatment=treatment, propensity=np.linspace(0.4, 0.5, 6)
    )  # fmt: skip
    row = model.effects_.loc["all"]
    assert np.isnan(row["std_error"])
    assert "no standard error (too few rows to estimate a variance from)" in row["status"]
