"""Drawing effects to their average: the share kept, its error, and the variance that is left."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from segcate.cate._forest.rows import CentredRows
from segcate.cate._forest.shrinkage import EffectShrinkage, fit_shrinkage


def study(n=400, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    t = (rng.random(n) < 0.5) - 0.5
    guess = 1 + rng.normal(size=n)
    y = t * (1 + spread * (guess - 1)) + rng.normal(size=n)
    return t, y, rng.uniform(0.5, 2, n), guess


def rows_of(t, y, weight, unit):
    return CentredRows(np.empty((len(t), 0)), t, y, weight, unit)


def test_share_is_the_slope_of_the_best_linear_predictor_plus_its_robust_error():
    t, y, weight, guess = study()
    unit = np.arange(400) // 2
    found = fit_shrinkage(rows_of(t, y, weight, unit), guess)
    average = sm.WLS(y, t, weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": unit, "use_correction": False}
    )
    assert found.average == pytest.approx(average.params[0], rel=1e-10)
    assert found.variance == pytest.approx(average.bse[0] ** 2, rel=1e-10)
    left = y - t * found.average
    slope = sm.WLS(left, t * (guess - found.average), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": unit, "use_correction": False}
    )
    assert 0 < slope.params[0] + slope.bse[0] < 1
    assert found.share == pytest.approx(slope.params[0] + slope.bse[0], rel=1e-10)


@pytest.mark.parametrize(("spread", "expected"), [(1.5, 1.0), (-1.0, 0.0)])
def test_share_stays_inside_0_and_1(spread, expected):
    t, y, weight, guess = study(spread=spread)
    assert fit_shrinkage(rows_of(t, y, weight, np.arange(400)), guess).share == expected


def test_rows_without_a_left_out_effect_do_not_count_for_the_share():
    t, y, weight, guess = study()
    unit = np.arange(400)
    kept = np.arange(400) >= 40
    unknown = np.where(kept, guess, np.nan)
    found = fit_shrinkage(rows_of(t, y, weight, unit), unknown)
    moved = fit_shrinkage(rows_of(t, y, weight, unit), np.where(kept, guess, found.average))
    assert found.share == pytest.approx(moved.share, rel=1e-12)
    assert fit_shrinkage(rows_of(t, y, weight, unit), np.full(400, np.nan)).share == 1.0


def test_effects_and_variances_are_drawn():
    """1 + 0.25 (3 - 1) = 1.5; 0.25 * 0.4 + 0.75^2 * 0.16 = 0.19."""
    effect, variance = EffectShrinkage(0.25, 1.0, 0.16).apply(
        np.array([3.0, np.nan]), np.array([0.4, np.nan])
    )
    np.testing.assert_allclose(effect, [1.5, np.nan])
    np.testing.assert_allclose(variance, [0.19, np.nan])


def test_a_share_of_1_leaves_everything():
    effect, variance = np.array([3.0, -1.0]), np.array([0.4, 0.2])
    found = EffectShrinkage(1.0, 1.0, 0.16).apply(effect, variance)
    np.testing.assert_array_equal(found, (effect, variance))
