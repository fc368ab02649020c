"""Ridge regression by cross-validation over units, from sums of products by fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int

N_FOLDS = 5
PENALTIES = np.logspace(-2.0, 4.0, 13)
# Units whose sums of products are held at a time.
_AT_A_TIME = 128
# Keeps columns that others give away from making the equations singular.
_JITTER = 1e-9


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """Coefficients of all equations.

    Attributes
    ----------
    coef : float64 array of shape (p, q)
    by_fold : float64 array of shape (n_folds, p, q)
        Those found without each fold.
    penalty : float64 array of shape (q,)
    """

    coef: Float
    by_fold: Float
    penalty: Float


def deal_folds(n: int, seed: int) -> Int:
    """Give each unit a fold; sizes differ by one at most."""
    return np.random.RandomState(seed).permutation(n) % min(N_FOLDS, n)


def sums_by_fold(columns: Float, fold: Int, weights: Float) -> Float:
    """Sum products of columns over the rows of each fold, for several weights of units.

    Parameters
    ----------
    columns : float64 array of shape (n, t, c)
        Zero where a row does not count.
    fold : intp array of shape (n,)
    weights : float64 array of shape (r, n)

    Returns
    -------
    float64 array of shape (r, n_folds, c, c)
    """
    c = columns.shape[2]
    found = np.zeros((len(weights), int(fold.max()) + 1, c, c))
    flat = found.reshape(len(weights), -1, c * c)
    for k in range(flat.shape[1]):
        units = np.flatnonzero(fold == k)
        for start in range(0, len(units), _AT_A_TIME):
            some = units[start : start + _AT_A_TIME]
            part = columns[some]
            products = part.transpose(0, 2, 1) @ part
            flat[:, k] += weights[:, some] @ products.reshape(len(some), -1)
    return found


def fit_ridge(sums: Float, n_targets: int, is_free: Bool) -> RidgeFit:
    """Choose each equation's penalty by its error on the folds left out, and fit on all.

    Parameters
    ----------
    sums : float64 array of shape (n_folds, p + q, p + q)
        Sums of products, features first; the first feature is 1.
    n_targets : q
    is_free : bool array of shape (p,)
        Features without penalty.

    Notes
    -----
    The penalty of a coefficient is in units of its feature's variance, as if columns were
    standardised.
    """
    p = sums.shape[1] - n_targets
    total = sums.sum(axis=0)
    n_rows = max(total[0, 0], 1.0)
    variance: Float = np.maximum(total.diagonal()[:p] / n_rows - (total[0, :p] / n_rows) ** 2, 0.0)
    scale = np.where(variance > 0, variance, 1.0)
    weight = np.where(is_free, 0.0, scale)
    floor = _JITTER * n_rows * scale
    by_penalty = _solve(total - sums, p, PENALTIES[:, None] * weight + floor)
    left_out = _squared_errors(sums, by_penalty, p).sum(axis=0)
    best = left_out.argmin(axis=0)
    equations = np.arange(n_targets)
    by_fold = by_penalty[:, best, :, equations].transpose(1, 2, 0)
    penalty = PENALTIES[best]
    coef = np.empty((p, n_targets))
    for chosen in np.unique(best):
        here = best == chosen
        coef[:, here] = _solve(total[None], p, PENALTIES[[chosen], None] * weight + floor)[0, 0][
            :, here
        ]
    return RidgeFit(coef, by_fold, penalty)


def held_out_errors(columns: Float, fit: RidgeFit, fold: Int) -> Float:
    """Return errors of units by the coefficients found without their fold, (n, t, q)."""
    p = fit.coef.shape[0]
    found = columns[..., p:].copy()
    for k in range(len(fit.by_fold)):
        units = np.flatnonzero(fold == k)
        found[units] -= columns[units][..., :p] @ fit.by_fold[k]
    return found


def _solve(sums: Float, p: int, diagonal: Float) -> Float:
    """Solve for all sums and penalties: (n_sums, n_penalties, p, q)."""
    left = np.repeat(sums[:, None, :p, :p], len(diagonal), axis=1)
    at = np.arange(p)
    left[:, :, at, at] += diagonal
    found: Float = np.linalg.solve(left, sums[:, None, :p, p:]).astype(np.float64, copy=False)
    return found


def _squared_errors(sums: Float, coef: Float, p: int) -> Float:
    """Return sums of squared errors of each fold, penalty and equation."""
    gram, cross = sums[:, None, :p, :p], sums[:, None, :p, p:]
    squares: Float = np.diagonal(sums[:, p:, p:], axis1=1, axis2=2)[:, None]
    found: Float = squares + (coef * (gram @ coef - 2.0 * cross)).sum(axis=2)
    return found
