"""Choose the weight of each segment's own model beside the pooled one.

The weight of the own model is that of empirical Bayes, ``1 / (1 + factor * noise)`` with `noise` the
variance of an average effect in the segment (Efron & Morris, 1973). The one unknown, `factor`, is
chosen by the R-loss of predictions out of fold (R-stacking: Nie & Wager, 2021, section 4.2), where
own models count as better only as far as that stands out of its noise (the garrote of Breiman,
1995, with the price of Mallows' Cp).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.cate._centring import Centred

# The slope T of the loss counts as T - _PRICE V / T, V its variance as if rows were independent.
# A factor 2: rows of two folds train on each other, so that each pair of errors is in T twice.
# Another factor 2: the price of a parameter in Mallows' Cp.
_PRICE = 4.0
# The range and number of factors tried, in units of the inverse of the median noise.
_LEAST, _MOST, _N_TRIED = 1e-4, 1e4, 801


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Weights of the segments' own models.

    Attributes
    ----------
    factor : float from 0 (own models alone) to infinity (the pooled model alone)
    weight : float64 array of shape (n_segments,), in [0, 1]
    """

    factor: float
    weight: Float


def choose_shrinkage(
    centred: Centred,
    pooled: Float,
    own: Float,
    segment: Int,
    n_segments: int,
    *,
    weight: Float | None,
    groups: Int | None,
    n_folds: int,
) -> Shrinkage:
    """Choose the factor that lowers the R-loss most, allowing for noise in it.

    Parameters
    ----------
    centred : Centred
    pooled, own : float64 arrays of shape (n_rows, n_treatments)
        Effects predicted by models that saw neither the row nor its fold.
    segment : intp codes of shape (n_rows,); rows of segments without an own model are left out
    n_segments : int
    weight : float64 array of shape (n_rows,) or None
    groups : intp codes of shape (n_rows,) or None, clusters for the standard error
    n_folds : int
        The models out of fold saw ``1 - 1 / n_folds`` of the rows, so their noise is larger.

    Notes
    -----
    With r the centred outcome, c the centred treatment and d = own - pooled, the loss of a segment
    is ``sum (r - c pooled - w c d)^2``, a parabola in its weight w. Its noise is the mean squared
    ``r - c own`` over the sum of c^2, the variance of the average effect by the same regression.
    It falls by ``2 w T - w^2 sum (c d)^2`` from w = 0, where T = ``sum (c d) (r - c pooled)`` is
    noisy: its variance V is twice that of ``sum (c d) (r - c own)``. T counts as ``T - 2 V / T``,
    not less than 0. Otherwise own models would get a weight of about ``1 / sqrt(n_segments *
    n_parameters)`` by chance where the pooled one is right.
    """
    row_weight = np.ones(len(segment)) if weight is None else weight
    error = centred.outcome - (centred.treatment * pooled).sum(axis=1)
    gap = (centred.treatment * (own - pooled)).sum(axis=1)
    size = row_weight * (centred.treatment**2).sum(axis=1)

    def total(values: Float) -> Float:
        return np.asarray(np.bincount(segment, values, n_segments), dtype=np.float64)

    left = error - gap
    square, cross = total(row_weight * gap**2), total(row_weight * gap * error)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = total(row_weight * left**2) / total(row_weight) / total(size)
    known = np.flatnonzero(np.isfinite(noise) & (noise > 0) & (square > 0))
    if not len(known):
        return Shrinkage(np.inf, np.zeros(n_segments))
    spread = _covariance_of_totals(row_weight * gap * left, segment, n_segments, groups)
    spread = spread[np.ix_(known, known)]
    factors = np.geomspace(_LEAST, _MOST, _N_TRIED) / np.median(noise[known])
    factors = np.concatenate([[0.0], factors, [np.inf]])
    share = n_folds / (n_folds - 1)
    weights = 1.0 / (1.0 + factors[:, None] * noise[known] * share)
    variance = _PRICE * np.einsum("ij,jk,ik->i", weights, spread, weights)
    gain = weights @ cross[known]
    stands_out = (gain > 0) & (gain**2 > variance)
    counted = np.where(stands_out, gain - variance / np.where(stands_out, gain, 1.0), 0.0)
    loss = weights**2 @ square[known] - 2.0 * counted
    factor = float(factors[len(factors) - 1 - int(np.argmin(loss[::-1]))])
    chosen = np.zeros(n_segments)
    chosen[known] = 1.0 / (1.0 + factor * noise[known])
    return Shrinkage(factor, chosen)


def _covariance_of_totals(
    values: Float, segment: Int, n_segments: int, groups: Int | None
) -> Float:
    """Return the covariance of the segments' totals; rows, or groups of rows, are independent."""
    n_rows = np.maximum(np.bincount(segment, minlength=n_segments), 1)
    deviation = values - (np.bincount(segment, values, n_segments) / n_rows)[segment]
    if groups is None:
        variances = np.bincount(segment, deviation**2, n_segments)
        return np.asarray(np.diag(variances), dtype=np.float64)
    n_groups = int(groups.max()) + 1
    sums = np.bincount(groups * n_segments + segment, deviation, n_groups * n_segments)
    table = sums.reshape(n_groups, n_segments)
    return np.asarray(table.T @ table)
