"""Decide what the cells of a column are: numbers, dates, flags, text, or no value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.texts import is_date, is_number, microseconds_of, plain_numbers
from segcate._inputs.vectors import as_numbers
from segcate.cli._reading.doubts import doubt_of
from segcate.cli._reading.notation import (
    dates_by_format,
    foreign_numbers,
    grouped_by_points,
    shows_decimal,
)

__all__ = ["NO_VALUE", "CellRules", "Columns", "read_columns", "read_dates", "read_flags"]

Mask = npt.NDArray[np.bool_]

# Texts that programs write for "no value". Among numbers and dates they are that; among text they
# may be a level (NA: Namibia, North America).
NO_VALUE = frozenset(
    "NA N/A n/a NaN nan null NULL None NONE . - ? #N/A <NA>".split()  # noqa: SIM905
)
_FLAGS = ({"True", "False"}, {"TRUE", "FALSE"}, {"true", "false"})
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class CellRules:
    """How cells are read.

    Attributes
    ----------
    missing : texts that mean "no value" in every column, beside the empty cell
    decimal : "," or "."; None to see it from the cells
    date_formats : formats of `strptime`, beside ISO 8601
    labels : columns whose texts are names; only plain numbers are read in them
    """

    missing: tuple[str, ...] = ()
    decimal: str | None = None
    date_formats: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Columns:
    """A table whose cells have been read.

    Attributes
    ----------
    table : DataFrame
    notes : for each column what was done to its cells
    doubts : for columns that could be read in two ways or are mistyped, what to do about it
    """

    table: pd.DataFrame
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Texts:
    """A column of text: its different cells and what they are.

    Attributes
    ----------
    column : as it came
    codes : position of each row's cell among `texts`, -1 for none
    texts, counts : different cells, stripped, and how many rows have each
    is_blank, is_declared, is_marker : which of them may mean "no value", and why
    numbers : plain numbers of the others, where all of them are
    """

    column: pd.Series
    codes: npt.NDArray[np.intp]
    texts: list[str]
    counts: npt.NDArray[np.intp]
    is_blank: Mask
    is_declared: Mask
    is_marker: Mask
    numbers: Float | None

    @property
    def is_other(self) -> Mask:
        return ~(self.is_blank | self.is_declared | self.is_marker)

    @property
    def others(self) -> list[str]:
        return [text for text, there in zip(self.texts, self.is_other, strict=True) if there]

    def spread(self, values: Any, fill: Any) -> Any:
        """Give each row the value of its cell; `fill` where there is none."""
        known = np.full(len(self.texts) + 1, fill, dtype=np.asarray(values).dtype)
        known[np.flatnonzero(self.is_other)] = values
        return known[self.codes]


def read_columns(table: pd.DataFrame, rules: CellRules) -> Columns:
    """Turn columns of text into numbers and dates where all their cells are; find missing cells."""
    declared = frozenset(text.strip() for text in rules.missing)
    notes: dict[str, list[str]] = {str(name): [] for name in table.columns}
    texts = {name: _look(table[name], declared) for name in table.columns if _is_text(table[name])}
    decimal = rules.decimal or _shown_decimal(texts, rules.labels)
    read, doubts = {}, {}
    for name in table.columns:
        if name not in texts:
            numbers = _without_decimals(table[name])
            read[name] = _without_declared(numbers, declared, notes[name])
            continue
        taken = _as_something(texts[name], rules, decimal, notes[name])
        read[name] = _text(texts[name], notes[name]) if taken is None else taken
        if taken is None and name not in rules.labels:
            found = texts[name]
            doubt = doubt_of(found.others, found.counts[found.is_other], decimal)
            doubts.update({name: doubt} if doubt else {})
    return Columns(pd.DataFrame(read, index=table.index), notes, doubts)


def read_dates(column: pd.Series) -> pd.Series:
    """Return a column of dates in ISO text as dates; any other column as it is."""
    if not _is_text(column):
        return column
    codes, texts = pd.factorize(column)
    try:
        moments = microseconds_of(list(texts))
    except ValueError:
        return column
    if len(texts) == 0:
        return column
    values = np.append(moments, np.iinfo(np.int64).min).astype("datetime64[us]")
    return pd.Series(values[codes], index=column.index, name=column.name)


def read_flags(column: pd.Series) -> pd.Series:
    """Return a column of the texts true and false as 1 and 0; any other column as it is."""
    if not _is_text(column) or not any(set(column.unique()) <= pair for pair in _FLAGS):
        return column
    return column.str.lower() == "true"


def _without_decimals(column: pd.Series) -> pd.Series:
    """Return decimals of Python, as Parquet keeps them, as the nearest floats; any other column as it is."""
    if column.dtype != object or pd.api.types.infer_dtype(column, skipna=True) != "decimal":
        return column
    numbers = as_numbers("segcate run", str(column.name), column.to_numpy(), "numbers")
    return pd.Series(numbers, index=column.index, name=column.name)


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _look(column: pd.Series, declared: frozenset[str]) -> _Texts:
    """Find the different cells of a column of text; one of plain numbers only is read at once."""
    whole = _plain_column(column, declared)
    if whole is not None:
        return whole
    codes, found = pd.factorize(column)
    texts = [str(text).strip() for text in np.asarray(found, dtype=object).tolist()]
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    is_blank = np.array([text == "" for text in texts], dtype=bool)
    is_declared = _are_declared(texts, declared)
    is_marker = np.array([text in NO_VALUE for text in texts], dtype=bool)
    is_marker &= ~is_declared & ~is_blank
    is_other = ~(is_blank | is_declared | is_marker)
    others = [text for text, there in zip(texts, is_other, strict=True) if there]
    numbers = plain_numbers(others) if others else None
    return _Texts(column, codes, texts, counts, is_blank, is_declared, is_marker, numbers)


def _plain_column(column: pd.Series, declared: frozenset[str]) -> _Texts | None:
    texts = np.asarray(column, dtype=object).tolist()
    numbers = None if column.hasnans else plain_numbers(texts)
    lost = [float(text) for text in declared if is_number(text)]
    if numbers is None or (lost and np.isin(numbers, lost).any()):
        return None
    n, none = len(texts), np.zeros(len(texts), dtype=bool)
    return _Texts(column, np.arange(n), texts, np.ones(n, np.intp), none, none, none, numbers)


def _shown_decimal(texts: Mapping[str, _Texts], labels: Collection[str]) -> str | None:
    """Return the decimal sign that the columns of a file show, where they agree."""
    shown: set[str] = set()
    for name, found in texts.items():
        if found.numbers is None and name not in labels:
            marks = shows_decimal(found.others)
            shown |= marks if len(marks) == 1 else set()
    if not shown:
        return "." if any(_shows_point(found) for found in texts.values()) else None
    is_sure = "." in shown or not any(_shows_point(found) for found in texts.values())
    return next(iter(shown)) if len(shown) == 1 and is_sure else None


def _shows_point(found: _Texts) -> bool:
    """Tell whether plain numbers have points that cannot stand between thousands."""
    if found.numbers is None or (found.numbers % 1 == 0).all():
        return False
    return grouped_by_points(found.others) is None


def _as_something(
    found: _Texts, rules: CellRules, decimal: str | None, notes: list[str]
) -> pd.Series | None:
    """Read a column as numbers or dates where all cells that hold a value are; else None."""
    name = str(found.column.name)
    is_label = name in rules.labels
    read: Any = None
    what = "numbers"
    grouped = decimal == "," and not is_label and found.numbers is not None
    points = grouped_by_points(found.others) if grouped else None
    if points is not None:
        notes.append(f"{name}: points are read between thousands, as decimals have commas")
        read = _numbers(found, points, is_whole=True)
    elif found.numbers is not None:
        joined = "\n".join(found.others)
        is_whole = not any(mark in joined for mark in ".eE")
        read = _numbers(found, found.numbers, is_whole)
    elif not is_label and found.is_other.any():
        foreign = foreign_numbers(found.others, decimal)
        if foreign is not None and not isinstance(foreign, str):
            notes.append(f"{name}: {foreign.note}")
            read = _numbers(found, foreign.values, bool((foreign.values % 1 == 0).all()))
        else:
            what, read = "dates", _dates(found, rules.date_formats, notes)
    if read is None:
        return None
    _tell(notes, found, found.is_declared, "count as missing, as --missing says")
    _tell(notes, found, found.is_marker, f"count as missing, as all other cells are {what}")
    return pd.Series(read, index=found.column.index, name=found.column.name)


def _numbers(found: _Texts, values: Float, is_whole: bool) -> Any:
    """Return whole numbers without a gap as integers, all other numbers as floats."""
    cells = found.spread(values, np.nan)
    fits = is_whole and not np.isnan(cells).any() and np.abs(cells).max(initial=0) < _LARGEST
    return cells.astype(np.int64) if fits else cells


def _dates(found: _Texts, formats: Sequence[str], notes: list[str]) -> Any:
    """Read dates; those in ISO 8601 stay text with gaps, which `read_dates` reads."""
    others = found.others
    moments = dates_by_format(others, formats)
    if moments is not None:
        notes.append(
            f"{found.column.name}: dates by --date-format, {others[0]!r} is {moments[0]:%Y-%m-%d}"
        )
        values = moments.to_numpy().astype("datetime64[us]")
        return found.spread(values, np.datetime64("NaT", "us"))
    if all(map(is_date, others)):
        lost = np.append(~found.is_other, True)[found.codes]
        return found.column.mask(lost) if lost.any() else found.column
    return None


def _text(found: _Texts, notes: list[str]) -> pd.Series:
    """Return a column of text with its gaps; markers are levels, and true and false are flags."""
    _tell(notes, found, found.is_declared, "count as missing, as --missing says")
    what = "are levels like any other text; if they mean no value, pass --missing"
    _tell(notes, found, found.is_marker, what)
    lost = np.append(found.is_blank | found.is_declared, True)[found.codes]
    if not lost.any() and any(set(found.others) <= pair for pair in _FLAGS):
        return read_flags(found.column.str.strip())
    return found.column.mask(lost) if lost.any() else found.column


def _are_declared(texts: Sequence[str], declared: frozenset[str]) -> Mask:
    """Mark the texts that were declared as missing; numbers are compared as numbers."""
    if not declared:
        return np.zeros(len(texts), dtype=bool)
    as_numbers = np.array([float(text) for text in declared if is_number(text)])
    found = np.array([text in declared for text in texts], dtype=bool)
    if not len(as_numbers):
        return found
    numbers = plain_numbers(texts)
    if numbers is None:
        numbers = np.array([float(text) if is_number(text) else np.nan for text in texts])
    return found | np.isin(numbers, as_numbers)


def _without_declared(column: pd.Series, declared: frozenset[str], notes: list[str]) -> pd.Series:
    """Take declared missing values out of a column that is no text."""
    name, kind = str(column.name), column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        texts = [str(level) for level in kind.categories]
        counts = column.value_counts().reindex(kind.categories).to_numpy()
        is_declared = _are_declared(texts, declared)
        _tell_texts(notes, name, texts, counts, is_declared, "count as missing, as --missing says")
        is_marker = np.array([text in NO_VALUE for text in texts], dtype=bool) & ~is_declared
        what = "are levels like any other; if they mean no value, pass --missing"
        _tell_texts(notes, name, texts, counts, is_marker, what)
        return column.cat.remove_categories(list(kind.categories[is_declared]))
    numbers = [float(text) for text in declared if is_number(text)]
    if numbers and pd.api.types.is_any_real_numeric_dtype(kind):
        lost = column.isin(numbers)
        if lost.any():
            notes.append(f"{name}: {int(lost.sum()):,} cells count as missing, as --missing says")
            return column.mask(lost)
    return column


def _tell(notes: list[str], found: _Texts, chosen: Mask, what: str) -> None:
    _tell_texts(notes, str(found.column.name), found.texts, found.counts, chosen, what)


def _tell_texts(
    notes: list[str], name: str, texts: Sequence[str], counts: Any, chosen: Mask, what: str
) -> None:
    """Note what is done to some texts of a column, with their cells."""
    cells = [
        f"{text!r} ({int(count):,})"
        for text, count, there in zip(texts, counts, chosen, strict=True)
        if there and count
    ]
    if cells:
        more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
        notes.append(f"{name}: cells {', '.join(cells[:5])}{more} {what}")
