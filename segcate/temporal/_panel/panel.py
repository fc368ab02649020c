"""A panel of units over time as arrays: what every temporal model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.cells import level_text
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.encoding import encode_columns, read_again
from segcate._inputs.kinds import ColumnKind
from segcate._inputs.listing import listed

# What pandas calls columns of numbers, gaps aside; "empty" is one that has nothing but gaps.
_NUMERIC = ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty")


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column of a panel is what.

    Attributes
    ----------
    treatment, outcome, covariates, static : names of columns
    id, time : names of the columns, or index levels, of the unit and of the time
    """

    treatment: tuple[str, ...]
    outcome: tuple[str, ...]
    covariates: tuple[str, ...]
    static: tuple[str, ...]
    id: str
    time: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Units over time, one row of an array a unit, padded with zeros behind the last step.

    Attributes
    ----------
    ids : array of shape (n_units,), sorted
    first : array of shape (n_units,)
        Time of the first row of each unit.
    step : float
        Time from one row to the next.
    n_steps : intp array of shape (n_units,)
        Rows of each unit.
    outcome : float64 array of shape (n_units, n_times, n_outcomes)
    treatment : float64 array of shape (n_units, n_times, n_treatments), values 0 and 1
        Given at a step; it moves the outcome of the next one.
    covariates : float64 array of shape (n_units, n_times, n_covariates)
    static : float64 array of shape (n_units, n_static)
        Text and categories as 0/1 columns.
    static_names : names of the columns of `static`
    """

    ids: npt.NDArray[Any]
    first: npt.NDArray[Any]
    step: Any
    n_steps: Int
    outcome: Float
    treatment: Float
    covariates: Float
    static: Float
    static_names: tuple[str, ...]

    @property
    def n_units(self) -> int:
        """Count the units."""
        return len(self.ids)

    def take(self, units: npt.NDArray[Any]) -> Panel:
        """Return the panel of some units, by position."""
        longest = int(self.n_steps[units].max())
        return Panel(
            self.ids[units],
            self.first[units],
            self.step,
            self.n_steps[units],
            self.outcome[units, :longest],
            self.treatment[units, :longest],
            self.covariates[units, :longest],
            self.static[units],
            self.static_names,
        )


def read_panel(
    owner: str,
    panel: Any,
    roles: Roles,
    *,
    min_steps: int = 1,
    static_names: Sequence[str] | None = None,
    step: Any = None,
) -> Panel:
    """Turn a long frame into arrays, and say what is wrong with it.

    Parameters
    ----------
    panel : frame with one row a unit and time, in any order
        The id and time are columns, or levels of a pandas MultiIndex.
    min_steps : int
        Rows that every unit must have.
    static_names : names of the encoded static columns seen in fit; None in fit itself
    step : time from row to row seen in fit; None in fit itself
    """
    frame = _as_frame(owner, panel, roles)
    unit, ids = frames.sorted_codes(frame[roles.id].to_numpy())
    if len(ids) and frames.is_missing(ids.tolist()[-1]):
        raise ValueError(
            f"{owner}: column {roles.id!r} has missing values. Give every row its unit."
        )
    time = _times(owner, frame, roles)
    order = np.lexsort((time, unit))
    unit, time = unit[order], time[order]
    n_steps = np.bincount(unit, minlength=len(ids)).astype(np.intp)
    is_date = pd.api.types.is_datetime64_any_dtype(frame[roles.time])
    step = _check_times(owner, roles, unit, time, ids, step, is_date)
    _check_lengths(owner, ids, n_steps, min_steps)
    start = np.cumsum(n_steps) - n_steps
    at = (unit, np.arange(len(unit)) - start[unit])
    shape = (len(ids), int(n_steps.max()))
    is_last = np.zeros(len(unit), dtype=bool)
    is_last[start + n_steps - 1] = True
    columns = {
        name: _numbers(owner, role, frame[name])[order]
        for role in ("outcome", "treatment", "covariates")
        for name in getattr(roles, role)
    }
    static, names = _static(owner, frame.iloc[order[start]], roles, static_names)
    _check_static(owner, frame, roles, order, unit, start)
    return Panel(
        ids=ids,
        first=frame[roles.time].iloc[order[start]].to_numpy(),
        step=step,
        n_steps=n_steps,
        outcome=_padded(owner, columns, roles.outcome, "outcome", at, shape),
        treatment=_padded(
            owner, _flags(owner, columns, roles.treatment, is_last), roles.treatment, "treatment",
            at, shape,
        ),
        covariates=_padded(owner, columns, roles.covariates, "covariates", at, shape),
        static=static,
        static_names=names,
    )  # fmt: skip


def units_of_rows(owner: str, panel: Any, roles: Roles) -> Int:
    """Return the position of each row's unit among the sorted ids, for a panel that was read."""
    frame = _as_frame(owner, panel, roles)
    return frames.sorted_codes(frame[roles.id].to_numpy())[0]


