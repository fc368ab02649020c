"""Volumes of tumours under plans that start on every day of a patient's history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.temporal._simulators.tumor_paths import DEATH_VOLUME, Paths, next_dose, next_volume
from segcate.temporal._simulators.tumor_patients import TumorPatients

Flags = npt.NDArray[np.int8]

# Treatments as (chemo, radio). Line f orders them so that the factual one, number f, comes first.
_COMBINATIONS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int8)
_FACTUAL_FIRST = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [2, 0, 1, 3], [3, 0, 1, 2]])


@dataclass(frozen=True, slots=True)
class PlanRows:
    """One row for each patient, origin and plan.

    Attributes
    ----------
    unit, origin : intp arrays of shape (n_rows,)
    plan : int8 array of shape (n_rows, n_plan_days, 2)
        Chemotherapy and radiotherapy from the day of the origin on.
    outcome, noise_free : float64 arrays of shape (n_rows, n_plan_days)
        Volumes from the day after the origin on, with the days' noise and without.
    n_dropped : int
        Plans under which the volume fell below 0 before their last day, and is undefined after.
    """

    unit: Int
    origin: Int
    plan: Flags
    outcome: Float
    noise_free: Float
    n_dropped: int

    def volumes(self, paths: Paths, n_rows: int, n_days: int) -> Float:
        """Return history and outcome of the first rows day by day, zeros after the last."""
        origin = self.origin[:n_rows, None]
        volume = np.zeros((len(origin), n_days))
        volume[:, : paths.volume.shape[1]] = paths.volume[self.unit[:n_rows]]
        volume[np.arange(n_days) > origin] = 0.0
        step = origin + 1 + np.arange(self.outcome.shape[1])
        volume[np.arange(len(origin))[:, None], step] = self.outcome[:n_rows]
        return volume


def sliding_plans(horizon: int) -> Flags:
    """Return plans with one treatment, shape (2 horizon, horizon, 2): chemo by day, then radio."""
    one = np.eye(horizon, dtype=np.int8)
    none = np.zeros_like(one)
    return np.concatenate([np.stack([one, none], axis=2), np.stack([none, one], axis=2)])


def try_plans(patients: TumorPatients, paths: Paths, noise: Float, plans: Flags | None) -> PlanRows:
    """Apply plans from every day on which a patient was treated or could have been.

    Parameters
    ----------
    patients, paths
        Patients, and what happened to them.
    noise : float64 array of shape (n_patients, n_days)
        Noise of each day, up to the last that a plan reaches.
    plans : int8 array, default=None
        None: each of the four combinations for one day, the factual one first. Otherwise plans of
        shape (n_patients or 1, n_steps - 1 or 1, n_plans, horizon, 2) for the days after the
        origin, whose own treatment is the factual one.
    """
    is_on = np.arange(paths.volume.shape[1] - 1) <= paths.last[:, None]
    unit, origin = np.nonzero(is_on)
    plan = _spell_out(paths, unit, origin, plans)
    n_pairs, n_plans, n_days, _ = plan.shape
    later = noise[unit[:, None], origin[:, None] + 1 + np.arange(n_days)]
    outcome = _follow(patients, paths, unit, origin, plan, later)
    noise_free = _follow(patients, paths, unit, origin, plan, np.zeros_like(later))
    flat = (n_pairs * n_plans, n_days)
    is_sound = ~np.isnan(outcome.reshape(flat)).any(axis=1)
    return PlanRows(
        unit=np.repeat(unit, n_plans)[is_sound],
        origin=np.repeat(origin, n_plans)[is_sound],
        plan=plan.reshape(*flat, 2)[is_sound],
        outcome=outcome.reshape(flat)[is_sound],
        noise_free=noise_free.reshape(flat)[is_sound],
        n_dropped=int((~is_sound).sum()),
    )


def _spell_out(paths: Paths, unit: Int, origin: Int, plans: Flags | None) -> Flags:
    """Return the plans of each patient and origin, shape (n_pairs, n_plans, n_days, 2)."""
    chemo, radio = paths.chemo[unit, origin], paths.radio[unit, origin]
    if plans is None:
        four: Flags = _COMBINATIONS[_FACTUAL_FIRST[2 * chemo + radio]]
        return four[:, :, None]
    of_unit = unit if plans.shape[0] > 1 else np.zeros_like(unit)
    of_day = origin if plans.shape[1] > 1 else np.zeros_like(origin)
    later = plans[of_unit, of_day]
    today = np.stack([chemo, radio], axis=1)[:, None, None]
    return np.concatenate(
        [np.broadcast_to(today, (*later.shape[:2], 1, 2)), later], axis=2, dtype=np.int8
    )


def _follow(
    patients: TumorPatients, paths: Paths, unit: Int, origin: Int, plan: Flags, noise: Float
) -> Float:
    """Return the volumes under plans, shape (n_pairs, n_plans, n_days).

    As in the published sets only what happens in fact is kept inside [0, death]. Volumes of other
    plans may fall below 0, and have no logarithm on the day after: they turn NaN.
    """
    patients = patients.take((unit, None))
    volume = paths.volume[unit, origin][:, None]
    dose = np.where(origin > 0, paths.chemo_dose[unit, origin - 1], 0.0)[:, None]
    factual = np.stack([paths.chemo[unit, origin], paths.radio[unit, origin]], axis=1)
    is_factual = (plan[:, :, 0] == factual[:, None]).all(axis=2)
    volumes = np.empty(plan.shape[:3])
    with np.errstate(invalid="ignore"):
        for k in range(plan.shape[2]):
            dose = next_dose(dose, plan[:, :, k, 0])
            volume = next_volume(
                patients, volume, dose, plan[:, :, k, 1], noise[:, k, None], is_softened=k > 0
            )
            if k == 0:
                volume = np.where(is_factual, volume.clip(0.0, DEATH_VOLUME), volume)
            volumes[:, :, k] = volume
    return volumes
