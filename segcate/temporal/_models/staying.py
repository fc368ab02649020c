"""Units that leave before the panel ends, and weights by the inverse of their chance of staying."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import stats

from segcate._inputs.arrays import Bool, Float
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.treatment_weights import logistic_chance
from segcate.temporal._panel.panel import Panel

LEAVING = (None, "weigh")
# Chance of a false alarm about rows that units leave after, and fewest such rows.
_ALARM, _FEWEST = 0.001, 10


def leaves(panel: Panel) -> Bool:
    """Tell the units whose last row lies before the last time of the panel, (n,)."""
    end = panel.start + (panel.n_steps - 1) * panel.clock.step
    found: Bool = end < end.max() - 0.5 * panel.clock.step
    return found


def count_panel(panel: Panel) -> dict[str, int]:
    """Count units, rows, what is missing of them, and units that leave."""
    is_row = panel.is_row
    return {
        "n_units": panel.n_units,
        "n_units_left_out": panel.n_units_left_out,
        "n_units_leaving": int(leaves(panel).sum()),
        "n_rows": int(panel.n_steps.sum()),
        "n_rows_left_out": panel.n_left_out,
        "n_rows_unseen": int((is_row & ~panel.is_seen).sum()),
        "n_treatments_unknown": int((is_row & ~panel.is_known).sum()),
        "n_steps": int((panel.n_steps - 1).sum()),
        "n_steps_learned": int(panel.is_learned.sum()),
    }


def warn_of_leavers(owner: str, panel: Panel, names: tuple[str, ...], stacklevel: int) -> None:
    """Warn where units leave, and the outcomes after which they do are unlike those of others in that row."""
    is_last = np.arange(panel.outcome.shape[1]) == (panel.n_steps - 1)[:, None]
    goes = is_last & leaves(panel)[:, None]
    stays = panel.is_row & ~is_last
    if goes.sum() < _FEWEST:
        return
    said = []
    at_risk = goes | stays
    for j, name in enumerate(names):
        y = panel.outcome[..., j] * at_risk
        apart = (y - y.sum(axis=0) / np.maximum(at_risk.sum(axis=0), 1))[goes]
        n_errors = stats.t.isf(_ALARM / 2, len(apart) - 1)
        if abs(apart.mean()) > n_errors * apart.std(ddof=1) / np.sqrt(len(apart)):
            way = "higher" if apart.mean() > 0 else "lower"
            said.append(f"{name!r} is {way} by {abs(apart.mean()):.3g} on average")
    if said:
        warnings.warn(
            f"{owner}: {int(goes.sum())} of {panel.n_units} units leave before the panel ends, and they are "
            f"unlike those who stay: when they leave {' and '.join(said)}. Later outcomes are those of who "
            'stayed, which treatment may have brought about. Set `leaving="weigh"`, or where leaving is '
            "itself the end (death, recovery), take LinearGComputation, which needs no weights if it describes "
            "both.",
            SegcateWarning,
            stacklevel=stacklevel,
        )


def staying_weights(panel: Panel, history: Float, counts: Float) -> Float:
    """Return stabilised weights of the steps that units stayed for, 1 elsewhere: (n, t).

    The chance of staying given time and treatments, over that given the history besides, by logistic
    regression (Robins, Hernan & Brumback, 2000). Treatments of the row itself count where all units
    that leave have them.
    """
    t = panel.outcome.shape[1]
    position = np.arange(t)
    stays = position < (panel.n_steps - 1)[:, None]
    # At the end of the panel nobody is at risk.
    is_last = position == (panel.n_steps - 1)[:, None]
    is_used = stays | (is_last & leaves(panel)[:, None])
    stayed = stays[is_used].astype(np.float64)
    weights = np.ones((panel.n_units, t))
    if stayed.all():
        return weights
    time = (panel.start[:, None] - panel.start.min()) / panel.clock.step + position
    parts = [time[..., None], counts]
    if not (panel.is_open & leaves(panel)).any():
        parts.append(panel.treatment)
    known = np.concatenate(parts, axis=2)
    top = logistic_chance(known[is_used], stayed)
    bottom = logistic_chance(np.concatenate([known, history], axis=2)[is_used], stayed)
    weights[is_used] = np.where(stayed == 1, top / bottom, 1.0)
    return weights
