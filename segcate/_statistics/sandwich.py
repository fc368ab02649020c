"""Robust covariances of least squares, each part written once.

MacKinnon & White (1985), J. Econometrics 29:305-325, for independent rows; Liang & Zeger (1986),
Biometrika 73:13-22, for clusters, with the small-sample factor of Stata, statsmodels and fixest (CR1);
MacKinnon, Nielsen & Webb (2023), J. Applied Econometrics 38:671-694, for the jackknife (CR3).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float, Int

# A row or group with more leverage than this holds a coefficient alone; its residual is rounding.
FULL_LEVERAGE = 1.0 - 1e-9

_POWERS = {"hc0": 0.0, "hc1": 0.0, "hc2": 0.5, "hc3": 1.0}


def corrected(residual: Float, leverage: Float, kind: str) -> Float:
    """Return residuals made up for having been fitted; those of full leverage stay as they are.

    Parameters
    ----------
    residual, leverage : float64 arrays of shape (n_rows,)
    kind : {"hc0", "hc1", "hc2", "hc3"}
        "hc2" divides by the root of one less the leverage, "hc3" by one less it. "hc1" does
        nothing but for `row_factor`.
    """
    left = np.where(leverage > FULL_LEVERAGE, 1.0, 1.0 - leverage)
    return np.asarray(residual / left ** _POWERS[kind], dtype=np.float64)


def row_scores(columns: Float, residual: Float, bread: Float, kind: str) -> tuple[Float, Float]:
    """Return what each row adds to the error of each coefficient, and the rows' leverages.

    The sum of squares of the scores is the covariance, but for `row_factor`.

    Parameters
    ----------
    columns : float64 array of shape (n_rows, k), times the roots of the weights
    residual : float64 array of shape (n_rows,), times the roots of the weights
    bread : float64 array of shape (k, k), inverse of ``columns.T @ columns``
    kind : {"hc0", "hc1", "hc2", "hc3"}
    """
    along = columns @ bread
    leverage = np.einsum("ij,ij->i", along, columns)
    return along * corrected(residual, leverage, kind)[:, None], leverage


def cluster_scores(
    columns: Float, residual: Float, bread: Float, codes: Int, *, leaves_out: bool
) -> tuple[Float, float]:
    """Return what each group adds to the error of each coefficient, and the largest leverage.

    With `leaves_out` the scores are the coefficients less those without the group (CR3), NaN where
    they cannot be told without one. Otherwise they are sums over the group (CR1), and the leverage
    is 0. The sum of squares is the covariance, but for `cluster_factor`. Parameters are those of
    `row_scores`; `codes` run from 0 without gaps.
    """
    sums, leverage = sums_by_group(columns * residual[:, None], codes), 0.0
    if leaves_out:
        sums, leverage = left_out_sums(columns, sums, bread, codes)
    return sums @ bread, leverage


def row_factor(kind: str, n_rows: Any, n_parameters: int) -> Any:
    """Return the factor of "hc1", ``n / (n - k)``, NaN where no row is left over; else 1."""
    if kind != "hc1":
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = n_rows / np.subtract(n_rows, n_parameters, dtype=np.float64)
    return np.where(np.asarray(n_rows) > n_parameters, factor, np.nan)[()]


def unit_factor(n_units: Any, *, leaves_out: bool = False) -> Any:
    """Return ``G / (G - 1)``, of sums over units, or of sums left out in turn (CR3) ``(G - 1) / G``.

    NaN with fewer than two units.
    """
    less = np.subtract(n_units, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = less / n_units if leaves_out else n_units / less
    return np.where(less > 0, factor, np.nan)[()]


def cluster_factor(
    n_groups: Any, n_rows: Any, n_parameters: int, *, leaves_out: bool = False
) -> Any:
    """Return the factor of `cluster_scores`; NaN where it has no meaning.

    ``G / (G - 1) * (n - 1) / (n - k)`` of sums over groups (CR1), ``(G - 1) / G`` with `leaves_out`.
    """
    factor = unit_factor(n_groups, leaves_out=leaves_out)
    if not leaves_out:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = factor * (n_rows - 1) / (n_rows - n_parameters)
    return np.where(np.asarray(n_rows) > n_parameters, factor, np.nan)[()]


def mean_std_error(
    influence: Float, weight: Float | None, clusters: Int | None
) -> tuple[float, int]:
    """Return the standard error of a weighted mean of influences, and its number of units.

    The influences have a weighted mean of 0. `clusters` are codes from 0 without gaps, weights are
    positive. NaN with fewer than two units.
    """
    total = float(len(influence)) if weight is None else float(weight.sum())
    part = influence if weight is None else influence * weight
    if clusters is not None:
        part = np.bincount(clusters, weights=part).astype(np.float64)
    n_units = len(part)
    return math.sqrt(unit_factor(n_units) * float(part @ part)) / total, n_units


def sums_by_group(values: Float, codes: Int) -> Float:
    """Sum the rows of each group, column by column; codes run from 0 without gaps."""
    sums = [np.bincount(codes, weights=column).astype(np.float64) for column in values.T]
    return np.column_stack(sums)


def left_out_sums(columns: Float, sums: Float, bread: Float, codes: Int) -> tuple[Float, float]:
    """Return scores by which the coefficients move when each group is left out, and most leverage.

    Times `bread` they are the coefficients less those without the group. They mean nothing where
    the largest leverage exceeds `FULL_LEVERAGE`: a coefficient cannot be told without the group.

    Parameters
    ----------
    columns : float64 array of shape (n_rows, k), times the roots of the weights
    sums : float64 array of shape (n_groups, k), the scores summed by group
    bread : float64 array of shape (k, k)
    codes : intp array of shape (n_rows,)
    """
    k = columns.shape[1]
    left = np.empty((len(sums), k, k))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))
    for group, rows in enumerate(np.split(order, ends[:-1])):
        left[group] = np.eye(k) - columns[rows].T @ columns[rows] @ bread
    # Its eigenvalues are one minus those of a block of the hat matrix, all inside [0, 1].
    leverage = 1.0 - float(np.linalg.det(left).min())
    if leverage > FULL_LEVERAGE:
        return np.full_like(sums, np.nan), leverage
    return np.linalg.solve(left, sums[:, :, None])[:, :, 0].astype(np.float64), leverage
