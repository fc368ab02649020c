"""The sort behind matching and rankings."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._sort import highest_first


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 70_000])
@pytest.mark.parametrize("kind", ["distinct", "ties", "close", "signs", "huge"])
def test_highest_first_is_a_stable_sort(n, kind):
    rng = np.random.default_rng(0)
    score = {
        "distinct": rng.normal(size=n),
        "ties": rng.integers(0, 5, n).astype(float),
        # Alike in all bits but the last: the leading bits of the keys tell nothing.
        "close": np.nextafter(1.0, 2.0) + rng.integers(0, 50, n) * 2.0**-52,
        "signs": rng.choice([-0.0, 0.0, -1.0, 1.0], n),
        "huge": rng.choice([-1e300, 1e300, 1e-300, 5e-324], n),
    }[kind]
    rows = np.flatnonzero(rng.random(n) < 0.9).astype(np.int32)
    rows = rows if len(rows) else np.zeros(1, np.int32)
    order, ends = highest_first(score, rows)
    np.testing.assert_array_equal(order, rows[np.argsort(-score[rows], kind="stable")])
    ranked = score[order]
    expected = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(rows) - 1)
    np.testing.assert_array_equal(ends, expected)
