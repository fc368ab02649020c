"""Segments by HDBSCAN (Campello, Moulavi & Sander 2013), with the `hdbscan` package."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from segcate._inputs import frames
from segcate._inputs.parameters import check_count, check_number, check_option
from segcate.segmentation._clustering import ClusteringOptions
from segcate.segmentation._clustering_segmenter import (
    ClusteringSegmenter,
)

# Distances that need no further argument, and that both hdbscan and sklearn.neighbors know.
_METRICS = ["euclidean", "manhattan", "chebyshev", "canberra", "braycurtis", "cosine", "hamming"]


@dataclass(eq=False, repr=False)
class HDBSCANSegmenter(ClusteringSegmenter):
    """Segment rows by density: clusters of any shape, and noise for rows that fit nowhere.

    Use it where the count of segments is unknown and rows between the clusters should not be forced
    into one. For compact segments, or columns with few different values, `KMeansSegmenter` is the
    better choice. Above some ten thousand rows set `max_fit_samples`.

    Parameters
    ----------
    min_cluster_size : int, default=5
        Fewest rows of a cluster, >= 2; counted in the sample where one is drawn.
    min_samples : int or None, default=None
        Neighbours that make a row dense, >= 1; larger values call more rows noise. None means
        `min_cluster_size`.
    metric : str, default="euclidean"
        Distance between rows: "euclidean", "manhattan", "chebyshev", "canberra", "braycurtis",
        "cosine" or "hamming". "cosine" needs memory for all pairs of the rows fitted on.
    cluster_selection_method : {"eom", "leaf"}, default="eom"
        Most persistent clusters, or the finest ones.
    cluster_selection_epsilon : float, default=0.0
        Clusters nearer than this are not split, in the units of the (scaled) distance, >= 0.
    columns : names, positions, bool mask, callable or None, default=None
        Columns to cluster on, also by `make_column_selector`. None means all numeric ones. All
        columns of X go through `transform` untouched. A missing value counts as the mean, and a 0/1
        column that tells of it, not scaled, takes part in the distance (a note says so).
    scale : bool, default=True
        Divide the clustered columns by their standard deviation (ddof 0, constant columns by 1)
        after taking off their mean; both of the rows fitted on.
    noise : {"segment", "nearest"}, default="segment"
        Noise is a segment of its own, -1, or goes to the segment of the nearest clustered row.
    min_size : int or None, default=None
        Segments with fewer rows (in fit, of all rows; noise is left alone) merge into the one with
        the nearest mean (in the scaled columns), smallest first, >= 1. None merges none;
        `min_cluster_size` decides where the clusters are, this what becomes of small ones.
    max_fit_samples : int or None, default=None
        With more rows than this, fit on a random sample of that many and assign the others, >= 2.
        A sample of 10,000 to 20,000 takes seconds; a million rows take about a minute to assign.
    random_state : int, RandomState or None, default=None
        Draws the sample.
    column : str, default="segment"
        Name of the column that `transform` appends.

    Attributes
    ----------
    labels_ : int64 array of shape (n_samples,)
        Segment of each row of fit, equal to `predict` of those rows; noise is -1.
    segments_ : int64 array of shape (n_segments,)
        The segments found, ascending; noise comes first.
    segment_sizes_ : intp array of shape (n_segments,)
        Rows in each.
    n_segments_ : int
        Count of segments, the noise segment included.
    clusterer_ : hdbscan.HDBSCAN or Pipeline
        The fitted clusterer, behind a StandardScaler with `scale=True`. Its
        `generate_prediction_data()` prepares it for hdbscan's soft memberships.
    column_positions_ : intp array of shape (n_clustered,)
        Positions in X of the columns clustered on.
    covariates_ : DataFrame of shape (n_clustered, 5)
        The columns clustered on: kind, treatment, note, share_missing.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : object array of shape (n_features_in_,)
        Their names, where X is a frame.

    Raises
    ------
    ValueError
        If a parameter or a column is not as described, or there is one row only.

    Warns
    -----
    SegcateWarning
        If every row is noise.

    See Also
    --------
    KMeansSegmenter : Segments around centres, without noise.
    ClusterSegmenter : Any other clusterer.

    Notes
    -----
    A row equal to one that was fitted on has the label it was given there (the most frequent one,
    should equal rows differ). Any other row, also one left out of the sample, is assigned by the
    rule of `hdbscan.approximate_predict`: it joins the cluster of its nearest row in mutual
    reachability, at the density that it would have. So `predict` of the training rows equals
    `labels_`, which `approximate_predict` alone does not promise.

    Labels are hdbscan's and may be numbered otherwise for rows in another order; ties between
    distances, as in columns with few values, may then be broken otherwise, too.

    References
    ----------
    Campello, R. J. G. B., Moulavi, D., Sander, J. (2013). Density-based clustering based on
    hierarchical density estimates. PAKDD 2013, 160-172. doi:10.1007/978-3-642-37456-2_14

    McInnes, L., Healy, J., Astels, S. (2017). hdbscan: Hierarchical density based clustering.
    Journal of Open Source Software 2(11), 205. doi:10.21105/joss.00205

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.segmentation import HDBSCANSegmenter
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0, 1, (50, 2)), rng.normal(9, 1, (50, 2)), [[40.0, -40.0]]])
    >>> segmenter = HDBSCANSegmenter(min_cluster_size=20, min_samples=1).fit(X)
    >>> segmenter.segments_.tolist(), int(segmenter.labels_[-1])
    ([-1, 0, 1], -1)
    >>> HDBSCANSegmenter(20, min_samples=1, noise="nearest").fit(X).n_segments_
    2
    """

    min_cluster_size: int = 5
    _: KW_ONLY
    min_samples: int | None = None
    metric: str = "euclidean"
    cluster_selection_method: str = "eom"
    cluster_selection_epsilon: float = 0.0
    scale: bool = True
    noise: str = "segment"
    max_fit_samples: int | None = None

    _fills_gaps: ClassVar[bool] = True

    def _options(self) -> ClusteringOptions:
        owner = type(self).__name__
        check_count(owner, "min_cluster_size", self.min_cluster_size, 2)
        check_count(owner, "min_samples", self.min_samples, 1, optional=True)
        check_count(owner, "min_size", self.min_size, 1, optional=True)
        check_count(owner, "max_fit_samples", self.max_fit_samples, 2, optional=True)
        check_option(owner, "metric", self.metric, _METRICS)
        check_option(
            owner, "cluster_selection_method", self.cluster_selection_method, ["eom", "leaf"]
        )
        check_option(owner, "noise", self.noise, ["segment", "nearest"])
        epsilon = self.cluster_selection_epsilon
        check_number(owner, "cluster_selection_epsilon", epsilon, least=0)
        return ClusteringOptions(self.noise, self.min_size, self.max_fit_samples)

    def _new_clusterer(self, rows: Any) -> Any:
        from hdbscan import HDBSCAN

        if frames.n_rows(rows) < 2:
            raise ValueError("a density needs at least 2 rows.")
        clusterer = HDBSCAN(
            min_cluster_size=int(self.min_cluster_size),
            min_samples=None if self.min_samples is None else int(self.min_samples),
            metric=self.metric,
            cluster_selection_method=self.cluster_selection_method,
            cluster_selection_epsilon=float(self.cluster_selection_epsilon),
            # hdbscan sends "cosine" to a tree that scikit-learn's does not offer any more.
            algorithm="generic" if self.metric == "cosine" else "best",
            core_dist_n_jobs=1,
        )
        return self._behind_scaler(clusterer) if self.scale else clusterer
