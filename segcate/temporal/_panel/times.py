"""Times of a panel as whole steps, and back: numbers, dates, months, quarters and years."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed

# Frequencies of pandas periods that are whole months.
_OF_MONTHS = ("M", "Q", "Y", "A")
_MONTH_TEXT, _QUARTER_TEXT, _DAY_TEXT = (
    r"\d{4}-(?:0[1-9]|1[0-2])",
    r"\d{4}-?Q[1-4]",
    r"\d{4}-\d{2}-\d{2}(?:[T ]00:00(?::00)?)?",
)
# Weeks as texts, and the format of them with a day behind.
_WEEK_TEXTS = {
    r"\d{4}-W(?:0[1-9]|[1-4]\d|5[0-3])": "%G-W%V-%u",
    r"\d{4}W(?:0[1-9]|[1-4]\d|5[0-3])": "%GW%V-%u",
}
_SPAN_TEXT = r"\d{4}-\d{2}-\d{2}/\d{4}-\d{2}-\d{2}"
# The last day of a month that every month has.
_LAST_COMMON_DAY = 28


@dataclass(frozen=True, slots=True)
class Clock:
    """How a panel counts time.

    Attributes
    ----------
    unit : "number", "nanosecond", "month" or the frequency of pandas periods
    step : float
        Time from row to row, in that unit; a quarter is three months.
    form : "number", "stamp", "period", "month text", "quarter text" or "day text"
        How times are written.
    detail : frequency of the periods, zone of the stamps, or ""
    day : int
        Day of the month of monthly stamps, 0 for the last one.
    clock_time : int
        Nanoseconds since midnight of monthly stamps.
    is_date : bool
        Whether stamps are `datetime.date`.
    """

    unit: str
    step: float = 1.0
    form: str = "number"
    detail: str = ""
    day: int = 1
    clock_time: int = 0
    is_date: bool = False

    def text(self, step: float) -> str:
        """Write a length of time."""
        if self.unit == "nanosecond":
            return str(pd.Timedelta(int(step), unit="ns"))
        if self.unit == "month":
            return f"{step:g} month" + ("s" if step != 1 else "")
        return f"{step:g}"

    def write(self, numbers: Float, like: npt.NDArray[Any]) -> Any:
        """Write times as the panel does; `like` holds some of its own."""
        if self.form == "number":
            return np.round(numbers).astype(like.dtype) if like.dtype.kind in "iu" else numbers
        whole = np.round(numbers).astype(np.int64)
        if self.form == "period":
            freq = "M" if self.unit == "month" else self.detail
            periods = pd.Series(pd.arrays.PeriodArray(whole, dtype=pd.PeriodDtype(freq)))
            return periods.dt.asfreq(self.detail).to_numpy()
        if self.form in ("month text", "quarter text"):
            return _texts(whole, is_quarter=self.form == "quarter text", like=like)
        return self._stamps(whole, like)

    def _stamps(self, whole: npt.NDArray[np.int64], like: npt.NDArray[Any]) -> Any:
        stamps = self._at_months(whole) if self.unit == "month" else whole.astype("datetime64[ns]")
        if self.form == "day text" or self.is_date:
            days = stamps.astype("datetime64[D]")
            found = days.astype(object) if self.is_date else days.astype(str).astype(object)
            return np.asarray(found)
        if not self.detail:
            return stamps.astype(like.dtype) if like.dtype.kind == "M" else stamps
        index = pd.DatetimeIndex(stamps)
        if self.unit == "month":
            return index.tz_localize(self.detail, ambiguous=True, nonexistent="shift_forward")
        return index.tz_localize("UTC").tz_convert(self.detail)

    def _at_months(self, months: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        starts = (months + (self.day == 0)).astype("datetime64[M]").astype("datetime64[D]")
        days = starts + (self.day - 1)
        return days.astype("datetime64[ns]") + np.timedelta64(self.clock_time, "ns")


def read_times(owner: str, column: pd.Series[Any], unit: str | None) -> tuple[Float, Clock]:
    """Return times as numbers, and how they are counted; the step is still open.

    Parameters
    ----------
    unit : unit of the clock seen in fit; None in fit itself
    """
    name = str(column.name)
    n_missing = int(column.isna().sum())
    if n_missing:
        raise ValueError(
            f"{owner}: column {name!r} has {n_missing} missing values. Give every row its time."
        )
    if isinstance(column.dtype, pd.PeriodDtype):
        found = _read_periods(column)
    elif column.dtype.kind == "M":
        found = _read_stamps(owner, column, unit)
    elif column.dtype.kind in "iuf":
        numbers = column.to_numpy().astype(np.float64)
        _refuse_packed_months(owner, name, numbers)
        _refuse_packed_weeks(owner, name, numbers)
        found = numbers, Clock("number")
    else:
        found = _read_texts(owner, column, unit)
    if unit is not None and found[1].unit != unit:
        raise ValueError(
            f"{owner}: column {name!r} counts time by {_counted(found[1].unit)}, that of the fit by "
            f"{_counted(unit)}. Write times as in the fit."
        )
    return found


def check_steps(
    owner: str,
    name: str,
    unit: Int,
    time: Float,
    ids: npt.NDArray[Any],
    clock: Clock,
    step: float | None,
) -> tuple[Clock, Int]:
    """Choose the step; return the clock with it, and how many steps each row lies after the one before.

    Rows are sorted by unit and time; the first of each unit has 0. Steps may be left out, but most
    rows must be one step behind the one before.
    """
    same_unit = unit[1:] == unit[:-1]
    gaps = np.diff(time)[same_unit]
    owners = ids[unit[1:][same_unit]]
    if (gaps == 0).any():
        raise ValueError(
            f"{owner}: {int((gaps == 0).sum())} rows have the same {name!r} as another row of "
            f"their unit (units {listed(np.unique(owners[gaps == 0]))}). Keep one row a unit and time."
        )
    if step is None:
        # The middle one, so that a few odd rows are what is reported, not all others.
        step = float(np.quantile(gaps, 0.5, method="lower")) if len(gaps) else 1.0
    n_steps = np.round(gaps / step)
    is_off = (n_steps < 1) | (np.abs(gaps - n_steps * step) > 1e-6 * abs(step))
    is_longer = is_off | (n_steps > 1)
    # Where more rows would be missing than are there, the step is not understood.
    if is_off.any() or is_longer.sum() > len(gaps) / 2 or n_steps.sum() > 2 * len(gaps):
        shown = is_off if is_off.any() else is_longer
        advice = (
            "If each row stands for a month, whatever its day, turn times into months: "
            f"panel[{name!r}].dt.to_period('M'). Else resample to equal steps; a step may be left out."
            if clock.form == "stamp"
            else "Resample to equal steps before the fit; a step of a unit may be left out."
        )
        raise ValueError(
            f"{owner}: times are irregular: {int(shown.sum())} of {len(gaps)} steps differ from "
            f"{clock.text(step)} (units {listed(np.unique(owners[shown]))}). {advice}"
        )
    after = np.zeros(len(unit), dtype=np.intp)
    after[1:][same_unit] = n_steps.astype(np.intp)
    return replace(clock, step=step), after


def _counted(unit: str) -> str:
    return {"number": "numbers", "nanosecond": "dates", "month": "months"}.get(
        unit, f"periods of frequency {unit}"
    )


def _read_periods(column: pd.Series[Any]) -> tuple[Float, Clock]:
    freq = str(column.dtype).removeprefix("period[").removesuffix("]")
    is_month = freq.partition("-")[0] in _OF_MONTHS
    counted = column.dt.asfreq("M", how="end") if is_month else column
    numbers = np.asarray(counted.astype("int64"), dtype=np.float64)
    return numbers, Clock("month" if is_month else freq, form="period", detail=freq)


def _read_stamps(owner: str, column: pd.Series[Any], unit: str | None) -> tuple[Float, Clock]:
    """Read stamps as months where all stand at the same place of one, else as nanoseconds."""
    zone = str(column.dtype.tz) if isinstance(column.dtype, pd.DatetimeTZDtype) else ""
    wall = column.dt.tz_localize(None) if zone else column
    ns = wall.to_numpy().astype("datetime64[ns]")
    days = ns.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    day = (days - months).astype(np.int64) + 1
    is_end = (days + 1).astype("datetime64[M]") > months
    time_of_day = (ns - days).astype(np.int64)
    # In fit one month alone is no sign of months.
    is_monthly = bool((time_of_day == time_of_day[0]).all()) and (
        unit == "month" or len(np.unique(months)) > 1
    )
    same_day = bool((day == day[0]).all()) and day[0] <= _LAST_COMMON_DAY
    if unit != "nanosecond" and is_monthly and (same_day or bool(is_end.all())):
        place = int(day[0]) if same_day else 0
        clock = Clock("month", form="stamp", detail=zone, day=place, clock_time=int(time_of_day[0]))
        return months.astype(np.int64).astype(np.float64), clock
    if unit == "month":
        raise ValueError(
            f"{owner}: column {column.name!r} counted months in fit, and here its dates do not stand at "
            "the same place of a month. Turn both into months, for example with .dt.to_period('M')."
        )
    if zone:
        ns = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    return ns.astype(np.int64).astype(np.float64), Clock("nanosecond", form="stamp", detail=zone)


def _read_texts(owner: str, column: pd.Series[Any], unit: str | None) -> tuple[Float, Clock]:
    """Read months, quarters and days in ISO form, and `datetime.date`."""
    values = column.astype(object)
    if all(isinstance(value, datetime.date) for value in values):
        is_plain = not any(isinstance(value, datetime.datetime) for value in values)
        stamps = pd.Series(pd.to_datetime(values.tolist()), name=column.name)
        numbers, clock = _read_stamps(owner, stamps, unit)
        return numbers, replace(clock, is_date=is_plain)
    texts = values[[isinstance(value, str) for value in values]].astype(str)
    if len(texts) == len(values):
        if texts.str.fullmatch(_MONTH_TEXT).all():
            months = texts.to_numpy().astype("datetime64[M]").astype(np.int64)
            return months.astype(np.float64), Clock("month", form="month text")
        if texts.str.fullmatch(_QUARTER_TEXT).all():
            years, quarters = texts.str[:4].astype(int), texts.str[-1].astype(int)
            ends = ((years - 1970) * 12 + quarters * 3 - 1).to_numpy()
            return ends.astype(np.float64), Clock("month", form="quarter text")
        if texts.str.fullmatch(_DAY_TEXT).all():
            stamps = pd.Series(pd.to_datetime(texts.str[:10]), name=column.name)
            numbers, clock = _read_stamps(owner, stamps, unit)
            return numbers, replace(clock, form="day text")
    found = pd.unique(values)[:3]
    way = _way_to_times(str(column.name), texts) if len(texts) == len(values) else None
    raise TypeError(
        f"{owner}: column {column.name!r} must hold numbers, dates, pandas periods, or texts such as "
        f"'2024-03', '2024Q1' or '2024-03-31'; it holds {listed(found)} ({column.dtype}). "
        + (
            way
            or "Convert it with pandas.to_datetime, and then with .dt.to_period('M') where rows stand for months."
        )
    )


def _way_to_times(name: str, texts: pd.Series[Any]) -> str | None:
    """Return what turns weeks, spans of days and texts of numbers into times, for what it is."""
    here = f"panel[{name!r}]"
    for pattern, form in _WEEK_TEXTS.items():
        if texts.str.fullmatch(pattern).all():
            return f"Turn weeks into their Mondays: pandas.to_datetime({here} + '-1', format={form!r})."
    if texts.str.fullmatch(_SPAN_TEXT).all():
        return f"Take the first day of each: pandas.to_datetime({here}.str[:10])."
    if pd.to_numeric(texts, errors="coerce").notna().all():
        return f"Turn it into numbers: pandas.to_numeric({here})."
    return None


def _texts(months: npt.NDArray[np.int64], *, is_quarter: bool, like: npt.NDArray[Any]) -> Any:
    if not is_quarter:
        return months.astype("datetime64[M]").astype(str).astype(object)
    years, inside = 1970 + months // 12, months % 12
    dash = "-" if "-" in str(like.flat[0]) else ""
    texts: Sequence[str] = [f"{y}{dash}Q{m // 3 + 1}" for y, m in zip(years, inside, strict=True)]
    return np.array(texts, dtype=object)


def _refuse_packed_months(owner: str, name: str, numbers: Float) -> None:
    """Refuse 202312, 202401: as numbers they are 89 apart."""
    distinct = np.unique(numbers)
    is_packed = (distinct >= 190001) & (distinct <= 210012) & (distinct % 100 <= 12)
    is_packed &= (distinct % 100 >= 1) & (distinct % 1 == 0)
    if is_packed.all() and len(np.unique(distinct // 100)) > 1:
        raise ValueError(
            f"{owner}: column {name!r} holds whole numbers from {distinct[0]:.0f} to {distinct[-1]:.0f}, which "
            "look like years and months; as numbers, December and January lie 89 apart. Turn them into "
            f"months: pandas.to_datetime(panel[{name!r}].astype(str), format='%Y%m')."
        )


def _refuse_packed_weeks(owner: str, name: str, numbers: Float) -> None:
    """Refuse 202352, 202401: as numbers they are 49 apart, while weeks of a year are few."""
    distinct = np.unique(numbers)
    week = distinct % 100
    if not ((distinct >= 190001) & (distinct <= 210053) & (week >= 1) & (week <= 53)).all():
        return
    is_year_end = np.diff(distinct // 100) > 0
    jumps, inside = np.diff(distinct)[is_year_end], np.diff(distinct)[~is_year_end]
    if not (distinct % 1 == 0).all() or len(jumps) == 0 or len(inside) == 0:
        return
    # Every year ends within a few weeks of the next one's first, and weeks of a year lie close together.
    if jumps.max() < 100 and np.median(inside) < jumps.min() / 2:
        raise ValueError(
            f"{owner}: column {name!r} holds whole numbers from {distinct[0]:.0f} to {distinct[-1]:.0f}, which "
            f"look like years and weeks; as numbers, the last week of a year and the next lie {jumps.min():.0f} "
            "apart. Turn weeks into their Mondays: "
            f"pandas.to_datetime(panel[{name!r}].astype(int).astype(str) + '-1', format='%G%V-%u')."
        )
