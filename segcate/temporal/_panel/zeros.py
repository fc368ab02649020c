"""Outcomes whose zeros stand apart: a month without spend tells that there was none, not how much there would be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.temporal._panel.gaps import carry_forward
from segcate.temporal._panel.panel import Panel

# Shares of rows between which zeros may stand apart, and different positive outcomes below which they are counts.
_SHARES, _FEWEST_LEVELS = (0.005, 0.8), 100


@dataclass(frozen=True, slots=True)
class Zeros:
    """Outcomes that are read in two parts: whether they are zero, and their level where they are not.

    Attributes
    ----------
    columns : intp array of shape (k,)
        Positions among the outcomes.
    typical : float64 array of shape (k,)
        The level of a unit before its first positive outcome: the median of positive ones.
    """

    columns: Int
    typical: Float

    def mark(self, panel: Panel) -> Float:
        """Tell the rows in which each is zero, (n_units, n_times, k), 0 and 1."""
        is_zero = (panel.outcome[..., self.columns] == 0) & panel.is_row[..., None]
        found: Float = is_zero.astype(np.float64)
        return found


NO_ZEROS = Zeros(np.empty(0, dtype=np.intp), np.empty(0))


def find_zeros(panel: Panel) -> Zeros:
    """Find the outcomes whose zeros stand apart.

    Nothing is below zero, zeros are half a per cent of the rows or more, and more than rows of any positive value,
    and positive values are a hundred or more: not counts, to which zeros belong.
    """
    y = panel.outcome[panel.is_row & panel.is_seen]
    columns = [j for j in range(y.shape[1]) if _stand_apart(y[:, j])]
    typical = [float(np.median(y[y[:, j] > 0, j])) for j in columns]
    return Zeros(np.array(columns, dtype=np.intp), np.array(typical))


def _stand_apart(y: Float) -> bool:
    share = float((y == 0).mean())
    if y.min() < 0 or not _SHARES[0] <= share <= _SHARES[1]:
        return False
    counts = np.unique(y[y > 0], return_counts=True)[1]
    return len(counts) >= _FEWEST_LEVELS and share * len(y) > counts.max()


def without_zeros(panel: Panel, zeros: Zeros) -> Panel:
    """Take zeros for gaps in the level: it holds the last positive outcome, and the row is not seen."""
    if not len(zeros.columns):
        return panel
    outcome, is_zero = panel.outcome.copy(), zeros.mark(panel) > 0
    for k, j in enumerate(zeros.columns):
        is_level = ~is_zero[..., [k]]
        levels = carry_forward(outcome[..., [j]], is_level)[..., 0]
        outcome[..., j] = np.where(levels == 0, zeros.typical[k], levels) * panel.is_row
    return replace(panel, outcome=outcome, is_seen=panel.is_seen & ~is_zero.any(axis=2))
