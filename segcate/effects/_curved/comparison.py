"""Who is compared with whom, as weights of rows: what matches, odds and plain regression differ in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.matching._support import FOCAL_ARMS

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Weights of the rows of X; rows of no segment in `rows_of` take no part.

    Attributes
    ----------
    rows_of : intp arrays, one a segment: the rows that take part
    y : float64 array of shape (n_rows,)
    is_treated : bool array of shape (n_rows,)
    own : float64 array of shape (n_rows,)
        Weight of a row among those that the effect is averaged over; 0 outside them.
    uses : float64 array of shape (n_rows,)
        Weight of a row as a donor, of any scale; 0 where it is none.
    weight : float64 array of shape (n_rows,) or None
        Sample weights in units of rows, for the regression.
    estimand : "att", "atc" or "ate"
    """

    rows_of: Sequence[Int]
    y: Float
    is_treated: npt.NDArray[np.bool_]
    own: Float
    uses: Float
    weight: Float | None
    estimand: str

    @property
    def donor_arms(self) -> tuple[int, ...]:
        """Arms whose outcomes stand in for those that rows of the other arm would have had."""
        focal = FOCAL_ARMS[self.estimand]
        return tuple(arm for arm in (0, 1) if focal[1 - arm])

    @property
    def averages_both_arms(self) -> bool:
        """Tell whether the effect is averaged over rows of both arms."""
        return self.estimand == "ate"

    def arm_rows(self, arm: int) -> list[Int]:
        """Rows of one arm in each segment."""
        return [rows[self.is_treated[rows] == bool(arm)] for rows in self.rows_of]

    def focal_weight(self, rows: Int) -> Float:
        """Return the share of rows of one segment in the average; they sum to 1."""
        return np.asarray(self.own[rows] / self.own[rows].sum(), dtype=np.float64)

    def donor_weight(self, rows: Int) -> Float:
        """Return the weights of the donors of one arm and segment; they sum to 1.

        A row that is averaged over stands for itself, too, where both arms are.
        """
        used = self.uses[rows] + self.own[rows] if self.averages_both_arms else self.uses[rows]
        return np.asarray(used / used.sum(), dtype=np.float64)
