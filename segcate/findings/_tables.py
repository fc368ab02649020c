"""Findings as tables and as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd


def entries(record: Any) -> dict[str, Any]:
    """Return the entries of a dataclass by name; dataclasses inside stay as they are."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def table(records: Sequence[Any], index: str | None = None) -> pd.DataFrame:
    """Build a table, one row a record; without records an empty one."""
    frame = pd.DataFrame([entries(record) for record in records])
    return frame.set_index(index) if index is not None and len(frame) else frame


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows: numbers, texts, lists and dicts; None for NaN and infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.findings._tables import plain
    >>> plain({"a": np.float64(1.5), "b": (float("nan"), np.int64(2))})
    {'a': 1.5, 'b': [None, 2]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(entry) for name, entry in entries(value).items()}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
