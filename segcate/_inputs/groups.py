"""Groups of dependent rows that cannot be told from the arms of the treatment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["refuse_groups_that_are_arms"]


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
