"""Pseudo-outcomes: numbers per row whose mean, given the covariates, is the effect."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Treatment = npt.NDArray[np.int8]

__all__ = ["arm_centred_scores", "doubly_robust_scores"]


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


def arm_centred_scores(
    y: Float,
    treatment: Treatment,
    sample_weight: Float | None = None,
    propensity: Float | None = None,
) -> Float:
    """Return the scores of a randomised experiment: outcome models are the means of the arms.

    Their weighted mean is the difference in means, and adding a constant to y changes nothing.
    Without `propensity` every row had the same chance of treatment, the share of treated rows.
    """
    is_treated = treatment == 1
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    chance: Float | float = (
        float(np.average(is_treated, weights=weight)) if propensity is None else propensity
    )
    design = weight / np.where(is_treated, chance, np.subtract(1.0, chance))
    mu1 = float(np.average(y[is_treated], weights=design[is_treated]))
    mu0 = float(np.average(y[~is_treated], weights=design[~is_treated]))
    return doubly_robust_scores(y, treatment, chance, mu0, mu1)
