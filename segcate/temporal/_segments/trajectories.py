"""Segments of trajectories: clusters of units by a temporal model's view of their histories."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_option

FEATURES = ("auto", "representation", "potential_outcomes", "contrasts")

# Refits to resamples that stability looks at.
_MOST_RESAMPLES = 20


class TrajectorySegmenter(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster units by a temporal model's view of their histories.

    Fit it on other units than those whose effects are then estimated by segment (`segment_effects`
    refuses the same ones): segments that were found in a unit's own noise flatter themselves.

    Parameters
    ----------
    estimator : fitted temporal estimator
        Its representation or predictions are clustered; it is not fitted again. Where the segmenter
        is cloned, in a search for example, wrap it: ``sklearn.frozen.FrozenEstimator(estimator)``.
    clusterer : clusterer with `fit` and `predict`, default=None
        None: ``KMeans(4, n_init=10, random_state=0)``. A clusterer that marks noise with -1 keeps it.
    features : {"auto", "contrasts", "potential_outcomes", "representation"} or callable, default="auto"
        What is clustered: the effects of `plan` against `reference`, step by step; predicted outcomes under
        `plan` and, where given, under `reference`; the representation of the history; or whatever
        ``features(estimator, panel)`` returns, one row a unit in the sorted order of ids. "auto" takes
        the first of them for which plans are given, as effects are what separates effects.
    plan, reference : plans as in `predict`, default=None
        Needed for potential outcomes and contrasts.
    origin : "last" or int, default="last"
        The row up to which histories are read.
    scale : bool, default=True
        Whether features are standardised first.
    min_size : int, default=10
        Smaller segments join the segment whose mean is nearest.

    Attributes
    ----------
    labels_ : int array of shape (n_units,)
        Segment of each unit of the fit, 0, 1, ...; -1 is noise.
    ids_ : array of shape (n_units,)
        Units of the fit, sorted.
    clusterer_ : the fitted clusterer
    n_segments_ : int
        Segments without noise.
    n_merged_ : int
        Clusters that were too small and joined another.
    stability_ : float
        Mean adjusted Rand index of segments that refits find. Of contrasts: by the effects of each model
        alone, pair by pair, or of each of up to 20 resamples (`LinearGComputation`) against `labels_`; of
        representations: by each model's alone, pair by pair. NaN for other features, and where there is
        one fit only.

    See Also
    --------
    segment_effects : The effect of a plan in every segment.
    cross_fit_segment_effects : The same where there are no other units.

    Examples
    --------
    >>> from segcate.temporal import MSM, TrajectorySegmenter, tumor_growth
    >>> panel = tumor_growth(200, gamma=2, random_state=0).panel
    >>> model = MSM(["chemo", "radio"], "volume", horizon=3).fit(panel)
    >>> plan = {"chemo": [1, 1, 1], "radio": [0, 0, 0]}
    >>> segmenter = TrajectorySegmenter(model, plan=plan)  # by the outcomes that the plan leads to
    >>> segmenter.fit(panel).predict(panel).shape
    (200,)
    """

    def __init__(
        self,
        estimator: Any,
        clusterer: Any = None,
        *,
        features: Any = "auto",
        plan: Any = None,
        reference: Any = None,
        origin: Any = "last",
        scale: bool = True,
        min_size: int = 10,
    ) -> None:
        self.estimator = estimator
        self.clusterer = clusterer
        self.features = features
        self.plan = plan
        self.reference = reference
        self.origin = origin
        self.scale = scale
        self.min_size = min_size

    def fit(self, panel: Any, y: Any = None) -> TrajectorySegmenter:
        """Find segments.

        Parameters
        ----------
        panel : frame
            Histories, as the estimator was fitted on.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a plan is missing for the features, or all clusters are smaller than `min_size`.
        """
        owner = type(self).__name__
        self._check_parameters(owner)
        ids, values = self._features(panel)
        self._scaler = StandardScaler().fit(values) if self.scale else None
        values = self._scaled(values)
        clusterer = self.clusterer
        if clusterer is None:
            clusterer = KMeans(4, n_init=10, random_state=0)
        self.clusterer_ = clone(clusterer).fit(values)
        found = np.asarray(self.clusterer_.predict(values))
        self._merge(owner, found, values)
        self.ids_ = ids
        self.labels_ = self._merged(found, values)
        self.n_segments_ = len(self._centers)
        self.stability_ = self._stability(panel)
        return self

    def predict(self, panel: Any) -> npt.NDArray[np.int64]:
        """Return the segment of each unit, units in the sorted order of their ids.

        Parameters
        ----------
        panel : frame
            Histories of these or of new units.

        Returns
        -------
        int64 array of shape (n_units,)
        """
        check_is_fitted(self)
        values = self._scaled(self._features(panel)[1])
        return self._merged(np.asarray(self.clusterer_.predict(values)), values)

    def transform(self, panel: Any) -> pd.DataFrame:
        """Return one row a unit: its id and its segment.

        Parameters
        ----------
        panel : frame
            Histories of these or of new units.

        Returns
        -------
        DataFrame with columns id and segment
        """
        check_is_fitted(self)
        name = self.estimator._roles.id
        return pd.DataFrame({name: self._ids(panel), "segment": self.predict(panel)})

    def _ids(self, panel: Any) -> npt.NDArray[Any]:
        ids: npt.NDArray[Any] = self.estimator._read(panel).ids
        return ids

    def _features(self, panel: Any) -> tuple[npt.NDArray[Any], Float]:
        """Return ids and one row of features a unit."""
        ids = self._ids(panel)
        if callable(self.features):
            values = np.asarray(self.features(self.estimator, panel), dtype=np.float64)
        elif self._kind == "representation":
            values = np.asarray(self.estimator.transform(panel, origin=self.origin))
        else:
            values = self._predictions(panel, len(ids))
        if values.ndim != 2 or len(values) != len(ids) or not np.isfinite(values).all():
            raise ValueError(
                f"{type(self).__name__}: `features` must give one row of finite numbers for each of "
                f"the {len(ids)} units; the shape is {values.shape}."
            )
        return ids, values

    def _predictions(self, panel: Any, n_units: int) -> Float:
        if self._kind == "contrasts":
            table = self.estimator.effect(panel, self.plan, self.reference, origin=self.origin)
            names = self.estimator._effect_names()
            contrasts: Float = table[list(names)].to_numpy().reshape(n_units, -1)
            return contrasts
        plans = [plan for plan in (self.plan, self.reference) if plan is not None]
        names = self.estimator._roles.outcome
        blocks = [
            self.estimator.predict(panel, plan, origin=self.origin)[list(names)]
            .to_numpy()
            .reshape(n_units, -1)
            for plan in plans
        ]
        return np.hstack(blocks)

    @property
    def _kind(self) -> Any:
        """Resolve "auto"."""
        if not isinstance(self.features, str) or self.features != "auto":
            return self.features
        if self.plan is None:
            return "representation"
        return "potential_outcomes" if self.reference is None else "contrasts"

    def _stability(self, panel: Any) -> float:
        """Compare the segments that refits give."""
        parts: list[Float] = []
        if self._kind == "representation":
            n_models = getattr(self.estimator, "n_models", 1)
            values = np.asarray(self.estimator.transform(panel, origin=self.origin))
            parts = np.split(values, n_models, axis=1)
        elif self._kind == "contrasts":
            data = self.estimator._read(panel)
            origins, _ = self.estimator._origins(data, self.origin)
            found = self.estimator._replicates(data, origins, self.plan, self.reference)
            parts = list(found.reshape(len(found), data.n_units, -1))
        if len(parts) < 2:
            return float("nan")
        is_resampled = self._kind == "contrasts" and self.estimator._is_resampled
        if is_resampled:
            parts = parts[1 : 1 + _MOST_RESAMPLES]
        segments = [self._cluster(part) for part in parts]
        if is_resampled:
            return float(np.mean([adjusted_rand_score(self.labels_, one) for one in segments]))
        return float(np.mean([adjusted_rand_score(*pair) for pair in combinations(segments, 2)]))

    def _cluster(self, values: Float) -> npt.NDArray[Any]:
        scaled = StandardScaler().fit_transform(values) if self.scale else values
        return np.asarray(clone(self.clusterer_).fit(scaled).predict(scaled))

    def _scaled(self, values: Float) -> Float:
        if self._scaler is None:
            return values
        scaled: Float = self._scaler.transform(values)
        return scaled

    def _merge(self, owner: str, found: npt.NDArray[Any], values: Float) -> None:
        """Decide which clusters are large enough; remember their means."""
        labels, counts = np.unique(found[found >= 0], return_counts=True)
        kept = labels[counts >= self.min_size]
        if len(kept) == 0:
            raise ValueError(
                f"{owner}: no cluster has min_size={self.min_size} units (sizes {listed(counts)}, "
                f"{int((found < 0).sum())} units are noise). Lower `min_size`, or ask for fewer clusters."
            )
        self._kept = kept
        self._centers = np.stack([values[found == label].mean(axis=0) for label in kept])
        self.n_merged_ = len(labels) - len(kept)

    def _merged(self, found: npt.NDArray[Any], values: Float) -> npt.NDArray[np.int64]:
        """Give the segments that were kept their numbers; others join the nearest, noise stays."""
        out = np.full(len(found), -1, dtype=np.int64)
        for position, label in enumerate(self._kept):
            out[found == label] = position
        small = (found >= 0) & (out < 0)
        if small.any():
            gaps = ((values[small][:, None] - self._centers) ** 2).sum(axis=2)
            out[small] = gaps.argmin(axis=1)
        return out

    def _check_parameters(self, owner: str) -> None:
        check_is_fitted(self.estimator)
        if not callable(self.features):
            check_option(owner, "features", self.features, FEATURES)
            if self._kind == "representation" and not hasattr(self.estimator, "transform"):
                raise TypeError(
                    f"{owner}: {type(self.estimator).__name__} has no representation. Give "
                    "`plan` and `reference`, whose effects are then clustered."
                )
            needed = {"potential_outcomes": ("plan",), "contrasts": ("plan", "reference")}
            missing = [n for n in needed.get(self._kind, ()) if getattr(self, n) is None]
            if missing:
                raise ValueError(
                    f"{owner}: features={self.features!r} needs {' and '.join(missing)}. Pass them "
                    "to the constructor."
                )
        if self.clusterer is not None and not hasattr(self.clusterer, "predict"):
            raise TypeError(
                f"{owner}: {type(self.clusterer).__name__} cannot label new units, as it has no "
                "`predict`. Use KMeans, a Gaussian mixture, or segcate.segmentation's "
                "HDBSCANSegmenter."
            )
        check_count(owner, "min_size", self.min_size, 1)
