"""Check the parameters of estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["check_count", "check_seed"]


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
