"""Name the covariates of a fit that were probably measured after the treatment."""

from __future__ import annotations

import warnings

import numpy as np

from segcate._covariates.leakage import find_leaks
from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate.exceptions import OverlapError, SegcateWarning

__all__ = ["check_late_columns"]


def check_late_columns(owner: str, data: EffectData, y: Float) -> dict[str, str]:
    """Look for columns that tell the outcome or the treatment; to be called by `fit` itself.

    Rows of weight 0 are left out.

    Parameters
    ----------
    owner : class that a message names
    data : checked rows
    y : float64 array of shape (n_rows,), the outcome

    Returns
    -------
    dict of str
        For each conspicuous column what was found, as a sentence.

    Raises
    ------
    OverlapError
        If a column decides the treatment, and no propensity is given that says otherwise.

    Warns
    -----
    SegcateWarning
        If a column was probably measured after the treatment.
    """
    X, treatment = data.X, data.treatment
    if data.sample_weight is not None and not data.sample_weight.all():
        there = np.flatnonzero(data.sample_weight)
        X, y, treatment = frames.take_rows(X, there), y[there], treatment[there]
    found = find_leaks(X, data.covariates, y, treatment, screen=True)
    for leak in found:
        if leak.decides and data.propensity is None:
            raise OverlapError(
                f"{owner}: column {leak.column!r} of X decides the treatment: no row of the other arm "
                "has the same value, so there is nobody to compare with. If it names the arm, leave it "
                "out of X; if groups were treated as a whole, pass them as `groups=` instead."
            )
    strong = [leak for leak in found if leak.is_strong]
    if strong:
        listing = "; ".join(f"{leak.column!r}: {leak.text}" for leak in strong[:5])
        more = f" and {len(strong) - 5} more" if len(strong) > 5 else ""
        warnings.warn(
            f"{owner}: X has columns that were probably measured after the treatment ({listing}{more}). "
            "Effects are wrong if they were: leave them out unless they were measured before.",
            SegcateWarning,
            stacklevel=3,
        )
    return {
        leak.column: ("measured after the treatment? " if leak.is_strong else "") + leak.text
        for leak in found
    }
