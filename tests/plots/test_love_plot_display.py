"""The love plot shows every covariate before and after, and whose balance is worst."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.plots import LovePlotDisplay
from tests.helpers.pictures import (
    assert_reads_in_grey,
    assert_texts_fit,
    one_line,
    title_of,
    words,
)

MINUS = "\N{MINUS SIGN}"


def make_balance(n_segments, covariates, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [range(n_segments), ["propensity", *covariates]], names=["segment", "covariate"]
    )
    before = rng.normal(0, 0.4, len(index))
    return pd.DataFrame(
        {
            "smd_before": before,
            "smd_after": 0.2 * before,
            "ks_before": np.abs(before) / 2,
            "ks_after": np.abs(before) / 10,
        },
        index=index,
    )


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(400, n_segments=2, n_features=3, random_state=0)


@pytest.fixture(scope="module")
def matcher(users):
    X = users.X.assign(segment=users.segment)
    return PropensityMatcher().fit(X, treatment=users.treatment)


def circles(display, when):
    """Means that are drawn, in the order of the rows."""
    lines = getattr(display, f"{when}_")
    assert all(line.get_markevery() == [1] for line in lines)
    return [line.get_xdata()[1] for line in lines]


@pytest.mark.parametrize("n_segments", [1, 30])
@pytest.mark.parametrize("n_covariates", [1, 30])
def test_no_text_overlaps_or_leaves_the_picture(n_segments, n_covariates):
    names = [f"a covariate with the rather long name {i}" for i in range(n_covariates)]
    display = LovePlotDisplay.from_predictions(make_balance(n_segments, names), n_rows=200_000)
    assert_texts_fit(display)
    assert_reads_in_grey(display)
    assert display.figure_.canvas.get_width_height()[0] == 640


def test_circles_stand_at_the_means_of_the_table():
    table = make_balance(3, ["a", "b"])
    display = LovePlotDisplay.from_predictions(table, order="given")
    for when in ("before", "after"):
        means = table[f"smd_{when}"].abs().groupby(level="covariate", sort=False).mean()
        np.testing.assert_allclose(circles(display, when), means, rtol=1e-12)
    assert all(line.get_markerfacecolor() == "white" for line in display.before_)
    assert all(line.get_markerfacecolor() != "white" for line in display.after_)


def test_lines_reach_from_the_smallest_to_the_largest_segment():
    table = make_balance(4, ["a"])
    display = LovePlotDisplay.from_predictions(table)
    spans = [tuple(line.get_xdata()[[0, 2]]) for line in (*display.before_, *display.after_)]
    for name in ("propensity", "a"):
        for column in ("smd_before", "smd_after"):
            values = table[column].abs().xs(name, level="covariate")
            assert (values.min(), values.max()) in spans


def test_worst_segment_after_is_named():
    table = make_balance(3, ["a"])
    table.loc[(2, "a"), "smd_after"] = -0.437
    shown = words(LovePlotDisplay.from_predictions(table))
    assert "0.44 (2)" in shown
    assert "largest after (segment)" in shown
    signed = words(LovePlotDisplay.from_predictions(table, absolute=False))
    assert f"{MINUS}0.44 (2)" in signed


def test_one_segment_is_shown_alone():
    table = make_balance(3, ["a", "b"])
    display = LovePlotDisplay.from_predictions(table, segment=1, order="given")
    expected = table.loc[1, "smd_after"].abs()
    np.testing.assert_allclose(circles(display, "after"), expected, rtol=1e-12)
    assert title_of(display) == "Balance before and after matching: 2 covariates, segment 1"


def test_propensity_comes_first_then_by_size():
    table = make_balance(1, ["a", "b", "c"])
    table["smd_before"] = [0.01, 0.2, -0.9, 0.5]
    table["smd_after"] = [0.0, 0.3, 0.1, 0.2]
    for order, expected in (("before", "bca"), ("after", "acb"), ("given", "abc")):
        display = LovePlotDisplay.from_predictions(table, order=order)
        names = [label.get_text() for label in display.ax_.get_yticklabels()]
        assert names == ["propensity", *expected]


def test_rows_beyond_the_limit_are_the_better_balanced_ones_and_are_counted():
    table = make_balance(2, [f"x{i}" for i in range(60)])
    table.loc[(1, "x59"), "smd_after"] = 3.0
    display = LovePlotDisplay.from_predictions(table, max_covariates=5)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert len(names) == 5
    assert "x59" in names
    assert "56 more covariates, all better balanced after, are not shown." in one_line(display)
    assert "60 covariates" in title_of(display)


def test_values_that_do_not_exist_are_counted_and_infinite_ones_get_an_arrow():
    table = make_balance(3, ["a", "b"])
    table.loc[(0, "a"), "smd_before"] = np.inf
    table.loc[(1, "b"), ["smd_before", "smd_after"]] = np.nan
    display = LovePlotDisplay.from_predictions(table, order="given")
    assert "No finite value in 2 of 9 pairs of covariate and segment ('a', 'b')." in one_line(
        display
    )
    assert [ln.get_marker() for ln in display.ax_.lines].count(">") == 1
    expected = table.loc[([1, 2], "a"), "smd_before"].abs().mean()
    assert circles(display, "before")[1] == pytest.approx(expected, rel=1e-12)


def test_covariate_without_any_value_after_says_none():
    table = make_balance(2, ["a"])
    table.loc[(slice(None), "a"), "smd_after"] = np.nan
    assert "none" in words(LovePlotDisplay.from_predictions(table))


def test_threshold_is_a_line_on_one_side_or_both():
    table = make_balance(1, ["a"])
    for absolute, expected in ((True, [0.2]), (False, [-0.2, 0.2])):
        display = LovePlotDisplay.from_predictions(table, absolute=absolute, threshold=0.2)
        dotted = [ln.get_xdata()[0] for ln in display.ax_.lines if ln.get_linestyle() == ":"]
        assert sorted(dotted) == expected
    display = LovePlotDisplay.from_predictions(table, threshold=None)
    assert ":" not in [line.get_linestyle() for line in display.ax_.lines]


def test_kolmogorov_smirnov_distance_is_labelled_so():
    display = LovePlotDisplay.from_predictions(make_balance(2, ["a"]), statistic="ks")
    assert one_line(display).startswith("Kolmogorov-Smirnov distance between the arms")


def test_both_ways_in_agree_for_matcher_estimator_pipeline_and_search(users, matcher):
    X = users.X.assign(segment=users.segment)
    model = SegmentMatching(matcher).fit(X, users.y, treatment=users.treatment)
    pipe = make_pipeline(FunctionTransformer(), model)
    search = GridSearchCV(pipe, {})
    search.best_estimator_ = pipe
    expected = words(LovePlotDisplay.from_predictions(matcher.balance_, n_rows=400))
    for estimator in (matcher, model, pipe, search):
        assert words(LovePlotDisplay.from_estimator(estimator)) == expected
    assert "Balance before and after matching: 3 covariates, 2 segments, n = 400" in [
        " ".join(text.split()) for text in expected
    ]


def test_bad_input_is_named(matcher):
    table = make_balance(2, ["a"])
    with pytest.raises(NotFittedError, match="PropensityMatcher is not fitted yet"):
        LovePlotDisplay.from_estimator(PropensityMatcher())
    with pytest.raises(NotFittedError, match="SegmentMatching is not fitted yet"):
        LovePlotDisplay.from_estimator(make_pipeline(FunctionTransformer(), SegmentMatching()))
    with pytest.raises(TypeError, match=r"LinearRegression, which has no `balance_`.*from_predict"):
        LovePlotDisplay.from_estimator(LinearRegression())
    with pytest.raises(TypeError, match=r"`balance` must be a DataFrame.*got list"):
        LovePlotDisplay.from_predictions([1])
    with pytest.raises(ValueError, match="lacks the columns 'smd_after'; it has 'smd_before'"):
        LovePlotDisplay.from_predictions(table[["smd_before"]])
    with pytest.raises(ValueError, match="must have the levels 'segment' and 'covariate'"):
        LovePlotDisplay.from_predictions(table.reset_index())
    with pytest.raises(ValueError, match="several rows for one segment and covariate"):
        LovePlotDisplay.from_predictions(pd.concat([table, table]))
    with pytest.raises(ValueError, match="has no rows"):
        LovePlotDisplay.from_predictions(table.iloc[:0])
    with pytest.raises(ValueError, match="`segment` is 9, and `balance` has the segments 0, 1"):
        LovePlotDisplay.from_predictions(table, segment=9)
    with pytest.raises(ValueError, match=r"`max_covariates` must be .* at least 1; got 0"):
        LovePlotDisplay.from_predictions(table, max_covariates=0)
    with pytest.raises(ValueError, match="`order` must be one of"):
        LovePlotDisplay.from_predictions(table, order="size")
    with pytest.raises(ValueError, match="`statistic` must be one of"):
        LovePlotDisplay.from_predictions(table, statistic="t")
