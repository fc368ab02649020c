"""Values in an error message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def listed(values: Iterable[Any], limit: int = 5) -> str:
    """Write values for an error message: at most five, then how many more."""
    shown = (repr(v.item() if isinstance(v, np.generic) else v) for v in values)
    return first_few(shown, limit)


def first_few(
    texts: Iterable[str], limit: int = 5, *, separator: str = ", ", noun: str = ""
) -> str:
    """Write texts one after the other: at most five, then how many more (of `noun`)."""
    found = list(texts)
    more = f" and {len(found) - limit} more{noun and ' '}{noun}" if len(found) > limit else ""
    return separator.join(found[:limit]) + more
