"""Curves are thinned, and few rows at the head of a mean do not set the limits."""

from __future__ import annotations

import numpy as np

from segcate import metrics
from segcate.plots import UpliftCurveDisplay
from segcate.plots._curve_display import band_limits, thin


def test_head_of_a_mean_does_not_set_the_limits():
    rng = np.random.default_rng(3)
    prediction = rng.normal(size=3000)
    psi = prediction + rng.normal(0, 5, 3000)
    curve = metrics.toc_curve(psi, prediction)
    display = UpliftCurveDisplay.from_predictions(psi, prediction, kind="toc")
    low, high = display.ax_.get_ylim()
    body = curve.share >= 0.05
    assert low < np.nanmin(curve.ci_low[body])
    assert high > np.nanmax(curve.ci_high[body])
    assert high - low < 0.7 * (np.nanmax(curve.ci_high) - np.nanmin(curve.ci_low))
    assert band_limits(
        np.array([0.02, 0.5]), np.array([9.0, 1.0]), np.array([-9.0, 0.0]),
        np.array([20.0, 2.0]), 0.05,
    ) == (0.0, 9.0)  # fmt: skip


def test_long_curves_are_thinned_with_both_ends():
    share = np.linspace(0, 1, 200_001)
    at = thin(share)
    assert len(at) <= 500
    assert (at[0], at[-1]) == (0, 200_000)
    assert np.diff(share[at]).max() < 0.0021
