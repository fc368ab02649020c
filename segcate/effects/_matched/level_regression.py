"""Least squares with shrunken levels: each category's effects draws from a normal distribution.

The ratio of their variance to that of the residuals is the one of highest restricted likelihood
(REML; Patterson & Thompson 1971, Biometrika 58:545-554). Penalties are held per block of columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from segcate._inputs.arrays import Float, Int
from segcate._statistics.columns import independent_in_gram
from segcate._statistics.penalties import walk_grids

# Variance of level effects over that of the residuals; 0 leaves the category out.
VARIANCE_RATIOS = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
_START = 5


def penalised_least_squares(gram: Float, product: Float, penalty: Float) -> tuple[Float, float]:
    """Solve ``(gram + diag(penalty)) b = product``.

    Parameters
    ----------
    gram : float64 array of shape (n_columns, n_columns), X' W X of centred columns
    product : float64 array of shape (n_columns,), X' W y
    penalty : float64 array of shape (n_columns,)
        An infinite penalty leaves a column out: its coefficient is 0.

    Returns
    -------
    coef : float64 array of shape (n_columns,)
    log_determinant : float
        Of the matrix, over the columns that are not left out.
    """
    coef = np.zeros(len(product))
    used = np.flatnonzero(np.isfinite(penalty))
    if len(used) == 0:
        return coef, 0.0
    matrix = gram[np.ix_(used, used)] + np.diag(penalty[used])
    factor = cho_factor(matrix, lower=True)
    coef[used] = cho_solve(factor, product[used])
    return coef, 2.0 * float(np.log(np.diag(factor[0])).sum())


def level_regression(values: Float, block: Int, y: Float, weight: Float | None = None) -> Float:
    """Regress y on a constant, numbers, and shrunken levels of categories.

    Parameters
    ----------
    values : float64 array of shape (n_rows, n_columns)
    block : intp array of shape (n_columns,)
        Category that each column is a level of; -1 for numbers, which are not shrunk.
    y : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), default=None

    Returns
    -------
    coef : float64 array of shape (n_columns,), without the constant; 0 for aliased numbers, and for
        levels without a row
    """
    w = np.ones(len(y)) if weight is None else weight / weight.mean()
    centred = values - w @ values / w.sum()
    centred_y = y - w @ y / w.sum()
    gram = (centred * w[:, None]).T @ centred
    scale = np.sqrt(np.diag(gram))
    size = np.sqrt(w @ values**2)
    varying = scale > 1e-12 * np.maximum(size, 1e-300)
    safe = np.where(varying, scale, 1.0)
    gram, product = gram / np.outer(safe, safe), centred.T @ (w * centred_y) / safe
    kept = independent_in_gram(gram, varying & (block < 0))
    penalty = np.where(kept, 0.0, np.inf)
    spread = float(w @ centred_y**2)
    levels = varying & (block >= 0)
    free = len(y) - 1 - int(kept.sum())
    if free < 1 or spread <= 0:
        return np.zeros(values.shape[1])
    penalty = _choose(gram, product, penalty, levels, block, safe, spread, free)
    return penalised_least_squares(gram, product, penalty)[0] / safe


def _choose(
    gram: Float,
    product: Float,
    penalty: Float,
    levels: npt.NDArray[np.bool_],
    block: Int,
    scale: Float,
    spread: float,
    free: int,
) -> Float:
    """Return the penalties of the columns whose restricted likelihood is highest."""
    n_blocks = int(block.max(initial=-1)) + 1
    n_columns = np.bincount(block[levels], minlength=n_blocks)

    def penalties(at: Sequence[int]) -> Float:
        ratio = np.array([VARIANCE_RATIOS[place] for place in at] or [0.0])[np.maximum(block, 0)]
        with np.errstate(divide="ignore"):
            return np.where(levels, 1 / ratio / scale**2, penalty)

    def criterion(at: Sequence[int]) -> float:
        coef, log_determinant = penalised_least_squares(gram, product, penalties(at))
        left = max(spread - float(coef @ product), 1e-12 * spread)
        out = free * np.log(left) + log_determinant
        for place, n in zip(at, n_columns.tolist(), strict=True):
            if place:
                out += n * np.log(VARIANCE_RATIOS[place])
        # each level column was divided by its scale
        in_fit = levels & np.isfinite(penalties(at))
        return float(out + 2 * np.log(scale[in_fit]).sum())

    best = walk_grids(criterion, (len(VARIANCE_RATIOS),) * n_blocks, (_START,) * n_blocks)
    return penalties(best)
