"""Linear combinations of estimates: standard errors, adjusted p-values and one test of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.intervals import Law
from segcate._statistics.joint_tests import RANK_TOLERANCE, WaldTest, wald_test
from segcate._statistics.multiplicity import holm


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Linear combinations of effects, one entry a combination.

    Attributes
    ----------
    matrix : float array of shape (n_contrasts, n_segments), the coefficients
    estimate : float array of shape (n_contrasts,), in units of the effects
    std_error : float array of shape (n_contrasts,)
    z : float array of shape (n_contrasts,), estimate / std_error
    p_value : float array of shape (n_contrasts,), two-sided
    p_adjusted : float array of shape (n_contrasts,), Holm over the contrasts that have a p-value
    joint : WaldTest that all contrasts with an estimate and a standard error are zero
    """

    matrix: Float
    estimate: Float
    std_error: Float
    z: Float
    p_value: Float
    p_adjusted: Float
    joint: WaldTest


def pairwise_matrix(n_segments: int) -> Float:
    """Return the coefficients of all differences, effect i minus effect j for i < j.

    Parameters
    ----------
    n_segments : int, at least 0

    Returns
    -------
    float array of shape (n_segments (n_segments - 1) / 2, n_segments)
        Rows run through (0, 1), (0, 2), ..., (1, 2), ...

    Examples
    --------
    >>> pairwise_matrix(3)
    array([[ 1., -1.,  0.],
           [ 1.,  0., -1.],
           [ 0.,  1., -1.]])
    """
    first, second = np.triu_indices(n_segments, k=1)
    matrix = np.zeros((len(first), n_segments))
    rows = np.arange(len(first))
    matrix[rows, first] = 1.0
    matrix[rows, second] = -1.0
    return matrix


def contrasts(
    effect: npt.ArrayLike,
    covariance: npt.ArrayLike,
    matrix: npt.ArrayLike | None = None,
    *,
    df: npt.ArrayLike | None = None,
    segment_df: npt.ArrayLike | None = None,
    group_df: float | None = None,
) -> Contrasts:
    """Estimate linear combinations of segment effects and test each and all.

    All pairwise differences without `matrix`. A combination that gives weight to a segment whose
    effect or variance is NaN is NaN itself. One whose standard error is zero (a sign of too few
    outcomes, not of certainty) has no z and no p-value. Neither counts for Holm or the joint test.

    Parameters
    ----------
    effect : array-like of shape (n_segments,). NaN for a segment without an estimate
    covariance : array-like of shape (n_segments, n_segments) or (n_segments,). Of the effects; for
        independent segments their variances
    matrix : array-like of shape (n_contrasts, n_segments) or (n_segments,), default=None.
        Coefficients, one row a combination. None means all differences (`pairwise_matrix`)
    df : array-like of shape (n_contrasts,) or scalar, default=None. Degrees of freedom (> 0) of a
        t reference law for the single contrasts, for instance number of groups - 1. None means the
        normal law
    segment_df : array-like of shape (n_segments,), default=None. Degrees of freedom of the
        segments' variances, for the joint test; None means known variances
    group_df : float, default=None. Degrees of freedom of a covariance that groups in several
        segments make, for the joint test

    Returns
    -------
    Contrasts

    Raises
    ------
    ValueError
        If shapes do not fit, a coefficient is not finite, a row of `matrix` is all zero, the
        covariance is not symmetric or has a negative variance, or `df` is not positive.

    Notes
    -----
    With C the matrix and V the covariance: C t, sqrt(diag(C V C')), z, two-sided p, Holm; joint
    statistic (C t)' (C V C')^+ (C t) with rank(C V C') degrees of freedom, its law that of
    `wald_test`.

    Examples
    --------
    >>> import numpy as np
    >>> found = contrasts([3.0, 1.0, 1.0], np.diag([0.5, 0.5, 0.5]))
    >>> found.estimate
    array([2., 2., 0.])
    >>> found.p_value.round(4)
    array([0.0455, 0.0455, 1.    ])
    >>> found.joint.df, round(found.joint.statistic, 4)
    (2, 5.3333)
    """
    t, v = _check_effects(effect, covariance)
    variance_of = v if v.ndim == 1 else np.diag(v)
    c = pairwise_matrix(len(t)) if matrix is None else check_contrast_matrix(matrix, len(t))
    known = np.isfinite(t) & np.isfinite(variance_of)
    testable = ~(c[:, ~known] != 0).any(axis=1)
    t0 = np.where(known, t, 0.0)
    v0 = np.where(known if v.ndim == 1 else np.outer(known, known), v, 0.0)
    estimate = np.where(testable, c @ t0, np.nan)
    variance = c**2 @ v0 if v.ndim == 1 else ((c @ v0) * c).sum(axis=1)
    roots = np.sqrt(np.where(known, variance_of, 0.0))
    is_zero = variance <= RANK_TOLERANCE * (np.abs(c) @ roots) ** 2
    std_error = np.sqrt(np.where(is_zero, 0.0, variance))
    std_error[~testable] = np.nan
    z = estimate / np.where(is_zero, np.nan, std_error)
    p_value = _two_sided(z, df)
    return Contrasts(
        matrix=c,
        estimate=estimate,
        std_error=std_error,
        z=z,
        p_value=p_value,
        p_adjusted=holm(p_value),
        joint=wald_test(t0, v0, c[np.isfinite(z)], df=segment_df, group_df=group_df),
    )


