"""The base of all temporal estimators: it takes a panel and predicts outcomes under plans."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_in_unit_interval, is_whole
from segcate.exceptions import SegcateWarning
from segcate.temporal._linear.choose_scale import choose_scales
from segcate.temporal._models.average_effects import (
    average_effects,
    warn_of_one_unit,
    warn_of_second,
)
from segcate.temporal._models.calibration import calibrate, report
from segcate.temporal._models.treatment_weights import (
    future_weights,
    history_columns,
    step_weights,
)
from segcate.temporal._panel.coding import (
    Scaling,
    TreatmentCoding,
    check_transform,
    find_binary,
)
from segcate.temporal._panel.factual import factual_plans
from segcate.temporal._panel.long_frame import named, steps_frame
from segcate.temporal._panel.panel import Panel, Roles, read_panel, with_steps
from segcate.temporal._panel.plan import TreatmentPlan, check_same_length, read_plan
from segcate.temporal._panel.times import Clock


@dataclass(eq=False, repr=False)
class TemporalEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of estimators that predict the outcomes of each unit under a plan of treatments.

    Its parameters are the fields; a subclass, a dataclass too, adds its own, all of them keywords.
    It fits in `fit(panel)` and stores `_roles`, `_static_names`, `_clock`, `coding_` and
    `scaling_`; `_simulate` makes the predictions.
    """

    treatment: str | Sequence[str] = "treatment"
    outcome: str | Sequence[str] = "outcome"
    _: KW_ONLY
    covariates: Sequence[str] = ()
    static: Sequence[str] = ()
    id: str = "id"
    time: str = "t"
    horizon: int = 6

    _roles: Roles = field(init=False)
    _static_names: tuple[str, ...] = field(init=False)
    _clock: Clock = field(init=False)
    coding_: TreatmentCoding = field(init=False)
    scaling_: Scaling = field(init=False)
    panel_counts_: dict[str, int] = field(init=False)

    # Whether `_replicates` are an estimate and resamples, and not models that stand side by side.
    _is_resampled: ClassVar[bool] = False

    @property
    def _n_replicates(self) -> int:
        """Count the models, or resamples, from which intervals come; 0: none by segment."""
        found: int = getattr(self, "n_models", 0)
        return found

    @abstractmethod
    def _simulate(self, panel: Panel, origins: Int, plans: Float) -> Float:
        """Predict outcomes in their own units.

        Parameters
        ----------
        origins : intp array of shape (n_units, n_futures)
            Where each future of a unit begins; beyond its last row the result means nothing.
        plans : float64 array of shape (n_units, n_futures, horizon, n_treatments), 0/1 flags

        Returns
        -------
        float64 array of shape (n_models, n_units, n_futures, horizon, n_outcomes)
        """

    def _fit_beside(self, panel: Any, linear: Any) -> Any:
        """Fit; a network compares its effects with those of `linear`, fitted to the same panel, or None."""
        return self.fit(panel)

    def predict(self, panel: Any, plan: Any, *, origin: Any = "last") -> pd.DataFrame:
        """Predict the outcome of every unit under a plan.

        Parameters
        ----------
        panel : frame
            With the columns of `fit`, one row a unit and time, in any order.
        plan : array of shape (horizon, n_treatments) or (n_units, horizon, n_treatments), mapping of
            treatment name to values over the horizon, or TreatmentPlan
            Treatments from the origin on; 0 and 1. For plans of their own units come in the sorted
            order of their ids.
        origin : "last", "all" or int, default="last"
            Where the plan begins: at each unit's last row, at every row, or at the row of that
            number, counted from 0. The outcome and covariates of that row are known, its treatment
            is the plan's.

        Returns
        -------
        DataFrame
            Columns id, origin (its time), step (1, 2, ... after the origin) and the outcomes, in
            their own units; the probability of 1 for an outcome that holds 0 and 1 alone.

        Raises
        ------
        ValueError
            If the panel, the plan or the origin does not fit.
        """
        check_is_fitted(self)
        data = self._read(panel)
        origins, rows = self._origins(data, origin)
        values = self._outcomes(data, origins, plan, "plan").mean(axis=0)[rows]
        values = np.where(self.scaling_.is_binary, np.clip(values, 0.0, 1.0), values)
        return self._table(data, rows, origins, values, self._roles.outcome)

    def effect(
        self, panel: Any, plan: Any, reference: Any, *, origin: Any = "last"
    ) -> pd.DataFrame:
        """Return the effect of a plan against a reference plan on every unit.

        Parameters
        ----------
        panel, origin : as in `predict`
        plan, reference : plans of the same length, as in `predict`

        Returns
        -------
        DataFrame
            Columns id, origin, step, and the effect on each outcome (`effect`, or `effect_<outcome>`
            with several): the outcome under `plan` less that under `reference`, in its own units.
        """
        check_is_fitted(self)
        data = self._read(panel)
        origins, rows = self._origins(data, origin)
        values = self._contrast(data, origins, plan, reference).mean(axis=0)[rows]
        return self._table(data, rows, origins, values, self._effect_names())

    def effect_interval(
        self,
        panel: Any,
        plan: Any,
        reference: Any,
        *,
        origin: Any = "last",
        confidence_level: float = 0.95,
    ) -> pd.DataFrame:
        """Return the average effect of a plan over units, with a confidence interval, by step.

        Parameters
        ----------
        panel, origin : as in `predict`
            With ``origin="all"`` a unit counts once, by the mean over its origins.
        plan, reference : plans of the same length, as in `predict`
        confidence_level : float in (0, 1), default=0.95

        Returns
        -------
        DataFrame, one row a step (and outcome)
            step, n, effect, std_error, ci_low, ci_high, df.

        Raises
        ------
        ValueError
            If the estimator was fitted with a single model, or without resamples: how much a refit changes
            the effect is the larger part of its error, and one model says nothing of it.

        Warns
        -----
        SegcateWarning
            If the panel holds a single unit: std_error and bounds are NaN.

        Notes
        -----
        Rubin's rules over the models: the variance is W + (1 + 1/M) B, W the variance of the mean
        over units, B that between the M models, with Student's t of M - 1 degrees of freedom. A
        bootstrap of units around one network covered none of the segments of a simulation. The
        notes of `LinearGComputation` and `TemporalMean` say what takes its place there.
        """
        check_is_fitted(self)
        check_in_unit_interval(type(self).__name__, "confidence_level", confidence_level)
        return self._intervals(panel, plan, reference, origin, confidence_level)

    def _intervals(
        self, panel: Any, plan: Any, reference: Any, origin: Any, confidence_level: float
    ) -> pd.DataFrame:
        """Return what `effect_interval` does; its arguments are checked."""
        owner = type(self).__name__
        data = self._read(panel)
        origins, rows = self._origins(data, origin)
        effects = self._replicates(data, origins, plan, reference)
        by_unit = _over_origins(effects, rows)
        if data.n_units == 1:
            warn_of_one_unit(owner, "the panel holds", stacklevel=4)
        second = self._second_contrast(data, origins, plan, reference)
        if second is not None:
            second = _over_origins(second[None], rows)[0]
            warn_of_second(owner, by_unit, second, self._roles.outcome, stacklevel=4)
        return average_effects(
            owner,
            by_unit,
            self._roles.outcome,
            confidence_level,
            is_resampled=self._is_resampled,
            second=second,
        )

    def score(self, panel: Any, y: Any = None) -> float:
        """Return minus the root mean squared error of the next factual outcome.

        Parameters
        ----------
        panel : frame
            As in `predict`; units with one row have no score, and are named in a warning.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        float
            In units of the outcome, over all outcomes; larger is better.
        """
        check_is_fitted(self)
        data = with_steps(type(self).__name__, self._read(panel))
        n_origins = data.outcome.shape[1] - 1
        origins = np.tile(np.arange(n_origins), (data.n_units, 1))
        # The factual treatment of each origin is a plan of one step.
        factual = data.treatment[:, :n_origins, None]
        found = self._simulate(data, origins, factual).mean(axis=0)[:, :, 0]
        counts = data.is_learned[:, :n_origins]
        errors = (found - data.outcome[:, 1:])[counts]
        return -float(np.sqrt(np.mean(errors**2)))

    def score_report(self, panel: Any) -> pd.DataFrame:
        """Tell by step how well factual outcomes are predicted, and how well their changes.

        Parameters
        ----------
        panel : frame
            As in `predict`; best of units that `fit` has not seen. Those with one row are left out.

        Returns
        -------
        DataFrame, one row a step (and outcome)
            step; n, pairs of a unit and an origin, up to eight origins a unit; rmse, the root mean squared
            error in units of the outcome; rmse_unchanged, that of predicting the outcome of the origin;
            calibration_slope, of changes since the origin that came on predicted ones, on the scale of
            `transform_`; std_error, of the slope, clustered by unit. NaN, and n 0, at steps that no unit reaches.

        Notes
        -----
        A slope of 1 is right; below 1 changes are predicted too large, above 1 too small. A right slope
        of factual changes does not prove that effects are right, and a wrong one makes them doubtful.

        Treatments after the first step answer to what happened since the origin: who is treated later may
        have been worse off before. Futures are weighted against that, by stabilised weights as in `MSM`,
        fitted to the panel and clipped. Without weights a right model has slopes below 1. Errors are
        not weighted.
        """
        check_is_fitted(self)
        data = with_steps(type(self).__name__, self._read(panel))
        origins, plans, is_there = factual_plans(data, self.horizon)
        found = self._simulate(data, origins, plans).mean(axis=0)
        unit = np.arange(data.n_units)[:, None, None]
        at = origins[..., None] + np.arange(1, self.horizon + 1)
        came = data.outcome[unit, np.minimum(at, data.outcome.shape[1] - 1)]
        now = data.outcome[unit[..., 0], origins][:, :, None]
        scale = self.scaling_.encode_outcome
        by_step = step_weights(data, *history_columns(data, self.scaling_, self.coding_))
        weights = future_weights(by_step, origins, is_there)
        slopes = calibrate(scale(found) - scale(now), scale(came) - scale(now), weights)
        return report(self._roles.outcome, slopes, found - came, now - came, is_there)

    @property
    def transform_(self) -> str:
        """The scale on which outcomes were learned, as a formula; one an outcome."""
        check_is_fitted(self)
        return self.scaling_.name

    def _read(self, panel: Any) -> Panel:
        owner = type(self).__name__
        data = read_panel(
            owner,
            panel,
            self._roles,
            static_names=self._static_names,
            clock=self._clock,
        )
        if data.has_gaps and self.coding_.n_marks == 0:
            is_gap = (data.is_row & ~(data.is_seen & data.is_known)).any(axis=1)
            raise ValueError(
                f"{owner}: the fit saw no gaps and did not learn to read them; here {int(is_gap.sum())} of "
                f"{data.n_units} units lack rows, outcomes, covariates or treatments "
                f"({listed(data.ids[is_gap])}). Leave those units out, begin behind their gaps, or fit on "
                "units with gaps, too."
            )
        return data

    def _one_origin(self, panel: Panel, origin: Any) -> Int:
        """Return the origin of each unit, for what has one row a unit."""
        if isinstance(origin, str) and origin == "all":
            raise ValueError(
                f"{type(self).__name__}: transform gives one row a unit, so origin='all' does not "
                "serve. Use 'last' or a row number."
            )
        return self._origins(panel, origin)[0]

    def _origins(self, panel: Panel, origin: Any) -> tuple[Int, npt.NDArray[np.bool_]]:
        """Return the origins of each unit, and a mask of those at which the unit has a row."""
        owner = type(self).__name__
        if isinstance(origin, str) and origin == "last":
            origins = (panel.n_steps - 1)[:, None]
        elif isinstance(origin, str) and origin == "all":
            origins = np.tile(np.arange(panel.outcome.shape[1]), (panel.n_units, 1))
        elif is_whole(origin) and origin >= 0:
            beyond = panel.n_steps <= origin
            if beyond.any():
                raise ValueError(
                    f"{owner}: origin={origin} lies beyond the last row of {int(beyond.sum())} of "
                    f"{panel.n_units} units ({listed(panel.ids[beyond])}). Use an earlier origin, "
                    "origin='last', or leave those units out."
                )
            origins = np.full((panel.n_units, 1), origin, dtype=np.intp)
        else:
            raise ValueError(
                f"{owner}: `origin` must be 'last', 'all' or a row number of at least 0; got "
                f"{origin!r}."
            )
        return origins, origins < panel.n_steps[:, None]

    def _plan_flags(self, panel: Panel, plan: Any, what: str = "plan") -> Float:
        """Return a plan as flags, (1 or n_units, horizon, n_treatments)."""
        return read_plan(
            type(self).__name__,
            plan,
            self._roles.treatment,
            panel.n_units,
            longest=self.horizon,
            what=what,
        )

    def _outcomes(self, panel: Panel, origins: Int, plan: Any, what: str) -> Float:
        steps = plan.steps if isinstance(plan, TreatmentPlan) else plan
        if callable(steps) and hasattr(self, "_follow"):
            found: Float = self._follow(panel, origins, steps)
            return found
        flags = self._plan_flags(panel, plan, what)
        shape = (panel.n_units, origins.shape[1], *flags.shape[1:])
        return self._simulate(panel, origins, np.broadcast_to(flags[:, None], shape))

    def _contrast(self, panel: Panel, origins: Int, plan: Any, reference: Any) -> Float:
        """Return outcomes under `plan` less those under `reference`."""
        ours = self._outcomes(panel, origins, plan, "plan")
        theirs = self._outcomes(panel, origins, reference, "reference")
        check_same_length(type(self).__name__, ours.shape[3], theirs.shape[3])
        return ours - theirs

    def _replicates(self, panel: Panel, origins: Int, plan: Any, reference: Any) -> Float:
        """Return the contrast by every model, or by the estimate and then every resample."""
        return self._contrast(panel, origins, plan, reference)

    def _second_contrast(
        self, panel: Panel, origins: Int, plan: Any, reference: Any
    ) -> Float | None:
        """Return the contrast by a second, less simple model, (n, n_origins, horizon, d), where there is one."""
        return None

    def _effect_names(self) -> tuple[str, ...]:
        names = self._roles.outcome
        return ("effect",) if len(names) == 1 else tuple(f"effect_{name}" for name in names)

    def _table(
        self,
        panel: Panel,
        rows: npt.NDArray[np.bool_],
        origins: Int,
        values: Float,
        names: tuple[str, ...],
    ) -> pd.DataFrame:
        """Write predictions (n_rows, horizon, n_columns) as a long frame."""
        unit, which = np.nonzero(rows)
        times = panel.times(unit, origins[unit, which])
        return steps_frame(self._roles.id, panel.ids[unit], times, named(names, values))


