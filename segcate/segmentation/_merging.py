"""Merge segments that are too small into their nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate.segmentation._nearest import NearestCenter, chunks, dense

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

__all__ = ["Merging", "plan_merging"]


@dataclass(frozen=True, slots=True)
class Merging:
    """Which segment each label of the clusterer ends up in.

    Attributes
    ----------
    labels : int64 array of shape (n_clusters,), ascending, without -1
    into : int64 array of shape (n_clusters,), the label that each one becomes
    centers : float64 array of shape (n_clusters, n_columns), mean of the rows of each label
    """

    labels: Int
    into: Int
    centers: Float

    def apply(self, labels: Int, space: Any) -> Int:
        """Rename the labels; noise stays, and one that fit never saw goes by its nearest mean."""
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


def plan_merging(space: Any, labels: Int, min_size: int) -> Merging:
    """Merge the smallest segment into the one with the nearest mean until all have `min_size` rows.

    Distances are Euclidean, between means of all rows gathered so far; the smaller label goes first
    among segments of one size, and wins among means at one distance. The larger of the two segments
    gives its label. Noise (-1) neither merges nor receives.
    """
    found, sizes, centers = _means(space, labels)
    owner = np.arange(len(found))
    size, center = sizes.astype(np.float64), centers.copy()
    alive = np.ones(len(found), dtype=bool)
    while alive.sum() > 1:
        candidates = np.flatnonzero(alive)
        small = candidates[size[candidates].argmin()]
        if size[small] >= min_size:
            break
        others = candidates[candidates != small]
        near = others[((center[others] - center[small]) ** 2).sum(axis=1).argmin()]
        total = size[small] + size[near]
        center[near] = (size[small] * center[small] + size[near] * center[near]) / total
        size[near] = total
        alive[small] = False
        owner[owner == small] = near
    return Merging(found, found[owner], centers)


def _means(space: Any, labels: Int) -> tuple[Int, npt.NDArray[np.intp], Float]:
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
