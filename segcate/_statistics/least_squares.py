"""Weighted least squares the way R's `lm` does it: aliased columns, from the left, get coefficient 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from segcate._inputs.arrays import Float
from segcate._statistics.columns import column_ranges, independent_in_gram

# A column whose range is below this share of its largest value is the rounding of a constant.
_NOISE = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """A weighted least-squares fit of y on a design matrix.

    Attributes
    ----------
    coef : float64 array of shape (n_columns,); 0 for aliased columns
    kept : bool array of shape (n_columns,)
    bread : float64 array of shape (n_columns, n_columns)
        Inverse of ``X' W X``; 0 in aliased rows and columns.
    """

    coef: Float
    kept: npt.NDArray[np.bool_]
    bread: Float

    @property
    def rank(self) -> int:
        """Count the columns that are not aliased."""
        return int(self.kept.sum())


def centre_columns(Z: Float) -> Float:
    """Subtract the mean of each column, so that one far from 0 loses no digits; constants become 0.

    Take this step before a design matrix is made: slopes are the same, and the constant, which they
    would leave with the rounding of a large number, is not asked for.

    Parameters
    ----------
    Z : float64 array of shape (n_rows, n_columns), at least one row
    """
    low, high = column_ranges(Z, np.arange(len(Z)))
    centred = Z - low  # exact: the values and their smallest one are near each other
    centred -= centred.mean(axis=0)
    centred[:, high - low <= _NOISE * np.maximum(np.abs(low), np.abs(high))] = 0.0
    return np.asarray(centred)


def least_squares(design: Float, y: Float, weight: Float | None = None) -> LeastSquares:
    """Fit ``y = design @ coef`` by weighted least squares.

    Where the first column is the constant, the other columns are centred before the normal
    equations are formed. One step of refinement follows, so that figures agree with a QR
    decomposition to about 1e-12.

    Parameters
    ----------
    design : float64 array of shape (n_rows, n_columns)
    y : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), default=None
    """
    w = np.ones(len(y)) if weight is None else weight
    mass = w.sum()
    has_constant = bool((design[:, 0] == 1.0).all())
    shift = (w @ design) / mass if has_constant else np.zeros(design.shape[1])
    shift[0] = 0.0
    centred = design - shift
    scale = np.sqrt((w @ centred**2) / mass)
    size = np.abs(shift) + scale
    varying = scale > 1e-12 * np.maximum(size, 1e-300)
    centred /= np.where(varying, scale, 1.0)
    gram = (centred * w[:, None]).T @ centred / mass
    kept = independent_in_gram(gram, varying)
    centred = centred[:, kept]
    factor = cho_factor(gram[np.ix_(kept, kept)])
    beta = np.zeros(centred.shape[1])
    for _ in range(2):
        beta += cho_solve(factor, centred.T @ (w * (y - centred @ beta)) / mass)
    to_raw = _to_raw_scale(shift[kept], scale[kept])
    coef = np.zeros(design.shape[1])
    coef[kept] = to_raw @ beta
    bread = np.zeros((design.shape[1], design.shape[1]))
    inverse = cho_solve(factor, np.eye(len(beta))) / mass
    bread[np.ix_(kept, kept)] = to_raw @ inverse @ to_raw.T
    return LeastSquares(coef, kept, bread)


def _to_raw_scale(shift: Float, scale: Float) -> Float:
    """Matrix that turns coefficients of centred and scaled columns into those of the raw ones."""
    out = np.diag(1.0 / scale)
    out[0, :] -= shift / scale
    return out
