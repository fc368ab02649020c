"""Effects of a plan by segment; no unit is judged by a model or segments that it helped to fit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from segcate._inputs import frames
from segcate._inputs.arrays import Bool, Int, Int64
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_in_unit_interval, check_seed
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.estimator import name_roles
from segcate.temporal._panel.panel import Panel, Roles, read_panel, units_of_rows, with_steps
from segcate.temporal._panel.plan import TreatmentPlan, check_same_length, read_plan
from segcate.temporal._segments.plan_effects import (
    UnitEffects,
    check_ensemble,
    check_models,
    check_one_origin,
    check_step,
    effects_by_segment,
    follow_plans,
    warn_of_noise,
)
from segcate.temporal._segments.trajectories import TrajectorySegmenter

_OWNER = "cross_fit_segment_effects"


@dataclass(frozen=True, slots=True)
class CrossFitSegmentEffects:
    """Effects by segment, cross-fitted: models and segments of a unit come from other units.

    Attributes
    ----------
    effects : DataFrame, one row a segment (and outcome), noise (-1) first
        The columns of `segment_effects`, and n_folds, in how many folds the segment has units.
        stability : adjusted Rand index of the units' segments here and in the fit on all units.
    units : DataFrame, one row a unit that is not left out, sorted by id
        Its id, fold, segment, and the effect on it, mean over the models.
    segmenter : TrajectorySegmenter
        Fitted on all units, as its `estimator` is: labels new units with the segments of `effects`.
    """

    effects: pd.DataFrame
    units: pd.DataFrame = field(repr=False)
    segmenter: TrajectorySegmenter = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Question:
    """Plans, origin and step, checked before anything is fitted."""

    plan: Any
    reference: Any
    origin: Any
    step: int

    def of(self, units: Int) -> tuple[Any, Any]:
        """Return the plans of some units."""
        taken = [
            plan if callable(plan) or len(plan) == 1 else plan[units]
            for plan in (self.plan, self.reference)
        ]
        return taken[0], taken[1]


@dataclass(frozen=True, slots=True)
class _Folds:
    """A panel, and the fold of each of its units."""

    panel: Any
    row_unit: Int
    fold: Int

    def parts(self, k: int) -> tuple[Any, Any]:
        """Return the panel without fold k, and that of fold k; rows keep their order."""
        is_inside = self.fold[self.row_unit] == k
        return frames.take_rows(self.panel, ~is_inside), frames.take_rows(self.panel, is_inside)


def cross_fit_segment_effects(
    estimator: Any,
    segmenter: TrajectorySegmenter,
    panel: Any,
    plan: Any,
    reference: Any,
    *,
    n_folds: int = 2,
    origin: Any = "last",
    step: int | None = None,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> CrossFitSegmentEffects:
    """Find segments and estimate their effects on one panel, by cross-fitting.

    Units are cut into folds. A fold's units get their effects and segments from a model and a
    segmenter that were fitted on the other folds. Where many units can be set aside,
    `segment_effects` on those makes do with one fit.

    Parameters
    ----------
    estimator : LinearGComputation, or network with `n_models` of 2 or more
        It is cloned, and fitted `n_folds` + 1 times: on all units, and without each fold.
    segmenter : TrajectorySegmenter
        It is cloned; the model of the same units takes the place of its `estimator`. Its `origin`
        should be that of the effects: later rows tell what came of the treatments.
    panel : frame
        All units, each with a row at `origin`. Those with one row are left out, as `fit` leaves them out.
    plan, reference : plans of the same length, as in `predict`
    n_folds : int, default=2
        At least 2. More folds fit on more units, and take longer.
    origin : "last" or int, default="last"
        Where the plans begin.
    step : int, default=None
        Steps after the origin at which the effect is read; None: the last of the plan.
    confidence_level : float in (0, 1), default=0.95
    random_state : int, RandomState instance or None, default=None
        Cuts units into folds, and seeds the models of each; those of the fit on all units keep the
        estimator's own `random_state`.

    Returns
    -------
    CrossFitSegmentEffects
        Tables of segments and units, and the segmenter for new units.

    Raises
    ------
    TypeError
        If the estimator has no interval by segment, such as MSM, or the segmenter is no
        TrajectorySegmenter.
    ValueError
        If there are fewer units than folds or fewer than 2 folds, if the estimator makes one model,
        if a unit has no row at the origin, or if the plans or the step do not fit.

    Warns
    -----
    SegcateWarning
        If units have one row, which teaches no step: they are in no table, and
        `segmenter.estimator.panel_counts_` counts them. If a fold has no unit of a segment: the segment
        stays in the table, from the other folds. If a segment holds a single unit: its std_error and
        bounds are NaN. If segments of effects of `LinearGComputation` are hardly found again in the
        folds and differ by no more than their errors, as in `segment_effects`.

    See Also
    --------
    segment_effects : With a model and segments that were fitted on other units.

    Notes
    -----
    Segments of a fold take the numbers of those of the fit on all units, matched one to one so that
    as many as possible of the units that both were fitted on agree (Hungarian method); a segment
    left over joins the one it shares most units with, or noise if none. Noise (-1) stays noise.

    The variance is W + (1 + 1/M) B, as in `effect_interval`: W over all units of the segment, B the
    variance between the M models of a fold, averaged over folds by their units. That holds however
    the errors of folds, which share units, go together. Student's t has M - 1 degrees of freedom if
    one fold has all of B, and n_folds (M - 1) if all have the same.

    An error that all models share is no part of it: training that ends too soon draws all of their
    effects towards 0. An epoch of 300 units, 15 % of them held out, is one step of learning in batches
    of 128; give few units smaller batches, or more epochs.

    A `checkpoint` of the estimator's `training` is that of the fit on all units; those of the folds lie beside
    it, with ".fold0", ".fold1", ... behind the name.

    References
    ----------
    Chernozhukov, V., Chetverikov, D., Demirer, M., Duflo, E., Hansen, C., Newey, W. and Robins, J.
    (2018). "Double/debiased machine learning for treatment and structural parameters". Econometrics
    Journal 21, C1-C68. doi:10.1111/ectj.12097

    Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys. Wiley.

    Examples
    --------
    >>> from segcate.temporal import (GNet, TrajectorySegmenter, Training,
    ...                               cross_fit_segment_effects, tumor_growth)
    >>> panel = tumor_growth(80, gamma=2, random_state=0).panel
    >>> model = GNet(["chemo", "radio"], "volume", horizon=3, training=Training(n_epochs=2),
    ...              n_models=2, n_simulations=5, outcome_transform="cbrt", random_state=0)
    >>> chemo, radio = {"chemo": [1, 1, 1]}, {"radio": [1, 1, 1]}
    >>> segmenter = TrajectorySegmenter(model, features="contrasts", plan=chemo, reference=radio)
    >>> found = cross_fit_segment_effects(model, segmenter, panel, chemo, radio, random_state=0)
    >>> int(found.effects["n"].sum()), list(found.units.columns)
    (80, ['id', 'fold', 'segment', 'effect'])
    """
    check_models(_OWNER, estimator, segmenter)
    check_ensemble(_OWNER, estimator)
    check_in_unit_interval(_OWNER, "confidence_level", confidence_level)
    check_count(_OWNER, "n_folds", n_folds, 2)
    roles = name_roles(_OWNER, estimator)
    everybody = read_panel(_OWNER, panel, roles)
    data = with_steps(_OWNER, everybody)
    is_kept = np.isin(everybody.ids, data.ids)
    question = _read_question(estimator, everybody, data, is_kept, plan, reference, origin, step)
    rng = check_seed(_OWNER, random_state)
    folds = _deal(*_kept(panel, roles, is_kept), data.n_units, n_folds, rng)
    everyone = _fit(clone(estimator), segmenter, folds.panel)
    if data.n_units_left_out:
        everyone.estimator.panel_counts_["n_units_left_out"] = data.n_units_left_out
    labels = np.empty(data.n_units, dtype=np.int64)
    parts = []
    for k in range(n_folds):
        part = _cross_fit(estimator, segmenter, everyone.labels_, folds, k, question, rng)
        labels[folds.fold == k] = part[0]
        parts.append(part[1])
    found = _gather(parts, folds.fold)
    segments = np.union1d(everyone.labels_, labels)
    table = effects_by_segment(
        _OWNER, found, labels, segments, roles.outcome, confidence_level, folds.fold
    )
    counts = _count_folds(labels, folds.fold, segments)
    table["n_folds"] = counts.loc[table.index]
    table["stability"] = adjusted_rand_score(everyone.labels_, labels)
    warn_of_noise(_OWNER, everyone, table)
    names = everyone.estimator._effect_names()
    units = pd.DataFrame({roles.id: data.ids, "fold": folds.fold, "segment": labels})
    units[list(names)] = found.estimate
    return CrossFitSegmentEffects(table, units, everyone)


def align_segments(found: Int64, wanted: Int64) -> Int64:
    """Match the `found` segments to the `wanted` ones, given both for the same units.

    One to one, so that as many units as possible agree; a segment left over joins the one it shares
    most units with, and becomes noise if it shares none.

    Parameters
    ----------
    found, wanted : int64 arrays of shape (n_units,), values -1, 0, 1, ...

    Returns
    -------
    int64 array of shape (n_found,)
    """
    counts = np.zeros((found.max() + 1, wanted.max() + 1), dtype=np.int64)
    both = (found >= 0) & (wanted >= 0)
    np.add.at(counts, (found[both], wanted[both]), 1)
    match = np.where(counts.any(axis=1), counts.argmax(axis=1), -1).astype(np.int64)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    is_shared = counts[rows, columns] > 0
    match[rows[is_shared]] = columns[is_shared]
    return match


def _kept(panel: Any, roles: Roles, is_kept: Bool) -> tuple[Any, Int]:
    """Return the rows of units that are not left out, and the unit of each, by its place among those."""
    row_unit = units_of_rows(_OWNER, panel, roles)
    if is_kept.all():
        return panel, row_unit
    is_inside = is_kept[row_unit]
    place = np.cumsum(is_kept) - 1
    return frames.take_rows(panel, is_inside), place[row_unit[is_inside]]


def _read_question(
    estimator: Any,
    everybody: Panel,
    data: Panel,
    is_kept: Bool,
    plan: Any,
    reference: Any,
    origin: Any,
    step: int | None,
) -> _Question:
    """Check plans, origin and step; plans that are no functions become flags of the units of `data`."""
    check_one_origin(_OWNER, origin)
    estimator._origins(data, origin)
    ours, theirs = (
        steps if callable(steps) or len(steps) == 1 else steps[is_kept]
        for steps in (
            _read_plan(estimator, everybody, plan, "plan"),
            _read_plan(estimator, everybody, reference, "reference"),
        )
    )
    # A function is followed over the whole horizon.
    lengths = [estimator.horizon if callable(steps) else steps.shape[1] for steps in (ours, theirs)]
    check_same_length(_OWNER, *lengths)
    return _Question(ours, theirs, origin, check_step(_OWNER, step, lengths[0]))


def _read_plan(estimator: Any, data: Panel, plan: Any, what: str) -> Any:
    steps = plan.steps if isinstance(plan, TreatmentPlan) else plan
    # Models that simulate have `_follow`; of the others `read_plan` says that they do not.
    if callable(steps) and hasattr(estimator, "_follow"):
        return steps
    names = name_roles(_OWNER, estimator).treatment
    return read_plan(_OWNER, steps, names, data.n_units, longest=estimator.horizon, what=what)


def _deal(
    panel: Any, row_unit: Int, n_units: int, n_folds: int, rng: np.random.RandomState
) -> _Folds:
    """Cut units into folds whose sizes differ by one at most."""
    if n_units < n_folds:
        raise ValueError(
            f"{_OWNER}: {n_units} units do not fill n_folds={n_folds} folds. Lower `n_folds`, or "
            "pass more units."
        )
    return _Folds(panel, row_unit, rng.permutation(n_units) % n_folds)


def _fit(estimator: Any, segmenter: TrajectorySegmenter, panel: Any) -> TrajectorySegmenter:
    """Fit an estimator, and a segmenter on it, on the same units."""
    fitted: TrajectorySegmenter = clone(segmenter).set_params(estimator=estimator.fit(panel))
    return fitted.fit(panel)


def _cross_fit(
    estimator: Any,
    segmenter: TrajectorySegmenter,
    wanted: Int64,
    folds: _Folds,
    k: int,
    question: _Question,
    rng: np.random.RandomState,
) -> tuple[Int64, UnitEffects]:
    """Return segments of one fold's units and effects on them; others were fitted on."""
    others, panel = folds.parts(k)
    own = clone(estimator)
    own.set_params(random_state=int(rng.randint(2**31 - 1)))
    training = getattr(own, "training", None)
    if training is not None and training.checkpoint is not None:
        own.set_params(training__checkpoint=f"{Path(training.checkpoint)}.fold{k}")
    fitted = _fit(own, segmenter, others)
    match = align_segments(fitted.labels_, wanted[folds.fold != k])
    found = fitted.predict(panel)
    labels = np.where(found < 0, -1, match[np.maximum(found, 0)])
    plan, reference = question.of(np.flatnonzero(folds.fold == k))
    effects = follow_plans(
        _OWNER, own, own._read(panel), plan, reference, origin=question.origin, step=question.step
    )
    return labels, effects


