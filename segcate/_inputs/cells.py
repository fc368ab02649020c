"""The cells of one column, whatever its container and type: numbers, moments, or levels."""

from __future__ import annotations

import datetime as dt
import enum
import numbers
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int

# What a missing value of a category is called.
MISSING = "<missing>"
_NO_MOMENT = np.iinfo(np.int64).min
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Cells:
    """One column as it was found.

    Attributes
    ----------
    found : "number", "text", "category", "date", "duration", "time" or "nothing"
    values : array of shape (n_rows,), or None
        float64 numbers, hours of a time of day, days of a duration, NaN where missing; of dates
        int64 microseconds since 1970 in UTC, the smallest integer where missing.
    codes : intp array of shape (n_rows,), or None
        Of text and categories the level of each row, sorted, missing ones last.
    levels : text of each level, `<missing>` for missing values
    is_plain : whether the type of the column itself says what it is
    """

    found: str
    n_rows: int
    values: npt.NDArray[Any] | None = None
    codes: Int | None = None
    levels: tuple[str, ...] = ()
    is_plain: bool = True

    @property
    def is_missing(self) -> npt.NDArray[np.bool_]:
        """Mark the rows without a value."""
        if self.codes is not None:
            has_missing = bool(self.levels) and self.levels[-1] == MISSING
            return np.asarray((self.codes == len(self.levels) - 1) & has_missing)
        if self.values is None:
            return np.ones(self.n_rows, dtype=bool)
        if self.values.dtype.kind == "i":
            return np.asarray(self.values == _NO_MOMENT)
        return np.asarray(np.isnan(self.values))


def column_label(X: Any, position: int) -> str:
    """Name a column for a message: its name in a frame, `x3` in an array."""
    names = frames.column_names(X)
    return names[position] if names is not None else f"x{position}"


def level_text(value: Any) -> str:
    """Write a level of a category as text."""
    return MISSING if frames.is_missing(value) else str(value)


def read_cells(owner: str, X: Any, position: int) -> Cells:
    """Read one column of a frame or array.

    Raises
    ------
    TypeError
        If the column holds lists, dicts, bytes, complex numbers or several Python types.
    """
    name = f"{owner}: " if owner else ""
    name = f"{name}Column {column_label(X, position)!r} of X"
    if isinstance(X, pd.DataFrame):
        return _from_pandas(name, X.iloc[:, position])
    if frames.is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        return _from_narwhals(name, frame.get_column(frame.columns[position]))
    return _from_array(name, np.asarray(X)[:, position])


def _from_pandas(name: str, column: pd.Series[Any]) -> Cells:
    kind = column.dtype
    if isinstance(kind, np.dtype):
        return _from_array(name, column.to_numpy())
    if isinstance(kind, pd.CategoricalDtype):
        return _of_categories(column)
    if isinstance(kind, pd.IntervalDtype):
        return _levels("category", column.to_numpy())
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_any_real_numeric_dtype(kind):
        return Cells("number", len(column), column.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(kind, pd.StringDtype) or "string" in str(kind):
        return _levels("text", column)
    if isinstance(kind, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    elif isinstance(kind, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if column.dtype.kind == "M" and isinstance(column.dtype, np.dtype):
        return _moments(column.to_numpy())
    return _from_objects(name, column.to_numpy(dtype=object), is_plain=True)


def _of_categories(column: pd.Series[Any]) -> Cells:
    """Read a categorical column; whole numbers are ordered and written as such, also beside missing values."""
    kept = column.cat.categories
    if kept.dtype.kind not in "iu":
        return _levels("category", column.to_numpy())
    codes = column.cat.codes.to_numpy().astype(np.intp)
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(kept) + 1)[1:])
    used = used[np.argsort(kept.to_numpy(dtype=np.int64)[used])]
    place = np.full(len(kept) + 1, len(used), dtype=np.intp)  # the last one is of missing values
    place[used] = np.arange(len(used))
    levels = tuple(map(str, kept[used].tolist()))
    has_gaps = bool((codes < 0).any())
    return Cells(
        "category",
        len(codes),
        codes=place[codes],
        levels=(*levels, MISSING) if has_gaps else levels,
    )


_NESTED = frozenset({"List", "Array", "Struct", "Binary"})


def _from_narwhals(name: str, column: nw.Series[Any]) -> Cells:
    kind = column.dtype
    if kind == nw.Decimal:  # by way of text: Arrow's own cast misses the nearest float
        column = column.cast(nw.String)
    if kind.is_numeric() or kind == nw.Boolean:
        values = column.cast(nw.Float64).to_numpy()
        return Cells("number", len(column), np.asarray(values, dtype=np.float64))
    if kind == nw.String:
        return _levels("text", np.asarray(column.to_numpy(), dtype=object))
    if kind in (nw.Categorical, nw.Enum):
        return _levels("category", np.asarray(column.to_numpy(), dtype=object))
    if kind in (nw.Date, nw.Datetime, nw.Duration):
        return _from_array(name, np.asarray(column.to_numpy()))
    if type(kind).__name__ in _NESTED:  # narwhals 1.20 knows no `is_nested`
        cells = [cell for cell in column.head(1000).to_list() if cell is not None]
        raise TypeError(_nested(name, str(kind), cells[0] if cells else None))
    if column.null_count() == len(column):
        return Cells("nothing", len(column))
    objects = np.empty(len(column), dtype=object)
    objects[:] = column.to_list()
    return _from_objects(name, objects, is_plain=True)


def _from_array(name: str, column: npt.NDArray[Any]) -> Cells:
    kind = column.dtype.kind
    if kind in "iufb":
        return Cells("number", len(column), column.astype(np.float64))
    if kind == "M":
        return _moments(column)
    if kind == "m":
        return Cells("duration", len(column), _days(column))
    if kind in "UT":
        return _levels("text", column.astype(object))
    if kind == "O":
        return _from_objects(name, column, is_plain=False)
    raise TypeError(
        _nested(name, {"c": "complex", "S": "bytes"}.get(kind, str(column.dtype)), column[0])
    )


def _moments(column: npt.NDArray[Any]) -> Cells:
    return Cells("date", len(column), column.astype("datetime64[us]").astype(np.int64))


def _days(column: npt.NDArray[Any]) -> Float:
    """Return durations in days, NaN where missing."""
    spans = column.astype("timedelta64[us]").astype(np.int64)
    return np.where(spans == _NO_MOMENT, np.nan, spans / _DAY)


def _levels(found: str, column: Any, *, is_plain: bool = True) -> Cells:
    codes, levels = frames.sorted_codes(column)
    return Cells(
        found,
        len(codes),
        codes=codes,
        levels=tuple(map(level_text, levels.tolist())),
        is_plain=is_plain,
    )


# The kinds of Python objects that a column may hold, the first that fits.
_CLASSES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("number", (bool, np.bool_, numbers.Real, Decimal, np.integer, np.floating)),
    ("text", (str,)),
    ("date", (dt.date, np.datetime64, pd.Period)),
    ("duration", (dt.timedelta, np.timedelta64)),
    ("time", (dt.time,)),
    ("category", (enum.Enum, uuid.UUID, pd.Interval)),
)


