"""Check and fit the model inside an estimator of individual effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from segcate._inputs.arrays import Float
from segcate._inputs.vectors import is_zero_one


def check_child(owner: str, model: Any, what: str) -> None:
    """Refuse a class, and what has no `fit` and `predict`, in the place of the model inside."""
    if isinstance(model, type) or not hasattr(model, "fit") or not hasattr(model, "predict"):
        raise TypeError(
            f"{owner}: `estimator` must be {what} (an instance with `fit` and `predict`) or None; "
            f"got {model!r}."
        )


def fit_regressor(owner: str, model: Any, X: Float, y: Float, weight: Float | None) -> Any:
    """Clone and fit a regressor (or a classifier of 0/1) on numbers, weights included."""
    fresh = clone(model)
    target: npt.NDArray[Any] = y
    if is_classifier(fresh):
        if not is_zero_one(y) or not hasattr(fresh, "predict_proba"):
            raise ValueError(
                f"{owner}: `estimator` is a classifier, {type(fresh).__name__}; that needs y in "
                "{0, 1} and `predict_proba`. Pass a regressor."
            )
        target = y.astype(np.intp)
    with config_context(enable_metadata_routing=False):
        fresh.fit(X, target, **_weight_keyword(owner, fresh, weight))
    return fresh


def _weight_keyword(owner: str, model: Any, weight: Float | None) -> dict[str, Float]:
    if weight is None:
        return {}
    name, last = "sample_weight", model
    while isinstance(last, Pipeline):
        step, last = last.steps[-1]
        name = f"{step}__{name}"
    if not has_fit_parameter(last, "sample_weight"):
        raise ValueError(
            f"{owner}: `sample_weight` was given, but `estimator`, {type(last).__name__}, takes no "
            "`sample_weight` in fit. Use another regressor, or leave the weights out."
        )
    return {name: weight}


def regressor_predict(owner: str, model: Any, X: Float) -> Float:
    """Predict expected outcomes; a prediction that is no number is an error."""
    if is_classifier(model):
        chances = np.asarray(model.predict_proba(X), dtype=np.float64)
        at = np.flatnonzero(np.asarray(model.classes_) == 1)
        predicted = chances[:, at[0]] if len(at) else np.zeros(len(X))
    else:
        predicted = np.asarray(model.predict(X), dtype=np.float64).reshape(-1)
    n_bad = int((~np.isfinite(predicted)).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: `estimator`, {type(model).__name__}, predicts NaN or infinity for {n_bad} "
            f"of {len(X)} rows. Use another regressor."
        )
    return predicted
