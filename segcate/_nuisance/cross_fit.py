"""Cross-fitted nuisance models: the outcome in each arm, and the chance of treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from sklearn.base import clone, is_classifier
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._nuisance.default_models import LEARNERS, fit_predict_default, learning_rows

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
    encoded: Float | None,
    targets: Sequence[Target],
    folds: Sequence[Fold],
    *,
    weight: Float | None,
    seed: int,
    n_jobs: int | None,
) -> list[Float]:
    """Predict every target for every row by models that saw neither the row nor its fold."""
    jobs = [
        (i, learner, k)
        for i, target in enumerate(targets)
        for learner in (("given",) if target.model is not None else LEARNERS)
        for k in range(len(folds))
    ]
    n_threads = 1 if len(targets[0].values) < _MIN_ROWS_FOR_THREADS else None
    with threadpool_limits(n_threads):
        predicted = Parallel(n_jobs=n_jobs)(
            delayed(_fit_predict)(
                owner,
                learner,
                targets[i],
                X if learner == "given" else encoded,
                folds[k],
                weight,
                (seed + 1000 * i + k) % 2**31,
            )
            for i, learner, k in jobs
        )
    columns: list[dict[str, Float]] = [{} for _ in targets]
    for (i, learner, k), values in zip(jobs, predicted, strict=True):
        column = columns[i].setdefault(learner, np.empty(len(targets[i].values)))
        column[folds[k].test] = values
    return [
        _combine(np.column_stack(list(column.values())), target, weight)
        for column, target in zip(columns, targets, strict=True)
    ]


def _fit_predict(
    owner: str,
    learner: str,
    target: Target,
    X: Any,
    fold: Fold,
    weight: Float | None,
    seed: int,
) -> Float:
    """Fit on the fold's training rows that have the target, and predict its other rows."""
    usable = target.rows if weight is None else target.rows & (weight > 0)
    rows = learning_rows(learner, fold.train[usable[fold.train]], seed)
    if len(rows) == 0:
        raise ValueError(
            f"{owner}: a fold leaves no rows of positive weight to fit the {target.name} on. Lower "
            "`cv`, or drop rows of weight 0."
        )
    values = target.values[rows]
    row_weight = None if weight is None or (weight[rows] == 1.0).all() else weight[rows]
    if (values == values[0]).all():
        return np.full(len(fold.test), values[0])
    X_train, X_test = frames.take_rows(X, rows), frames.take_rows(X, fold.test)
    if learner != "given":
        return fit_predict_default(
            learner,
            X_train,
            values,
            X_test,
            weight=row_weight,
            is_binary=target.is_binary,
            seed=seed,
        )
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


def _combine(columns: Float, target: Target, weight: Float | None) -> Float:
    """Average the learners with the weights that predict best, all rows at once (short-stacking).

    Weights are not negative and sum to 1. Each prediction being out of fold, a handful of weights
    fitted on all rows costs nothing that matters (Ahrens, Hansen, Schaffer & Wiemann, 2025).
    """
    if columns.shape[1] == 1:
        return columns[:, 0]
    known = target.rows if weight is None else target.rows & (weight > 0)
    table = np.column_stack([columns[known], target.values[known]])
    table = table - table[:, -1].mean()
    if weight is not None:
        table *= np.sqrt(weight[known])[:, None]
    triangle: Float = np.asarray(np.linalg.qr(table, mode="r"))
    size = float(np.abs(triangle).max())
    if size == 0:
        return np.asarray(columns[:, 0])
    # A row that outweighs all others makes the shares sum to 1.
    system: Float = np.vstack([triangle / size, np.full((1, table.shape[1]), 1e4)])
    share = nnls(system[:, :-1], system[:, -1])[0]
    averaged: Float = columns @ (share / share.sum())
    return averaged


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
