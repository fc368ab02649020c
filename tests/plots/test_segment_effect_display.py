"""The forest plot shows every segment, legibly, with what there is to say about it."""

from __future__ import annotations

import builtins
from types import SimpleNamespace

import matplotlib.colors as colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segcate._writing.number_texts import write_decimals
from segcate.plots import SegmentEffectDisplay
from segcate.plots._drawing import new_sheet
from segcate.plots._forest_plot import axis_limits, decimals_for, segment_rows
from tests.helpers.pictures import title_of

MINUS = "\N{MINUS SIGN}"
OVERALL = {"effect": 0.42, "ci_low": 0.36, "ci_high": 0.48, "n_treated": 5000, "status": "ok"}


def make_table(k, names=None):
    rng = np.random.default_rng(k)
    effect, error = rng.normal(0.4, 0.4, k), rng.uniform(0.1, 0.3, k)
    return pd.DataFrame(
        {
            "status": "ok",
            "n_treated": rng.integers(20, 9000, k),
            "effect": effect,
            "ci_low": effect - 2 * error,
            "ci_high": effect + 2 * error,
        },
        index=pd.Index(names or range(k), name="segment"),
    )


def texts_of(display):
    display.figure_.canvas.draw()
    drawn = [*display.ax_.texts, *display.ax_.get_yticklabels(), display.ax_.xaxis.label]
    return [text for text in drawn if text.get_text()]


def boxes_of(display):
    renderer = display.figure_.canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts_of(display)]


@pytest.mark.parametrize("k", [1, 3, 8, 30])
@pytest.mark.parametrize("own_axes", [False, True])
def test_no_text_overlaps_or_leaves_the_picture(k, own_axes):
    names = [f"a segment with the rather long name {i}" for i in range(k)]
    ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")[1] if own_axes else None
    display = SegmentEffectDisplay.from_predictions(make_table(k, names), overall=OVERALL, ax=ax)
    boxes = boxes_of(display)
    width, height = display.figure_.canvas.get_width_height()
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= 0, text
        assert box.y0 >= -1, text
        assert box.x1 <= width, text
        assert box.y1 <= height + 1, text
        for other, second in boxes[i + 1 :]:
            assert not box.overlaps(second), (text, other)


def test_rows_carry_names_counts_and_figures():
    table = make_table(3, ["new", "loyal", "dormant"])
    table["n_treated"] = [1017, 42, 7]
    table[["effect", "ci_low", "ci_high"]] = [[0.5, 0.1, 0.9], [-0.25, -0.65, 0.15], [0, -0.4, 0.4]]
    display = SegmentEffectDisplay.from_predictions(table, overall=OVERALL, units="kg")
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["new (1,017)", "loyal (42)", "dormant (7)", "overall (5,000)"]
    figures = [text.get_text() for text in display.ax_.texts]
    assert "0.50 [0.10, 0.90]" in figures
    assert "-0.25 [-0.65, 0.15]".replace("-", MINUS) in figures
    assert "0.42 [0.36, 0.48]" in figures
    assert display.ax_.get_xlabel() == "ATT in kg (95 % interval)"


def test_points_and_intervals_stand_where_the_numbers_say():
    table = make_table(5)
    display = SegmentEffectDisplay.from_predictions(table, overall=OVERALL)
    lines = [line for line in display.ax_.lines if len(line.get_xdata()) == 2]
    spans = {tuple(np.round(line.get_xdata(), 12)) for line in lines}
    for row in table.itertuples():
        assert (round(row.ci_low, 12), round(row.ci_high, 12)) in spans
    squares = [line for line in display.ax_.lines if line.get_marker() == "s"]
    assert [line.get_xdata()[0] for line in squares] == table["effect"].tolist()
    assert [line.get_ydata()[0] for line in squares] == [0, 1, 2, 3, 4]


def test_segment_without_estimate_says_why_and_gets_no_point():
    table = make_table(4)
    table.loc[2, ["effect", "ci_low", "ci_high"]] = np.nan
    table.loc[2, "status"] = "no control rows (41 treated)"
    display = SegmentEffectDisplay.from_predictions(table)
    assert "no estimate: no control rows (41 treated)" in [t.get_text() for t in display.ax_.texts]
    squares = [line.get_ydata()[0] for line in display.ax_.lines if line.get_marker() == "s"]
    assert squares == [0, 1, 3]


