"""Scores that are sums of whole steps, so that rows equally far apart are so to the last bit.

With whole-number or 0/1 covariates many donors are exactly as far below a row as others are above
it. Two orders of summation give coefficients that differ in the last bit, and that bit would decide.
Here a covariate whose values are an origin and whole multiples of a unit is counted in units, each
coefficient is rounded to a power of two, and so are the terms of all other covariates. Sums and
differences of scores are then exact, whatever the order of the rows, and the same after any shift
or change of unit of a covariate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.columns import BLOCK, column_ranges

Rows = npt.NDArray[np.integer[Any]]

# Most units between the smallest and the largest value of a column.
_MOST_UNITS = 2**20
# Rows looked at one by one, which tell a column of fractions.
_GLANCE = 64
# Bits of a score; two of the 53 of a float are left for the sum of two scores.
_BITS = 51
# Finest step, 2 ** -47: below the rounding of the fit itself.
_FINEST = 47
# Values are known to this share of the largest one: they were rounded when they were made.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """A linear score, ``step * (constant + sum of rounded terms)``.

    Attributes
    ----------
    origin, unit : float64 arrays of shape (n_columns,)
    is_counted : bool array of shape (n_columns,)
        Whether the values of a column are the origin and whole multiples of its unit.
    constant : score at the origin, in steps
    slopes : float64 array of shape (n_columns,), steps for each unit
    step : a power of two
    """

    origin: Float
    unit: Float
    is_counted: npt.NDArray[np.bool_]
    constant: float
    slopes: Float
    step: float

    @property
    def coef(self) -> Float:
        """Coefficients on the scale of the columns, the constant first."""
        slopes = self.slopes * self.step / self.unit
        return np.concatenate([[self.constant * self.step - slopes @ self.origin], slopes])


def place_on_grid(
    Z: Float, rows: Rows | None, origin: Float, constant: float, slopes: Float
) -> ScoreGrid:
    """Round a score to a grid.

    Parameters
    ----------
    Z : float64 array of shape (n_rows, n_columns)
    rows : the rows whose values decide which columns are counted in units; None: all
    origin : float64 array of shape (n_columns,)
    constant : score where every column is at its origin
    slopes : float64 array of shape (n_columns,), on the scale of Z
    """
    low, high = column_ranges(Z, rows)
    unit = column_units(Z, rows, low, high)
    return place_in_units(low, high, unit, origin, constant, slopes)


def place_in_units(
    low: Float, high: Float, unit: Float, origin: Float, constant: float, slopes: Float
) -> ScoreGrid:
    """Round a score to a grid, the ranges and the units of the columns known."""
    is_counted = (unit > 0) & (slopes != 0)
    width = np.where(high > low, high - low, 1.0)
    unit = np.where(is_counted, unit, width)
    # all columns start at their smallest value, which is on the grid
    constant = constant + float(slopes @ (low - origin))
    largest = abs(constant) + float(np.abs(slopes) @ width)
    exponent = _BITS - int(np.ceil(np.log2(max(largest, 1e-300)))) if largest > 0 else _FINEST
    step = 2.0 ** -min(exponent, _FINEST)
    in_steps = slopes * unit / step
    return ScoreGrid(
        origin=low,
        unit=unit,
        is_counted=is_counted,
        constant=float(np.rint(constant / step)),
        slopes=np.where(is_counted, np.rint(in_steps), in_steps),
        step=step,
    )


def linear_predictor(Z: Float, grid: ScoreGrid, rows: Rows) -> Float:
    """Return the score of the given rows: equal rows have equal scores to the last bit.

    Terms are whole numbers, whose sum is exact in any order.
    """
    out = np.empty(len(rows))
    counted, slopes = np.flatnonzero(grid.is_counted), grid.slopes
    for begin in range(0, len(rows), BLOCK):
        units = Z.take(rows[begin : begin + BLOCK], axis=0)
        units -= grid.origin
        units /= grid.unit
        terms = np.rint(units * slopes)
        if len(counted):  # but a value that the fit did not see may lie between units
            units = units[:, counted]
            whole = np.rint(units)
            is_whole = np.abs(units - whole) < 1e-3
            terms[:, counted] = np.where(is_whole, whole * slopes[counted], terms[:, counted])
        out[begin : begin + BLOCK] = (terms.sum(axis=1) + grid.constant) * grid.step
    return out


def column_units(Z: Float, rows: Rows | None, low: Float, high: Float) -> Float:
    """Return the unit that every difference of a column's values is a whole multiple of; 0 for none.

    Euclid's algorithm on the differences from the smallest value, up to 2**20 units. A column of
    fractions is told after a few rows.
    """
    out = np.zeros(len(low))
    first = Z[:_GLANCE] if rows is None else Z[rows[:_GLANCE]]
    for j in np.flatnonzero(high > low).tolist():
        unit, limits = unit_of(first[:, j], low[j], high[j])
        if unit > 0:
            values = Z[:, j] if rows is None else Z[rows, j]
            unit = unit_of(values, low[j], high[j], unit)[0]
            if unit > 0 and (rest(values - low[j], unit) <= limits.rounding).all():
                out[j] = unit
    return out


class UnitLimits(NamedTuple):
    """The finest unit of a column, and how far a value may be from a whole multiple."""

    finest: float
    rounding: float


def unit_of(
    values: Float, low: float, high: float, unit: float | None = None
) -> tuple[float, UnitLimits]:
    """Return the unit that differences of some values from the smallest are multiples of; 0 for none.

    Parameters
    ----------
    values : some values of a column
    low, high : of the whole column
    unit : that of values seen before; None: none were
    """
    width = float(high - low)
    noise = _ROUNDING * max(abs(float(low)), abs(float(high)))
    finest = max(width / _MOST_UNITS, 64 * noise)
    found = _unit_of_all(width if unit is None else unit, values - low, width, finest)
    return (found if found >= finest else 0.0), UnitLimits(finest, 2 * noise)


def _unit_of_all(unit: float, gaps: Float, width: float, finest: float) -> float:
    """Go on with Euclid's algorithm from row to row that is no multiple, until none is left."""
    at = 0
    while unit >= finest:
        odd = np.flatnonzero(rest(gaps[at:], unit) > finest / 2)
        if not len(odd):
            break
        at += int(odd[0])
        unit = _common_unit(unit, float(gaps[at]), width, finest)
    return unit


def rest(gaps: Float, unit: float) -> Float:
    """Return how far each number is from a whole multiple of a unit."""
    return np.asarray(np.abs(gaps - np.rint(gaps / unit) * unit))


def _common_unit(unit: float, gap: float, width: float, finest: float) -> float:
    """Return the largest unit that `unit` and `gap` are multiples of, to a whole share of `width`."""
    left = abs(gap - round(gap / unit) * unit)
    if left <= finest / 2:
        return unit
    while left > finest / 2:
        unit, left = left, abs(unit - round(unit / left) * left)
    return width / round(width / unit)
