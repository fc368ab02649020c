"""How a tumour grows, shrinks under treatment, and is treated: one patient a row, day by day.

With K the carrying capacity, C the chemotherapy in the body and R the day's radiation, the volume
follows Geng et al. (2017)::

    V[t+1] = V[t] (1 + rho log(K / V[t]) - beta_c C[t] - (alpha R[t] + beta R[t]^2) + 0.01 e[t+1])

Sums are written in the order of the published simulator, so that volumes agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.temporal._simulators.tumor_patients import TumorPatients, diameter_of, volume_of

Flags = npt.NDArray[np.int8]

CAPACITY = float(volume_of(30.0))
DEATH_DIAMETER = 13.0
DEATH_VOLUME = float(volume_of(DEATH_DIAMETER))
CHEMO_DOSE = 5.0
RADIO_DOSE = 2.0
NOISE_SD = 0.01
_CELLS_PER_CUBIC_CM = 5.8e8
# Keeps the logarithm finite for tumours that vanished under a plan.
_TINY = 1e-7


@dataclass(frozen=True, slots=True)
class TumorDesign:
    """The settings of the tumour simulator.

    Attributes
    ----------
    gamma_chemo, gamma_radio : float
        How strongly each treatment follows the size of the tumour; 0 is a coin.
    window : int
        Number of days back that the doctor looks.
    n_steps : int
        Number of days.
    horizon : int
        Number of days of a plan in the multi-step test sets.
    policy : {"own", "published"}
        Whose tumour the doctor looks at in the test sets.
    """

    gamma_chemo: float
    gamma_radio: float
    window: int
    n_steps: int
    horizon: int
    policy: Literal["own", "published"]


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers of some patients; all float64 of shape (n_patients, n_days).

    `noise` is standard normal, all else uniform. `noise` and `recovery` may reach further.
    """

    noise: Float
    recovery: Float
    chemo: Float
    radio: Float

    def take(self, rows: slice) -> Draws:
        """Return the numbers of some patients."""
        return Draws(self.noise[rows], self.recovery[rows], self.chemo[rows], self.radio[rows])


@dataclass(frozen=True, slots=True)
class Paths:
    """What happened to patients; arrays of shape (n_patients, n_steps), zero after the end.

    Attributes
    ----------
    volume, chemo_dose, chemo_probability, radio_probability : float64 arrays
    chemo, radio : int8 arrays, values 0 and 1
    last : intp array of shape (n_patients,)
        Training: the last day with a volume. Test: the last day with a treatment.
    is_dead, is_recovered : bool arrays of shape (n_patients,)
    """

    volume: Float
    chemo: Flags
    radio: Flags
    chemo_dose: Float
    chemo_probability: Float
    radio_probability: Float
    last: Int
    is_dead: npt.NDArray[np.bool_]
    is_recovered: npt.NDArray[np.bool_]

    def take(self, rows: slice) -> Paths:
        """Return the paths of some patients."""
        return Paths(**{name: getattr(self, name)[rows] for name in Paths.__dataclass_fields__})


def draw_training(n_patients: int, design: TumorDesign, rng: np.random.RandomState) -> Draws:
    """Draw the numbers of training trajectories, then those of the days after the last."""
    shape = (n_patients, design.n_steps)
    noise = rng.randn(*shape)
    recovery, chemo, radio = (rng.random_sample(shape) for _ in range(3))
    later = (n_patients, design.horizon)
    return Draws(
        noise=np.hstack([noise, rng.randn(*later)]),
        recovery=np.hstack([recovery, rng.random_sample(later)]),
        chemo=chemo,
        radio=radio,
    )


def next_volume(
    patients: TumorPatients,
    volume: Float,
    chemo_dose: Float,
    is_radio: Any,
    noise: Any,
    *,
    is_softened: bool = False,
) -> Float:
    """Return tomorrow's volume, which may be negative; all arguments are broadcast."""
    radio_dose = RADIO_DOSE * is_radio
    ratio = CAPACITY / (volume + _TINY) + _TINY if is_softened else CAPACITY / volume
    growth = patients.rho * np.log(ratio)
    chemo = patients.beta_c * chemo_dose
    radio = patients.alpha * radio_dose + patients.beta * radio_dose**2
    return np.asarray(volume * (1 + growth - chemo - radio + NOISE_SD * noise), dtype=np.float64)


def next_dose(chemo_dose: Any, is_chemo: Any) -> Any:
    """Return the chemotherapy in the body after today's decision; half of it is gone in a day."""
    return chemo_dose / 2 + CHEMO_DOSE * is_chemo


def recovery_chance(volume: Float) -> Float:
    """Return the chance that no cell of a tumour survives the day; 1 for volumes below 0."""
    return np.asarray(np.exp(-np.maximum(volume, 0.0) * _CELLS_PER_CUBIC_CM), dtype=np.float64)


def treatment_probability(diameter: Float, gamma: float) -> Float:
    """Return the chance of a treatment for tumours of a mean diameter."""
    slope = gamma / DEATH_DIAMETER
    return np.asarray(1 / (1 + np.exp(-slope * (diameter - DEATH_DIAMETER / 2))), dtype=np.float64)


