"""How each unit moves, and answers to treatments, in its own way: random coefficients by EM.

Laird & Ware (1982). The errors of a pooled model are e_t = w_t'b + noise with w_t = (1, a_t) and b
normal over units. What is known of a unit's b at a row comes from its changes up to there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float

_START = 0.1
_SMALLEST = 1e-12


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
) -> AnswerLaw:
    """Estimate the law by EM.

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
    inner = w.transpose(0, 2, 1) @ w
    cross = (w.transpose(0, 2, 1) @ e[..., None])[..., 0]
    squares = (e**2).sum(axis=1)
    n_rows = max(float(weights @ is_learned.sum(axis=1)), 1.0)
    noise = max(float(weights @ squares) / n_rows, _SMALLEST)
    covariance = _START * noise * np.eye(w.shape[2])
    if start is not None:
        covariance, noise = start.covariance, start.noise
    share = weights / weights.sum()
    for _ in range(n_steps):
        spread = np.linalg.inv(np.linalg.inv(covariance) + inner / noise)
        mean = (spread @ cross[..., None])[..., 0] / noise
        second = mean[:, :, None] * mean[:, None, :] + spread
        left = squares - 2.0 * (mean * cross).sum(axis=1) + (inner * second).sum(axis=(1, 2))
        covariance = np.tensordot(share, second, axes=1) + _SMALLEST * np.eye(w.shape[2])
        noise = max(float(weights @ left) / n_rows, _SMALLEST)
    return AnswerLaw(covariance, noise)


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
