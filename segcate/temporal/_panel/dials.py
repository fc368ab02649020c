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


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Raise unless a value is a number inside the bounds."""
    is_inside = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    if not is_inside:
        allowed = (
            "in [0, 1)" if below else f"above {above:g}" if above is not None else "at least 0"
        )
        raise ValueError(f"{owner}: `{name}` must be a number {allowed}; got {value!r}.")