@pytest.mark.parametrize("width", [3.4, 4.1, 8.0])
def test_a_long_reason_leaves_the_axes_their_width(width):
    """Of two lines, inside the picture; matplotlib warns where axes collapse to nothing."""
    table = make_table(4)
    table.loc[2, ["effect", "ci_low", "ci_high"]] = np.nan
    table.loc[2, "status"] = "52 % of treated have no donor in their level of city"
    display = SegmentEffectDisplay.from_predictions(table, overall=OVERALL, ax=new_sheet(width))
    ((reason, box),) = [each for each in boxes_of(display) if each[0].startswith("no estimate")]
    assert reason.count("\n") <= 1
    assert box.x1 <= display.figure_.bbox.x1
    assert display.ax_.get_window_extent().width > 0.15 * display.figure_.bbox.width


def test_borrowed_estimate_makes_an_open_square_and_a_line_below():
    table = make_table(5)
    borrowed = ["overall effect (no controls)", "overall effect (no controls)", "pooled"]
    table["status"] = ["ok", *borrowed, "ok: adjusted on the score alone"]
    display = SegmentEffectDisplay.from_predictions(table)
    faces = [ln.get_markerfacecolor() for ln in display.ax_.lines if ln.get_marker() == "s"]
    assert [face == "white" for face in faces] == [False, True, True, True, False]
    assert display.ax_.get_xlabel().endswith(
        "\nOpen squares: overall effect (no controls) (2); pooled (1)."
    )


def test_a_very_wide_interval_is_cut_with_an_arrowhead_and_written_whole():
    table = make_table(6)
    table.loc[3, ["ci_low", "ci_high"]] = [-50.0, 50.0]
    display = SegmentEffectDisplay.from_predictions(table)
    low, high = display.ax_.get_xlim()
    assert high - low < 6
    markers = [line.get_marker() for line in display.ax_.lines]
    assert markers.count("<") == markers.count(">") == 1
    assert any(f"[{MINUS}50.00, 50.00]" in text.get_text() for text in display.ax_.texts)
    assert all(
        low <= x <= high for ln in display.ax_.lines for x in ln.get_xdata() if x not in (0, 1)
    )


def test_of_many_segments_the_most_telling_are_shown_and_the_others_counted():
    table = make_table(60)
    display = SegmentEffectDisplay.from_predictions(table)
    width = table["ci_high"] - table["ci_low"]
    expected = (table["effect"].abs() / width).nlargest(50).sort_index().index
    labels = [label.get_text().split(" ")[0] for label in display.ax_.get_yticklabels()]
    assert labels == [str(k) for k in expected]
    assert "The 50 segments furthest from 0 for their intervals; 10 more in the table." in " ".join(
        display.ax_.get_xlabel().split()
    )
    assert title_of(display) == "ATT by segment: 60 segments"


def test_order_by_effect_puts_missing_estimates_last():
    table = make_table(4)
    table["effect"] = [0.1, np.nan, 0.7, 0.4]
    rows = segment_rows("Display", table, "effect")
    assert [row.name for row in rows] == ["2", "3", "0", "1"]


def test_estimate_without_interval_is_drawn_and_says_so():
    table = make_table(2)
    table.loc[1, ["ci_low", "ci_high"]] = np.nan
    display = SegmentEffectDisplay.from_predictions(table)
    assert any(t.get_text().endswith("[no interval]") for t in display.ax_.texts)
    assert sum(line.get_marker() == "s" for line in display.ax_.lines) == 2