def _over_origins(effects: Float, rows: npt.NDArray[np.bool_]) -> Float:
    """Average the effects on each unit over its origins: (n_models, n, horizon, d)."""
    total = np.where(rows[None, :, :, None, None], effects, 0.0).sum(axis=2)
    found: Float = total / rows.sum(axis=1)[None, :, None, None]
    return found


def name_roles(owner: str, estimator: Any) -> Roles:
    """Turn a constructor's names into roles, each column once."""
    lists = {}
    for name in ("treatment", "outcome", "covariates", "static"):
        value = getattr(estimator, name)
        lists[name] = (value,) if isinstance(value, str) else tuple(value)
    for name in ("treatment", "outcome"):
        if not lists[name]:
            raise ValueError(f"{owner}: `{name}` names no column; at least one is needed.")
    names = [*(name for part in lists.values() for name in part), estimator.id, estimator.time]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{owner}: columns {listed(repeated)} have more than one role. Give each one role."
        )
    check_count(owner, "horizon", estimator.horizon, 1)
    return Roles(**lists, id=estimator.id, time=estimator.time)


def find_transform(owner: str, asked: Any, panel: Panel, smallest_offset: float = 0.0) -> Any:
    """Return the transform of outcomes that was asked for, "auto" resolved to one scale an outcome."""
    transform = check_transform(owner, asked)
    if transform not in ("auto", "none") and find_binary(panel).any():
        raise ValueError(
            f"{owner}: `outcome_transform` must be 'auto' or None where an outcome holds 0 and 1 alone, as a "
            f"scale cannot bend two values; got {asked!r}. Leave it out: such an outcome is predicted as a "
            "probability."
        )
    return choose_scales(panel, smallest_offset) if transform == "auto" else transform


