"""Weighted least squares the way R's `lm` does it: aliased columns, from the left, get coefficient 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    correlation : float64 array of shape (n_columns, n_columns)
        ``X' W X`` of the columns centred and scaled; 0 in constant rows and columns but the first.
    """

    coef: Float
    kept: npt.NDArray[np.bool_]
    bread: Float
    correlation: Float

    @property
    def rank(self) -> int:
        """Count the columns that are not aliased."""
        return int(self.kept.sum())

    def rank_of(self, columns: npt.NDArray[np.intp]) -> int:
        """Count the columns that a regression on these columns alone would keep."""
        part = self.correlation[np.ix_(columns, columns)]
        return int(independent_in_gram(part, np.diag(part) > 0).sum())


def centre_columns(Z: Float) -> Float:
    """Subtract the mean of each column, so that one far from 0 loses no digits; constants become 0.

    Take this step before a design matrix is made: slopes are the same, and the constant, which they
    would leave with the rounding of a large number, is not asked for.

    Parameters
    ----------
    Z : float64 array of shape (n_rows, n_columns), at least one row
    """
    low, high = column_ranges(Z)
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
    mass = float(len(y)) if weight is None else float(weight.sum())
    shift = np.zeros(design.shape[1])
    if (design[:, 0] == 1.0).all():
        shift[1:] = (design[:, 1:].sum(axis=0) if weight is None else weight @ design[:, 1:]) / mass
    rooted, target = design - shift, y
    if weight is not None:
        root = np.sqrt(weight)
        rooted *= root[:, None]
        target = root * y
    gram = rooted.T @ rooted / mass
    scale = np.sqrt(np.diag(gram))
    varying = scale > 1e-12 * np.maximum(np.abs(shift) + scale, 1e-300)
    safe = np.where(varying, scale, 1.0)
    correlation = gram / safe / safe[:, None]
    if not varying.all():
        correlation[~varying], correlation[:, ~varying] = 0.0, 0.0
    kept = independent_in_gram(correlation, varying)
    if kept.all():
        inverse = np.linalg.inv(correlation) / safe / safe[:, None]
    else:
        rooted, safe, shift = rooted[:, kept], safe[kept], shift[kept]
        inverse = np.linalg.inv(correlation[np.ix_(kept, kept)]) / safe / safe[:, None]
    beta = inverse @ (target @ rooted) / mass
    beta += inverse @ ((target - rooted @ beta) @ rooted) / mass
    coef, bread = _of_all_columns(beta, inverse / mass, shift, kept)
    return LeastSquares(coef, kept, bread, correlation)


def _of_all_columns(
    beta: Float, inverse: Float, shift: Float, kept: npt.NDArray[np.bool_]
) -> tuple[Float, Float]:
    """Return coefficients and bread of columns that are not centred, 0 where they are aliased."""
    if shift.any():
        to_raw = np.eye(len(beta))
        to_raw[0, :] -= shift
        beta, inverse = to_raw @ beta, to_raw @ inverse @ to_raw.T
    if kept.all():
        return beta, inverse
    coef, bread = np.zeros(len(kept)), np.zeros((len(kept), len(kept)))
    coef[kept] = beta
    bread[np.ix_(kept, kept)] = inverse
    return coef, bread