def _gather(parts: list[UnitEffects], fold: Int) -> UnitEffects:
    """Put the folds' units back in the order of all units."""
    order = np.argsort(np.argsort(fold, kind="stable"))
    effects = np.concatenate([part.effects for part in parts], axis=1)[:, order]
    followed, began = (
        np.concatenate(flags)[order]
        for flags in zip(*((part.followed, part.began) for part in parts), strict=True)
    )
    kinds = tuple(_gather(list(kind), fold) for kind in zip(*(p.kinds for p in parts), strict=True))
    seconds = [part.second for part in parts if part.second is not None]
    second = np.concatenate(seconds)[order] if seconds else None
    return UnitEffects(effects, followed, began, parts[0].is_resampled, kinds, second)


def _count_folds(labels: Int64, fold: Int, segments: Int64) -> pd.Series[int]:
    """Count the folds that have units of each segment; warn of those that not all have."""
    n_folds = int(fold.max()) + 1
    has = np.zeros((len(segments), n_folds), dtype=bool)
    has[np.searchsorted(segments, labels), fold] = True
    counts = pd.Series(has.sum(axis=1), index=segments)
    thin = counts[(counts < n_folds) & (counts.index >= 0)]
    if len(thin):
        warnings.warn(
            f"{_OWNER}: segments {listed(thin.index)} have units in {listed(thin)} of {n_folds} "
            "folds; the models of the other folds found no such segment, or put no unit there. Ask "
            "for fewer segments, or pass more units.",
            SegcateWarning,
            stacklevel=3,
        )
    return counts
