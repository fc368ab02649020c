"""A file becomes a table: its format, and what the cells of its columns hold."""

from __future__ import annotations

import csv
import difflib
import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed
from segcate._inputs.texts import is_number, microseconds_of, plain_numbers

__all__ = ["NO_VALUE", "UserError", "read_columns", "read_dates", "read_flags", "read_table"]

Mask = npt.NDArray[np.bool_]

_CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = {";": "--sep ';'", "\t": "--sep tab", "|": "--sep '|'", ",": "--sep ,"}

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


class UserError(ValueError):
    """Tell the user what is wrong with the call or the file; shown without a traceback."""


def read_table(
    path: Path,
    sep: str | None = None,
    encoding: str = "utf-8",
    missing: Sequence[str] = (),
    notes: dict[str, list[str]] | None = None,
) -> pd.DataFrame:
    """Read a CSV or Parquet file whole, or say why it cannot be read.

    Parameters
    ----------
    path : file
    sep, encoding : of a CSV
    missing : texts that mean "no value" in every column, beside the empty cell
    notes : gets for each column what was done to its cells, for `make_study`
    """
    if not path.exists():
        raise UserError(f"there is no file {str(path)!r}. {_near_files(path)}".strip())
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name the file in it.")
    name = path.name.lower()
    if name.endswith(_PARQUET):
        table = _read_parquet(path)
    elif name.endswith(_CSV):
        table = _read_csv(path, sep or ("\t" if ".tsv" in name else ","), encoding)
    else:
        raise UserError(
            f"{path.name!r} must end in one of {', '.join(_CSV + _PARQUET)}, so that its format is "
            "known. Rename or convert it."
        )
    if len(table) == 0:
        raise UserError(f"{path.name!r} has column names but no rows.")
    return read_columns(table, missing, {} if notes is None else notes)


def _near_files(path: Path) -> str:
    """Suggest files beside it with a like name."""
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    others = [file.name for file in path.parent.iterdir() if file.is_file()]
    close = difflib.get_close_matches(path.name, others, n=3)
    return f"Did you mean {listed(close)}?" if close else "Check the path."


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise UserError("reading Parquet needs pyarrow: `pip install pyarrow`.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name!r} is not a Parquet file that can be read: {error}") from error
    table.columns = [str(name) for name in table.columns]
    _refuse_repeated(path.name, list(table.columns))
    has_names = any(name is not None for name in table.index.names)
    return table.reset_index(drop=not has_names)


def _read_csv(path: Path, sep: str, encoding: str) -> pd.DataFrame:
    """Read all cells as text; what they hold is decided column by column afterwards."""
    if len(sep) != 1 or sep in '\r\n"':
        raise UserError(f"--sep must be one character, such as ; or tab; got {sep!r}.")
    try:
        names = _header(path, sep, encoding)
        _check_header(path.name, names, sep)
        table = pd.read_csv(path, sep=sep, encoding=encoding, dtype=str, keep_default_na=False)
        _check_lengths(path, sep, encoding, table, names)
        return table
    except pd.errors.ParserError as error:
        raise UserError(
            f"{path.name!r} is not a regular table: {str(error).strip()}. Check the separator "
            "(--sep) and quotes."
        ) from error
    except csv.Error as error:
        raise UserError(
            f"{path.name!r} is not a text table: {error}. Check the file and its --encoding."
        ) from error
    except (UnicodeError, LookupError) as error:
        raise UserError(
            f"{path.name!r} cannot be read as {encoding}: {error}. Pass its encoding, for example "
            "--encoding latin-1."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path.name!r} is not a whole gzip file: {error}.") from error


def _check_lengths(
    path: Path, sep: str, encoding: str, table: pd.DataFrame, names: list[str]
) -> None:
    """Refuse rows with more cells than the header, or fewer."""
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(
            f"{path.name!r} is not a regular table: its rows have more cells than the header, which "
            f"names {len(names)} columns. Name the first column if it holds row names, or remove the "
            "separator at the end of the rows."
        )
    if len(table) == 0 or not (table.iloc[:, -1] == "").any():
        return  # a row that is too short has no last cell
    with _opened(path, encoding) as lines:
        for row, cells in enumerate(filter(None, csv.reader(lines, delimiter=sep))):
            if len(cells) != len(names):
                raise UserError(
                    f"{path.name!r} is not a regular table: row {row} has {len(cells)} cells, and the "
                    f"header names {len(names)} columns. Check the separator (--sep) and quotes."
                )


def _opened(path: Path, encoding: str) -> Any:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    return opened(path, "rt", encoding=encoding, newline="")


def _header(path: Path, sep: str, encoding: str) -> list[str]:
    """Return the names of the columns: the first line that is not blank."""
    with _opened(path, encoding) as lines:
        for row in csv.reader(lines, delimiter=sep):
            names = [name.removeprefix("\ufeff") for name in row]
            if names not in ([], [""]):
                return names
    raise UserError(f"{path.name!r} is empty.")


def _refuse_repeated(file: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise UserError(f"{file!r} has columns of the same name: {listed(repeated)}. Rename them.")


def _check_header(file: str, names: list[str], sep: str) -> None:
    _refuse_repeated(file, names)
    if len(names) > 1:
        return
    for other, option in _SEPARATORS.items():
        if other != sep and other in names[0]:
            kind = "tabs" if other == "\t" else repr(other)
            raise UserError(
                f"{file!r} has a single column, {names[0][:60]!r}, when read with separator "
                f"{sep!r}. Its name holds "
                f"{kind}: try {option}."
            )
    raise UserError(f"{file!r} has a single column, {names[0][:60]!r}; at least two are needed.")


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
    """Return whole numbers without a gap as integers, all other numbers as floats."""
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
