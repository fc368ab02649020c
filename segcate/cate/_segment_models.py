"""Fit clones of an effect estimator on parts of the rows, and predict with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from segcate._covariates.late_columns import columns_were_checked
from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.part_of_rows import part_of_rows
from segcate._inputs.routing import routing
from segcate._inputs.treatment import TreatmentKind
from segcate._nuisance.nuisances import NuisanceModels
from segcate.cate._centring import Centred, centre

__all__ = ["Rows", "fit_models", "fold_trains_every_arm", "out_of_fold", "residualise", "rows_of"]

# The R-loss divides by no probability, so they are hardly clipped.
_CLIP = 1e-6


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a fit; X has no segment column."""

    X: Any
    y: Float
    treatment: npt.NDArray[Any]
    kind: TreatmentKind
    sample_weight: Float | None
    groups: Int | None
    propensity: Float | None

    @property
    def n_arms(self) -> int:
        """Count the arms; of doses there are none."""
        return 0 if self.kind == "continuous" else int(self.treatment.max()) + 1


def rows_of(data: EffectData, kind: TreatmentKind) -> Rows:
    """Take the checked rows of a fit, without the segment column."""
    return Rows(
        X=frames.select_columns(data.X, data.covariates),
        y=data.y,
        treatment=data.treatment,
        kind=kind,
        sample_weight=data.sample_weight,
        groups=data.groups,
        propensity=data.propensity,
    )


def fit_models(
    estimator: Any, rows: Rows, parts: Sequence[Int], n_jobs: int | None = None
) -> list[Any]:
    """Fit one clone on each part, a list of row positions."""
    fitted = Parallel(n_jobs=n_jobs)(delayed(_fit)(estimator, rows, part) for part in parts)
    return list(fitted)


def _fit(estimator: Any, rows: Rows, part: Int) -> Any:
    """Fit a clone with routing on, so that a Pipeline hands the treatment to its last step."""
    keywords = {"treatment": rows.treatment[part]}
    for name in ("sample_weight", "groups", "propensity"):
        values = getattr(rows, name)
        if values is not None:
            keywords[name] = values[part]
    model = _told_the_kind(clone(estimator), rows.kind)
    is_part = len(part) < len(rows.y)
    with routing(), columns_were_checked(), part_of_rows() if is_part else nullcontext():
        model.fit(frames.take_rows(rows.X, part), rows.y[part], **keywords)
    return model


def _told_the_kind(model: Any, kind: TreatmentKind) -> Any:
    """Set `treatment_kind` where a model would guess it from the rows of its segment alone."""
    guesses = {
        name: kind
        for name, value in model.get_params().items()
        if name.rpartition("__")[2] == "treatment_kind"
        and isinstance(value, str)
        and value == "auto"
    }
    return model.set_params(**guesses)


def fold_trains_every_arm(rows: Rows, part: Int, fold: Int) -> bool:
    """Tell whether a part keeps rows of every arm, and two groups, whichever fold is left out."""
    usable = part if rows.sample_weight is None else part[rows.sample_weight[part] > 0]
    for k in range(int(fold.max()) + 1):
        train = usable[fold[usable] != k]
        if rows.groups is not None and len(np.unique(rows.groups[train])) < 2:
            return False
        n_different = len(np.unique(rows.treatment[train]))
        if n_different < (rows.n_arms or 2):
            return False
    return True


def out_of_fold(
    estimator: Any, rows: Rows, parts: Sequence[Int], fold: Int, n_jobs: int | None
) -> tuple[Float, Float]:
    """Predict each row's effect by pooled and own models that saw neither it nor its fold.

    Parameters
    ----------
    estimator : effect estimator to clone
    rows : Rows
    parts : row positions of each segment with a model of its own
    fold : intp array of shape (n_rows,)
    n_jobs : models fitted at a time

    Returns
    -------
    pooled, own : float64 arrays of shape (n_rows, n_treatments)
        Of rows without an own model both are the pooled effect.
    """
    everyone = np.arange(len(rows.y))
    jobs = [
        (is_own, part[fold[part] != k], part[fold[part] == k])
        for is_own, part in [(False, everyone), *((True, part) for part in parts)]
        for k in range(int(fold.max()) + 1)
    ]
    predicted = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, rows, train, test) for _, train, test in jobs
    )
    pooled = np.empty((len(everyone), predicted[0].shape[1]))
    own: Float | None = None
    for (is_own, _, test), values in zip(jobs, predicted, strict=True):
        if is_own and own is None:
            own = pooled.copy()
        target = own if is_own and own is not None else pooled
        target[test] = values
    return pooled, pooled if own is None else own


def _fit_predict(estimator: Any, rows: Rows, train: Int, test: Int) -> Float:
    n_treatments = max(rows.n_arms - 1, 1)
    if not len(test):
        return np.empty((0, n_treatments))
    model = _fit(estimator, rows, train)
    with part_of_rows():
        effects = np.asarray(model.predict(frames.take_rows(rows.X, test)), dtype=np.float64)
    return effects.reshape(len(test), n_treatments)


def residualise(
    owner: str, rows: Rows, segment: Int, n_segments: int, cv: int, random_state: Any, n_jobs: Any
) -> tuple[Centred, Int]:
    """Centre outcome and treatment on covariates and segment, by cross-fitting.

    Returns
    -------
    centred : Centred
    fold : intp array of shape (n_rows,)
    """
    centred, found = centre(
        owner,
        _with_segment(rows.X, segment, n_segments),
        rows.y,
        rows.treatment,
        NuisanceModels(cv=cv, clip=_CLIP, random_state=random_state, n_jobs=n_jobs),
        weight=rows.sample_weight,
        groups=rows.groups,
        propensity=rows.propensity,
    )
    return centred, found.fold


def _with_segment(X: Any, segment: Int, n_segments: int) -> Any:
    """Append a 0/1 column for each segment but the first, as segments may confound."""
    taken = set(frames.column_names(X) or [])
    for k in range(1, n_segments):
        name = f"segment {k}"
        while name in taken:
            name += "_"
        X = frames.append_column(X, name, (segment == k).astype(np.float64))
    return X
