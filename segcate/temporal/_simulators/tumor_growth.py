"""Simulate tumours under chemotherapy and radiotherapy, with known outcomes of every plan.

The model is that of Geng, Paganetti and Grassberger (2017), doi:10.1038/s41598-017-13646-z; the way
patients are treated that of Lim, Alaa and van der Schaar (2018) and Bica et al. (2020), "Estimating
counterfactual treatment outcomes over time through adversarially balanced representations".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.parameters import check_count, check_option, check_seed
from segcate.temporal._panel.long_frame import long_frame, steps_frame
from segcate.temporal._panel.plan import check_same_length, read_plan
from segcate.temporal._simulators.counterfactual_rows import CounterfactualRows
from segcate.temporal._simulators.tumor_checks import check_gamma, check_origin
from segcate.temporal._simulators.tumor_paths import (
    Draws,
    TumorDesign,
    draw_training,
    follow_in_training,
    next_dose,
    next_volume,
    settle,
)
from segcate.temporal._simulators.tumor_patients import TumorPatients, draw_patients
from segcate.temporal._simulators.tumor_rows import Kind, simulate_rows

Flags = npt.NDArray[np.int8]

_OWNER = "tumor_growth"
_TREATMENTS = ("chemo", "radio")


@dataclass(frozen=True, slots=True)
class TumorGrowth:
    """Patients as a study would record them, and the truth behind them.

    Arrays have the shape (n_patients, n_steps) where nothing else is said, and are zero after a
    patient's end.

    Attributes
    ----------
    volume : float64 array
        Volume of the tumour in cubic centimetres. A patient whose tumour passes 1150.35, a diameter
        of 13 cm, dies on that day; one whose tumour has no cell left recovers, and has volume 0.
    chemo, radio : int8 arrays, values 0 and 1
        What the patient was given that day; it acts on the next day's volume. Nobody is treated on
        day 0.
    chemo_dose : float64 array
        Chemotherapy in the body after the day's decision, in mg per cubic metre.
    chemo_probability, radio_probability : float64 arrays
        Chance of each treatment given the history, 0 on day 0.
    length : intp array of shape (n_patients,)
        Position of the patient's last day: the day of death or recovery, or n_steps - 1.
    died, recovered : bool arrays of shape (n_patients,)
    parameters : TumorPatients
        What sets the patients apart.
    design : TumorDesign
        The settings of the simulation.
    noise, recovery_draw : float64 arrays of shape (n_patients, n_steps + horizon)
        Chance of each day: a standard normal for the growth that ends on it, and a uniform number
        for recovery. The days after the last serve plans that reach beyond it.
    """

    volume: Float
    chemo: Flags
    radio: Flags
    chemo_dose: Float
    chemo_probability: Float
    radio_probability: Float
    length: Int
    died: Bool
    recovered: Bool
    parameters: TumorPatients
    design: TumorDesign
    noise: Float
    recovery_draw: Float

    @property
    def panel(self) -> pd.DataFrame:
        """One line a patient and day: id, t, volume, chemo, radio, type; sorted by id and t."""
        columns: dict[str, npt.NDArray[Any]] = {
            "volume": self.volume,
            "chemo": self.chemo,
            "radio": self.radio,
            "type": self.parameters.type,
        }
        days = np.broadcast_to(np.arange(self.design.n_steps), self.volume.shape)
        ids = np.arange(len(self.parameters))
        return long_frame("id", ids, "t", days, columns, self.length + 1)

    def one_step(self, n_patients: int, *, random_state: Any = None) -> CounterfactualRows:
        """Draw a test set of new patients: every combination of treatments, for one day.

        Parameters
        ----------
        n_patients : int
            Number of new patients.
        random_state : int, RandomState instance or None, default=None
            Seed; the same seed gives the same patients.

        Returns
        -------
        CounterfactualRows
            Four rows for every day of every patient, the factual one first.
        """
        return self._rows("one_step", n_patients, random_state)

    def sliding(self, n_patients: int, *, random_state: Any = None) -> CounterfactualRows:
        """Draw a test set of new patients: plans with a single treatment on one of the days.

        Parameters
        ----------
        n_patients : int
            Number of new patients.
        random_state : int, RandomState instance or None, default=None
            Seed; the same seed gives the same patients.

        Returns
        -------
        CounterfactualRows
            ``2 * horizon`` rows for every day of every patient: after the day's factual treatment,
            chemotherapy on day 1, 2, ..., then radiotherapy on day 1, 2, ... .
        """
        return self._rows("sliding", n_patients, random_state)

    def random_plans(self, n_patients: int, *, random_state: Any = None) -> CounterfactualRows:
        """Draw a test set of new patients: plans of coin flips.

        Parameters
        ----------
        n_patients : int
            Number of new patients.
        random_state : int, RandomState instance or None, default=None
            Seed; the same seed gives the same patients.

        Returns
        -------
        CounterfactualRows
            ``2 * horizon`` rows for every day of every patient: after the day's factual treatment,
            each treatment is given on each day with probability 1/2.
        """
        return self._rows("random", n_patients, random_state)

    def potential_outcomes(
        self, plan: Any, *, origin: int | Literal["last"] = "last"
    ) -> pd.DataFrame:
        """Return what these same patients would go through under a plan, chance included.

        Death and recovery end a patient as they do in the training data: the volume stays 1150.35,
        or 0, from then on.

        Parameters
        ----------
        plan : array-like of shape (n_days, 2) or (n_patients, n_days, 2), or mapping
            0 and 1 for chemotherapy and radiotherapy from the day `origin` on, for all patients or
            for each; or a dict ``{"chemo": [...], "radio": [...]}``.
        origin : int or "last", default="last"
            Day on which the plan starts; "last" is each patient's last.

        Returns
        -------
        DataFrame
            Columns id, origin, step (counted from 1) and volume. The volume is NaN where the
            patient had no such day, having ended before.
        """
        owner = "TumorGrowth.potential_outcomes"
        wanted = self._read(owner, "plan", plan)
        start = self._start(owner, origin, wanted)
        return steps_frame("id", self._ids, start, {"volume": self._follow(wanted, start)})

    def true_effect(
        self, plan: Any, reference: Any, *, origin: int | Literal["last"] = "last"
    ) -> pd.DataFrame:
        """Return the effect of a plan against another on each patient: difference of volumes.

        Parameters
        ----------
        plan, reference : array-like or mapping
            Plans of the same number of days, as in `potential_outcomes`.
        origin : int or "last", default="last"
            Day on which the plans start; "last" is each patient's last.

        Returns
        -------
        DataFrame
            Columns id, origin, step (counted from 1) and effect, in cubic centimetres. Both plans
            meet the same chance. NaN where the patient had no such day, having ended before.
        """
        owner = "TumorGrowth.true_effect"
        wanted, other = self._read(owner, "plan", plan), self._read(owner, "reference", reference)
        check_same_length(owner, wanted.shape[1], other.shape[1])
        start = self._start(owner, origin, wanted)
        effect = self._follow(wanted, start) - self._follow(other, start)
        return steps_frame("id", self._ids, start, {"effect": effect})

    @property
    def _ids(self) -> Int:
        return np.arange(len(self.parameters))

    def _read(self, owner: str, what: str, plan: Any) -> Float:
        n_patients = len(self.parameters)
        return read_plan(owner, plan, _TREATMENTS, n_patients, longest=None, what=what)

    def _start(self, owner: str, origin: Any, plan: Float) -> Int:
        advice = "Choose an earlier origin, a shorter plan, or simulate with a larger `horizon`."
        return check_origin(owner, origin, self.length, plan.shape[1], self.noise.shape[1], advice)

    def _follow(self, plan: Float, start: Int) -> Float:
        """Return the volumes under plans, shape (n_patients, n_days)."""
        unit = self._ids
        volume, ended = self.volume[unit, start], self.died | self.recovered
        is_on = ~(ended & (self.length <= start))
        dose = np.where(start > 0, self.chemo_dose[unit, start - 1], 0.0)
        volumes = np.empty((len(unit), plan.shape[1]))
        for k in range(plan.shape[1]):
            dose, day = next_dose(dose, plan[:, k, 0]), start + k + 1
            today = np.where(is_on, volume, 1.0)
            grown = next_volume(self.parameters, today, dose, plan[:, k, 1], self.noise[unit, day])
            settled, is_dead, is_recovered = settle(grown, self.recovery_draw[unit, day])
            volume = np.where(is_on, settled, volume)
            is_on &= ~is_dead & ~is_recovered
            volumes[:, k] = volume
        volumes[self.length < start] = np.nan
        return volumes

    def _rows(self, kind: Kind, n_patients: int, random_state: Any) -> CounterfactualRows:
        """Draw new patients, follow them and try plans."""
        method = "random_plans" if kind == "random" else kind
        check_count(f"TumorGrowth.{method}", "n_patients", n_patients, 1)
        rng = check_seed(f"TumorGrowth.{method}", random_state)
        patients = draw_patients(n_patients, rng)
        paths, rows = simulate_rows(patients, self.design, kind, rng)
        n_days = self.design.n_steps
        return CounterfactualRows(
            unit=rows.unit,
            origin=rows.origin,
            plan=rows.plan,
            outcome=rows.outcome[:, :, None],
            noise_free=rows.noise_free[:, :, None],
            n_factual=0 if kind == "one_step" else 1,
            n_dropped=rows.n_dropped,
            ids=np.arange(n_patients),
            day=np.broadcast_to(np.arange(n_days), (n_patients, n_days)),
            history_outcome=paths.volume[:, :, None],
            history_treatment=np.stack([paths.chemo, paths.radio], axis=2),
            length=paths.last + 1,
            outcome_names=("volume",),
            treatment_names=_TREATMENTS,
            id_name="id",
            time_name="t",
            covariates={"type": patients.type},
        )


def tumor_growth(
    n_patients: int = 1000,
    *,
    gamma: float | Mapping[str, float] = 4.0,
    window: int = 15,
    n_steps: int = 60,
    horizon: int = 5,
    policy: Literal["own", "published"] = "own",
    random_state: Any = None,
) -> TumorGrowth:
    """Simulate cancer patients whose treatment follows the size of their tumour.

    Large tumours are treated more often, and treated tumours shrink: time-varying confounding, of
    a strength that `gamma` sets. The chance of each treatment on a day is::

        sigmoid(gamma / 13 * (D - 6.5)),    D the mean diameter in cm over the `window` days before

    All that happened, and all that would have happened under other plans, is known. The result
    holds a panel to fit models on, makes test sets of new patients, and answers what a plan would
    have done to the very patients of the panel.

    Parameters
    ----------
    n_patients : int, default=1000
        Number of patients, at least 1.
    gamma : float or mapping, default=4.0
        Strength of confounding, at least 0; 0 treats by coin. A dict ``{"chemo": ..., "radio":
        ...}`` sets one for each treatment.
    window : int, default=15
        Number of days back that the doctor looks, at least 1.
    n_steps : int, default=60
        Number of days of a panel, at least 2.
    horizon : int, default=5
        Number of days of a plan in the multi-step test sets, at least 1.
    policy : {"own", "published"}, default="own"
        How test patients are treated. The program behind the published tables looks up the tumour
        of another patient for most of them: "published" does, too, and serves to compare with those
        tables alone. The panel is the same either way.
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives the same patients. Draws come in the order of the published
        program, from NumPy's `RandomState`.

    Returns
    -------
    TumorGrowth
        The panel, the test sets and the truth.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    semi_synthetic : Outcomes and treatments on top of patients' real covariates.

    Notes
    -----
    In the panel the doctor sees volumes up to yesterday and treats from day 1 on, in test sets up
    to today and from day 0 on. That, too, is as published.

    Volumes of test plans follow the published program: what happens in fact stays between 0 and
    1150.35, what would have happened may leave that range, and a plan under which the volume falls
    below 0 before its last day is left out (`CounterfactualRows.n_dropped` counts them).
    `TumorGrowth.potential_outcomes` keeps the range.

    A squared error over test rows says little: at six days one row in a hundred holds nine tenths
    of the squared volume. Use 300 test patients or more, and look at a robust error, too.

    References
    ----------
    Geng, C., Paganetti, H. and Grassberger, C. (2017). "Prediction of treatment response for
    combined chemo- and radiation therapy for non-small cell lung cancer patients using a
    bio-mathematical model". Scientific Reports 7, 13542. doi:10.1038/s41598-017-13646-z

    Lim, B., Alaa, A. and van der Schaar, M. (2018). "Forecasting treatment responses over time
    using recurrent marginal structural networks". Advances in Neural Information Processing
    Systems 31.

    Examples
    --------
    >>> from segcate.temporal import tumor_growth
    >>> sim = tumor_growth(200, gamma=2, random_state=0)
    >>> print(sim.panel.round(2).head(3).to_string(index=False))
     id  t  volume  chemo  radio  type
      0  0    0.48      0      0     2
      0  1    0.50      0      0     2
      0  2    0.53      1      0     2
    >>> radio, chemo = {"chemo": [0] * 5, "radio": [1] * 5}, {"chemo": [1] * 5, "radio": [0] * 5}
    >>> effect = sim.true_effect(radio, chemo, origin=20)
    >>> print(effect.groupby("step")["effect"].mean().round(2).to_dict())
    {1: 0.03, 2: 0.12, 3: 0.22, 4: 0.3, 5: 0.37}
    >>> test = sim.sliding(20, random_state=1)
    >>> test.plan.shape, test.outcome.shape
    ((11800, 6, 2), (11800, 6, 1))
    """
    strengths = check_gamma(_OWNER, gamma)
    check_count(_OWNER, "window", window, 1)
    check_count(_OWNER, "n_steps", n_steps, 2)
    check_count(_OWNER, "horizon", horizon, 1)
    check_option(_OWNER, "policy", policy, ["own", "published"])
    check_count(_OWNER, "n_patients", n_patients, 1)
    rng = check_seed(_OWNER, random_state)
    design = TumorDesign(*strengths, window, n_steps, horizon, policy)
    patients = draw_patients(n_patients, rng)
    return _as_recorded(patients, draw_training(n_patients, design, rng), design)


def _as_recorded(patients: TumorPatients, draws: Draws, design: TumorDesign) -> TumorGrowth:
    """Follow patients through given draws."""
    paths = follow_in_training(patients, draws, design)
    return TumorGrowth(
        volume=paths.volume,
        chemo=paths.chemo,
        radio=paths.radio,
        chemo_dose=paths.chemo_dose,
        chemo_probability=paths.chemo_probability,
        radio_probability=paths.radio_probability,
        length=paths.last,
        died=paths.is_dead,
        recovered=paths.is_recovered,
        parameters=patients,
        design=design,
        noise=draws.noise,
        recovery_draw=draws.recovery,
    )
