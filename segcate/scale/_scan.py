"""The first pass: a sample of the rows, and rows that show every level and every extreme of the columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.cells import MISSING, Cells, read_cells
from segcate._inputs.kinds import ColumnKind, has_free_levels, looks_like_free_text
from segcate._inputs.texts import is_date, is_number, microseconds_of, numbers_of, text_kind
from segcate.scale._rows import RawRows, joined

# A category has at most so many levels.
MOST_LEVELS = 1_000
# Texts that are values: what tells one, how they are read, and a gap among them.
_VALUES: dict[str, tuple[Any, Any, Any]] = {
    "number": (is_number, numbers_of, np.nan),
    "date": (is_date, microseconds_of, np.iinfo(np.int64).min),
}


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first pass found.

    Attributes
    ----------
    n_rows : rows of the source
    sample : some of the rows, all alike in their chance to be among them
    telling : the sample, and rows that hold the other levels and the extremes of columns
    n_rows_of : rows of each level of the columns of text and categories, by name; of those with few enough levels
    weight_factor : what weights are multiplied by so that they are on the scale of a fit in memory
    are_counts : whether weights are counts of rows
    """

    n_rows: int
    sample: RawRows
    telling: RawRows
    weight_factor: float | None
    are_counts: bool
    n_rows_of: Mapping[str, Mapping[str, int]]

    def rows_of_levels(self, X: pd.DataFrame) -> dict[int, Mapping[str, int]]:
        """Return the rows of each level by position in X: of columns that no transformer made or changed."""
        told = self.telling.X
        return {
            i: self.n_rows_of[name]
            for i, name in enumerate(map(str, X.columns))
            if name in self.n_rows_of and X.iloc[:, i].equals(told[name])
        }


class _Columns:
    """Levels and ranges of the columns seen so far.

    Attributes
    ----------
    levels : texts and levels by column
    n_rows_of : rows of each; of columns in `written` only of texts that are not such values
    written : columns of many numbers or dates written as text, and which of both
    ranges : smallest and largest number, or moment
    gaps : columns of numbers and dates that have one
    """

    def __init__(self) -> None:
        self.levels: dict[str, set[str]] = {}
        self.n_rows_of: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.written: dict[str, str] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.gaps: set[str] = set()

    def new_rows(self, X: pd.DataFrame, *, are_counted: bool = True) -> list[int]:
        """Return rows that hold a level or an extreme not seen before; count the rows of each level."""
        found: set[int] = set()
        for i, name in enumerate(map(str, X.columns)):
            cells = read_cells("scale.fit", X, i)
            if cells.codes is not None:
                found |= self._new_levels(name, cells)
                if are_counted:
                    self._count(name, cells.codes, cells.levels)
            elif cells.values is not None:
                found |= self._new_extremes(name, cells.values)
        return sorted(found)

    def _new_levels(self, name: str, cells: Cells) -> set[int]:
        codes, levels = cells.codes, cells.levels
        assert codes is not None
        known = self.levels.setdefault(name, set())
        out: set[int] = set()
        for place, level in enumerate(levels):
            if name in self.written:
                return out | self._new_values(name, codes, levels)
            if level not in known and (codes == place).any():
                known.add(level)
                out.add(int(np.argmax(codes == place)))
                if len(known) > MOST_LEVELS:
                    if cells.found != "text":
                        raise ValueError(_too_many(name))
                    self.written[name] = _kind_of_many(name, known)
        return out

    def _count(self, name: str, codes: np.ndarray, levels: tuple[str, ...]) -> None:
        known, counted = self.n_rows_of[name], self.levels[name]
        for level, n in zip(
            levels, np.bincount(codes, minlength=len(levels)).tolist(), strict=True
        ):
            if level in counted:
                known[level] += n

    def join(self, other: _Columns) -> None:
        """Add the rows that another task counted."""
        for name, counted in other.n_rows_of.items():
            self.n_rows_of[name].update(counted)

    def counted(self, n_rows: int) -> dict[str, dict[str, int]]:
        """Return the rows of each level; refuse values of which many are numbers or dates, and some are not."""
        for name, kind in self.written.items():
            _refuse_others(name, kind, self.levels[name], self.n_rows_of[name], n_rows)
        return {name: dict(n) for name, n in self.n_rows_of.items() if name not in self.written}

    def _new_values(self, name: str, codes: np.ndarray, levels: tuple[str, ...]) -> set[int]:
        """Look at many texts as the numbers or dates that they are; any other text is told."""
        values, others = _values_of(self.written[name], levels)
        known = self.levels[name]
        found = {int(np.argmax(codes == place)) for place in others if levels[place] not in known}
        known |= {levels[place] for place in others}
        if len(known) > 2 * MOST_LEVELS:
            raise ValueError(_too_many(name))
        return found | self._new_extremes(name, values[codes])

    def _new_extremes(self, name: str, values: np.ndarray) -> set[int]:
        numbers = values.astype(np.float64)
        if values.dtype.kind == "i":
            numbers[values == np.iinfo(np.int64).min] = np.nan
        gap, found = np.isnan(numbers), set()
        if name not in self.gaps and gap.any():
            self.gaps.add(name)
            found.add(int(np.argmax(gap)))
        if gap.all():
            return found
        low, high = int(np.nanargmin(numbers)), int(np.nanargmax(numbers))
        known = self.ranges.get(name, (np.inf, -np.inf))
        out = found | {
            at
            for at, is_new in ((low, numbers[low] < known[0]), (high, numbers[high] > known[1]))
            if is_new
        }
        self.ranges[name] = (
            min(known[0], float(numbers[low])),
            max(known[1], float(numbers[high])),
        )
        return out


