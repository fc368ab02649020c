"""Assign rows to the clusters of a fitted HDBSCAN through its condensed tree.

The rule is that of `hdbscan.approximate_predict` (McInnes, Healy & Astels 2017,
doi:10.21105/joss.00205). It assigns all rows at once, without one search of the tree for each row.
It needs arrays alone, and it recognises a cluster that splits before losing any row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int64
from segcate.segmentation._nearest_cluster import Metric, chunks, dense


@dataclass(frozen=True, slots=True)
class DensityTree:
    """The condensed tree of a clustering; node 0 is the root, lambda is 1 / distance.

    Attributes
    ----------
    rows : float64 array of shape (n_rows, n_columns), the clustered rows
    core_distance : float64 array of shape (n_rows,)
    row_node : int64 array of shape (n_rows,), node that each row fell out of
    row_lambda : float64 array of shape (n_rows,), where it fell
    node_parent : int64 array of shape (n_nodes,)
    node_lambda : float64 array of shape (n_nodes,), where the node split off
    node_label : int64 array of shape (n_nodes,), -1 above the selected clusters
    min_samples : int, neighbours that make a core distance
    metric : the distance
    """

    rows: Float
    core_distance: Float
    row_node: Int64
    row_lambda: Float
    node_parent: Int64
    node_lambda: Float
    node_label: Int64
    min_samples: int
    metric: Metric

    def label(self, space: Any) -> Int64:
        """Return the label of each row, -1 for noise."""
        labels = np.full(space.shape[0], -1, dtype=np.int64)
        if not (self.node_label >= 0).any():
            return labels
        n_neighbors = min(2 * self.min_samples, len(self.rows))
        n_near = min(self.min_samples + 1, n_neighbors)
        search = self.metric.neighbors(self.rows, n_neighbors)
        for part in chunks(space.shape[0]):
            rows = dense(space[part])
            distance, at = search.kneighbors(rows, n_near)
            found = self._follow(distance, at)
            rest = np.flatnonzero(self._may_reach_farther(distance, at))
            if n_near < n_neighbors and len(rest):
                found[rest] = self._follow(*search.kneighbors(rows[rest]))
            labels[part] = found
        return labels

    def _may_reach_farther(
        self, distance: Float, at: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.bool_]:
        """Mark rows whose nearest in mutual reachability need not be among these neighbours.

        A neighbour within the row's own core distance, and with one no larger, cannot be beaten.
        """
        return np.asarray(~(self.core_distance[at] <= distance[:, -1:]).any(axis=1))

    def _follow(self, distance: Float, at: npt.NDArray[np.intp]) -> Int64:
        """Attach each row to its neighbour in mutual reachability and climb to the row's lambda."""
        own_core = distance[:, min(self.min_samples, distance.shape[1] - 1)]
        reach = np.maximum(np.maximum(self.core_distance[at], own_core[:, None]), distance)
        best = reach.argmin(axis=1)[:, None]
        neighbor = np.take_along_axis(at, best, axis=1)[:, 0]
        reached = np.take_along_axis(reach, best, axis=1)[:, 0]
        rise = np.full(len(reached), np.finfo(np.float64).max)
        np.divide(1.0, reached, out=rise, where=reached > 0)
        node = self.row_node[neighbor]
        climbing = self.row_lambda[neighbor] > rise
        while climbing.any():
            climbing &= (node > 0) & (self.node_lambda[node] >= rise)
            node[climbing] = self.node_parent[node[climbing]]
        return self.node_label[node]


def plant_tree(
    condensed: npt.NDArray[Any], rows: Float, labels: Int64, min_samples: int, metric: Metric
) -> DensityTree:
    """Build the tree from the edges of a condensed tree and the labels of its rows.

    Parameters
    ----------
    condensed : structured array with fields parent, child, lambda_val, child_size
        One edge a row; children with an id below `n_rows` are rows of the data.
    rows : float64 array of shape (n_rows, n_columns)
    labels : int array of shape (n_rows,)
    min_samples : int
    metric : the distance
    """
    n = len(rows)
    is_row = condensed["child"] < n
    leaves, nodes = condensed[is_row], condensed[~is_row]
    n_nodes = int(max(condensed["parent"].max(initial=n), nodes["child"].max(initial=n))) - n + 1
    row_node = np.zeros(n, dtype=np.int64)
    row_lambda = np.zeros(n)
    row_node[leaves["child"]] = leaves["parent"] - n
    row_lambda[leaves["child"]] = leaves["lambda_val"]
    node_parent = np.zeros(n_nodes, dtype=np.int64)
    node_lambda = np.zeros(n_nodes)
    node_parent[nodes["child"] - n] = nodes["parent"] - n
    node_lambda[nodes["child"] - n] = nodes["lambda_val"]
    k = min(min_samples, n)
    core_distance = metric.neighbors(rows, k).kneighbors(rows)[0][:, -1]
    return DensityTree(
        rows=rows,
        core_distance=core_distance,
        row_node=row_node,
        row_lambda=row_lambda,
        node_parent=node_parent,
        node_lambda=node_lambda,
        node_label=_label_nodes(row_node, labels, node_parent),
        min_samples=min_samples,
        metric=metric,
    )


def _label_nodes(row_node: Int64, labels: Int64, node_parent: Int64) -> Int64:
    """Give a node the label of the rows below it if they agree; it lies in a selected cluster then.

    Children have larger ids than their parents, so one pass from the last node collects the rows.
    """
    lowest = np.full(len(node_parent), np.iinfo(np.int64).max)
    highest = np.full(len(node_parent), -1, dtype=np.int64)
    np.minimum.at(lowest, row_node, labels)
    np.maximum.at(highest, row_node, labels)
    for node in range(len(node_parent) - 1, 0, -1):
        parent = node_parent[node]
        lowest[parent] = min(lowest[parent], lowest[node])
        highest[parent] = max(highest[parent], highest[node])
    return np.where(lowest == highest, highest, -1)
