"""The default nuisance models: lines, curves, boosted trees, and the plain mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._nuisance.fold_regression import Response, fit_ridge, fit_sparse, predict_folds

LEARNERS = ("lines", "curves", "trees", "mean")

# Boosting stops early on a tenth of the rows; with fewer of either class that tenth says nothing.
_MIN_ROWS_TO_STOP_EARLY = 200
_MIN_CLASS_TO_STOP_EARLY = 40
# Rows without a gain that a leaf counts beside its own. A row of 0 and 1 counts as much as it may vary, so
# that leaves of rare events are not shrunk to nothing.
_SHRINKAGE, _CHANCE_SHRINKAGE = 5.0, 20.0


@dataclass(frozen=True, slots=True)
class Folds:
    """Rows that models are fitted on, and the rows that they predict.

    Attributes
    ----------
    train : bool arrays of shape (n_rows,), one a fold
    test : intp arrays, positions of the rows of each fold
    """

    train: tuple[npt.NDArray[np.bool_], ...]
    test: tuple[Int, ...]


def predict_by_curves(
    learner: str, curves: Curves, responses: Sequence[Response], folds: Folds, weight: Float | None
) -> list[Float]:
    """Predict by ridge regressions on lines alone, or by sparse ones on lines and curves."""
    fit = fit_sparse
    if learner == "lines":
        fit = fit_ridge
        none, size = np.empty(0, dtype=np.intp), np.empty(0)
        curves = replace(
            curves, bent=none, knot=size, first=none, second=none, squared=none, size=size
        )
    return predict_folds(curves, responses, folds.train, folds.test, weight, fit)


def predict_by_means(response: Response, folds: Folds, weight: Float | None) -> Float:
    """Predict the mean of the training rows."""
    out = np.empty(len(response.values))
    for train, test in zip(folds.train, folds.test, strict=True):
        rows = np.flatnonzero(response.rows & train)
        w = None if weight is None else weight[rows]
        out[test] = np.average(response.values[rows], weights=w)
    return out


def predict_by_trees(
    X_train: Float,
    values: Float,
    X_test: Float,
    *,
    weight: Float | None,
    is_binary: bool,
    seed: int,
) -> Float:
    """Fit boosted trees; predict expected values, probabilities where values are 0 and 1.

    Notes
    -----
    Half as many bins as by default, steps of .15 and 7 rounds without a gain save time, and trees of 12
    leaves follow steps of products better than those of 8. The penalty on leaves makes up for the longer
    steps. With 63 bins, steps of .2 and no penalty errors rose by up to 18 %.
    """
    if (values == values[0]).all():
        return np.full(len(X_test), values[0])
    share = float(np.average(values, weights=weight))
    model = _boosting(values, is_binary, share, seed).fit(X_train, values, sample_weight=weight)
    found = model.predict_proba(X_test)[:, 1] if is_binary else model.predict(X_test)
    return np.asarray(found, dtype=np.float64)


def _boosting(values: Float, is_binary: bool, share: float, seed: int) -> Any:
    n = len(values)
    rarer = min(values.sum(), n - values.sum()) if is_binary else n
    stops_early = n >= _MIN_ROWS_TO_STOP_EARLY and rarer >= _MIN_CLASS_TO_STOP_EARLY
    boosting = HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor
    return boosting(
        max_iter=200 if stops_early else 33,
        learning_rate=0.15,
        max_leaf_nodes=12,
        max_bins=127,
        min_samples_leaf=10,
        l2_regularization=_CHANCE_SHRINKAGE * share * (1 - share) if is_binary else _SHRINKAGE,
        early_stopping=bool(stops_early),
        n_iter_no_change=7,
        random_state=seed,
    )
