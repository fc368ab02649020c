"""Squares and circles stand where the metric says, with what a reader needs below them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from segcate.exceptions import SegcateWarning
from segcate.metrics import effect_by_group, effect_by_quantile
from segcate.plots import EffectByQuantileDisplay
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
    prediction = rng.normal(0.3, 0.5, 600)
    return prediction + rng.normal(0, 2, 600), prediction


def marks(display, shape):
    (line,) = [
        line
        for line in display.ax_.lines
        if line.get_marker() == shape
        and line.get_transform() == display.ax_.transData
        and len(line.get_xdata())
    ]
    return line.get_ydata()


def test_estimates_intervals_and_predictions_are_those_of_the_metric(scores):
    table = effect_by_quantile(*scores, n_groups=4).frame()
    display = EffectByQuantileDisplay.from_predictions(*scores, n_groups=4)
    np.testing.assert_array_equal(marks(display, "s"), table["effect"])
    np.testing.assert_array_equal(marks(display, "o"), table["mean_prediction"])
    (intervals,) = display.ax_.collections
    ends = np.array([segment[:, 1] for segment in intervals.get_segments()])
    np.testing.assert_array_equal(ends, table[["ci_low", "ci_high"]])


def test_names_say_group_range_and_rows(scores):
    psi, prediction = scores
    table = effect_by_quantile(psi, prediction, n_groups=3).frame()
    display = EffectByQuantileDisplay.from_predictions(psi, prediction, n_groups=3, units="kg")
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    for k, row in enumerate(table.itertuples()):
        low, high = (f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for value in (row.low, row.high))
        assert labels[k] == f"{k + 1}\n{low}\nto {high}\nn={row.n}"
    assert display.ax_.get_ylabel() == "effect in kg"
    assert one_line(display) == "group, lowest predicted effect first; range of predictions; rows"
    assert "estimate, 95 % interval" in words(display)
    assert title_of(display).endswith("in 3 groups of predicted effect, n = 600")


@pytest.mark.parametrize("n_groups", [1, 2, 5, 10, 30])
@pytest.mark.parametrize("scale", [1.0, 10_000.0])
def test_no_text_overlaps_or_leaves_the_picture(scores, n_groups, scale):
    psi, prediction = scores
    display = EffectByQuantileDisplay.from_predictions(
        scale * psi, scale * prediction, n_groups=n_groups
    )
    assert_texts_fit(display)
    assert_reads_in_grey(display)


def test_names_shrink_to_numbers_where_there_is_no_room(scores):
    display = EffectByQuantileDisplay.from_predictions(*scores, n_groups=30)
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == [str(k) for k in range(1, 31)]
    assert "20 rows a group." in one_line(display)


def test_groups_fixed_in_advance_draw_with_or_without_predictions(scores):
    psi, prediction = scores
    by = np.where(np.arange(600) % 2, "north of the country", "south")
    display = EffectByQuantileDisplay(effect_by_group(psi, by)).plot()
    assert title_of(display) == "Estimated effect in 2 groups, n = 600"
    assert "mean prediction" not in words(display)
    both = EffectByQuantileDisplay(effect_by_group(psi, by, prediction=prediction)).plot()
    assert "mean prediction" in words(both)
    assert_texts_fit(both)


def test_a_group_without_interval_is_an_open_square():
    psi, prediction = [1.0, 2.0, 3.0], [1.0, 1.0, 5.0]
    display = EffectByQuantileDisplay.from_predictions(psi, prediction, n_groups=2)
    faces = {
        line.get_markerfacecolor(): len(line.get_xdata())
        for line in display.ax_.lines
        if line.get_marker() == "s" and line.get_transform() == display.ax_.transData
    }
    assert faces["white"] == 1


def test_constant_predictions_are_one_group_and_a_warning(scores):
    with pytest.warns(SegcateWarning, match="quantile groups"):
        display = EffectByQuantileDisplay.from_predictions(scores[0], np.ones(600))
    assert "in 1 group of predicted effect" in title_of(display)
    assert_texts_fit(display)


def test_limits_hold_zero_and_every_interval(scores):
    display = EffectByQuantileDisplay.from_predictions(scores[0] + 50, scores[1])
    table = effect_by_quantile(scores[0] + 50, scores[1]).frame()
    low, high = display.ax_.get_ylim()
    assert low < 0 < table["ci_high"].max() < high


def test_bad_input_is_named():
    with pytest.raises(
        TypeError, match=r"result of `segcate.metrics.effect_by_quantile`; got Data"
    ):
        EffectByQuantileDisplay(pd.DataFrame()).plot()
    empty = SimpleNamespace(frame=lambda: pd.DataFrame({"n": []}), confidence_level=0.9)
    with pytest.raises(ValueError, match="has 0 groups and lacks the columns 'effect'"):
        EffectByQuantileDisplay(empty).plot()
    with pytest.raises(ValueError, match="`prediction` is NaN or infinite in 1 of 3 rows"):
        EffectByQuantileDisplay.from_predictions([1.0, 2.0, 3.0], [1.0, np.nan, 2.0])
