"""The published tumour data sets, and patients that carry their stored parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate.temporal._simulators.tumor_paths import Draws, TumorDesign
from segcate.temporal._simulators.tumor_patients import TumorPatients

SEED = 100
PUBLISHED = TumorDesign(4.0, 4.0, window=15, n_steps=60, horizon=5, policy="published")


def stored_patients(arrays: dict[str, np.ndarray]) -> TumorPatients:
    return TumorPatients(
        type=arrays["param_patient_types"],
        stage=arrays["param_initial_stages"],
        initial_volume=arrays["param_initial_volumes"],
        **{name: arrays[f"param_{name}"] for name in ("rho", "alpha", "beta", "beta_c")},
    )


def stored_draws(arrays: dict[str, np.ndarray]) -> Draws:
    return Draws(*(arrays[f"rng_{name}"] for name in ("randn", "recovery", "chemo", "radio")))


def naive_training_path(
    patient: dict[str, float], draws: dict[str, Any], gamma: float, window: int, n_steps: int
) -> tuple[list[float], list[tuple[int, int]]]:
    """Follow one patient in plain Python, from the formulas of the papers."""

    def diameter(volume):
        return 2 * (volume / (4 / 3 * np.pi)) ** (1 / 3)

    volumes, treatments = [patient["initial_volume"]], [(0, 0)]
    chemo_in_body, capacity, death = 0.0, 4 / 3 * np.pi * 15**3, 4 / 3 * np.pi * 6.5**3
    for day in range(1, n_steps):
        given_chemo, given_radio = treatments[-1]
        chemo_in_body = chemo_in_body / 2 + 5 * given_chemo
        gray = 2 * given_radio
        volume = volumes[-1] * (
            1
            + patient["rho"] * np.log(capacity / volumes[-1])
            - patient["beta_c"] * chemo_in_body
            - (patient["alpha"] * gray + patient["beta"] * gray**2)
            + 0.01 * draws["noise"][day]
        )
        seen = [diameter(v) for v in volumes[max(day - window, 0) : day]]
        chance = 1 / (1 + np.exp(-gamma / 13 * (sum(seen) / len(seen) - 6.5)))
        treatments.append((int(draws["chemo"][day] < chance), int(draws["radio"][day] < chance)))
        if volume > death:
            return [*volumes, death], treatments
        if draws["recovery"][day] < np.exp(-max(volume, 0) * 5.8e8):
            return [*volumes, 0.0], treatments
        volumes.append(volume)
    return volumes, treatments
