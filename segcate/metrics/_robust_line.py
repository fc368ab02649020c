"""Weighted least squares with robust covariance, for a handful of columns and many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from segcate._validation import Float, Int, check_option

CovarianceKind = Literal["HC3", "HC1", "const"]

__all__ = ["CovarianceKind", "Line", "check_covariance_kind", "fit_line"]

# A unit with this much leverage holds a coefficient alone; 1 / (1 - leverage) is rounding then.
_FULL_LEVERAGE = 1.0 - 1e-9


@dataclass(frozen=True, slots=True)
class Line:
    """Coefficients and their covariance.

    Attributes
    ----------
    coefficients : float64 array of shape (n_columns,)
    covariance : float64 array of shape (n_columns, n_columns)
    df : degrees of freedom for t: units - columns for rows, clusters - 1 for clusters
    """

    coefficients: Float
    covariance: Float
    df: int


def check_covariance_kind(owner: str, cov: str, *, is_clustered: bool) -> None:
    """Raise unless the kind is known and takes clusters where there are some."""
    check_option(owner, "cov", cov, get_args(CovarianceKind))
    if cov == "const" and is_clustered:
        raise ValueError(
            f"{owner}: cov='const' takes all rows as independent, and `groups` says that they are "
            "not. Use cov='HC3' or 'HC1' (for clusters then), or leave `groups` out."
        )


def fit_line(
    owner: str,
    columns: Float,
    y: Float,
    weight: Float | None,
    clusters: Int | None,
    cov: CovarianceKind,
) -> Line:
    """Regress y on columns; HC1 and HC3 are those of clusters where there are any.

    HC3 for clusters leaves each out in turn (CR3); with clusters of one row it is HC3.
    """
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    X, target = columns * root[:, None], y * root
    n, k = X.shape
    bread: Float = np.linalg.inv(X.T @ X).astype(np.float64)
    coefficients = bread @ (X.T @ target)
    residual = target - X @ coefficients
    if cov == "const":
        return Line(coefficients, bread * (residual @ residual) / (n - k), n - k)
    scores = X * residual[:, None]
    if clusters is not None:
        scores = _sums(scores, clusters)
    n_units = len(scores)
    df = n - k if clusters is None else n_units - 1
    if cov == "HC1":
        factor = n / (n - k) if clusters is None else n_units / (n_units - 1) * (n - 1) / (n - k)
        return Line(coefficients, factor * bread @ (scores.T @ scores) @ bread, df)
    outside = _left_out(owner, X, scores, bread, clusters)
    return Line(coefficients, bread @ (outside.T @ outside) @ bread, df)


def _left_out(owner: str, X: Float, scores: Float, bread: Float, clusters: Int | None) -> Float:
    """Return the scores of the units, inflated by what each does to its own fit."""
    if clusters is None:
        leverage = ((X @ bread) * X).sum(axis=1)
        _refuse_full(owner, float(leverage.max()), "row")
        inflated: Float = scores / (1.0 - leverage)[:, None]
        return inflated
    k = X.shape[1]
    products = _sums((X[:, :, None] * X[:, None, :]).reshape(len(X), k * k), clusters)
    hat = products.reshape(-1, k, k) @ bread
    left = np.eye(k) - hat
    # Its eigenvalues are one minus those of a block of the hat matrix, all inside [0, 1].
    _refuse_full(owner, 1.0 - float(np.linalg.det(left).min()), "group")
    solved: Float = np.linalg.solve(left, scores[:, :, None])[:, :, 0].astype(np.float64)
    return solved


def _sums(values: Float, clusters: Int) -> Float:
    """Sum the rows of each cluster, column by column."""
    sums = [np.bincount(clusters, weights=column).astype(np.float64) for column in values.T]
    return np.column_stack(sums)


def _refuse_full(owner: str, leverage: float, unit: str) -> None:
    if leverage > _FULL_LEVERAGE:
        raise ValueError(
            f"{owner}: one {unit} alone decides a coefficient (leverage {leverage:.6f}), so "
            f"cov='HC3' is not defined. Use cov='HC1', or more {unit}s with predictions that differ."
        )
