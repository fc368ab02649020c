"""Read a table as people have it: files, pipes, encodings, separators, notations."""

from __future__ import annotations

from dataclasses import dataclass

from segcate.cli._problems import UserError
from segcate.cli._reading.cells import CellRules, Columns, read_columns
from segcate.cli._reading.encoding import to_utf8
from segcate.cli._reading.layout import read_cells, refuse_repeated
from segcate.cli._reading.memory import check_memory
from segcate.cli._reading.parquet_files import are_many, open_parquet_files
from segcate.cli._reading.source import STANDARD_INPUT, open_source, read_parquet

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
    memory: int | None = None,
) -> ReadTable:
    """Read a CSV or Parquet file, or many Parquet files, or say why they cannot be read.

    Parameters
    ----------
    path : file, `-` for standard input; or a folder, a pattern or an address of Parquet files
    rules : how cells are read
    sep, encoding : of a CSV; None to find them
    memory : bytes that the analysis may need; None: any

    Raises
    ------
    UserError
        If the file is not there, is no table, or is too large.
    """
    if path != STANDARD_INPUT and are_many(path):
        return _read_parquet_files(path, rules or CellRules(), memory)
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
    check_memory(source.name, *table.shape, memory)
    rules = rules or CellRules()
    columns = read_columns(table, rules)
    return ReadTable(columns, source.name, source.sha256, tuple(notes))


def _read_parquet_files(path: str, rules: CellRules, memory: int | None) -> ReadTable:
    """Read many files; whether they are too large is known before."""
    found = open_parquet_files(path)
    check_memory(path, found.n_rows, found.n_columns, memory)
    table = found.read()
    refuse_repeated(path, list(table.columns))
    if len(table) == 0:
        raise UserError(f"{path!r} has column names but no rows.")
    files = f"{len(found.files)} Parquet file{'s' if len(found.files) > 1 else ''}"
    said = f"{len(table):,} rows of {files}"
    return ReadTable(read_columns(table, rules), path, found.sha256(), (said, *found.notes))
