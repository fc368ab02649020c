"""Stabilised weights of steps: the chance of a treatment by past treatments over that by the history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from segcate._inputs.arrays import Bool, Float, Int
from segcate.temporal._panel.coding import Scaling, TreatmentCoding, missing_marks
from segcate.temporal._panel.panel import Panel

# Quantile, and its mirror image, at which weights of futures are cut off.
_CLIP = 0.01

# Turn the chance of being treated into that of the treatment given.
OfGiven = Callable[[Float, Float], Float]


def history_columns(panel: Panel, scaling: Scaling, coding: TreatmentCoding) -> tuple[Float, Float]:
    """Return features of every position, (n, t, n_features), and past counts of treatments."""
    outcome = scaling.encode_rows(panel)
    covariates = scaling.encode_covariates(panel.covariates)
    static = scaling.encode_static(panel.static)
    counts = np.cumsum(panel.treatment, axis=1) - panel.treatment
    t = outcome.shape[1]
    parts = [
        counts,
        outcome,
        _one_before(outcome),
        covariates,
        _one_before(covariates),
        np.broadcast_to(static[:, None], (len(static), t, static.shape[1])),
    ]
    if coding.n_marks:
        # How often treatments were unknown, and whether the values of the row before were.
        marks = missing_marks(panel)
        unknown = np.cumsum(marks[..., :1], axis=1) - marks[..., :1]
        parts += [unknown, _one_before(marks[..., 1:])]
    return np.concatenate(parts, axis=2), counts


def of_given(chance: Float, given: Float) -> Float:
    """Turn the chance of being treated into that of the treatment that was given."""
    return np.where(given == 1, chance, 1.0 - chance)


def step_weights(panel: Panel, history: Float, counts: Float, chance: OfGiven = of_given) -> Float:
    """Return the weight of every position, 1 at the first and behind the last but one: (n, t)."""
    position = np.arange(panel.outcome.shape[1])
    is_used = (position >= 1) & (position < (panel.n_steps - 1)[:, None]) & panel.is_known
    weights = np.ones(panel.outcome.shape[:2])
    for j in range(panel.treatment.shape[2]):
        given = panel.treatment[..., j][is_used]
        if len(given) == 0 or given.min() == given.max():
            # Given to everyone or to no one from the second step on: the chances cancel.
            continue
        top = logistic_chance(counts[is_used], given)
        bottom = logistic_chance(history[is_used], given)
        weights[is_used] *= chance(top, given) / chance(bottom, given)
    return weights


def future_weights(weights: Float, origins: Int, is_there: Bool) -> Float:
    """Multiply weights from the step after each origin on; 0 where the step did not come.

    Among futures so weighted, what was given after the origin does not depend on what happened after it,
    so that predictions under that plan are right on average where the model is right.

    Parameters
    ----------
    weights : float64 array of shape (n, t)
    origins : intp array of shape (n, n_origins)
    is_there : bool array of shape (n, n_origins, horizon)

    Returns
    -------
    float64 array of shape (n, n_origins, horizon), cut off at quantiles by step
    """
    at = np.minimum(origins[..., None] + np.arange(is_there.shape[2]), weights.shape[1] - 1)
    factors = weights[np.arange(len(weights))[:, None, None], at]
    factors[..., 0] = 1.0
    found: Float = np.cumprod(factors, axis=2)
    for k in range(1, is_there.shape[2]):
        here = found[..., k][is_there[..., k]]
        if len(here):
            found[..., k] = np.clip(found[..., k], *np.quantile(here, [_CLIP, 1.0 - _CLIP]))
    return found * is_there


def _one_before(values: Float) -> Float:
    """Shift by one step; the first step stands before itself."""
    return np.concatenate([values[:, :1], values[:, :-1]], axis=1)


def logistic_chance(features: Float, given: Float) -> Float:
    """Predict what is 0 or 1 by an unpenalised logistic regression on the same rows."""
    scale = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
    scaled = (features - features.mean(axis=0)) / scale
    model = LogisticRegression(C=1e8, solver="newton-cholesky", max_iter=200)
    chance: Float = model.fit(scaled, given).predict_proba(scaled)[:, 1]
    return chance
