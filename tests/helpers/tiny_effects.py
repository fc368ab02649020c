"""The smallest segmenter and effect estimator that keep the contract, to test searches with."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.effect_data import check_effect_data
from segcate._inputs.segments import code_segments
from segcate.base import EffectEstimatorMixin


class QuantileSegmenter(BaseEstimator):
    """Append the quantile bin of a column, cut where the training rows were cut."""

    def __init__(self, n_bins=2, column=0, seen=None):
        self.n_bins = n_bins
        self.column = column
        self.seen = seen

    def fit(self, X, y=None):
        values = np.asarray(X)[:, self.column].astype(float)
        self.edges_ = np.quantile(values, np.arange(1, self.n_bins) / self.n_bins)
        if self.seen is not None:
            self.seen.append(len(values))
        return self

    def transform(self, X):
        check_is_fitted(self)
        values = np.asarray(X)
        segment = np.searchsorted(self.edges_, values[:, self.column].astype(float))
        return np.column_stack([values.astype(float), segment])


class SegmentDifference(EffectEstimatorMixin, BaseEstimator):
    """Difference in means in every segment (the last column); NaN or 0 where an arm is empty."""

    def __init__(self, shrink=0.0, gaps=0.0):
        self.shrink = shrink
        self.gaps = gaps

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        data = check_effect_data(
            self,
            X,
            y,
            treatment=treatment,
            segment=-1,
            sample_weight=sample_weight,
            groups=groups,
            propensity=propensity,
        )
        weight = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
        codes, is_treated = data.segment.codes, data.treatment == 1
        mean = [
            np.bincount(codes[rows], weights=(weight * data.y)[rows], minlength=codes.max() + 1)
            / np.maximum(
                np.bincount(codes[rows], weights=weight[rows], minlength=codes.max() + 1), 1e-9
            )
            for rows in (~is_treated, is_treated)
        ]
        self.segment_labels_ = data.segment.labels
        self.effect_ = (mean[1] - mean[0]) * (1 - self.shrink)
        self.n_rows_ = data.n_rows
        self.n_groups_ = None if data.groups is None else len(set(data.groups.tolist()))
        self.saw_propensity_ = data.propensity is not None
        self.saw_weight_ = data.sample_weight is not None
        return self

    def predict(self, X):
        check_is_fitted(self)
        found = code_segments("SegmentDifference", X, np.asarray(X).shape[1] - 1)
        table = dict(zip(self.segment_labels_.tolist(), self.effect_.tolist(), strict=True))
        effects = np.array([table.get(label, self.gaps) for label in found.labels.tolist()])
        return effects[found.codes]

    def summary(self):
        return f"{len(self.effect_)} segments"

    @property
    def effects_(self):
        return pd.DataFrame({"effect": self.effect_}, index=self.segment_labels_)

    @property
    def overall_(self):
        return float(self.effect_.mean())

    @property
    def heterogeneity_(self):
        return float(self.effect_.var())


def experiment(n=400, seed=0, as_frame=False):
    """Make a randomised experiment whose effect is 2 where the first column is positive, else 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    treatment = rng.permutation(np.arange(n) % 2)
    y = X[:, 1] + 2.0 * treatment * (X[:, 0] > 0) + rng.normal(size=n)
    if as_frame:
        index = pd.Index(rng.permutation(n) + 1000)
        X = pd.DataFrame(X, columns=["a", "b", "c"], index=index)
        y, treatment = pd.Series(y, index=index), pd.Series(treatment, index=index)
    return X, y, treatment
