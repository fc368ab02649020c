"""Cross-fitted chances of treatment and expected outcomes, with folds inside the segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed

from segcate import _frames
from segcate._cross_fit import Fold, Target, cross_fit
from segcate._default_models import encoded_covariates
from segcate._folds import deal_groups, deal_rows
from segcate._validation import EffectData, is_zero_one
from segcate.effects._segment_rows import SegmentRows

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]

_CHANCE = "propensity"
_OUTCOMES = ("outcome of controls", "outcome of treated")


@dataclass(frozen=True, slots=True)
class NuisanceOptions:
    """Models and how they are cross-fitted.

    Attributes
    ----------
    outcome_model, propensity_model : estimators, None for the default models
    arms : arms whose expected outcome is wanted
    cv : number of folds
    splits : the folds themselves, rows of X to fit on and to predict, None to deal them
    pooled : one model for all segments, the segment a covariate; else one a segment
    seed : of the folds and the default models
    n_jobs : models fitted at a time
    """

    outcome_model: Any
    propensity_model: Any
    arms: tuple[int, ...]
    cv: int
    splits: tuple[tuple[Int, Int], ...] | None
    pooled: bool
    seed: int
    n_jobs: int | None


@dataclass(frozen=True, slots=True)
class SegmentNuisances:
    """Predictions by models that saw neither the row nor its fold; NaN for rows without any.

    Attributes
    ----------
    propensity : float64 array of shape (n_rows,)
    mu : float64 array of shape (n_rows, 2), expected outcome of controls and of treated
    """

    propensity: Float
    mu: Float


def check_splits(owner: str, cv: Any, n_rows: int) -> tuple[tuple[Int, Int], ...]:
    """Read pairs of row positions, to fit on and to predict; each row is predicted once."""
    wanted = "`cv` must be a number of folds, or pairs of arrays (rows to fit on, rows to predict)"
    try:
        splits = tuple(
            (np.asarray(train, dtype=np.intp), np.asarray(test, dtype=np.intp))
            for train, test in cv
        )
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner}: {wanted}; got {cv!r}.") from error
    tested = np.concatenate([np.empty(0, dtype=np.intp), *(test for _, test in splits)])
    times = np.bincount(tested[(tested >= 0) & (tested < n_rows)], minlength=n_rows)
    if len(tested) != n_rows or not (times == 1).all():
        raise ValueError(
            f"{owner}: {wanted} that predict each of the {n_rows} rows once; {int((times == 0).sum())} rows are "
            f"never predicted, {int((times > 1).sum())} more than once. Pass cv=5 to have folds dealt."
        )
    shared = sum(len(np.intersect1d(train, test)) for train, test in splits)
    if shared:
        raise ValueError(
            f"{owner}: {wanted} with no row in both; {shared} rows would be predicted by models that saw them. "
            "Leave them out of the first array."
        )
    return splits


def without_folds(part: SegmentRows, options: NuisanceOptions) -> SegmentRows:
    """Give a segment that is too small for its nuisances a status that says so."""
    needed = 2 if options.pooled or options.splits is not None else options.cv
    if part.counted.status or part.n_smaller >= needed:
        return part
    n_treated = int(part.is_treated.sum())
    why = (
        f"too few rows ({n_treated} treated, {len(part.rows) - n_treated} control; at least {needed} of each"
        f"{'' if options.pooled else f' for cv={options.cv}'})"
    )
    return replace(part, counted=replace(part.counted, status=why))


def fit_segment_nuisances(
    owner: str,
    data: EffectData,
    y: Float,
    segments: Sequence[SegmentRows],
    options: NuisanceOptions,
) -> SegmentNuisances:
    """Cross-fit on the rows of all segments that have no status yet."""
    found = SegmentNuisances(
        np.full(data.n_rows, np.nan) if data.propensity is None else data.propensity.copy(),
        np.full((data.n_rows, 2), np.nan),
    )
    usable = [part for part in segments if not part.counted.status]
    if not usable:
        return found
    if options.pooled:
        blocks = [np.sort(np.concatenate([part.rows for part in usable]))]
        inner = options.n_jobs
    else:
        blocks, inner = [part.rows for part in usable], 1
    fitted = Parallel(n_jobs=None if options.pooled else options.n_jobs)(
        delayed(_fit_block)(owner, data, y, rows, options, inner) for rows in blocks
    )
    for rows, columns in zip(blocks, fitted, strict=True):
        for name, values in columns.items():
            if name == _CHANCE:
                found.propensity[rows] = values
            else:
                found.mu[rows, _OUTCOMES.index(name)] = values
    return found


def _fit_block(
    owner: str,
    data: EffectData,
    y: Float,
    rows: Int,
    options: NuisanceOptions,
    n_jobs: int | None,
) -> dict[str, Float]:
    """Deal the rows to folds and cross-fit on them alone."""
    if options.splits is None:
        fold = _deal(owner, data, y, rows, options.cv, np.random.RandomState(options.seed))
        folds = [
            Fold(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(options.cv)
        ]
    else:
        folds = _given_folds(data.n_rows, rows, options.splits)
    _refuse_missing_arm(owner, data.treatment[rows] == 1, folds)
    targets = _targets(data, y, rows, options)
    X = _frames.take_rows(_frames.select_columns(data.X, data.covariates), rows)
    member = _membership(data.segment.codes[rows])
    is_default = [target.model is None for target in targets.values()]
    encoded = np.hstack([encoded_covariates(owner, X), member]) if any(is_default) else None
    try:
        columns = cross_fit(
            owner,
            None if all(is_default) else _with_columns(X, data, rows, member),
            encoded,
            list(targets.values()),
            folds,
            weight=None if data.sample_weight is None else data.sample_weight[rows],
            seed=options.seed,
            n_jobs=n_jobs,
        )
    except (ValueError, TypeError) as error:
        if all(is_default) or str(error).startswith(owner):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{owner}: a model cannot be fitted on the covariates: {error} Models get the columns of X as they came, "
            "and a 0/1 column for every segment but the first: encode or impute them in a pipeline, or leave the "
            "models at None."
        ) from error
    return dict(zip(targets, columns, strict=True))


def _targets(data: EffectData, y: Float, rows: Int, options: NuisanceOptions) -> dict[str, Target]:
    is_treated, outcome = data.treatment[rows] == 1, y[rows]
    is_binary = is_zero_one(y)
    found = {}
    if data.propensity is None:
        found[_CHANCE] = Target(
            "propensity_model",
            is_treated.astype(np.float64),
            np.ones(len(rows), dtype=bool),
            is_binary=True,
            is_treatment=True,
            model=options.propensity_model,
        )
    for arm in options.arms:
        found[_OUTCOMES[arm]] = Target(
            "outcome_model",
            outcome,
            is_treated == (arm == 1),
            is_binary=is_binary,
            is_treatment=False,
            model=options.outcome_model,
        )
    return found


def _deal(
    owner: str, data: EffectData, y: Float, rows: Int, cv: int, rng: np.random.RandomState
) -> Int:
    """Deal rows to folds by segment and arm, and by a 0/1 outcome where it is frequent enough."""
    treatment = data.treatment[rows].astype(np.intp)
    _refuse_small_arms(owner, treatment, cv)
    strata = 2 * data.segment.codes[rows] + treatment
    if is_zero_one(y):
        split = 2 * strata + y[rows].astype(np.intp)
        counts = np.bincount(split, minlength=2 * int(strata.max()) + 2).reshape(-1, 2)
        strata = np.where(counts.min(axis=1)[strata] >= cv, split, 2 * strata)
    strata = np.unique(strata, return_inverse=True)[1]
    if data.groups is None:
        return deal_rows(strata, cv, rng)
    groups = np.unique(data.groups[rows], return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    if n_groups < cv:
        raise ValueError(
            f"{owner}: the rows that models are fitted on hold {n_groups} `groups`, too few for cv={cv} folds of "
            "whole groups. Lower `cv`, or set pool_nuisances=True."
        )
    return deal_groups(strata, groups, np.full(cv, 1 / cv), rng)


def _given_folds(n_rows: int, rows: Int, splits: tuple[tuple[Int, Int], ...]) -> list[Fold]:
    """Count the positions of splits within `rows`; drop splits that predict none of them."""
    place = np.full(n_rows, -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    parts = [(place[train], place[test]) for train, test in splits]
    return [Fold(train[train >= 0], test[test >= 0]) for train, test in parts if (test >= 0).any()]


def _refuse_missing_arm(owner: str, is_treated: npt.NDArray[np.bool_], folds: list[Fold]) -> None:
    """Refuse folds whose training rows lack an arm."""
    for fold in folds:
        n, n_treated = len(fold.train), int(is_treated[fold.train].sum())
        if n_treated in (0, n):
            raise ValueError(
                f"{owner}: the {n} rows that models are fitted on for a fold hold {n_treated} treated, and both "
                "arms are needed. Where `groups` are kept whole each arm needs rows in two of them: merge groups, "
                "or set pool_nuisances=True."
            )


def _refuse_small_arms(owner: str, treatment: Int, cv: int) -> None:
    """Refuse more folds than an arm has rows."""
    n_treated = int(treatment.sum())
    for n, word in ((n_treated, "treated"), (len(treatment) - n_treated, "control")):
        if n < cv:
            raise ValueError(
                f"{owner}: `treatment` has {n} {word} rows for models to be fitted on, and each of cv={cv} folds "
                "needs one. Lower `cv`, or merge segments."
            )


def _membership(codes: Int) -> Float:
    """Make a 0/1 column for each segment present but the first."""
    present = np.unique(codes)[1:]
    return np.asarray(codes[:, None] == present, dtype=np.float64)


def _with_columns(X: Any, data: EffectData, rows: Int, member: Float) -> Any:
    """Append the columns of `_membership` to the covariates a handed-in model gets."""
    present = np.unique(data.segment.codes[rows])[1:]
    if isinstance(X, pd.DataFrame) and len(present):
        X = X.set_axis(X.columns.astype(str), axis=1)  # scikit-learn wants all names to be text
    for column, code in zip(member.T, present, strict=True):
        X = _frames.append_column(X, f"segment={data.segment.labels[code]}", column)
    return X
