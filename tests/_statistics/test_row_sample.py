"""A part of many rows: the same in any order, and like the whole."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.row_sample import rounded_weight, row_keys, sampled, sampled_in_strata

RNG = np.random.default_rng(0)
MANY = RNG.normal(size=(20_000, 3))


def taken(columns, most):
    return columns[sampled(row_keys(columns), most)]


def in_order(rows):
    return rows[np.lexsort(rows.T)]


def test_order_of_rows_does_not_matter():
    order = RNG.permutation(len(MANY))
    np.testing.assert_array_equal(in_order(taken(MANY[order], 700)), in_order(taken(MANY, 700)))


def test_the_same_rows_today_and_tomorrow():
    grid = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, -2.0]])
    assert [int(key) % 100_000 for key in row_keys(grid)] == [69565, 76930, 18142]


def test_a_sample_is_like_the_whole():
    part = taken(MANY, 5_000)
    assert len(part) == 5_000
    assert np.abs(part.mean(axis=0)).max() < 4 / np.sqrt(5_000)
    assert np.abs(part.std(axis=0) - 1).max() < 0.05
    whole_numbers = np.arange(40_000.0)[:, None]
    counts = np.histogram(taken(whole_numbers, 10_000), bins=40, range=(0, 40_000))[0]
    assert np.abs(counts - 250).max() < 4 * np.sqrt(250 * 0.75)


@pytest.mark.parametrize("levels", [1, 2, 50])
def test_rows_that_occur_often_are_taken_as_often(levels):
    columns = RNG.integers(0, levels, (10_000, 2)).astype(float)
    part = taken(columns, 4_000)
    assert len(part) == 4_000
    cell = columns @ [levels, 1]
    share = np.bincount(cell.astype(int)) / 10_000
    found = np.bincount((part @ [levels, 1]).astype(int), minlength=len(share)) / 4_000
    assert np.abs(found - share).max() < 0.03
    order = RNG.permutation(10_000)
    np.testing.assert_array_equal(in_order(taken(columns[order], 4_000)), in_order(part))


def test_signs_of_zero_and_kinds_of_nan_are_one_value():
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    keys = row_keys(np.array([[0.0], [-0.0], [np.nan], [odd[0]], [odd[1]]]))
    assert keys[0] == keys[1]
    assert len(set(keys[2:].tolist())) == 1
    assert keys[0] != keys[2]


def test_few_rows_are_all_taken():
    np.testing.assert_array_equal(sampled(row_keys(MANY[:5]), 5), np.arange(5))
    assert len(sampled(row_keys(MANY[:0]), 3)) == 0


def test_strata_give_the_same_share_and_stand_by_their_keys():
    keys = row_keys(MANY)
    strata = [np.arange(15_000), np.arange(15_000, 19_990), np.arange(19_990, 20_000)]
    found = sampled_in_strata(keys, strata, 2_000)
    assert [len(rows) for rows in found] == [1_500, 499, 1]
    for rows, stratum in zip(found, strata, strict=True):
        assert np.isin(rows, stratum).all()
        assert (np.diff(keys[rows].astype(float)) >= 0).all()
    assert [len(rows) for rows in sampled_in_strata(keys, strata, 50_000)] == [15_000, 4_990, 10]


def test_weights_of_sampled_rows_have_seven_digits():
    weight = np.array([1.0, 1.0 / 3.0, 2.0])
    found = rounded_weight(weight * (1 + 1e-15), np.array([1, 2]))
    np.testing.assert_array_equal(found, rounded_weight(weight, np.array([1, 2])))
    np.testing.assert_allclose(found, weight[1:], rtol=1e-7)
    assert rounded_weight(None, np.arange(2)) is None
