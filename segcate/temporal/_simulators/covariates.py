"""Covariates over time for semi-synthetic data: read from an extract, or made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_seed
from segcate.temporal._panel.long_frame import long_frame, named
from segcate.temporal._panel.panel import Panel, Roles, read_panel

_NAMES = (
    "heart rate", "red blood cell count", "sodium", "mean blood pressure",
    "systemic vascular resistance", "glucose", "chloride urine", "glascow coma scale total",
    "hematocrit", "positive end-expiratory pressure set", "respiratory rate",
    "prothrombin time pt", "cholesterol", "hemoglobin", "creatinine", "blood urea nitrogen",
    "bicarbonate", "calcium ionized", "partial pressure of carbon dioxide", "magnesium",
    "anion gap", "phosphorous", "venous pvo2", "platelets", "calcium urine",
)  # fmt: skip
_PERSISTENCE = 0.9
_N_FACTORS = 5
_SHARED = 0.5


@dataclass(frozen=True, slots=True)
class Covariates:
    """Covariates of units over time, padded behind a unit's last day with its last values.

    Attributes
    ----------
    values : float64 array of shape (n_units, n_days, n_covariates)
    names : tuple of str
    length : intp array of shape (n_units,)
        Number of days of each unit.
    ids : array of shape (n_units,)
    time : array of shape (n_units, n_days)
    static : dict of str to float64 arrays of shape (n_units,)
    position : dict of str to int
        For each role the position of its covariate.
    """

    values: Float
    names: tuple[str, ...]
    length: Int
    ids: npt.NDArray[Any]
    time: npt.NDArray[Any]
    static: dict[str, npt.NDArray[Any]]
    position: dict[str, int]

    @property
    def is_day(self) -> npt.NDArray[np.bool_]:
        """Mark the days that units have, shape (n_units, n_days)."""
        return np.arange(self.values.shape[1]) < self.length[:, None]

    def of_roles(self, roles: Sequence[str]) -> Float:
        """Return the covariates of roles, shape (n_units, n_days, n_roles)."""
        return self.values[:, :, [self.position[role] for role in roles]]


def standin_covariates(
    n_units: int = 200, n_steps: int = 60, *, random_state: Any = None
) -> pd.DataFrame:
    """Make up the vital signs and laboratory values of intensive-care patients.

    They stand in for an extract of real records, which cannot be shipped: 25 covariates of the same
    names, standard normal at each hour. Each follows an autoregression of order 1 with coefficient
    0.9, whose innovations are half its own and half those of five factors that all share.

    Parameters
    ----------
    n_units : int, default=200
        Number of patients, at least 1.
    n_steps : int, default=60
        Number of hours of each, at least 2.
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives the same patients.

    Returns
    -------
    DataFrame
        One line a patient and hour: id, t and 25 covariates.

    See Also
    --------
    semi_synthetic : Treatments and outcomes on top of covariates.

    Examples
    --------
    >>> from segcate.temporal import standin_covariates
    >>> covariates = standin_covariates(50, 40, random_state=0)
    >>> covariates.shape
    (2000, 27)
    >>> rate = covariates["heart rate"]
    >>> print(round(rate.autocorr(), 2))
    0.87
    """
    owner = "standin_covariates"
    check_count(owner, "n_units", n_units, 1)
    check_count(owner, "n_steps", n_steps, 2)
    rng = check_seed(owner, random_state)
    n = len(_NAMES)
    loadings = rng.standard_normal((_N_FACTORS, n))
    loadings /= np.linalg.norm(loadings, axis=0)
    factors = rng.standard_normal((n_units, n_steps, _N_FACTORS))
    own = rng.standard_normal((n_units, n_steps, n))
    innovation = np.sqrt(_SHARED) * factors @ loadings + np.sqrt(1 - _SHARED) * own
    values = innovation.copy()
    for day in range(1, n_steps):
        values[:, day] = (
            _PERSISTENCE * values[:, day - 1] + np.sqrt(1 - _PERSISTENCE**2) * innovation[:, day]
        )
    days = np.broadcast_to(np.arange(n_steps), (n_units, n_steps))
    length = np.full(n_units, n_steps)
    return long_frame("id", np.arange(n_units), "t", days, named(_NAMES, values), length)


def read_covariates(
    owner: str,
    covariates: Any,
    static: Any,
    roles: Mapping[str, Any] | None,
    wanted: Sequence[str],
    id_name: str,
    time_name: str,
) -> Covariates:
    """Take covariates from a long frame or an array, and find those that play a role.

    Parameters
    ----------
    covariates : frame, or array-like of shape (n_units, n_days, n_covariates)
        Values may be missing: a unit's last value is carried forward, then its first backward.
    static : sequence of column names for a frame; array-like of shape (n_units, n_static)
    roles : mapping of role to the name (frame) or position (array) of its covariate
        None, and roles not named: the covariate of the role's name.
    wanted : roles to be filled
    """
    if not frames.is_frame(covariates):
        covariates, static = _frame_of_array(owner, covariates, static, id_name, time_name)
    found, names = _read_frame(owner, covariates, static, id_name, time_name)
    position = _find_roles(owner, roles, wanted, names)
    last = np.minimum(np.arange(found.covariates.shape[1]), found.n_steps[:, None] - 1)
    return Covariates(
        values=np.take_along_axis(found.covariates, last[:, :, None], axis=1),
        names=names,
        length=found.n_steps,
        ids=found.ids,
        time=_times(found),
        static={name: found.static[:, k] for k, name in enumerate(found.static_names)},
        position=position,
    )


def standardized(covariates: Float, is_day: npt.NDArray[np.bool_]) -> Float:
    """Give every covariate mean 0 and SD 1 over the cohort; a constant one becomes 0."""
    known = covariates[is_day]
    spread = known.std(axis=0)
    return np.asarray(
        (covariates - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0), dtype=np.float64
    )


def _frame_of_array(
    owner: str, covariates: Any, static: Any, id_name: str, time_name: str
) -> tuple[pd.DataFrame, list[str]]:
    """Write an array as a long frame with the columns x0, x1, ... and s0, s1, ..."""
    values = np.asarray(covariates, dtype=np.float64)
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(
            f"{owner}: `covariates` must be a long frame, or an array of shape (n_units, n_days, "
            f"n_covariates); its shape is {values.shape}. Add the axis that is missing."
        )
    n_units, n_days, n_columns = values.shape
    has_value: npt.NDArray[np.bool_] = np.logical_not(np.isnan(values).all(axis=2))
    length = n_days - np.argmax(has_value[:, ::-1], axis=1)
    columns: dict[str, npt.NDArray[Any]] = {f"x{k}": values[:, :, k] for k in range(n_columns)}
    if static is not None:
        table = np.asarray(static)
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2 or len(table) != n_units:
            raise ValueError(
                f"{owner}: `static` must have the shape ({n_units}, n_static), one row a unit; its "
                f"shape is {np.shape(static)}."
            )
        columns |= {f"s{k}": table[:, k] for k in range(table.shape[1])}
    days = np.broadcast_to(np.arange(n_days), (n_units, n_days))
    frame = long_frame(id_name, np.arange(n_units), time_name, days, columns, length)
    return frame, [name for name in columns if name.startswith("s")]


def _read_frame(
    owner: str, covariates: Any, static: Any, id_name: str, time_name: str
) -> tuple[Panel, tuple[str, ...]]:
    """Fill the gaps of a long frame, and read it."""
    frame = covariates if isinstance(covariates, pd.DataFrame) else covariates.to_pandas()
    in_index = [name for name in (id_name, time_name) if name in (frame.index.names or [])]
    frame = frame.reset_index(in_index) if in_index else frame
    if isinstance(static, str):
        raise TypeError(f"{owner}: `static` must be a list of columns; write [{static!r}].")
    static = () if static is None else tuple(static)
    others = {id_name, time_name, *static}
    names = tuple(str(n) for n in frame.select_dtypes("number").columns if n not in others)
    if {id_name, time_name} <= set(frame.columns):
        frame = _fill(owner, frame.sort_values([id_name, time_name]), names, id_name)
    roles = Roles((), (), names, static, id_name, time_name)
    found = read_panel(owner, frame, roles, min_steps=2)
    if found.has_gaps:
        is_gap = (found.is_row & ~found.is_seen).any(axis=1)
        raise ValueError(
            f"{owner}: rows are missing between the first and the last of {int(is_gap.sum())} of "
            f"{found.n_units} units ({listed(found.ids[is_gap])}). Insert them, values may stay open, or "
            "leave those units out."
        )
    return found, names


def _fill(owner: str, frame: pd.DataFrame, names: Sequence[str], id_name: str) -> pd.DataFrame:
    """Carry each unit's last value forward, and its first backward."""
    columns = list(names)
    if not frame[columns].isna().to_numpy().any():
        return frame
    forward = frame.groupby(id_name)[columns].ffill()
    filled = forward.groupby(frame[id_name])[columns].bfill()
    empty = filled.isna().groupby(frame[id_name]).any()
    if empty.to_numpy().any():
        of_column = empty.sum()
        found = [f"{name} ({n} units)" for name, n in of_column[of_column > 0].items()]
        raise ValueError(
            f"{owner}: units have no value at all of {listed(found)}, so that there is nothing to "
            "carry forward. Fill those with a typical value, or leave the units out."
        )
    return frame.assign(**filled)


