"""Shrink the effects of a forest to their average, by a share that left-out rows tell.

Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2018). Generic machine learning
inference on heterogeneous treatment effects. NBER working paper 24678 (best linear predictor).
Morris, C. N. (1983). Parametric empirical Bayes inference. JASA, 78(381), 47-55.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.cate._forest.rows import CentredRows


@dataclass(frozen=True, slots=True)
class EffectShrinkage:
    """The share of their distance from the average that effects keep.

    Attributes
    ----------
    share : float in [0, 1], what is kept of the distance; 1 leaves effects as they are
    average : float, effect that is the same for all
    variance : float, of `average`
    """

    share: float
    average: float
    variance: float

    def apply(self, effect: Float, variance: Float) -> tuple[Float, Float]:
        """Return the shrunken effects and their variances.

        With a normal prior around the average whose variance h^2 gives share = h^2 / (h^2 + v), the
        posterior variance is share * v; the average's own is added.
        """
        drawn = self.average + self.share * (effect - self.average)
        return drawn, self.share * variance + (1.0 - self.share) ** 2 * self.variance


def fit_shrinkage(rows: CentredRows, left_out: Float) -> EffectShrinkage:
    """Regress the outcome on effects predicted without the row; the share is the slope plus its error.

    Parameters
    ----------
    rows : CentredRows
        Rows of one unit depend on each other.
    left_out : float64 array of shape (n_rows,)
        Effects by trees that did not see the row, NaN where there are none.
    """
    t, y, weight, unit = rows.t, rows.y, rows.weight, rows.unit
    average, std_error = _slope(t, y, weight, unit)
    is_known = ~np.isnan(left_out)
    distance = t[is_known] * (left_out[is_known] - average)
    if not (distance**2).max(initial=0.0) > 0.0:
        return EffectShrinkage(1.0, average, std_error**2)
    share, share_error = _slope(
        distance, (y - t * average)[is_known], weight[is_known], unit[is_known]
    )
    return EffectShrinkage(float(np.clip(share + share_error, 0.0, 1.0)), average, std_error**2)


def _slope(x: Float, y: Float, weight: Float, unit: Int) -> tuple[float, float]:
    """Return the slope through 0, and its standard error with dependent rows in a unit."""
    size = float(weight @ x**2)
    slope = float((weight * x) @ y) / size
    scores = np.bincount(unit, weights=weight * x * (y - slope * x))
    return slope, float(np.sqrt(scores @ scores)) / size
