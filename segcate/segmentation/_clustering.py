"""Fit a clusterer, on a sample if asked, and keep a function that labels any row.

A row of fit keeps its label; every other row is assigned to a cluster. The same function labels the
rows of fit, so `labels_` and `predict` agree.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.pipeline import Pipeline

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int64
from segcate.segmentation._density_tree import DensityTree, plant_tree
from segcate.segmentation._merging import Merging, plan_merging
from segcate.segmentation._nearest_cluster import (
    Metric,
    NearestCenter,
    NearestRow,
    dense,
    gap_radius,
)
from segcate.segmentation._row_lookup import RowLookup, build_lookup


@dataclass(frozen=True, slots=True)
class ClusteringOptions:
    """How to treat noise, small segments and many rows."""

    noise: str = "segment"
    min_size: int | None = None
    max_fit_samples: int | None = None


@dataclass(frozen=True, slots=True)
class Clustering:
    """A function from a row to its segment.

    Attributes
    ----------
    model : the fitted clusterer, or the Pipeline that ends in it
    assigner : labels rows in the space of the clusterer; None where the model predicts itself
    lookup : labels of the rows fitted on, where the model does not predict; else None
    clustered : sends noise to the nearest clustered row, None where noise stays
    merging : renames merged segments, None where none are merged
    """

    model: Any
    assigner: NearestCenter | NearestRow | DensityTree | None = None
    lookup: RowLookup | None = None
    clustered: NearestRow | None = None
    merging: Merging | None = None

    def label(self, rows: Any) -> Int64:
        """Return the segment of each row, -1 for noise."""
        space: Any = self.space(rows) if self._needs_space else None
        if self.assigner is None:
            labels = _whole(self.model.predict(_copied(rows)), self.model)
        else:
            labels = self.assigner.label(space)
        if self.lookup is not None:
            is_known, known = self.lookup.find(rows)
            labels[is_known] = known
        if self.clustered is not None:
            is_noise = np.flatnonzero(labels == -1)
            labels[is_noise] = self.clustered.label(space[is_noise])
        return labels if self.merging is None else self.merging.apply(labels, space)

    def space(self, rows: Any) -> Any:
        """Return the rows as the clusterer itself sees them: an array or a CSR matrix."""
        if isinstance(self.model, Pipeline) and len(self.model) > 1:
            rows = self.model[:-1].transform(_copied(rows))
        return rows.tocsr() if hasattr(rows, "tocsr") else np.asarray(rows)

    @property
    def _needs_space(self) -> bool:
        parts = (self.assigner, self.clustered, self.merging)
        return any(part is not None for part in parts)


def _copied(rows: Any) -> Any:
    """Return a copy of the rows where a step with `copy=False` may overwrite them."""
    if isinstance(rows, np.ndarray):
        return rows.copy()
    return nw.from_native(rows, eager_only=True).clone().to_native()


def last_step(model: Any) -> Any:
    """Return the clusterer at the end of a Pipeline, or the clusterer itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def fit_clustering(
    clusterer: Any, rows: Any, options: ClusteringOptions, rng: np.random.RandomState
) -> tuple[Clustering, Int64]:
    """Fit `clusterer` on the rows (a sample where there are too many) and label all of them.

    Parameters
    ----------
    clusterer : clusterer or Pipeline, not fitted; it is fitted in place
    rows : float64 array of shape (n_rows, n_columns), or a frame
    options : how to treat noise, small segments and many rows
    rng : draws the sample

    Returns
    -------
    clustering : Clustering
    labels : int64 array of shape (n_rows,), equal to `clustering.label(rows)`
    """
    n = frames.n_rows(rows)
    limit = options.max_fit_samples
    chosen = np.arange(n)
    if limit is not None and n > limit:
        chosen = np.sort(rng.choice(n, size=limit, replace=False))
    sample = rows if len(chosen) == n else frames.take_rows(rows, chosen)
    clusterer.fit(_copied(sample))
    clustering = _without_merging(clusterer, sample, options)
    labels = clustering.label(rows)
    if options.min_size is None:
        return clustering, labels
    space = clustering.space(rows)
    merging = plan_merging(space, labels, options.min_size)
    return replace(clustering, merging=merging), merging.apply(labels, space)


def _without_merging(model: Any, sample: Any, options: ClusteringOptions) -> Clustering:
    """Choose how new rows are assigned, and where noise goes."""
    final = last_step(model)
    clustering = Clustering(model)
    if type(final) in (KMeans, MiniBatchKMeans):
        return replace(clustering, assigner=NearestCenter(dense(final.cluster_centers_)))
    labels = _labels_of(model, sample)
    if not hasattr(final, "predict"):
        space = dense(clustering.space(sample))
        assigner = _assigner(final, space, labels)
        clustering = replace(clustering, assigner=assigner, lookup=build_lookup(sample, labels))
    inside = labels != -1
    has_noise = clustering.assigner is not None or not inside.all()
    if options.noise == "nearest" and has_noise:
        space = dense(clustering.space(sample))
        bound = np.full(int(inside.sum()), np.inf)
        nearest = NearestRow(space[inside], labels[inside], bound, _metric(final))
        clustering = replace(clustering, clustered=nearest)
    return clustering


def _labels_of(model: Any, sample: Any) -> Int64:
    """Return the labels of the rows fitted on."""
    labels = getattr(last_step(model), "labels_", None)
    if labels is None:
        labels = model.predict(_copied(sample))
    labels = _whole(labels, model)
    n = frames.n_rows(sample)
    if labels.shape != (n,):
        raise TypeError(
            f"{type(last_step(model)).__name__} gave labels of shape {labels.shape} for {n} rows, "
            "so it does not cluster rows. Pass a clusterer such as KMeans(8)."
        )
    return labels


def _whole(labels: Any, model: Any) -> Int64:
    values = np.asarray(labels)
    if values.dtype.kind not in "iub":
        raise TypeError(
            f"{type(last_step(model)).__name__} gave labels of type {values.dtype}; a clusterer "
            "gives integers. Pass a clusterer such as KMeans(8)."
        )
    return values.astype(np.int64)


def _assigner(final: Any, space: Float, labels: Int64) -> NearestRow | DensityTree:
    metric = _metric(final)
    if _has_density_tree(final):
        min_samples = final.min_samples or final.min_cluster_size
        return plant_tree(final.condensed_tree_.to_numpy(), space, labels, min_samples, metric)
    anchors, radius = np.flatnonzero(labels != -1), None
    if hasattr(final, "core_sample_indices_") and hasattr(final, "eps"):
        anchors = np.asarray(final.core_sample_indices_, dtype=np.intp)
        radius = np.full(len(anchors), float(final.eps))
    rows, own = space[anchors], labels[anchors]
    return NearestRow(
        rows, own, gap_radius(rows, own, metric) if radius is None else radius, metric
    )


def _has_density_tree(final: Any) -> bool:
    """Tell whether `final` is hdbscan's HDBSCAN and its labels follow from its tree alone."""
    package = sys.modules.get("hdbscan")
    if package is None or not isinstance(final, package.HDBSCAN):
        return False
    return not (final.allow_single_cluster or final.match_reference_implementation)


def _metric(final: Any) -> Metric:
    """Return the distance a clusterer used, Euclidean where it names none."""
    name = getattr(final, "metric", None) or "euclidean"
    arguments = dict(getattr(final, "metric_params", None) or {})
    if isinstance(name, str) and name == "minkowski":
        arguments.setdefault("p", getattr(final, "p", None) or 2)
    return Metric(name, arguments)
