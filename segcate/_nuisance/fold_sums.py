"""Cross products of curves for many models at once: of every fold and arm, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves

__all__ = ["Cells", "Sums", "cells_of", "sums_of"]

# Codes of cells stay below this, so that one more yes or no fits.
_MOST_CODES = 2**60


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows in cells, each of which models are fitted on as a whole or not at all.

    Attributes
    ----------
    rows : intp arrays, the rows of each cell
    serves : bool array of shape (n_cells, n_models)
    """

    rows: tuple[Int, ...]
    serves: npt.NDArray[np.bool_]

    def of_models(self, models: Sequence[int]) -> Cells:
        """Keep some of the models, and the cells that serve them."""
        serves = self.serves[:, models]
        used = np.flatnonzero(serves.any(axis=1))
        return Cells(tuple(self.rows[cell] for cell in used), serves[used])


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the rows that one model is fitted on, less their means.

    Attributes
    ----------
    mass : weight of the rows
    mean, product : float64 arrays of shape (n_columns,), products with the response
    gram : float64 array of shape (n_columns, n_columns)
    response_mean, square : mean of the response, and its sum of squares around it
    """

    mass: float
    mean: Float
    gram: Float
    product: Float
    response_mean: float
    square: float


def cells_of(fitted_on: Sequence[npt.NDArray[np.bool_]]) -> Cells:
    """Cut rows into cells by the models that they belong to.

    Parameters
    ----------
    fitted_on : bool arrays of shape (n_rows,), the rows of each model
    """
    code = np.zeros(len(fitted_on[0]), dtype=np.int64)
    for rows in fitted_on:
        code = 2 * code + rows
        if int(code.max(initial=0)) > _MOST_CODES:
            code = np.unique(code, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    serves = np.array([[bool(rows[part[0]]) for rows in fitted_on] for part in parts])
    used = np.flatnonzero(serves.any(axis=1))
    return Cells(tuple(np.sort(parts[cell]) for cell in used), serves[used])


def sums_of(
    curves: Curves, cells: Cells, weight: Float | None, response: Float, of: Sequence[int]
) -> list[Sums]:
    """Add up the cells of every model. A fold's training rows are the cells of the other folds.

    Parameters
    ----------
    weight : float64 array of shape (n_rows,) or None
    response : float64 array of shape (n_rows, n_responses)
    of : the response of each model
    """
    m, n_responses = curves.n_columns, response.shape[1]
    sets, set_of = np.unique(cells.serves, axis=1, return_inverse=True)
    totals = np.zeros((sets.shape[1], m + 1 + n_responses, m + 1 + n_responses))
    for rows, serves in zip(cells.rows, sets, strict=True):
        totals[serves] += _cross_products(curves, rows, weight, response)
    grams = [
        total[:m, :m] - np.outer(total[m, :m], total[m, :m] / max(total[m, m], 1e-300))
        for total in totals
    ]
    out = []
    for which, at in zip(set_of.ravel(), of, strict=True):
        total, j = totals[which], m + 1 + at
        mass = max(float(total[m, m]), 1e-300)
        mean, response_mean = total[m, :m] / mass, float(total[m, j]) / mass
        product = total[:m, j] - mean * total[m, j]
        square = max(float(total[j, j]) - response_mean * float(total[m, j]), 0.0)
        out.append(Sums(mass, mean, grams[which], product, response_mean, square))
    return out


def _cross_products(curves: Curves, rows: Int, weight: Float | None, response: Float) -> Float:
    """Return the cross products of columns, 1 and responses."""
    m = curves.n_columns
    out = np.zeros((m + 1 + response.shape[1],) * 2)
    for at, values in curves.blocks(rows):
        block = np.empty((len(at), len(out)))
        block[:, :m], block[:, m], block[:, m + 1 :] = values, 1.0, response[at]
        if weight is not None:
            block *= np.sqrt(weight[at])[:, None]
        out += block.T @ block
    return out
