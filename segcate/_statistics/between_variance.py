"""The variance of true effects behind noisy estimates: DerSimonian-Laird, Paule-Mandel and REML.

DerSimonian & Laird (1986, Controlled Clinical Trials 7:177-188); Paule & Mandel (1982, J. Res. NBS
87:377-385).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from segcate._inputs.arrays import Float

# Points at which the restricted likelihood is looked at before the best stretch is refined.
N_REML_GRID = 200


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums with the weights w = 1/(s^2 + tau^2), P = diag(w) - w w'/sum w.

    Attributes
    ----------
    mean : sum w t / sum w
    variance : of the mean, under the covariance V + tau^2 I
    q : t' P t, expected to be noise + tau^2 slope
    noise : trace of P V
    slope : trace of P
    """

    mean: float
    variance: float
    q: float
    noise: float
    slope: float


def weighted_moments(t: Float, v: Float, tau2: float) -> Moments:
    variance = diagonal(v)
    w = 1.0 / (variance + tau2)
    total = float(w.sum())
    mean = float(w @ t) / total
    carried = float(w**2 @ v) if v.ndim == 1 else float(w @ v @ w)
    squares = float(w @ w)
    return Moments(
        mean=mean,
        variance=(carried + tau2 * squares) / total**2,
        q=float(w @ (t - mean) ** 2),
        noise=float(w @ variance) - carried / total,
        slope=total - squares / total,
    )


def diagonal(v: Float) -> Float:
    """Return the variances: of independent effects they are all there is."""
    return v if v.ndim == 1 else np.diag(v)


def _dersimonian_laird(t: Float, v: Float) -> float:
    found = weighted_moments(t, v, 0.0)
    # One segment known far better than all others leaves nothing to tell a variance from.
    return max(0.0, (found.q - found.noise) / found.slope) if found.slope > 0 else 0.0


def _paule_mandel(t: Float, v: Float) -> float:
    def excess(tau2: float) -> float:
        found = weighted_moments(t, v, tau2)
        return found.q - found.noise - tau2 * found.slope

    if excess(0.0) <= 0:
        return 0.0
    upper = float(((t - t.mean()) ** 2).sum())
    while excess(upper) > 0:
        upper *= 2
    return _root(excess, 0.0, upper)


def _reml(t: Float, v: Float) -> float:
    """Maximise the restricted likelihood: best point of a grid, then the root of the score."""
    values, x, one = v, t, np.ones(len(t))
    if v.ndim == 2:
        values, vectors = np.linalg.eigh(v)
        x, one = vectors.T @ t, vectors.sum(axis=0)
    if values.min() <= 1e-12 * values.max():
        raise ValueError(
            f"`tau2_method='reml'` needs a covariance of full rank; that of {len(t)} effects is "
            "not (as many segments as groups, or more). Use 'dersimonian-laird' or 'paule-mandel'."
        )

    def parts(tau2: Float) -> tuple[Float, Float, Float, Float]:
        d = 1.0 / (values[:, np.newaxis] + tau2)
        information = (d * one[:, np.newaxis] ** 2).sum(axis=0)
        mean = (d * (x * one)[:, np.newaxis]).sum(axis=0) / information
        return d, information, x[:, np.newaxis] - mean * one[:, np.newaxis], d * one[:, np.newaxis]

    def likelihood(tau2: Float) -> Float:
        d, information, residual, _ = parts(tau2)
        fit = np.log(d).sum(axis=0) - np.log(information) - (d * residual**2).sum(axis=0)
        return np.asarray(fit, dtype=np.float64)

    def score(tau2: float) -> float:
        d, information, residual, loaded = parts(np.array([tau2]))
        trace = d.sum() - (loaded**2).sum() / information[0]
        return float(((d * residual) ** 2).sum() - trace)

    spread = float(((t - t.mean()) ** 2).sum())
    grid = np.concatenate([[0.0], 10 * spread * np.geomspace(1e-9, 1.0, N_REML_GRID)])
    best = int(np.argmax(likelihood(grid)))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, N_REML_GRID)]
    if spread == 0 or score(low) <= 0 or score(high) >= 0:
        return float(grid[best])
    return _root(score, float(low), float(high))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-15 * high, rtol=1e-14, maxiter=500))


TAU2_METHODS: dict[str, Callable[[Float, Float], float]] = {
    "dersimonian-laird": _dersimonian_laird,
    "paule-mandel": _paule_mandel,
    "reml": _reml,
}
