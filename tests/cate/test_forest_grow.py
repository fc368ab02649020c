"""The compiled split search and partition, beside a search that tries everything."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.cate._forest.bins import MISSING
from segcate.cate._forest.grow import grow_tree
from tests.helpers.naive_cate import naive_split

NO_DEPTH_LIMIT = np.inf


def rows(seed, n=60, n_columns=3, n_values=12, missing=0.0, weighted=False):
    """Draw coded columns with ties, a treatment, an outcome whose effect bends, and halves."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_values, (n_columns, n)).astype(np.uint8)
    t = (rng.random(n) < 0.4) - rng.uniform(0.2, 0.6, n)
    y = rng.normal(size=n) + t * (codes[0] / n_values * 3)
    codes[rng.random(codes.shape) < missing] = MISSING
    w = rng.uniform(0.2, 3, n) if weighted else np.ones(n)
    half = rng.permutation(np.arange(n) % 2).astype(np.int8)
    return {"codes": codes, "t": t, "y": y, "w": w, "half": half}


def grow(data, *, fewest=3, depth=NO_DEPTH_LIMIT, share=0.05, max_features=None, seed=0):
    return grow_tree(
        data["codes"], data["t"], data["y"], data["w"], data["half"],
        np.array([fewest, depth], dtype=np.float64), np.full(len(data["codes"]), share),
        max_features or len(data["codes"]), np.random.default_rng(seed),
    )  # fmt: skip


def leaves_of(tree, codes):
    """Leaf of each row, and its depth."""
    feature, bins, missing_left, child, _, _ = tree
    found, depths = [], []
    for column in codes.T:
        node, depth = 0, 0
        while feature[node] >= 0:
            b = column[feature[node]]
            goes_left = missing_left[node] if b == MISSING else b <= bins[node]
            node = child[node] + (0 if goes_left else 1)
            depth += 1
        found.append(child[node])
        depths.append(depth)
    return np.array(found), np.array(depths)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("share", [0.0, 0.15])
def test_first_split_is_that_of_the_naive_search(weighted, missing, share):
    n_split = 0
    for seed in range(25):
        data = rows(seed, missing=missing, weighted=weighted)
        tree = grow(data, depth=1, share=share)
        gain, column, left, n_allowed = naive_split(
            data["codes"].T, data["t"], data["y"], data["w"],
            np.flatnonzero(data["half"] == 0), np.flatnonzero(data["half"] == 1),
            missing=MISSING, min_samples_leaf=3, min_balance=share,
        )  # fmt: skip
        assert n_allowed > 3
        assert tree[0][0] == column
        leaf, _ = leaves_of(tree, data["codes"])
        assert frozenset(np.flatnonzero(leaf == leaf[min(left)]).tolist()) == left
        np.testing.assert_allclose(tree[5][column], gain, rtol=1e-9)
        n_split += column >= 0
    assert n_split == 25


def test_every_later_split_is_that_of_the_naive_search_in_its_node():
    data = rows(3, n=150, n_values=40, missing=0.1)
    feature, bins, missing_left, child, _, _ = grow(data, fewest=4)
    todo, n_checked = [(0, np.arange(150))], 0
    while todo:
        node, inside = todo.pop()
        half = data["half"][inside]
        chooses, fills = inside[half == 0], inside[half == 1]
        if min(len(chooses), len(fills)) < 8:
            assert feature[node] == -1
            continue
        _, column, left, _ = naive_split(
            data["codes"].T, data["t"], data["y"], data["w"], chooses, fills,
            missing=MISSING, min_samples_leaf=4, min_balance=0.05,
        )  # fmt: skip
        assert feature[node] == column
        if column < 0:
            continue
        values = data["codes"][column, inside]
        goes_left = np.where(values == MISSING, missing_left[node], values <= bins[node])
        assert set(inside[goes_left].tolist()) == left & set(inside.tolist())
        todo += [(child[node], inside[goes_left]), (child[node] + 1, inside[~goes_left])]
        n_checked += 1
    assert n_checked > 5


