"""Means of groups of rows, with their covariance, and the groups that a ranking makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from segcate._inputs.arrays import Float, Int
from segcate._statistics.intervals import satterthwaite
from segcate._statistics.sandwich import unit_factor

# Sums over clusters and groups fit a table unless most of it would be empty.
_MOST_CELLS_A_ROW = 8


def mid_position(prediction: Float, weight: Float | None) -> Float:
    """Return how far up the ranking each row stands, in (0, 1), from lowest to highest.

    The share of weight below the row plus half of the share at its own prediction, so rows of equal
    prediction stand together, at the middle of their block.
    """
    levels, block = np.unique(prediction, return_inverse=True)
    mass = np.bincount(block, weights=weight, minlength=len(levels)).astype(np.float64)
    through = np.cumsum(mass)
    middle: Float = (through - 0.5 * mass) / through[-1]
    return middle[block]


def quantile_codes(prediction: Float, weight: Float | None, n_groups: int) -> Int:
    """Return the quantile group of each row, 0 (lowest) to n_groups - 1; ties share a group.

    Group floor(n_groups u) for the mid-position u. A block that stands exactly on a boundary goes
    up; rounding must not decide that, so positions within 1e-9 of it count as on it.
    """
    position = mid_position(prediction, weight) * n_groups
    codes: Int = np.floor(position + 1e-9).astype(np.intp)
    return codes


def compress_codes(codes: Int) -> tuple[Int, Int]:
    """Return the codes that occur, and each row's position among them."""
    present = np.flatnonzero(np.bincount(codes))
    position = np.zeros(int(present[-1]) + 1, dtype=np.intp)
    position[present] = np.arange(len(present))
    return present, position[codes]


def _unit_products(
    parts: Float, codes: Int, n_groups: int, clusters: Int | None
) -> tuple[Float, Int]:
    """Sum parts over each unit and group; return the groups' products over units, and unit counts.

    Entry (g, h) of the products is the sum over units of what they add to g times what to h.
    """
    if clusters is None:
        squares = np.bincount(codes, weights=parts**2, minlength=n_groups).astype(np.float64)
        return np.diag(squares), np.bincount(codes, minlength=n_groups)
    n_clusters = int(clusters.max()) + 1
    if n_clusters * n_groups > _MOST_CELLS_A_ROW * len(parts):
        cells = csr_matrix((parts, (clusters, codes)), shape=(n_clusters, n_groups))
        return (cells.T @ cells).toarray(), np.diff(cells.tocsc().indptr)
    key, n_cells = clusters * n_groups + codes, n_clusters * n_groups
    sums: Float = np.bincount(key, weights=parts, minlength=n_cells).astype(np.float64)
    sums = sums.reshape(n_clusters, n_groups)
    is_there = np.bincount(key, minlength=n_cells).reshape(n_clusters, n_groups) > 0
    products: Float = sums.T @ sums
    return products, is_there.sum(axis=0)


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Means of groups of rows, and how sure they are.

    Attributes
    ----------
    mean : float64 array of shape (n_groups,)
    covariance : float64 array of shape (n_groups, n_groups); NaN for a group of a single unit
    n_units : intp array of shape (n_groups,), independent units in each group
    """

    mean: Float
    covariance: Float
    n_units: Int

    @property
    def std_error(self) -> Float:
        """Standard errors of the means."""
        root: Float = np.sqrt(np.diag(self.covariance))
        return root


def group_means(
    values: Float, codes: Int, n_groups: int, weight: Float | None, clusters: Int | None
) -> GroupMeans:
    """Average `values` in each group, with the covariance of the averages.

    Every group must have a row. Clusters that reach into several groups tie their means together.
    """
    total = np.bincount(codes, weights=weight, minlength=n_groups)
    weighted = values if weight is None else values * weight
    mean = np.bincount(codes, weights=weighted, minlength=n_groups) / total
    residual = values - mean[codes]
    part = residual if weight is None else residual * weight
    squares, n_units = _unit_products(part, codes, n_groups, clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.sqrt(unit_factor(n_units)) / total
        covariance = squares * np.outer(factor, factor)
    return GroupMeans(mean, covariance, n_units.astype(np.intp))


def welch_freedom(variance: Float, n_units: Int, n_clusters: int | None) -> float:
    """Return the degrees of freedom of a difference of two means: Welch's.

    With clusters no more than `clusters_freedom` allows.
    """
    if not (variance > 0).any():
        return float(n_units.sum() - 2 if n_clusters is None else n_clusters - 1)
    df = float(satterthwaite(variance, n_units - 1))
    return df if n_clusters is None else min(df, clusters_freedom(n_units, n_clusters))


def clusters_freedom(n_units: Int, n_clusters: int) -> float:
    """Return the degrees of freedom that groups of rows have together.

    The sum over groups of their clusters less one, times distinct clusters over the clusters counted
    in each group. Clusters nested in the groups keep that sum; clusters in all groups leave the
    freedom of a single group.
    """
    return float((n_units - 1).sum() * min(n_clusters / n_units.sum(), 1.0))
