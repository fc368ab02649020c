"""Weighted least squares with robust covariance, for a handful of columns and many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_option
from segcate._statistics.sandwich import (
    FULL_LEVERAGE,
    cluster_factor,
    left_out_sums,
    sums_by_group,
)

CovarianceKind = Literal["HC3", "HC1", "const"]

__all__ = ["CovarianceKind", "Line", "check_covariance_kind", "fit_line"]


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
        scores = sums_by_group(scores, clusters)
    n_units = len(scores)
    df = n - k if clusters is None else n_units - 1
    if cov == "HC1":
        factor = n / (n - k) if clusters is None else cluster_factor(n_units, n, k)
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
    solved, most = left_out_sums(X, scores, bread, clusters)
    _refuse_full(owner, most, "group")
    return solved


def _refuse_full(owner: str, leverage: float, unit: str) -> None:
    if leverage > FULL_LEVERAGE:
        raise ValueError(
            f"{owner}: one {unit} alone decides a coefficient (leverage {leverage:.6f}), so "
            f"cov='HC3' is not defined. Use cov='HC1', or more {unit}s with predictions that differ."
        )
