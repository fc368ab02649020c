"""Do intervals of groups, calibration, slopes and policies hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segcate.metrics import (
    blp,
    calibration_error,
    dr_loss,
    effect_by_quantile,
    policy_value,
    profit_curve,
)

# A 95 % interval holds the truth in 93.5 to 96.5 % of 1,000 draws with 97 % chance; seeds are fixed.
N_DRAWS = 1000
LOWEST, HIGHEST = 0.935, 0.965

pytestmark = pytest.mark.slow


def experiment(rng, n, *, scale=1.0, level=0.0, n_groups=0, weights=False):
    """Draw effects, and noisy skewed scores of them that depend within groups."""
    effect = scale * rng.normal(size=n) + level
    group = np.arange(n) % n_groups if n_groups else None
    noise = rng.exponential(size=n) - 1.0
    if n_groups:
        noise = noise + rng.normal(size=n_groups)[group]
    weight = rng.uniform(0.5, 2.0, n) if weights else None
    return effect, effect + 1.5 * noise, group, weight


DESIGNS = {
    "rows": {"n": 600},
    "weights": {"n": 600, "weights": True},
    "clusters": {"n": 900, "n_groups": 60},
}


@pytest.mark.parametrize("design", list(DESIGNS))
def test_policy_value_covers(design):
    rng = np.random.default_rng(1)
    holds, differs = [], []
    for _ in range(N_DRAWS):
        effect, psi, group, weight = experiment(rng, **DESIGNS[design])
        found = policy_value(
            psi, effect > 0.5, cost=0.2, groups=group, sample_weight=weight, confidence_level=0.95
        )
        # E[(tau - c) 1(tau > 0.5)] for a standard normal tau: phi(0.5) - c (1 - Phi(0.5)).
        tail = 0.5 * math.erfc(0.5 / math.sqrt(2))
        density = math.exp(-0.125) / math.sqrt(2 * math.pi)
        holds.append(found.ci_low <= density - 0.2 * tail <= found.ci_high)
        over = policy_value(
            psi, effect > 0.5, cost=0.2, baseline=1, groups=group, sample_weight=weight
        )
        differs.append(over.ci_low <= density - 0.2 * tail + 0.2 <= over.ci_high)
    assert LOWEST <= np.mean(holds) <= HIGHEST
    assert LOWEST <= np.mean(differs) <= HIGHEST


@pytest.mark.parametrize("design", list(DESIGNS))
def test_effect_by_quantile_covers_the_mean_effect_of_each_group(design):
    rng = np.random.default_rng(2)
    holds, joint, top = [], [], []
    quartiles = np.array([-1.2711, -0.3247, 0.3247, 1.2711])  # means of a normal law by quarter
    for _ in range(N_DRAWS):
        effect, psi, group, weight = experiment(rng, **DESIGNS[design])
        found = effect_by_quantile(psi, effect, n_groups=4, groups=group, sample_weight=weight)
        # The groups are cut at the sample's quantiles: what is estimated is the effect there.
        truth = found.mean_prediction
        assert np.abs(truth - quartiles).max() < 0.5
        holds.append((found.ci_low <= truth) & (truth <= found.ci_high))
        joint.append(found.calibration().p_value < 0.05)
        order = found.monotonicity()
        top.append(order.ci_low <= truth[-1] - truth[0] <= order.ci_high)
    rate = np.mean(holds, axis=0)
    # Conditional on the predictions the interval is a little wide: effects vary inside a group.
    assert (rate >= LOWEST - 0.005).all()
    assert rate.mean() <= 0.985
    assert np.mean(top) >= LOWEST - 0.005
    # Chi-squared on skewed scores with 150 rows a group: the size is near 5 %, not at it.
    assert 0.03 <= np.mean(joint) <= 0.09


def test_slope_of_a_useless_prediction_is_significant_five_times_in_a_hundred():
    rng = np.random.default_rng(3)
    rejects = {name: [] for name in ("rows", "clusters", "HC1", "weights")}
    for _ in range(4 * N_DRAWS):
        n = 400
        prediction = rng.normal(size=n)
        noise = (0.5 + 0.5 * np.abs(prediction)) * (rng.exponential(size=n) - 1.0)
        group = np.arange(n) % 50
        shared = noise + rng.normal(size=50)[group]
        weight = rng.uniform(0.5, 2.0, n)
        rejects["rows"].append(blp(noise, prediction).p_slope_zero)
        rejects["weights"].append(blp(noise, prediction, sample_weight=weight).p_slope_zero)
        rejects["HC1"].append(blp(noise, prediction, std_error="hc1").p_slope_zero)
        rejects["clusters"].append(
            blp(shared, prediction + rng.normal(size=50)[group], groups=group).p_slope_zero
        )
    size = {name: float(np.mean(np.array(p) < 0.05)) for name, p in rejects.items()}
    # Skewed noise that grows with the size of the prediction; HC1 is known to reject a little more.
    for name in ("rows", "clusters", "weights"):
        assert 0.035 <= size[name] <= 0.065, size
    assert size["HC1"] <= 0.07, size


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_groups", [0, 100])
def test_calibration_error_is_unbiased_and_knows_its_error(gap, n_groups):
    rng = np.random.default_rng(4)
    found = []
    for _ in range(2 * N_DRAWS):
        level = np.round(rng.uniform(-1, 1, 500) * 4.5) / 4.5
        noise = rng.normal(size=500)
        group = np.arange(500) % n_groups if n_groups else None
        if n_groups:
            noise = noise + rng.normal(size=n_groups)[group]
        psi = level + gap * np.sign(level) + noise
        estimate = calibration_error(psi, level, n_groups=30, groups=group)
        found.append((estimate.value - gap**2 * 8 / 9, estimate.std_error))
    error, std_error = np.array(found).T
    assert abs(error.mean()) <= 3 * error.std() / math.sqrt(len(error))
    ratio = math.sqrt((std_error**2).mean()) / error.std()
    # Where nothing but pairs is left the variance of the rows, truncated at 0, adds about a half.
    assert 0.95 <= ratio <= (1.07 if gap else 1.3), ratio
    # A sum over pairs is skewed until the gap outweighs the noise: intervals are rough in between.
    holds = np.abs(error) <= 1.96 * std_error
    assert holds.mean() >= (0.9 if n_groups else 0.93)


def test_difference_of_losses_covers():
    rng = np.random.default_rng(5)
    holds = []
    for _ in range(N_DRAWS):
        effect, psi, group, _ = experiment(rng, 600, n_groups=60)
        found = dr_loss(psi, 0.5 * effect, baseline=0 * effect, groups=group)
        # E[(tau - tau/2)^2 - tau^2] = 1/4 - 1
        holds.append(found.ci_low <= -0.75 <= found.ci_high)
    assert LOWEST <= np.mean(holds) <= HIGHEST


def test_profit_at_a_threshold_named_in_advance_is_covered_and_the_best_point_is_not():
    rng = np.random.default_rng(6)
    holds, best = [], []
    for _ in range(N_DRAWS):
        prediction = rng.normal(size=400)
        psi = 1.5 * (rng.exponential(size=400) - 1.0)  # nobody is affected
        curve = profit_curve(psi, prediction, cost=0.0)
        at = np.flatnonzero(curve.threshold >= 0.3)[-1]
        holds.append(curve.ci_low[at] <= 0.0 <= curve.ci_high[at])
        best.append(curve.ci_low[curve.best_idx] > 0.0)
    assert LOWEST <= np.mean(holds) <= HIGHEST
    assert np.mean(best) > 2 * 0.025  # the lower end misses more than twice as often as it says
