"""Pseudo-outcomes: numbers per row whose mean, given the covariates, is the effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float

Treatment = npt.NDArray[np.int8]


def doubly_robust_scores(
    y: Float,
    treatment: Treatment,
    propensity: Float | float,
    mu0: Float | float,
    mu1: Float | float,
) -> Float:
    """Return mu1 - mu0 + t (y - mu1) / e - (1 - t) (y - mu0) / (1 - e).

    Right when either the propensity or both outcome models are (Robins, Rotnitzky & Zhao, 1994).
    """
    is_treated = treatment == 1
    residual = y - np.where(is_treated, mu1, mu0)
    chance = np.where(is_treated, propensity, np.subtract(propensity, 1.0))
    scores: Float = np.subtract(mu1, mu0) + residual / chance
    return scores


def doubly_robust_arm_scores(
    y: Float, treatment: npt.NDArray[Any], propensity: Float, mu: Float
) -> Float:
    """Return the scores of every arm against control, one column an arm.

    Parameters
    ----------
    y : float64 array of shape (n_rows,)
    treatment : int array of shape (n_rows,), codes of arms, 0 the control
    propensity, mu : float64 arrays of shape (n_rows, n_arms), or (n_arms,) where all rows are alike
        Chance of each arm, and expected outcome in it.
    """
    if mu.shape[-1] == 2:
        arm: Treatment = treatment.astype(np.int8)
        return doubly_robust_scores(y, arm, propensity[..., 1], mu[..., 0], mu[..., 1]).reshape(
            -1, 1
        )
    table = np.broadcast_to(mu, (len(y), mu.shape[-1])).astype(np.float64)
    chance = np.broadcast_to(propensity, table.shape)
    at = (np.arange(len(y)), treatment)
    expected = table.copy()
    expected[at] += (y - table[at]) / chance[at]
    scores: Float = expected[:, 1:] - expected[:, :1]
    return scores


def arm_centred_scores(
    y: Float,
    treatment: npt.NDArray[Any],
    sample_weight: Float | None = None,
    propensity: Float | None = None,
) -> Float:
    """Return the scores of a randomised experiment: outcome models are the means of the arms.

    Their weighted mean is the difference in means, and adding a constant to y changes nothing.
    Without `propensity` every row had the same chance of each arm, its share of the rows.

    Parameters
    ----------
    y : float64 array of shape (n_rows,)
    treatment : int array of shape (n_rows,), codes of arms, 0 the control
    sample_weight : float64 array of shape (n_rows,), default=None
    propensity : float64 array of shape (n_rows, n_arms), default=None
        Of two arms also the chance of treatment alone, of shape (n_rows,).

    Returns
    -------
    float64 array of shape (n_rows,), with more than two arms (n_rows, n_arms - 1)
    """
    if propensity is None and treatment.max() < 2:
        return _two_arm_scores(y, treatment, sample_weight)
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    shares = np.bincount(treatment, weights=weight, minlength=2) / weight.sum()
    if propensity is None:
        chance: Float = shares
    elif propensity.ndim == 1:
        chance = np.column_stack([1.0 - propensity, propensity])
    else:
        chance = propensity
    per_row = chance[treatment] if chance.ndim == 1 else chance[np.arange(len(y)), treatment]
    design = weight / per_row
    mass = np.bincount(treatment, weights=design, minlength=len(shares))
    mu = np.bincount(treatment, weights=design * y, minlength=len(shares)) / mass
    scores = doubly_robust_arm_scores(y, treatment, chance, mu)
    return scores[:, 0] if len(shares) == 2 else scores


def _two_arm_scores(y: Float, treatment: npt.NDArray[Any], weight: Float | None) -> Float:
    """Return the same where the chance is the share of treated rows: a line in y within each arm."""
    # Loaded on the first use: numba takes longer to import than all else here.
    from segcate._nuisance.arm_kernels import arm_lines, arm_totals

    no_weight = np.empty(0) if weight is None else weight
    mass, treated_mass, total, treated_total = arm_totals(y, treatment, no_weight)
    mu1 = treated_total / treated_mass
    mu0 = (total - treated_total) / (mass - treated_mass)
    share = treated_mass / mass
    scores: Float = arm_lines(y, treatment, mu0, mu1, share)
    return scores
