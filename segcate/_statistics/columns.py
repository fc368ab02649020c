"""Columns of a model: standardised block by block, their ranges, and which are independent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float

Rows = npt.NDArray[np.integer[Any]]
Centre = tuple[Rows, Float]

# Rows that are worked on together, so that they stay in the processor's cache.
BLOCK = 4096
_ALIASED = 1e-10
# A standard deviation below this share of the largest value is the rounding of a constant; group
# means, which are sums, are rounded more.
_NOISE, _NOISE_OF_MEANS = 1e-15, 1e-12


@dataclass(frozen=True, slots=True)
class Standard:
    """How columns are standardised: ``((z - origin) - mean) / scale``, in this order.

    The origin is a value of the column, so that a column far from 0 loses no digits.

    Attributes
    ----------
    origin, mean, scale : float64 arrays of shape (n_columns,)
    correlation : float64 array of shape (n_columns, n_columns)
    varies : bool array of shape (n_columns,)
    """

    origin: Float
    mean: Float
    scale: Float
    correlation: Float
    varies: npt.NDArray[np.bool_]

    def centred(self, Z: Float, columns: npt.NDArray[np.bool_]) -> Float:
        """Return the marked columns of these rows less their means, not scaled."""
        out: Float = (Z if columns.all() else Z[:, columns]) - self.origin[columns]
        out -= self.mean[columns]
        return out

    def apply(self, Z: Float, columns: npt.NDArray[np.bool_]) -> Float:
        """Return the marked columns of these rows, standardised."""
        out = self.centred(Z, columns)
        out /= self.scale[columns]
        return out


def standardise(
    Z: Float, rows: Rows | None, centre: Centre | None, weight: Float | None
) -> Standard:
    """Measure the columns (less the means of `centre`) over some rows, or all, block by block."""
    low, high = column_ranges(Z, rows)
    size = np.maximum(np.abs(low), np.abs(high))
    origin = low if centre is None else np.zeros(Z.shape[1])
    mass, total = 0.0, np.zeros(Z.shape[1])
    for block, w in blocks(Z, rows, origin, centre, weight):
        mass += len(block) if w is None else float(w.sum())
        total += block.sum(axis=0) if w is None else w @ block
    mean = total / mass
    cross = np.zeros((Z.shape[1], Z.shape[1]))
    for block, w in blocks(Z, rows, origin, centre, weight):
        block -= mean
        if w is not None:
            block *= np.sqrt(w)[:, None]
        cross += block.T @ block
    return standard_of(origin, mean, cross / mass, size, of_means=centre is not None)


def standard_of(
    origin: Float, mean: Float, covariance: Float, size: Float, *, of_means: bool = False
) -> Standard:
    """Standardise columns by their moments.

    Parameters
    ----------
    origin, mean : float64 arrays of shape (n_columns,), the mean less the origin
    covariance : float64 array of shape (n_columns, n_columns)
    size : float64 array of shape (n_columns,), largest absolute value
    of_means : whether the means of groups were taken off
    """
    scale = np.sqrt(np.diag(covariance))
    safe = np.where(scale > 0, scale, 1.0)
    noise = size * (_NOISE_OF_MEANS if of_means else _NOISE)
    return Standard(origin, mean, safe, covariance / np.outer(safe, safe), scale > noise)


def blocks(
    Z: Float, rows: Rows | None, origin: Float, centre: Centre | None, weight: Float | None
) -> Iterator[tuple[Float, Float | None]]:
    """Yield some rows of Z (or all) less their origin, and their weights, a few thousand at a time."""
    for begin in range(0, len(Z) if rows is None else len(rows), BLOCK):
        at: Any = slice(begin, begin + BLOCK) if rows is None else rows[begin : begin + BLOCK]
        values = Z[at] if rows is None else Z.take(at, axis=0)
        values = values - (origin if centre is None else centre[1][centre[0][at]])
        yield values, None if weight is None else weight[at]


def standard_deviations(
    Z: Float, rows: Rows | None, weight: Float | None = None, centre: Centre | None = None
) -> Float:
    """Return the standard deviations by which `fit_logit` divides the columns, 0 for constants."""
    standard = standardise(Z, rows, centre, weight)
    return np.where(standard.varies, standard.scale, 0.0)


def independent_columns(
    Z: Float, rows: Rows | None = None, weight: Float | None = None
) -> npt.NDArray[np.bool_]:
    """Mark the columns that are neither constant nor a combination of earlier ones.

    A column is dropped when less than 1e-10 of its variance is left after regression on a constant
    and the columns kept before it (a Cholesky factorisation of the correlation matrix).
    """
    standard = standardise(Z, rows, None, weight)
    return independent_in_gram(standard.correlation, standard.varies)


def _are_independent(gram: Float) -> bool:
    """Tell in one go whether every column has something that those before it do not say."""
    try:
        return bool(np.linalg.cholesky(gram).diagonal().min(initial=1.0) ** 2 > _ALIASED)
    except np.linalg.LinAlgError:
        return False


def independent_in_gram(gram: Float, candidates: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark the candidates that a left-to-right Cholesky of a unit-diagonal `gram` keeps."""
    if candidates.all() and _are_independent(gram):
        return candidates.copy()
    kept = np.zeros(len(gram), dtype=bool)
    factor = np.zeros_like(gram)
    for j in np.flatnonzero(candidates):
        before = np.flatnonzero(kept)
        row = np.zeros(len(before))
        for a, i in enumerate(before):  # forward substitution against the columns kept so far
            row[a] = (gram[j, i] - row[:a] @ factor[i, before[:a]]) / factor[i, i]
        left = gram[j, j] - row @ row
        if left > _ALIASED:
            kept[j] = True
            factor[j, before] = row
            factor[j, j] = np.sqrt(left)
    return kept


def column_ranges(Z: Float, rows: Rows | None = None) -> tuple[Float, Float]:
    """Return the smallest and the largest value of each column among some rows, or all."""
    low, high = np.full(Z.shape[1], np.inf), np.full(Z.shape[1], -np.inf)
    for begin in range(0, len(Z) if rows is None else len(rows), BLOCK):
        part = (
            Z[begin : begin + BLOCK]
            if rows is None
            else Z.take(rows[begin : begin + BLOCK], axis=0)
        )
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    return low, high
