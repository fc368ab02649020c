"""Columns of curves: knots, products and squares, made a block at a time."""

from __future__ import annotations

import numpy as np

from segcate._kernels import decorator
from segcate._nuisance import curves as module
from segcate._nuisance.curves import KNOTS, curves_of
from tests.helpers.naive_curves import basis

RNG = np.random.default_rng(0)
Z = np.column_stack(
    [RNG.normal(3.0, 2.0, 300), RNG.exponential(size=300), RNG.random(300) < 0.3, np.full(300, 7.0)]
).astype(float)


def test_columns_are_those_written_out_by_hand():
    found = curves_of(Z)
    naive, block = basis(Z, np.zeros(300, dtype=int), np.ones(300))
    expected = np.hstack([naive[:, block < 2], naive[:, block == 3]])
    np.testing.assert_allclose(found.of(np.arange(300)), expected, atol=1e-12)
    assert found.n_lines == 3
    assert found.n_shared == 3 + 2 * len(KNOTS) + 3
    np.testing.assert_array_equal(found.own, [0, 1, 2, 20, 21])


def test_numpy_and_the_kernel_make_the_same_columns(monkeypatch):
    rows = RNG.integers(0, 300, 100)
    by_numpy = curves_of(Z)
    few = by_numpy.of(rows)
    monkeypatch.setattr(decorator, "FEW_ROWS", 0)
    by_kernel = curves_of(Z)
    np.testing.assert_array_equal(by_numpy.size, by_kernel.size)
    np.testing.assert_array_equal(few, by_kernel.of(rows))


def test_counts_are_repeated_rows():
    counts = RNG.integers(1, 4, 300)
    weighted = curves_of(Z, counts.astype(float)).of(np.arange(300))
    repeated = curves_of(np.repeat(Z, counts, axis=0))
    np.testing.assert_allclose(
        repeated.of(np.arange(counts.sum())), np.repeat(weighted, counts, axis=0)
    )


def test_blocks_are_cut_and_put_together_again(monkeypatch):
    whole = curves_of(Z).of(np.arange(300))
    monkeypatch.setattr(module, "_BLOCK", 7)
    found = curves_of(Z)
    rows = np.arange(299, -1, -1)
    parts = list(found.blocks(rows))
    np.testing.assert_array_equal(np.concatenate([at for at, _ in parts]), rows)
    np.testing.assert_allclose(np.vstack([values for _, values in parts]), whole[rows], atol=1e-12)


def test_units_of_a_column_change_nothing():
    np.testing.assert_allclose(
        curves_of(Z * [1000.0, 1e-6, 5.0, 1.0] + [1e6, 0.0, -3.0, 0.0]).of(np.arange(300)),
        curves_of(Z).of(np.arange(300)),
        atol=1e-7,
    )


def test_levels_of_one_category_are_not_multiplied():
    level = RNG.integers(0, 3, 300)
    columns = np.column_stack([level == 1, level == 2, Z[:, 0]]).astype(float)
    kind = np.array([0, 0, -1])
    assert len(curves_of(columns).first) == 3
    assert len(curves_of(columns, kind=kind).first) == 2


def test_blocks_are_left_out_where_columns_are_too_many(monkeypatch):
    full = curves_of(Z)
    assert full.left_out == ()
    for most, left_out in ((21, ("curvature",)), (17, ("curvature", "products"))):
        monkeypatch.setattr(module, "MOST_COLUMNS", most)
        assert curves_of(Z).left_out == left_out
    monkeypatch.setattr(module, "MOST_COLUMNS", 3)
    lines = curves_of(Z)
    assert lines.left_out == ("curvature", "products", "bends")
    np.testing.assert_allclose(lines.of(np.arange(300)), full.of(np.arange(300))[:, :3])


def test_more_than_twelve_columns_have_no_products():
    assert len(curves_of(RNG.normal(size=(50, 12))).first) == 66
    assert len(curves_of(RNG.normal(size=(50, 13))).first) == 0