def _kind_of_many(name: str, texts: set[str]) -> str:
    """Tell what a column of very many texts holds, or refuse it in the words of a fit in memory."""
    found = text_kind(sorted(texts - {MISSING}))
    if found.is_misread:
        raise ValueError(f"scale.fit: Column {name!r} of X {found.problem}")
    if found.kind not in _VALUES:
        raise ValueError(_too_many(name))
    return found.kind


def _refuse_others(
    name: str, kind: str, texts: set[str], n_rows_of: Mapping[str, int], n_rows: int
) -> None:
    """Refuse a column of very many numbers or dates if some of its texts are none."""
    known = sorted(texts - {MISSING})
    is_value, _, _ = _VALUES[kind]
    is_other = np.array([not is_value(text) for text in known])
    if not is_other.any():
        return
    rows = np.array([float(n_rows_of.get(text, 0)) for text in known])
    n_left = n_rows - n_rows_of.get(MISSING, 0) - rows[is_other].sum()
    rows[~is_other] = n_left / max((~is_other).sum(), 1)
    found = text_kind(known, rows)
    if found.is_misread:
        raise ValueError(f"scale.fit: Column {name!r} of X {found.problem}")
    raise ValueError(_too_many(name))


def _values_of(kind: str, levels: tuple[str, ...]) -> tuple[np.ndarray, list[int]]:
    """Read texts as numbers or dates; gaps stand for others, whose places come second."""
    is_value, read, gap = _VALUES[kind]
    n = len(levels) - (levels[-1] == MISSING)
    try:
        values, others = read(levels[:n]), []
    except ValueError:
        others = [place for place in range(n) if not is_value(levels[place])]
        fits = np.delete(np.arange(n), others)
        known = read([levels[place] for place in fits])
        values = np.full(n, gap, dtype=known.dtype)
        values[fits] = known
    return np.append(values, np.full(len(levels) - n, gap, dtype=values.dtype)), others


def _too_many(name: str) -> str:
    return (
        f"scale.fit: Column {name!r} of X has more than {MOST_LEVELS:,} different values: it looks like an id or free "
        "text, not like a category. Drop it, columns=[...], or group its values."
    )


def refuse_free_levels(owner: str, kinds: Sequence[ColumnKind], n_rows: int) -> None:
    """Refuse categories that a fit in memory refuses, which sees how many rows there are."""
    for kind in kinds:
        if kind.kind == "category" and has_free_levels(len(kind.levels), n_rows):
            problem = looks_like_free_text(len(kind.levels), n_rows)
            raise ValueError(f"{owner}: Column {kind.name!r} of X {problem}")


