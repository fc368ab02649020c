"""Cross-fitted nuisance models: the outcome in each arm, and the chance of treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from segcate import _frames
from segcate._validation import Float, Int

__all__ = ["Fold", "Target", "check_models", "cross_fit", "encoded_covariates"]

_ALPHAS = tuple(10.0**k for k in range(-1, 6))
# Boosting stops early on a tenth of the rows; with fewer of either class that tenth says nothing.
_MIN_ROWS_TO_STOP_EARLY = 200
_MIN_CLASS_TO_STOP_EARLY = 40
# On fewer rows the threads of the trees wait for each other longer than they work.
_MIN_ROWS_FOR_THREADS = 100_000
# Levels of a text column that are never, and always, too many to have a 0/1 column each.
_FEW_LEVELS, _MANY_LEVELS = 50, 1000


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
    model : an estimator of the user's, None for the default
    """

    name: str
    values: Float
    rows: npt.NDArray[np.bool_]
    is_binary: bool
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
        for learner in (("given",) if target.model is not None else ("linear", "boosting", "mean"))
        for k in range(len(folds))
    ]
    n_threads = 1 if len(targets[0].values) < _MIN_ROWS_FOR_THREADS else None
    with threadpool_limits(n_threads, user_api="openmp"):
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


def encoded_covariates(owner: str, X: Any) -> Float:
    """Turn X into numbers for the default models; a missing value stays NaN or is a level."""
    positions = list(range(X.shape[1]))
    numeric = set(_frames.numeric_positions(X))
    names = _frames.column_names(X)
    for i in positions:
        column = _frames.column_values(X, i)
        name = names[i] if names is not None else i
        if i not in numeric:
            n_levels = len(_frames.sorted_codes(column)[1])
            if n_levels > min(max(_FEW_LEVELS, len(column) // 10), _MANY_LEVELS):
                raise ValueError(
                    f"{owner}: column {name!r} of X has {n_levels} different values in "
                    f"{len(column)} rows, like an id; each would be a column. Drop it, or group "
                    "its values."
                )
        elif column.dtype.kind == "f" and np.isinf(column).any():
            raise ValueError(
                f"{owner}: X contains infinity in column {name!r} ({int(np.isinf(column).sum())} "
                "rows). Replace those values or drop the rows first."
            )
    return _frames.encode_columns(X, positions).values


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
    rows = fold.train[target.rows[fold.train]]
    values = target.values[rows]
    row_weight = None if weight is None else weight[rows]
    if learner == "mean" or (values == values[0]).all():
        return np.full(len(fold.test), np.average(values, weights=row_weight))
    X_train, X_test = _frames.take_rows(X, rows), _frames.take_rows(X, fold.test)
    if learner == "linear":
        prepare = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        )
        X_train, X_test = prepare.fit_transform(X_train), prepare.transform(X_test)
    model = _default(learner, target, values, seed) if learner != "given" else clone(target.model)
    labels = values.astype(np.intp) if target.is_binary and is_classifier(model) else values
    model.fit(X_train, labels, **_weight_keyword(owner, target, model, row_weight))
    predicted = _predict(model, X_test)
    n_bad = int((~np.isfinite(predicted)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: the {target.name}, {type(model).__name__}, predicts NaN or infinity for "
            f"{n_bad} of {len(predicted)} rows. Use another model."
        )
    return predicted


def _default(learner: str, target: Target, values: Float, seed: int) -> Any:
    """Make one of the default models: few assumptions, and little to gain from tuning."""
    if learner == "linear":
        return LogisticRegression(max_iter=1000) if target.is_binary else RidgeCV(alphas=_ALPHAS)
    n = len(values)
    rarer = min(values.sum(), n - values.sum()) if target.is_binary else n
    boosting = HistGradientBoostingClassifier if target.is_binary else HistGradientBoostingRegressor
    return boosting(
        max_leaf_nodes=15,
        early_stopping=bool(n >= _MIN_ROWS_TO_STOP_EARLY and rarer >= _MIN_CLASS_TO_STOP_EARLY),
        random_state=seed,
    )


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


def _predict(model: Any, X: Any) -> Float:
    if not is_classifier(model):
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
    if weight is not None:
        table = table * np.sqrt(weight[known])[:, None]
    triangle = np.linalg.qr(table, mode="r")
    scale = max(float(np.abs(triangle).max()), 1e-300) * 1e4
    ones = np.append(np.full(columns.shape[1], scale), scale)
    system = np.vstack([triangle, ones])
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
