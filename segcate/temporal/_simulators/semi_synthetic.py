"""Simulate treatments and outcomes on top of patients' covariates, with every effect known.

After Melnychuk, Frauen and Feuerriegel (2022), "Causal Transformer for estimating counterfactual
outcomes", International Conference on Machine Learning.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_count, check_flag, check_seed
from segcate.exceptions import SegcateWarning
from segcate.temporal._panel.long_frame import long_frame, named, steps_frame
from segcate.temporal._panel.plan import check_same_length, read_plan
from segcate.temporal._simulators.counterfactual_rows import CounterfactualRows
from segcate.temporal._simulators.covariates import Covariates, read_covariates, standardized
from segcate.temporal._simulators.semi_model import (
    COVARIATE_ROLES,
    OUTCOME_NAMES,
    OUTCOMES,
    TREATMENT_NAMES,
    TREATMENTS,
    SemiDraws,
    draw_semi,
    untreated_outcomes,
)
from segcate.temporal._simulators.semi_rows import (
    SemiPaths,
    follow_plans,
    follow_semi,
    outcomes_by_day,
)

Flags = npt.NDArray[np.int8]

_OWNER = "semi_synthetic"
_LOWEST_RATE, _HIGHEST_RATE = 0.05, 0.95
_COMBINATIONS = np.array(list(product([0, 1], repeat=len(TREATMENTS))), dtype=np.int8)


@dataclass(frozen=True, slots=True)
class SemiSynthetic:
    """Covariates as they were given, simulated treatments and outcomes, and the truth behind them.

    Arrays have the shape (n_units, n_days, ...), days behind a unit's last are padding.

    Attributes
    ----------
    outcome : float64 array of shape (n_units, n_days, 2)
        Outcomes y1 and y2.
    untreated : float64 array of shape (n_units, n_days, 2)
        What they would have been without any treatment.
    treatment : int8 array of shape (n_units, n_days, 3), values 0 and 1
        Treatments t1, t2 and t3 of the day, which act on the outcomes of later days.
    propensity : float64 array of shape (n_units, n_days, 3)
        Chance of each treatment given the history.
    covariates : float64 array of shape (n_units, n_days, n_covariates)
        Gaps filled, and standardised if that was asked for.
    covariate_names : tuple of str
    static : dict of str to float64 arrays of shape (n_units,)
    length : intp array of shape (n_units,)
        Number of days of each unit.
    ids : array of shape (n_units,)
        Sorted.
    time : array of shape (n_units, n_days)
    id_name, time_name : str
    covariates_at_outcome_time : bool
        Whether a line of `panel` holds the covariates of the day after.
    drift : float64 array of shape (n_units, n_days, 3)
        Functions of the day's covariates that move the chances of treatment.
    """

    outcome: Float
    untreated: Float
    treatment: Flags
    propensity: Float
    covariates: Float
    covariate_names: tuple[str, ...]
    static: dict[str, npt.NDArray[Any]]
    length: Int
    ids: npt.NDArray[Any]
    time: npt.NDArray[Any]
    id_name: str
    time_name: str
    covariates_at_outcome_time: bool
    drift: Float

    @property
    def panel(self) -> pd.DataFrame:
        """One line a unit and day: id, time, y1, y2, t1, t2, t3, covariates, static columns."""
        columns: dict[str, npt.NDArray[Any]] = {
            **named(OUTCOME_NAMES, self.outcome),
            **named(TREATMENT_NAMES, self.treatment),
            **self._covariates_of_panel(),
        }
        return long_frame(self.id_name, self.ids, self.time_name, self.time, columns, self.length)

    def one_step(self, *, units: Any = None) -> CounterfactualRows:
        """Return every combination of treatments, for one day, on every day but the last.

        Parameters
        ----------
        units : array-like of positions, default=None
            Units to take, counted from 0 in the order of `ids`; None: all.

        Returns
        -------
        CounterfactualRows
            Eight rows for every day of every unit, from none of the treatments to all.
        """
        chosen = self._chosen("SemiSynthetic.one_step", units)
        plans = _COMBINATIONS[None, :, None]
        parts = []
        for day, outcome in enumerate(outcomes_by_day(self._paths(chosen))):
            is_on = day + 1 < self.length[chosen]
            if is_on.any():
                of_units = np.broadcast_to(plans, (int(is_on.sum()), *plans.shape[1:]))
                parts.append((day, is_on, of_units, outcome[is_on]))
        return self._rows(chosen, [self._try(chosen, *part) for part in parts], n_factual=0)

    def random_plans(
        self,
        *,
        n_plans: int = 10,
        horizon: int = 10,
        units: Any = None,
        random_state: Any = None,
    ) -> CounterfactualRows:
        """Return plans of coin flips from every day on from which they fit a unit's days.

        Parameters
        ----------
        n_plans : int, default=10
            Plans for each unit and day.
        horizon : int, default=10
            Days of a plan, behind a first one that is factual.
        units : array-like of positions, default=None
            Units to take, counted from 0 in the order of `ids`; None: all.
        random_state : int, RandomState instance or None, default=None
            Seed; the same seed gives the same plans.

        Returns
        -------
        CounterfactualRows
            The first day of every plan is as it was in fact, then each treatment is given on each
            day with probability 1/2.
        """
        owner = "SemiSynthetic.random_plans"
        check_count(owner, "n_plans", n_plans, 1)
        check_count(owner, "horizon", horizon, 1)
        chosen = self._chosen(owner, units)
        if int(self.length[chosen].max()) < horizon + 2:
            raise ValueError(
                f"{owner}: `horizon`={horizon} needs units of {horizon + 2} days, and the longest "
                f"has {self.length[chosen].max()}. Choose a shorter horizon."
            )
        rng = check_seed(owner, random_state)
        parts = []
        for day, outcome in enumerate(outcomes_by_day(self._paths(chosen))):
            is_on = day + horizon + 1 < self.length[chosen]
            if is_on.any():
                shape = (int(is_on.sum()), n_plans, horizon, len(TREATMENTS))
                today = self.treatment[chosen[is_on], day][:, None, None]
                first = np.broadcast_to(today, (*shape[:2], 1, shape[3]))
                plans = np.concatenate([first, rng.randint(0, 2, shape)], axis=2, dtype=np.int8)
                parts.append(self._try(chosen, day, is_on, plans, outcome[is_on]))
        return self._rows(chosen, parts, n_factual=1)

    def potential_outcomes(self, plan: Any, *, origin: int) -> pd.DataFrame:
        """Return what these units would go through under a plan.

        Parameters
        ----------
        plan : array-like of shape (n_days, 3) or (n_units, n_days, 3), mapping or TreatmentPlan
            0 and 1 for t1, t2 and t3 from the day `origin` on, for all units or for each; or a dict
            ``{"t1": [...], ...}``, where a treatment that is not named is not given.
        origin : int
            Day on which the plan starts, counted from 0 at each unit's first.

        Returns
        -------
        DataFrame
            Columns id, origin, step (counted from 1), y1 and y2. NaN on days behind a unit's last:
            there are no covariates to go on from.
        """
        owner = "SemiSynthetic.potential_outcomes"
        wanted = self._read(owner, "plan", plan)
        return self._frame(self._under(owner, wanted, origin), origin, OUTCOME_NAMES)

    def true_effect(self, plan: Any, reference: Any, *, origin: int) -> pd.DataFrame:
        """Return the effect of a plan against another on each unit: differences of outcomes.

        Parameters
        ----------
        plan, reference : array-like, mapping or TreatmentPlan
            Plans of the same number of days, as in `potential_outcomes`.
        origin : int
            Day on which the plans start, counted from 0 at each unit's first.

        Returns
        -------
        DataFrame
            Columns id, origin, step (counted from 1), effect_y1 and effect_y2. NaN on days behind a
            unit's last.
        """
        owner = "SemiSynthetic.true_effect"
        wanted, other = self._read(owner, "plan", plan), self._read(owner, "reference", reference)
        check_same_length(owner, wanted.shape[1], other.shape[1])
        effect = self._under(owner, wanted, origin) - self._under(owner, other, origin)
        return self._frame(effect, origin, tuple(f"effect_{name}" for name in OUTCOME_NAMES))

    def _covariates_of_panel(self) -> dict[str, npt.NDArray[Any]]:
        values = self.covariates
        if self.covariates_at_outcome_time:
            # The last day has no day after: it keeps its own, which no history contains.
            later = np.minimum(np.arange(values.shape[1]) + 1, self.length[:, None] - 1)
            values = np.take_along_axis(values, later[:, :, None], axis=1)
        return {**named(self.covariate_names, values), **self.static}

    def _paths(self, units: Int | slice) -> SemiPaths:
        return SemiPaths(
            self.untreated[units], self.outcome[units], self.treatment[units],
            self.propensity[units], self.drift[units],
        )  # fmt: skip

    def _chosen(self, owner: str, units: Any) -> Int:
        n_units = len(self.ids)
        if units is None:
            return np.arange(n_units)
        chosen = np.asarray(units)
        is_sound = chosen.ndim == 1 and chosen.dtype.kind in "iu" and len(chosen) > 0
        if not is_sound or chosen.min() < 0 or chosen.max() >= n_units:
            raise ValueError(
                f"{owner}: `units` must be positions between 0 and {n_units - 1}, one at least; got "
                f"{units!r}. Positions count from 0 in the order of `ids`."
            )
        return np.sort(chosen).astype(np.intp)

    def _try(
        self, chosen: Int, day: int, is_on: npt.NDArray[np.bool_], plans: Flags, outcome: Float
    ) -> tuple[Int, int, Flags, Float]:
        """Follow plans that start on a day; units count from the first of the chosen."""
        drift = self.drift[chosen[is_on]]
        return np.flatnonzero(is_on), day, plans, follow_plans(outcome, drift, day, plans)

    def _rows(
        self, chosen: Int, parts: list[tuple[Int, int, Flags, Float]], n_factual: int
    ) -> CounterfactualRows:
        """Put the plans of all days together, sorted by unit and day."""
        n_plans, n_plan_days = parts[0][2].shape[1:3]
        unit = np.concatenate([np.repeat(units, n_plans) for units, *_ in parts])
        origin = np.concatenate(
            [np.full(len(units) * n_plans, day, dtype=np.intp) for units, day, *_ in parts]
        )
        plan = np.concatenate([p.reshape(-1, n_plan_days, len(TREATMENTS)) for *_, p, _ in parts])
        outcome = np.concatenate([y.reshape(-1, n_plan_days, len(OUTCOMES)) for *_, y in parts])
        order = np.lexsort((origin, unit))
        is_day = np.arange(self.outcome.shape[1]) < self.length[chosen, None]
        return CounterfactualRows(
            unit=unit[order],
            origin=origin[order],
            plan=plan[order],
            outcome=outcome[order],
            noise_free=outcome[order],
            n_factual=n_factual,
            n_dropped=0,
            ids=self.ids[chosen],
            day=self.time[chosen],
            history_outcome=np.where(is_day[:, :, None], self.outcome[chosen], 0.0),
            history_treatment=np.where(is_day[:, :, None], self.treatment[chosen], 0).astype(
                np.int8
            ),
            length=self.length[chosen] - 1,
            outcome_names=OUTCOME_NAMES,
            treatment_names=TREATMENT_NAMES,
            id_name=self.id_name,
            time_name=self.time_name,
            covariates={k: v[chosen] for k, v in self._covariates_of_panel().items()},
        )

    def _read(self, owner: str, what: str, plan: Any) -> Flags:
        n_units = len(self.ids)
        flags = read_plan(owner, plan, TREATMENT_NAMES, n_units, longest=None, what=what)
        return np.broadcast_to(flags, (n_units, *flags.shape[1:])).astype(np.int8)

    def _under(self, owner: str, plan: Flags, origin: Any) -> Float:
        """Return outcomes under a plan, shape (n_units, n_plan_days, n_outcomes)."""
        check_count(owner, "origin", origin, 0)
        reach = plan.shape[1]
        if origin + reach >= self.length.max():
            raise ValueError(
                f"{owner}: a plan of {reach} days from day {origin} on reaches day {origin + reach}, "
                f"and no unit has covariates beyond day {self.length.max() - 1}. Choose an earlier "
                "origin, or a shorter plan."
            )
        by_day = outcomes_by_day(self._paths(slice(None)))
        outcome = next(y for day, y in enumerate(by_day) if day == origin)
        under = follow_plans(outcome, self.drift, origin, plan[:, None])[:, 0]
        is_known = origin + 1 + np.arange(reach) < self.length[:, None]
        return np.where(is_known[:, :, None], under, np.nan)

    def _frame(self, values: Float, origin: int, names: tuple[str, ...]) -> pd.DataFrame:
        return steps_frame(self.id_name, self.ids, self.time[:, origin], named(names, values))


def semi_synthetic(
    covariates: Any,
    static: Any = None,
    *,
    roles: Mapping[str, Any] | None = None,
    id: str = "id",
    time: str = "t",
    standardize: bool = True,
    center: bool = False,
    covariates_at_outcome_time: bool = False,
    process_seed: int | None = None,
    random_state: Any = None,
) -> SemiSynthetic:
    """Simulate treatments and outcomes on top of covariates over time.

    Covariates come from real records, or from `standin_covariates`; two outcomes and three
    treatments are simulated. Without treatment an outcome is the sum of a spline that groups of
    units share, a Gaussian process of the unit's own, and a random function of three covariates. A
    treatment's chance depends on recent outcomes and on covariates, so that both confound::

        P(treated on day t) = sigmoid(b + g_y mean(Y[t - w .. t]) + g_x f(X[t]))

    A treatment lowers an outcome on the days after, in proportion to its chance and to one over the
    square root of the days since. All effects are known, and there is no further noise.

    Parameters
    ----------
    covariates : DataFrame, or array-like of shape (n_units, n_days, n_covariates)
        Long frame, one line a unit and day, with equal steps; all its numeric columns are
        covariates. In an array, days at the end without any value are behind the unit's last. Where
        a value is missing a unit's last value is carried forward, then its first backward.
    static : list of column names, or array-like of shape (n_units, n_static), default=None
        What does not change over time: columns of the frame; an array beside an array. It goes
        into the panel, text as 0/1 columns, and plays no part in the simulation.
    roles : mapping, default=None
        Which covariate plays which part, ``{"heart rate": "hr", ...}``: the name of a column, or
        the position in an array. A role that is not named falls to the column of its name. Roles
        are anion gap, bicarbonate, blood urea nitrogen, chloride urine, glucose, heart rate,
        magnesium, sodium and systemic vascular resistance; any covariates may play them.
    id, time : str, default="id" and "t"
        Names of the columns, or index levels, of the unit and of the time.
    standardize : bool, default=True
        Whether covariates are given mean 0 and SD 1 over the cohort.
    center : bool, default=False
        Whether every random function is given mean 0 over the cohort. The published functions are
        nearly constant, at a level that depends on the seed alone, so that with many seeds a
        treatment is given to almost nobody, or to almost everybody.
    covariates_at_outcome_time : bool, default=False
        Whether the panel's covariates are those of the day after, as in the published data sets.
        They are measured together with the outcome that is to be predicted; use it to compare with
        published tables alone.
    process_seed : int or None, default=None
        Seed of the Gaussian processes. None draws them with the rest. The published program uses
        0 for both outcomes and every data set, which makes the two outcomes' processes alike, and
        those of the first units the same in every data set.
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives the same data. Draws come in the order of the published program.

    Returns
    -------
    SemiSynthetic
        The panel, the test sets and the truth.

    Raises
    ------
    ValueError
        If days of a unit are doubled or irregular, a unit has less than two or no value at all of a
        covariate, or a role has no covariate.

    Warns
    -----
    SegcateWarning
        If a treatment is given on less than 5 % or more than 95 % of all days.

    See Also
    --------
    standin_covariates : Covariates for those who have no records at hand.
    tumor_growth : Simulated tumours, without covariates.

    References
    ----------
    Melnychuk, V., Frauen, D. and Feuerriegel, S. (2022). "Causal Transformer for estimating
    counterfactual outcomes". Proceedings of Machine Learning Research 162, 15293-15329.

    Examples
    --------
    >>> from segcate.temporal import semi_synthetic, standin_covariates
    >>> covariates = standin_covariates(100, 40, random_state=0)
    >>> sim = semi_synthetic(covariates, center=True, random_state=0)
    >>> print(sim.panel.iloc[:, :7].round(2).head(3).to_string(index=False))
     id  t    y1    y2  t1  t2  t3
      0  0  0.01 -0.71   0   0   1
      0  1  0.56 -0.73   0   1   0
      0  2 -0.23 -1.68   0   0   0
    >>> always, never = {"t1": [1] * 3}, {"t1": [0] * 3}
    >>> effect = sim.true_effect(always, never, origin=20)
    >>> print(effect.groupby("step")["effect_y1"].mean().round(2).to_dict())
    {1: -0.14, 2: -0.22, 3: -0.31}
    """
    if not hasattr(covariates, "columns") and np.ndim(covariates) < 2:
        raise TypeError(
            f"semi_synthetic: `covariates` must be a long frame, or an array of shape (n_units, n_days, n_covariates); "
            f"got {type(covariates).__name__}."
        )
    for name, flag in (
        ("standardize", standardize),
        ("center", center),
        ("covariates_at_outcome_time", covariates_at_outcome_time),
    ):
        check_flag(_OWNER, name, flag)
    check_count(_OWNER, "process_seed", process_seed, 0, optional=True)
    found = read_covariates(_OWNER, covariates, static, roles, COVARIATE_ROLES, id, time)
    if standardize:
        found = replace(found, values=standardized(found.values, found.is_day))
    n_units, n_days = found.values.shape[:2]
    draws = draw_semi(n_units, n_days, check_seed(_OWNER, random_state), process_seed)
    paths = simulate(found, draws, center)
    sim = SemiSynthetic(
        outcome=paths.outcome,
        untreated=paths.untreated,
        treatment=paths.treatment,
        propensity=paths.propensity,
        covariates=found.values,
        covariate_names=found.names,
        static=found.static,
        length=found.length,
        ids=found.ids,
        time=found.time,
        id_name=id,
        time_name=time,
        covariates_at_outcome_time=covariates_at_outcome_time,
        drift=paths.drift,
    )
    _warn_of_rates(paths.treatment, found.is_day)
    return sim


def simulate(found: Covariates, draws: SemiDraws, center: bool) -> SemiPaths:
    """Make outcomes and treatments of given covariates and draws."""
    level = _functions(found, [m.covariates for m in OUTCOMES], draws.outcome_functions, center)
    drift = _functions(found, [m.covariates for m in TREATMENTS], draws.treatment_functions, center)
    return follow_semi(untreated_outcomes(draws, level), drift, draws)


def _functions(found: Covariates, inputs: Any, functions: Any, center: bool) -> Float:
    """Return functions of the covariates, shape (n_units, n_days, n_functions)."""
    values = np.stack(
        [f(found.of_roles(names)) for f, names in zip(functions, inputs, strict=True)], axis=2
    )
    return values - values[found.is_day].mean(axis=0) if center else values


def _warn_of_rates(treatment: Flags, is_day: npt.NDArray[np.bool_]) -> None:
    rates = treatment[is_day].mean(axis=0)
    is_off = (rates < _LOWEST_RATE) | (rates > _HIGHEST_RATE)
    if is_off.any():
        found = ", ".join(
            f"{name} on {rate:.1%}" for name, rate in zip(TREATMENT_NAMES, rates, strict=True)
            if rate < _LOWEST_RATE or rate > _HIGHEST_RATE
        )  # fmt: skip
        warnings.warn(
            f"{_OWNER}: treatments are given on nearly none, or nearly all, of the days: {found}. "
            f"Little can be learned about them (rates from {_LOWEST_RATE:.0%} to {_HIGHEST_RATE:.0%} "
            "serve). Pass `center=True`, or another `random_state`.",
            SegcateWarning,
            stacklevel=3,
        )
