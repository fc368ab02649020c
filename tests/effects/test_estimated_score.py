"""The variance when the score was estimated (Abadie & Imbens 2016) against the naive code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import segcate.effects._matched.abadie_imbens_2016 as estimated_score
from segcate.effects import SegmentMatching
from segcate.effects._matched.abadie_imbens_2016 import nearest_covariate_means
from segcate.matching import PropensityMatcher
from tests.helpers.naive_effects import estimated_score_effect
from tests.helpers.small_studies import small_study

# Two logits, both to the last digit; sums in another order.
RTOL = 1e-8


def fit(Z, y, treatment, *, k=1, j=2, estimand="att", **options):
    matcher = PropensityMatcher(n_neighbors=k, score_scale="probability")
    options = {"adjustment": None, "std_error": "abadie-imbens-2016"} | options
    return SegmentMatching(
        matcher,
        estimand=estimand,
        n_variance_neighbors=j - 1,
        segment=None,
        **{"adjustment": "bias", **options},
    ).fit(Z, y, treatment=treatment)


@pytest.mark.parametrize("estimand", ["att", "ate", "atc"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("j", [2, 4])
@pytest.mark.parametrize("discrete", [False, True])
def test_standard_errors_are_those_of_the_naive_code(estimand, k, j, discrete):
    for seed in range(2):
        data = small_study(seed, n=120, share=0.45)
        Z = np.round(data.Z) if discrete else data.Z  # discrete: many ties of score and covariates
        treatment, y = data.treatment, data.y
        sign = 1
        if estimand == "atc":  # the ATT with the arms renamed
            treatment, sign = 1 - treatment, -1
        found = estimated_score_effect(
            y, treatment, Z, focal="all" if estimand == "ate" else "treated", k=k, j=j
        )
        row = fit(Z, y, data.treatment, k=k, j=j, estimand=estimand).effects_.loc["all"]
        assert row["effect"] == pytest.approx(sign * found.estimate, rel=RTOL)
        assert row["std_error"] == pytest.approx(found.std_error, rel=RTOL)


def test_aliased_and_constant_columns_change_nothing():
    data = small_study(3, n=150)
    Z = data.Z
    plain = fit(Z, data.y, data.treatment).effects_
    padded = np.column_stack([np.ones(150), Z, Z[:, 0] + Z[:, 1]])
    found = fit(padded, data.y, data.treatment).effects_
    assert found["effect"].item() == pytest.approx(plain["effect"].item(), rel=1e-9)
    assert found["std_error"].item() == pytest.approx(plain["std_error"].item(), rel=1e-6)


def test_after_bias_adjustment_it_corrects_the_residuals():
    """Adjusted, it is the correction for outcomes less the donor regression."""
    data = small_study(4, n=400, share=0.4)
    adjusted = fit(data.Z, data.y, data.treatment, adjustment="bias", k=2)
    base = fit(
        data.Z, data.y, data.treatment, adjustment="bias", k=2, std_error="abadie-imbens"
    ).effects_["std_error"].item()  # fmt: skip
    assert adjusted.effects_["status"].item() == "ok"
    ratio = adjusted.effects_["std_error"].item() / base
    assert 0.7 < ratio < 1.3
    assert ratio != 1.0


def test_auto_takes_the_larger_of_2006_and_2016():
    larger = {"2006": 0, "2016": 0}
    for seed in range(8):
        data = small_study(seed, n=500, share=0.4)
        kinds = {
            name: fit(data.Z, data.y, data.treatment, k=3, j=3, std_error=name)
            for name in ("auto", "abadie-imbens", "abadie-imbens-2016")
        }
        error = {name: model.effects_["std_error"].item() for name, model in kinds.items()}
        assert error["auto"] == max(error["abadie-imbens"], error["abadie-imbens-2016"])
        larger["2016" if error["auto"] > error["abadie-imbens"] else "2006"] += 1
        named = kinds["auto"].std_error_method_
        assert named == (
            "abadie-imbens"
            if error["auto"] == error["abadie-imbens"]
            else "abadie-imbens (the larger of 2006 and 2016)"
        )
    assert larger["2006"] > 0


def test_auto_keeps_to_2006_below_100_treated():
    data = small_study(5, n=200, share=0.3)
    assert data.treatment.sum() < 100
    auto = fit(data.Z, data.y, data.treatment, std_error="auto")
    plain = fit(data.Z, data.y, data.treatment, std_error="abadie-imbens")
    assert auto.effects_["std_error"].item() == plain.effects_["std_error"].item()
    assert auto.std_error_method_ == "abadie-imbens"


# --- where the theory does not hold ---------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"caliper": 0.5}, {"common_support": "both"}, {"exact": "cell"}, {"pool_propensity": True},
    ],
    ids=["caliper", "common support", "exact columns", "pooled"],
)  # fmt: skip
def test_it_is_refused_for_other_designs(options):
    data = small_study(6, n=400, n_cells=2, n_segments=2, share=0.5)
    model = SegmentMatching(
        PropensityMatcher(**options), std_error="abadie-imbens-2016", adjustment="bias"
    )
    with pytest.raises(ValueError, match=r"(?s)'abadie-imbens-2016' is valid for .*Use .*'auto'"):
        model.fit(data.X, data.y, treatment=data.treatment)
    model.set_params(std_error="auto").fit(data.X, data.y, treatment=data.treatment)
    assert model.std_error_method_ == "abadie-imbens"


def test_it_is_refused_for_scores_of_others_and_for_weights():
    data = small_study(7, n=200)
    model = SegmentMatching(std_error="abadie-imbens-2016", segment=None, adjustment="bias")
    for keywords in ({"propensity": data.score}, {"sample_weight": data.weight + 1}):
        with pytest.raises(ValueError, match="'abadie-imbens-2016' is valid for our logistic"):
            model.fit(data.Z, data.y, treatment=data.treatment, **keywords)


# --- nearest on the covariates --------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("k", [1, 3, 99])
def test_nearest_covariate_means_keep_all_ties(decimals, k):
    rng = np.random.default_rng(0)
    z, donors = rng.normal(size=(40, 2)), rng.normal(size=(30, 2))
    if decimals is not None:
        z, donors = np.round(z, decimals), np.round(donors, decimals)
    y = rng.normal(size=30)
    distance = cdist(z, donors)
    expected = []
    for row in distance:
        reach = np.sort(row)[min(k, 30) - 1]
        expected.append(y[row <= reach + 1e-12].mean())
    np.testing.assert_allclose(nearest_covariate_means(z, donors, y, k), expected, rtol=1e-12)


def test_a_budget_of_distances_thins_rows_and_hardly_moves_the_answer(monkeypatch):
    data = small_study(8, n=4000, share=0.4)
    whole = fit(data.Z, data.y, data.treatment).effects_["std_error"].item()
    monkeypatch.setattr(estimated_score, "DISTANCE_BUDGET", 1_000_000)
    thinned = fit(data.Z, data.y, data.treatment).effects_["std_error"].item()
    assert thinned != whole
    assert thinned == pytest.approx(whole, rel=0.02)


# --- what must not matter -------------------------------------------------------------------------


def whole_numbers(seed, n=1200):
    rng = np.random.default_rng(seed)
    Z = np.column_stack([rng.normal(size=n), rng.integers(0, 60, n), rng.integers(-2, 3, n)])
    chance = 1 / (1 + np.exp(0.5 - 0.5 * Z[:, 0] - 0.3 * Z[:, 2]))
    treatment = (rng.random(n) < chance).astype(int)
    y = Z @ [3.0, 0.03, 1.0] + 2 * treatment + rng.normal(size=n)
    return Z, y, treatment, rng


MOVES = [(1, 1e12), (1, -1e12), (1e-6, 0), (1e6, 0), (2.54, 7), (-1, 0)]


@pytest.mark.parametrize("options", [{}, {"std_error": "abadie-imbens"}, {"estimand": "ate"}])
@pytest.mark.parametrize("adjustment", ["bias", None])
def test_shift_and_unit_of_a_covariate_change_nothing(options, adjustment):
    Z, y, treatment, _ = whole_numbers(0)
    options = {"std_error": "auto", "adjustment": adjustment} | options
    plain = fit(Z, y, treatment, k=3, j=3, **options).effects_.loc["all"]
    for factor, shift in MOVES:
        moved = Z.copy()
        moved[:, 1:] = factor * Z[:, 1:] + shift
        found = fit(moved, y, treatment, k=3, j=3, **options).effects_.loc["all"]
        assert found["effect"] == pytest.approx(plain["effect"], rel=1e-8)
        assert found["std_error"] == pytest.approx(plain["std_error"], rel=1e-8)


@pytest.mark.parametrize("shift", [1e12, -1.7e12])
def test_a_shift_changes_nothing_where_rows_are_near_as_in_stata(shift):
    Z, y, treatment, _ = whole_numbers(1)
    plain = fit(Z, y, treatment, k=3, j=3).effects_.loc["all"]
    found = fit(Z + np.array([0, shift, shift]), y, treatment, k=3, j=3).effects_.loc["all"]
    assert found["std_error"] == pytest.approx(plain["std_error"], rel=1e-8)


@pytest.mark.parametrize("n", [1200, 12_000])
@pytest.mark.parametrize("columns", [[2], [1, 2], [0, 1, 2]])
def test_the_order_of_the_rows_changes_nothing(n, columns):
    """12,000 rows are more than the budget of distances takes, and most scores are tied."""
    Z, y, treatment, rng = whole_numbers(2, n)
    order = rng.permutation(n)
    Z = Z[:, columns]
    plain = fit(Z, y, treatment, k=3, j=3, adjustment="bias").effects_.loc["all"]
    found = fit(
        Z[order], y[order], treatment[order], k=3, j=3, adjustment="bias"
    ).effects_.loc["all"]  # fmt: skip
    assert found["effect"] == pytest.approx(plain["effect"], rel=1e-10)
    assert found["std_error"] == pytest.approx(plain["std_error"], rel=1e-10)


def test_a_score_that_rounds_to_1_has_a_standard_error():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 8))
    treatment = (rng.random(1000) < 1 / (1 + np.exp(-0.6 * z.sum(axis=1)))).astype(int)
    y = treatment + rng.normal(size=1000)
    for sign, estimand in ((1, "att"), (-1, "atc"), (1, "ate"), (-1, "ate")):
        arm = 1 if sign == 1 else 0
        far = z.copy()
        far[np.flatnonzero(treatment == arm)[0]] = 9.5 * sign  # no long tail by itself
        near = np.where(far == 9.5 * sign, 6.0 * sign, far)
        matcher = PropensityMatcher()
        without = SegmentMatching(matcher, estimand=estimand, segment=None, adjustment="bias").fit(
            near, y, treatment=treatment
        )
        assert without.matcher_.propensity_.max() < 1.0
        model = SegmentMatching(matcher, estimand=estimand, segment=None, adjustment="bias").fit(
            far, y, treatment=treatment
        )
        extreme = (
            model.matcher_.propensity_.max() if sign == 1 else model.matcher_.propensity_.min()
        )
        assert extreme == 1.0 if sign == 1 else extreme < 1e-15
        assert model.effects_["std_error"].item() == pytest.approx(
            without.effects_["std_error"].item(), rel=0.4
        )
        assert model.overall_["std_error"] == model.effects_["std_error"].item()
        named = SegmentMatching(
            matcher,
            estimand=estimand,
            segment=None,
            std_error="abadie-imbens-2016",
            adjustment="bias",
        ).fit(far, y, treatment=treatment)
        assert np.isfinite(named.effects_["std_error"].item())


def test_without_a_correction_the_score_counts_as_given_and_the_status_says_so(monkeypatch):
    data = small_study(9, n=400, share=0.5)
    plain = fit(data.Z, data.y, data.treatment, std_error="abadie-imbens").effects_.loc["all"]
    monkeypatch.setattr(
        "segcate.effects._matched.abadie_imbens_2016.estimated_score_correction",
        lambda *_: float("nan"),
    )
    for name in ("auto", "abadie-imbens-2016"):
        found = fit(data.Z, data.y, data.treatment, std_error=name).effects_.loc["all"]
        assert found["std_error"] == plain["std_error"]
        assert found["status"] == "ok: standard error takes the score as given (scores of 0 or 1)"
