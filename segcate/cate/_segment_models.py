"""Fit clones of an effect estimator on parts of the rows, and predict with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from segcate._covariates.late_columns import columns_were_checked
from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.part_of_rows import fold_of_rows, part_of_rows
from segcate._inputs.routing import routing
from segcate._inputs.segments import SegmentCodes
from segcate._inputs.treatment import TreatmentKind
from segcate._nuisance.nuisances import NuisanceModels
from segcate.cate._centring import Centred, centre
from segcate.cate._estimator import treated_arms

# The R-loss divides by no probability, so they are hardly clipped.
_CLIP = 1e-6


def fit_models(
    estimator: Any, data: EffectData, parts: Sequence[Int], n_jobs: int | None = None
) -> list[Any]:
    """Fit one clone on each part, a list of row positions."""
    fitted = Parallel(n_jobs=n_jobs)(delayed(_fit)(estimator, data, part) for part in parts)
    return list(fitted)


def _fit(estimator: Any, data: EffectData, part: Int) -> Any:
    """Fit a clone with routing on, so that a Pipeline hands the treatment to its last step."""
    keywords = {"treatment": data.treatment[part]}
    for name in ("sample_weight", "groups", "propensity"):
        values = getattr(data, name)
        if values is not None:
            keywords[name] = values[part]
    model, y = clone(estimator), data.y
    is_part = len(part) < len(y)
    with routing(), columns_were_checked(), part_of_rows() if is_part else nullcontext():
        model.fit(frames.take_rows(data.X, part), y[part], **keywords)
    return model


def told_the_kind(estimator: Any, kind: TreatmentKind) -> Any:
    """Clone a model, and set `treatment_kind` where it would guess it from the rows of one segment."""
    model = clone(estimator)
    guesses = {
        name: kind
        for name, value in model.get_params().items()
        if name.rpartition("__")[2] == "treatment_kind"
        and isinstance(value, str)
        and value == "auto"
    }
    return model.set_params(**guesses)


def out_of_fold(
    estimator: Any, data: EffectData, parts: Sequence[Int], fold: Int, n_jobs: int | None
) -> tuple[Float, Float]:
    """Predict each row's effect by pooled and own models that saw neither it nor its fold.

    Parameters
    ----------
    estimator : effect estimator to clone
    data : EffectData, without the segment column
    parts : row positions of each segment with a model of its own
    fold : intp array of shape (n_rows,)
    n_jobs : models fitted at a time

    Returns
    -------
    pooled, own : float64 arrays of shape (n_rows, n_treatments)
        Of rows without an own model both are the pooled effect.
    """
    everyone = np.arange(data.n_rows)
    jobs = [
        (is_own, part[fold[part] != k], part[fold[part] == k])
        for is_own, part in [(False, everyone), *((True, part) for part in parts)]
        for k in range(int(fold.max()) + 1)
    ]
    predicted = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, data, train, test) for _, train, test in jobs
    )
    pooled = np.empty((len(everyone), predicted[0].shape[1]))
    own: Float | None = None
    for (is_own, _, test), values in zip(jobs, predicted, strict=True):
        if is_own and own is None:
            own = pooled.copy()
        target = own if is_own and own is not None else pooled
        target[test] = values
    return pooled, pooled if own is None else own


def _fit_predict(estimator: Any, data: EffectData, train: Int, test: Int) -> Float:
    n_treatments = max(len(treated_arms(data.treatment)), 1)
    if not len(test):
        return np.empty((0, n_treatments))
    with fold_of_rows():
        model = _fit(estimator, data, train)
        effects = np.asarray(model.predict(frames.take_rows(data.X, test)), dtype=np.float64)
    return effects.reshape(len(test), n_treatments)


def residualise(
    owner: str, data: EffectData, cv: int, random_state: Any, n_jobs: int | None
) -> tuple[Centred, Int]:
    """Centre outcome and treatment on covariates and segment, by cross-fitting.

    Returns
    -------
    centred : Centred
    fold : intp array of shape (n_rows,)
    """
    centred, found = centre(
        owner,
        _with_segment(data.X, data.segment),
        data.y,
        data.treatment,
        NuisanceModels(cv=cv, clip=_CLIP, random_state=random_state, n_jobs=n_jobs),
        weight=data.sample_weight,
        groups=data.groups,
        propensity=data.propensity,
    )
    return centred, found.fold


def _with_segment(X: Any, segment: SegmentCodes) -> Any:
    """Append a 0/1 column for each segment but the first, as segments may confound."""
    taken = set(frames.column_names(X) or [])
    for k in range(1, segment.n_segments):
        name = f"segment {k}"
        while name in taken:
            name += "_"
        X = frames.append_column(X, name, (segment.codes == k).astype(np.float64))
    return X