def _two_sided(z: Float, df: npt.ArrayLike | None) -> Float:
    freedom = np.asarray(np.inf if df is None else df, dtype=np.float64)
    if freedom.shape not in ((), z.shape) or (freedom <= 0).any():
        raise ValueError(
            f"`df` must be one positive number or one for each of the {len(z)} contrasts; got "
            f"{df!r}. Pass the number of groups - 1, or None for the normal law."
        )
    return np.asarray(Law(freedom).two_sided_p(z), dtype=np.float64)


def _check_effects(effect: npt.ArrayLike, covariance: npt.ArrayLike) -> tuple[Float, Float]:
    t = np.asarray(effect, dtype=np.float64)
    if t.ndim != 1:
        raise ValueError(
            f"`effect` must have one dimension; got shape {t.shape}. Pass one effect a segment."
        )
    return t, check_covariance(covariance, len(t))


def check_covariance(covariance: npt.ArrayLike, n_segments: int) -> Float:
    """Return the covariance as an array; raise unless it is square, symmetric and not negative.

    Parameters
    ----------
    covariance : array-like of shape (n_segments, n_segments). Rows and columns of a segment
        without an estimate may be NaN; or variances, of shape (n_segments,)
    n_segments : int

    Returns
    -------
    float array of shape (n_segments, n_segments), or (n_segments,)

    Raises
    ------
    ValueError
        If the shape is another, the matrix is not symmetric, a variance is negative, or a
        covariance between two effects of known variance is not finite.
    """
    v = np.asarray(covariance, dtype=np.float64)
    if v.shape == (n_segments,):
        _refuse_negative(v[np.isfinite(v)])
        return v
    if v.shape != (n_segments, n_segments):
        raise ValueError(
            f"`covariance` must have shape ({n_segments}, {n_segments}), one row and column an "
            f"effect; got {v.shape}. For independent effects pass numpy.diag(std_error**2)."
        )
    known = np.isfinite(np.diag(v))
    block = v[np.ix_(known, known)]
    n_bad = int((~np.isfinite(block)).sum())
    if n_bad:
        raise ValueError(
            f"`covariance` has {n_bad} NaN or infinite entries between effects whose variances are "
            "known. Fill them in (0 for independent effects)."
        )
    largest = np.abs(block).max(initial=0.0)
    if not np.allclose(block, block.T, rtol=1e-8, atol=1e-12 * largest):
        raise ValueError(
            "`covariance` must be symmetric; it differs from its transpose by up to "
            f"{np.abs(block - block.T).max():.3g}. Were coefficients passed in its place?"
        )
    _refuse_negative(np.diag(block))
    return v


def _refuse_negative(variance: Float) -> None:
    n_negative = int((variance < 0).sum())
    if n_negative:
        raise ValueError(
            f"`covariance` has {n_negative} negative variances on its diagonal; they must be >= 0. "
            "Check how the matrix was made."
        )


def check_contrast_matrix(matrix: npt.ArrayLike, n_segments: int) -> Float:
    """Return the coefficients as a matrix with a row for each combination; raise if they do not fit."""
    c: npt.NDArray[Any] = np.asarray(matrix, dtype=np.float64)
    c = c[np.newaxis, :] if c.ndim == 1 else c
    if c.ndim != 2 or c.shape[1] != n_segments:
        raise ValueError(
            f"`matrix` must have one column for each of the {n_segments} segments; got shape "
            f"{np.shape(matrix)}. Give segments that do not take part the coefficient 0."
        )
    if not np.isfinite(c).all():
        raise ValueError(
            f"`matrix` must hold finite coefficients; {int((~np.isfinite(c)).sum())} are NaN or "
            "infinite. Replace them, for example by 0."
        )
    n_empty = int((c == 0).all(axis=1).sum())
    if n_empty:
        raise ValueError(
            f"`matrix` has {n_empty} rows of zeros, which compare nothing. Drop those rows."
        )
    return c
