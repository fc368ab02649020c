"""A panel of units over time as arrays: what every temporal model reads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.cells import level_text
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.encoding import encode_columns, read_again
from segcate._inputs.kinds import ColumnKind
from segcate._inputs.listing import listed
from segcate.exceptions import SegcateWarning
from segcate.temporal._panel.gaps import Filled, fill_gaps
from segcate.temporal._panel.texts import way_to_numbers
from segcate.temporal._panel.times import Clock, check_steps, read_times

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
    start : float64 array of shape (n_units,)
        Time of the first row of each unit, as `clock` counts it.
    clock : Clock
        How time is counted, and the time from one row to the next.
    like : array of shape (1,)
        A time as the panel writes it.
    n_steps : intp array of shape (n_units,)
        Rows of each unit, from its first to its last; rows that are missing between count.
    outcome : float64 array of shape (n_units, n_times, n_outcomes)
    treatment : float64 array of shape (n_units, n_times, n_treatments), values 0 and 1
        Given at a step; it moves the outcome of the next one.
    covariates : float64 array of shape (n_units, n_times, n_covariates)
    static : float64 array of shape (n_units, n_static)
        Text and categories as 0/1 columns.
    static_names : names of the columns of `static`
    is_seen : bool array of shape (n_units, n_times)
        Whether outcomes and covariates of a row were known; others hold the last known values.
    is_known : bool array of shape (n_units, n_times)
        Whether the treatments of a row were known, or are open at the last row; others are 0.
    is_open : bool array of shape (n_units,)
        Whether a treatment of the unit's last row is missing.
    n_left_out : int
        Rows left out at the beginning of units, before every column had a value.
    n_absent : int
        Rows that the frame does not hold, between the first and the last of a unit.
    n_units_left_out : int
        Units left out, as they have one row.
    """

    ids: npt.NDArray[Any]
    start: Float
    clock: Clock
    like: npt.NDArray[Any]
    n_steps: Int
    outcome: Float
    treatment: Float
    covariates: Float
    static: Float
    static_names: tuple[str, ...]
    is_seen: Bool
    is_known: Bool
    is_open: Bool
    n_left_out: int = 0
    n_absent: int = 0
    n_units_left_out: int = 0

    @property
    def n_units(self) -> int:
        """Count the units."""
        return len(self.ids)

    @property
    def is_row(self) -> Bool:
        """Tell the rows of units from what lies behind their last, (n_units, n_times)."""
        return np.arange(self.outcome.shape[1]) < self.n_steps[:, None]

    @property
    def is_learned(self) -> Bool:
        """Tell the rows from which a step is learned, (n_units, n_times).

        A row follows, and all is known of the step: both rows' values, and what was given.
        """
        found = np.zeros_like(self.is_seen)
        found[:, :-1] = self.is_seen[:, :-1] & self.is_known[:, :-1] & self.is_seen[:, 1:]
        return found

    @property
    def has_gaps(self) -> bool:
        """Tell whether a row lacks an outcome, a covariate or a treatment."""
        return bool((self.is_row & ~(self.is_seen & self.is_known)).any())

    def times(self, unit: Int, position: Int) -> Any:
        """Return the times of rows, in the way the panel writes them."""
        return self.clock.write(self.start[unit] + position * self.clock.step, self.like)

    def take(self, units: npt.NDArray[Any]) -> Panel:
        """Return the panel of some units, by position."""
        longest = int(self.n_steps[units].max())
        return Panel(
            self.ids[units],
            self.start[units],
            self.clock,
            self.like,
            self.n_steps[units],
            self.outcome[units, :longest],
            self.treatment[units, :longest],
            self.covariates[units, :longest],
            self.static[units],
            self.static_names,
            self.is_seen[units, :longest],
            self.is_known[units, :longest],
            self.is_open[units],
        )


def read_panel(
    owner: str,
    panel: Any,
    roles: Roles,
    *,
    min_steps: int = 1,
    static_names: Sequence[str] | None = None,
    clock: Clock | None = None,
) -> Panel:
    """Turn a long frame into arrays, and say what is wrong with it.

    Parameters
    ----------
    panel : frame with one row a unit and time, in any order
        The id and time are columns, or levels of a pandas MultiIndex.
    min_steps : int
        Rows that every unit must have.
    static_names : names of the encoded static columns seen in fit; None in fit itself
    clock : how time was counted in fit; None in fit itself
    """
    frame = _as_frame(owner, panel, roles)
    unit, ids = frames.sorted_codes(frame[roles.id].to_numpy())
    if len(ids) and frames.is_missing(ids.tolist()[-1]):
        raise ValueError(
            f"{owner}: column {roles.id!r} has missing values. Give every row its unit."
        )
    unit_of_fit, step = (None, None) if clock is None else (clock.unit, clock.step)
    time, found = read_times(owner, frame[roles.time], unit_of_fit)
    order = np.lexsort((time, unit))
    unit, time = unit[order], time[order]
    found, after = check_steps(owner, roles.time, unit, time, ids, found, step)
    first = np.flatnonzero(np.diff(unit, prepend=-1))
    position = np.cumsum(after)
    position -= position[first][unit]
    filled = _values(owner, frame, roles, order, (unit, position), ids)
    _check_lengths(owner, ids, filled.n_steps, min_steps)
    static, names = _static(
        owner, _static_rows(owner, frame, roles, order, unit), ids, static_names
    )
    d_y = len(roles.outcome)
    return Panel(
        ids=ids,
        start=time[first] + filled.begin * found.step,
        clock=found,
        like=frame[roles.time].iloc[:1].to_numpy(),
        n_steps=filled.n_steps,
        outcome=filled.seen[..., :d_y],
        treatment=filled.treatment,
        covariates=filled.seen[..., d_y:],
        static=static,
        static_names=names,
        is_seen=filled.is_seen,
        is_known=filled.is_known,
        is_open=filled.is_open,
        n_left_out=int(filled.begin.sum()),
        n_absent=int(filled.n_steps.sum() - (position >= filled.begin[unit]).sum()),
    )