def _find_roles(
    owner: str, roles: Mapping[str, Any] | None, wanted: Sequence[str], names: tuple[str, ...]
) -> dict[str, int]:
    """Return the position of each role's covariate."""
    given = dict(roles or {})
    unknown = [role for role in given if role not in wanted]
    if unknown:
        raise ValueError(
            f"{owner}: `roles` names {listed(unknown)}; the roles are {listed(wanted, 20)}."
        )
    column = {role: given.get(role, role) for role in wanted}
    column = {
        role: f"x{name}" if isinstance(name, int | np.integer) else name
        for role, name in column.items()
    }
    missing = [role for role in wanted if column[role] not in names]
    if missing:
        raise ValueError(
            f"{owner}: no covariate was found for the roles {listed(missing, 20)}; the numeric "
            f"columns are {listed(names, 12)}. Say which plays each with `roles={{{missing[0]!r}: "
            "column, ...}`, a name for a frame and a position for an array."
        )
    return {role: names.index(column[role]) for role in wanted}


def _times(panel: Panel) -> npt.NDArray[Any]:
    """Return the time of every position, shape (n_units, n_days)."""
    n, t = panel.covariates.shape[:2]
    unit, position = np.divmod(np.arange(n * t), t)
    if panel.clock.form not in ("number", "stamp") or panel.clock.detail:
        return position.reshape(n, t)
    found: npt.NDArray[Any] = np.asarray(panel.times(unit, position)).reshape(n, t)
    return found