def _value_columns(roles: Roles) -> tuple[str, ...]:
    return (*roles.outcome, *roles.treatment, *roles.covariates)


def _as_frame(owner: str, panel: Any, roles: Roles) -> pd.DataFrame:
    """Bring a frame with the columns needed, whatever it came in."""
    refuse_no_table(owner, panel, "panel")
    if isinstance(panel, pd.DataFrame):
        frame = panel
        in_index = [name for name in (roles.id, roles.time) if name in (panel.index.names or [])]
        if in_index:
            frame = panel.reset_index(level=in_index)
    elif frames.is_frame(panel):
        names = frames.column_names(panel) or []
        frame = pd.DataFrame({n: frames.column_values(panel, j) for j, n in enumerate(names)})
    else:
        raise TypeError(
            f"{owner}: `panel` must be a data frame with one row a unit and time; got "
            f"{type(panel).__name__}. Columns are found by name, so arrays do not serve."
        )
    wanted = (roles.id, roles.time, *_value_columns(roles), *roles.static)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(
            f"{owner}: `panel` has no column {listed(missing)}; its columns are "
            f"{listed(frame.columns.astype(str), 12)}. Name them in the constructor."
        )
    if len(frame) == 0:
        raise ValueError(f"{owner}: `panel` has no rows; at least one unit is needed.")
    return frame


def _times(owner: str, frame: pd.DataFrame, roles: Roles) -> Float:
    """Return times as numbers: dates as nanoseconds."""
    values = frame[roles.time]
    n_missing = int(values.isna().sum())
    if n_missing:
        raise ValueError(
            f"{owner}: column {roles.time!r} has {n_missing} missing values. Give every row its time."
        )
    if isinstance(values.dtype, pd.PeriodDtype):
        return np.asarray(values.astype("int64"), dtype=np.float64)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    if values.dtype.kind == "M":
        return values.to_numpy().astype("datetime64[ns]").astype(np.int64).astype(np.float64)
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"{owner}: column {roles.time!r} must hold numbers or dates; its type is "
            f"{values.dtype}. Convert it, for example with pandas.to_datetime."
        )
    return values.to_numpy().astype(np.float64)


def _check_times(
    owner: str,
    roles: Roles,
    unit: Int,
    time: Float,
    ids: npt.NDArray[Any],
    step: Any,
    is_date: bool,
) -> float:
    """Return the time from row to row; refuse rows at the same time, and gaps."""
    same_unit = unit[1:] == unit[:-1]
    gaps = np.diff(time)[same_unit]
    owners = ids[unit[1:][same_unit]]
    if (gaps == 0).any():
        raise ValueError(
            f"{owner}: {int((gaps == 0).sum())} rows have the same {roles.time!r} as another row of "
            f"their unit (units {listed(np.unique(owners[gaps == 0]))}). Keep one row a unit and time."
        )
    if step is None:
        # The middle one, so that a few odd rows are what is reported, not all others.
        step = float(np.quantile(gaps, 0.5, method="lower")) if len(gaps) else 1.0
    wanted = float(step)
    is_off = np.abs(gaps - wanted) > 1e-6 * abs(wanted)
    if is_off.any():
        text = str(pd.Timedelta(int(wanted), unit="ns")) if is_date else f"{wanted:g}"
        raise ValueError(
            f"{owner}: times are irregular: {int(is_off.sum())} of {len(gaps)} steps differ from "
            f"{text} (units {listed(np.unique(owners[is_off]))}). "
            "Resample to equal steps, and fill or model what is missing, before the fit; months are "
            "equal steps as pandas periods."
        )
    return wanted


def _check_lengths(owner: str, ids: npt.NDArray[Any], n_steps: Int, min_steps: int) -> None:
    short = n_steps < min_steps
    if short.any():
        raise ValueError(
            f"{owner}: {int(short.sum())} of {len(ids)} units have fewer than {min_steps} rows "
            f"({listed(ids[short])}); a step from one row to the next is what is learned from. "
            "Leave those units out."
        )


