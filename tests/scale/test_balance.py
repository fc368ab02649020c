"""Balance from the sums of parts is that of all rows, where a variance is hardly there, too."""

import numpy as np
import pytest

from segcate.matching._balance import measure_column, sort_column
from segcate.scale._balance import balance_sums, measured_balance
from segcate.scale._sums import merged_all


def one_donor(z, after):
    after[:40] = 0.0
    after[7] = 3.0


def one_donor_but_for_rounding(z, after):
    after[:40] = 0.0
    after[7], after[8] = 3.0, 1e-16


def donors_alike(z, after):
    z[:40] = z[0]


def one_of_each(z, after):
    after[:] = 0.0
    after[[7, 50]] = 1.0


def as_they_are(z, after):
    pass


@pytest.mark.parametrize(
    "change", [one_donor, one_donor_but_for_rounding, donors_alike, one_of_each, as_they_are]
)
def test_variances_are_those_of_all_rows(change):
    rng, ratios = np.random.default_rng(0), []
    for _ in range(50):
        z = rng.normal(size=100) * 10 ** rng.uniform(-2, 3)
        t = (np.arange(100) >= 40).astype(np.int8)
        after = np.where(t == 1, 1.0, rng.uniform(0.1, 3.0, 100))
        change(z, after)
        shift = np.array([z.mean()])
        parts = [
            balance_sums(z[at, None], shift, t[at] == 1, np.ones(len(at)), after[at], (np.unique(z),))
            for at in np.array_split(rng.permutation(100), 5)
        ]  # fmt: skip
        found = measured_balance(
            [merged_all(parts)], [shift], ("z",), np.array([False]), "att"
        ).balance
        column = sort_column(z, t, np.zeros(100, dtype=np.intp), 1, None, after)
        expected = measure_column(column, "att").numbers[3, 0]
        np.testing.assert_allclose(found.variance_ratio[0, 0], expected, rtol=1e-9)
        ratios.append(expected[1])
    is_gone = change not in (as_they_are, one_of_each)
    assert np.isinf(ratios).all() == is_gone
    assert np.isnan(ratios).all() == (change is one_of_each)