class _Diary:
    """Paths that a simulation fills day by day."""

    def __init__(self, patients: TumorPatients, design: TumorDesign) -> None:
        shape = (len(patients), design.n_steps)
        volume, diameter, dose, chemo_chance, radio_chance = (np.zeros(shape) for _ in range(5))
        chemo, radio = (np.zeros(shape, np.int8) for _ in range(2))
        is_dead, is_recovered = (np.zeros(shape[0], dtype=bool) for _ in range(2))
        volume[:, 0] = patients.initial_volume
        diameter[:, 0] = diameter_of(patients.initial_volume)
        self.design, self.diameter = design, diameter
        self.is_on = np.ones(shape[0], dtype=bool)
        self.paths = Paths(
            volume, chemo, radio, dose, chemo_chance, radio_chance,
            np.zeros(shape[0], dtype=np.intp), is_dead, is_recovered,
        )  # fmt: skip

    def tomorrow(self, patients: TumorPatients, day: int, noise: Float) -> Float:
        """Grow the tumours by a day; 0 for patients who have ended."""
        paths = self.paths
        today = np.where(self.is_on, paths.volume[:, day], 1.0)
        grown = next_volume(patients, today, paths.chemo_dose[:, day], paths.radio[:, day], noise)
        return np.where(self.is_on, grown, 0.0)

    def treat(self, day: int, diameter: Float, draws: Draws) -> None:
        """Decide about both treatments, given the mean diameter the doctor looks at."""
        on, paths, design = self.is_on, self.paths, self.design
        for given, chance, gamma, drawn in (
            (paths.chemo, paths.chemo_probability, design.gamma_chemo, draws.chemo),
            (paths.radio, paths.radio_probability, design.gamma_radio, draws.radio),
        ):
            chance[on, day] = treatment_probability(diameter, gamma)[on]
            given[:, day] = on & (drawn[:, day] < chance[:, day])
        before = paths.chemo_dose[:, day - 1] if day else 0.0
        paths.chemo_dose[:, day] = np.where(on, next_dose(before, paths.chemo[:, day]), 0.0)

    def end_day(
        self, day: int, tomorrow: int, volume: Float, is_dead: Any, is_recovered: Any
    ) -> None:
        """Write down tomorrow's volumes, and who ends; `day` is the last of those who were on."""
        on, paths = self.is_on, self.paths
        paths.volume[:, tomorrow] = volume
        self.diameter[:, tomorrow] = diameter_of(volume)
        paths.last[on] = day
        paths.is_dead[:] |= on & is_dead
        paths.is_recovered[:] |= on & is_recovered
        self.is_on = on & ~is_dead & ~is_recovered


def settle(volume: Float, recovery: Float) -> tuple[Float, Any, Any]:
    """Return the volume after death or recovery, who died and who recovered."""
    is_dead = volume > DEATH_VOLUME
    is_recovered = ~is_dead & (recovery < recovery_chance(volume))
    settled = np.where(is_dead, DEATH_VOLUME, np.where(is_recovered, 0.0, volume))
    return settled, is_dead, is_recovered


def follow_in_training(patients: TumorPatients, draws: Draws, design: TumorDesign) -> Paths:
    """Follow patients whose doctor sees volumes up to yesterday, and treats from day 1 on."""
    diary = _Diary(patients, design)
    for day in range(1, design.n_steps):
        grown = diary.tomorrow(patients, day - 1, draws.noise[:, day])
        seen = diary.diameter[:, max(day - design.window, 0) : day].mean(axis=1)
        diary.treat(day, seen, draws)
        settled, is_dead, is_recovered = settle(grown, draws.recovery[:, day])
        diary.end_day(day, day, np.where(diary.is_on, settled, 0.0), is_dead, is_recovered)
    return diary.paths


def follow_in_test(
    patients: TumorPatients,
    draws: Draws,
    design: TumorDesign,
    seen: Float | None = None,
    seen_from: int = 0,
) -> Paths:
    """Follow test patients, whose doctor sees today's volume and may treat on day 0.

    Parameters
    ----------
    patients, draws, design
        As for training.
    seen : float64 array of shape (n_patients, at least n_steps), default=None
        Volumes that the doctor looks at; None: the patients' own.
    seen_from : int, default=0
        First day on which `seen` holds; before it the doctor sees a volume of 0.
    """
    diary = _Diary(patients, design)
    looked_at = diary.diameter if seen is None else diameter_of(seen)
    for day in range(design.n_steps - 1):
        mean = looked_at[:, max(day - design.window, 0) : day + 1].mean(axis=1)
        diary.treat(day, mean if seen is None or day >= seen_from else np.zeros_like(mean), draws)
        grown = diary.tomorrow(patients, day, draws.noise[:, day + 1]).clip(0.0, DEATH_VOLUME)
        is_dead = grown >= DEATH_VOLUME
        is_recovered = ~is_dead & (draws.recovery[:, day] <= recovery_chance(grown))
        diary.end_day(day, day + 1, grown, is_dead, is_recovered)
    return diary.paths