class _Weights:
    """What decides how weights are read: as none, as counts, or as sampling weights."""

    def __init__(self) -> None:
        self.low, self.high, self.total, self.n, self.are_whole = np.inf, 0.0, 0.0, 0, True

    def add(self, weight: np.ndarray) -> None:
        self.low, self.high = (
            min(self.low, float(weight.min())),
            max(self.high, float(weight.max())),
        )
        self.total, self.n = self.total + float(weight.sum()), self.n + len(weight)
        self.are_whole &= bool((weight == np.rint(weight)).all())

    def join(self, other: _Weights) -> None:
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.total, self.n = self.total + other.total, self.n + other.n
        self.are_whole &= other.are_whole

    @property
    def are_counts(self) -> bool:
        return self.n > 0 and self.low == 1.0 and self.are_whole

    @property
    def factor(self) -> float | None:
        """None for weights that are all alike, which are none."""
        if self.n == 0 or self.high - self.low <= 1e-12 * self.high:
            return None
        return 1.0 if self.are_counts else self.n / self.total


class Look:
    """The first look at rows as they came: a sample, and rows that tell levels and extremes.

    Parameters
    ----------
    sample_size : rows that are kept
    seed : of the keys by which they are chosen; another one for each task of a cluster
    """

    def __init__(self, sample_size: int, seed: int | list[int]) -> None:
        self._size, self._rng = sample_size, np.random.default_rng(seed)
        self._columns, self._weights = _Columns(), _Weights()
        self._kept: list[RawRows] = []
        self._keys: list[np.ndarray] = []
        self._telling: list[RawRows] = []
        self.n_rows = 0

    def add(self, raw: RawRows) -> None:
        """Take in the rows of a batch."""
        self.n_rows += len(raw.y)
        self._tell(raw)
        if raw.weight is not None:
            self._weights.add(raw.weight)
        self._keep(raw, self._rng.random(len(raw.y)))

    def _tell(self, raw: RawRows, *, are_counted: bool = True) -> None:
        at = self._columns.new_rows(raw.X, are_counted=are_counted)
        self._telling.append(raw.taken(at))

    def _keep(self, raw: RawRows, keys: np.ndarray) -> None:
        self._kept.append(raw)
        self._keys.append(keys)
        if sum(map(len, self._keys)) > 2 * self._size:
            self._kept, self._keys = _smallest(self._kept, self._keys, self._size)

    def within(self, share: float) -> Look:
        """Leave out rows that are hardly among the sample of all tasks, and pack the others."""
        if self._kept:
            rows, keys = joined(self._kept), np.concatenate(self._keys)
            at = np.flatnonzero(keys < share)
            self._kept, self._keys = [rows.taken(at)], [keys[at]]
            self._telling = [joined(self._telling)]
        return self

    def join(self, other: Look) -> None:
        """Take in what another task saw."""
        self.n_rows += other.n_rows
        self._weights.join(other._weights)
        for raw in other._telling:
            self._tell(raw, are_counted=False)
        self._columns.join(other._columns)
        for raw, keys in zip(other._kept, other._keys, strict=True):
            self._keep(raw, keys)

    def found(self) -> Scan:
        """Return what was seen."""
        if self.n_rows == 0:
            raise ValueError("scale.fit: `source` has no rows.")
        kept, _ = _smallest(self._kept, self._keys, self._size)
        weights = self._weights
        telling = joined([kept[0], *self._telling])
        n_rows_of = self._columns.counted(self.n_rows)
        return Scan(self.n_rows, kept[0], telling, weights.factor, weights.are_counts, n_rows_of)


def _smallest(
    kept: list[RawRows], keys: list[np.ndarray], n: int
) -> tuple[list[RawRows], list[np.ndarray]]:
    """Keep the rows of the smallest keys, in the order of the source."""
    rows, key = joined(kept), np.concatenate(keys)
    if len(key) > n:
        at = np.sort(np.argpartition(key, n)[:n])
        rows, key = rows.taken(at), key[at]
    return [rows], [key]
