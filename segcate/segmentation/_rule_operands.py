"""Operands of a rule: columns of any container and constants, each of one kind."""

from __future__ import annotations

import datetime
import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Bool
from segcate.segmentation._rule_grammar import RuleProblem, shortened

Kind = Literal["number", "text", "date", "truth", "nothing"]

_NUMBERS: Final = ("integer", "floating", "mixed-integer-float", "decimal")
_DATES: Final = ("datetime", "datetime64", "date", "period")
_DURATIONS: Final = ("timedelta", "timedelta64")
_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class Operand:
    """A column or a constant of a rule.

    Attributes
    ----------
    kind : kind of its values, which decides the comparisons allowed; "nothing" for no values at all
    values : array of shape (n_rows,), or one value; dates are datetime64[us] (UTC where `zone` is set)
    missing : boolean array of shape (n_rows,), or False
    order : levels of an ordered category from low to high, None for all else
    zone : time zone of dates that have one
    """

    kind: Kind
    values: Any
    missing: Any = np.False_
    order: tuple[str, ...] | None = None
    zone: Any = None

    @property
    def is_constant(self) -> bool:
        """Whether it is one value and no column."""
        return np.ndim(self.values) == 0


def read_column(X: Any, position: int, name: str) -> Operand:
    """Return one column of X as an operand.

    Raises
    ------
    RuleProblem
        If its cells are of several kinds, or of a kind that rules do not support.
    """
    column = _as_series(X, position)
    missing = column.isna().to_numpy(dtype=bool)
    order = _order_of(column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype if not missing.any() else object)
    kind = _kind_of(column)
    if kind in _NUMBERS or kind == "boolean":
        return _numbers(column, missing, is_truth=kind == "boolean")
    if kind == "string":
        values = column.astype(object).where(~missing, "").to_numpy(dtype=object)
        return Operand("text", values, missing, order)
    if kind in _DATES:
        return _dates(column, missing, name)
    if kind in _DURATIONS:
        values = pd.to_timedelta(column).to_numpy(dtype="timedelta64[us]") / _DAY
        return Operand("number", values, missing)
    if kind == "empty":
        return Operand("nothing", np.zeros(len(column)), np.ones(len(column), dtype=bool))
    found = sorted({type(value).__name__ for value in column[~missing].head(10_000)})
    raise RuleProblem(
        f"reads column {name!r}, which holds {', '.join(found[:5])}; a rule compares columns of numbers, text, dates "
        "or True and False. Make the column one of them"
    )


def as_date(text: str) -> tuple[np.datetime64, bool]:
    """Return the time that ISO 8601 text names (UTC where it has a zone), and whether it has a zone."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise RuleProblem(
            f"compares a date with {shortened(text)!r}; a date is written 'YYYY-MM-DD', with a time where it is "
            "needed: '2024-03-01 18:00'"
        ) from None
    if found.tzinfo is None:
        return np.datetime64(found, "us"), False
    return np.datetime64(found.astimezone(datetime.UTC).replace(tzinfo=None), "us"), True


def in_zone(time: np.datetime64, zone: Any) -> np.datetime64:
    """Return the UTC time of a clock time in a zone."""
    local = pd.Timestamp(time).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return np.datetime64(local.tz_convert("UTC").tz_localize(None), "us")


def _as_series(X: Any, position: int) -> pd.Series[Any]:
    """Return a column as a pandas Series; whole numbers with gaps stay whole."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, position].reset_index(drop=True)
    if not frames.is_frame(X):
        return pd.Series(np.asarray(X)[:, position])
    frame = nw.from_native(X, eager_only=True)
    column = frame.get_column(frame.columns[position])
    kind = column.dtype
    called = type(kind).__name__  # narwhals 1.20 knows no `is_integer`
    if called.startswith(("Int", "UInt")):
        gaps = np.array(column.is_null().to_numpy())
        whole = np.array(column.fill_null(0).to_numpy())
        return pd.Series(pd.arrays.IntegerArray(whole, gaps) if gaps.any() else whole)
    if called.startswith("Float") or (
        kind == nw.Datetime and getattr(kind, "time_zone", None) is None
    ):
        return pd.Series(column.to_numpy())
    if kind in (nw.Categorical, nw.Enum):
        native = column.to_native().dtype
        levels = [str(level) for level in native.categories] if kind == nw.Enum else []
        texts = column.cast(nw.String).to_list()
        return pd.Series(pd.Categorical(texts, levels, ordered=True) if levels else texts)
    return pd.Series(column.to_list(), dtype=object)


