"""Effects shrunk towards their mean, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.empirical_bayes import shrink


def test_plug_in_by_hand():
    # s^2 = 1, tau2 = 3: a quarter of the way; variance 0.75 + 0.25^2 * 0.5^2.
    found = shrink([8.0], [1.0], tau2=3.0, mean=0.0, mean_std_error=0.5, method="plug-in")
    assert found.effect[0] == pytest.approx(6.0)
    assert found.std_error[0] == pytest.approx(np.sqrt(0.75 + 0.0625 * 0.25))


def test_morris_by_hand():
    # K = 5, s^2 = 1 everywhere, tau2 = 1: B = (2/4)(1/2) = 1/4, r = 1;
    # t = 4, mean 0: 3; variance 1 - 0.25 * 4/5 + 2 * (1/16) * 16 / 2 = 0.8 + 1.
    found = shrink([4.0, 0.0, 0.0, 0.0, 0.0], np.ones(5), tau2=1.0, mean=0.0)
    assert found.effect[0] == pytest.approx(3.0)
    assert found.std_error[0] == pytest.approx(np.sqrt(1.8))
    assert found.std_error[1] == pytest.approx(np.sqrt(0.8))


def test_morris_counts_the_segments_that_tau2_came_from():
    six = shrink([4.0, 1.0], [1.0, 1.0], tau2=1.0, mean=0.0, n_segments=6)
    assert six.effect[0] == pytest.approx(4 * (1 - 0.5 * 3 / 5))


def test_shrinkage_keeps_the_limits():
    effect, std_error = np.array([1.0, 5.0, 9.0, -3.0]), np.array([0.5, 1.0, 2.0, 1.0])
    all_noise = shrink(effect, std_error, tau2=0.0, mean=2.0, method="plug-in")
    np.testing.assert_allclose(all_noise.effect, 2.0)
    for method in ("morris", "plug-in"):
        no_noise = shrink(effect, std_error, tau2=1e12, mean=2.0, method=method)
        np.testing.assert_allclose(no_noise.effect, effect, rtol=1e-9)
        np.testing.assert_allclose(no_noise.std_error, std_error, rtol=1e-9)


def test_morris_is_nan_below_four_segments():
    found = shrink([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], tau2=1.0, mean=2.0)
    assert np.isnan(found.effect).all()
    assert np.isnan(found.std_error).all()


def test_segments_without_estimate_stay_nan_and_do_not_count():
    effect = [1.0, np.nan, 2.0, 3.0, 4.0, 5.0]
    std_error = [1.0, np.nan, 1.0, 1.0, 1.0, 0.0]
    for method in ("morris", "plug-in"):
        found = shrink(effect, std_error, tau2=1.0, mean=2.0, method=method)
        alone = shrink([1.0, 2.0, 3.0, 4.0], np.ones(4), tau2=1.0, mean=2.0, method=method)
        assert np.isnan(found.effect[[1, 5]]).all()
        np.testing.assert_array_equal(found.effect[[0, 2, 3, 4]], alone.effect)
        np.testing.assert_array_equal(found.std_error[[0, 2, 3, 4]], alone.std_error)


def test_unknown_tau2_shrinks_nothing():
    found = shrink([1.0] * 4, [1.0] * 4, tau2=np.nan, mean=np.nan)
    assert np.isnan(found.effect).all()


def test_no_estimate_at_all_shrinks_nothing():
    for method in ("morris", "plug-in"):
        found = shrink([np.nan], [np.nan], tau2=1.0, mean=0.0, n_segments=5, method=method)
        assert np.isnan([found.effect, found.std_error]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"tau2": -1.0}, "tau2"), ({"tau2": 1.0, "method": "james-stein"}, "james-stein")],
)
def test_bad_shrinkage_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        shrink([1.0, 2.0], [1.0, 1.0], mean=0.0, **arguments)
