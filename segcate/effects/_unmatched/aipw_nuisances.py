"""The nuisances of SegmentAIPW: of all segments together, or of each on its own rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import ReadColumns, read_columns
from segcate._inputs.kinds import ColumnKind, columns_as_they_came
from segcate._inputs.vectors import is_zero_one
from segcate._nuisance.covariates import checked_covariates
from segcate._nuisance.cross_fit import Fold
from segcate._nuisance.folds import Splits
from segcate._nuisance.nuisances import NuisanceModels, Nuisances, Want, fit_nuisances
from segcate.effects._thin_segments import too_few_rows
from segcate.effects._unmatched.rows import SegmentRows


@dataclass(frozen=True, slots=True)
class AIPWOptions:
    """Models, and what they are fitted on.

    Attributes
    ----------
    models : NuisanceModels, whose `random_state` is an int
    arms : arms whose expected outcome is wanted
    splits : the folds themselves, rows of X to fit on and to predict, None to deal them
    pooled : one model for all segments, the segment a covariate; else one a segment
    fewest : rows of each arm that an estimate needs
    """

    models: NuisanceModels
    arms: Collection[int]
    splits: Splits | None
    pooled: bool
    fewest: int


@dataclass(frozen=True, slots=True)
class AIPWNuisances:
    """Predictions by models that saw neither the row nor its fold; NaN for rows without any.

    Attributes
    ----------
    propensity : float64 array of shape (n_rows,)
    mu : float64 array of shape (n_rows, 2), expected outcome of controls and of treated
    kinds : what the columns of X were taken as
    """

    propensity: Float
    mu: Float
    kinds: tuple[ColumnKind, ...]


def without_folds(part: SegmentRows, options: AIPWOptions) -> SegmentRows:
    """Give a segment that is too small for its nuisances a status that says so."""
    cv = options.models.cv
    own_folds = not options.pooled and options.splits is None
    needed = max(cv, options.fewest) if own_folds else options.fewest
    if part.counted.status or part.n_smaller >= needed:
        return part
    n_treated = int(part.is_treated.sum())
    what_for = f" for cv={cv}" if own_folds and needed == cv else ""
    why = too_few_rows(n_treated, len(part.rows) - n_treated, needed, what_for)
    return replace(part, counted=replace(part.counted, status=why))


def fit_aipw_nuisances(
    owner: str, data: EffectData, segments: Sequence[SegmentRows], options: AIPWOptions
) -> AIPWNuisances:
    """Cross-fit on the rows of all segments that have no status yet."""
    columns = None
    if any(model is None for model in _models_in_use(data, options)):
        columns = read_columns(owner, data.X, data.covariates)
    found = AIPWNuisances(
        np.full(data.n_rows, np.nan) if data.propensity is None else data.propensity.copy(),
        np.full((data.n_rows, 2), np.nan),
        columns_as_they_came(data.X, data.covariates) if columns is None else columns.kinds,
    )
    blocks = [part.rows for part in segments if not part.counted.status]
    if not blocks:
        return found
    n_jobs, inner = options.models.n_jobs, replace(options, models=_without_jobs(options.models))
    if options.pooled:
        blocks, n_jobs, inner = [np.sort(np.concatenate(blocks))], None, options
    is_binary = is_zero_one(data.y)
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_fit_block)(owner, data, columns, rows, is_binary, inner) for rows in blocks
    )
    for rows, block in zip(blocks, fitted, strict=True):
        found.mu[rows] = block.mu
        if block.propensity is not None:
            found.propensity[rows] = block.propensity[:, 1]
    return found


def _models_in_use(data: EffectData, options: AIPWOptions) -> list[Any]:
    models = options.models
    return [models.outcome] if data.propensity is not None else [models.outcome, models.treatment]


def _without_jobs(models: NuisanceModels) -> NuisanceModels:
    """Fit the models of a segment one after the other: the segments share the jobs."""
    return replace(models, n_jobs=1)


def _fit_block(
    owner: str,
    data: EffectData,
    columns: ReadColumns | None,
    rows: Int,
    is_binary: bool,
    options: AIPWOptions,
) -> Nuisances:
    """Cross-fit on some rows alone."""
    models, codes = options.models, data.segment.codes[rows]
    wants: list[Want] = ["mu"] if data.propensity is not None else ["mu", "propensity"]
    X = frames.take_rows(frames.select_columns(data.X, data.covariates), rows)
    member = _membership(codes)
    encoded = None
    if columns is not None:
        encoded = checked_covariates(owner, columns.encoded(rows)).with_levels(member)
    has_given = any(model is not None for model in _models_in_use(data, options))
    try:
        return fit_nuisances(
            owner,
            _with_columns(X, data, codes, member) if has_given else None,
            data.y[rows],
            data.treatment[rows],
            wants,
            models,
            weight=None if data.sample_weight is None else data.sample_weight[rows],
            groups=_dense(data.groups, rows),
            strata=codes,
            folds=_folds_within(data.n_rows, rows, options.splits),
            arms=options.arms,
            is_binary=is_binary,
            encoded=encoded,
            seed=models.random_state,
        )
    except (ValueError, TypeError) as error:
        if not has_given or str(error).startswith(owner):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{owner}: a model cannot be fitted on the covariates: {error} Models get the columns of X as they came, "
            "and a 0/1 column for every segment but the first: encode or impute them in a pipeline, or leave the "
            "models at None."
        ) from error


def _dense(groups: Int | None, rows: Int) -> Int | None:
    """Code the groups of some rows 0 to n_groups - 1."""
    return None if groups is None else np.unique(groups[rows], return_inverse=True)[1]


def _folds_within(n_rows: int, rows: Int, splits: Splits | None) -> list[Fold] | None:
    """Count the positions of splits within `rows`; drop splits that predict none of them."""
    if splits is None:
        return None
    place = np.full(n_rows, -1, dtype=np.intp)
    place[rows] = np.arange(len(rows))
    parts = [(place[train], place[test]) for train, test in splits]
    return [Fold(train[train >= 0], test[test >= 0]) for train, test in parts if (test >= 0).any()]


def _membership(codes: Int) -> Float:
    """Make a 0/1 column for each segment present but the first."""
    present = np.unique(codes)[1:]
    return np.asarray(codes[:, None] == present, dtype=np.float64)


def _with_columns(X: Any, data: EffectData, codes: Int, member: Float) -> Any:
    """Append the columns of `_membership` to the covariates a handed-in model gets."""
    present = np.unique(codes)[1:]
    if isinstance(X, pd.DataFrame) and len(present):
        X = X.set_axis(X.columns.astype(str), axis=1)  # scikit-learn wants all names to be text
    for column, code in zip(member.T, present, strict=True):
        X = frames.append_column(X, f"segment={data.segment.labels[code]}", column)
    return X