def check_treatments(owner: str, panel: Panel, roles: Roles) -> None:
    """Refuse treatments and outcomes that never vary; warn of treatments that hardly do, and of gaps."""
    _tell_gaps(owner, panel)
    _refuse_constant_outcomes(owner, panel, roles)
    given = panel.treatment[panel.is_learned]
    for name, share in zip(roles.treatment, given.mean(axis=0), strict=True):
        if share in (0.0, 1.0):
            raise ValueError(
                f"{owner}: treatment {name!r} is {'never' if share == 0 else 'always'} given in "
                f"{len(given)} steps; nothing can be learned of its effect. Leave it out."
            )
        if not 0.01 <= share <= 0.99:
            warnings.warn(
                f"{owner}: treatment {name!r} is given in {share:.2%} of {len(given)} steps. Effects "
                "of plans that differ from this practice are extrapolation.",
                SegcateWarning,
                stacklevel=3,
            )


def warn_of_horizon(owner: str, panel: Panel, horizon: int) -> None:
    """Warn of a horizon that no unit reaches; the caller is `fit`."""
    longest = int(panel.n_steps.max()) - 1
    if horizon > longest:
        warnings.warn(
            f"{owner}: horizon={horizon}, and no unit has more than {longest} steps, so that nothing tells whether "
            f"step {longest + 1} and later are right: they are extrapolation. Lower `horizon`, or pass longer units.",
            SegcateWarning,
            stacklevel=3,
        )


