"""Groups of dependent rows that cannot be told from the arms of the treatment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.vectors import as_column, check_length
from segcate._inputs.weights import present_groups


def refuse_groups_that_are_arms(
    owner: str, groups: npt.NDArray[Any] | None, arms: npt.NDArray[Any]
) -> None:
    """Raise where every arm is one group and every group one arm.

    Parameters
    ----------
    owner : str, for the message
    groups : codes of shape (n_rows,) or None
    arms : codes of shape (n_rows,)
    """
    if groups is None:
        return
    pairs = np.unique(np.column_stack([groups, arms]), axis=0)
    n_arms = len(np.unique(arms))
    if len(pairs) == n_arms and len(np.unique(pairs[:, 0])) == n_arms:
        raise ValueError(
            f"{owner}: `groups` coincide with the arms of `treatment`: each of the {n_arms} arms is one group, so "
            "that nobody can tell the effect of the treatment from a difference between the groups. Pass the units "
            "that are independent of each other (schools, households) as groups, at least two in every arm; or leave "
            "`groups` out if the rows are independent."
        )


def check_groups(owner: str, groups: Any, X: Any) -> Int | None:
    """Code the clusters of dependent rows 0, 1, ..."""
    if groups is None:
        return None
    values = as_column(owner, "groups", groups)
    check_length(owner, "groups", values, X)
    codes, levels = frames.sorted_codes(values)
    if any(frames.is_missing(level) for level in levels.tolist()):
        raise ValueError(f"{owner}: `groups` has missing values. Give every row its group.")
    if len(levels) < 2:
        raise ValueError(
            f"{owner}: `groups` holds one group only ({listed(levels)}); at least two are needed."
        )
    return codes


def groups_with_weight(owner: str, groups: Int | None, weight: Float | None) -> Int | None:
    """Leave out groups whose rows all have weight 0."""
    if groups is None:
        return None
    present = present_groups(groups, weight)
    if not present.any():
        raise ValueError(
            f"{owner}: `groups` holds one group only beside rows of weight 0; at least two are needed."
        )
    return present
