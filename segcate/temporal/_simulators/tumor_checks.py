"""Check what `tumor_growth` is asked for: the strength of confounding, and where plans start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.parameters import check_number, is_whole


def check_gamma(owner: str, gamma: Any) -> tuple[float, float]:
    """Return the strength of confounding for chemotherapy and for radiotherapy."""
    pair = (gamma, gamma)
    if isinstance(gamma, Mapping):
        if set(gamma) != {"chemo", "radio"}:
            raise ValueError(
                f"{owner}: `gamma` must be one number or name both treatments, "
                f"{{'chemo': 4, 'radio': 2}}; got the names {sorted(map(str, gamma))}."
            )
        pair = (gamma["chemo"], gamma["radio"])
    for value in pair:
        check_number(
            owner, "gamma", value, least=0, advice="0 treats by coin; 4 confounds strongly."
        )
    return float(pair[0]), float(pair[1])


def check_origin(
    owner: str, origin: Any, last: npt.NDArray[np.intp], n_plan_days: int, n_known: int, advice: str
) -> npt.NDArray[np.intp]:
    """Return the position at which each unit's plan starts.

    Parameters
    ----------
    owner : str
        The method, for messages.
    origin : int or "last"
    last : intp array of shape (n_units,)
        Position of each unit's last day.
    n_plan_days : int
        Number of days of the plan.
    n_known : int
        Number of positions of which the simulation knows what would happen.
    advice : str
        What to do about a plan that reaches beyond them.
    """
    if isinstance(origin, str) and origin == "last":
        start = last.astype(np.intp)
    elif is_whole(origin):
        start = np.full(len(last), int(origin), dtype=np.intp)
    else:
        raise ValueError(f"{owner}: `origin` must be 'last' or a day; got {origin!r}.")
    if start.min() < 0 or start.min() > last.max():
        raise ValueError(
            f"{owner}: `origin` must be between 0 and {last.max()}, the last day of any unit; got "
            f"{origin!r}."
        )
    reach = int(start.max()) + n_plan_days
    if reach >= n_known:
        raise ValueError(
            f"{owner}: a plan of {n_plan_days} days from day {start.max()} on reaches day {reach}, "
            f"and the simulation ends on day {n_known - 1}. {advice}"
        )
    return start
