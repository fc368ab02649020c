"""Name the covariates of a fit that were probably measured after the treatment."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from segcate._covariates.leakage import Leak, find_leaks
from segcate._inputs import frames
from segcate._inputs.arrays import Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.listing import first_few
from segcate._inputs.part_of_rows import is_fold_of_rows
from segcate._inputs.vectors import is_zero_one
from segcate.exceptions import OverlapError, SegcateWarning

_WERE_CHECKED: ContextVar[bool] = ContextVar("segcate_columns_were_checked", default=False)


@contextmanager
def columns_were_checked() -> Iterator[None]:
    """Fit a model inside an estimator that has looked at the columns of all rows already."""
    token = _WERE_CHECKED.set(True)
    try:
        yield
    finally:
        _WERE_CHECKED.reset(token)


def check_late_columns(owner: str, data: EffectData) -> dict[str, str]:
    """Look for columns that tell the outcome or the treatment; to be called by what `fit` calls.

    Rows of weight 0 are left out. With more than two arms each is compared with the control. Doses
    have no arms that a column could decide, so nothing is looked for.

    Parameters
    ----------
    owner : class that a message names
    data : checked rows

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
    if _WERE_CHECKED.get():
        return {}
    found = _leaks(data, _rows_with_weight(data))
    for leak in found:
        if leak.decides and data.propensity is None:
            raise OverlapError(
                f"{owner}: column {leak.column!r} of X decides the treatment: no row of the other arm "
                "has the same value, so there is nobody to compare with. If it names the arm, leave it "
                "out of X; if groups were treated as a whole, pass them as `groups=` instead."
            )
    strong = [leak for leak in found if leak.is_strong]
    if strong and not is_fold_of_rows():
        listing = first_few((f"{leak.column!r}: {leak.text}" for leak in strong), separator="; ")
        warnings.warn(
            f"{owner}: X has columns that were probably measured after the treatment ({listing}). "
            "Effects are wrong if they were: leave them out unless they were measured before.",
            SegcateWarning,
            stacklevel=4,
        )
    return {
        leak.column: ("measured after the treatment? " if leak.is_strong else "") + leak.text
        for leak in found
    }


def deciding_column(data: EffectData, rows: Int) -> str | None:
    """Return the name of a column that decides the treatment among some rows; None if there is none."""
    return next((leak.column for leak in _leaks(data, rows) if leak.decides), None)


def _rows_with_weight(data: EffectData) -> Int | None:
    """Return the positions of the rows of positive weight; None where all have it."""
    if data.sample_weight is None or data.sample_weight.all():
        return None
    return np.flatnonzero(data.sample_weight)


def _leaks(data: EffectData, rows: Int | None) -> list[Leak]:
    """Find conspicuous columns, arm by arm against the control; the first finding of each column."""
    treatment = data.treatment if rows is None else data.treatment[rows]
    if treatment.dtype.kind == "f" and not is_zero_one(treatment):
        return []
    found: dict[str, Leak] = {}
    n_arms = int(treatment.max()) + 1
    for arm in range(1, n_arms):
        part = rows
        if n_arms > 2:
            there = np.flatnonzero((treatment == 0) | (treatment == arm))
            part = there if rows is None else rows[there]
        X, outcome, arms = data.X, data.y, data.treatment
        if part is not None:
            X, outcome, arms = frames.take_rows(X, part), outcome[part], arms[part]
        for leak in find_leaks(X, data.covariates, outcome, arms, screen=True):
            if leak.column not in found or leak.decides:
                found[leak.column] = leak
    return list(found.values())
