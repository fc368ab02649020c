"""Calibration: slopes of changes that came on predicted ones, and the report of scores."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.sandwich import unit_factor
from segcate.temporal import MSM, LinearGComputation
from segcate.temporal._models.calibration import calibrate
from tests.helpers.small_panels import linear_panel, small_panel


def changes(n=200, n_origins=3, factor=0.5, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=(n, n_origins, 2, 1))
    came = 1.0 + factor * predicted + noise * rng.normal(size=predicted.shape)
    return predicted, came, np.ones((n, n_origins, 2))


def test_a_slope_below_one_tells_that_changes_are_predicted_too_large():
    found = calibrate(*changes())
    assert found.slope.shape == found.std_error.shape == (2, 1)
    assert (np.abs(found.slope - 0.5) < 3 * found.std_error).all()
    np.testing.assert_array_equal(found.n, [600, 600])


def test_the_error_of_a_slope_is_clustered_by_unit():
    predicted, came, counts = changes(40)
    found = calibrate(predicted, came, counts)
    x, y = (part[:, :, 0, 0] - part[:, :, 0, 0].mean() for part in (predicted, came))
    slope = (x * y).sum() / (x**2).sum()
    scores = (x * (y - slope * x)).sum(axis=1)
    expected = np.sqrt(unit_factor(40) * (scores**2).sum()) / (x**2).sum()
    np.testing.assert_allclose([found.slope[0, 0], found.std_error[0, 0]], [slope, expected])
    twice = calibrate(*(np.concatenate([part, part], axis=1) for part in (predicted, came, counts)))
    np.testing.assert_allclose(twice.std_error, found.std_error, rtol=1e-12)


def test_steps_that_did_not_come_do_not_count():
    predicted, came, counts = changes(50)
    counts[:25, :, 1] = False
    came[:25, :, 1] = 1e6
    found = calibrate(predicted, came, counts)
    assert found.n.tolist() == [150, 75]
    np.testing.assert_allclose(
        found.slope[1], calibrate(predicted[25:], came[25:], counts[25:]).slope[1]
    )
    counts[:, :, 1] = False
    assert np.isnan(calibrate(predicted, came, counts).slope[1]).all()


def test_weights_count_rows_as_often():
    predicted, came, weights = changes(50)
    weights[:10] = 2.0
    found = calibrate(predicted, came, weights)
    stacked = [
        np.concatenate([part[:10], part]) for part in (predicted, came, np.ones_like(weights))
    ]
    np.testing.assert_allclose(found.slope, calibrate(*stacked).slope, rtol=1e-12)


def test_a_model_that_is_right_has_slopes_of_one():
    model = LinearGComputation("a", "y", horizon=3, n_bootstraps=0).fit(linear_panel(1500))
    table = model.score_report(linear_panel(1500, seed=1))
    assert list(table.columns) == [
        "step", "n", "rmse", "rmse_unchanged", "calibration_slope", "std_error",
    ]  # fmt: skip
    assert table["step"].tolist() == [1, 2, 3]
    assert (np.abs(table["calibration_slope"] - 1) < 3 * table["std_error"]).all()
    assert (table["rmse"] < table["rmse_unchanged"]).all()
    # The noise of a step has a standard deviation of 1.
    assert table["rmse"].iloc[0] == pytest.approx(1.0, abs=0.05)


def test_effects_that_are_doubled_show_in_the_slope():
    model = LinearGComputation("a", "y", horizon=1, n_bootstraps=0).fit(linear_panel(500))
    model._fits["coef"] = 2.0 * model._fits["coef"]
    found = model.score_report(linear_panel(500, seed=1))["calibration_slope"].iloc[0]
    assert found == pytest.approx(0.5, abs=0.06)


def test_several_outcomes_have_a_row_each():
    panel = small_panel(n_outcomes=2)
    model = MSM(["a0", "a1"], ["y0", "y1"], horizon=2).fit(panel)
    table = model.score_report(panel)
    assert table["outcome"].tolist() == ["y0", "y1"] * 2
    # Units of few rows have fewer steps to come.
    assert (table["n"].diff().iloc[[1, 3]] == 0).all()
    assert table["n"].iloc[2] < table["n"].iloc[0]
