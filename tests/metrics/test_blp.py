"""Best linear prediction: definitions, econml, grf and GenericML, statsmodels, naive clusters."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.metrics import blp, blp_from_outcome
from tests.helpers.group_references import CASES, EXACT, GROUPS, PRINTED, inputs, own
from tests.helpers.naive_groups import naive_cluster_hc3

VARYING = [name for name in CASES if name != "constant_score"]
# GenericML takes the residuals of the weighted regression unweighted; with one propensity for all
# that is the same, here it is not.
PROPENSITY_VARIES = "observational"


def numbers(found):
    return found.ate, found.slope, found.ate_std_error, found.slope_std_error


def printed(std_error):
    """Return the name of a standard error in the references."""
    return std_error if std_error == "const" else std_error.upper()


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    prediction = rng.exponential(size=120)
    psi = prediction * rng.normal(1, 1, 120)
    return psi, prediction, rng.uniform(0.3, 2, 120), rng.integers(0, 25, 120)


# References


@pytest.mark.parametrize("std_error", ["const", "hc1", "hc3"])
@pytest.mark.parametrize("psi", ["psi_aipw", "psi_armcentred"])
@pytest.mark.parametrize("name", VARYING)
def test_equals_the_definitions(name, psi, std_error):
    found = blp(inputs(name)[psi], inputs(name)["score"], std_error=std_error)
    assert numbers(found) == pytest.approx(
        own(name, f"blp_dr({psi},{printed(std_error)})"), **EXACT
    )


@pytest.mark.parametrize("name", VARYING)
def test_slope_is_that_of_econml(name):
    theirs = GROUPS[name]["econml"]["evaluate_blp"]
    found = blp(inputs(name)["psi_aipw"], inputs(name)["score"], std_error="const")
    assert found.slope == pytest.approx(theirs["coef"], **EXACT)
    assert found.slope_std_error == pytest.approx(theirs["se"], **EXACT)
    assert found.p_slope_zero == pytest.approx(theirs["p"], **EXACT)


@pytest.mark.parametrize("name", VARYING)
def test_residual_strategy_is_grfs_test_calibration(name):
    case = inputs(name)
    e, s = case["propensity"], case["score"]
    found = blp_from_outcome(
        case["y"],
        s,
        treatment=case["treatment"],
        propensity=e,
        baseline=e * case["mu1"] + (1 - e) * case["mu0"],
        strategy="residual",
    )
    mean, slope, mean_se, slope_se = own(name, "blp_grf(HC3)")
    # grf's first coefficient stands before mean(s) (t - e); ours before t - e.
    assert found.ate / s.mean() == pytest.approx(mean, **EXACT)
    assert found.ate_std_error / abs(s.mean()) == pytest.approx(mean_se, **EXACT)
    assert (found.slope, found.slope_std_error) == pytest.approx((slope, slope_se), **EXACT)


@pytest.mark.parametrize(
    ("strategy", "call"), [("weighted", "HT=FALSE"), ("horvitz-thompson", "HT=TRUE")]
)
@pytest.mark.parametrize("name", VARYING)
def test_strategies_are_those_of_generic_ml(name, strategy, call):
    case, printed = inputs(name), GROUPS[name]["generic_ml"][f"GenericML.BLP({call})"]
    found = blp_from_outcome(
        case["y"],
        case["score"],
        treatment=case["treatment"],
        propensity=case["propensity"],
        baseline=case["mu0"],
        strategy=strategy,
        std_error="const",
    )
    (ate, _, _, ate_se, *_), (slope, _, _, slope_se, *_) = printed
    assert (found.ate, found.slope) == pytest.approx((ate, slope), **PRINTED)
    if strategy == "weighted" and name == PROPENSITY_VARIES:
        assert found.ate_std_error == pytest.approx(ate_se, rel=0.06)
    else:
        assert found.ate_std_error == pytest.approx(ate_se, **PRINTED)
        assert found.slope_std_error == pytest.approx(slope_se, **PRINTED)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("std_error", ["const", "hc1", "hc3"])
def test_equals_statsmodels(draw, std_error, weighted):
    sm = pytest.importorskip("statsmodels.api")
    psi, s, weight, _ = draw
    w = weight if weighted else np.ones(120)
    found = blp(psi, s, sample_weight=w, std_error=std_error)
    X = np.column_stack([np.ones(120), s - np.average(s, weights=w)])
    fit = sm.WLS(psi, X, weights=w).fit(
        cov_type="nonrobust" if std_error == "const" else std_error.upper(), use_t=True
    )
    theirs = [*fit.params, *fit.bse]
    assert numbers(found) == pytest.approx(theirs, rel=1e-10)
    assert (found.ate_p_value, found.p_slope_zero) == pytest.approx(fit.pvalues, rel=1e-8)
    low, high = fit.conf_int()[1]
    assert (found.slope_ci_low, found.slope_ci_high) == pytest.approx((low, high), rel=1e-8)


def test_clustered_hc1_equals_statsmodels(draw):
    sm = pytest.importorskip("statsmodels.api")
    psi, s, weight, cluster = draw
    found = blp(psi, s, sample_weight=weight, groups=cluster, std_error="hc1")
    X = np.column_stack([np.ones(120), s - np.average(s, weights=weight)])
    fit = sm.WLS(psi, X, weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True
    )
    assert numbers(found) == pytest.approx([*fit.params, *fit.bse], rel=1e-10)
    assert found.df == 24
    assert found.p_slope_zero == pytest.approx(fit.pvalues[1], rel=1e-8)


def test_clustered_hc3_equals_naive_code(draw):
    psi, s, weight, cluster = draw
    found = blp(psi, s, sample_weight=weight, groups=cluster)
    X = np.column_stack([np.ones(120), s - np.average(s, weights=weight)])
    covariance = naive_cluster_hc3(X, psi, weight, cluster)
    assert found.slope_std_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-10)
    assert found.ate_std_error == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-10)


def test_clusters_of_one_row_are_rows_but_for_the_factor_of_the_jackknife(draw):
    psi, s, weight, _ = draw
    rows = numbers(blp(psi, s, sample_weight=weight))
    clusters = numbers(blp(psi, s, sample_weight=weight, groups=np.arange(120)))
    assert clusters[:2] == pytest.approx(rows[:2], rel=1e-12)
    assert clusters[2:] == pytest.approx(np.sqrt(119 / 120) * np.array(rows[2:]), rel=1e-12)


# Definitions


def test_six_rows_by_hand():
    # s - mean: -1 -1 0 0 1 1; psi: 0 2 1 3 4 2, mean 2. Slope (-0 - 2 + 4 + 2) / 4 = 1.
    # Residuals -1 1 -1 1 1 -1: variance 6 / 4; SE of the mean sqrt(1.5 / 6), of the slope
    # sqrt(1.5 / 4).
    found = blp([0, 2, 1, 3, 4, 2], [1, 1, 2, 2, 3, 3], std_error="const")
    assert numbers(found) == pytest.approx((2, 1, 0.5, np.sqrt(0.375)))
    assert found.p_slope_one == pytest.approx(1)
    assert found.df == 4
    table = found.frame()
    assert table.loc["slope", "estimate"] == pytest.approx(1)
    assert np.isnan(table.loc["ate", "p_one"])


def test_scale_of_predictions_divides_the_slope(draw):
    psi, s, _, _ = draw
    one, ten = blp(psi, s), blp(psi, 10 * s + 3)
    assert ten.slope == pytest.approx(one.slope / 10)
    assert ten.p_slope_zero == pytest.approx(one.p_slope_zero)
    assert (ten.ate, ten.ate_std_error) == pytest.approx((one.ate, one.ate_std_error))


def test_rows_of_weight_zero_are_not_there(draw):
    psi, s, weight, cluster = draw
    weight = np.where(np.arange(120) < 20, 0.0, weight)
    found = blp(psi, s, sample_weight=weight, groups=cluster)
    short = blp(psi[20:], s[20:], sample_weight=weight[20:], groups=cluster[20:])
    assert numbers(found) == pytest.approx(numbers(short), rel=1e-12)


def test_a_constant_prediction_has_no_slope():
    found = blp([0.0, 1.0, 2.0, 3.0], [5.0] * 4)
    assert found.ate == 1.5
    assert found.ate_std_error > 0
    assert np.isnan([found.slope, found.slope_std_error, found.p_slope_zero]).all()


@pytest.mark.parametrize("size", [1.0, 1e-9, -1e9])
def test_a_prediction_that_is_constant_but_for_rounding_has_no_slope(size):
    rng = np.random.default_rng(0)
    prediction = size * (0.1 + 1e-16 * rng.integers(-3, 4, 200))
    assert np.ptp(prediction) > 0
    found = blp(rng.normal(size=200), prediction)
    assert found.ate_std_error > 0
    assert np.isnan([found.slope, found.slope_std_error, found.p_slope_zero]).all()


@pytest.mark.parametrize("std_error", ["hc3", "hc1", "const"])
@pytest.mark.parametrize("value", [0.0, 0.3, -1e9])
def test_scores_and_outcomes_that_are_constant_but_for_rounding_are_refused(value, std_error):
    rng = np.random.default_rng(0)
    prediction, treatment = rng.normal(size=200), rng.integers(0, 2, 200)
    for psi in (np.full(200, value), value * (1 + 1e-16 * rng.integers(-3, 4, 200))):
        with pytest.raises(ValueError, match=r"^blp: `pseudo_outcome` is .* in all 200 rows"):
            blp(psi, prediction, std_error=std_error)
        with pytest.raises(ValueError, match=r"^blp: `pseudo_outcome` is"):
            blp(
                [*psi, 1.0],
                [*prediction, 1.0],
                sample_weight=[1.0] * 200 + [0.0],
                std_error=std_error,
            )
        for strategy in ("weighted", "horvitz-thompson", "residual"):
            with pytest.raises(ValueError, match=r"^blp_from_outcome: `y` is .* in all 200 rows"):
                blp_from_outcome(
                    psi, prediction, treatment=treatment, propensity=np.full(200, 0.5),
                    baseline=prediction, strategy=strategy, std_error=std_error,
                )  # fmt: skip
    y = rng.normal(size=200)
    with pytest.raises(ValueError, match=r"^blp_from_outcome: `y - baseline` is 0 in all"):
        blp_from_outcome(
            y, prediction, treatment=treatment, propensity=np.full(200, 0.5), baseline=y,
            strategy="residual", std_error=std_error,
        )  # fmt: skip


def test_a_baseline_that_explains_the_outcome_narrows_the_interval():
    rng = np.random.default_rng(1)
    s, base, t = rng.normal(size=2000), 5 * rng.normal(size=2000), rng.integers(0, 2, 2000)
    y = base + t * s + rng.normal(size=2000)
    half = np.full(2000, 0.5)
    keywords = {"treatment": t, "propensity": half}
    for strategy in ("weighted", "horvitz-thompson"):
        with_it = blp_from_outcome(y, s, baseline=base, strategy=strategy, **keywords)
        without = blp_from_outcome(y, s, baseline=0 * base, strategy=strategy, **keywords)
        assert with_it.slope_std_error < 0.4 * without.slope_std_error
        assert abs(with_it.slope - 1) < 4 * with_it.slope_std_error


# Bad input


def test_bad_input_is_named():
    psi, s = [0.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 3.0]
    with pytest.raises(ValueError, match=r"`std_error` must be one of \['hc3', 'hc1', 'const'\]"):
        blp(psi, s, std_error="hc2")
    with pytest.raises(ValueError, match=r"std_error='const' takes all rows as independent"):
        blp(psi, s, std_error="const", groups=[0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"2 rows with weight above 0 for 2 coefficients"):
        blp(psi[:2], s[:2])
    with pytest.raises(ValueError, match=r"one row alone decides a coefficient.*std_error='hc1'"):
        blp(psi, [0, 0, 0, 1])
    with pytest.raises(ValueError, match=r"one group alone decides a coefficient"):
        blp(psi, [0, 0, 1, 2], groups=[0, 1, 2, 2])
    with pytest.raises(ValueError, match=r"`groups` holds one group only"):
        blp(psi, s, groups=[1, 1, 1, 1])


def test_bad_design_is_named():
    y, s, t = [0.0, 1.0, 2.0, 5.0, 1.0], [1.0, 2.0, 3.0, 3.0, 1.0], [0, 1, 0, 1, 1]
    half, base = [0.5] * 5, [0.0] * 5
    with pytest.raises(ValueError, match=r"`propensity` must lie strictly inside \(0, 1\)"):
        blp_from_outcome(y, s, treatment=t, propensity=[0.5] * 4 + [1.0], baseline=base)
    with pytest.raises(ValueError, match=r"`baseline` is None, and the regression needs it"):
        blp_from_outcome(y, s, treatment=t, propensity=half, baseline=None)
    with pytest.raises(ValueError, match=r"all 5 rows with weight above 0 are treated"):
        blp_from_outcome(y, s, treatment=[1] * 5, propensity=half, baseline=base)
    with pytest.raises(ValueError, match=r"`strategy` must be one of"):
        blp_from_outcome(y, s, treatment=t, propensity=half, baseline=base, strategy="HT")


def test_a_prediction_far_from_zero_gives_the_same_standard_errors():
    rng = np.random.default_rng(3)
    score = rng.integers(0, 40, 300).astype(float)
    psi = score + rng.normal(size=300)
    near, far = blp(psi, score), blp(psi, score + 1e12)
    assert far.ate_std_error == pytest.approx(near.ate_std_error, rel=1e-12)
    assert far.slope_std_error == pytest.approx(near.slope_std_error, rel=1e-12)
