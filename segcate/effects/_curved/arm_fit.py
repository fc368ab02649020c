"""The outcome of one arm as a curve of the covariates, with residuals and leverages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dtrmm

from segcate._inputs.arrays import Float
from segcate._nuisance.curves import Curves
from segcate._nuisance.segment_ridge import (
    Ridge,
    SegmentSums,
    outcome_penalties,
    ridge,
    segment_sums,
)
from segcate.effects._curved.comparison import Comparison

__all__ = ["ArmFit", "fit_arm"]

# A residual says nothing of the noise where the row has more leverage than this.
MOST_LEVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class ArmFit:
    """Ridge regression among the rows of one arm, all segments together.

    Attributes
    ----------
    arm : 0 or 1
    sums : of its rows
    fit : the regression
    residual : float64 array of shape (n_rows,)
        y less the expected outcome in this arm, of rows of both arms; NaN in segments without rows of
        this arm.
    noise : float64 array of shape (n_rows,)
        Squared residual of each row of the arm over 1 less its leverage (HC2; MacKinnon & White 1985);
        that of its arm and segment where the row all but fits itself, as the only one of its level
        does; 0 in the other arm.
    """

    arm: int
    sums: SegmentSums
    fit: Ridge
    residual: Float
    noise: Float


def fit_arm(
    curves: Curves, comparison: Comparison, arm: int, penalty: Sequence[float] | None = None
) -> ArmFit:
    """Regress the outcomes of one arm; penalties are chosen unless handed in."""
    sums = segment_sums(curves, comparison.arm_rows(arm), comparison.y, comparison.weight)
    fit = ridge(curves, sums, outcome_penalties(curves, sums) if penalty is None else penalty)
    residual = np.full(len(comparison.y), np.nan)
    leverage, noise = np.zeros(len(comparison.y)), np.zeros(len(comparison.y))
    in_arm = comparison.is_treated == bool(arm)
    for code, rows in enumerate(comparison.rows_of):
        if sums.mass[code] == 0:
            continue
        slopes, root = fit.slopes(code), _root(fit.inverse(code))
        level = sums.response_mean[code] - sums.mean[code] @ slopes
        for own in (False, True):
            for at, values in curves.blocks(rows[in_arm[rows] == own]):
                residual[at] = comparison.y[at] - level - values @ slopes
                if own:
                    values -= sums.mean[code]
                    leverage[at] = _squared_lengths(values, root)
        own_rows = rows[in_arm[rows]]
        leverage[own_rows] += 1.0 / sums.mass[code]
        if comparison.weight is not None:
            leverage[own_rows] *= comparison.weight[own_rows]
        noise[own_rows] = _noise(residual[own_rows], leverage[own_rows])
    return ArmFit(arm, sums, fit, residual, noise)


def _root(inverse: Float) -> Float:
    """Return a lower triangle whose product with itself is a positive definite matrix.

    Rounding may leave eigenvalues below 0 where columns all but repeat each other: they count as 0.
    """
    try:
        return np.asarray(np.linalg.cholesky(inverse), dtype=np.float64)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(inverse)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(np.linalg.qr(half.T, mode="r"), dtype=np.float64).T


def _squared_lengths(values: Float, root: Float) -> Float:
    """Return ``x' inverse x`` of each row; the rows are written over."""
    spread = dtrmm(1.0, root, values, side=1, lower=1, overwrite_b=1)
    np.square(spread, out=spread)
    return np.asarray(spread.sum(axis=1), dtype=np.float64)


def _noise(residual: Float, leverage: Float) -> Float:
    """Estimate the variance of each outcome of one arm and segment around the regression."""
    square, spare = residual**2, 1.0 - leverage
    least = 1.0 - MOST_LEVERAGE
    shared = square.sum() / max(float(np.maximum(spare, 0.0).sum()), least)
    return np.where(spare < least, shared, square / np.maximum(spare, least))
