"""Read a table as people have it: files, pipes, encodings, separators, notations."""

from __future__ import annotations

from dataclasses import dataclass

from segcate.cli._problems import UserError
from segcate.cli._reading.cells import CellRules, Columns, read_columns
from segcate.cli._reading.encoding import to_utf8
from segcate.cli._reading.layout import read_cells, refuse_repeated
from segcate.cli._reading.source import open_source, read_parquet

__all__ = ["CellRules", "Columns", "ReadTable", "read_table"]


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table and where it came from.

    Attributes
    ----------
    columns : the table, what was done to its cells, and what is doubtful in them
    name : of the file
    sha256 : of its bytes
    notes : on the file as a whole
    """

    columns: Columns
    name: str
    sha256: str
    notes: tuple[str, ...] = ()


def read_table(
    path: str,
    rules: CellRules | None = None,
    *,
    sep: str | None = None,
    encoding: str | None = None,
) -> ReadTable:
    """Read a CSV or Parquet file whole, or say why it cannot be read.

    Parameters
    ----------
    path : file, or `-` for standard input
    rules : how cells are read
    sep, encoding : of a CSV; None to find them

    Raises
    ------
    UserError
        If the file is not there, or is no table.
    """
    source = open_source(path)
    notes: list[str] = []
    if source.is_parquet:
        table = read_parquet(source)
        refuse_repeated(source.name, list(table.columns))
    else:
        text = to_utf8(source.name, source.data, encoding)
        table, note = read_cells(source, text.data, sep)
        notes = [said for said in (text.note, note) if said]
    if len(table) == 0:
        raise UserError(f"{source.name!r} has column names but no rows.")
    rules = rules or CellRules()
    columns = read_columns(table, rules)
    return ReadTable(columns, source.name, source.sha256, tuple(notes))
