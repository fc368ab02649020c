"""Merge segments that are too small into their nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int64
from segcate.segmentation._nearest_cluster import NearestCenter, chunks, dense


@dataclass(frozen=True, slots=True)
class Merging:
    """The segment that each label of the clusterer becomes after merging.

    Attributes
    ----------
    labels : int64 array of shape (n_clusters,), ascending, without -1
    into : int64 array of shape (n_clusters,), the label that each one becomes
    centers : float64 array of shape (n_clusters, n_columns), mean of the rows of each label
    """

    labels: Int64
    into: Int64
    centers: Float

    def apply(self, labels: Int64, space: Any) -> Int64:
        """Rename the labels; noise stays, and a label unseen in fit goes to the nearest mean."""
        if not len(self.labels):
            return labels
        at = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        is_known = self.labels[at] == labels
        merged = np.where(is_known, self.into[at], labels)
        is_new = ~is_known & (labels != -1)
        if is_new.any():
            nearest = NearestCenter(self.centers).label(dense(space[np.flatnonzero(is_new)]))
            merged[is_new] = self.into[nearest]
        return merged


def plan_merging(space: Any, labels: Int64, min_size: int) -> Merging:
    """Merge the smallest segment into the one with the nearest mean until all have `min_size` rows.

    Distances are Euclidean, between means of all rows gathered so far; the smaller label goes first
    among segments of one size, and wins among means at one distance. The larger of the two segments
    gives its label. Noise (-1) neither merges nor receives.
    """
    found, sizes, centers = _means(space, labels)
    owner = merge_small(sizes[:, None], centers, min_size)
    return Merging(found, found[owner], centers)


def merge_small(
    sizes: npt.NDArray[np.intp],
    centers: Float,
    least: float,
    receives: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.intp]:
    """Merge segments until each has `least` rows of every kind; return the owner of each.

    The segment with the fewest rows of a kind goes first, into the one with the nearest mean of all
    rows gathered so far (Euclidean); the first one goes in a tie, and wins at one distance.

    Parameters
    ----------
    sizes : array of shape (n_segments, n_kinds), rows of each kind (the arms, or all)
    centers : float64 array of shape (n_segments, n_columns), mean of the rows
    least : rows of each kind that a segment needs
    receives : bool array of shape (n_segments,)
        Segments that others may merge into, while one of them is left; None: all.

    Returns
    -------
    owner : intp array of shape (n_segments,), the segment that each one ends up in
    """
    owner = np.arange(len(sizes))
    size, center = sizes.astype(np.float64), centers.copy()
    receives = np.ones(len(sizes), dtype=bool) if receives is None else receives
    alive = np.ones(len(sizes), dtype=bool)
    while alive.sum() > 1:
        candidates = np.flatnonzero(alive)
        fewest = size[candidates].min(axis=1)
        small = candidates[fewest.argmin()]
        if fewest.min() >= least:
            break
        others = candidates[candidates != small]
        others = others[receives[others]] if receives[others].any() else others
        near = others[((center[others] - center[small]) ** 2).sum(axis=1).argmin()]
        own, gained = size[near].sum(), size[small].sum()
        center[near] = (gained * center[small] + own * center[near]) / (own + gained)
        size[near] += size[small]
        alive[small] = False
        owner[owner == small] = near
    return owner


def _means(space: Any, labels: Int64) -> tuple[Int64, npt.NDArray[np.intp], Float]:
    """Return the labels other than noise, their sizes and the means of their rows."""
    found = np.unique(labels[labels != -1]).astype(np.int64)
    sums = np.zeros((len(found), space.shape[1]))
    sizes = np.zeros(len(found), dtype=np.intp)
    for part in chunks(len(labels)):
        inside = labels[part] != -1
        codes = np.searchsorted(found, labels[part][inside])
        np.add.at(sums, codes, dense(space[part])[inside])
        sizes += np.bincount(codes, minlength=len(found))
    return found, sizes, sums / np.maximum(sizes, 1)[:, None]
