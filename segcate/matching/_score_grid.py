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
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._kernels import kernel
from segcate._statistics.columns import column_ranges

Rows = npt.NDArray[np.integer[Any]]

# Most units between the smallest and the largest value of a column.
_MOST_UNITS = 2**20
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


def place_on_grid(Z: Float, rows: Rows, origin: Float, constant: float, slopes: Float) -> ScoreGrid:
    """Round a score to a grid.

    Parameters
    ----------
    Z : float64 array of shape (n_rows, n_columns)
    rows : the rows whose values decide which columns are counted in units
    origin : float64 array of shape (n_columns,)
    constant : score where every column is at its origin
    slopes : float64 array of shape (n_columns,), on the scale of Z
    """
    low, high = column_ranges(Z, rows)
    unit = column_units(Z, rows, low, high)
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
    """Return the score of the given rows: equal rows have equal scores to the last bit."""
    return np.asarray(
        _sum_terms(
            Z, rows, grid.origin, grid.unit, grid.is_counted, grid.constant, grid.slopes, grid.step
        )
    )


@kernel
def _sum_terms(Z, rows, origin, unit, is_counted, constant, slopes, step):  # type: ignore[no-untyped-def]
    out = np.empty(len(rows))
    for a in range(len(rows)):
        total = constant
        for j in range(Z.shape[1]):
            units = (Z[rows[a], j] - origin[j]) / unit[j]
            if is_counted[j] and abs(units - np.rint(units)) < 1e-3:
                total += slopes[j] * np.rint(units)
            else:  # a column of fractions, or a value that the fit did not see
                total += np.rint(slopes[j] * units)
        out[a] = total * step
    return out


@kernel
def column_units(Z, rows, low, high):  # type: ignore[no-untyped-def]
    """Return the unit that every difference of a column's values is a whole multiple of; 0 for none.

    Euclid's algorithm on the differences from the smallest value, up to 2**20 units. A column of
    fractions is told after a few rows.
    """
    out = np.zeros(len(low))
    for j in range(len(low)):
        width = high[j] - low[j]
        noise = _ROUNDING * max(abs(low[j]), abs(high[j]))
        finest = max(width / _MOST_UNITS, 64 * noise)
        unit = width
        for a in range(len(rows)):
            if unit < finest or width <= 0:
                break
            unit = _common_unit(unit, Z[rows[a], j] - low[j], width, finest)
        if width <= 0 or unit < finest:
            continue
        is_grid = True
        for a in range(len(rows)):
            gap = Z[rows[a], j] - low[j]
            if abs(gap - np.rint(gap / unit) * unit) > 2 * noise:
                is_grid = False
                break
        if is_grid:
            out[j] = unit
    return out


@kernel
def _common_unit(unit, gap, width, finest):  # type: ignore[no-untyped-def]
    """Return the largest unit that `unit` and `gap` are multiples of, to a whole share of `width`."""
    left = abs(gap - np.rint(gap / unit) * unit)
    if left <= finest / 2:
        return unit
    while left > finest / 2:
        unit, left = left, abs(unit - np.rint(unit / left) * left)
    return width / np.rint(width / unit)
