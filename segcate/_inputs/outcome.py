"""The outcome: one finite number for every row of X."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.vectors import (
    as_column,
    as_numbers,
    check_length,
    count_not_finite,
    refuse_huge,
)

__all__ = ["check_outcome", "is_zero_one"]

Float = npt.NDArray[np.float64]


def check_outcome(owner: str, y: Any, X: Any) -> Float:
    """Check that y is numeric, finite, one-dimensional and as long as X."""
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None: an effect needs an outcome."
        )
    values = as_numbers(
        owner, "y", as_column(owner, "y", y, warn=True), "numeric (0/1 or measured)"
    )
    n_bad = count_not_finite(values)
    if n_bad:
        raise ValueError(
            f"{owner}: Input y contains NaN or infinity in {n_bad} of {len(values)} rows. "
            "Drop those rows from X, y and treatment alike before the fit."
        )
    check_length(owner, "y", values, X)
    refuse_huge(owner, "y", values)
    return values


def is_zero_one(y: Float) -> bool:
    """Tell whether all values are 0 or 1."""
    return bool(np.isin(y, (0.0, 1.0)).all())
