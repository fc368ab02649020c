"""Amounts of memory: read, written, and held against a table."""

from __future__ import annotations

import argparse

import pytest

from segcate.cli._problems import UserError
from segcate.cli._reading.memory import check_memory, memory_needed, read_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4e9), ("500 mb", 5e8), ("1.5G", 1.5e9), ("2kB", 2000), ("12", 12), ("1GiB", 1e9)],
)
def test_sizes_are_read(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4 apples", "0"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 4GB"):
        read_size(text)


def test_sizes_are_written():
    assert [size_text(n) for n in (12, 4000, 2.5e6, 1.234e10)] == [
        "12 bytes",
        "4 kB",
        "2.5 MB",
        "12.3 GB",
    ]


def test_the_estimate_and_its_limit():
    assert memory_needed(1_000_000, 20) == 1_680_000_000
    check_memory("a", 1000, 20, None)
    check_memory("a", 100_000, 20, 528_000_000)
    with pytest.raises(UserError, match=r"100,000 rows of 20 columns, .* 528 MB .* allows 500 MB"):
        check_memory("a", 100_000, 20, 500_000_000)
