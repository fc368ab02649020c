"""Columns with a few values far out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching, SegmentRegression
from segcate.matching import _long_tails
from segcate.matching._long_tails import N_BINS, _count_in_bins, tamed_columns


def study(seed, n=300):
    """Return four covariates, one lognormal with three of its values a thousand times as large."""
    rng = np.random.default_rng([seed, 31])
    log, Z = rng.normal(size=n), rng.normal(size=(n, 3))
    t = (rng.random(n) < 1 / (1 + np.exp(-0.7 * log - 0.4 * Z[:, 0]))).astype(int)
    y = log + 0.5 * Z[:, 0] + 2 * t + rng.normal(size=n)
    x = np.exp(log)
    x[rng.choice(n, 3, replace=False)] *= 1000
    return pd.DataFrame({"spend": x, "a": Z[:, 0], "b": Z[:, 1], "c": Z[:, 2]}), t, y


def test_ordinary_columns_are_left_alone():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=2000), rng.exponential(size=2000), np.arange(100.0)):
        assert tamed_columns(values) is None
    assert tamed_columns(np.repeat([0.0, 1.0], 50)) is None
    assert tamed_columns(np.append(rng.normal(size=99), np.nan)) is None


def test_a_long_tail_becomes_two_columns():
    values = np.append(np.arange(101.0), 1e6)
    found = tamed_columns(values)
    z = (values - np.median(values)) / (np.subtract(*np.quantile(values, (0.75, 0.25))) / 1.349)
    np.testing.assert_allclose(found, np.column_stack([np.arcsinh(z), np.clip(z, -10, 10)]))


def test_shift_and_unit_do_not_matter():
    values = np.random.default_rng(1).lognormal(0, 2, 500)
    once = tamed_columns(values)
    np.testing.assert_allclose(tamed_columns(1e3 * values + 5), once, rtol=1e-9, atol=1e-9)


def test_a_common_value_gets_a_column_and_makes_no_spread():
    rng = np.random.default_rng(2)
    spend = np.where(rng.random(400) < 0.7, 0.0, rng.uniform(50, 150, 400))
    assert tamed_columns(spend) is None  # many zeros alone are no tail
    spend[np.flatnonzero(spend)[0]] = 1e5
    found = tamed_columns(spend)
    np.testing.assert_array_equal(found[:, 2], spend != 0)
    np.testing.assert_array_equal(found[spend == 0, :2], 0.0)


def test_matched_effects_are_near_the_truth():
    errors = []
    for seed in range(20):
        X, t, y = study(seed, 1000)
        model = SegmentMatching(segment=None).fit(X, y, treatment=t)
        errors.append(model.effects_["effect"].item() - 2)
    assert np.abs(errors).max() < 0.8
    assert np.sqrt(np.square(errors).mean()) < 0.25
    notes = model.covariates_.set_index("column")["note"]
    assert "long tail" in notes["spend"]
    assert "long tail" not in notes["a"]
    assert set(model.balance_.index.get_level_values("covariate")) == {"propensity", *X.columns}


def test_the_interacted_regression_takes_them_too():
    for seed in range(5):
        X, t, y = study(seed, 2000)
        model = SegmentRegression(estimand="att", segment=None).fit(X, y, treatment=t)
        assert abs(model.effects_["effect"].item() - 2) < 0.5


@pytest.mark.parametrize("factor", [1e4, 1e9])
def test_how_far_out_a_value_lies_hardly_matters(factor):
    X, t, y = study(3, 1000)
    first = SegmentMatching(segment=None).fit(X, y, treatment=t).effects_["effect"].item()
    X["spend"] = np.where(X["spend"] > 500, X["spend"] * factor, X["spend"])
    again = SegmentMatching(segment=None).fit(X, y, treatment=t).effects_["effect"].item()
    assert abs(again - first) < 0.3


@pytest.mark.parametrize("seed", range(8))
def test_counts_in_bins_pass_no_column_that_the_exact_test_would_change(seed, monkeypatch):
    rng = np.random.default_rng([seed, 32])
    n_passed = 0
    for n in (20, 51, 300, 2_000):
        normal = rng.normal(size=n)
        columns = [
            normal,
            rng.standard_t(3, n),
            rng.lognormal(0, 0.8, n),
            rng.integers(0, 12, n).astype(float),
            np.where(rng.random(n) < 0.24, 0.3, rng.random(n)),
            np.where(rng.random(n) < 0.3, 0.0, normal),
            np.append(normal[1:], rng.uniform(5, 15)),
        ]
        for values in columns:
            values = values * 10 ** rng.uniform(-8, 8) + 10 ** rng.uniform(-3, 6)
            if _long_tails._is_plainly_short(values):
                n_passed += 1
                with monkeypatch.context() as exact:
                    exact.setattr(_long_tails, "_is_plainly_short", lambda values: False)
                    assert tamed_columns(values) is None
    assert n_passed >= 8


@pytest.mark.parametrize("n", [1, 4096, 10_000])
def test_values_are_counted_in_bins_of_equal_width(n):
    values = np.random.default_rng(n).integers(0, 300, n) / 4.0
    wanted = [
        np.count_nonzero(np.minimum(np.floor(values / 0.25), N_BINS - 1) == k)
        for k in range(N_BINS)
    ]
    np.testing.assert_array_equal(_count_in_bins(values, 0.0, 0.25), wanted)
