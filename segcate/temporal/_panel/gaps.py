"""Gaps in a panel: rows and values that are missing between a unit's first row and its last.

Outcomes and covariates that are missing hold the unit's last known value, and a mask tells so. A
treatment that is missing is never carried forward: nobody knows what was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Bool, Float, Int
from segcate._inputs.listing import listed


@dataclass(frozen=True, slots=True)
class Filled:
    """Values without gaps, and where gaps were.

    Attributes
    ----------
    seen : float64 array of shape (n, t, d)
        Outcomes and covariates, zeros behind the last row of a unit.
    treatment : float64 array of shape (n, t, d_a)
        Zeros where it is missing.
    is_seen : bool array of shape (n, t)
        Whether all outcomes and covariates of the row were known.
    is_known : bool array of shape (n, t)
        Whether all treatments of the row were known; that of the last row may be open.
    n_steps : intp array of shape (n,)
    is_open : bool array of shape (n,)
        Whether a treatment of the unit's last row is missing.
    begin : intp array of shape (n,)
        Rows left out at the beginning of each unit, before every column had its first value.
    """

    seen: Float
    treatment: Float
    is_seen: Bool
    is_known: Bool
    n_steps: Int
    is_open: Bool
    begin: Int


def fill_gaps(
    owner: str,
    seen: Float,
    treatment: Float,
    n_steps: Int,
    names: Sequence[tuple[str, str]],
    ids: npt.NDArray[Any],
) -> Filled:
    """Carry outcomes and covariates forward, and say where.

    Parameters
    ----------
    seen, treatment : float64 arrays of shape (n, t, width), NaN where missing
    names : role and name of each column of `seen`
    """
    t = seen.shape[1]
    is_value = ~np.isnan(seen)
    _refuse_empty(owner, is_value, names, ids)
    begin: Int = is_value.argmax(axis=1).max(axis=1)
    n_left = n_steps - begin
    seen = _move_up(carry_forward(seen, is_value), begin)
    is_value, treatment = _move_up(is_value, begin), _move_up(treatment, begin)
    position = np.arange(t)
    is_row = position < n_left[:, None]
    is_missing = np.isnan(treatment)
    is_open = position >= (n_left - 1)[:, None]
    return Filled(
        np.where(is_row[..., None], seen, 0.0),
        np.where(is_row[..., None] & ~is_missing, treatment, 0.0),
        is_value.all(axis=2) & is_row,
        (~is_missing.any(axis=2) | is_open) & is_row,
        n_left,
        is_missing[np.arange(len(ids)), n_left - 1].any(axis=1),
        begin,
    )


def _refuse_empty(
    owner: str, is_value: Bool, names: Sequence[tuple[str, str]], ids: npt.NDArray[Any]
) -> None:
    for j, (role, name) in enumerate(names):
        never = ~is_value[..., j].any(axis=1)
        if never.any():
            raise ValueError(
                f"{owner}: column {name!r} ({role}) has no value in any row of {int(never.sum())} of "
                f"{len(ids)} units ({listed(ids[never])}), so that there is nothing to carry forward. Leave "
                "those units out, or the column."
            )


def carry_forward(values: Float, is_value: Bool) -> Float:
    """Put the last known value in the place of each gap behind it."""
    position = np.arange(values.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(is_value, position, 0), axis=1)
    found: Float = np.take_along_axis(values, last, axis=1)
    return found


def _move_up(values: Any, begin: Int) -> Any:
    """Leave the first rows of each unit out."""
    if not begin.any():
        return values
    at = np.minimum(np.arange(values.shape[1]) + begin[:, None], values.shape[1] - 1)
    return np.take_along_axis(values, at[..., None], axis=1)
