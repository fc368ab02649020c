"""Segments from any scikit-learn clusterer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.pipeline import Pipeline

from segcate._inputs import frames
from segcate._inputs.kinds import ColumnKind, columns_as_they_came
from segcate._inputs.parameters import check_count, check_option, check_seed
from segcate.base import EffectEstimatorMixin
from segcate.segmentation._clustering import ClusteringOptions, last_step
from segcate.segmentation._clustering_segmenter import ClusteringSegmenter


@dataclass(eq=False, repr=False)
class ClusterSegmenter(ClusteringSegmenter):
    """Segment rows with any scikit-learn clusterer, or a Pipeline ending in one.

    Use it for clusterers other than k-means and HDBSCAN, for preparation in front of the clusterer,
    and to let a search choose the clusterer. One that cannot label new rows itself (agglomerative
    clustering, DBSCAN, HDBSCAN) gets a rule for them, see Notes.

    Parameters
    ----------
    clusterer : estimator
        A clusterer with `fit` and either `predict` or `labels_`, or a Pipeline ending in one; it is
        cloned. Its parameters can be searched, `clusterer__n_clusters`. A Pipeline is given the
        chosen columns in the container of X, so that it may encode text and fill in missing values;
        a bare clusterer is given float64 numbers.
    columns : names, positions, bool mask, callable or None, default=None
        Columns to cluster on, also by `make_column_selector`. None means all numeric ones. All
        columns of X go through `transform` untouched.
    noise : {"segment", "nearest"}, default="segment"
        Rows that the clusterer calls noise are a segment of their own, -1, or go to the segment of
        the nearest clustered row.
    min_size : int or None, default=None
        Segments with fewer rows (in fit, of all rows) merge into the segment with the nearest mean,
        smallest first, >= 1. Noise is left alone.
    max_fit_samples : int or None, default=None
        With more rows than this, the clusterer is fitted on a random sample of that many rows, and
        the others are assigned, >= 2.
    random_state : int, RandomState or None, default=None
        Draws the sample, and seeds the clusterer where its own `random_state` is None.
    column : str, default="segment"
        Name of the column that `transform` appends.

    Attributes
    ----------
    labels_ : int64 array of shape (n_samples,)
        Segment of each row of fit, equal to `predict` of those rows; noise is -1.
    segments_ : int64 array of shape (n_segments,)
        The segments found, ascending; noise comes first. A number is the clusterer's own.
    segment_sizes_ : intp array of shape (n_segments,)
        Rows in each.
    n_segments_ : int
        Count of segments, the noise segment included.
    clusterer_ : estimator
        The fitted clone.
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
    TypeError
        If `clusterer` is a class, or is no clusterer.
    ValueError
        If a parameter or a column is not as described, or the clusterer refuses the rows.

    See Also
    --------
    KMeansSegmenter : K-means, with its parameters at hand.
    HDBSCANSegmenter : Clusters of any shape and noise.

    Notes
    -----
    A clusterer with `predict` labels every row with it, those of fit too. For KMeans and
    MiniBatchKMeans the nearest centre is found by a sum that does not depend on the rows beside.

    Without `predict`, a row equal to one of fit has that row's label (the most frequent one, should
    equal rows differ). Any other row has the label of the nearest clustered row, in the metric of
    the clusterer, unless it is farther from it than the widest gap inside that cluster: the largest
    distance from one of its rows to the nearest other. Then it is noise; about one new row in (size
    of the cluster + 1) is. For DBSCAN the rule is its own: the nearest core sample within `eps`.
    For `hdbscan.HDBSCAN` it is that of `approximate_predict`.

    The answer depends on the order of rows as far as the clusterer's does, and through the sample.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.mixture import GaussianMixture
    >>> from segcate.segmentation import ClusterSegmenter
    >>> X = pd.DataFrame({"visits": [1, 2, 1, 30, 31, 29], "plan": list("aabbab")})
    >>> segmenter = ClusterSegmenter(GaussianMixture(2), random_state=0).fit(X)
    >>> segmenter.n_segments_, segmenter.segment_sizes_.tolist()
    (2, [3, 3])
    >>> segmenter.transform(X).columns.tolist()
    ['visits', 'plan', 'segment']
    """

    clusterer: Any
    _: KW_ONLY
    noise: str = "segment"
    max_fit_samples: int | None = None

    def _options(self) -> ClusteringOptions:
        owner = type(self).__name__
        _check_clusterer(owner, self.clusterer)
        check_option(owner, "noise", self.noise, ["segment", "nearest"])
        check_count(owner, "min_size", self.min_size, 1, optional=True)
        check_count(owner, "max_fit_samples", self.max_fit_samples, 2, optional=True)
        return ClusteringOptions(self.noise, self.min_size, self.max_fit_samples)

    def _new_clusterer(self, rows: Any) -> Any:
        clusterer = clone(self.clusterer)
        if self.random_state is not None:
            _seed(clusterer, check_seed(type(self).__name__, self.random_state))
        return clusterer

    def _clustered_columns(self, X: Any) -> Any:
        if isinstance(self.clusterer, Pipeline):
            return frames.select_columns(X, self.column_positions_.tolist())
        return super()._clustered_columns(X)

    def _decide_columns(self, X: Any) -> tuple[ColumnKind, ...]:
        if isinstance(self.clusterer, Pipeline):
            return columns_as_they_came(X, self.column_positions_.tolist())
        return super()._decide_columns(X)


def _seed(estimator: Any, rng: np.random.RandomState) -> None:
    """Give every unset `random_state` inside the estimator a number."""
    unset = {
        name: int(rng.randint(np.iinfo(np.int32).max))
        for name, value in sorted(estimator.get_params(deep=True).items())
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    if unset:
        estimator.set_params(**unset)


def _check_clusterer(owner: str, clusterer: Any) -> None:
    if isinstance(clusterer, type):
        raise TypeError(
            f"{owner}: `clusterer` must be an instance; got the class {clusterer.__name__}. Write "
            f"{owner}({clusterer.__name__}())."
        )
    final = last_step(clusterer) if getattr(clusterer, "steps", True) else None
    can_label = hasattr(final, "predict") or hasattr(final, "fit_predict")
    is_supervised = isinstance(final, ClassifierMixin | RegressorMixin | EffectEstimatorMixin)
    if not hasattr(clusterer, "get_params") or not can_label or is_supervised:
        what = type(clusterer).__name__
        if isinstance(clusterer, Pipeline):
            what = f"a Pipeline ending in {type(final).__name__}"
        raise TypeError(
            f"{owner}: `clusterer` must be a clusterer, with labels_ or predict after fit(X), or a "
            f"Pipeline ending in one; got {what}. Pass for example KMeans(8) or "
            "make_pipeline(StandardScaler(), GaussianMixture(4))."
        )
    _refuse_pickles(owner, final)
    if "precomputed" in (getattr(final, "metric", None), getattr(final, "affinity", None)):
        raise ValueError(
            f"{owner}: {type(final).__name__} with 'precomputed' clusters distances, and new rows "
            "have none to the rows of fit. Choose a metric between rows, such as 'euclidean'."
        )


def _refuse_pickles(owner: str, final: Any) -> None:
    """Refuse a folder of pickles: a stored model could name any folder, and loading runs its code."""
    memory = getattr(final, "memory", None)
    folder = memory if isinstance(memory, str) else getattr(memory, "location", None)
    if folder is not None:
        raise ValueError(
            f"{owner}: `memory` of {type(final).__name__} keeps pickles in {str(folder)!r}, which run as code when "
            "they are read. Leave `memory` out."
        )
