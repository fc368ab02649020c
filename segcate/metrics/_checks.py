"""Check the arrays that metrics are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from segcate import _frames
from segcate._validation import Float, _check_same_index, count_not_finite

_PREDICTION_ADVICE = (
    "Rows without an effect cannot be ranked: give every segment one (`on_empty='overall'`), merge "
    "thin segments, or leave those rows out of all arrays."
)


def check_vector(owner: str, name: str, values: Any, reference: Any, advice: str = "") -> Float:
    """Check that `values` are finite numbers, one for every row of `reference`, in its order."""
    _check_same_index(owner, name, values, reference)
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = column_or_1d(array)
    if array.ndim != 1 or array.dtype.kind not in "iufbO":
        raise ValueError(
            f"{owner}: `{name}` must be one number for every row; got shape {array.shape} of "
            f"{array.dtype}."
        )
    n_rows = _frames.n_rows(reference)
    if len(array) != n_rows:
        raise ValueError(
            f"{owner}: `{name}` has {len(array)} values for {n_rows} rows; one for every row is "
            "needed."
        )
    array = array.astype(np.float64)
    n_bad = count_not_finite(array)
    if n_bad:
        raise ValueError(
            f"{owner}: `{name}` is NaN or infinite in {n_bad} of {len(array)} rows."
            + (f" {advice}" if advice else "")
        )
    return array


def check_prediction(owner: str, prediction: Any, reference: Any) -> Float:
    """Check predicted effects; rows without one are named, never ranked."""
    return check_vector(owner, "prediction", prediction, reference, _PREDICTION_ADVICE)
