"""Bins of values: what a tree sees, and that its thresholds mean the same."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.cate._forest.bins import MISSING, bin_columns, bin_edges


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n_values", [1, 2, 255, 256, 1000])
def test_codes_and_edges_agree(n_values):
    values = rng().permutation(np.repeat(rng().normal(size=n_values), 3))
    X = values[:, None]
    edges = bin_edges(X, rng())
    codes = bin_columns(X, edges)[0]
    for k, edge in enumerate(edges[0]):
        np.testing.assert_array_equal(codes <= k, values <= edge)
    assert codes.max() == len(edges[0]) == min(n_values, MISSING) - 1


def test_few_values_have_a_bin_each_and_borders_between_them():
    X = np.array([[1.0], [4.0], [2.0], [2.0]])
    (edges,) = bin_edges(X, rng())
    np.testing.assert_array_equal(edges, [1.5, 3.0])


def test_many_values_fill_bins_evenly():
    X = rng().exponential(size=(51_000, 1))
    counts = np.bincount(bin_columns(X, bin_edges(X, rng()))[0])
    assert counts.min() >= 190
    assert counts.max() <= 210


def test_a_frequent_value_keeps_a_bin_of_its_own():
    values = np.concatenate([np.zeros(5000), rng().normal(size=5000)])
    codes = bin_columns(values[:, None], bin_edges(values[:, None], rng()))[0]
    assert (codes == codes[0]).sum() < 5100


def test_missing_values_have_the_last_code():
    X = np.array([[np.nan], [1.0], [2.0], [np.nan]])
    codes = bin_columns(X, bin_edges(X, rng()))[0]
    assert codes.tolist() == [MISSING, 0, 1, MISSING]


def test_a_column_without_values():
    X = np.full((5, 1), np.nan)
    (edges,) = bin_edges(X, rng())
    assert len(edges) == 0
    assert bin_columns(X, [edges])[0].tolist() == [MISSING] * 5


def test_neighbouring_floats_and_huge_values_are_told_apart():
    X = np.array([[1.0], [np.nextafter(1.0, 2)], [1.7e308], [-1.7e308]])
    codes = bin_columns(X, bin_edges(X, rng()))[0]
    assert codes.tolist() == [1, 2, 3, 0]


def test_borders_of_very_many_rows_come_from_a_sample(monkeypatch):
    from segcate.cate._forest import bins

    X = rng().normal(size=(20_000, 1))
    (every,) = bin_edges(X, rng())
    monkeypatch.setattr(bins, "_MOST_ROWS", 5000)
    (some,) = bin_edges(X, rng())
    assert len(some) == len(every)
    assert (
        np.abs(np.searchsorted(np.sort(X[:, 0]), some) / 20_000 - np.arange(1, 255) / 255).max()
        < 0.03
    )
