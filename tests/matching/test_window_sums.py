"""Means, variances, uses and covariances over matched sets: numpy and kernels, and plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._kernels import decorator
from segcate.matching._window_sums import (
    count_uses,
    spread_covariances,
    window_means,
    window_variances,
)

NONE, NO_DONORS = np.empty(0), np.empty(0, np.int32)
# Sums in another order.
RTOL = 1e-12


def draw_sets(seed, n=80, longest=6):
    """Return windows, some of them empty, some after one another the same."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, n - longest, n)).astype(np.int32)
    size = np.where(rng.random(n) < 0.2, 0, rng.integers(1, longest + 1, n)).astype(np.int32)
    stop = start + size
    start[10:20], stop[10:20] = start[10], start[10] + longest
    return start, stop, rng.normal(size=n), rng.uniform(0.5, 2, n)


def spread(y, start, stop, coefficient):
    shares = np.zeros(len(y))
    spread_covariances(y, start, stop, coefficient, shares)
    return shares


@pytest.fixture(params=[0, 10**9], ids=["kernel", "numpy"])
def path(request, monkeypatch):
    monkeypatch.setattr(decorator, "FEW_ROWS", request.param)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("longest", [1, 3, 6, 60])
@pytest.mark.parametrize("has_weight", [False, True])
@pytest.mark.parametrize("has_donors", [False, True])
def test_sums_are_those_of_a_plain_loop(longest, has_weight, has_donors):
    start, stop, values, weight = draw_sets(longest, longest=longest)
    donors = np.random.default_rng(1).permutation(80).astype(np.int32) if has_donors else NO_DONORS
    w = weight if has_weight else NONE
    sets = [
        donors[a:b] if has_donors else np.arange(a, b) for a, b in zip(start, stop, strict=True)
    ]
    mass = weight if has_weight else np.ones(80)
    means = [mass[s] @ values[s] / mass[s].sum() if len(s) else np.nan for s in sets]
    np.testing.assert_allclose(
        window_means(values, start, stop, donors, w), means, rtol=1e-11, atol=RTOL
    )
    uses, squares = np.zeros(80), np.zeros(80)
    for i, s in enumerate(sets):
        share = mass[i] * mass[s] / mass[s].sum() if len(s) else 0.0
        uses[s] += share
        squares[s] += share**2
    found = count_uses(start, stop, donors, w, w, 80)
    np.testing.assert_allclose(found, (uses, squares), rtol=1e-11, atol=RTOL)
    variances = [values[s].var(ddof=1) if len(s) > 1 else np.nan for s in sets]
    np.testing.assert_allclose(
        window_variances(values, start, stop, donors), variances, rtol=1e-11, atol=RTOL
    )


@pytest.mark.usefixtures("path")
def test_covariances_are_spread_over_the_rows_of_each_window():
    start, stop, y, coefficient = draw_sets(3)
    shares = np.zeros(80)
    for a, b, c in zip(start, stop, coefficient, strict=True):
        if b - a > 1:
            shares[a:b] += c * (y[a:b] - y[a:b].mean()) / (b - a - 1)
    np.testing.assert_allclose(spread(y, start, stop, coefficient), shares, rtol=1e-11, atol=RTOL)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("has_donors", [False, True])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_sets_of_one_size_and_no_set_at_all(size, has_donors):
    start = np.arange(5, dtype=np.int32)
    values = np.arange(10.0) ** 2
    donors = np.arange(9, -1, -1, dtype=np.int32) if has_donors else NO_DONORS
    ends = start, start + np.int32(size)
    in_order = values[::-1] if has_donors else values
    sets = [in_order[i : i + size] for i in range(5)]
    means = [part.mean() if size else np.nan for part in sets]
    np.testing.assert_allclose(window_means(values, *ends, donors, NONE), means, rtol=RTOL)
    variances = [part.var(ddof=1) if size > 1 else np.nan for part in sets]
    np.testing.assert_allclose(window_variances(values, *ends, donors), variances, rtol=RTOL)


def test_numpy_leaves_long_lists_to_the_kernel(monkeypatch):
    start, stop = np.zeros(500, np.int32), np.full(500, 300, np.int32)
    stop[::2] -= 1  # sets that differ from the one before, of 150,000 members in all
    values = np.random.default_rng(0).normal(size=500)
    found = window_variances(values, start, stop, NO_DONORS)
    np.testing.assert_allclose(
        found[:2], [values[:299].var(ddof=1), values[:300].var(ddof=1)], rtol=RTOL
    )
