"""How far effects of a network agree with those of a linear model: unit by unit, and on average."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.linear_g_computation import LinearGComputation
from segcate.temporal._panel.panel import Panel, Roles, units_of_rows

# Units below which a linear model is no yardstick, those it is fitted to, and those that are compared.
LEAST_UNITS, MOST_FITTED, MOST_COMPARED = 100, 1000, 300
# What a treatment is compared with besides other treatments.
NEVER = "never"
# Share of units at either end whose effects are drawn in: a few of them can be all of a correlation.
DRAWN_IN = 0.05
# Correlation of units' effects below which models disagree on units.
LEAST_CORRELATION = 0.7
# What counts, in the spread of the outcome: how much effects differ between units, and means between models.
# It is that of a linear model fitted to 1,000 units; with fewer it grows as the noise does.
LEAST_DISTANCE = 0.2
# Means differ by this share of the larger one at least.
LEAST_SHARE = 0.5


def compare_with_linear(
    owner: str, network: Any, panel: Any, data: Panel, roles: Roles, seed: int, linear: Any = None
) -> pd.DataFrame | None:
    """Compare effects of a fitted network with those of a linear model of the same panel.

    Parameters
    ----------
    owner, network : the network, and its name for messages
    panel, data : frame that the network was fitted to, and what was read of it
    seed : int
        Of the linear model.
    linear : fitted LinearGComputation, default=None
        Of the same panel; None: one is fitted.

    Returns
    -------
    DataFrame, or None with fewer than `LEAST_UNITS` units of two rows
        As `compare` has it.

    Raises
    ------
    ValueError
        If a linear model cannot be fitted to the units that were chosen.
    """
    units = np.flatnonzero(data.n_steps > 1)
    if len(units) < LEAST_UNITS:
        return None
    learned = units if linear is not None else _evenly(units, MOST_FITTED)
    asked = _evenly(learned, MOST_COMPARED)
    row_unit = units_of_rows(owner, panel, roles)
    if linear is None:
        linear = _fit_linear(
            frames.take_rows(panel, np.isin(row_unit, learned)), roles, network.horizon, seed
        )
    now = data.outcome[asked, data.n_steps[asked] - 1]
    part = frames.take_rows(panel, np.isin(row_unit, asked))
    return compare(network, linear, part, roles, now, min(len(learned), MOST_FITTED))


def compare(
    network: Any, linear: Any, panel: Any, roles: Roles, now: Float, n: int
) -> pd.DataFrame:
    """Compare effects at the last step, from the last row of each unit.

    Parameters
    ----------
    network, linear : fitted estimators over time
    panel : frame of the units to compare
    now : float64 array of shape (n_units, n_outcomes)
        Their outcomes in that row.
    n : int
        Units that the linear model was fitted to, 1,000 at most.

    Returns
    -------
    DataFrame, one row a pair of plans (and outcome)
        As `agreement_` of a network: treatment, reference, n, correlation, effect, linear_effect, doubt.
    """
    horizon = min(network.horizon, linear.horizon)
    found = [_outcomes(model, panel, roles, horizon) for model in (network, linear)]
    rows = []
    never = [(name, None) for name in roles.treatment]
    for given, other in [*never, *combinations(roles.treatment, 2)]:
        ours, theirs = (plans[given] - plans[other] for plans in found)
        for j, outcome in enumerate(roles.outcome):
            row = {
                "treatment": given,
                "reference": other or NEVER,
                "outcome": outcome,
                "n": len(now),
            }
            rows.append(row | agreement(ours[:, j], theirs[:, j], now[:, j], n))
    table = pd.DataFrame(rows)
    return table if len(roles.outcome) > 1 else table.drop(columns="outcome")


def agreement(ours: Float, theirs: Float, now: Float, n: int) -> dict[str, Any]:
    """Compare effects on the same units.

    Parameters
    ----------
    ours, theirs : float64 arrays of shape (n_units,)
        Effects by a network and by a linear model.
    now : float64 array of shape (n_units,)
        The outcome from which effects are measured; its spread is their yardstick.
    n : int
        Units that the linear model was fitted to, 1,000 at most.

    Returns
    -------
    dict
        correlation (NaN where one model has a single effect for all), effect and linear_effect (means),
        doubt: "", "units", "average" or "units, average".
    """
    mean, linear_mean = float(ours.mean()), float(theirs.mean())
    # Of an outcome that is rare nothing is left within the quantiles.
    scale = float(_drawn_in(now).std()) or float(now.std())
    ours, theirs = _drawn_in(ours), _drawn_in(theirs)
    spread = float(max(ours.std(), theirs.std()))
    smallest = float(min(ours.std(), theirs.std()))
    is_alike = smallest <= 1e-9 * max(spread, scale)
    correlation = np.nan if is_alike else float(np.corrcoef(ours, theirs)[0, 1])
    least = LEAST_DISTANCE * np.sqrt(MOST_FITTED / n) * scale
    is_far = abs(float(ours.mean() - theirs.mean())) > least
    share = abs(mean - linear_mean) > LEAST_SHARE * max(abs(mean), abs(linear_mean))
    doubts = []
    if scale > 0 and spread > least and correlation < LEAST_CORRELATION:
        doubts.append("units")
    if scale > 0 and is_far and share:
        doubts.append("average")
    return {
        "correlation": correlation,
        "effect": mean,
        "linear_effect": linear_mean,
        "doubt": ", ".join(doubts),
    }


def _fit_linear(panel: Any, roles: Roles, horizon: int, seed: int) -> LinearGComputation:
    """Fit a linear model with the roles of a network; what a fit warns of, the network's has said."""
    model = LinearGComputation(
        roles.treatment, roles.outcome, covariates=roles.covariates, static=roles.static,
        id=roles.id, time=roles.time, horizon=horizon, n_bootstraps=0, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SegcateWarning)
        return model.fit(panel)


def _evenly(units: Int, most: int) -> Int:
    """Return at most so many of the units, evenly chosen."""
    if len(units) <= most:
        return units
    return units[np.linspace(0, len(units) - 1, most).astype(np.intp)]


def _outcomes(model: Any, panel: Any, roles: Roles, horizon: int) -> dict[str | None, Float]:
    """Return outcomes at the last step under each treatment at every step, and under none (None)."""
    found = {}
    for name in (None, *roles.treatment):
        plan = {other: [int(other == name)] * horizon for other in roles.treatment}
        table = model.predict(panel, plan)
        values = table[list(roles.outcome)].to_numpy(dtype=np.float64)
        found[name] = values[horizon - 1 :: horizon]
    return found


def _drawn_in(values: Float) -> Float:
    """Draw what lies outermost in to the quantiles of the rest."""
    found: Float = np.clip(values, *np.quantile(values, [DRAWN_IN, 1 - DRAWN_IN]))
    return found
