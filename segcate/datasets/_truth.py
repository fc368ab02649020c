"""Exact moments of simulated users: the share treated, and the mean need of the treated.

The score of a user is ``expit(intercept + confounding * (U + shift) + overlap_loss * W)`` with U
and W independent standard normals and `shift` a channel's offset. All moments are integrals of
analytic functions against a normal density; the trapezoidal rule converges geometrically on those
(Trefethen and Weideman 2014, doi:10.1137/130932132), so the grid below is exact but for rounding
(1e-12).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from segcate._inputs.arrays import Float

_STEP = 0.05
_REACH = 10.0


def _normal_grid(spread: float) -> tuple[Float, Float]:
    """Nodes and weights for a standard normal; a single node if the spread is 0."""
    if spread == 0:
        return np.zeros(1), np.ones(1)
    nodes = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    return nodes, np.exp(-0.5 * nodes**2) * _STEP / np.sqrt(2 * np.pi)


@lru_cache(maxsize=1024)
def intercept_for(
    share: float, confounding: float, overlap_loss: float, shifts: tuple[float, ...]
) -> float:
    """Return the intercept of the logit score at which exactly `share` of all users is treated."""
    spread = float(np.hypot(confounding, overlap_loss))
    nodes, weights = _normal_grid(spread)
    score = spread * nodes + confounding * np.array(shifts)[:, None]

    def excess(intercept: float) -> float:
        return float((expit(intercept + score) @ weights).mean()) - share

    return float(brentq(excess, -150.0, 150.0, xtol=1e-13, rtol=1e-14))


@lru_cache(maxsize=1024)
def mean_need_of_treated(
    share: float, confounding: float, overlap_loss: float, shifts: tuple[float, ...], bounded: bool
) -> float:
    """Return the mean of the effect modifier among the treated; it is 0 over all users.

    The modifier is U itself, or tanh(U / 2) where it must stay inside (-1, 1).
    """
    intercept = intercept_for(share, confounding, overlap_loss, shifts)
    u, u_weights = _normal_grid(1.0)
    w, w_weights = _normal_grid(overlap_loss)
    modifier = np.tanh(u / 2) if bounded else u
    total = 0.0
    for shift in shifts:
        score = intercept + confounding * (u + shift)[:, None] + overlap_loss * w
        total += float((u_weights * modifier) @ (expit(score) @ w_weights))
    return total / len(shifts) / share
