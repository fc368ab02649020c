"""Put rows into the order of a ranking, the same whatever the order they came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int32, Int64


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows of positive weight, highest prediction first; equal predictions are one block.

    Attributes
    ----------
    order : int32 array of shape (n_ranked,)
        Row at each rank. Inside a block rows stand by psi, then by weight, so that sums do not
        depend on the order the rows came in, to the last bit.
    ends : int64 array of shape (n_blocks,)
        Last rank of each block.
    psi : float64 array of shape (n_ranked,)
        Effect scores in rank order, less their mean.
    weight : float64 array of shape (n_ranked,) or None
        Weights in rank order, None where every row counts once.
    clusters : integer array of shape (n_ranked,) or None
        Codes of the clusters in rank order, 0 to n_clusters - 1.
    mean : float
        Weighted mean of the effect scores.
    n_rows : int
        Rows that came, those of weight 0 included.
    """

    order: Int32
    ends: Int64
    psi: Float
    weight: Float | None
    clusters: npt.NDArray[np.intp] | None
    mean: float
    n_rows: int

    @property
    def n_ranked(self) -> int:
        """Count the rows of positive weight."""
        return len(self.order)

    @property
    def n_units(self) -> int:
        """Count the independent units: clusters where there are any, else rows."""
        return self.n_ranked if self.clusters is None else int(self.clusters.max()) + 1

    @property
    def is_distinct(self) -> bool:
        """Tell whether no two rows have the same prediction."""
        return len(self.ends) == len(self.order)

    @property
    def weight_or_empty(self) -> Float:
        """Weights as the kernels take them."""
        return np.empty(0) if self.weight is None else self.weight

    def reached(self) -> Float:
        """Return the weight ranked by the end of each block; the last is the total."""
        if self.weight is None:
            return self.ends.astype(np.float64) + 1.0
        reached: Float = np.cumsum(self.weight)[self.ends]
        return reached

    def subset(self, is_kept: npt.NDArray[np.bool_]) -> RankedRows:
        """Keep some ranks; they stay in their order. Cluster codes stay as they are."""
        block = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=-1))[is_kept]
        psi = self.psi[is_kept]
        weight = None if self.weight is None else self.weight[is_kept]
        shift = float(np.average(psi, weights=weight))
        return RankedRows(
            order=self.order[is_kept],
            ends=np.append(np.flatnonzero(block[1:] != block[:-1]), len(block) - 1),
            psi=psi - shift,
            weight=weight,
            clusters=None if self.clusters is None else self.clusters[is_kept],
            mean=self.mean + shift,
            n_rows=self.n_rows,
        )

    def in_row_order(self, ranked: Float) -> Float:
        """Return what belongs to each rank in the order of the rows; 0 for rows of weight 0."""
        values = np.zeros(self.n_rows)
        values[self.order] = ranked
        return values


def rank_rows(
    score: Float,
    psi: Float,
    weight: Float | None = None,
    clusters: npt.NDArray[Any] | None = None,
) -> RankedRows:
    """Rank checked rows by `score`, highest first.

    Parameters
    ----------
    score, psi : float64 arrays of shape (n_rows,), finite
    weight : float64 array of shape (n_rows,), >= 0 and somewhere above, or None
    clusters : array of shape (n_rows,), any labels, or None
    """
    # Loaded on the first ranking: numba takes longer to import than all else here.
    from segcate._ranking.kernels import block_ends
    from segcate._statistics.sort import MOST_ROWS, highest_first, sort_slices

    n_rows = len(score)
    if n_rows > MOST_ROWS:
        raise ValueError(f"A ranking takes at most {MOST_ROWS} rows at once; got {n_rows}.")
    if weight is None or weight.all():
        order = np.arange(n_rows, dtype=np.int32)
    else:
        order = np.flatnonzero(weight).astype(np.int32)
    order, ends = highest_first(score, order)
    if len(ends) < len(order):
        bounds = _bounds(ends)
        sort_slices(psi, order, bounds)
        if weight is not None:
            sort_slices(weight, order, _bounds(block_ends(psi, order, bounds)))
    ranked_psi = _taken(psi, order)
    ranked_weight = None if weight is None else _taken(weight, order)
    mean = float(np.average(ranked_psi, weights=ranked_weight))
    ranked_psi -= mean
    codes = None if clusters is None else _taken(cluster_codes(clusters), order)
    if codes is not None and len(order) < n_rows:
        codes = cluster_codes(codes)
    return RankedRows(order, ends, ranked_psi, ranked_weight, codes, mean, n_rows)


def cluster_codes(clusters: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Code clusters 0 to n_clusters - 1, in the order of their labels."""
    is_dense = clusters.dtype.kind in "iu" and 0 <= clusters.min() <= clusters.max() < len(clusters)
    if not is_dense:
        codes: npt.NDArray[np.intp] = np.unique(clusters, return_inverse=True)[1]
        return codes
    occurs = np.bincount(clusters) > 0
    if occurs.all():
        return clusters.astype(np.intp, copy=False)
    compact: npt.NDArray[np.intp] = np.cumsum(occurs) - 1
    return np.take(compact, clusters)


def _taken(values: npt.NDArray[Any], order: Int32) -> npt.NDArray[Any]:
    """Return ``values[order]``."""
    from segcate._ranking.kernels import take

    taken = np.empty(len(order), dtype=values.dtype)
    take(values, order, taken)
    return taken


def _bounds(ends: Int64) -> Int64:
    """Turn last positions of slices into bounds of slices."""
    bounds = np.empty(len(ends) + 1, dtype=np.int64)
    bounds[0] = 0
    np.add(ends, 1, out=bounds[1:])
    return bounds