def _values(
    owner: str,
    frame: pd.DataFrame,
    roles: Roles,
    order: Int,
    at: tuple[Int, Int],
    ids: npt.NDArray[Any],
) -> Filled:
    """Spread columns over units and times, gaps filled."""
    names = [(role, name) for role in ("outcome", "covariates") for name in getattr(roles, role)]
    seen = [_numbers(owner, role, frame[name])[order] for role, name in names]
    given = [_flags(owner, frame[name])[order] for name in roles.treatment]
    n_steps = np.zeros(len(ids), dtype=np.intp)
    np.maximum.at(n_steps, at[0], at[1] + 1)
    shape = (len(ids), int(n_steps.max()))
    return fill_gaps(
        owner, _spread(seen, at, shape), _spread(given, at, shape), n_steps, names, ids
    )


def _spread(columns: list[Float], at: tuple[Int, Int], shape: tuple[int, int]) -> Float:
    found = np.full((*shape, len(columns)), np.nan)
    for j, column in enumerate(columns):
        found[(*at, np.full(len(column), j))] = column
    return found


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


def with_steps(owner: str, panel: Panel) -> Panel:
    """Leave out units with one row, from which no step is learned, and say how many.

    Warns
    -----
    SegcateWarning
        If there are such units; the caller's caller is `fit`.
    """
    short = panel.n_steps < 2
    if not short.any() or short.all():
        _check_lengths(owner, panel.ids, panel.n_steps, 2)
        return panel
    warnings.warn(
        f"{owner}: {int(short.sum())} of {panel.n_units} units have one row ({listed(panel.ids[short])}) and are left "
        "out: a step from one row to the next is what is learned from and scored. If they left, what is found "
        "holds for those that stayed for a second row.",
        SegcateWarning,
        stacklevel=3,
    )
    kept = panel.take(np.flatnonzero(~short))
    # A unit with one row lacks none.
    return replace(
        kept,
        n_left_out=panel.n_left_out,
        n_absent=panel.n_absent,
        n_units_left_out=int(short.sum()),
    )


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
            f"{owner}: column {column.name!r} ({role}) must hold numbers; it holds {found} values"
            f"{way_to_numbers(role, column)}"
        )
    numbers = np.asarray(
        column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64
    )
    n_bad = int(np.isinf(numbers).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: column {column.name!r} ({role}) is infinite in {n_bad} of {len(numbers)} rows. Put the "
            "right numbers there, or NaN where they are missing."
        )
    return numbers


def _flags(owner: str, column: pd.Series[Any]) -> Float:
    """Return a treatment as 0 and 1, gaps as NaN."""
    values = _numbers(owner, "treatment", column)
    bad = ~np.isin(values, (0.0, 1.0)) & ~np.isnan(values)
    if bad.any():
        raise ValueError(
            f"{owner}: treatment {column.name!r} must hold 0 and 1; found "
            f"{{{listed(np.unique(values[bad]))}}} in {int(bad.sum())} rows. Code an arm or a "
            "dose level as a column of its own."
        )
    return values


def _static(
    owner: str, part: pd.DataFrame, ids: npt.NDArray[Any], names: Sequence[str] | None
) -> tuple[Float, tuple[str, ...]]:
    """Encode what does not change over time, one row a unit, in the columns seen in fit."""
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
    for name, column in zip(names, values.T, strict=True):
        bad = ~np.isfinite(column)
        if bad.any():
            raise ValueError(
                f"{owner}: static column {name!r} is missing or infinite in all rows of {int(bad.sum())} of "
                f"{len(ids)} units ({listed(ids[bad])}). Fill it there and add a 0/1 column that tells "
                "where, leave those units out, or leave the column out."
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


def _static_rows(
    owner: str, frame: pd.DataFrame, roles: Roles, order: Int, unit: Int
) -> pd.DataFrame:
    """Return the first known value of each unit's static columns; refuse columns that change."""
    first = np.flatnonzero(np.diff(unit, prepend=-1))
    found = {}
    for name in roles.static:
        column = frame[name].iloc[order]
        known = np.flatnonzero(column.notna().to_numpy())
        units, at = np.unique(unit[known], return_index=True)
        row = first.copy()
        row[units] = known[at]
        codes = frames.sorted_codes(column.to_numpy())[0]
        changes = known[codes[known] != codes[row][unit[known]]]
        if len(changes):
            n_units = len(np.unique(unit[changes]))
            raise ValueError(
                f"{owner}: static column {name!r} changes over time in {n_units} units. Move it to "
                "`covariates`, or keep its first value."
            )
        found[name] = column.iloc[row].reset_index(drop=True)
    return pd.DataFrame(found, index=range(len(first)))
