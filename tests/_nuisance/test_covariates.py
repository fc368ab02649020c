"""Columns for the default models: gaps, categories, and too many levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate._nuisance.covariates import Covariates, encoded_covariates

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(100, 2))
NONE = np.full(2, -1)
ALL = np.arange(100)


def test_gaps_are_filled_and_marked():
    X = NUMBERS.copy()
    X[:30, 0] = np.nan
    found = Covariates(X, NONE).curves(ALL, None)
    assert found.columns.shape == (100, 3)
    np.testing.assert_array_equal(found.columns[:30, 0], np.median(X[30:, 0]))
    np.testing.assert_array_equal(found.columns[:, 2], np.arange(100) < 30)
    assert np.isnan(X[:30, 0]).all()
    empty = np.column_stack([X[:, 1], np.full(100, np.nan)])
    assert np.isfinite(Covariates(empty, NONE).curves(ALL, None).of(ALL)).all()


def test_a_gap_in_a_row_that_is_not_there_is_filled_too():
    X = NUMBERS.copy()
    X[0, 0] = np.nan
    found = Covariates(X, NONE).curves(ALL[1:], np.append(0.0, np.ones(99)))
    alone = Covariates(X[1:], NONE).curves(np.arange(99), np.ones(99))
    assert np.isfinite(found.of(ALL)).all()
    np.testing.assert_array_equal(found.of(ALL[1:]), alone.of(np.arange(99)))


def test_levels_of_one_category_are_not_multiplied():
    data = pd.DataFrame({"city": ["a", "b", "c", "d"] * 25, "age": NUMBERS[:, 0]})
    covariates = encoded_covariates("F", data)
    np.testing.assert_array_equal(covariates.category[:-1] >= 0, True)
    assert covariates.category[-1] == -1
    member = (ALL[:, None] % 3 == [1, 2]).astype(float)
    more = covariates.with_levels(member)
    assert len(set(more.category[-2:].tolist())) == 1
    assert more.category[-1] not in covariates.category
    curves = more.curves(ALL, None)
    pairs = set(zip(curves.first.tolist(), curves.second.tolist(), strict=True))
    n = more.values.shape[1]
    cities = n - 3
    assert (n - 2, n - 1) not in pairs
    assert len(pairs) == cities * 2 + cities + 2  # city x member, city x age, age x member


def test_too_many_levels_are_named():
    many = pd.DataFrame({"a": [f"u{i}" for i in range(1001)] * 4})
    with pytest.raises(ValueError, match=r"F: column 'a' of X has 1001 different values in 4004"):
        encoded_covariates("F", many)
    few = pd.DataFrame({"a": [f"u{i % 10}" for i in range(60)], "b": np.arange(60)})
    assert encoded_covariates("F", few).values.shape == (60, 10)
