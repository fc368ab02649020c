"""One law for intervals and p-values, against scipy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.intervals import Law, freedom_of_rows, satterthwaite


@pytest.mark.parametrize("df", [1.0, 4.7, 30.0, np.inf])
def test_law_is_students_or_the_normal(df):
    law = stats.t(df)
    assert Law(df).quantile(0.9) == pytest.approx(law.ppf(0.95), rel=1e-12)
    assert Law(df).two_sided_p(-1.7) == pytest.approx(2 * law.sf(1.7), rel=1e-12)
    assert Law(df).one_sided_p(1.7) == pytest.approx(law.sf(1.7), rel=1e-12)
    assert Law(df).one_sided_p(-1.7) == pytest.approx(law.sf(-1.7), rel=1e-12)


@pytest.mark.parametrize("df", [0.0, np.nan])
def test_no_degrees_of_freedom_give_no_interval(df):
    assert np.isnan(Law(df).interval(1.0, 1.0, 0.95)).all()
    assert np.isnan(Law(df).two_sided_p(2.0))


def test_rows_of_the_smaller_arm_rule():
    assert [freedom_of_rows(n) for n in (1, 2, 20, 99, 100)] == [1, 1, 19, 98, np.inf]


def test_satterthwaite_is_welch():
    a, b = np.random.default_rng(0).normal(size=7), np.random.default_rng(1).normal(0, 3, size=12)
    df = satterthwaite([a.var(ddof=1) / 7, b.var(ddof=1) / 12], [6, 11])
    assert df == pytest.approx(stats.ttest_ind(a, b, equal_var=False).df, rel=1e-12)


def test_satterthwaite_of_known_or_no_variances():
    assert satterthwaite([1.0, 2.0], [np.inf, np.inf]) == np.inf
    assert satterthwaite([0.0, 0.0], [3.0, 4.0]) == np.inf
    np.testing.assert_allclose(satterthwaite([[1.0, 0.0], [1.0, 1.0]], [3.0, 3.0]), [3.0, 6.0])
    assert satterthwaite([1e-200, 1e-200], [3.0, 3.0]) == pytest.approx(6.0)
