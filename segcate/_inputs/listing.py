"""Values in an error message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def listed(values: Iterable[Any], limit: int = 5) -> str:
    """Write values for an error message: at most five, then how many more."""
    found = list(values)
    text = ", ".join(repr(v.item() if isinstance(v, np.generic) else v) for v in found[:limit])
    return text + (f" and {len(found) - limit} more" if len(found) > limit else "")
