"""The values of a column as labels of segments or groups: whole numbers, text, days."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.cells import read_cells


def label_values(owner: str, X: Any, position: int) -> npt.NDArray[Any]:
    """Return a column as labels, alike for every container.

    Numbers in an object column or of type Decimal are numbers (floats where some are missing or
    have fractions), dates are text such as `2024-01-31`; text, categories and bools stay as they are.

    Raises
    ------
    TypeError
        If the column holds lists, dicts or other values that cannot be labels.
    """
    column = frames.column_values(X, position)
    if column.dtype.kind in "iub":
        return column
    try:
        cells = read_cells(owner, X, position)
    except TypeError:
        if all(isinstance(value, Hashable) for value in column.tolist()):
            return column
        raise
    if cells.values is None or cells.found in ("duration", "time"):
        return column
    if cells.found == "date":
        return _days(cells.values)
    return column if _are_bools(column) else cells.values


def _are_bools(column: npt.NDArray[Any]) -> bool:
    values = column.tolist() if column.dtype.kind == "O" else []
    return bool(values) and all(
        isinstance(value, bool | np.bool_) or frames.is_missing(value) for value in values
    )


def _days(moments: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Write dates as text, with the time of day where it is not midnight; None where missing."""
    values, codes = np.unique(moments, return_inverse=True)
    texts = np.array([_day(value) for value in values.astype("datetime64[us]")], dtype=object)
    return np.asarray(texts[codes])


def _day(moment: Any) -> str | None:
    if np.isnat(moment):
        return None
    text = str(moment)
    return text.removesuffix(".000000").removesuffix("T00:00:00")
