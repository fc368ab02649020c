"""Effects of a plan by segment, on units that the segments were not fitted on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_in_unit_interval
from segcate._statistics.between_variance import weighted_moments
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.average_effects import (
    average_effects,
    check_n_models,
    mean_of_intervals,
    warn_of_one_unit,
    warn_of_second,
)
from segcate.temporal._models.estimator import TemporalEstimator
from segcate.temporal._panel.panel import Panel
from segcate.temporal._panel.plan import TreatmentPlan
from segcate.temporal._segments.trajectories import TrajectorySegmenter

# Below this adjusted Rand index segments may be noise: it was 0.09 to 0.41 in 28 simulated data sets without any
# effect. With effects that differ it was 0.33 to 0.96 in 18, so that it cannot tell alone.
_LEAST_STABILITY = 0.5
# Chance, by Cochran's Q, of such differences between segments, from which they may be noise. It was above in those 28,
# and below in the 12 of customers and Gaussian readings.
_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class UnitEffects:
    """The effect of a plan against a reference on every unit, at one step.

    Attributes
    ----------
    effects : float64 array of shape (n_models, n_units, n_outcomes)
    followed, began : float64 arrays of shape (n_units, 2)
        1 where all treatments of the plan up to the step, and of the reference, were given row after
        row somewhere before the origin; and where the first of them were; else 0. NaN for a plan that
        is a function.
    is_resampled : bool
        Whether the first model is the estimate and the others are fits to resamples.
    kinds : tuple of UnitEffects
        Those of every estimator of a `TemporalMean`, whose means `effects` holds; else empty.
    second : float64 array of shape (n_units, n_outcomes), or None
        Effects by a second model, where the estimator has one.
    """

    effects: Float
    followed: Float
    began: Float
    is_resampled: bool = False
    kinds: tuple[UnitEffects, ...] = ()
    second: Float | None = None

    @property
    def estimate(self) -> Float:
        """Return the effect on every unit, (n_units, n_outcomes)."""
        found: Float = self.effects[0] if self.is_resampled else self.effects.mean(axis=0)
        return found

    def average(
        self,
        owner: str,
        rows: Bool,
        outcomes: tuple[str, ...],
        confidence_level: float,
        fold: Int | None,
    ) -> pd.DataFrame:
        """Average over some units, with an interval, one row an outcome."""
        asked = (owner, rows, outcomes, confidence_level, fold)
        if self.kinds:
            return mean_of_intervals(
                [kind.average(*asked) for kind in self.kinds], confidence_level
            )
        return average_effects(
            owner,
            self.effects[:, rows, None],
            outcomes,
            confidence_level,
            None if fold is None else fold[rows],
            is_resampled=self.is_resampled,
            second=None if self.second is None else self.second[rows, None],
        )


def segment_effects(
    estimator: Any,
    segmenter: TrajectorySegmenter,
    panel: Any,
    plan: Any,
    reference: Any,
    *,
    origin: Any = "last",
    step: int | None = None,
    confidence_level: float = 0.95,
    allow_same_units: bool = False,
) -> pd.DataFrame:
    """Estimate the effect of a plan against a reference in every segment.

    It takes a model and segments that were fitted on other units. With one panel and no units to
    set aside, `cross_fit_segment_effects` does both on folds of it.

    Parameters
    ----------
    estimator : fitted LinearGComputation, network with at least two models, or TemporalMean of such
        It should have been fitted on other units than those of `panel`, too.
    segmenter : fitted TrajectorySegmenter
    panel : frame
        Units to average effects over; none of those that the segmenter was fitted on.
    plan, reference : plans of the same length, as in `predict`
    origin : "last" or int, default="last"
        Where the plans begin.
    step : int, default=None
        Steps after the origin at which the effect is read; None: the last of the plan.
    confidence_level : float in (0, 1), default=0.95
    allow_same_units : bool, default=False
        True takes units that the segmenter saw; the intervals are then too narrow.

    Returns
    -------
    DataFrame, one row a segment (and outcome), noise (-1) first
        n, effect, std_error, ci_low, ci_high: by resamples or by Rubin's rules over the models, as in
        `effect_interval`. followed_plan, followed_reference : share of the segment's units that were
        given the whole plan up to `step`, row after row, somewhere before the origin. Near 0, the
        effect of the whole plan is extrapolated by the model from shorter runs. began_plan,
        began_reference : share that was given its first treatments at some row before the origin; what
        nobody there was given is extrapolation. All four are NaN for a plan that is a function.
        stability : `stability_` of the segmenter.

    Raises
    ------
    TypeError
        If the effects of the estimator have no interval by segment, such as those of MSM, or if
        `estimator` is no estimator over time, or `segmenter` no TrajectorySegmenter.
    ValueError
        If the estimator holds one model or fewer than two resamples, if units were seen by the
        segmenter, or if plans differ in length.

    Warns
    -----
    SegcateWarning
        If a segment holds a single unit: its std_error and bounds are NaN. If segments of effects
        (`features="contrasts"`) of `LinearGComputation` are hardly found again on its resamples
        (`stability` below 0.5), and differ by no more than their errors (Cochran's Q, p of 0.01 or more):
        what differs between them may be noise.

    See Also
    --------
    cross_fit_segment_effects : The same from one panel, every unit by models that did not see it.

    Notes
    -----
    Segments are taken as given; that other segments might have been found is what `stability` tells.
    The interval has two parts: units differ, and a refitted model would answer otherwise. Where both
    the models and the segments come from other units, the first is that of a mean.

    Examples
    --------
    >>> from segcate.temporal import (GNet, TrajectorySegmenter, Training, segment_effects,
    ...                               tumor_growth)
    >>> panel = tumor_growth(120, gamma=2, random_state=0).panel
    >>> design, others = panel[panel["id"] < 60], panel[panel["id"] >= 60]
    >>> model = GNet(["chemo", "radio"], "volume", horizon=3, training=Training(n_epochs=2),
    ...              n_models=2, n_simulations=5, outcome_transform="cbrt", random_state=0).fit(design)
    >>> chemo, radio = {"chemo": [1, 1, 1]}, {"radio": [1, 1, 1]}
    >>> segmenter = TrajectorySegmenter(model, features="contrasts", plan=chemo, reference=radio)
    >>> table = segment_effects(model, segmenter.fit(design), others, chemo, radio)
    >>> int(table["n"].sum())
    60
    """
    owner = "segment_effects"
    check_models(owner, estimator, segmenter)
    check_is_fitted(estimator)
    check_is_fitted(segmenter)
    check_in_unit_interval(owner, "confidence_level", confidence_level)
    data = estimator._read(panel)
    seen = np.isin(data.ids, segmenter.ids_)
    if seen.any() and not allow_same_units:
        raise ValueError(
            f"{owner}: {int(seen.sum())} of {data.n_units} units are among those that the segments "
            "were found on, which flatters the segments. Pass other units, or allow_same_units=True."
        )
    check_one_origin(owner, origin)
    check_ensemble(owner, estimator)
    labels = segmenter.predict(panel)
    found = follow_plans(owner, estimator, data, plan, reference, origin=origin, step=step)
    table = effects_by_segment(
        owner, found, labels, np.unique(labels), estimator._roles.outcome, confidence_level
    )
    table = table.assign(stability=segmenter.stability_)
    warn_of_noise(owner, segmenter, table)
    return table


def follow_plans(
    owner: str,
    estimator: Any,
    data: Panel,
    plan: Any,
    reference: Any,
    *,
    origin: Any,
    step: int | None,
) -> UnitEffects:
    """Return the effect on every unit, and whether it was treated so before."""
    if hasattr(estimator, "estimators_"):
        kinds = tuple(
            follow_plans(owner, kind, data, plan, reference, origin=origin, step=step)
            for kind in estimator.estimators_
        )
        mean = np.mean([kind.estimate for kind in kinds], axis=0)
        return UnitEffects(mean[None], kinds[0].followed, kinds[0].began, kinds=kinds)
    origins, _ = estimator._origins(data, origin)
    effects = estimator._replicates(data, origins, plan, reference)[:, :, 0]
    at = check_step(owner, step, effects.shape[2]) - 1
    second = estimator._second_contrast(data, origins, plan, reference)
    if second is not None:
        second = second[:, 0, at]
        outcomes = estimator._roles.outcome
        warn_of_second(owner, effects[:, :, [at]], second[:, None], outcomes, at + 1, stacklevel=4)
    followed, began = (
        np.column_stack([_followed(estimator, data, origins, p, n) for p in (plan, reference)])
        for n in (at + 1, 1)
    )
    return UnitEffects(effects[:, :, at], followed, began, estimator._is_resampled, second=second)


def effects_by_segment(
    owner: str,
    found: UnitEffects,
    labels: npt.NDArray[np.int64],
    segments: npt.NDArray[np.int64],
    outcomes: tuple[str, ...],
    confidence_level: float,
    fold: Int | None = None,
) -> pd.DataFrame:
    """Average effects and shares within each of `segments`; one without units holds NaN.

    Parameters
    ----------
    labels : int64 array of shape (n_units,)
    fold : as in `average_effects`
    """
    single = [segment for segment in segments if (labels == segment).sum() == 1]
    if single:
        which = (
            f"segment {single[0]} holds"
            if len(single) == 1
            else f"segments {listed(single)} hold each"
        )
        warn_of_one_unit(owner, which, stacklevel=4)
    tables = []
    for segment in segments:
        rows = labels == segment
        table = found.average(owner, rows, outcomes, confidence_level, fold)
        table = table.drop(columns=["step", "df"])
        table.insert(0, "segment", segment)
        for what, given in (("followed", found.followed), ("began", found.began)):
            shares = given[rows].mean(axis=0) if rows.any() else np.full(2, np.nan)
            table[f"{what}_plan"], table[f"{what}_reference"] = shares
        tables.append(table)
    return pd.concat(tables, ignore_index=True).set_index("segment")


def warn_of_noise(
    owner: str, segmenter: TrajectorySegmenter, table: pd.DataFrame, stacklevel: int = 3
) -> None:
    """Warn where segments of effects are not found again and do not differ beyond their errors.

    Only of effects that are refitted to resamples, for which the limit was measured.
    """
    stability = float(table["stability"].iloc[0])
    if segmenter._kind != "contrasts" or not segmenter.estimator._is_resampled:
        return
    if not stability < _LEAST_STABILITY or table.index.nunique() < 2:
        return
    outcomes = [part for _, part in table.groupby("outcome")] if "outcome" in table else [table]
    if any(_differ(part) for part in outcomes):
        return
    warnings.warn(
        f"{owner}: segments are hardly found again on other units or resamples (stability {stability:.2f}, limit "
        f"{_LEAST_STABILITY:g}), and their effects do not differ beyond their errors: what differs between them may be "
        "noise. Report the average effect (`effect_interval`), and do not act on differences between segments. "
        "In a confounded simulation without any effect 95 % intervals of such segments held 80 to 85 % of truths.",
        SegcateWarning,
        stacklevel=stacklevel,
    )


def _differ(table: pd.DataFrame) -> bool:
    """Tell whether effects differ by more than their errors, by Cochran's Q."""
    known = table[table["std_error"] > 0]
    if len(known) < 2:
        return False
    variance = known["std_error"].to_numpy() ** 2
    q = weighted_moments(known["effect"].to_numpy(), variance, 0.0).q
    return bool(stats.chi2.sf(q, len(known) - 1) < _NOISE)


def check_one_origin(owner: str, origin: Any) -> None:
    """Refuse `origin="all"`: a unit has one segment."""
    if isinstance(origin, str) and origin == "all":
        raise ValueError(f"{owner}: a unit has one segment: use origin='last' or a row number.")


def check_models(owner: str, estimator: Any, segmenter: Any) -> None:
    """Refuse what is no estimator over time, or no segmenter of its units."""
    if not isinstance(estimator, TemporalEstimator):
        way = "Pass the model first, such as a LinearGComputation."
        if isinstance(estimator, TrajectorySegmenter) and isinstance(segmenter, TemporalEstimator):
            way = f"The two are swapped: {owner}(estimator, segmenter, ...)."
        raise TypeError(
            f"{owner}: `estimator` must be an estimator over time; got {type(estimator).__name__}. {way}"
        )
    if not isinstance(segmenter, TrajectorySegmenter):
        raise TypeError(
            f"{owner}: `segmenter` must be a TrajectorySegmenter; got {type(segmenter).__name__}. "
            "Wrap the clusterer: TrajectorySegmenter(estimator, clusterer)."
        )


def check_ensemble(owner: str, estimator: Any) -> None:
    """Refuse an estimator whose effects have no interval by segment."""
    for part in getattr(estimator, "estimators", (estimator,)):
        if part._is_resampled or part._n_replicates:
            check_n_models(owner, part._n_replicates, is_resampled=part._is_resampled)
    if estimator._n_replicates == 0:
        raise TypeError(
            f"{owner}: the effects of {type(estimator).__name__} have no interval by segment. Use "
            "LinearGComputation with `n_bootstraps`, or GNet, CausalTransformer, CRN or RMSN with "
            "`n_models` of 2 or more."
        )


def check_step(owner: str, step: int | None, horizon: int) -> int:
    """Return the step at which effects are read."""
    if step is None:
        return horizon
    check_count(owner, "step", step, 1, horizon, advice="The plans are of that length.")
    return step


def _followed(estimator: Any, data: Panel, origins: Int, plan: Any, n_steps: int) -> Float:
    """Tell which units were given the plan's first `n_steps`, row after row, before their origin."""
    if callable(plan.steps if isinstance(plan, TreatmentPlan) else plan):
        return np.full(data.n_units, np.nan)
    flags = estimator._plan_flags(data, plan)[:, :n_steps]
    # Whether a run of the steps from `step` on begins at a row.
    is_run = np.arange(data.treatment.shape[1] + 1) <= origins
    for step in reversed(range(n_steps)):
        given = (data.treatment == flags[:, [step]]).all(axis=2) & data.is_known
        is_run = np.pad(given & is_run[:, 1:], ((0, 0), (0, 1)))
    followed: Float = np.asarray(is_run.any(axis=1), dtype=np.float64)
    return followed
