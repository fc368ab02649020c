"""What a section of a report is made of, whatever it is written in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.number_texts import decimals_of, write_decimals, write_number

_SMALLEST_P = 1e-4


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    head : its name
    cells : what is shown
    keys : numbers to sort by, None where the cells are sorted as text
    is_number : whether cells are quantities and stand on the right; a label may be a number as well
    """

    head: str
    cells: Sequence[str]
    keys: Sequence[float] | None = None
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one length, and a sentence on what they hold; the `last` rows stay at the end."""

    columns: Sequence[Column]
    caption: str
    last: int = 0

    @property
    def shown(self) -> list[Column]:
        """Return the columns that have a cell."""
        return [column for column in self.columns if any(column.cells)]


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each entry is a name, "" for none, and words."""

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with their words; those without words are left out."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Code:
    """Text that stands as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """A table that is folded away until it is asked for."""

    title: str
    table: Table


Block = Table | Words | Head | Points | Pairs | Code | Folded


def texts(head: str, values: Sequence[Any]) -> Column:
    """Make a column of labels; one of numbers is sorted as numbers."""
    cells = [write_number(value) for value in values]
    are_numbers = all(isinstance(v, int | float | np.number) for v in values)
    keys = [float(v) for v in values] if are_numbers and not _are_flags(values) else None
    return Column(head, cells, keys)


def counts(head: str, values: Sequence[Any]) -> Column:
    """Make a column of whole numbers."""
    return _numbers(head, values, lambda value: f"{value:,.0f}")


def shares(head: str, values: Sequence[Any]) -> Column:
    """Make a column of shares, in per cent."""
    return _numbers(head, values, lambda value: f"{write_decimals(100 * value, 1)} %")


def measures(head: str, values: Sequence[Any], decimals: int | None = None) -> Column:
    """Make a column of numbers with the same decimals, by default three digits of the largest."""
    if decimals is None:
        decimals = decimals_of(values, 3)
    return _numbers(head, values, lambda value: write_decimals(value, decimals))


def intervals(head: str, low: Sequence[float], high: Sequence[float], decimals: int) -> Column:
    """Make a column of intervals, sorted by their lower ends."""
    ends = [measures("", values, decimals) for values in (low, high)]
    cells = [
        f"{start} to {end}" if start and end else ""
        for start, end in zip(ends[0].cells, ends[1].cells, strict=True)
    ]
    return Column(head, cells, ends[0].keys, is_number=True)


def p_values(head: str, values: Sequence[Any]) -> Column:
    """Make a column of p-values."""
    return _numbers(head, values, write_p)


def write_p(value: float) -> str:
    """Write a p-value: two digits, and no smaller than anyone believes."""
    return f"< {_SMALLEST_P:.4f}" if value < _SMALLEST_P else f"{float(f'{value:.2g}'):g}"


def p_text(value: float) -> str:
    """Write a p-value after its letter: "= 0.03", "< 0.0001"."""
    text = write_p(value)
    return text if text.startswith("<") else f"= {text}"


def _numbers(head: str, values: Sequence[Any], write: Callable[[float], str]) -> Column:
    keys = [math.nan if value is None else float(value) for value in values]
    cells = [write(k) if math.isfinite(k) else write_number(k) for k in keys]
    return Column(head, cells, keys, is_number=True)


def _are_flags(values: Sequence[Any]) -> bool:
    return any(isinstance(value, bool | np.bool_) for value in values)


def frame_table(frame: pd.DataFrame, caption: str) -> Table:
    """Take a frame as it is: its index first, then its columns."""
    index = [texts(str(frame.index.name), frame.index.tolist())] if frame.index.name else []
    rest = [texts(str(frame.columns[i]), frame.iloc[:, i].tolist()) for i in range(frame.shape[1])]
    return Table([*index, *rest], caption)
