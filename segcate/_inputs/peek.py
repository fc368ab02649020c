"""Which columns of X are numbers, and where they have gaps, asked of columns that may hold anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.cells import MISSING, Cells, column_label, read_cells
from segcate._inputs.texts import is_date, is_number, text_kind

# Rows looked at to tell that a column of text is no column of numbers.
_PEEK = 100
_NUMBERS = frozenset({"number", "date", "duration", "time"})


def number_positions(owner: str, X: Any) -> list[int]:
    """Return the positions of the columns that are numbers: dates, durations, numbers as text, too.

    Other columns may hold anything.

    Raises
    ------
    ValueError
        If a column of text holds numbers or dates that cannot be read without a guess: left out it
        would be missed.
    """
    if not frames.is_frame(X) and np.asarray(X).dtype.kind in "iufb":
        return list(range(np.asarray(X).shape[1]))
    return [i for i in range(X.shape[1]) if _number_cells(owner, X, i, is_strict=True) is not None]


def count_gaps(owner: str, X: Any, skipped: int | None = None) -> dict[str, int]:
    """Count the missing values of the numbers in a frame; refuse infinite ones.

    A column without any value is not counted: it is left out.
    """
    gaps = {}
    for i in range(X.shape[1]):
        if i == skipped or _has_no_gap(X, i):
            continue
        cells = _number_cells(owner, X, i, is_strict=False)
        if cells is None:
            continue
        name = column_label(X, i)
        n_infinite = _count_infinite(cells)
        if n_infinite:
            raise ValueError(
                f"{owner}: X contains infinity in column {name!r} ({n_infinite} rows). "
                "Replace those values or drop the rows first."
            )
        gaps[name] = int(cells.is_missing.sum())
    return gaps


def _has_no_gap(X: Any, position: int) -> bool:
    """Tell at little cost that a column can have no gap: whole numbers, or finite ones."""
    if not isinstance(X, pd.DataFrame) or not isinstance(X.dtypes.iloc[position], np.dtype):
        return False
    values = X.iloc[:, position].to_numpy()
    if values.dtype.kind != "f":
        return values.dtype.kind in "iub"
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


def _count_infinite(cells: Cells) -> int:
    if cells.values is None or cells.values.dtype.kind != "f":
        return 0
    return int(np.isinf(cells.values).sum())


def _number_cells(owner: str, X: Any, position: int, *, is_strict: bool) -> Cells | None:
    """Return the cells of a column of numbers; None for any other, or one without a value."""
    try:
        head = read_cells(
            "", frames.take_rows(X, np.arange(min(_PEEK, frames.n_rows(X)))), position
        )
        if head.found == "category" or not _may_be_numbers(head):
            return None
        cells = read_cells("", X, position)
    except TypeError:
        return None
    if cells.found in _NUMBERS:
        return None if cells.is_missing.all() else cells
    if cells.found != "text" or cells.codes is None:
        return None
    texts = [level for level in cells.levels if level != MISSING]
    found = text_kind(texts, np.bincount(cells.codes)[: len(texts)])
    if found.problem and found.is_misread and is_strict:
        raise ValueError(f"{owner}: Column {column_label(X, position)!r} of X {found.problem}")
    return cells if found.kind in _NUMBERS else None


def _may_be_numbers(head: Cells) -> bool:
    """Tell whether a column whose first rows are these may be numbers, however written."""
    if head.found != "text":
        return True
    texts = [level for level in head.levels if level != MISSING]
    return not texts or any(is_number(t) or is_date(t) or t[:1].isdigit() for t in texts)
