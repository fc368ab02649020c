"""Where displays get their numbers: fitted estimators, alone or in a Pipeline or search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from segcate._inputs.arrays import Float
from segcate._inputs.last_step import last_step


def fitted_with(owner: str, estimator: Any, attribute: str, advice: str) -> Any:
    """Return the estimator, or the last step of the Pipeline or search, that has an attribute.

    Raises
    ------
    NotFittedError
        If the estimator would have it once fitted.
    TypeError
        If it never will.
    """
    if hasattr(estimator, attribute):
        return estimator
    step = last_step(getattr(estimator, "pipeline", estimator))
    if hasattr(step, attribute):
        return step
    name = type(step).__name__
    if hasattr(type(step), attribute) or hasattr(step, "matcher"):
        raise NotFittedError(f"This {name} is not fitted yet; call `fit` before drawing.")
    raise TypeError(f"{owner}: the last step is a {name}, which has no `{attribute}`. {advice}")


def predicted_effects(owner: str, estimator: Any, X: Any) -> Float:
    """Predict the effect of every row; a Pipeline or search predicts itself."""
    step = last_step(estimator)
    if not hasattr(step, "predict"):
        raise TypeError(
            f"{owner}: the last step is a {type(step).__name__}, which has no `predict`. Pass an "
            "effect estimator, or effects of the rows to `from_predictions`."
        )
    prediction = np.asarray(estimator.predict(X))
    if prediction.ndim == 2 and prediction.shape[1] > 1:
        raise ValueError(
            f"{owner}: {type(step).__name__} predicts {prediction.shape[1]} effects a row, one for "
            "each arm against control, and a display shows one. Pass the column of one arm, "
            "`from_predictions(..., estimator.predict(X)[:, 0])`."
        )
    return prediction.reshape(-1)


def predicted_by_each(owner: str, estimators: Any, X: Any) -> dict[str, Float]:
    """Predict by one estimator, named by its class, or by each of a mapping."""
    return {
        name or type(last_step(model)).__name__: predicted_effects(owner, model, X)
        for name, model in named(owner, estimators, "estimators").items()
    }


def read_numbers(owner: str, name: str, values: Any, advice: str) -> Float:
    """Read one number a row; NaN stays, for the display to count."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iufbO" or len(array) == 0:
        raise ValueError(
            f"{owner}: `{name}` must be one number for every row; got shape {array.shape} of "
            f"{array.dtype}. {advice}"
        )
    array = array.astype(np.float64)
    if np.isnan(array).all():
        raise ValueError(
            f"{owner}: `{name}` is NaN in all {len(array)} rows; there is nothing to draw."
        )
    return array


def read_effects(owner: str, effects: Any) -> Float:
    """Read predicted effects, one a row, NaN for none."""
    values = read_numbers(owner, "prediction", effects, "Pass `estimator.predict(X)`.")
    if np.isinf(values).any():
        raise ValueError(
            f"{owner}: `prediction` is infinite in {int(np.isinf(values).sum())} of {len(values)} "
            "rows. Look for a division by a propensity of 0 or 1 in the model, or drop those rows."
        )
    return values


def read_rows(owner: str, name: str, values: Any, n_rows: int, advice: str) -> Any:
    """Read one value of any kind for each row."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.ndim != 1 or len(array) != n_rows:
        raise ValueError(
            f"{owner}: `{name}` must be one value for each of {n_rows} rows; got shape "
            f"{array.shape}. {advice}"
        )
    return array


def note_on_rows_without_effect(n_rows: int) -> list[str]:
    """Say how many rows are not drawn."""
    return [f"{n_rows:,} rows without a predicted effect are not drawn."] if n_rows else []


def named(owner: str, value: Any, what: str) -> dict[str, Any]:
    """Return a mapping of name to thing; a single thing gets the empty name."""
    if not isinstance(value, Mapping):
        return {"": value}
    if not value:
        raise ValueError(f"{owner}: the mapping of {what} is empty; there is nothing to draw.")
    return {str(name): thing for name, thing in value.items()}