def _class_of(kind: type) -> str:
    return next((found for found, kinds in _CLASSES if issubclass(kind, kinds)), "nested")


def _from_objects(name: str, column: npt.NDArray[Any], *, is_plain: bool) -> Cells:
    """Read a column of Python objects by their types."""
    is_missing = np.asarray(pd.isna(column))
    present = column[~is_missing] if is_missing.any() else column
    if not len(present):
        return Cells("nothing", len(column))
    kinds = set(map(type, present))
    found = {_class_of(kind) for kind in kinds}
    if "nested" in found or len(found) > 1:
        raise TypeError(_mixed(name, present, kinds))
    what = found.pop()
    if what in ("text", "category"):
        return _levels(what, column, is_plain=is_plain)
    if what == "number":
        return Cells("number", len(column), _floats(column, is_missing), is_plain=is_plain)
    codes, values = pd.factorize(column)
    read = {"date": _moment, "duration": _span, "time": _hours}[what]
    try:
        content = np.array([read(value) for value in values] + [_GAPS[what]])
    except TypeError as error:
        raise TypeError(f"{name} {error}") from None
    return Cells(what, len(column), content[codes], is_plain=is_plain)


_GAPS = {"date": _NO_MOMENT, "duration": np.nan, "time": np.nan}


def _floats(column: npt.NDArray[Any], is_missing: npt.NDArray[np.bool_]) -> Float:
    if is_missing.any():
        column = np.where(is_missing, np.nan, column)
    return column.astype(np.float64)


def _moment(value: Any) -> int:
    """Return a date as microseconds since 1970, in UTC."""
    if isinstance(value, pd.Period):
        value = value.start_time
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        value = (
            np.datetime64(value, "us") if not isinstance(value, pd.Timestamp) else value.to_numpy()
        )
    return int(np.datetime64(value, "us").astype(np.int64))


def _span(value: Any) -> float:
    """Return a duration in days."""
    if isinstance(value, dt.timedelta):
        return value / dt.timedelta(days=1)
    return float(np.timedelta64(value, "us").astype(np.int64) / _DAY)


def _hours(value: dt.time) -> float:
    """Return a time of day in hours."""
    return value.hour + value.minute / 60 + (value.second + value.microsecond / 1e6) / 3600


_ADVICE = "make columns of numbers or text of them, or leave it out."
_PLURALS = {"list": "lists", "dict": "dicts", "set": "sets", "tuple": "tuples", "ndarray": "arrays"}


def _nested(name: str, kind: str, cell: Any) -> str:
    return (
        f"{name} holds {_PLURALS.get(kind, f'values of type {kind}')} ({_short(cell)}); {_ADVICE}"
    )


def _mixed(name: str, present: Iterable[Any], kinds: set[type]) -> str:
    """Name the types of a column, and one cell of each."""
    first: dict[str, Any] = {}
    for cell in present:
        first.setdefault(type(cell).__name__, cell)
        if len(first) == len(kinds):
            break
    if len(first) == 1:
        ((kind, cell),) = first.items()
        return _nested(name, kind, cell)
    found = ", ".join(f"{kind} ({_short(cell)})" for kind, cell in sorted(first.items()))
    return f"{name} holds values of several types: {found}; make it one type, {_ADVICE}"


def _short(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