@pytest.mark.parametrize("honest", [True, False])
def test_leaves_hold_the_weighted_moments_of_the_rows_that_fill_them(honest):
    data = rows(5, n=120, weighted=True)
    if not honest:
        data["half"][:] = 2
    tree = grow(data)
    leaf, _ = leaves_of(tree, data["codes"])
    assert len(tree[4]) > 4
    for k, moments in enumerate(tree[4]):
        own = (leaf == k) & (data["half"] != 0)
        t, y, w = data["t"][own], data["y"][own], data["w"][own]
        expected = [np.average(v, weights=w) for v in (t, y, t * y, t * t)]
        np.testing.assert_allclose(moments, expected, rtol=1e-12)


@pytest.mark.parametrize("fewest", [1, 4, 9])
def test_no_leaf_is_smaller_than_allowed_in_either_half(fewest):
    data = rows(6, n=200, missing=0.1)
    tree = grow(data, fewest=fewest)
    leaf, _ = leaves_of(tree, data["codes"])
    for half in (0, 1):
        sizes = np.bincount(leaf[data["half"] == half], minlength=len(tree[4]))
        assert sizes.min() >= fewest


def test_depth_is_limited():
    data = rows(7, n=400, n_values=100)
    _, depths = leaves_of(grow(data, depth=3), data["codes"])
    assert depths.max() == 3
    _, depths = leaves_of(grow(data), data["codes"])
    assert depths.max() > 3


def test_the_order_of_the_rows_does_not_matter():
    data = rows(8, n=300, n_values=80, weighted=True, missing=0.1)
    order = np.random.default_rng(0).permutation(300)
    moved = {name: values[..., order] for name, values in data.items()}
    for one, other in zip(grow(data), grow(moved), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_weight_of_two_is_the_row_twice_where_both_are_drawn():
    data = rows(9, n=120, n_values=30)
    twice = np.arange(120) % 3 == 0
    repeated = {
        name: np.concatenate([values, values[..., twice]], axis=-1) for name, values in data.items()
    }
    data["w"] = np.where(twice, 2.0, 1.0)
    one, other = grow(data, fewest=1, share=0.1), grow(repeated, fewest=1, share=0.1)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_swapping_arms_and_scaling_the_outcome():
    data = rows(10, n=200, n_values=50)
    base = grow(data)
    swapped = grow({**data, "t": -data["t"]})
    np.testing.assert_array_equal(swapped[0], base[0])
    np.testing.assert_array_equal(swapped[4], base[4] * [-1, 1, -1, 1])
    scaled = grow({**data, "y": 4 * data["y"]})
    np.testing.assert_array_equal(scaled[4], base[4] * [1, 4, 4, 1])


def test_columns_are_drawn_anew_at_each_split():
    data = rows(11, n=400, n_columns=8, n_values=60)
    data["y"] += data["t"] * 50 * data["codes"][0]
    every = grow(data)[0]
    few = grow(data, max_features=2)[0]
    assert (every[:7] == 0).all()
    assert len(set(few[few >= 0].tolist())) > 4


@pytest.mark.parametrize("name", ["t", "y"])
def test_nothing_to_split_on_leaves_one_leaf(name):
    data = rows(12)
    data[name][:] = 0.3
    feature, *_, moments, importance = grow(data)
    assert feature.tolist() == [-1]
    assert moments.shape == (1, 4)
    assert not importance.any()


def test_the_only_split_may_be_missing_against_not():
    data = rows(13, n=100, n_columns=1)
    data["codes"][:] = np.where(np.arange(100) % 4 < 2, MISSING, 5)
    data["y"] = data["t"] * (data["codes"][0] == 5)
    tree = grow(data)
    assert tree[0].tolist() == [0, -1, -1]
    effects = tree[4][:, 2] / tree[4][:, 3]
    np.testing.assert_allclose(sorted(effects), [0, 1], atol=1e-12)
