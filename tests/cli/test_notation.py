"""Numbers in another notation have one meaning, or are asked about."""

# ruff: noqa: RUF001

from __future__ import annotations

import numpy as np
import pytest

from segcate.cli._reading.notation import (
    Foreign,
    date_formats_that_fit,
    dates_by_format,
    foreign_numbers,
    is_foreign_number,
    shows_decimal,
    strptime_format,
)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,5", "-0,25", "3"], [1.5, -0.25, 3]),
        (["1.234,5", "12.345.678"], [1234.5, 12345678]),
        (["1,234.5", "1,234"], [1234.5, 1234]),
        (["1 234", "12 345 678"], [1234, 12345678]),
        (["1\u202f234,5", "\u2212" + "2,5"], [1234.5, -2.5]),
        (["1'234.50", "2’000"], [1234.5, 2000]),
        (["12 %", "5%"], [12, 5]),
        (["€1.234,50", "€0,99"], [1234.5, 0.99]),
        (["1.000 원", "2.500,5 원"], [1000, 2500.5]),
        (["1,5e3", ",5"], [1500, 0.5]),
        (["0,123", "1,500"], [0.123, 1.5]),
    ],
)
def test_one_meaning_is_read(texts, values):
    found = foreign_numbers(texts, None)
    assert isinstance(found, Foreign)
    np.testing.assert_allclose(found.values, values, rtol=1e-15)


def test_two_meanings_are_asked_about_or_settled():
    assert foreign_numbers(["5", "1,234"], None) == "1,234"
    assert foreign_numbers(["5", "1,234"], ",").values.tolist() == [5, 1.234]
    assert foreign_numbers(["5", "1,234"], ".").values.tolist() == [5, 1234]
    assert shows_decimal(["1,234"]) == {",", "."}


@pytest.mark.parametrize(
    "texts",
    [["1,5", "2.5"], ["1,2,3"], ["1,23,456.7"], ["5 %", "5 €"], ["€5%"], ["a"], ["007,5"], ["--5"],
     ["1.234.5"], ["."], [","], ["-"], ["01,5"], ["1 23"], ["5%", "6"]],
)  # fmt: skip
def test_other_texts_are_no_numbers(texts):
    assert foreign_numbers(texts, ",") is None


def test_one_text_is_a_number_or_none():
    assert [is_foreign_number(text) for text in ("1.234,5", "7", "7 kg", "")] == [1, 1, 0, 0]


def test_dates_fit_formats():
    assert date_formats_that_fit(["03.04.2024", "28.02.2024"]) == ["%d.%m.%Y"]
    assert date_formats_that_fit(["03/04/2024"]) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert date_formats_that_fit(["3/4/24 10:30"]) == ["%d/%m/%y %H:%M", "%m/%d/%y %H:%M"]
    assert date_formats_that_fit(["2024/04/03"]) == ["%Y/%m/%d"]
    assert date_formats_that_fit(["1.5", "2.5"]) == []
    assert strptime_format("d.m.Y H:M") == "%d.%m.%Y %H:%M"
    assert strptime_format("%d.%m.%Y") == "%d.%m.%Y"
    assert dates_by_format(["31.12.2024", "x"], ["%d.%m.%Y"]) is None
    assert dates_by_format(["31.12.2024"], ["%m.%d.%Y", "%d.%m.%Y"])[0].day == 31
