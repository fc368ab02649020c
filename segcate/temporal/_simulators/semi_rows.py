"""Outcomes of semi-synthetic units under plans that start on any day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate.temporal._simulators.semi_model import (
    LONGEST_WINDOW,
    SemiDraws,
    add_effects,
    is_given,
    treatment_chances,
)

Flags = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class SemiPaths:
    """What happened to units; the second axis are days.

    Attributes
    ----------
    untreated, outcome : float64 arrays of shape (n_units, n_days, n_outcomes)
    treatment : int8 array of shape (n_units, n_days, n_treatments)
    propensity, drift : float64 arrays of shape (n_units, n_days, n_treatments)
        Chance of each treatment, and its function of the covariates.
    """

    untreated: Float
    outcome: Float
    treatment: Flags
    propensity: Float
    drift: Float


def follow_semi(untreated: Float, drift: Float, draws: SemiDraws) -> SemiPaths:
    """Treat units day by day, by chances that follow their outcomes."""
    outcome = untreated.copy()
    treatment = np.zeros(drift.shape, dtype=np.int8)
    propensity = np.zeros(drift.shape)
    for day in range(drift.shape[1]):
        propensity[:, day] = treatment_chances(outcome, day, drift[:, day])
        treatment[:, day] = is_given(propensity[:, day], draws.uniform[:, day])
        add_effects(outcome, day, treatment[:, day], propensity[:, day])
    return SemiPaths(untreated, outcome, treatment, propensity, drift)


def outcomes_by_day(paths: SemiPaths) -> Iterator[Float]:
    """Yield, day by day, outcomes as they would be if nobody were treated from that day on.

    The array has the shape (n_units, n_days, n_outcomes) and changes from one day to the next.
    """
    outcome = paths.untreated.copy()
    for day in range(outcome.shape[1]):
        yield outcome
        add_effects(outcome, day, paths.treatment[:, day], paths.propensity[:, day])


def follow_plans(outcome: Float, drift: Float, day: int, plans: Flags) -> Float:
    """Return outcomes under plans that start on one day.

    Parameters
    ----------
    outcome : float64 array of shape (n_units, n_days, n_outcomes)
        Outcomes without further treatment, of `outcomes_by_day`.
    drift : float64 array of shape (n_units, n_days, n_treatments)
        The treatments' functions of the covariates.
    day : int
        Day on which the plans start.
    plans : int8 array of shape (n_units, n_plans, n_plan_days, n_treatments)

    Returns
    -------
    float64 array of shape (n_units, n_plans, n_plan_days, n_outcomes)
        Outcomes from the day after on. Chances of treatment, which effects are in proportion to,
        follow the plan's own outcomes.
    """
    start, n_plan_days = max(day - LONGEST_WINDOW, 0), plans.shape[2]
    nearby = np.repeat(outcome[:, None, start : day + n_plan_days + 1], plans.shape[1], axis=1)
    for k in range(n_plan_days):
        today = day - start + k
        chance = treatment_chances(nearby, today, drift[:, None, day + k])
        add_effects(nearby, today, plans[:, :, k], chance)
    return nearby[:, :, day - start + 1 :]
