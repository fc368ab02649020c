"""Subtract from outcome and treatment their cross-fitted expectations given X (Robinson, 1988)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.nuisances import NuisanceModels, Nuisances, Want, fit_nuisances


@dataclass(frozen=True, slots=True)
class Centred:
    """Outcome and treatment, each less its expectation given the covariates.

    Attributes
    ----------
    outcome : float64 array of shape (n_rows,)
    treatment : float64 array of shape (n_rows, n_treatments)
        The dose, or a column for each arm but the control.
    """

    outcome: Float
    treatment: Float


def centre(
    owner: str,
    X: Any,
    y: Float,
    treatment: npt.NDArray[Any],
    models: NuisanceModels,
    *,
    weight: Float | None,
    groups: Int | None,
    propensity: Float | None,
) -> tuple[Centred, Nuisances]:
    """Centre outcome and treatment by models that saw neither the row nor its fold.

    Parameters
    ----------
    owner : class that a message names
    X : frame or array of shape (n_rows, n_columns), covariates alone
    y : float64 array of shape (n_rows,)
    treatment : array of shape (n_rows,), integer codes of arms or float doses
    models : NuisanceModels
    weight : float64 array of shape (n_rows,) or None
    groups : intp codes of shape (n_rows,) or None, kept whole in the folds
    propensity : float64 array of shape (n_rows,) or None
        Known chance of a 0/1 treatment, which is not modelled then.

    Returns
    -------
    centred : Centred
    found : Nuisances, the expectations that were fitted and the folds
    """
    wants: list[Want] = ["outcome"]
    if propensity is None:
        wants.append("dose" if treatment.dtype.kind == "f" else "propensity")
    found = fit_nuisances(owner, X, y, treatment, wants, models, weight=weight, groups=groups)
    if found.propensity is not None:
        moved = centre_arms(treatment.astype(np.intp), found.propensity)
    else:
        expected = found.dose if propensity is None else propensity
        moved = (treatment - np.asarray(expected))[:, None]
    return Centred(y - np.asarray(found.outcome), moved), found


def centre_arms(codes: Int, propensity: Float) -> Float:
    """Return 1[arm] - P(arm) for each arm but the control."""
    n_arms = propensity.shape[1]
    centred: Float = np.equal.outer(codes, np.arange(1, n_arms)).astype(np.float64)
    centred -= propensity[:, 1:]
    return centred
