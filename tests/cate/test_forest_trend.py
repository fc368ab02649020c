"""The line beside the trees: by explicit regressions, with gaps, and read back from every bag."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.cate._forest.honest_forest import (
    ForestShape,
    draw_bag,
    draw_half,
    grow_forest,
    read_forest,
    read_left_out,
)
from segcate.cate._forest.pilot import ask_for_trend
from segcate.cate._forest.rows import CentredRows
from segcate.cate._forest.trend import TrendRows, beyond_a_constant, fit_trend_columns
from tests.helpers.naive_cate import naive_effect, naive_leaf, naive_variance, naive_weights

# Sums in another order.
EXACT = 1e-10
# A mean by numerical integration against one in closed form.
INTEGRATED = 1e-6

SHAPE = ForestShape(
    n_trees=24, bag_size=4, subsample=0.45, honest=True, max_features=3, min_samples_leaf=3,
    max_depth=None, min_balance=0.05,
)  # fmt: skip
SEED = 7


def study(n=100, slope=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    t = (rng.random(n) < 0.5) - rng.uniform(0.3, 0.7, n)
    y = rng.normal(size=n) + t * (1 + slope * X[:, 0])
    return X, t, y, rng.uniform(0.5, 2, n)


def left_out_smooth(forest, X, w, unit, target, t, i):
    """Effect on a target at row i from the trees that did not see it, by their weights."""
    alpha = naive_weights(forest, X, w, unit, SHAPE, SEED, X[i])
    seen = [
        rows
        for bag in range(6)
        for rows, _ in draw_bag(np.random.default_rng([SEED, 1, bag]), unit, SHAPE)
    ]
    mean = alpha[[i not in rows for rows in seen]].mean(axis=0)
    mean_t, mean_y = mean @ t, mean @ target
    return (mean @ (t * target) - mean_t * mean_y) / (mean @ t**2 - mean_t**2)


@pytest.mark.parametrize("clustered", [False, True])
def test_auto_regresses_what_other_trees_leave_of_both_sides(clustered):
    X, t, y, w = study()
    unit = np.arange(100) // 4 if clustered else np.arange(100)
    columns = fit_trend_columns(X, w).of(X)
    pilot = grow_forest(CentredRows(X, t, y, w, unit), SHAPE, seed=SEED, n_jobs=None)
    found = ask_for_trend("auto", CentredRows(X, t, y, w, unit), columns, pilot, SHAPE, SEED)
    for i in (0, 17, 58):
        expected = y[i] - t[i] * left_out_smooth(pilot, X, w, unit, y, t, i)
        np.testing.assert_allclose(found.left_y[i], expected, rtol=EXACT)
        for j in range(3):
            explained = left_out_smooth(pilot, X, w, unit, t * columns[:, j], t, i)
            expected = t[i] * (columns[i, j] - explained)
            np.testing.assert_allclose(found.left_columns[i, j], expected, rtol=EXACT, atol=EXACT)


def test_the_whole_line_is_ridge_regression_with_an_intercept():
    """The penalty 0 gives the R-learner's least squares, weighted."""
    X, t, y, w = study(slope=0.7)
    columns = fit_trend_columns(X, w).of(X)
    rows = beyond_a_constant(CentredRows(X, t, y, w, np.arange(100)), columns)
    bare = TrendRows(columns, rows.left_columns, rows.left_y, rows.weight, 0.0)
    design = np.column_stack([np.ones(100), columns]) * t[:, None]
    root = np.sqrt(w)
    expected = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    np.testing.assert_allclose(bare.slopes(np.ones(100, bool)), expected[1:], rtol=EXACT)


def test_the_penalty_is_the_one_of_least_cross_validation_error():
    X, t, y, w = study(slope=1.0, n=80)
    rows = beyond_a_constant(CentredRows(X, t, y, w, np.arange(80)), fit_trend_columns(X, w).of(X))
    root = np.sqrt(rows.weight)
    Z, target = rows.left_columns * root[:, None], rows.left_y * root
    size = np.trace(Z.T @ Z) / 3

    def error(penalty):
        hat = Z @ np.linalg.solve(Z.T @ Z + penalty * np.eye(3), Z.T)
        return np.sum((target - hat @ target) ** 2) / (80 - np.trace(hat)) ** 2

    tried = [size * 10.0**k for k in np.arange(-3, 2.25, 0.25)]
    best = min(tried, key=error)
    assert error(best) < target @ target / 80**2
    assert rows.penalty == pytest.approx(best)


def test_without_any_slope_to_find_there_is_no_line():
    """The outcome is left without a part along t * columns: the error is least without a line."""
    X, t, y, w = study()
    columns = fit_trend_columns(X, w).of(X)
    design = np.column_stack([np.ones(100), columns]) * t[:, None]
    root = np.sqrt(w)
    y = y - design @ np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    rows = beyond_a_constant(CentredRows(X, t, y, w, np.arange(100)), columns)
    assert np.isinf(rows.penalty)
    np.testing.assert_array_equal(rows.slopes(np.ones(100, bool)), np.zeros(3))