def _numbers(owner: str, role: str, column: pd.Series[Any]) -> Float:
    """Return a column as floats, gaps as NaN; refuse what is no number."""
    found = pd.api.types.infer_dtype(column, skipna=True)
    if found not in _NUMERIC:
        raise TypeError(
            f"{owner}: column {column.name!r} ({role}) must hold numbers; it holds {found} values. "
            "Recode it, for example with pandas.get_dummies."
        )
    numbers = column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(numbers, dtype=np.float64)


def _padded(
    owner: str,
    columns: dict[str, Float],
    names: Sequence[str],
    role: str,
    at: tuple[Int, Int],
    shape: tuple[int, int],
) -> Float:
    """Spread columns over units and times."""
    out = np.zeros((*shape, len(names)))
    for j, name in enumerate(names):
        numbers = columns[name]
        n_bad = int((~np.isfinite(numbers)).sum())
        if n_bad:
            raise ValueError(
                f"{owner}: column {name!r} ({role}) is NaN or infinite in {n_bad} of {len(numbers)} "
                "rows. Fill the gaps (carry the last value forward), or cut units off before them."
            )
        out[(*at, np.full(len(numbers), j))] = numbers
    return out


def _flags(
    owner: str,
    columns: dict[str, Float],
    names: Sequence[str],
    is_last: npt.NDArray[np.bool_],
) -> dict[str, Float]:
    """Check that treatments are 0/1; the last row's may be open, as it is the plan's to choose."""
    found = {}
    for name in names:
        values = np.where(is_last & np.isnan(columns[name]), 0.0, columns[name])
        bad = ~np.isin(values, (0.0, 1.0)) & ~np.isnan(values)
        if bad.any():
            raise ValueError(
                f"{owner}: treatment {name!r} must hold 0 and 1; found "
                f"{{{listed(np.unique(values[bad]))}}} in {int(bad.sum())} rows. Code an arm or a "
                "dose level as a column of its own."
            )
        found[name] = values
    return found


def _static(
    owner: str, rows: pd.DataFrame, roles: Roles, names: Sequence[str] | None
) -> tuple[Float, tuple[str, ...]]:
    """Encode what does not change over time, in the columns seen in fit."""
    part = rows[list(roles.static)]
    if names is None:
        encoded = encode_columns(
            part, range(part.shape[1]), drop_first=False, keep_all=True, owner=owner
        )
        dates = [kind.name for kind in encoded.kinds if kind.found == "date"]
        if dates:
            raise TypeError(
                f"{owner}: static columns {listed(dates)} hold dates. Turn them into numbers, for example the days "
                "since a fixed date, or leave them out."
            )
        values, names = encoded.values, encoded.names
    else:
        values = np.hstack(
            [np.empty((len(part), 0))]
            + [_static_again(owner, part, i, names) for i in range(part.shape[1])]
        )
    bad = [n for n, c in zip(names, values.T, strict=True) if not np.isfinite(c).all()]
    if bad:
        raise ValueError(
            f"{owner}: static column {listed(bad)} has missing or infinite values. Fill them, or "
            "leave the column out."
        )
    return values, tuple(names)


def _static_again(owner: str, part: pd.DataFrame, position: int, names: Sequence[str]) -> Float:
    """Read one static column of new units as the fit did, which left it the names of its columns."""
    name = str(part.columns[position])
    if name in names:
        return read_again(owner, part, ColumnKind(name, position, "number", "number"))[:, None]
    levels = tuple(n.removeprefix(f"{name}=") for n in names if n.startswith(f"{name}="))
    seen = [level_text(value) for value in part.iloc[:, position].unique().tolist()]
    unseen = sorted(f"{name}={level}" for level in seen if level not in levels)
    if unseen:
        raise ValueError(
            f"{owner}: static levels {listed(unseen)} were not seen in fit, which knew "
            f"{listed(names)}. Leave those units out, or fit on units of every level."
        )
    kind = ColumnKind(name, position, "category", "category", levels=levels)
    codes = read_again(owner, part, kind)
    found: Float = (codes[:, None] == np.arange(len(levels))).astype(np.float64)
    return found


def _check_static(
    owner: str, frame: pd.DataFrame, roles: Roles, order: Int, unit: Int, start: Int
) -> None:
    """Refuse static columns that change within a unit."""
    for name in roles.static:
        codes = frames.sorted_codes(frame[name].to_numpy())[0][order]
        changes = codes != codes[start][unit]
        if changes.any():
            n_units = len(np.unique(unit[changes]))
            raise ValueError(
                f"{owner}: static column {name!r} changes over time in {n_units} units. Move it to "
                "`covariates`, or keep its first value."
            )
