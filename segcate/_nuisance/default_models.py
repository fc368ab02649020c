"""The default nuisance models: lines, curves with products, boosted trees, and the plain mean."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import EncodedColumns, encode_columns, refuse_nothing

LEARNERS = ("lines", "curves", "trees", "mean")

_ALPHAS = 10.0 ** np.arange(-1, 6)
# Curves bend at these quantiles of a column. Products are made of at most so many columns, and a
# sample of so many rows tells enough about either.
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_MAX_COLUMNS_FOR_PRODUCTS = 30
_MAX_ROWS_FOR_CURVES = 20_000
# Boosting stops early on a tenth of the rows; with fewer of either class that tenth says nothing.
_MIN_ROWS_TO_STOP_EARLY = 200
_MIN_CLASS_TO_STOP_EARLY = 40
# More levels of a text column than this cannot have a 0/1 column each.
_MOST_LEVELS = 1000


def encoded_covariates(owner: str, X: Any) -> Float:
    """Turn X into numbers for the default models; a missing value stays NaN or is a level."""
    encoded = encode_columns(X, range(X.shape[1]), owner=owner)
    check_encoded(owner, encoded)
    return encoded.values


def check_encoded(owner: str, encoded: EncodedColumns) -> None:
    """Refuse columns that the default models cannot take: of very many levels, or infinite."""
    refuse_nothing(owner, encoded)
    for kind in encoded.kinds:
        if len(kind.levels) > _MOST_LEVELS:
            raise ValueError(
                f"{owner}: column {kind.name!r} of X has {len(kind.levels)} different values in "
                f"{len(encoded.values)} rows; each would be a 0/1 column. Drop it, or group its "
                "values."
            )
    n_infinite = np.isinf(encoded.values).sum(axis=0)
    for name, n in zip(encoded.names, n_infinite.tolist(), strict=True):
        if n:
            raise ValueError(
                f"{owner}: X contains infinity in column {name!r} ({n} rows). Replace those "
                "values or drop the rows first."
            )


def learning_rows(learner: str, rows: Int, seed: int) -> Int:
    """Return the rows to fit on: a sample where the learner would gain nothing from all."""
    if learner != "curves" or len(rows) <= _MAX_ROWS_FOR_CURVES:
        return rows
    rng = np.random.RandomState(seed)
    return np.sort(rng.choice(rows, _MAX_ROWS_FOR_CURVES, replace=False))


def fit_predict_default(
    learner: str,
    X_train: Float,
    values: Float,
    X_test: Float,
    *,
    weight: Float | None,
    is_binary: bool,
    seed: int,
) -> Float:
    """Fit one of the learners; predict expected values, probabilities where values are 0 and 1."""
    if learner == "mean":
        return np.full(len(X_test), np.average(values, weights=weight))
    if learner == "trees":
        model = _boosting(values, is_binary, seed)
        return _expected(model.fit(X_train, values, sample_weight=weight), X_test)
    basis = _Basis(X_train, is_curved=learner == "curves")
    model = _fit_line(basis.of(X_train), values, weight, is_binary)
    blocks = [
        _expected(model, basis.of(X_test[start : start + _MAX_ROWS_FOR_CURVES]))
        for start in range(0, len(X_test), _MAX_ROWS_FOR_CURVES)
    ]
    return np.concatenate(blocks)


class _Basis:
    """Columns on one scale, gaps filled and marked; for curves also their bends and products."""

    def __init__(self, X: Float, *, is_curved: bool) -> None:
        self.fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        filled = self.fill.fit_transform(X)
        # the median is taken off before any mean, so that a column far from 0 keeps its digits
        self.origin: Float = np.median(filled, axis=0)
        filled = filled - self.origin
        self.first_scale = StandardScaler().fit(filled)
        self.knots: list[tuple[int, float]] = []
        self.pairs: list[tuple[int, int]] = []
        self.last_scale: StandardScaler | None = None
        if is_curved:
            scaled = self.first_scale.transform(filled)
            self.knots = [
                (j, float(knot))
                for j, column in enumerate(scaled.T)
                for knot in np.unique(np.quantile(column, _KNOTS))
                if column.min() < knot < column.max()
            ]
            if scaled.shape[1] <= _MAX_COLUMNS_FOR_PRODUCTS:
                self.pairs = list(combinations(range(scaled.shape[1]), 2))
            self.last_scale = StandardScaler().fit(self._curved(scaled))

    def of(self, X: Float) -> Float:
        scaled: Float = self.first_scale.transform(self.fill.transform(X) - self.origin)
        if self.last_scale is None:
            return scaled
        curved: Float = self.last_scale.transform(self._curved(scaled))
        return curved

    def _curved(self, scaled: Float) -> Float:
        bends = (np.maximum(scaled[:, j] - knot, 0.0) for j, knot in self.knots)
        products = (scaled[:, i] * scaled[:, j] for i, j in self.pairs)
        return np.column_stack([scaled, *bends, *products])


@dataclass(frozen=True, slots=True)
class _Ridge:
    """A fitted ridge regression."""

    alpha: float
    coef: Float
    intercept: float

    def predict(self, X: Float) -> Float:
        predicted: Float = X @ self.coef + self.intercept
        return predicted


def _fit_ridge(X: Float, y: Float, weight: Float | None) -> _Ridge:
    """Fit a ridge regression whose penalty minimises the generalised cross-validation error.

    Golub, Heath & Wahba (1979). All penalties are tried on one decomposition of the Gram matrix,
    so the cost is one pass over the rows.
    """
    n = len(y)
    root = np.ones(n) if weight is None else np.sqrt(weight * n / weight.sum())
    center = np.average(X, axis=0, weights=weight)
    y_center = float(np.average(y, weights=weight))
    rows, target = (X - center) * root[:, None], (y - y_center) * root
    size, directions = np.linalg.eigh(rows.T @ rows)
    size = np.maximum(size, 0.0)[:, None]
    along = (directions.T @ (rows.T @ target))[:, None]
    coef = along / (size + _ALPHAS)
    loss = target @ target - 2.0 * (along * coef).sum(axis=0) + (size * coef**2).sum(axis=0)
    spare = n - 1.0 - (size / (size + _ALPHAS)).sum(axis=0)
    best = int(np.argmin(np.where(spare > 0, loss, np.inf) / np.maximum(spare, 1e-9) ** 2))
    beta = directions @ coef[:, best]
    return _Ridge(float(_ALPHAS[best]), beta, y_center - float(center @ beta))


def _fit_line(X: Float, values: Float, weight: Float | None, is_binary: bool) -> Any:
    """Fit a ridge, or for 0/1 a logistic, regression with a penalty that suits the data.

    Logistic rows count p (1 - p) each, so its penalty shrinks like alpha where C is 1 / (alpha p
    (1 - p)): the alpha of the linear probability model is carried over.
    """
    ridge = _fit_ridge(X, values, weight)
    if not is_binary:
        return ridge
    share = float(np.average(values, weights=weight))
    penalty = 1.0 / (ridge.alpha * share * (1.0 - share))
    model = LogisticRegression(C=penalty, solver="newton-cholesky", max_iter=200)
    return model.fit(X, values, sample_weight=weight)


def _boosting(values: Float, is_binary: bool, seed: int) -> Any:
    n = len(values)
    rarer = min(values.sum(), n - values.sum()) if is_binary else n
    stops_early = n >= _MIN_ROWS_TO_STOP_EARLY and rarer >= _MIN_CLASS_TO_STOP_EARLY
    boosting = HistGradientBoostingClassifier if is_binary else HistGradientBoostingRegressor
    return boosting(
        max_iter=500 if stops_early else 50,
        max_leaf_nodes=8,
        min_samples_leaf=10,
        early_stopping=bool(stops_early),
        n_iter_no_change=20,
        random_state=seed,
    )


def _expected(model: Any, X: Float) -> Float:
    values = model.predict_proba(X)[:, 1] if hasattr(model, "predict_proba") else model.predict(X)
    return np.asarray(values, dtype=np.float64)
