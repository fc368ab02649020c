"""Cut a text into rows and cells: find the separator, read the header, refuse ragged rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import UserError
from segcate.cli._reading.source import Source

__all__ = ["read_cells", "refuse_repeated"]

_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SAID = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_OPTIONS = {",": "--sep ,", ";": "--sep ';'", "\t": "--sep tab", "|": "--sep '|'"}
_ROWS_LOOKED_AT = 50


def read_cells(source: Source, utf8: bytes, sep: str | None) -> tuple[pd.DataFrame, str]:
    """Read all cells as text; what they hold is decided column by column afterwards.

    Returns
    -------
    table : DataFrame of str
    note : what to tell the user of the separator; empty where there is nothing to tell
    """
    try:
        chosen, note = _separator(source, utf8, sep)
        names = _header(source.name, utf8, chosen)
        _check_header(source.name, names, chosen)
        table = pd.read_csv(io.BytesIO(utf8), sep=chosen, dtype=str, keep_default_na=False)
        _check_lengths(source.name, utf8, chosen, table, names)
    except pd.errors.ParserError as error:
        raise UserError(
            f"{source.name!r} is not a regular table: {str(error).strip()}. Check the separator "
            "(--sep) and quotes."
        ) from error
    except csv.Error as error:
        raise UserError(
            f"{source.name!r} is not a text table: {error}. Check the file and its --encoding."
        ) from error
    table.columns = [str(name).strip() for name in table.columns]
    return table, note


def _separator(source: Source, utf8: bytes, asked: str | None) -> tuple[str, str]:
    """Return the separator asked for, or the one that cuts all rows into equally many cells."""
    if asked is not None:
        sep = _NAMED.get(asked, asked)
        if len(sep) != 1 or sep in '\r\n"':
            raise UserError(f"--sep must be one character, such as ; or tab; got {asked!r}.")
        return sep, ""
    usual = "\t" if source.prefers_tabs else ","
    found = {sep: _cells_a_row(utf8, sep) for sep in (usual, *(s for s in _SAID if s != usual))}
    even = {sep: counts[0] for sep, counts in found.items() if len(set(counts)) == 1}
    best = max(even, key=lambda sep: even[sep], default=usual)  # the usual one among equals
    if even.get(best, 1) < 2:
        best = max(found, key=lambda sep: found[sep][0] if found[sep] else 0)
        if not found[best] or found[best][0] < 2:
            best = usual
    return best, "" if best == usual else f"{source.name}: cells stand between {_SAID[best]}"


def _cells_a_row(utf8: bytes, sep: str) -> list[int]:
    """Count the cells of the first rows; nothing where quotes do not fit the separator."""
    try:
        return [len(row) for row in islice(_rows(utf8, sep), _ROWS_LOOKED_AT)]
    except csv.Error:
        return []


def _rows(utf8: bytes, sep: str) -> Iterator[list[str]]:
    """Give the rows that are not blank."""
    lines = io.TextIOWrapper(io.BytesIO(utf8), encoding="utf-8", newline="")
    return (row for row in csv.reader(lines, delimiter=sep) if row not in ([], [""]))


def _header(name: str, utf8: bytes, sep: str) -> list[str]:
    """Return the names of the columns: the first line that is not blank."""
    found = next(_rows(utf8, sep), None)
    if found is None:
        raise UserError(f"{name!r} is empty.")
    return [cell.strip() for cell in found]


def _check_header(file: str, names: list[str], sep: str) -> None:
    refuse_repeated(file, names)
    if len(names) > 1:
        return
    for other, option in _OPTIONS.items():
        if other != sep and other in names[0]:
            kind = "tabs" if other == "\t" else repr(other)
            raise UserError(
                f"{file!r} has a single column, {names[0][:60]!r}, when read with separator "
                f"{sep!r}. Its name holds {kind}: try {option}."
            )
    raise UserError(f"{file!r} has a single column, {names[0][:60]!r}; at least two are needed.")


def refuse_repeated(file: str, names: list[str]) -> None:
    """Refuse columns that cannot be told apart by name."""
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise UserError(f"{file!r} has columns of the same name: {listed(repeated)}. Rename them.")


def _check_lengths(file: str, utf8: bytes, sep: str, table: pd.DataFrame, names: list[str]) -> None:
    """Refuse rows with more cells than the header, or fewer."""
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(
            f"{file!r} is not a regular table: its rows have more cells than the header, which "
            f"names {len(names)} columns. Name the first column if it holds row names, or remove the "
            "separator at the end of the rows."
        )
    if len(table) == 0 or not (table.iloc[:, -1] == "").any():
        return  # a row that is too short has no last cell
    for row, cells in enumerate(_rows(utf8, sep)):
        if len(cells) != len(names):
            raise UserError(
                f"{file!r} is not a regular table: row {row} has {len(cells)} cells, and the "
                f"header names {len(names)} columns. Check the separator (--sep) and quotes."
            )
