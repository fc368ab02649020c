"""Sorted effects: means are of all rows, whatever is drawn of them."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.plots import SortedEffectDisplay
from segcate.plots._sorted_effect_display import sort_effects
from tests.helpers.pictures import (
    assert_reads_in_grey,
    assert_texts_fit,
    one_line,
    title_of,
    words,
)

MINUS = "\N{MINUS SIGN}"


def naive_top(effect, weight, mark):
    """Mean effect of the top share of the weight: rows cut into a million equal slivers."""
    fine = np.repeat(np.asarray(effect, dtype=float), np.asarray(weight, dtype=int) * 1000)
    fine = np.sort(fine)[::-1]
    return fine[: round(mark * len(fine))].mean()


def test_curves_are_the_sorted_effects_and_their_running_mean():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=97)
    display = SortedEffectDisplay.from_predictions(effect)
    ranked, running = display.ax_.lines[0], display.ax_.lines[1]
    expected = np.sort(effect)[::-1]
    np.testing.assert_allclose(ranked.get_ydata()[1:], expected, rtol=1e-12)
    np.testing.assert_allclose(ranked.get_xdata()[1:], 100 * np.arange(1, 98) / 97, rtol=1e-12)
    np.testing.assert_allclose(
        running.get_ydata()[1:], np.cumsum(expected) / np.arange(1, 98), rtol=1e-12
    )


@pytest.mark.parametrize("mark", [0.1, 0.2, 0.5])
def test_ends_are_means_of_a_share_also_when_a_row_straddles_it(mark):
    effect, weight = [3.0, 1.0, 0.0, -2.0, 0.5], [1, 2, 1, 3, 1]
    found = sort_effects(np.array(effect), np.array(weight, dtype=float), mark)
    assert found.top == pytest.approx(naive_top(effect, weight, mark), abs=2e-3)
    assert found.bottom == pytest.approx(-naive_top(np.negative(effect), weight, mark), abs=2e-3)
    assert found.mean == pytest.approx(np.average(effect, weights=weight), rel=1e-12)


def test_thinning_keeps_both_ends_and_exact_means():
    rng = np.random.default_rng(0)
    effect = rng.gamma(2, 1, 100_000)
    found = sort_effects(effect, None, 0.2)
    assert len(found.share) <= 503
    assert np.diff(found.share).max() < 0.0025
    assert found.effect[0] == effect.max()
    assert found.effect[-1] == effect.min()
    order = np.sort(effect)[::-1]
    at = np.rint(found.share[1:] * 100_000).astype(int)
    np.testing.assert_allclose(found.effect[1:], order[at - 1], rtol=1e-12)
    np.testing.assert_allclose(
        found.cumulative_mean[1:], (np.cumsum(order) / np.arange(1, 100_001))[at - 1], rtol=1e-9
    )
    assert found.top == pytest.approx(order[:20_000].mean(), rel=1e-9)
    assert found.bottom == pytest.approx(order[80_000:].mean(), rel=1e-9)


def test_rows_without_an_effect_are_counted_never_drawn():
    display = SortedEffectDisplay.from_predictions([1.0, np.nan, 3.0, np.nan])
    assert "2 rows without a predicted effect are not drawn." in one_line(display)
    assert title_of(display) == "Predicted effect of the treatment, sorted, n = 2; mean 2.00"
    assert len(display.ax_.lines[0].get_xdata()) == 3


def test_weight_zero_leaves_a_row_out():
    found = sort_effects(np.array([5.0, 1.0, 3.0]), np.array([0.0, 1.0, 1.0]), 0.5)
    assert (found.top, found.bottom, found.mean) == (3.0, 1.0, 2.0)


@pytest.mark.parametrize("effect", [np.full(9, 0.3), -np.arange(5.0), [1.0], [0.0]])
def test_extremes_draw_and_hold_zero(effect):
    display = SortedEffectDisplay.from_predictions(effect)
    low, high = display.ax_.get_ylim()
    assert low <= 0 <= high
    assert low <= np.min(effect)
    assert np.max(effect) <= high
    assert_texts_fit(display)


def test_texts_name_both_ends_in_units_and_can_be_read():
    rng = np.random.default_rng(1)
    display = SortedEffectDisplay.from_predictions(rng.normal(size=300), units="visits", mark=0.1)
    shown = words(display)
    assert any(text.startswith("top 10 %: mean 1.") for text in shown)
    assert any(text.startswith(f"bottom 10 %: mean {MINUS}1.") for text in shown)
    assert "effect in visits" in shown
    assert {"predicted effect", "mean of all rows up to here"} <= set(shown)
    marks = [line.get_xdata()[0] for line in display.ax_.lines if line.get_linestyle() == ":"]
    assert marks == [10.0, 90.0]
    assert_texts_fit(display)
    assert_reads_in_grey(display)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`mark` must be a number in \(0, 0.5\]; got 0"):
        SortedEffectDisplay.from_predictions([1.0], mark=0.0)
    with pytest.raises(ValueError, match=r"`mark` must be a number in \(0, 0.5\]; got 0.6"):
        SortedEffectDisplay.from_predictions([1.0], mark=0.6)
    with pytest.raises(ValueError, match="NaN in all 2 rows"):
        SortedEffectDisplay.from_predictions([np.nan, np.nan])
    with pytest.raises(ValueError, match="infinite in 1 of 2 rows"):
        SortedEffectDisplay.from_predictions([np.inf, 1.0])
    with pytest.raises(ValueError, match=r"one number for every row; got shape \(2, 2\)"):
        SortedEffectDisplay.from_predictions(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"got shape \(0,\)"):
        SortedEffectDisplay.from_predictions([])
    with pytest.raises(ValueError, match="`sample_weight` must be finite and not negative"):
        SortedEffectDisplay.from_predictions([1.0, 2.0], sample_weight=[1, -1])
