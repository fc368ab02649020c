"""Check the parameters of estimators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["check_count", "check_in_unit_interval", "check_option", "check_seed"]


def check_count(owner: str, name: str, value: Any, least: int, *, optional: bool = True) -> None:
    """Raise unless `value` is a whole number >= `least` (or None where that is allowed)."""
    if value is None and optional:
        return
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        allowed = f"an integer of at least {least}" + (" or None" if optional else "")
        raise ValueError(f"{owner}: `{name}` must be {allowed}; got {value!r}.")


def check_seed(owner: str, value: Any) -> np.random.RandomState:
    """Make the source of random numbers that `random_state` stands for."""
    if value is not None and not isinstance(value, int | np.integer | np.random.RandomState):
        raise TypeError(
            f"{owner}: `random_state` must be None, a whole number or a numpy RandomState; got {value!r}."
        )
    try:
        found: np.random.RandomState = check_random_state(value)
    except ValueError as error:
        raise ValueError(f"{owner}: `random_state` is {value!r}: {error}") from error
    return found


def check_option(owner: str, name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise unless `value` is one of the allowed ones."""
    options = list(allowed)
    if not any(
        value is option or (type(value) is type(option) and value == option) for option in options
    ):
        raise ValueError(f"{owner}: `{name}` must be one of {options}; got {value!r}.")


def check_in_unit_interval(owner: str, name: str, value: Any) -> None:
    """Raise unless `value` is a number strictly between 0 and 1."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 < value < 1
    ):
        raise ValueError(f"{owner}: `{name}` must be a number inside (0, 1); got {value!r}.")
