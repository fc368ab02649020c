"""Multiple imputation by chained equations: each gap is drawn from its regression on all else.

Rubin (1987), Multiple Imputation for Nonresponse in Surveys, p. 167 (the draws of one column); van
Buuren & Groothuis-Oudshoorn (2011), Journal of Statistical Software 45(3) (the chain).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int

_CYCLES = 10
# A segment has equations of its own from so many rows a coefficient on; smaller ones share theirs.
_ROWS_PER_COEFFICIENT = 5
# Ridge on standardised columns, so that columns which repeat each other have a solution.
_RIDGE = 1e-4


def impute(
    values: Float, known: Float, codes: Int, n_imputations: int, rng: np.random.RandomState
) -> list[Float]:
    """Draw the missing values several times.

    Parameters
    ----------
    values : float64 array of shape (n_rows, n_columns), NaN where missing
    known : float64 array of shape (n_rows, n_known)
        What else predicts them: complete covariates, treatment, outcome and their product.
    codes : intp array of shape (n_rows,), the segments
    n_imputations : int
    rng : draws

    Returns
    -------
    list of `n_imputations` arrays like `values`, without gaps
    """
    blocks = _blocks(values, known, codes)
    drawn = []
    for _ in range(n_imputations):
        complete = values.copy()
        for rows, draws, extra in blocks:
            Z = np.column_stack([known[rows], extra])
            complete[draws] = _chain(values[rows], Z, rng)[np.isin(rows, draws)]
        drawn.append(complete)
    return drawn


def _blocks(values: Float, known: Float, codes: Int) -> list[tuple[Int, Int, Float]]:
    """Return the rows of each system of equations, the rows it draws for, and segment columns.

    Segments too small for their own share one system, fitted on all rows with a column a segment.
    """
    size = np.bincount(codes)
    needed = _ROWS_PER_COEFFICIENT * (values.shape[1] + known.shape[1])
    blocks = []
    for code in np.flatnonzero(size >= needed):
        rows = np.flatnonzero(codes == code)
        blocks.append((rows, rows, np.empty((len(rows), 0))))
    small = np.flatnonzero(size[codes] < needed)
    if len(small):
        labels = np.flatnonzero(size > 0)
        few = labels[1:] if len(labels) <= len(codes) // 20 else labels[:0]
        extra = (codes[:, None] == few).astype(np.float64)
        blocks.append((np.arange(len(codes)), small, extra))
    return blocks


def _chain(values: Float, known: Float, rng: np.random.RandomState) -> Float:
    """Complete one block: ten rounds over its columns with gaps."""
    missing = np.isnan(values)
    Z = np.column_stack([_standardised(known), np.ones(len(values))])
    center, scale = _moments(values)
    current = (values - center) / scale
    for j in np.flatnonzero(missing.any(axis=0)):  # start from values of other rows
        there = current[~missing[:, j], j]
        pool = there if len(there) else np.zeros(1)
        current[missing[:, j], j] = pool[rng.randint(len(pool), size=int(missing[:, j].sum()))]
    for _ in range(_CYCLES):
        for j in np.flatnonzero(missing.any(axis=0)):
            A = np.column_stack([np.delete(current, j, axis=1), Z])
            current[missing[:, j], j] = _draw(A, current[:, j], missing[:, j], rng)
    return np.where(missing, current * scale + center, values)


def _draw(A: Float, y: Float, missing: npt.NDArray[np.bool_], rng: np.random.RandomState) -> Float:
    """Draw y where it is missing: coefficients and variance from their posterior, then the rows."""
    A_seen, y_seen = A[~missing], y[~missing]
    gram = A_seen.T @ A_seen
    gram[np.diag_indices_from(gram)] += _RIDGE * np.maximum(np.diag(gram), 1e-12)
    half = np.linalg.cholesky(gram)
    beta = np.linalg.solve(half.T, np.linalg.solve(half, A_seen.T @ y_seen))
    residual = y_seen - A_seen @ beta
    df = max(len(y_seen) - A.shape[1], 1)
    sigma = np.sqrt(residual @ residual / rng.chisquare(df))
    beta = beta + sigma * np.linalg.solve(half.T, rng.standard_normal(A.shape[1]))
    return np.asarray(A[missing] @ beta + sigma * rng.standard_normal(int(missing.sum())))


def _moments(values: Float) -> tuple[Float, Float]:
    """Return mean and standard deviation of what is there; 0 and 1 where nothing is or varies."""
    n = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    center = np.nansum(values, axis=0) / n
    scale = np.sqrt(np.nansum((values - center) ** 2, axis=0) / n)
    return center, np.where(scale > 0, scale, 1.0)


def _standardised(Z: Float) -> Float:
    center, scale = _moments(Z)
    return (Z - center) / scale
