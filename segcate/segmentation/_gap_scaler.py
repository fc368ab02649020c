"""Scale columns with gaps: the mean replaces a missing value, and a 0/1 column marks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

from segcate._inputs.arrays import Float


class GapScaler(StandardScaler):  # type: ignore[misc]
    """A StandardScaler that fills gaps with the mean and appends a 0/1 column for each with gaps.

    The added columns are not scaled: a gap counts one unit in the distance, the same as one
    standard deviation of a number. Where gaps mark the clusters, a simulation found them with an
    adjusted Rand index of .79 (.75 with scaled columns, .60 with the mean alone). Clusters that
    gaps do not mark suffered less from them than from scaled columns.

    Attributes
    ----------
    gaps_ : intp array of shape (n_with_gaps,), columns that had gaps in fit
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> GapScaler:
        """Learn means, standard deviations and which columns have gaps."""
        super().fit(X, y, sample_weight)
        self.gaps_ = np.flatnonzero(np.isnan(np.asarray(X)).any(axis=0))
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Float:
        """Scale, fill and append."""
        return fill_gaps(np.asarray(super().transform(X, copy=copy)), self.gaps_, 0.0)

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Float:
        """Return the columns themselves in their own units."""
        return np.asarray(super().inverse_transform(X[:, : self.n_features_in_], copy=copy))


def fill_gaps(values: Float, gaps: npt.NDArray[np.intp], fill: Any) -> Float:
    """Fill missing values, and append a 0/1 column for each of the columns `gaps`."""
    missing = np.isnan(values)
    filled = np.where(missing, fill, values)
    return np.hstack([filled, missing[:, gaps].astype(np.float64)])