@pytest.mark.parametrize("kind", ["linear", "auto"])
def test_a_slope_of_a_thousand_rows_is_found(kind):
    X, t, y, _ = study(n=1500, slope=1.0)
    unit = np.arange(1500)
    columns = fit_trend_columns(X, None).of(X)
    pilot = grow_forest(CentredRows(X, t, y, np.ones(len(t)), unit), SHAPE, seed=SEED, n_jobs=None)
    found = ask_for_trend(
        kind, CentredRows(X, t, y, np.ones(1500), unit), columns, pilot, SHAPE, SEED
    )
    slopes = found.slopes(np.ones(1500, bool))
    assert slopes[0] == pytest.approx(1.0, abs=0.3)
    assert np.abs(slopes[1:]).max() < 0.3


def test_effect_and_variance_of_bags_with_lines_are_those_of_moved_outcomes():
    """At x a bag sees the outcomes y + t (line(x) - line(X_i)); the rest is as without lines."""
    X, t, y, w = study(slope=0.7)
    unit = np.arange(100)
    standard = fit_trend_columns(X, w)
    columns = standard.of(X)
    trend = beyond_a_constant(CentredRows(X, t, y, w, np.arange(100)), columns)
    forest = grow_forest(CentredRows(X, t, y, w, unit), SHAPE, seed=SEED, n_jobs=None, trend=trend)
    for bag in range(6):
        half = draw_half(np.random.default_rng([SEED, 1, bag]), unit)
        np.testing.assert_array_equal(forest.slopes[bag], trend.slopes(np.isin(unit, half)))
    new = study(n=4, seed=1)[0]
    effect, variance = read_forest(
        forest, new, with_variance=True, n_jobs=None, columns=standard.of(new)
    )
    for i, x in enumerate(new):
        alpha = naive_weights(forest, X, w, unit, SHAPE, SEED, x)
        moved = y[None, :] + t * ((standard.of(x[None]) - columns) @ forest.slopes.T).T
        # One data set for each bag: written below each other, trees see the rows of their bag.
        wide = np.zeros((24, 600))
        for b in range(24):
            wide[b, 100 * (b // 4) : 100 * (b // 4 + 1)] = alpha[b]
        t_wide, y_wide = np.tile(t, 6), moved.ravel()
        np.testing.assert_allclose(effect[i], naive_effect(wide, t_wide, y_wide), rtol=EXACT)
        expected = naive_variance(wide, t_wide, y_wide, 4)
        np.testing.assert_allclose(variance[i], expected, rtol=INTEGRATED)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_left_out_effects_come_from_bags_without_the_unit(n_jobs):
    X, t, y, w = study()
    unit = np.arange(100) // 2
    forest = grow_forest(CentredRows(X, t, y, w, unit), SHAPE, seed=SEED, n_jobs=None)
    found = read_left_out(forest, CentredRows(X, t, y, w, unit), seed=SEED, n_jobs=n_jobs)
    halves = [draw_half(np.random.default_rng([SEED, 1, bag]), unit) for bag in range(6)]
    for i in (0, 33, 99):
        trees = [b for b in range(24) if unit[i] not in halves[b // 4]]
        if not trees:
            assert np.isnan(found[i])
            continue
        m = np.mean([forest.moments[forest.child[naive_leaf(forest, b, X[i])]] for b in trees], 0)
        expected = (m[2] - m[0] * m[1]) / (m[3] - m[0] ** 2)
        np.testing.assert_allclose(found[i], expected, rtol=EXACT)
    assert np.isnan(found).sum() == np.sum([all(u in h for h in halves) for u in unit])


def test_columns_of_the_line_fill_and_mark_gaps():
    X = np.array([[1.0, np.nan, 5.0], [2.0, 4.0, 5.0], [np.nan, 4.0, 5.0], [9.0, 7.0, 5.0]])
    standard = fit_trend_columns(X, None)
    np.testing.assert_array_equal(standard.fill, [2.0, 4.0, 5.0])
    np.testing.assert_array_equal(standard.marked, [0, 1])
    columns = standard.of(X)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(columns.std(axis=0), [1, 1, 0, 1, 1])
    later = standard.of(np.array([[2.0, 4.0, np.nan]]))
    np.testing.assert_array_equal(later[0, 2], 0.0)
    assert np.isfinite(later).all()


def test_a_column_without_any_value_says_nothing():
    X = np.column_stack([np.arange(4.0), np.full(4, np.nan)])
    columns = fit_trend_columns(X, np.ones(4)).of(X)
    assert columns.shape == (4, 2)
    np.testing.assert_array_equal(columns[:, 1], np.zeros(4))


def test_a_weight_of_2_is_the_row_written_twice_in_its_unit():
    X, t, y, _ = study(slope=0.5)
    X[:9, 1] = np.nan
    weight = 1.0 + (np.arange(100) % 3 == 0)
    twice = np.repeat(np.arange(100), weight.astype(int))
    one = fit_trend_columns(X, weight)
    other = fit_trend_columns(X[twice], None)
    np.testing.assert_allclose(one.of(X)[twice], other.of(X[twice]), rtol=EXACT, atol=EXACT)
    rows = beyond_a_constant(CentredRows(X, t, y, weight, np.arange(100)), one.of(X))
    copies = CentredRows(X[twice], t[twice], y[twice], np.ones(len(twice)), twice)
    again = beyond_a_constant(copies, other.of(copies.X))
    everyone = np.ones(100, bool)
    np.testing.assert_allclose(
        rows.slopes(everyone), again.slopes(everyone[twice]), rtol=EXACT, atol=EXACT
    )
