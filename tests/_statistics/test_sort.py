"""The sort behind matching and rankings."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.sort import _place_scale, highest_first


# numpy's sort is used below 10,000 rows, and where a few scores are far from all others.
@pytest.mark.parametrize("n", [1, 2, 3, 1000, 9_999, 70_000])
@pytest.mark.parametrize(
    "kind",
    ["distinct", "ties", "close", "clumps", "signs", "huge", "tiny", "far", "widest", "one"],
)
def test_highest_first_is_a_stable_sort(n, kind):
    rng = np.random.default_rng(0)
    score = {
        "distinct": rng.normal(size=n),
        "ties": rng.integers(0, 5, n).astype(float),
        # Alike in all bits but the last: the leading bits of the keys tell nothing.
        "close": np.nextafter(1.0, 2.0) + rng.integers(0, 50, n) * 2.0**-52,
        # Alike in their place among all, and told apart by the whole score.
        "clumps": rng.integers(0, 5000, n) + 1e-12 * rng.integers(0, 50, n),
        "signs": rng.choice([-0.0, 0.0, -1.0, 1.0], n),
        "huge": rng.choice([-1e300, 1e300, 1e-300, 5e-324], n),
        "tiny": rng.choice([0.0, 5e-324, 1e-323], n),
        "far": np.where(np.arange(n) == n // 2, 1e12, rng.normal(size=n)),
        "widest": rng.choice([-1.7e308, 1.7e308], n) * rng.random(n),
        "one": np.full(n, 0.3),
    }[kind]
    rows = np.flatnonzero(rng.random(n) < 0.9).astype(np.int32)
    rows = rows if len(rows) else np.zeros(1, np.int32)
    order, ends = highest_first(score, rows)
    np.testing.assert_array_equal(order, rows[np.argsort(-score[rows], kind="stable")])
    ranked = score[order]
    expected = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(rows) - 1)
    np.testing.assert_array_equal(ends, expected)


def test_places_are_used_where_they_tell_scores_apart():
    """So that the cases above reach both ways of sorting."""
    rng = np.random.default_rng(0)
    rows = np.arange(20_000, dtype=np.int32)
    score = rng.normal(size=20_000)
    assert _place_scale(score, rows)[1] > 0
    assert _place_scale(np.round(score), rows)[1] > 0
    assert _place_scale(score, rows[:9_999])[1] == 0
    for spoiled in (1e12, 1e300):
        far = np.where(rows == 7, spoiled, score)
        assert _place_scale(far, rows)[1] == 0
    assert _place_scale(np.full(20_000, 0.3), rows)[1] == 0
    assert _place_scale(5e-324 * (rows % 2), rows)[1] == 0
