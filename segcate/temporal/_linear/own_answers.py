"""How each unit moves, and answers to treatments, in its own way: random coefficients by EM.

Laird & Ware (1982). The errors of a pooled model are e_t = w_t'b + noise with w_t = (1, a_t) and b
normal over units. What is known of a unit's b at a row comes from its changes up to there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from segcate._inputs.arrays import Bool, Float

_START = 0.1
_SMALLEST = 1e-12
# Degrees of freedom of errors with long tails, and how much likelier they must be than normal ones.
_LONG, _MARGIN = 6.0, 2.0
# Median of a squared standard normal.
_MEDIAN_SQUARE = 0.455


@dataclass(frozen=True, slots=True)
class AnswerLaw:
    """How much units differ.

    Attributes
    ----------
    covariance : float64 array of shape (k, k)
        Of the coefficients over units.
    noise : float
        Variance within units.
    """

    covariance: Float
    noise: float


def fit_answers(
    errors: Float,
    regressors: Float,
    is_learned: Bool,
    weights: Float,
    *,
    n_steps: int = 15,
    start: AnswerLaw | None = None,
    has_tails: bool = False,
) -> AnswerLaw:
    """Estimate the law by EM.

    With `has_tails` errors within units follow Student's t (Lange, Little & Taylor, 1989): those that are far out
    count less.

    Parameters
    ----------
    errors : float64 array of shape (n, t)
    regressors : float64 array of shape (n, t, k)
    is_learned : bool array of shape (n, t)
    weights : float64 array of shape (n,)
        How often each unit counts.
    """
    e = np.where(is_learned, errors, 0.0)
    w = regressors * is_learned[..., None]
    inner, cross, squares = _sums(e, w, np.ones_like(e))
    n_rows = max(float(weights @ is_learned.sum(axis=1)), 1.0)
    noise = max(float(weights @ squares) / n_rows, _SMALLEST)
    if has_tails:
        noise = max(float(np.median(e[is_learned] ** 2)) / _MEDIAN_SQUARE, _SMALLEST)
    covariance = _START * noise * np.eye(w.shape[2])
    if start is not None:
        covariance, noise = start.covariance, start.noise
    share = weights / weights.sum()
    far = e**2
    for _ in range(n_steps):
        if has_tails:
            inner, cross, squares = _sums(e, w, (_LONG + 1.0) / (_LONG + far / noise))
        spread = np.linalg.inv(np.linalg.inv(covariance) + inner / noise)
        mean = (spread @ cross[..., None])[..., 0] / noise
        second = mean[:, :, None] * mean[:, None, :] + spread
        left = squares - 2.0 * (mean * cross).sum(axis=1) + (inner * second).sum(axis=(1, 2))
        covariance = np.tensordot(share, second, axes=1) + _SMALLEST * np.eye(w.shape[2])
        noise = max(float(weights @ left) / n_rows, _SMALLEST)
        if has_tails:
            far = (e - (w @ mean[..., None])[..., 0]) ** 2 + ((w @ spread) * w).sum(axis=2)
    return AnswerLaw(covariance, noise)


def _sums(e: Float, w: Float, weight: Float) -> tuple[Float, Float, Float]:
    """Return weighted sums of a unit's rows: products of regressors, with errors, and squared errors."""
    weighted = (w * weight[..., None]).transpose(0, 2, 1)
    return weighted @ w, (weighted @ e[..., None])[..., 0], (weight * e**2).sum(axis=1)


def are_long(errors: Float) -> bool:
    """Tell whether errors are likelier under Student's t of few degrees than under the normal law."""
    scale = max(float(np.median(errors**2)) / _MEDIAN_SQUARE, _SMALLEST)
    for _ in range(20):
        share = (_LONG + 1.0) / (_LONG + errors**2 / scale)
        scale = max(float(np.mean(share * errors**2)), _SMALLEST)
    by_t = stats.t.logpdf(errors, _LONG, scale=np.sqrt(scale)).sum()
    size = max(float(np.sqrt(np.mean(errors**2))), np.sqrt(_SMALLEST))
    return bool(by_t > stats.norm.logpdf(errors, scale=size).sum() + _MARGIN)


def filter_answers(errors: Float, regressors: Float, is_learned: Bool, law: AnswerLaw) -> Float:
    """Return the mean of each unit's coefficients given its errors before each row, (n, t, k).

    The normal posterior is updated row by row, which is the same as weighing all rows at once.
    """
    n, t, k = regressors.shape
    found = np.zeros((n, t, k))
    mean, spread = np.zeros((n, k)), np.tile(law.covariance, (n, 1, 1))
    for s in range(t - 1):
        w = regressors[:, s] * is_learned[:, s, None]
        reach = (spread @ w[:, :, None])[:, :, 0]
        gain = reach / (law.noise + (w * reach).sum(axis=1))[:, None]
        mean = mean + gain * (errors[:, s] - (w * mean).sum(axis=1))[:, None]
        spread = spread - gain[:, :, None] * reach[:, None, :]
        found[:, s + 1] = mean
    return found
