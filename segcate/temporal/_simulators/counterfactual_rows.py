"""Outcomes of treatment plans in simulated units, as a benchmark scores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate.temporal._panel.long_frame import long_frame, named, steps_frame

Flags = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class DenseRows:
    """Counterfactual rows with their history spelled out, padded with zeros.

    Attributes
    ----------
    outcome : float64 array of shape (n_rows, n_days, n_outcomes)
        Outcomes up to the origin as they were, then those under the plan.
    treatment : int8 array of shape (n_rows, n_days, n_treatments)
        Treatments up to the day before the origin as they were, then the plan.
    length : intp array of shape (n_rows,)
        Position of the last outcome.
    """

    outcome: Float
    treatment: Flags
    length: Int


@dataclass(frozen=True, slots=True)
class CounterfactualRows:
    """Simulated units, and what would have happened to them under plans.

    A row is one unit, one origin and one plan. The history of a row holds outcomes up to the day of
    the origin and treatments up to the day before it; the plan starts on the day of the origin, and
    its step k leads to the outcome k days after the origin.

    Attributes
    ----------
    unit : intp array of shape (n_rows,)
        Position of the row's unit in `ids`.
    origin : intp array of shape (n_rows,)
        Day on which the plan starts.
    plan : int8 array of shape (n_rows, n_plan_days, n_treatments), values 0 and 1
    outcome : float64 array of shape (n_rows, n_plan_days, n_outcomes)
        Outcomes under the plan, 1, 2, ... days after the origin.
    noise_free : float64 array of the shape of `outcome`
        What someone would forecast who knows all of the unit but the chance of the days to come. No
        model can be expected to come closer. NaN where no forecast exists.
    n_factual : int
        How many leading days of every plan are what the unit was given in fact.
    n_dropped : int
        Plans left out because the simulation broke down under them.
    ids : array of shape (n_units,)
    day : int64 array of shape (n_units, n_days)
        Time of each position, as `panel` writes it.
    history_outcome : float64 array of shape (n_units, n_days, n_outcomes)
        Factual outcomes, zero after the unit's last.
    history_treatment : int8 array of shape (n_units, n_days, n_treatments)
        Factual treatments. The last day of a unit has none to decide about; 0 stands there.
    length : intp array of shape (n_units,)
        Position of the unit's last outcome.
    outcome_names, treatment_names : tuples of str
    id_name, time_name : str
    covariates : dict of str to arrays of shape (n_units,) or (n_units, n_days)
        Further columns of the panel: static ones, and those that change over time.
    """

    unit: Int
    origin: Int
    plan: Flags
    outcome: Float
    noise_free: Float
    n_factual: int
    n_dropped: int
    ids: npt.NDArray[Any]
    day: npt.NDArray[np.int64]
    history_outcome: Float
    history_treatment: Flags
    length: Int
    outcome_names: tuple[str, ...]
    treatment_names: tuple[str, ...]
    id_name: str
    time_name: str
    covariates: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.unit)

    @property
    def panel(self) -> pd.DataFrame:
        """Factual histories of the units: one line a unit and day, for models to predict from."""
        columns: dict[str, npt.NDArray[Any]] = {
            **named(self.outcome_names, self.history_outcome),
            **named(self.treatment_names, self.history_treatment),
            **self.covariates,
        }
        return long_frame(
            self.id_name, self.ids, self.time_name, self.day, columns, self.length + 1
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The plans and their outcomes: one line a row and step, steps counted from 1."""
        columns = {
            **named(self.treatment_names, self.plan),
            **named(self.outcome_names, self.outcome),
        }
        origin = self.day[self.unit, self.origin]
        table = steps_frame(self.id_name, self.ids[self.unit], origin, columns)
        table.insert(0, "row", np.repeat(np.arange(len(self)), self.outcome.shape[1]))
        return table

    def dense(self, rows: slice | npt.NDArray[Any] = slice(None)) -> DenseRows:
        """Spell out the history of rows, in the layout of the published data sets.

        Every row repeats its whole history, which takes 600 kB for a tumour of 60 days: ask for
        some of the rows where memory matters.

        Parameters
        ----------
        rows : slice or array of positions, default=all
            Which rows to spell out.

        Returns
        -------
        DenseRows
            Histories and plans, padded with zeros.
        """
        unit, origin, plan = self.unit[rows], self.origin[rows], self.plan[rows]
        n_days, n_plan = self.history_outcome.shape[1], plan.shape[1]
        # A plan that starts on the last day but one reaches n_plan - 1 days beyond the history.
        width = n_days + n_plan - 1
        outcome = np.zeros((len(unit), width, self.outcome.shape[2]))
        treatment = np.zeros((len(unit), width, plan.shape[2]), dtype=np.int8)
        outcome[:, :n_days] = self.history_outcome[unit]
        treatment[:, :n_days] = self.history_treatment[unit]
        position = np.arange(width)
        outcome[position > origin[:, None]] = 0.0
        treatment[position >= origin[:, None]] = 0
        row = np.arange(len(unit))[:, None]
        step = origin[:, None] + np.arange(n_plan)
        outcome[row, step + 1] = self.outcome[rows]
        treatment[row, step] = plan
        return DenseRows(outcome, treatment, origin + n_plan)