def _refuse_constant_outcomes(owner: str, panel: Panel, roles: Roles) -> None:
    """Refuse outcomes that have one value in all rows."""
    values = panel.outcome[panel.is_row]
    for name, column in zip(roles.outcome, values.T, strict=True):
        if column.min() == column.max():
            raise ValueError(
                f"{owner}: outcome {name!r} is {column[0]:g} in all {len(column)} rows; nothing can be learned of "
                "what moves it. Name another column, or leave it out."
            )


def _tell_gaps(owner: str, panel: Panel) -> None:
    """Warn of gaps, and of how many steps are left to learn from; refuse where none is."""
    if not panel.has_gaps and panel.n_left_out == 0:
        return
    is_row, n_rows = panel.is_row, int(panel.n_steps.sum())
    n_steps, n_learned = n_rows - panel.n_units, int(panel.is_learned.sum())
    # A row that is not there lacks both.
    n_unseen, n_unknown = (
        int((is_row & ~given).sum()) - panel.n_absent for given in (panel.is_seen, panel.is_known)
    )
    found = (
        f"{owner}: of {n_rows} rows from the first to the last of each unit, {panel.n_absent} are not there at all; "
        f"of the others {n_unseen} lack an outcome or covariate, {n_unknown} a treatment; {panel.n_left_out} more, "
        f"before the first values of units, are left out. {n_learned} of {n_steps} steps are learned from."
    )
    if n_learned == 0:
        raise ValueError(
            f"{found} Fill gaps before the fit, or leave the column with most of them out."
        )
    warnings.warn(
        f"{found} Histories hold the last known values and marks of what is missing; a missing treatment "
        "is taken for unknown. That is right if what is missing does not depend on the outcome it hides.",
        SegcateWarning,
        stacklevel=4,
    )
