"""What each column of X is to every estimator, segmenter, profile and metric: decided here alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.cells import MISSING, Cells, column_label, read_cells
from segcate._inputs.part_of_rows import is_part_of_rows
from segcate._inputs.texts import TextKind, microseconds_of, numbers_of, text_kind

_DAY = 86_400_000_000  # microseconds
_NO_MOMENT = np.iinfo(np.int64).min
# A category has at most so many levels, or one for every other row; else it is an id.
_MOST_LEVELS = 20
_MANY_MISSING = 0.5
# Squares of larger numbers leave the range of floating point.
_LARGEST = 1e150
_LOOKS_LIKE_ID = "looks like an id"
# Whole numbers that are an id: nearly all different, and running, or long, or called so.
_SHARE_OF_VALUES, _FEWEST_VALUES, _SPREAD, _LONG = 0.95, 50, 1.05, 1e8
_ID_NAME = re.compile(
    r"(?:^|[^a-z])(?:id|key|no|nr|num|number|account|phone|row)$|[a-z](?:Id|ID|Key|No|Nr|Number|Account|Phone|Row)$"
)
_CODE_NAME = re.compile(r"(?:^|[^a-z])(?:id|code)$|[a-z](?:Id|ID|Code)$")

_TREATMENTS = {"duration": "days", "time": "hours, 0 to 24"}

# Numbers of each row, or of a category the code of its level; None where all are missing.
Content = npt.NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """What one column of X is, and how models take it.

    Attributes
    ----------
    name : name of the column, `x3` for an array
    position : its position in X
    kind : "number", "date", "duration", "time", "category" or "left out"
    found : the same of the values that are there: of a constant number "number"; "nothing" where
        all are missing
    treatment : what is done to it, in words
    note : what a user should know, "" where there is nothing to say
    share_missing : share of rows without a value
    levels : texts of the levels of a category, sorted; the first is the reference; `<missing>` is
        the last where values are missing
    origin : of dates the first one of the fit, in microseconds since 1970 (UTC)
    center, scale : mean and standard deviation of the numbers; 0 and 1 for a category
    """

    name: str
    position: int
    kind: str
    found: str
    treatment: str = "as it is"
    note: str = ""
    share_missing: float = 0.0
    levels: tuple[str, ...] = ()
    origin: int = 0
    center: float = 0.0
    scale: float = 1.0

    @property
    def is_used(self) -> bool:
        """Tell whether models get the column."""
        return self.kind != "left out"

    @property
    def looks_like_id(self) -> bool:
        """Tell whether numbers look like an id."""
        return _LOOKS_LIKE_ID in self.note

    @property
    def is_category(self) -> bool:
        """Tell whether models get levels, and not numbers."""
        return self.kind == "category"


def column_kinds(
    X: Any, positions: Iterable[int] | None = None, *, owner: str = ""
) -> tuple[ColumnKind, ...]:
    """Decide what each column of X is.

    Parameters
    ----------
    X : pandas, polars or Arrow frame, or array, of shape (n_rows, n_columns)
    positions : columns to look at; None: all
    owner : estimator or function that a message names

    Returns
    -------
    tuple of ColumnKind, in the order of `positions`

    Raises
    ------
    TypeError
        If a column holds lists, dicts, bytes, complex numbers, or several Python types.
    ValueError
        If a column of text holds numbers with a few other values among them, dates or numbers in a
        notation that could be read in two ways, free text, or an id.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate._inputs.kinds import column_kinds
    >>> X = pd.DataFrame({"age": ["30", "41.5"], "day": ["2024-01-01", "2024-01-03"], "plan": ["a", "b"]})
    >>> [(column.kind, column.note) for column in column_kinds(X)]
    [('number', 'numbers written as text'), ('date', 'dates: days since 2024-01-01'), ('category', '')]
    """
    chosen = range(X.shape[1]) if positions is None else positions
    return tuple(read_column(owner, X, i)[0] for i in chosen)


def columns_as_they_came(X: Any, positions: Iterable[int]) -> tuple[ColumnKind, ...]:
    """Describe columns that go as they came to a model that was handed in, whatever they hold."""
    found = []
    for i in positions:
        try:
            kind = read_column("", X, i, describe=True)[0]
        except (TypeError, ValueError):
            kind = ColumnKind(column_label(X, i), int(i), "other", "other")
        note = "no value at all" if kind.found == "nothing" else ""
        found.append(replace(kind, kind=kind.found, treatment="as it came", note=note))
    return tuple(found)


def read_column(
    owner: str,
    X: Any,
    position: int,
    *,
    describe: bool = False,
    n_rows_of: Mapping[str, int] | None = None,
) -> tuple[ColumnKind, Content]:
    """Decide what one column of X is, and return its numbers or the codes of its levels.

    They are there for a constant column, too; None where all values are missing. To `describe` a
    column, many levels and free text are no reason to refuse it; nor are they in part of the rows.
    Where X is a part of larger data, `n_rows_of` says how many rows of those hold each text or level.
    """
    describe = describe or is_part_of_rows()
    name = column_label(X, position)
    cells = read_cells(owner, X, position)
    where = f"{owner}: Column {name!r} of X" if owner else f"Column {name!r} of X"
    plain = ColumnKind(name, int(position), "number", "number")
    if cells.found == "nothing":
        return _left_out(plain, "nothing", "no value at all", 1.0), None
    if cells.codes is not None:
        return _read_levels(where, plain, cells, describe, n_rows_of)
    note = "" if cells.is_plain or cells.found != "number" else "numbers in an object column"
    return _read_values(plain, cells.found, cells.values, note)


def _left_out(kind: ColumnKind, found: str, note: str, share: float) -> ColumnKind:
    return replace(
        kind, kind="left out", found=found, treatment="left out", note=note, share_missing=share
    )


def _read_levels(
    where: str,
    kind: ColumnKind,
    cells: Cells,
    describe: bool,
    n_rows_of: Mapping[str, int] | None,
) -> tuple[ColumnKind, Content]:
    """Tell numbers and dates written as text from categories."""
    codes, levels = cells.codes, cells.levels
    assert codes is not None
    has_missing = bool(levels) and levels[-1] == MISSING
    texts = levels[:-1] if has_missing else levels
    counts = np.bincount(codes, minlength=len(levels))
    if n_rows_of is not None:
        counts = np.array([n_rows_of[level] for level in levels])
    if not texts:
        return _left_out(kind, "nothing", "no value at all", 1.0), None
    found = TextKind("category")
    if cells.found == "text":
        found = text_kind(texts, counts[: len(texts)])
    if found.problem and (found.is_misread or not describe):
        raise ValueError(f"{where} {found.problem}")
    if found.kind == "number":
        return _read_values(kind, "number", np.append(numbers_of(texts), np.nan)[codes], found.note)
    if found.kind == "date":
        moments = np.append(microseconds_of(texts), _NO_MOMENT)
        return _read_values(kind, "date", moments[codes], "")
    n = int(counts.sum())
    share = float(counts[-1] / n) if has_missing else 0.0
    if levels[1:] and not describe and has_free_levels(len(levels), n):
        raise ValueError(f"{where} {looks_like_free_text(len(levels), n)}")
    return _category(kind, levels, share, found.note), codes


def has_free_levels(n_levels: int, n_rows: int) -> bool:
    """Tell whether a category has too many levels for its rows."""
    return n_levels > max(_MOST_LEVELS, n_rows / 2)


def looks_like_free_text(n_levels: int, n_rows: int) -> str:
    """Say that a category has too many levels for its rows, to follow "Column 'x' of X "."""
    return (
        f"has {n_levels} different values in {n_rows} rows: it looks like an id or free text, not like a category. "
        "Drop it, or group its values."
    )


def _category(kind: ColumnKind, levels: tuple[str, ...], share: float, note: str) -> ColumnKind:
    if len(levels) == 1:
        return _left_out(replace(kind, levels=levels), "category", "constant", share)
    notes = [note, f"{len(levels)} levels" if len(levels) > _MOST_LEVELS else "", _gaps(share)]
    treatment = (
        f"0/1: 1 is {levels[1]!r}"
        if len(levels) == 2
        else f"{len(levels) - 1} columns of 0/1 beside {levels[0]!r}"
    )
    return replace(
        kind, kind="category", found="category", treatment=treatment, levels=levels,
        note="; ".join(filter(None, notes)), share_missing=share,
    )  # fmt: skip


def _read_values(
    kind: ColumnKind, found: str, values: npt.NDArray[Any] | None, note: str
) -> tuple[ColumnKind, Content]:
    """Describe numbers; count dates from the first one."""
    assert values is not None
    origin, treatment = 0, _TREATMENTS.get(found, "as it is")
    if found == "date":
        origin = int(values[values != _NO_MOMENT].min(initial=np.iinfo(np.int64).max))
        values = days_since(values, origin)
        treatment = f"days since {_day(origin)}"
        note = f"dates: {treatment}"
    elif found != "number":
        note = {"duration": "durations: days", "time": "time of day: hours; wraps at midnight"}[
            found
        ]
    low, high, n_missing = _range(values)
    if n_missing < len(values) and _LARGEST < max(high, -low) < np.inf:
        raise ValueError(
            f"Column {kind.name!r} of X holds {high if high > -low else low:g}; beyond {_LARGEST:g} squares "
            "overflow. Use another unit."
        )
    if n_missing == len(values):
        return _left_out(kind, "nothing", "no value at all", 1.0), None
    share = n_missing / len(values)
    kind = replace(kind, kind=found, found=found, treatment=treatment, origin=origin)
    if low == high and not n_missing:
        return replace(_left_out(kind, found, "constant", 0.0), center=low, scale=0.0), values
    if found == "number":
        note = "; ".join(filter(None, [note, _looks_like_id(kind.name, values, low, high)]))
    center, scale = _moments(values, n_missing)
    note = "; ".join(filter(None, [note, _gaps(share)]))
    return replace(kind, note=note, share_missing=share, center=center, scale=scale), values


def described_name(kind: ColumnKind) -> str:
    """Name a column in a table of means, with the unit where the values have one."""
    return (
        kind.name
        if kind.found in ("number", "category", "nothing")
        else f"{kind.name} ({_unit(kind)})"
    )


def _unit(kind: ColumnKind) -> str:
    if kind.found == "date":
        return f"days since {_day(kind.origin)}"
    return {"duration": "days", "time": "hours"}[kind.found]


def days_since(moments: npt.NDArray[np.int64], origin: int) -> Float:
    """Return moments in microseconds as days since another one, NaN where missing."""
    return np.where(moments == _NO_MOMENT, np.nan, (moments - origin) / _DAY)


def _day(moment: int) -> str:
    text = str(np.datetime64(moment, "us"))
    return (
        text.partition("T")[0]
        if text.endswith("T00:00:00.000000")
        else text.partition(".")[0].replace("T", " ")
    )


def _gaps(share: float) -> str:
    return f"{100 * share:.0f} % missing" if share > _MANY_MISSING else ""


def _range(values: Float) -> tuple[float, float, int]:
    """Return the smallest and the largest value, and how many are missing."""
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if low == low:
        return low, high, 0
    is_missing = np.isnan(values)
    rest = values[~is_missing]
    return (
        float(rest.min(initial=np.inf)),
        float(rest.max(initial=-np.inf)),
        int(is_missing.sum()),
    )


def _moments(values: Float, n_missing: int) -> tuple[float, float]:
    """Return mean and standard deviation of the values that are there."""
    if n_missing:
        values = values[~np.isnan(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        center = float(values.mean())
        gap = values - center
        return center, float(np.sqrt(gap @ gap / len(gap)))


def _looks_like_id(name: str, values: Float, low: float, high: float) -> str:
    """Say that whole numbers look like an id or a code; "" for measurements.

    Only columns whose range or name allows it are counted, so that most cost nothing.
    """
    n, span = len(values), high - low + 1
    is_running = _SHARE_OF_VALUES * n <= span <= _SPREAD * n
    has_name = _ID_NAME.search(name) is not None
    may_be_code = _CODE_NAME.search(name) is not None
    if not (is_running or low >= _LONG or has_name or may_be_code) or not np.isfinite(span):
        return ""
    present = values[~np.isnan(values)]
    if not (present == np.floor(present)).all():
        return ""
    n_values = len(np.unique(present))
    is_distinct = n_values >= max(_SHARE_OF_VALUES * len(present), _FEWEST_VALUES)
    if is_distinct and (is_running or low >= _LONG or has_name):
        return _LOOKS_LIKE_ID
    if may_be_code and n_values < len(present):
        return "if these are codes, make them text or category"
    return ""


def as_used(kind: ColumnKind) -> ColumnKind:
    """Return the record of a column that is used though it is constant; the note stays."""
    if kind.is_used or kind.found == "nothing":
        return kind
    return replace(kind, kind=kind.found, treatment=_TREATMENTS.get(kind.found, "as it is"))


def with_note(kind: ColumnKind, note: str) -> ColumnKind:
    """Return the record with one more note."""
    return replace(kind, note="; ".join(filter(None, [kind.note, note])))


def column_notes(kinds: Sequence[ColumnKind]) -> list[str]:
    """Say what a user should know of the columns, one line a column that has something to say."""
    return [f"{kind.name}: {kind.note}" for kind in kinds if kind.note]


def covariate_table(kinds: Sequence[ColumnKind]) -> pd.DataFrame:
    """Return the table `covariates_`: one row a column, in the order of X."""
    return pd.DataFrame(
        {
            "column": [kind.name for kind in kinds],
            "kind": [kind.kind for kind in kinds],
            "treatment": [kind.treatment for kind in kinds],
            "note": [kind.note for kind in kinds],
            "share_missing": [kind.share_missing for kind in kinds],
        }
    )
