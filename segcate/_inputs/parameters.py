"""Check the parameters of estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_count"]


def check_count(owner: str, name: str, value: Any, least: int, *, optional: bool = True) -> None:
    """Raise unless `value` is a whole number >= `least` (or None where that is allowed)."""
    if value is None and optional:
        return
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        allowed = f"an integer of at least {least}" + (" or None" if optional else "")
        raise ValueError(f"{owner}: `{name}` must be {allowed}; got {value!r}.")
