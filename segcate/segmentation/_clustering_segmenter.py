"""Shared base of the clustering segmenters: fit, labels and fitted state."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from segcate._inputs.features import check_features
from segcate._inputs.kinds import ColumnKind, with_note
from segcate._inputs.parameters import check_seed
from segcate._inputs.vectors import check_same_index
from segcate.base import SegmenterMixin
from segcate.exceptions import SegcateWarning
from segcate.segmentation._clustering import ClusteringOptions, fit_clustering, last_step
from segcate.segmentation._columns import (
    blame_rows,
    numeric_kinds,
    numeric_matrix,
    resolve_columns,
)
from segcate.segmentation._gap_scaler import GapScaler, fill_gaps


@dataclass(eq=False, repr=False, kw_only=True)
class ClusteringSegmenter(SegmenterMixin, BaseEstimator):
    """Cluster some columns of X; a subclass chooses the clusterer and its options.

    Subclasses store `columns`, `column` and `random_state` among their parameters.
    """

    columns: Any = None
    min_size: int | None = None
    random_state: Any = None
    column: str = "segment"

    # Whether fit fills missing values. Otherwise it refuses them or leaves them to the clusterer.
    _fills_gaps: ClassVar[bool] = False

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
            has a column named `column`; if there are fewer rows than the clusterer needs.

        Warns
        -----
        SegcateWarning
            If every row is noise.
        """
        check_same_index(type(self).__name__, X=X, y=y)
        owner = type(self).__name__
        options = self._options()
        X = check_features(self, X, reset=True)
        self._check_column(X)
        self.column_positions_ = resolve_columns(owner, X, self.columns)
        self._columns = self._decide_columns(X)
        self._gaps = np.empty(0, dtype=np.intp)
        rows = self._clustered_columns(X)
        if self._fills_gaps:
            rows = self._learn_gaps(rows)
        rng = check_seed(owner, self.random_state)
        with blame_rows(owner, rows, fitting=True):
            clusterer = self._new_clusterer(rows)
            self._clustering, self.labels_ = fit_clustering(clusterer, rows, options, rng)
        self.clusterer_ = self._clustering.model
        self.segments_, self.segment_sizes_ = np.unique(self.labels_, return_counts=True)
        self.n_segments_ = len(self.segments_)
        if self.segments_.tolist() == [-1]:
            warnings.warn(
                f"{owner}: {type(last_step(self.clusterer_)).__name__} found no cluster; all "
                f"{len(self.labels_)} rows are noise, one segment -1. Ask for smaller clusters, "
                "or scale the columns.",
                SegcateWarning,
                stacklevel=2,
            )
        return self

    def _label_rows(self, X: Any) -> Any:
        rows = self._clustered_columns(X)
        if self._fills_gaps:
            rows = self._filled(rows)
        with blame_rows(type(self).__name__, rows, fitting=False):
            return self._clustering.label(rows)

    def _clustered_columns(self, X: Any) -> Any:
        """Return the columns that the clusterer is given: a float64 matrix."""
        return numeric_matrix(
            type(self).__name__,
            X,
            self.column_positions_,
            kinds=self._columns,
            allow_missing=self._fills_gaps,
        )

    def _learn_gaps(self, rows: Any) -> Any:
        """Store the column means and the columns with gaps, note them, and fill the gaps."""
        missing = np.isnan(rows)
        self._gaps = np.flatnonzero(missing.any(axis=0))
        known = np.maximum((~missing).sum(axis=0), 1)
        self._fills = np.where(missing, 0.0, rows).sum(axis=0) / known
        share = missing.mean(axis=0)
        self._columns = tuple(
            with_note(kind, f"{100 * s:.2g} % missing: counted in the distance") if s else kind
            for kind, s in zip(self._columns, share, strict=True)
        )
        return self._filled(rows)

    def _filled(self, rows: Any) -> Any:
        """Fill gaps with the means of fit; a GapScaler fills its own columns."""
        if not np.isnan(rows).any() and not len(self._gaps):
            return rows
        if not self._scales:
            return fill_gaps(rows, self._gaps, self._fills)
        filled = np.where(np.isnan(rows), self._fills, rows)
        filled[:, self._gaps] = rows[:, self._gaps]
        return filled

    def __sklearn_tags__(self) -> Any:
        """Allow missing values where fit fills them."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.allow_nan or self._fills_gaps
        return tags

    @property
    def _scales(self) -> bool:
        """Tell whether a scaler stands in front of the clusterer."""
        return bool(getattr(self, "scale", False))

    def _behind_scaler(self, clusterer: Any) -> Pipeline:
        """Put a scaler in front of a clusterer; it fills gaps where fit has any."""
        scaler = GapScaler() if len(self._gaps) else StandardScaler()
        return Pipeline([("scale", scaler.set_output(transform="default")), ("cluster", clusterer)])

    def _decide_columns(self, X: Any) -> tuple[ColumnKind, ...]:
        """Decide the kind of the clustered columns, and refuse those that are not numbers."""
        return numeric_kinds(type(self).__name__, X, self.column_positions_)

    @abstractmethod
    def _new_clusterer(self, rows: Any) -> Any:
        """Return a clusterer to be fitted on `rows`."""

    @abstractmethod
    def _options(self) -> ClusteringOptions:
        """Check the parameters and return the options for noise, small segments and many rows."""


def array_scaler() -> StandardScaler:
    """Return a StandardScaler that gives arrays under any global output setting."""
    return StandardScaler().set_output(transform="default")
