"""Names of test cases that are the same in every process, as pytest-xdist needs them."""

from __future__ import annotations

import re


def stable_name(value: object) -> str:
    """Write a value as its repr on one line, without addresses in memory."""
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", repr(value)).split())
