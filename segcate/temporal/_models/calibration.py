"""How far changes that came follow changes that were predicted: factual errors and slopes by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Bool, Float, Int
from segcate._statistics.sandwich import sums_by_group, unit_factor


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slopes of changes that came on predicted ones, with an intercept.

    Attributes
    ----------
    slope, std_error : float64 arrays of shape (horizon, n_outcomes)
        Errors are clustered by unit; NaN where no step came, or predictions are all the same.
    n : intp array of shape (horizon,)
        Pairs of unit and origin whose step came.
    """

    slope: Float
    std_error: Float
    n: Int


def calibrate(predicted: Float, came: Float, weights: Float) -> Calibration:
    """Regress changes since the origin on predicted ones, step by step.

    Parameters
    ----------
    predicted, came : float64 arrays of shape (n_units, n_origins, horizon, n_outcomes)
        Changes since the origin.
    weights : float64 array of shape (n_units, n_origins, horizon)
        0 where the step did not come.
    """
    horizon, d_y = predicted.shape[2:]
    slope, std_error = np.full((2, horizon, d_y), np.nan)
    for k in range(horizon):
        unit, origin = np.nonzero(weights[:, :, k])
        for j in range(d_y):
            x, y = (part[unit, origin, k, j] for part in (predicted, came))
            if len(x) > 2 and np.ptp(x) > 0:
                slope[k, j], std_error[k, j] = _slope(x, y, weights[unit, origin, k], unit)
    return Calibration(slope, std_error, (weights > 0).sum(axis=(0, 1)))


def _slope(x: Float, y: Float, weight: Float, unit: Int) -> tuple[float, float]:
    """Return a weighted slope and its error, clustered by unit."""
    x, y = (part - np.average(part, weights=weight) for part in (x, y))
    spread = float(weight @ x**2)
    slope = float(weight @ (x * y)) / spread
    sums = sums_by_group((weight * x * (y - slope * x))[:, None], unit)[:, 0]
    n_units = len(np.unique(unit))
    factor = unit_factor(n_units) if n_units > 1 else np.nan
    return slope, float(np.sqrt(factor * (sums @ sums)) / spread)


def report(
    outcomes: tuple[str, ...], found: Calibration, errors: Float, unchanged: Float, counts: Bool
) -> pd.DataFrame:
    """Write errors and slopes, one row a step and outcome.

    Parameters
    ----------
    errors, unchanged : float64 arrays of shape (n_units, n_origins, horizon, n_outcomes)
        Errors of predictions, and of predicting the outcome of the origin, in its own units.
    counts : bool array of shape (n_units, n_origins, horizon)
    """
    horizon, d = found.slope.shape
    rmse = [np.sqrt(_means(part**2, counts)) for part in (errors, unchanged)]
    columns = {
        "rmse": rmse[0],
        "rmse_unchanged": rmse[1],
        "calibration_slope": found.slope,
        "std_error": found.std_error,
    }
    table = pd.DataFrame(
        {
            "step": np.repeat(np.arange(1, horizon + 1), d),
            "outcome": np.tile(np.array(outcomes, dtype=object), horizon),
            "n": np.repeat(found.n, d),
            **{name: values.ravel() for name, values in columns.items()},
        }
    )
    return table if d > 1 else table.drop(columns="outcome")


def _means(values: Float, counts: Bool) -> Float:
    """Average over units and origins that count, (horizon, d); NaN where none does."""
    total = np.sum(values, axis=(0, 1), where=counts[..., None])
    n = np.broadcast_to(counts.sum(axis=(0, 1))[:, None], total.shape)
    found: Float = np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0)
    return found
