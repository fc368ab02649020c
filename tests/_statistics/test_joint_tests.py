"""Laws of joint tests: Welch's, the t law and Hotelling's are special cases or written out here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.joint_tests import hotelling_p, johansen_p


def test_equal_means_are_tested_as_welch_wrote():
    """Welch (1951) by hand on four samples; scipy's Alexander-Govern and F test are other tests."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(0, s, n) for s, n in ((1, 6), (3, 9), (2, 15), (1, 20))]
    n = np.array([len(x) for x in samples])
    mean = np.array([x.mean() for x in samples])
    weight = n / np.array([x.var(ddof=1) for x in samples])
    share = weight / weight.sum()
    q = weight @ (mean - share @ mean) ** 2
    k, spread = 4, ((1 - share) ** 2 / (n - 1)).sum()
    f = q / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * spread)
    expected = stats.f.sf(f, k - 1, (k**2 - 1) / (3 * spread))
    assert johansen_p(q, k - 1, 1 - share, n - 1) == pytest.approx(expected, rel=1e-12)


def test_one_combination_is_the_t_test():
    share, df = np.array([0.3, 0.7]), np.array([4.0, 9.0])
    freedom = 1 / (share**2 / df).sum()
    assert johansen_p(5.3, 1, share, df) == pytest.approx(2 * stats.t.sf(5.3**0.5, freedom))


def test_known_variances_are_chi_squared():
    assert johansen_p(5.3, 3, [1, 1, 1], [np.inf] * 3) == pytest.approx(stats.chi2.sf(5.3, 3))


def test_hotelling():
    p = hotelling_p(7.0, 3, 9.0)
    assert p == pytest.approx(stats.f.sf(7.0 * 7 / 27, 3, 7))
    assert hotelling_p(4.0, 1, 9.0) == pytest.approx(2 * stats.t.sf(2.0, 9))
    assert np.isnan(hotelling_p(7.0, 10, 9.0))
