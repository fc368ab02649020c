"""Means on the outcome's own scale from predictions on another one: smearing (Duan, 1983)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int

# Errors that stand for all of a step, and the units that they are taken from.
N_ERRORS = 50
_MOST_UNITS = 300
# How far beyond those of the fit, in standard deviations on the scale, an outcome may come back from.
BEYOND = 0.3


def some_units(units: Int) -> Int:
    """Return the units to take errors from, sorted; 300 at most, evenly chosen."""
    every = np.unique(units)
    if len(every) > _MOST_UNITS:
        every = every[np.linspace(0, len(every) - 1, _MOST_UNITS).astype(np.intp)]
    return every


def typical_errors(errors: Float, counts: Bool) -> Float:
    """Return quantiles of errors by step, (n_models, horizon, N_ERRORS, d_y).

    Parameters
    ----------
    errors : float64 array of shape (n_models, n, n_origins, horizon, d_y)
    counts : bool array of shape (n_models, n, n_origins, horizon)
        A step that no unit came to has the errors of the step before.
    """
    n_models, _, _, horizon, d_y = errors.shape
    found = np.zeros((n_models, horizon, N_ERRORS, d_y))
    ranks = (np.arange(N_ERRORS) + 0.5) / N_ERRORS
    for m in range(n_models):
        for k in range(horizon):
            here = errors[m, :, :, k][counts[m, :, :, k]]
            if len(here):
                found[m, k] = np.quantile(here, ranks, axis=0)
            elif k:
                found[m, k] = found[m, k - 1]
    return found


def smear(z: Float, errors: Float, bounds: Float, decode: Callable[[Float], Float]) -> Float:
    """Add errors to predictions on the scale, turn back and average.

    Parameters
    ----------
    z : float64 array of shape (n_models, n, n_origins, horizon, d_y)
    errors : float64 array of shape (n_models, horizon, n_errors, d_y)
        Of steps from the first on, as many as were learned.
    bounds : float64 array of shape (2, d_y)
        Smallest and largest outcome on the scale.
    """
    found = np.zeros_like(z)
    errors = errors[:, : z.shape[3]]
    for i in range(errors.shape[2]):
        found += decode(np.clip(z + errors[:, None, None, :, i], bounds[0], bounds[1]))
    found /= errors.shape[2]
    return found


def scale_bounds(outcome: Float, is_row: Bool) -> Float:
    """Return the smallest and the largest outcome on the scale, and a little beyond, (2, d_y)."""
    seen = outcome[is_row]
    found: Float = np.stack([seen.min(axis=0) - BEYOND, seen.max(axis=0) + BEYOND])
    return found
