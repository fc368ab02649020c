"""Texts of many numbers are read as one by one."""

from __future__ import annotations

import pytest

from segcate._inputs.texts import is_number, plain_numbers


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0",
        "+1",
        "1.",
        ".5",
        "-.5",
        "00",
        "007",
        "-01",
        "0.50",
        "1e5",
        "1e05",
        "1E+05",
        "0e0",
        ".",
        "e5",
        "1e",
        "1e5.0",
        "+-1",
        "--1",
        "1-2",
        "1_0",
        "inf",
        "nan",
        "1,5",
        "0x1",
        "1e999",
        "00.5",
        "1.2.3",
        "-",
        "+",
        "E",
        "٣",
    ],
)
def test_many_numbers_at_once_are_those_that_are_numbers_one_by_one(text):
    found = plain_numbers(["12", text, "3.5"])
    if is_number(text) and text == text.strip():
        assert found is not None
        assert found.tolist() == [12.0, float(text), 3.5]
    else:
        assert found is None


def test_no_texts_are_no_numbers():
    assert plain_numbers([]) is not None
    assert len(plain_numbers([])) == 0


@pytest.mark.parametrize("text", ["", "1 2", "1\n2", "5\n007", "\n"])
def test_texts_with_gaps_are_no_numbers(text):
    assert plain_numbers(["12", text]) is None
