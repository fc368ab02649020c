"""Numbers as people read them."""

import numpy as np
import pytest

from segcate._writing.number_texts import (
    decimals_of,
    write_count,
    write_decimals,
    write_estimate,
    write_number,
)

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2000, "2000"),
        (2013.0, "2013"),
        (np.int64(28_784), "28,784"),
        (9999.96, "10,000"),
        (15_213.7, "15,214"),
        (-1521.3, "-1521"),
        (12.3, "12.3"),
        (0.123456, "0.1235"),
        (0.5, "0.5"),
        (0.0, "0"),
        (1e-5, "1e-05"),
        (-1.5e-7, "-1.5e-07"),
        (1.5e9, "1,500,000,000"),
        (1.5e16, "1.5e+16"),
        (np.float32(0.1), "0.1"),
        (float("nan"), ""),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (True, "True"),
        ("gold", "gold"),
        (None, "None"),
    ],
)
def test_cells_of_tables(value, text):
    assert write_number(value) == text


@pytest.mark.parametrize(
    ("estimate", "decimals", "text"),
    [
        ((0.1083, -0.1483, 0.3649), None, "0.11 [-0.15, 0.36]"),
        ((0.1083, -0.1483, 0.3649), 0, "0.11 [-0.15, 0.36]"),
        ((0.1083, -0.1483, 0.3649), 3, "0.108 [-0.148, 0.365]"),
        ((0.42, 0.36, 0.48), 2, "0.42 [0.36, 0.48]"),
        ((0.0, -50.0, 50.0), 2, "0.00 [-50.00, 50.00]"),
        ((1521.3, 1300.2, 1742.4), None, "1521 [1300, 1742]"),
        ((1e6, 999_999.999, 1_000_000.001), None, "1,000,000.0000 [999,999.9990, 1,000,000.0010]"),
        ((3e-12, 1e-12, 5e-12), 2, "3e-12 [1e-12, 5e-12]"),
        ((0.0, 0.0, 0.0), None, "0 [0, 0]"),
        ((0.3, 0.3, 0.3), 0, "0.30 [0.30, 0.30]"),
        ((0.0, np.nan, np.nan), 0, "0 [no interval]"),
        ((0.25, np.nan, np.nan), 0, "0.25 [no interval]"),
    ],
)
def test_estimates_show_their_interval(estimate, decimals, text):
    assert write_estimate(*estimate, decimals) == text.replace("-", MINUS)


def test_no_interval_is_written_as_nothing():
    rng = np.random.default_rng(0)
    for scale in 10.0 ** np.arange(-12, 13):
        low, effect, high = np.sort(rng.normal(scale=scale, size=3))
        for decimals in (None, 0, 2):
            text = write_estimate(effect, low, high, decimals)
            ends = text[text.index("[") + 1 : -1].split(", ")
            assert ends[0] != ends[1]


def test_decimals_and_signs():
    assert [decimals_of([v]) for v in (250.0, 2.5, 0.25, 0.0, np.nan, 1e-12)] == [0, 1, 2, 2, 2, 8]
    assert write_decimals(-0.001, 2) == "0.00"
    assert write_decimals(-12_345.6, 0) == f"{MINUS}12,346"


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 cities"), (1, "1 city"), (2, "2 cities"), (28_784, "28,784 cities")]
)
def test_a_count_and_its_noun_agree(n, text):
    assert write_count(n, "city", "cities") == text
    assert write_count(n, "rule").endswith("rule" if n == 1 else "rules")
