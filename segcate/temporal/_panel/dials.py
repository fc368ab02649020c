"""Check the dials of the simulators."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


def check_count(owner: str, name: str, value: Any, lowest: int) -> int:
    """Return a whole number that is not below `lowest`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < lowest:
        raise ValueError(
            f"{owner}: `{name}` must be a whole number, at least {lowest}; got {value!r}."
        )
    return int(value)


def check_flag(owner: str, name: str, value: Any) -> bool:
    """Return a value that is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: `{name}` must be True or False; got {value!r}.")
    return bool(value)
