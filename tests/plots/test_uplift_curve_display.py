"""Curves, bands and chance lines are those of the metrics, and names stand by their curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcate import metrics
from segcate.plots import UpliftCurveDisplay
from tests.helpers.pictures import (
    assert_reads_in_grey,
    assert_texts_fit,
    luminance,
    title_of,
    words,
)

KINDS = ["uplift", "qini", "toc", "cumulative_effect"]


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    prediction = rng.normal(0.3, 0.5, 500)
    return prediction + rng.normal(0, 2, 500), prediction


def models_of(prediction, n_models):
    rng = np.random.default_rng(1)
    return {
        f"model number {k} of a longish name": prediction + rng.normal(0, k / 2, len(prediction))
        for k in range(n_models)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_curve_and_band_are_those_of_the_metric(scores, kind):
    curve = getattr(metrics, f"{kind}_curve")(*scores)
    display = UpliftCurveDisplay.from_predictions(*scores, kind=kind)
    drawn = [line.get_xydata() for line in display.ax_.lines if len(line.get_xdata()) > 2]
    expected = [
        np.column_stack([100 * curve.share, values])
        for values in (curve.ci_low, curve.ci_high, curve.value)
    ]
    for ours, theirs in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("uplift", 0, 1), ("qini", 0, 0), ("toc", 0, 0), ("cumulative_effect", 1, 1)],
)
def test_chance_is_what_random_treatment_brings(scores, kind, start, end):
    mean = scores[0].mean()
    display = UpliftCurveDisplay.from_predictions(*scores, kind=kind)
    chance = next(
        line.get_ydata() for line in display.ax_.lines if tuple(line.get_xdata()) == (0.0, 100.0)
    )
    np.testing.assert_allclose(chance, [start * mean, end * mean], atol=1e-12)
    assert "at random" in words(display)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_models", [1, 4])
def test_names_stand_by_their_curves_and_nothing_overlaps(scores, kind, n_models):
    psi, prediction = scores
    models = models_of(prediction, n_models)
    display = UpliftCurveDisplay.from_predictions(psi, models, kind=kind)
    shown = {" ".join(text.split()) for text in words(display)}
    assert set(models) <= shown
    assert_texts_fit(display)
    assert_reads_in_grey(display)


def test_curves_differ_by_dashes_as_well_as_by_colour(scores):
    psi, prediction = scores
    display = UpliftCurveDisplay.from_predictions(psi, models_of(prediction, 7))
    styles = [
        (line.get_color(), str(line._unscaled_dash_pattern))
        for line in display.ax_.lines
        if len(line.get_xdata()) > 2 and line.get_linewidth() > 1
    ]
    assert len({dashes for _, dashes in styles[:4]}) == 4
    assert len(set(styles)) == 7


def test_name_has_the_colour_of_its_curve(scores):
    psi, prediction = scores
    display = UpliftCurveDisplay.from_predictions(psi, models_of(prediction, 3))
    colours = {" ".join(t.get_text().split()): t.get_color() for t in display.ax_.texts}
    curves = [line for line in display.ax_.lines if line.get_linewidth() == 1.8]
    for name, line in zip(models_of(prediction, 3), curves, strict=True):
        assert colours[name] == line.get_color()
        assert luminance(line.get_color()) < 0.2


def test_constant_prediction_is_chance(scores):
    display = UpliftCurveDisplay.from_predictions(scores[0], np.ones(500), kind="qini")
    curves = [line.get_ydata() for line in display.ax_.lines if line.get_linewidth() == 1.8]
    np.testing.assert_allclose(curves[0], 0.0, atol=1e-12)
    assert_texts_fit(display)


def test_title_states_curve_rows_and_band(scores):
    display = UpliftCurveDisplay.from_predictions(
        *scores, kind="qini", confidence_level=0.9, band="uniform", random_state=0
    )
    assert title_of(display) == "Qini curve, n = 500; bands: 90 %, uniform"


def test_slopes_of_a_dose_draw_too(scores):
    curve = replace(metrics.cumulative_effect_curve(*scores), kind="cumulative_slope")
    display = UpliftCurveDisplay(curve, units="kg per mg").plot()
    assert display.ax_.get_ylabel() == "effect of a unit of dose on the top share, in kg per mg"


def test_bad_input_is_named(scores):
    psi, prediction = scores
    curve = metrics.uplift_curve(psi, prediction)
    with pytest.raises(ValueError, match=r"`kind` must be one of \['uplift', 'qini', 'toc'"):
        UpliftCurveDisplay.from_predictions(psi, prediction, kind="auuc")
    with pytest.raises(ValueError, match="curves must be of one kind"):
        UpliftCurveDisplay({"a": curve, "b": metrics.qini_curve(psi, prediction)}).plot()
    with pytest.raises(ValueError, match="curves must be of the same rows"):
        UpliftCurveDisplay(
            {"a": curve, "b": metrics.uplift_curve(psi[:400], prediction[:400])}
        ).plot()
    with pytest.raises(ValueError, match="curves must be of the same rows"):
        UpliftCurveDisplay({"a": curve, "b": metrics.uplift_curve(psi + 1, prediction)}).plot()
    with pytest.raises(TypeError, match="ndarray is no curve; it lacks 'share'"):
        UpliftCurveDisplay(prediction).plot()
    with pytest.raises(ValueError, match="arrays of a curve must have one length"):
        UpliftCurveDisplay(replace(curve, value=curve.value[:3])).plot()
    with pytest.raises(ValueError, match="mapping of predictions is empty"):
        UpliftCurveDisplay.from_predictions(psi, {})
