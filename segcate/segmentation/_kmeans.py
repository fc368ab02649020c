"""Segments by k-means (Lloyd 1982)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline

from segcate._inputs.parameters import check_count, check_seed
from segcate.segmentation._clustering import ClusteringOptions, last_step
from segcate.segmentation._clustering_segmenter import (
    ClusteringSegmenter,
    array_scaler,
)

# With more rows the starts are made on a sample of so many, and go on in single precision.
_MANY_ROWS, _SAMPLED = 100_000, 20_000


@dataclass(eq=False, repr=False)
class KMeansSegmenter(ClusteringSegmenter):
    """Segment rows by k-means: each row goes to the nearest of `n_clusters` centres.

    Use it for compact segments of numeric columns and for many rows. It always finds
    `n_clusters` segments, also in data without any; look at `segment_profile` and tune
    `n_clusters` by a score. For segments of other shapes, or rows that fit nowhere, use `HDBSCANSegmenter`.

    Parameters
    ----------
    n_clusters : int, default=8
        Count of segments, >= 1.
    columns : names, positions, bool mask, callable or None, default=None
        Columns to cluster on, also by `make_column_selector`. None means all numeric ones. All
        columns of X go through `transform` untouched. A missing value counts as the mean, and a 0/1
        column that tells of it, not scaled, takes part in the distance (a note says so).
    scale : bool, default=True
        Divide the clustered columns by their standard deviation (ddof 0, constant columns by 1)
        after taking off their mean. False clusters them as they are.
    init : {"k-means++", "random"}, array of shape (n_clusters, n_clustered) or callable
        Where to start, default "k-means++". An array holds centres in the units of X, with `scale`
        or without, its columns in the order of `columns`; segment i grows from row i. A callable is
        given scaled rows.
    n_init : int or "auto", default=10
        Starts to choose the best of. With an array as `init` there is one.
    max_iter : int, default=300
        Iterations of a start.
    min_size : int or None, default=None
        Segments with fewer rows in fit merge into the segment with the nearest mean (in the scaled
        columns), smallest first, >= 1; the larger one keeps its label. None merges none.
    max_fit_samples : int or None, default=None
        With more rows than this, make the starts on a random sample of that many and continue the
        best one on all rows, >= 2. None takes samples of 20,000 of more than 100,000 rows; a number
        as large as the data makes all starts on all rows, which takes `n_init` times as long.
    random_state : int, RandomState or None, default=None
        Draws the starts, and the sample.
    column : str, default="segment"
        Name of the column that `transform` appends.

    Attributes
    ----------
    labels_ : int64 array of shape (n_samples,), values 0 to n_clusters - 1
        Segment of each row of fit, equal to `predict` of those rows.
    cluster_centers_ : float64 array of shape (n_clusters, n_clustered)
        Centre of each cluster in the units of X; row i is segment i, also where `min_size` merged
        it into another.
    segments_ : int64 array of shape (n_segments,)
        The segments found, ascending.
    segment_sizes_ : intp array of shape (n_segments,)
        Rows in each.
    n_segments_ : int
        Count of segments; below `n_clusters` only where X has fewer different rows, or `min_size`
        merged some.
    n_iter_ : int
        Iterations of the best start, on all rows; above 100,000 rows those after single precision.
    clusterer_ : KMeans or Pipeline
        The fitted clusterer, behind a StandardScaler with `scale=True`.
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
        If a parameter or a column is not as described, or there are fewer rows than clusters.

    See Also
    --------
    ClusterSegmenter : Any other clusterer.

    Notes
    -----
    A row at one distance from several centres goes to the one with the smallest number; labels do
    not depend on the rows beside. The starts drawn from `random_state` depend on the order of the
    rows; from an array as `init` the segments do not.

    References
    ----------
    Lloyd, S. P. (1982). Least squares quantization in PCM. IEEE Transactions on Information Theory
    28(2), 129-137. doi:10.1109/TIT.1982.1056489

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.segmentation import KMeansSegmenter
    >>> X = pd.DataFrame({"age": [20, 22, 60, 61], "visits": [1, 2, 9, 8], "city": list("abab")})
    >>> segmenter = KMeansSegmenter(2, init=[[20, 1], [60, 9]])
    >>> segmenter.fit_transform(X)
       age  visits city  segment
    0   20       1    a        0
    1   22       2    b        0
    2   60       9    a        1
    3   61       8    b        1
    >>> segmenter.cluster_centers_.round(6)
    array([[21. ,  1.5],
           [60.5,  8.5]])
    """

    n_clusters: int = 8
    _: KW_ONLY
    scale: bool = True
    init: Any = "k-means++"
    n_init: int | str = 10
    max_iter: int = 300
    max_fit_samples: int | None = None

    _fills_gaps: ClassVar[bool] = True

    def fit(self, X: Any, y: Any = None) -> Any:
        """Find the segments of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to cluster. Columns outside `columns` may hold anything.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self
            The fitted segmenter.

        Raises
        ------
        ValueError
            If a clustered column is missing from X, is not numeric, or has NaN or infinity; if X
            has a column named `column`; if there are fewer rows than clusters.
        """
        super().fit(X, y)
        kmeans = last_step(self.clusterer_)
        self.n_iter_ = int(kmeans.n_iter_)
        centers = kmeans.cluster_centers_
        if isinstance(self.clusterer_, Pipeline):
            centers = self.clusterer_[0].inverse_transform(centers)
        self.cluster_centers_: npt.NDArray[np.float64] = centers[:, : len(self.column_positions_)]
        return self

    def _options(self) -> ClusteringOptions:
        owner = type(self).__name__
        check_count(owner, "n_clusters", self.n_clusters, 1)
        check_count(owner, "min_size", self.min_size, 1, optional=True)
        check_count(owner, "max_fit_samples", self.max_fit_samples, 2, optional=True)
        return ClusteringOptions(min_size=self.min_size)

    def _new_clusterer(self, rows: Any) -> Any:
        init, n_init = self.init, self.n_init
        if not isinstance(init, str) and not callable(init):
            init, n_init = self._starting_centers(rows), 1
        else:
            start = self._start_on_sample(rows)
            if start is not None:
                init, n_init = start, 1
        kmeans = self._kmeans(init, n_init)
        return self._behind_scaler(kmeans) if self.scale else kmeans

    def _kmeans(self, init: Any, n_init: int | str) -> KMeans:
        return KMeans(
            self.n_clusters,
            init=init,
            n_init=n_init,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )

    def _start_on_sample(self, rows: Any) -> npt.NDArray[np.float64] | None:
        """Find centres of the (scaled) rows from starts on a sample; None where starts are on all rows."""
        n, size = len(rows), self.max_fit_samples
        if size is None:
            size = _SAMPLED if n > _MANY_ROWS else n
        if n <= size:
            return None
        scaler = self._behind_scaler(None)[0].fit(rows) if self.scale else None
        rng = check_seed(type(self).__name__, self.random_state)
        sample = rows[np.sort(rng.choice(n, size, replace=False))]
        sample = sample if scaler is None else scaler.transform(sample)
        if len(np.unique(sample, axis=0)) < self.n_clusters:
            return None
        start = self._kmeans(self.init, self.n_init).fit(sample).cluster_centers_
        return self._in_single_precision(start, rows, scaler) if n > _MANY_ROWS else start

    def _in_single_precision(self, start: Any, rows: Any, scaler: Any) -> npt.NDArray[np.float64]:
        """Go on with many rows in half the time; the last steps, in double precision, are few then."""
        middle = np.zeros(rows.shape[1]) if scaler is not None else rows.mean(axis=0)
        values = rows - middle if scaler is None else scaler.transform(rows)
        single = self._kmeans((start - middle).astype(np.float32), 1)
        found = single.fit(values.astype(np.float32)).cluster_centers_
        return np.asarray(found.astype(np.float64) + middle)

    def _starting_centers(self, rows: Any) -> npt.NDArray[np.float64]:
        centers = np.asarray(self.init, dtype=np.float64)
        wanted = (self.n_clusters, len(self.column_positions_))
        if centers.shape != wanted or not np.isfinite(centers).all():
            n_bad = int((~np.isfinite(centers)).sum())
            raise ValueError(
                f"{type(self).__name__}: an array as `init` must be finite and of shape "
                f"(n_clusters, clustered columns) = {wanted}; got shape {centers.shape} with "
                f"{n_bad} values that are not finite. Give one row of means for each segment, in "
                "the order of `columns`."
            )
        if self.scale:
            centers = array_scaler().fit(rows).transform(centers)
        return np.hstack([centers, np.zeros((len(centers), len(self._gaps)))])
