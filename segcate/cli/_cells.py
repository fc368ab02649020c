"""What the cells of a text file hold: numbers, flags, or text; and which of them are missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.texts import is_number, microseconds_of, plain_numbers

__all__ = ["NO_VALUE", "read_columns", "read_dates", "read_flags"]

Mask = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]

# Texts that programs write for "no value". Among numbers and dates they are that; among text they
# may be a level (NA: Namibia, North America).
NO_VALUE = frozenset(
    [
        "NA",
        "N/A",
        "n/a",
        "NaN",
        "nan",
        "null",
        "NULL",
        "None",
        "NONE",
        ".",
        "-",
        "?",
        "#N/A",
        "<NA>",
    ]
)
_FLAGS = ({"True", "False"}, {"TRUE", "FALSE"}, {"true", "false"})
_LARGEST = 2**53


def read_columns(
    table: pd.DataFrame, missing: Sequence[str], notes: dict[str, list[str]]
) -> pd.DataFrame:
    """Turn columns of text into numbers where all their cells are numbers; find missing cells.

    Parameters
    ----------
    table : DataFrame
        Columns of text are read; of others only the declared missing values are taken out.
    missing : texts that stand for a missing value in every column, beside the empty cell
    notes : dict
        Gets for each column what the user should know of it.

    Returns
    -------
    DataFrame
    """
    declared = frozenset(text.strip() for text in missing)
    columns = {name: _read(table[name], declared, notes) for name in table.columns}
    return pd.DataFrame(columns, index=table.index)


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


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _read(column: pd.Series, declared: frozenset[str], notes: dict[str, list[str]]) -> pd.Series:
    name = str(column.name)
    if not _is_text(column):
        return _without_declared(column, declared, notes)
    whole = _whole_column(column, declared)
    if whole is not None:
        notes.setdefault(name, [])
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
    are_numbers = numbers is not None
    takes_markers = are_numbers or (bool(others) and _are_dates(others))
    is_gap = is_blank | is_declared | (is_marker & takes_markers)
    said = notes.setdefault(name, [])
    _tell(said, name, texts, counts, is_declared, "count as missing, as --missing says")
    if takes_markers:
        what = "all other cells are numbers" if are_numbers else "all other cells are dates"
        _tell(said, name, texts, counts, is_marker, f"count as missing, as {what}")
    else:
        what = "are levels like any other text; if they mean no value, pass --missing"
        _tell(said, name, texts, counts, is_marker, what)
    if numbers is not None:
        known = np.full(len(texts) + 1, np.nan)
        known[np.flatnonzero(is_other)] = numbers
        return _numbers(column, known[codes], others)
    lost = np.append(is_gap, True)[codes]
    if not lost.any() and any(set(others) <= pair for pair in _FLAGS):
        return read_flags(column.str.strip())
    return column.mask(lost) if lost.any() else column


def _are_dates(texts: Sequence[str]) -> bool:
    try:
        microseconds_of(texts)
    except ValueError:
        return False
    return True


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


def _whole_column(column: pd.Series, declared: frozenset[str]) -> pd.Series | None:
    """Return a column of plain numbers without any gap, read at once; None where it holds more."""
    texts = np.asarray(column, dtype=object).tolist()
    numbers = None if column.hasnans else plain_numbers(texts)
    if numbers is None:
        return None
    lost = [float(text) for text in declared if is_number(text)]
    return None if lost and np.isin(numbers, lost).any() else _numbers(column, numbers, texts)


def _numbers(column: pd.Series, values: Float, texts: Sequence[str]) -> pd.Series:
    """Return whole numbers as integers where there is no gap, and all else as floats."""
    joined = "\n".join(texts)
    is_whole = not any(mark in joined for mark in ".eE")
    fits = is_whole and not np.isnan(values).any() and np.abs(values).max(initial=0) < _LARGEST
    cells = values.astype(np.int64) if fits else values
    return pd.Series(cells, index=column.index, name=column.name)


def _without_declared(
    column: pd.Series, declared: frozenset[str], notes: dict[str, list[str]]
) -> pd.Series:
    """Take declared missing values out of a column that is no text."""
    name, kind = str(column.name), column.dtype
    said = notes.setdefault(name, [])
    if isinstance(kind, pd.CategoricalDtype):
        texts = [str(level) for level in kind.categories]
        counts = column.value_counts().reindex(kind.categories).to_numpy()
        is_declared = _are_declared(texts, declared)
        _tell(said, name, texts, counts, is_declared, "count as missing, as --missing says")
        is_marker = np.array([text in NO_VALUE for text in texts], dtype=bool) & ~is_declared
        what = "are levels like any other; if they mean no value, pass --missing"
        _tell(said, name, texts, counts, is_marker, what)
        return column.cat.remove_categories(list(kind.categories[is_declared]))
    numbers = [float(text) for text in declared if is_number(text)]
    if numbers and pd.api.types.is_any_real_numeric_dtype(kind):
        lost = column.isin(numbers)
        if lost.any():
            said.append(f"{name}: {int(lost.sum()):,} cells count as missing, as --missing says")
            return column.mask(lost)
    return column


def _tell(
    said: list[str],
    name: str,
    texts: Sequence[str],
    counts: npt.NDArray[Any],
    chosen: Collection[bool] | Mask,
    what: str,
) -> None:
    """Note what is done to some texts of a column, with their cells."""
    cells = [
        f"{text!r} ({int(count):,})"
        for text, count, there in zip(texts, counts, chosen, strict=True)
        if there and count
    ]
    if cells:
        said.append(f"{name}: cells {_shown(cells)} {what}")


def _shown(texts: Sequence[str], limit: int = 5) -> str:
    """Write texts for a note: at most five, then how many more."""
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more
