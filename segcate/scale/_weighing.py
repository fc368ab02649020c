"""What matched rows weigh: sums of curves and outcomes by the weights of the matched sets, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float
from segcate.effects._matched.curved import BEYOND
from segcate.scale._core import Part, balance, counts, matched_part
from segcate.scale._curves import Basis
from segcate.scale._dealing import MatchStep
from segcate.scale._runner import Place
from segcate.scale._sums import Sums


@dataclass(frozen=True, slots=True)
class WeighStep(MatchStep):
    """Matches the rows of each part, and adds up what they weigh.

    Attributes
    ----------
    basis : columns of the regression
    farthest : by segment, for focal rows of each arm the log-odds of the farthest donor, treated up
        and controls down
    """

    basis: Basis
    farthest: Mapping[int, tuple[float, float]]

    def sums(self, place: Place, dealt: Float) -> Sums:
        """Match the rows of a part, and add up its own."""
        plan = self.plans[place[0]]
        part = matched_part(self.unpacked(dealt), plan)
        out = counts(part)
        if plan.bins:
            out |= balance(part, plan)
        out["beyond"] = self._beyond(part, place[0])
        for arm in (0, 1):
            out |= self._weighed(part, arm, plan.shift[0])
        return out

    def _beyond(self, part: Part, code: int) -> Float:
        """Count own focal rows of each arm that lie beyond all donors."""
        found = np.zeros(2)
        for arm, sign in ((0, -1.0), (1, 1.0)):
            score = sign * part.view.score[part.focal(arm)]
            found[arm] = np.count_nonzero(score > sign * self.farthest[code][arm] + BEYOND)
        return found

    def _weighed(self, part: Part, arm: int, centre: float) -> Sums:
        """Add up own rows of an arm, by their weight among focal rows and among donors."""
        view = part.view
        at = np.flatnonzero(part.own & view.in_arm(arm))
        weights = np.stack([view.own[at], view.uses[at]])
        curves, start = self.basis.of(part.columns[at]), 0
        total = np.zeros((2, curves.n_columns))
        for rows, values in curves.blocks(np.arange(len(at))):
            total += weights[:, start : start + len(rows)] @ values
            start += len(rows)
        return {
            f"weight_{arm}": weights.sum(axis=1),
            f"weighed_outcome_{arm}": weights @ (view.y[at] - centre),
            f"weighed_{arm}": total,
        }
