"""The balance of a design is measured when it is first read, on the rows that were matched."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from segcate.matching import MahalanobisMatcher, PropensityMatcher


@pytest.fixture
def rows():
    rng = np.random.default_rng(4)
    X = np.column_stack([rng.normal(size=(300, 3)), rng.integers(0, 2, 300)])
    treatment = (rng.random(300) < 1 / (1 + np.exp(-X[:, 0]))).astype(np.int8)
    return X, treatment, rng.uniform(0.5, 2, 300)


@pytest.mark.parametrize("matcher", [PropensityMatcher(), MahalanobisMatcher()])
def test_reading_late_is_reading_at_once(rows, matcher):
    X, treatment, weight = rows
    matcher.set_params(segment=-1)

    def fit():
        return copy.copy(matcher).fit(X, treatment=treatment, sample_weight=weight)

    at_once, sizes = fit().balance_, fit().effective_sample_size_
    late = fit()
    X[:], treatment[:], weight[:] = 0.0, 1 - treatment, 1.0  # the caller's arrays are theirs
    pd.testing.assert_frame_equal(late.balance_, at_once)
    np.testing.assert_array_equal(late.effective_sample_size_, sizes)


@pytest.mark.parametrize("store", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
def test_a_stored_matcher_holds_the_table_and_no_covariates(rows, store):
    X, treatment, _ = rows
    large = np.tile(X, (50, 1)) + np.arange(15_000)[:, None] * [1e-4, 1e-4, 1e-4, 0]
    fitted = PropensityMatcher(segment=-1).fit(large, treatment=np.tile(treatment, 50))
    stored = store(fitted)
    assert stored._unmeasured is None
    pd.testing.assert_frame_equal(stored.balance_, fitted.balance_)


def test_covariates_are_let_go_once_the_table_is_there(rows):
    X, treatment, _ = rows
    fitted = PropensityMatcher(segment=-1).fit(X, treatment=treatment)
    assert fitted._unmeasured is not None
    before = len(pickle.dumps(fitted._unmeasured))
    assert fitted.balance_ is not None
    assert fitted._unmeasured is None
    assert len(pickle.dumps(fitted)) < before + 20_000
    first = fitted._balance
    assert fitted.effective_sample_size_.shape == (2, 2)
    assert fitted._balance is first


def test_a_second_fit_measures_anew(rows):
    X, treatment, _ = rows
    matcher = PropensityMatcher(segment=-1).fit(X, treatment=treatment)
    first = matcher.balance_
    matcher.fit(X[:200], treatment=treatment[:200])
    fresh = PropensityMatcher(segment=-1).fit(X[:200], treatment=treatment[:200])
    pd.testing.assert_frame_equal(matcher.balance_, fresh.balance_)
    assert not matcher.balance_.equals(first)
