"""Cross-fitted nuisance models: the outcome in each arm, and the chance of treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._nuisance.covariates import Covariates
from segcate._nuisance.default_models import Folds
from segcate._nuisance.fold_regression import Response
from segcate._nuisance.stacking import predict_stacked

# On fewer rows threads of one model wait for each other longer than they work; use `n_jobs`.
_MIN_ROWS_FOR_THREADS = 100_000


@dataclass(frozen=True, slots=True)
class Fold:
    """Positions of the rows to predict, and of those to fit on."""

    train: Int
    test: Int


@dataclass(frozen=True, slots=True)
class Target:
    """What a nuisance model learns, and from which rows.

    Attributes
    ----------
    name : what the model is for, for messages
    values : float64 array of shape (n_rows,)
    rows : bool array of shape (n_rows,), the rows that may be learned from
    is_binary : whether values are 0 and 1, to be predicted as probabilities
    is_treatment : whether values are the arms; a model then has `predict_proba`
    model : an estimator of the user's, None for the default
    """

    name: str
    values: Float
    rows: npt.NDArray[np.bool_]
    is_binary: bool
    is_treatment: bool
    model: Any


def cross_fit(
    owner: str,
    X: Any,
    covariates: Covariates | None,
    targets: Sequence[Target],
    folds: Sequence[Fold],
    *,
    weight: Float | None,
    seed: int,
    n_jobs: int | None,
) -> list[Float]:
    """Predict every target for every row by models that saw neither the row nor its fold."""
    for target in targets:
        for fold in folds:
            _refuse_no_rows(owner, target, fold, weight)
    n_threads = 1 if len(targets[0].values) < _MIN_ROWS_FOR_THREADS else None
    given = [place for place, target in enumerate(targets) if target.model is not None]
    default = [place for place, target in enumerate(targets) if target.model is None]
    columns: dict[int, Float] = {}
    with threadpool_limits(n_threads):
        jobs = [(place, k) for place in given for k in range(len(folds))]
        predicted = Parallel(n_jobs=n_jobs)(
            delayed(_fit_predict)(owner, targets[place], X, folds[k], weight) for place, k in jobs
        )
        for (place, k), values in zip(jobs, predicted, strict=True):
            column = columns.setdefault(place, np.empty(len(targets[place].values)))
            column[folds[k].test] = values
        if default and covariates is not None:
            parts = [targets[place] for place in default]
            seeds = [seed + 1000 * place for place in default]
            averaged = _by_default(covariates, parts, folds, weight, seeds, n_jobs)
            columns.update(zip(default, averaged, strict=True))
    return [columns[place] for place in range(len(targets))]


def _by_default(
    covariates: Covariates,
    targets: Sequence[Target],
    folds: Sequence[Fold],
    weight: Float | None,
    seeds: Sequence[int],
    n_jobs: int | None,
) -> list[Float]:
    """Predict targets by the default models."""
    train = [np.zeros(len(covariates.values), dtype=bool) for _ in folds]
    for marked, fold in zip(train, folds, strict=True):
        marked[fold.train] = True
    responses = [Response(one.values, _usable(one, weight), one.is_binary) for one in targets]
    parts = Folds(tuple(train), tuple(fold.test for fold in folds))
    return predict_stacked(covariates, responses, parts, weight, seeds, n_jobs)


def _usable(target: Target, weight: Float | None) -> npt.NDArray[np.bool_]:
    """Mark the rows that a target may be learned from."""
    return target.rows if weight is None else target.rows & (weight > 0)


def _refuse_no_rows(owner: str, target: Target, fold: Fold, weight: Float | None) -> None:
    """Raise where a fold leaves nothing to learn from."""
    if not _usable(target, weight)[fold.train].any():
        raise ValueError(
            f"{owner}: a fold leaves no rows of positive weight to fit the {target.name} on. Lower "
            "`cv`, or drop rows of weight 0."
        )


def _fit_predict(owner: str, target: Target, X: Any, fold: Fold, weight: Float | None) -> Float:
    """Fit a given model on the fold's training rows that have the target, and predict its other rows."""
    rows = fold.train[_usable(target, weight)[fold.train]]
    values = target.values[rows]
    row_weight = None if weight is None or (weight[rows] == 1.0).all() else weight[rows]
    if (values == values[0]).all():
        return np.full(len(fold.test), values[0])
    X_train, X_test = frames.take_rows(X, rows), frames.take_rows(X, fold.test)
    model = clone(target.model)
    gives_chances = target.is_treatment or is_classifier(model)
    labels = values.astype(np.intp) if gives_chances else values
    model.fit(X_train, labels, **_weight_keyword(owner, target, model, row_weight))
    predicted = _predict(model, X_test, gives_chances)
    n_bad = int((~np.isfinite(predicted)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: the {target.name}, {type(model).__name__}, predicts NaN or infinity for "
            f"{n_bad} of {len(predicted)} rows. Use another model."
        )
    return predicted


def _weight_keyword(
    owner: str, target: Target, model: Any, weight: Float | None
) -> dict[str, Float]:
    if weight is None:
        return {}
    if not has_fit_parameter(model, "sample_weight"):
        raise ValueError(
            f"{owner}: `sample_weight` was given, but the {target.name}, {type(model).__name__}, "
            "takes no `sample_weight` in fit. Use another model, or leave the weights out."
        )
    return {"sample_weight": weight}


def _predict(model: Any, X: Any, gives_chances: bool) -> Float:
    if not gives_chances:
        return np.asarray(model.predict(X), dtype=np.float64).reshape(-1)
    at = list(model.classes_).index(1)
    return np.asarray(model.predict_proba(X), dtype=np.float64)[:, at]


def check_models(owner: str, outcome_model: Any, propensity_model: Any, is_binary: bool) -> None:
    """Refuse models that cannot do their part, before anything is fitted."""
    for name, model in (("outcome_model", outcome_model), ("propensity_model", propensity_model)):
        if model is not None and (isinstance(model, type) or not hasattr(model, "fit")):
            raise TypeError(
                f"{owner}: `{name}` must be a scikit-learn estimator (an instance); got {model!r}."
            )
    if propensity_model is not None and not hasattr(propensity_model, "predict_proba"):
        raise TypeError(
            f"{owner}: `propensity_model` must be a classifier with `predict_proba`; got "
            f"{propensity_model!r}."
        )
    if outcome_model is None:
        return
    if is_classifier(outcome_model) and not is_binary:
        raise ValueError(
            f"{owner}: `outcome_model` is a classifier, {type(outcome_model).__name__}, and y is "
            "not 0/1. Pass a regressor."
        )
    if is_classifier(outcome_model) and not hasattr(outcome_model, "predict_proba"):
        raise TypeError(
            f"{owner}: `outcome_model` is a classifier without `predict_proba`; got "
            f"{outcome_model!r}. Pass one that predicts probabilities, or a regressor."
        )
