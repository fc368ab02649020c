"""Propensities handed in: numbers inside (0, 1), one for every row of X."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.listing import listed
from segcate._inputs.vectors import as_column, as_numbers, check_length

__all__ = ["check_propensity"]

Float = npt.NDArray[np.float64]


def check_propensity(
    owner: str,
    propensity: Any,
    X: Any,
    *,
    weight: Float | None = None,
    takes_certain: bool = False,
    remedy: str = "drop them and say so",
) -> Float | None:
    """Check the propensities handed in.

    They must lie inside (0, 1). Exactly 0 and 1 are taken with `takes_certain`, and in rows of
    weight 0. `remedy` ends the message.
    """
    if propensity is None:
        return None
    values = as_column(owner, "propensity", propensity)
    check_length(owner, "propensity", values, X)
    allowed = "[0, 1]" if takes_certain else "(0, 1)"
    values = as_numbers(owner, "`propensity`", values, f"numbers inside {allowed}")
    if len(values) and values.min() >= 1e-100 and values.max() < 1:
        return values
    is_bad = ~((values >= 0) & (values <= 1))
    is_certain = (values == 0) | (values == 1)
    if not takes_certain:
        is_bad |= is_certain if weight is None else is_certain & (weight > 0)
    is_bad |= (values > 0) & (values < 1e-100)  # whose inverse has no square
    if is_bad.any():
        n_missing = int(np.isnan(values).sum())
        found = listed(np.unique(values[is_bad & ~np.isnan(values)]))
        strictly = "" if takes_certain else "strictly "
        raise ValueError(
            f"{owner}: `propensity` must lie {strictly}inside {allowed}; {int(is_bad.sum())} of {len(values)} values "
            f"do not ({found or 'no number'}; NaN {n_missing}). Rows that could never, or would always, be treated "
            f"have no counterpart: {remedy}."
        )
    return values
