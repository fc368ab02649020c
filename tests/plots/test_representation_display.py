"""The picture of representations: the same points twice, and what a probe tells in words."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from segcate.plots import RepresentationDisplay
from tests.helpers.pictures import assert_reads_in_grey, assert_texts_fit, one_line, words


def probe(n=60, treatments=("none", "chemo", "radio"), explained=0.123, width=4):
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        representation=rng.normal(size=(n, width)),
        treatment=np.array([treatments[i % len(treatments)] for i in range(n)], dtype=object),
        outcome=rng.normal(size=(n, 2)),
        explained=explained,
        std_error=0.045,
    )


def points_of(marks):
    return np.concatenate([np.column_stack(mark.get_data()) for mark in marks])


def test_both_sides_show_the_same_points_by_treatment_and_by_fifths():
    seen = probe()
    display = RepresentationDisplay.from_predictions(seen, outcome=1)
    assert [len(mark.get_xdata()) for mark in display.treatment_] == [20, 20, 20]
    assert [len(mark.get_xdata()) for mark in display.outcome_] == [12] * 5
    left, right = (points_of(marks) for marks in (display.treatment_, display.outcome_))
    shift = right[:, 0].min() - left[:, 0].min()
    order = [np.lexsort(np.round(part, 9).T) for part in (left, right - [shift, 0.0])]
    np.testing.assert_allclose(left[order[0]], (right - [shift, 0.0])[order[1]], atol=1e-12)
    assert_texts_fit(display)
    assert_reads_in_grey(display)


def test_the_caption_says_what_a_probe_explains():
    shown = one_line(RepresentationDisplay.from_predictions(probe()))
    assert (
        "all 4 dimensions explains 12.3 % (standard error 4.5) of the treatment's entropy" in shown
    )
    assert "Too few units" in one_line(
        RepresentationDisplay.from_predictions(probe(explained=np.nan))
    )


def test_rare_treatments_share_a_mark_and_many_units_are_thinned():
    names = ("none", "a", "b", "a+b", "c", "a+c")
    display = RepresentationDisplay.from_predictions(probe(4000, names))
    shown = one_line(display)
    assert len(display.treatment_) == 5
    assert "others" in words(display)
    assert "1,500 of 4,000 units are drawn" in shown


def test_a_representation_of_one_column_draws():
    RepresentationDisplay.from_predictions(probe(width=1))


def test_what_is_no_probe_or_no_outcome_is_named():
    with pytest.raises(TypeError, match="must be a TreatmentProbe; got ndarray"):
        RepresentationDisplay.from_predictions(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="`outcome` must be below 2"):
        RepresentationDisplay.from_predictions(probe(), outcome=2)
    with pytest.raises(TypeError, match="a dict has no representation"):
        RepresentationDisplay.from_estimator({}, None, origin=1)
