"""P-values adjusted for many tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.multiplicity import benjamini_hochberg, holm


def test_holm_by_hand():
    # sorted .01 .02 .02 .5: 4*.01, 3*.02, max(.06, 2*.02), 1*.5
    np.testing.assert_allclose(holm([0.5, 0.02, 0.01, 0.02]), [0.5, 0.06, 0.04, 0.06])


def test_benjamini_hochberg_by_hand():
    # sorted .01 .02 .03 .5: 4/1*.01, 4/2*.02, 4/3*.03, .5
    np.testing.assert_allclose(benjamini_hochberg([0.5, 0.02, 0.01, 0.03]), [0.5, 0.04, 0.04, 0.04])


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_p_values_equal_statsmodels(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p_value = np.random.default_rng(seed).uniform(size=20) ** 3
    p_value[3] = p_value[7]
    np.testing.assert_allclose(holm(p_value), multitest.multipletests(p_value, method="holm")[1])
    np.testing.assert_allclose(
        benjamini_hochberg(p_value), multitest.multipletests(p_value, method="fdr_bh")[1]
    )
    np.testing.assert_allclose(
        benjamini_hochberg(p_value), stats.false_discovery_control(p_value, method="bh")
    )


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_nan_passes_through_and_does_not_count(adjust):
    found = adjust([0.04, np.nan, 0.01, np.nan, 0.3])
    np.testing.assert_array_equal(np.isnan(found), [False, True, False, True, False])
    np.testing.assert_array_equal(found[[0, 2, 4]], adjust([0.04, 0.01, 0.3]))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_adjusting_keeps_bounds_order_and_input(adjust):
    p_value = np.random.default_rng(0).uniform(size=50)
    kept = p_value.copy()
    found = adjust(p_value)
    np.testing.assert_array_equal(p_value, kept)
    assert (found >= p_value).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(p_value)]) >= 0).all()
    np.testing.assert_array_equal(adjust(p_value[::-1]), found[::-1])
    assert adjust([]).shape == (0,)
    assert np.isnan(adjust([np.nan])).all()
    assert adjust([0.2]) == [0.2]


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("bad", [[0.1, 1.5], [-0.1, 0.2], [[0.1, 0.2]]])
def test_values_that_are_no_p_values_are_refused(adjust, bad):
    with pytest.raises(ValueError, match="`p_value` must"):
        adjust(bad)


@pytest.mark.slow
def test_holm_bounds_any_false_rejection_and_bh_the_share():
    rng = np.random.default_rng(9)
    n_draws, is_null = 4000, np.arange(10) >= 4
    any_false, share_false = np.empty(n_draws), np.empty(n_draws)
    for draw in range(n_draws):
        p_value = 2 * stats.norm.sf(np.abs(rng.normal(np.where(is_null, 0.0, 2.5))))
        any_false[draw] = (holm(p_value)[is_null] < 0.05).any()
        rejected = benjamini_hochberg(p_value) < 0.05
        share_false[draw] = (rejected & is_null).sum() / max(rejected.sum(), 1)
    assert any_false.mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_draws)
    # BH's exact level for independent tests: 0.05 * 6 / 10
    assert share_false.mean() == pytest.approx(0.03, abs=3 * share_false.std() / n_draws**0.5)
