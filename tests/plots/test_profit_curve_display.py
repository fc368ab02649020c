"""The profit curve is the metric's, and its best point is marked as chosen on these rows."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.metrics import profit_curve
from segcate.plots import ProfitCurveDisplay
from tests.helpers.pictures import (
    assert_reads_in_grey,
    assert_texts_fit,
    one_line,
    title_of,
    words,
)


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    prediction = rng.normal(0.3, 0.5, 400)
    return prediction + rng.normal(0, 2, 400), prediction


def diamonds(display):
    return [
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in display.ax_.lines
        if line.get_marker() == "D"
    ]


def test_curve_band_and_best_point_are_those_of_the_metric(scores):
    curve = profit_curve(*scores, value=2.0, cost=0.4)
    display = ProfitCurveDisplay.from_predictions(*scores, value=2.0, cost=0.4)
    drawn = {tuple(line.get_ydata()) for line in display.ax_.lines if len(line.get_xdata()) == 401}
    for values in (curve.profit, curve.ci_low, curve.ci_high):
        assert tuple(values) in drawn
    assert diamonds(display) == [(100 * curve.best_share, curve.best_profit)]
    text = one_line(display)
    assert "Diamond: best point, too good since these rows chose it." in text
    assert f"treat {100 * curve.best_share:.3g} %, profit {curve.best_profit:.3f}" in text


def test_best_point_of_a_long_curve_is_drawn_although_the_curve_is_thinned():
    rng = np.random.default_rng(1)
    prediction = rng.normal(size=50_000)
    psi = prediction + rng.normal(size=50_000)
    curve = profit_curve(psi, prediction, cost=0.3)
    display = ProfitCurveDisplay.from_predictions(psi, prediction, cost=0.3)
    line = max(display.ax_.lines, key=lambda line: len(line.get_xdata()))
    assert len(line.get_xdata()) <= 501
    assert diamonds(display) == [(100 * curve.best_share, curve.best_profit)]
    assert 100 * curve.best_share in line.get_xdata()


def test_budget_and_capacity_are_lines_where_they_end(scores):
    display = ProfitCurveDisplay.from_predictions(*scores, cost=0.5, budget=0.1, max_share=0.4)
    dotted = [line.get_xdata()[0] for line in display.ax_.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted, [20.0, 40.0], rtol=1e-9)
    assert "end of the budget, 0.1 per row of all" in one_line(display)
    assert "capacity, 40 % of the rows" in one_line(display)
    assert diamonds(display)[0][0] <= 20.0
    plenty = ProfitCurveDisplay.from_predictions(*scores, cost=0.5, budget=9.0)
    assert "the budget of 9 per row pays for all" in one_line(plenty)


def test_treating_nobody_can_be_best(scores):
    display = ProfitCurveDisplay.from_predictions(*scores, cost=100.0)
    assert diamonds(display) == [(0.0, 0.0)]
    assert "treat nobody" in one_line(display)
    assert_texts_fit(display)


def test_several_models_are_named_beside_their_curves(scores):
    psi, prediction = scores
    rng = np.random.default_rng(2)
    models = {
        f"model number {k} with a rather long name": prediction + rng.normal(0, k / 2, 400)
        for k in range(4)
    }
    display = ProfitCurveDisplay.from_predictions(psi, models, cost=0.3, units="EUR")
    shown = [" ".join(text.split()) for text in words(display)]
    for name in models:
        assert name in shown
        assert f"{name}: treat" in one_line(display)
    assert len(diamonds(display)) == 4
    assert display.ax_.get_ylabel() == "profit per row of all, in EUR"
    assert_texts_fit(display)
    assert_reads_in_grey(display)


def test_constant_prediction_is_a_straight_line(scores):
    display = ProfitCurveDisplay.from_predictions(scores[0], np.zeros(400), cost=0.1)
    line = display.ax_.lines[2]
    np.testing.assert_allclose(line.get_xdata(), [0.0, 100.0])
    assert_texts_fit(display)


def test_rows_are_counted_in_the_title(scores):
    assert title_of(ProfitCurveDisplay.from_predictions(*scores)).startswith(
        "Profit by share treated, n = 400; bands: 95 %, pointwise"
    )
    curve = profit_curve(*scores, groups=np.arange(400) // 4, confidence_level=0.9)
    display = ProfitCurveDisplay(curve, n_rows=400).plot()
    assert "n = 400; bands: 90 %" in title_of(display)


def test_bad_input_is_named(scores):
    curve = profit_curve(*scores)
    with pytest.raises(ValueError, match="mapping of curves is empty"):
        ProfitCurveDisplay({}).plot()
    with pytest.raises(TypeError, match=r"list is no curve; it lacks 'share'.*profit_curve"):
        ProfitCurveDisplay([1]).plot()
    with pytest.raises(ValueError, match="must be of the same rows and costs"):
        ProfitCurveDisplay({"a": curve, "b": profit_curve(*scores, cost=0.2)}).plot()
    with pytest.raises(ValueError, match="`budget` must be a number of at least 0"):
        ProfitCurveDisplay(curve, budget=-1).plot()
    with pytest.raises(ValueError, match="`max_share` must be a number in"):
        ProfitCurveDisplay(curve, max_share=2).plot()
    with pytest.raises(ValueError, match="NaN or infinite"):
        ProfitCurveDisplay.from_predictions(scores[0], np.full(400, np.nan))
