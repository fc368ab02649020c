"""What every row adds to the errors of all effects, by its exact weights: for tests between estimators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float
from segcate._nuisance.curves import Curves
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.weighted_effects import WeightedEffects, gaps_of_means

__all__ = ["Weighted"]


@dataclass(frozen=True, slots=True)
class Weighted:
    """Effects by exact weights, with what they are made of.

    Attributes
    ----------
    curves : columns of the regression
    comparison : who is compared with whom
    found : the effects
    """

    curves: Curves
    comparison: Comparison
    found: WeightedEffects

    def row_scores(self) -> Float:
        """Return what rows add to the errors, shape (n_segments, n_rows); donors count in all segments.

        Squares of a donor's sum to its noise, residuals over the root of 1 less their leverage.
        """
        compared, found = self.comparison, self.found
        known = np.isfinite(found.effect)
        out = np.zeros((len(known), len(compared.y)))
        for code in np.flatnonzero(known).tolist():
            rows = compared.rows_of[code]
            share = compared.focal_weight(rows)
            value = np.where(share > 0, found.focal_value[rows], 0.0)
            out[code, rows] = np.where(share > 0, share * (value - share @ value), 0.0)
        for part in found.parts:
            arm = part.arm
            error = np.sign(np.nan_to_num(arm.residual)) * np.sqrt(arm.noise)
            gaps = gaps_of_means(self.curves, compared, arm.arm, known)
            for code, rows in enumerate(compared.arm_rows(arm.arm)):
                if len(rows) == 0:
                    continue
                directions, start = arm.fit.directions(code, gaps), 0
                own = compared.donor_weight(rows) if known[code] else np.zeros(len(rows))
                for at, values in self.curves.blocks(rows):
                    exact = (values - arm.sums.mean[code]) @ directions
                    if compared.weight is not None:
                        exact *= compared.weight[at][:, None]
                    exact[:, code] += own[start : start + len(at)]
                    start += len(at)
                    out[:, at] -= part.sign * exact.T * error[at]
        return out
