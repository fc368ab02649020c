"""Robust covariances of least squares, each part written once.

MacKinnon & White (1985), J. Econometrics 29:305-325, for independent rows; Liang & Zeger (1986),
Biometrika 73:13-22, for clusters, with the small-sample factor of Stata, statsmodels and fixest (CR1);
MacKinnon, Nielsen & Webb (2023), J. Applied Econometrics 38:671-694, for the jackknife (CR3).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]

__all__ = ["FULL_LEVERAGE", "cluster_factor", "corrected", "left_out_sums", "sums_by_group"]

# A row or group with more leverage than this holds a coefficient alone; its residual is rounding.
FULL_LEVERAGE = 1.0 - 1e-9

_POWERS = {"hc0": 0.0, "hc1": 0.0, "hc2": 0.5, "hc3": 1.0}


def corrected(residual: Float, leverage: Float, kind: str) -> Float:
    """Return residuals made up for having been fitted; those of full leverage stay as they are.

    Parameters
    ----------
    residual, leverage : float64 arrays of shape (n_rows,)
    kind : {"hc0", "hc1", "hc2", "hc3"}
        "hc2" divides by the root of one less the leverage, "hc3" by one less it. The factor
        n / (n - k) of "hc1" is the caller's.
    """
    left = np.where(leverage > FULL_LEVERAGE, 1.0, 1.0 - leverage)
    return np.asarray(residual / left ** _POWERS[kind], dtype=np.float64)


def cluster_factor(n_groups: int, n_rows: int, n_parameters: int) -> float:
    """Return the factor of CR1, ``G / (G - 1) * (n - 1) / (n - k)``."""
    return n_groups / (n_groups - 1) * (n_rows - 1) / (n_rows - n_parameters)


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
