"""Origins spread over each unit, and what came after them."""

from __future__ import annotations

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate.temporal._panel.panel import Panel

# Origins of a unit at most.
_MOST_ORIGINS = 8


def factual_plans(panel: Panel, horizon: int) -> tuple[Int, Float, Bool]:
    """Return origins spread over each unit, what was given from there, and which steps came true.

    Returns
    -------
    origins : intp array of shape (n, n_origins)
    plans : float64 array of shape (n, n_origins, horizon, d_a)
    is_there : bool array of shape (n, n_origins, horizon)
    """
    share = np.linspace(0.0, 1.0, min(_MOST_ORIGINS, panel.outcome.shape[1] - 1))
    origins = np.round(share * (panel.n_steps - 2)[:, None]).astype(np.intp)
    at = origins[..., None] + np.arange(horizon)
    unit = np.arange(panel.n_units)[:, None, None]
    now, after = (np.minimum(at + k, panel.outcome.shape[1] - 1) for k in (0, 1))
    # What was given is known from the origin on, and so is the outcome that came of it.
    is_there = np.logical_and.accumulate(panel.is_known[unit, now], axis=2)
    is_there &= panel.is_seen[unit, after] & (at + 1 < panel.n_steps[:, None, None])
    plans = panel.treatment[unit, np.minimum(at, panel.treatment.shape[1] - 1)]
    return origins, plans * is_there[..., None], is_there
