"""Scales of an outcome: there and back, their slopes, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._panel.outcome_scale import OutcomeScale

KINDS = ["identity", "sqrt", "cbrt", "log", "asinh"]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind):
    scale = OutcomeScale(kind, 0.3)
    y = np.array([0.0, 1e-6, 0.2, 5.0, 1e4])
    np.testing.assert_allclose(scale.back(scale.forward(y)), y, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", ["identity", "cbrt", "asinh"])
def test_negative_outcomes_there_and_back(kind):
    scale = OutcomeScale(kind, 0.3)
    y = np.array([-50.0, -0.1])
    np.testing.assert_allclose(scale.back(scale.forward(y)), y, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_those_of_differences(kind):
    scale, y, h = OutcomeScale(kind, 0.3), np.array([0.2, 5.0, 80.0]), 1e-5
    slope = (scale.forward(y + h) - scale.forward(y - h)) / (2 * h)
    np.testing.assert_allclose(scale.log_slope(y, 1.0), np.log(slope), atol=1e-6)


@pytest.mark.parametrize("kind", ["sqrt", "cbrt"])
def test_slopes_at_zero_are_cut_off(kind):
    scale = OutcomeScale(kind)
    assert scale.log_slope(np.zeros(1), 2.0) == scale.log_slope(np.array([2e-3]), 2.0)


@pytest.mark.parametrize("kind", ["sqrt", "log"])
def test_outcomes_below_zero_are_refused_and_never_come_back(kind):
    scale = OutcomeScale(kind, 0.5)
    with pytest.raises(ValueError, match=r"outcome_transform='auto' chose .*found 1 below.*-1"):
        scale.forward(np.array([1.0, -1.0]))
    assert scale.back(np.array([-0.4])) == 0.0


def test_a_scale_is_written_as_a_formula():
    assert str(OutcomeScale("log", 0.55301)) == "log(1 + y / 0.553)"
    assert str(OutcomeScale("asinh", 2.0)) == "asinh(y / 2)"
    assert str(OutcomeScale("cbrt")) == "cbrt"
