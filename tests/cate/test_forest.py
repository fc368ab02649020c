"""The forest beside its definition: explicit weights, weighted regression, bags of trees."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.cate._forest.honest_forest import ForestShape, draw_bag, grow_forest, read_forest
from segcate.cate._forest.rows import CentredRows
from tests.helpers.naive_cate import naive_effect, naive_variance, naive_weights

# Sums in another order.
EXACT = 1e-12
# A mean by numerical integration against one in closed form.
INTEGRATED = 1e-6

SHAPE = ForestShape(
    n_trees=24, bag_size=4, subsample=0.45, honest=True, max_features=3, min_samples_leaf=3,
    max_depth=None, min_balance=0.05,
)  # fmt: skip


def study(seed=0, n=100, missing=0.1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    t = (rng.random(n) < 0.5) - rng.uniform(0.3, 0.7, n)
    y = rng.normal(size=n) + t * np.where(X[:, 0] > 0, 2, 0)
    X[rng.random(X.shape) < missing] = np.nan
    return X, t, y, rng.uniform(0.5, 2, n)


def shape(**changes):
    return ForestShape(**{**{n: getattr(SHAPE, n) for n in SHAPE.__slots__}, **changes})


def grow(X, t, y, w=None, unit=None, how=SHAPE, seed=7, n_jobs=None):
    unit = np.arange(len(t)) if unit is None else unit
    rows = CentredRows(X, t, y, np.ones(len(t)) if w is None else w, unit)
    return grow_forest(rows, how, seed=seed, n_jobs=n_jobs)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "how", [SHAPE, shape(honest=False, bag_size=2)], ids=["honest", "adaptive"]
)
@pytest.mark.parametrize("clustered", [False, True])
def test_effect_and_variance_are_those_of_explicit_weights(weighted, how, clustered):
    X, t, y, w = study()
    w = w if weighted else None
    unit = np.arange(100) // 4 if clustered else np.arange(100)
    forest = grow(X, t, y, w, unit, how)
    new = study(1, n=5)[0]
    effect, variance = read_forest(forest, new, with_variance=True, n_jobs=None)
    for i, x in enumerate(new):
        alpha = naive_weights(forest, X, np.ones(100) if w is None else w, unit, how, 7, x)
        np.testing.assert_allclose(alpha.sum(axis=1), 1, rtol=EXACT)
        np.testing.assert_allclose(effect[i], naive_effect(alpha, t, y), rtol=EXACT, atol=EXACT)
        expected = naive_variance(alpha, t, y, how.bag_size)
        np.testing.assert_allclose(variance[i], expected, rtol=INTEGRATED)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_n_jobs_changes_nothing(n_jobs):
    X, t, y, w = study(n=2500)
    how = shape(n_trees=40, max_features=2)
    one, other = grow(X, t, y, w, how=how), grow(X, t, y, w, how=how, n_jobs=n_jobs)
    for name in one.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for a, b in zip(
        read_forest(one, X, with_variance=True, n_jobs=None),
        read_forest(one, X, with_variance=True, n_jobs=n_jobs),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_shifts_of_the_centred_columns_leave_the_effect():
    """The regression in the leaves has an intercept, and so have the splits."""
    X, t, y, _ = study(n=400, missing=0)
    base = read_forest(grow(X, t, y), X, with_variance=True, n_jobs=None)
    moved = read_forest(grow(X, t, y + 100), X, with_variance=True, n_jobs=None)
    np.testing.assert_allclose(moved[0], base[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moved[1], base[1], rtol=1e-6)


def test_any_increasing_transformation_of_a_column_leaves_the_splits():
    X, t, y, _ = study(n=250)
    one, other = grow(X, t, y), grow(np.exp(X), t, y)
    np.testing.assert_array_equal(one.feature, other.feature)
    np.testing.assert_array_equal(one.moments, other.moments)


def test_rows_of_a_tree_lie_in_one_half_sample_and_halves_are_even():
    unit = np.arange(101)
    bags = [list(draw_bag(np.random.default_rng(s), unit, shape(bag_size=6))) for s in range(20)]
    for bag in bags:
        union = np.unique(np.concatenate([rows for rows, _ in bag]))
        assert len(union) <= 51
        for rows, half in bag:
            assert len(rows) == round(0.45 * 101)
            assert (np.diff(rows) > 0).all()
            assert abs((half == 0).sum() - (half == 1).sum()) <= 1
    drawn = np.bincount(np.concatenate([rows for bag in bags for rows, _ in bag]), minlength=101)
    assert drawn.min() > 0


def test_units_stay_together():
    unit = np.random.default_rng(0).integers(0, 20, 200)
    unit[:20] = np.arange(20)
    for rows, half in draw_bag(np.random.default_rng(1), unit, SHAPE):
        part = np.full(200, -1)
        part[rows] = half
        for k in range(20):
            assert len(set(part[unit == k].tolist())) == 1


def test_without_variation_of_treatment_near_a_row_there_is_no_effect():
    rng = np.random.default_rng(0)
    X = np.repeat([-1.0, 1.0], 75)[:, None]
    t = np.where(X[:, 0] < 0, 0.5, np.where(np.arange(150) % 2, 0.5, -0.5))
    y = t * X[:, 0] + 0.1 * rng.normal(size=150)
    forest = grow(X, t, y, how=shape(max_features=1))
    effect, variance = read_forest(forest, X, with_variance=True, n_jobs=None)
    np.testing.assert_array_equal(np.isnan(effect), X[:, 0] < 0)
    np.testing.assert_array_equal(np.isnan(variance), X[:, 0] < 0)
    assert np.abs(effect[75:] - 1).max() < 0.2


@pytest.mark.parametrize(
    ("n_rare", "n_values", "splits"), [(100, 2, True), (8, 2, False), (100, 3, False)]
)
def test_a_column_of_two_values_needs_a_tenth_of_the_balance(n_rare, n_values, splits):
    # min_balance is .2: a border of two values needs .02 of the weight, other borders all of it.
    rng = np.random.default_rng(0)
    is_rare = np.arange(1000) < n_rare
    t = rng.permutation(np.tile([-0.5, 0.5], 500))
    y = t * np.where(is_rare, 3.0, 0.0) + 0.1 * rng.normal(size=1000)
    column = is_rare + (0.0 if n_values == 2 else 2.0 * (np.arange(1000) == 999))
    rows = CentredRows(column[:, None], t, y, np.ones(1000), np.arange(1000))
    shape = ForestShape(
        n_trees=4, bag_size=2, subsample=0.5, honest=False, max_features=1, min_samples_leaf=1,
        max_depth=1, min_balance=0.2,
    )  # fmt: skip
    assert (grow_forest(rows, shape, seed=0, n_jobs=None).feature.max() == 0) == splits