@pytest.mark.parametrize("overall", [OVERALL, pd.Series(OVERALL), pd.DataFrame([OVERALL])])
def test_overall_may_be_a_mapping_a_series_or_one_row(overall):
    display = SegmentEffectDisplay.from_predictions(make_table(2), overall=overall)
    (diamond,) = display.ax_.patches
    assert diamond.get_xy()[:, 0].min() == 0.36
    assert diamond.get_xy()[:, 0].max() == 0.48
    dashed = [line for line in display.ax_.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [0.42]


def test_prints_in_grey():
    """Every ink is dark enough (relative luminance below 0.2) to be read without colour."""
    table = make_table(4)
    table.loc[0, "status"] = "pooled"
    display = SegmentEffectDisplay.from_predictions(table, overall=OVERALL)
    for line in display.ax_.lines:
        red, green, blue = colors.to_rgb(line.get_color())
        assert 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.3


def fitted(**attributes):
    step = LinearRegression()
    vars(step).update(effects_=make_table(3), overall_=OVERALL, **attributes)
    return step


def test_from_estimator_walks_through_pipeline_and_search():
    step = fitted(estimand="atc", confidence_level=0.9)
    pipe = make_pipeline(StandardScaler(), step)
    search = GridSearchCV(pipe, {})
    search.best_estimator_ = pipe
    outer = make_pipeline(StandardScaler(), search)
    for estimator in (step, pipe, search, outer):
        display = SegmentEffectDisplay.from_estimator(estimator)
        assert display.ax_.get_xlabel() == "ATC in units of y (90 % interval)"
        assert len(display.ax_.get_yticks()) == 4


def test_from_estimator_takes_any_result_with_effects():
    result = SimpleNamespace(effects_=make_table(2), overall_=None)
    assert len(SegmentEffectDisplay.from_estimator(result).ax_.get_yticks()) == 2


def test_draws_into_the_axes_it_is_given():
    figure, ax = plt.subplots()
    display = SegmentEffectDisplay.from_predictions(make_table(2), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


def test_bad_input_is_named():
    with pytest.raises(NotFittedError, match="has no `best_estimator_`"):
        SegmentEffectDisplay.from_estimator(GridSearchCV(LinearRegression(), {}))
    with pytest.raises(
        TypeError, match=r"last step is a LinearRegression, which has no `effects_`"
    ):
        SegmentEffectDisplay.from_estimator(make_pipeline(StandardScaler(), LinearRegression()))
    with pytest.raises(ValueError, match=r"lacks the columns 'ci_low', 'ci_high'; it has 'effect'"):
        SegmentEffectDisplay.from_predictions(pd.DataFrame({"effect": [1.0]}))
    with pytest.raises(ValueError, match="has no rows"):
        SegmentEffectDisplay.from_predictions(make_table(2).iloc[:0])
    with pytest.raises(TypeError, match=r"must be a DataFrame .* got list"):
        SegmentEffectDisplay.from_predictions([1.0])
    with pytest.raises(ValueError, match="`order` must be one of"):
        SegmentEffectDisplay.from_predictions(make_table(2), order="size")
    with pytest.raises(ValueError, match="`overall` lacks 'ci_low'"):
        SegmentEffectDisplay.from_predictions(make_table(2), overall={"effect": 1, "ci_high": 2})
    with pytest.raises(ValueError, match="`overall` must have one row; it has 2"):
        SegmentEffectDisplay.from_predictions(make_table(2), overall=make_table(2))
    with pytest.raises(ValueError, match="`confidence_level` must be a number in"):
        SegmentEffectDisplay.from_predictions(make_table(2), confidence_level=95)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"plot needs matplotlib.*pip install segcate\[plot\]"):
        SegmentEffectDisplay(make_table(2)).plot()


def test_numbers_are_written_with_fitting_decimals():
    table = make_table(3)
    rows = segment_rows("Display", table, "given")
    assert decimals_for(rows) == 2
    scaled = table.assign(**{c: table[c] * 10_000 for c in ("effect", "ci_low", "ci_high")})
    assert decimals_for(segment_rows("Display", scaled, "given")) == 0
    assert write_decimals(-1794.34, 0) == f"{MINUS}1794"
    assert write_decimals(-0.001, 2) == "0.00"


def test_an_interval_that_would_vanish_has_decimals_of_its_own():
    table = make_table(4)
    table[["effect", "ci_low", "ci_high"]] = [
        [10.02, -18.1, 38.3], [-15213.7, -17424.9, -13002.2], [2e-10, -1e-10, 5e-10], [0, 0, 0]
    ]  # fmt: skip
    overall = {"effect": 0.1083, "ci_low": -0.1483, "ci_high": 0.3649}
    display = SegmentEffectDisplay.from_predictions(table, overall=overall)
    figures = [text.get_text() for text in display.ax_.texts][:5]
    assert figures == [
        f"10 [{MINUS}18, 38]",
        f"{MINUS}15,214 [{MINUS}17,425, {MINUS}13,002]",
        f"2e{MINUS}10 [{MINUS}1e{MINUS}10, 5e{MINUS}10]",
        "0 [0, 0]",
        f"0.11 [{MINUS}0.15, 0.36]",
    ]


def test_axis_always_holds_zero_and_every_estimate():
    table = make_table(10)
    table["effect"] += 5
    table[["ci_low", "ci_high"]] += 5
    low, high = axis_limits(segment_rows("Display", table, "given"))
    assert low < 0 < table["effect"].max() < high