def _order_of(column: pd.Series[Any]) -> tuple[str, ...] | None:
    """Return the levels of an ordered category of texts, low to high."""
    kind = column.dtype
    if not isinstance(kind, pd.CategoricalDtype) or not kind.ordered:
        return None
    levels = kind.categories.tolist()
    return tuple(levels) if all(isinstance(level, str) for level in levels) else None


def _kind_of(column: pd.Series[Any]) -> str:
    """Name what the cells of a column are, as pandas.api.types.infer_dtype does."""
    kind, types = column.dtype, pd.api.types
    if types.is_bool_dtype(kind):
        return "boolean"
    if types.is_any_real_numeric_dtype(kind):
        return "floating"
    if not (isinstance(kind, pd.ArrowDtype) or types.is_object_dtype(kind)):
        return types.infer_dtype(column, skipna=True)
    cells = column.dropna()
    found = types.infer_dtype(cells.astype(object), skipna=True)
    if found in ("mixed", "mixed-integer"):
        are_numbers = all(isinstance(cell, numbers.Real | Decimal) for cell in cells)
        return "mixed-integer-float" if are_numbers else found
    return found


def _numbers(column: pd.Series[Any], missing: Bool, *, is_truth: bool) -> Operand:
    """Return numbers in their own width (comparisons with 0.1 then hold for float32, too)."""
    kind: Kind = "truth" if is_truth else "number"
    own: Any = getattr(column.dtype, "numpy_dtype", column.dtype)
    dtype: Any = np.dtype(bool) if is_truth else own
    if dtype.kind != "O":
        if not missing.any():
            return Operand(kind, column.to_numpy(dtype=dtype), missing)
        if own.kind != "O":
            return Operand(kind, column.to_numpy(dtype=dtype, na_value=dtype.type(0)), missing)
        return Operand(kind, column.where(~missing, False).to_numpy(dtype=dtype), missing)
    cells = column.astype(object).where(~missing, 0).tolist()
    if all(isinstance(cell, numbers.Integral) for cell in cells):
        try:
            return Operand("number", np.array(cells, dtype=np.int64), missing)
        except OverflowError:
            pass
    return Operand("number", np.array([float(cell) for cell in cells]), missing)


def _dates(column: pd.Series[Any], missing: Bool, name: str) -> Operand:
    """Return times in microseconds; those with a zone in UTC."""
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.start_time
    if column.dtype == object or isinstance(column.dtype, pd.ArrowDtype):
        column = _parsed(column.astype(object), missing, name)
    zone = getattr(column.dt, "tz", None)
    if zone is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    values = column.to_numpy(dtype="datetime64[us]")
    return Operand("date", np.where(missing, np.datetime64(0, "us"), values), missing, zone=zone)


def _parsed(column: pd.Series[Any], missing: Bool, name: str) -> pd.Series[Any]:
    """Turn date and time objects into one column of times."""
    cells = [cell.start_time if isinstance(cell, pd.Period) else cell for cell in column[~missing]]
    zones = {str(getattr(cell, "tzinfo", None)) for cell in cells}
    if len(zones) > 1 and "None" in zones:
        raise RuleProblem(
            f"reads column {name!r}, in which some times have a time zone and some have none"
        )
    zone = getattr(cells[0], "tzinfo", None) if len(zones) == 1 else "UTC"
    rows = column.index[~missing]
    parsed = pd.to_datetime(pd.Series(cells, rows, dtype=object), utc=True).reindex(column.index)
    result: pd.Series[Any]
    result = parsed.dt.tz_localize(None) if "None" in zones else parsed.dt.tz_convert(zone)
    return result
