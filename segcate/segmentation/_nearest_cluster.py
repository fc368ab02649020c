"""Assign rows to the segment of the nearest centre, or of the nearest clustered row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from segcate._inputs.arrays import Float, Int64
from segcate.segmentation._row_lookup import distinct_rows

_CHUNK = 32_768  # rows handled at once: bounds the extra memory of an assignment


def chunks(n_rows: int) -> Iterator[slice]:
    """Cut the rows into slices that bound the memory needed at a time."""
    for start in range(0, n_rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_rows))


def dense(space: Any) -> Float:
    """Return a finite float64 array; frames and sparse matrices are converted."""
    values = space.toarray() if hasattr(space, "toarray") else space
    values = np.ascontiguousarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the clusterer was given NaN or infinity, and distances need numbers.")
    return values


@dataclass(frozen=True, slots=True)
class Metric:
    """A distance between rows, as `sklearn.neighbors` takes it."""

    name: Any = "euclidean"
    arguments: dict[str, Any] = field(default_factory=dict)

    def neighbors(self, rows: Float, n_neighbors: int) -> NearestNeighbors:
        """Build the search structure over `rows`; joblib's settings decide its threads."""
        arguments = dict(self.arguments)
        power = arguments.pop("p", 2)
        search = NearestNeighbors(
            n_neighbors=n_neighbors, metric=self.name, p=power, metric_params=arguments or None
        )
        return search.fit(rows)


@dataclass(frozen=True, slots=True)
class NearestCenter:
    """Label a row by the centre with the smallest Euclidean distance, the first one in a tie.

    The squared distance is summed column by column, so that a row's label does not depend on the
    rows beside it; KMeans.predict, a matrix product, decides ties by a row's place in the batch.

    Attributes
    ----------
    centers : float64 array of shape (n_clusters, n_columns)
    """

    centers: Float

    def label(self, space: Any) -> Int64:
        """Return the index of each row's centre."""
        labels = np.empty(space.shape[0], dtype=np.int64)
        for part in chunks(space.shape[0]):
            columns = np.ascontiguousarray(dense(space[part]).T)
            best = np.full(columns.shape[1], np.inf)
            nearest = np.zeros(columns.shape[1], dtype=np.int64)
            for i, center in enumerate(self.centers):
                distance = np.zeros(columns.shape[1])
                for column, value in zip(columns, center, strict=True):
                    distance += (column - value) ** 2
                closer = distance < best
                best[closer] = distance[closer]
                nearest[closer] = i
            labels[part] = nearest
        return labels


@dataclass(frozen=True, slots=True)
class NearestRow:
    """Label a row by its nearest clustered row; farther than that row's radius it is noise, -1.

    Attributes
    ----------
    rows : float64 array of shape (n_clustered, n_columns)
    labels : int64 array of shape (n_clustered,), none of them -1
    radius : float64 array of shape (n_clustered,), inclusive
    metric : the distance
    """

    rows: Float
    labels: Int64
    radius: Float
    metric: Metric

    def label(self, space: Any) -> Int64:
        """Return the label of each row."""
        labels = np.full(space.shape[0], -1, dtype=np.int64)
        if not len(self.rows):
            return labels
        search = self.metric.neighbors(self.rows, 1)
        for part in chunks(space.shape[0]):
            distance, at = search.kneighbors(dense(space[part]))
            near = distance[:, 0] <= self.radius[at[:, 0]]
            labels[part] = np.where(near, self.labels[at[:, 0]], -1)
        return labels


def gap_radius(rows: Float, labels: Int64, metric: Metric) -> Float:
    """Return the reach of each row's cluster: the widest gap inside it.

    The gap of a row is its distance to the nearest different row of the same cluster. A new row of
    the same cluster lies outside with probability about 1 / (n_rows of the cluster + 1). A cluster
    of one point has no gap and takes the widest gap of the others; if all are single points there
    is no bound.
    """
    clusters, codes = np.unique(labels, return_inverse=True)
    kept = distinct_rows(rows)
    widest = np.full(len(clusters), np.nan)
    for i in range(len(clusters)):
        members = rows[kept[codes[kept] == i]]
        if len(members) > 1:
            widest[i] = metric.neighbors(members, 2).kneighbors(members)[0][:, 1].max()
    has_gap = ~np.isnan(widest)
    widest[~has_gap] = widest[has_gap].max() if has_gap.any() else np.inf
    return widest[codes]
