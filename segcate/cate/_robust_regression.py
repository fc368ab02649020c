"""Least squares of y on treatment, covariates and their products, with a robust covariance.

White (1980) and MacKinnon & White (1985) for independent rows, Liang & Zeger (1986) for clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._statistics.intervals import freedom_of_rows
from segcate._statistics.least_squares import LeastSquares, least_squares
from segcate._statistics.sandwich import (
    FULL_LEVERAGE,
    cluster_factor,
    cluster_scores,
    row_factor,
    row_scores,
)
from segcate.effects._table.segment_estimate import grouped_rows

# A combination of terms depends on a row of leverage 1 if this share of its variance, or more, comes
# from there; a smaller share is rounding.
_TOUCHES = 1e-9


@dataclass(frozen=True, slots=True)
class InteractionFit:
    """A regression on ``1, D, Z, D x Z[:, moderators]``, with D and Z centred at their means.

    Attributes
    ----------
    coef : float64 array of shape (n_terms,); 0 for aliased terms
    covariance : float64 array of shape (n_terms, n_terms)
    bread : float64 array of shape (n_terms, n_terms), inverse of the normal equations
    unknown : float64 array of shape (n_terms, n_terms)
        The part of `bread` due to rows of leverage 1, whose residual is 0 whatever their error.
    kept : bool array of shape (n_terms,), False for aliased terms
    center_treatment : float64 array of shape (n_columns of D,)
    center : float64 array of shape (n_columns of Z,)
    moderators : intp array of shape (n_moderators,), columns of Z that stand in products
    n_rows : rows of positive weight
    dof : degrees of freedom of the coefficients; not positive where nothing is left for the variance
    effect_dof : those of the effects, no more than the smallest arm leaves beside its coefficients
    """

    coef: Float
    covariance: Float
    bread: Float
    unknown: Float
    kept: npt.NDArray[np.bool_]
    center_treatment: Float
    center: Float
    moderators: Int
    n_rows: int
    dof: int
    effect_dof: float

    @property
    def n_treatments(self) -> int:
        """Count the columns of the treatment."""
        return len(self.center_treatment)


def fit_interactions(
    D: Float,
    Z: Float,
    moderators: Int,
    y: Float,
    *,
    weight: Float | None,
    groups: Int | None,
    kind: str,
) -> InteractionFit:
    """Fit by (weighted) least squares and compute the robust covariance.

    Columns are centred first. Otherwise the product of the treatment and a covariate far from 0, such
    as a year, would be collinear with the treatment.

    Parameters
    ----------
    D : float64 array of shape (n_rows, n_treatments)
        The dose, or a 0/1 column for each arm but the control.
    Z : float64 array of shape (n_rows, n_covariates)
    moderators : intp array of shape (n_moderators,)
    y : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,) or None
    groups : intp codes of shape (n_rows,) or None
    kind : {"hc0", "hc1", "hc2", "hc3", "group"}
    """
    if weight is not None and not weight.all():
        used = weight > 0
        D, Z, y, weight = D[used], Z[used], y[used], weight[used]
        groups = None if groups is None else groups[used]
    center = np.average(Z, axis=0, weights=weight) if Z.shape[1] else np.zeros(0)
    is_dose = D.shape[1] == 1 and not np.isin(D, (0.0, 1.0)).all()
    center_treatment = np.average(D, axis=0, weights=weight) if is_dose else np.zeros(D.shape[1])
    design = interaction_design(D - center_treatment, Z - center, moderators)
    fit = least_squares(design, y, weight)
    arms = None if is_dose else (D @ np.arange(1, D.shape[1] + 1)).astype(np.intp)
    covariance, unknown, dof = _covariance(design, y, fit, weight, groups, arms, kind)
    effect_dof: float = dof
    if arms is not None and kind != "group":
        slopes = fit.kept[1 + D.shape[1] + Z.shape[1] :].reshape(D.shape[1], -1).sum(axis=1)
        spare = int(np.bincount(arms, minlength=D.shape[1] + 1).min()) - int(slopes.max())
        effect_dof = min(dof, freedom_of_rows(spare))
    return InteractionFit(
        coef=fit.coef,
        covariance=covariance,
        bread=fit.bread,
        unknown=unknown,
        kept=fit.kept,
        center_treatment=center_treatment,
        center=center,
        moderators=moderators,
        n_rows=len(y),
        dof=dof,
        effect_dof=float(effect_dof),
    )


def interaction_design(D: Float, Z: Float, moderators: Int) -> Float:
    """Put ``1, D, Z, D x Z[:, moderators]`` side by side."""
    products = [D[:, [k]] * Z[:, moderators] for k in range(D.shape[1])]
    return np.column_stack([np.ones(len(D)), D, Z, *products])


def _covariance(
    design: Float,
    y: Float,
    fit: LeastSquares,
    weight: Float | None,
    groups: Int | None,
    arms: Int | None,
    kind: str,
) -> tuple[Float, Float, int]:
    """Return the covariance of the coefficients, its unknown part, and the degrees of freedom."""
    n, k = len(y), fit.rank
    unknown = np.zeros_like(fit.bread)
    if n <= k:
        return np.full_like(fit.bread, np.nan), unknown, 0
    root = np.ones(n) if weight is None else np.sqrt(weight)
    columns, residual = design * root[:, None], (y - design @ fit.coef) * root
    if kind == "group" and groups is not None:
        covariance, dof = _clustered(columns, residual, fit, groups, arms)
        return covariance, unknown, dof
    scores, leverage = row_scores(columns, residual, fit.bread, kind)
    if kind in ("hc2", "hc3"):
        is_own = leverage > FULL_LEVERAGE
        scores[is_own] = 0.0
        own = columns[is_own] @ fit.bread
        unknown = own.T @ own
    return row_factor(kind, n, k) * (scores.T @ scores), unknown, n - k


def _clustered(
    columns: Float, residual: Float, fit: LeastSquares, groups: Int, arms: Int | None
) -> tuple[Float, int]:
    """Sum the rows' scores within groups: CR1, or CR3 where few groups were treated whole.

    NaN where groups are no more than parameters, where one holds a whole arm or a coefficient.
    `arms` is None for doses.
    """
    n, k = columns.shape[0], fit.rank
    grouped = grouped_rows(groups, np.zeros(n, dtype=np.intp) if arms is None else arms)
    n_groups = len(grouped.names)
    nothing = np.full_like(fit.bread, np.nan)
    if n_groups <= k or grouped.n_smaller < 2:
        return nothing, 0
    leaves_out = arms is not None and grouped.leaves_out
    scores, _ = cluster_scores(columns, residual, fit.bread, grouped.codes, leaves_out=leaves_out)
    if np.isnan(scores).any():
        return nothing, 0
    factor = cluster_factor(n_groups, n, k, leaves_out=leaves_out)
    return factor * (scores.T @ scores), int(grouped.freedom)


def effects_of(fit: InteractionFit, Z: Float) -> Float:
    """Return the effect of one unit of each treatment column on each row, (n_rows, n_treatments)."""
    moderated = (Z - fit.center)[:, fit.moderators]
    start = 1 + fit.n_treatments + len(fit.center)
    slopes = fit.coef[start:].reshape(fit.n_treatments, len(fit.moderators))
    effects: Float = fit.coef[1 : 1 + fit.n_treatments] + moderated @ slopes.T
    return effects


def effect_std_error(fit: InteractionFit, Z: Float) -> Float:
    """Return the standard error of each of `effects_of`; NaN where it depends on a row of leverage 1."""
    moderated = (Z - fit.center)[:, fit.moderators]
    target = np.column_stack([np.ones(len(Z)), moderated])
    std_error = np.empty((len(Z), fit.n_treatments))
    start = 1 + fit.n_treatments + len(fit.center)
    for k in range(fit.n_treatments):
        own = start + k * len(fit.moderators) + np.arange(len(fit.moderators))
        terms = np.concatenate([[1 + k], own]).astype(np.intp)
        std_error[:, k] = _std_errors(fit, target, terms)
    return std_error


def _std_errors(fit: InteractionFit, targets: Float, terms: Int) -> Float:
    """Return the standard errors of combinations of `terms`, one a row of `targets`."""
    block = np.ix_(terms, terms)
    variance = _quadratic(targets, fit.covariance[block])
    std_error: Float = np.sqrt(np.maximum(variance, 0.0))
    if fit.unknown.any():
        touches = _quadratic(targets, fit.unknown[block]) > _TOUCHES * _quadratic(
            targets, fit.bread[block]
        )
        std_error[touches] = np.nan
    return std_error


def _quadratic(targets: Float, matrix: Float) -> Float:
    form: Float = np.einsum("ij,ij->i", targets @ matrix, targets)
    return form


def raw_terms(fit: InteractionFit) -> tuple[Float, Float]:
    """Return coefficients and standard errors of the terms ``1, D, Z, D x Z`` as they stand in X.

    Aliased terms are NaN in both.
    """
    to_raw = _to_raw(fit)
    coef = to_raw @ fit.coef
    std_error = _std_errors(fit, to_raw, np.arange(len(coef)))
    coef[~fit.kept], std_error[~fit.kept] = np.nan, np.nan
    return coef, std_error


def _to_raw(fit: InteractionFit) -> Float:
    """Matrix that turns coefficients of centred columns into those of the raw ones."""
    n_d, n_z = fit.n_treatments, len(fit.center)
    to_raw = np.eye(len(fit.coef))
    to_raw[0, 1 : 1 + n_d] = -fit.center_treatment
    to_raw[0, 1 + n_d : 1 + n_d + n_z] = -fit.center
    for k in range(n_d):
        for j, column in enumerate(fit.moderators):
            term = 1 + n_d + n_z + k * len(fit.moderators) + j
            to_raw[1 + k, term] = -fit.center[column]
            to_raw[1 + n_d + column, term] = -fit.center_treatment[k]
            to_raw[0, term] = fit.center_treatment[k] * fit.center[column]
    return to_raw
