"""What a plan that is a function of the history looks at, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed


@dataclass(frozen=True, slots=True)
class SimulatedState:
    """The simulated state that a dynamic plan reads before it chooses the next treatments.

    Attributes
    ----------
    step : int
        Steps since the origin, from 0.
    outcome : float64 array of shape (n_paths, n_outcomes)
        Outcomes now, in their own units, simulated after the origin.
    covariates : float64 array of shape (n_paths, n_covariates)
    static : float64 array of shape (n_paths, n_static)
    treatment : float64 array of shape (n_paths, n_treatments)
        What was given the step before; zeros at the first row of a unit.
    """

    step: int
    outcome: Float
    covariates: Float
    static: Float
    treatment: Float


Rule = Callable[[SimulatedState], Any]


def ask_rule(owner: str, rule: Rule, seen: SimulatedState, treatments: tuple[str, ...]) -> Float:
    """Return the treatments that a rule chooses, (n_paths, n_treatments), checked."""
    flags = np.asarray(rule(seen), dtype=np.float64)
    shape = (len(seen.outcome), len(treatments))
    if flags.shape != shape or not np.isin(flags, (0.0, 1.0)).all():
        raise ValueError(
            f"{owner}: a plan that is a function must return 0 and 1 in an array of "
            f"shape (n_paths, {shape[1]}) = {shape}, columns "
            f"{listed(treatments)}; it returned shape {flags.shape}."
        )
    return flags
