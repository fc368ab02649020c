"""Columns of X as numbers: in a fit, and new rows in the same way afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.cells import MISSING, Cells, column_label, level_text, read_cells
from segcate._inputs.kinds import ColumnKind, Content, days_since, read_column
from segcate._inputs.listing import listed
from segcate._inputs.part_of_rows import is_part_of_rows
from segcate._inputs.texts import is_date, is_number, microseconds_of, numbers_of

# Rows whose columns are written together, so that they stay in the processor's cache.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class EncodedColumns:
    """A numeric matrix made of a container's columns, and where its columns came from.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_encoded)
    names : names of the encoded columns; a category becomes ``column=level``
    source : position in X of the column each encoded column was made of
    kinds : a record of each column that was read, those left out too
    codes : for each record the level of each row of a category, by its position in the record's
        `levels`; None for all else
    """

    values: Float
    names: tuple[str, ...]
    source: Int
    kinds: tuple[ColumnKind, ...] = ()
    codes: tuple[Int | None, ...] = ()

    def columns_of(self, j: int) -> slice:
        """Return the place in `values` of what the record j became: columns that stand together."""
        at = np.flatnonzero(self.source == self.kinds[j].position)
        return slice(at[0], at[-1] + 1) if len(at) else slice(0, 0)

    @property
    def categories(self) -> list[int]:
        """Records that are categories."""
        return [j for j, kind in enumerate(self.kinds) if kind.is_category]


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """How the columns of X became numbers.

    Attributes
    ----------
    names : names of the encoded columns; a category becomes ``column=level``
    source : intp array of shape (n_encoded,), the column of X each was made of
    kinds : a record of each column of X that was read, those left out too
    means : float64 array of shape (n_encoded,), of the encoded columns in the fit
    """

    names: tuple[str, ...]
    source: Int
    kinds: tuple[ColumnKind, ...]
    means: Float

    def encode(self, owner: str, X: Any) -> Float:
        """Encode checked rows; a level that the fit did not see is an error.

        In a fold or a segment (`part_of_rows`) such a level is the average one of the fit.

        Returns
        -------
        float64 array of shape (n_rows, n_encoded)
        """
        values = np.zeros((frames.n_rows(X), len(self.names)))
        at = 0
        for kind in self.kinds:
            if kind.is_used:
                content = read_again(f"{owner}.predict", X, kind)
                width = _fill(values[:, at:], kind, content, 1)
                if kind.is_category:
                    values[content < 0, at : at + width] = self.means[at : at + width]
                at += width
        return values


@dataclass(frozen=True, slots=True)
class ReadColumns:
    """Columns of X that were decided on and read, to be encoded for all rows or for some.

    Attributes
    ----------
    kinds : a record of each column
    contents : for each the numbers of all rows, or the codes of their levels
    n_rows : rows of X
    """

    kinds: tuple[ColumnKind, ...]
    contents: tuple[Content, ...]
    n_rows: int

    def encoded(self, rows: Int | None = None) -> EncodedColumns:
        """Encode some rows, with a 0/1 column for each level that they hold but the first."""
        read = list(zip(self.kinds, self.contents, strict=True))
        if rows is None:
            return assemble(read, self.n_rows)
        return assemble([_of_rows(kind, content, rows) for kind, content in read], len(rows))


def _of_rows(kind: ColumnKind, content: Content, rows: Int) -> tuple[ColumnKind, Content]:
    """Return a column of some rows; of a category the levels that these hold."""
    if content is None:
        return kind, None
    if not kind.is_category:
        return kind, content[rows]
    present, codes = np.unique(content[rows], return_inverse=True)
    return replace(kind, levels=tuple(kind.levels[i] for i in present)), codes


def read_columns(owner: str, X: Any, positions: Iterable[int]) -> ReadColumns:
    """Decide the kinds of columns, and read them."""
    read = [read_column(owner, X, i) for i in positions]
    return ReadColumns(
        tuple(kind for kind, _ in read), tuple(content for _, content in read), frames.n_rows(X)
    )


def fit_encoding(
    X: Any, positions: Iterable[int], *, owner: str = "", may_be_empty: bool = False
) -> tuple[ColumnEncoding, Float]:
    """Encode columns for a fit; return how it was done, and the numbers.

    Parameters
    ----------
    X : checked frame or float array of shape (n_rows, n_columns)
    positions : columns to encode
    owner : estimator that a message names
    may_be_empty : whether the model can do without any column that says something

    Returns
    -------
    encoding : ColumnEncoding
    values : float64 array of shape (n_rows, n_encoded)
    """
    encoded = encode_columns(X, positions, owner=owner)
    if not may_be_empty:
        refuse_nothing(owner, encoded)
    values = encoded.values
    means = values.mean(axis=0)
    return ColumnEncoding(encoded.names, encoded.source, encoded.kinds, means), values


def refuse_nothing(owner: str, encoded: EncodedColumns) -> None:
    """Raise if no column says anything, so that a model would have nothing to learn from."""
    if encoded.kinds and not encoded.names:
        found = ", ".join(f"{kind.name!r} ({kind.note})" for kind in encoded.kinds[:5])
        raise ValueError(
            f"{owner}: every column of X is left out: {found}. Add covariates that differ between rows, or use "
            "SegmentRegression, which then compares means."
        )


def encode_columns(
    X: Any,
    positions: Iterable[int],
    *,
    drop_first: bool = True,
    keep_all: bool = False,
    owner: str = "",
    n_rows_of: Mapping[int, Mapping[str, int]] | None = None,
) -> EncodedColumns:
    """Turn columns into numbers: numbers as they are, dates as days, categories as 0/1 columns.

    Levels are sorted; with `drop_first` the first one is the reference and gets no column. A missing
    value of a category is a level of its own (``column=<missing>``); a missing number stays NaN, for
    the caller to treat. Columns that say nothing (constant, or all missing) are left out, unless
    `keep_all` asks for them: a model has no use for them, a description has. Where X is a part of larger
    data, `n_rows_of` says for columns, by position, how many rows of those hold each text or level.
    """
    known = n_rows_of or {}
    read = [read_column(owner, X, i, n_rows_of=known.get(i)) for i in positions]
    return assemble(read, frames.n_rows(X), drop_first=drop_first, keep_all=keep_all)


def assemble(
    read: Sequence[tuple[ColumnKind, Content]],
    n_rows: int,
    *,
    drop_first: bool = True,
    keep_all: bool = False,
) -> EncodedColumns:
    """Make one matrix of columns that were read."""
    first = 1 if drop_first else 0
    used = [(kind, content) for kind, content in read if kind.is_used or keep_all]
    names: list[str] = []
    source: list[int] = []
    for kind, _ in used:
        labels = _names(kind, first)
        names += labels
        source += [kind.position] * len(labels)
    values = np.zeros((n_rows, len(names)))
    at = 0
    numbers: list[tuple[int, npt.NDArray[Any]]] = []
    for kind, content in used:
        if kind.found != "category" and content is not None:
            numbers.append((at, content))
            at += 1
        else:
            at += _fill(values[:, at:], kind, content, first)
    for begin in range(0, n_rows, _BLOCK):  # all columns of a row share its lines of memory
        part = values[begin : begin + _BLOCK]
        for column, content in numbers:
            part[:, column] = content[begin : begin + _BLOCK]
    return EncodedColumns(
        values,
        tuple(names),
        np.array(source, dtype=np.intp),
        tuple(kind for kind, _ in read),
        tuple(content if kind.is_category else None for kind, content in read),
    )


def _names(kind: ColumnKind, first: int) -> list[str]:
    """Name the encoded columns that one column becomes."""
    if kind.found != "category":
        return [kind.name]
    return [f"{kind.name}={level}" for level in kind.levels[first:]]


def _fill(values: Float, kind: ColumnKind, content: Content, first: int) -> int:
    """Write one column into a matrix of zeros, from its left; return how many columns it took."""
    if kind.found != "category":
        values[:, 0] = np.nan if content is None else content
        return 1
    assert content is not None
    rows = np.flatnonzero(content >= first)
    values[rows, content[rows] - first] = 1.0
    return len(kind.levels) - first


def read_again(owner: str, X: Any, kind: ColumnKind) -> npt.NDArray[Any]:
    """Read a column of new rows as the fit read it: numbers, or the codes of its levels."""
    cells = read_cells(owner, X, kind.position)
    where = f"{owner}: column {column_label(X, kind.position)!r} of X"
    if kind.found == "category":
        return _codes_of(where, cells, kind.levels)
    if "nothing" in (cells.found, kind.found):
        return np.full(cells.n_rows, np.nan)
    if cells.found == kind.found and cells.values is not None:
        return days_since(cells.values, kind.origin) if kind.found == "date" else cells.values
    if cells.codes is not None and kind.found in ("number", "date"):
        return _parsed(where, cells, kind)
    raise ValueError(
        f"{where} held {_PLURALS[kind.found]} in the fit and holds {_PLURALS[cells.found]} now. "
        "Convert it as it was then."
    )


_PLURALS = {
    "number": "numbers",
    "date": "dates",
    "duration": "durations",
    "time": "times of day",
    "text": "text",
    "category": "categories",
}
_READERS = {"number": is_number, "date": is_date}


def _parsed(where: str, cells: Cells, kind: ColumnKind) -> Float:
    """Read numbers or dates out of text; name the cells that hold none."""
    assert cells.codes is not None
    is_gap = cells.is_missing
    texts = cells.levels[:-1] if is_gap.any() else cells.levels
    reads = _READERS[kind.found]
    wrong = np.array([not reads(text) for text in texts] + [False])
    if wrong.any():
        rows = np.flatnonzero(wrong[cells.codes])
        first = cells.levels[cells.codes[rows[0]]]
        raise ValueError(
            f"{where} held {_PLURALS[kind.found]} in the fit and holds {first!r} now (row {rows[0]}; {len(rows)} of "
            f"{cells.n_rows} rows). Turn it into {_PLURALS[kind.found]}, or into missing values."
        )
    if kind.found == "number":
        return np.append(numbers_of(texts), np.nan)[cells.codes]
    days = (microseconds_of(texts) - kind.origin) / 86_400_000_000
    return np.append(days, np.nan)[cells.codes]


def _codes_of(where: str, cells: Cells, levels: tuple[str, ...]) -> Int:
    """Code the values of a column by the levels known from the fit; -1: other, in part of the rows."""
    codes, found = _as_levels(cells)
    place = {level: i for i, level in enumerate(levels)}
    known = np.array([place.get(level, -1) for level in found], dtype=np.intp)
    if (known < 0).any() and not is_part_of_rows():
        n_rows = int((known[codes] < 0).sum())
        unseen = [level for level, i in zip(found, known, strict=True) if i < 0]
        raise ValueError(
            f"{where} holds {listed(unseen)} in {n_rows} of {len(codes)} rows, which the fit did not see; it knew "
            f"{listed(place)}. Group rare levels before the fit, or fit on rows of every level."
        )
    return np.asarray(known[codes], dtype=np.intp)


def _as_levels(cells: Cells) -> tuple[Int, Sequence[str]]:
    """Return codes and texts of a column, also of one that holds numbers now."""
    if cells.codes is not None:
        return cells.codes, cells.levels
    if cells.values is None:
        return np.zeros(cells.n_rows, dtype=np.intp), (MISSING,)
    values = cells.values
    if cells.found == "date":
        values = values.astype("datetime64[us]")
    codes, levels = frames.sorted_codes(values)
    return codes, [_text_of_number(level) for level in levels.tolist()]


def _text_of_number(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer()
    return level_text(int(value) if is_whole else value)
