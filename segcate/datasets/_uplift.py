"""Simulate an experiment or an observational study with a known effect for every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr, softmax
from sklearn.utils import Bunch

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import (
    check_count,
    check_number,
    check_numbers,
    check_option,
    check_seed,
)
from segcate.datasets._simulated_design import risks_of_control

_OWNER = "make_uplift"
_FEWEST_FEATURES = 3
# Default average and SD of the effect: units of y, and risk differences.
_DEFAULTS = {"continuous": (1.0, 0.5), "binary": (0.1, 0.1)}
_DESCRIPTION = """Simulated users with a known treatment effect each.

x0 and x1 move treatment (unless it is randomised) and outcome, x0 and x2 the effect; further columns
are noise. See segcate.datasets.make_uplift.
"""


@dataclass(frozen=True, slots=True)
class _Truth:
    """True effect, propensity and expected outcome of every row, before any draw.

    Attributes
    ----------
    effect : float64 array of shape (n_rows, n_arms - 1), in units of y
    propensity : float64 array of shape (n_rows, n_arms)
    mu0 : float64 array of shape (n_rows,), expected outcome without treatment
    """

    effect: Float
    propensity: Float
    mu0: Float


def make_uplift(
    n_samples: int = 2000,
    *,
    design: Literal["experiment", "observational"] = "experiment",
    outcome: Literal["continuous", "binary"] = "continuous",
    effect_shape: Literal["smooth", "step"] = "smooth",
    n_features: int = 6,
    average_effect: float | Sequence[float] | None = None,
    heterogeneity: float | None = None,
    confounding: float = 1.0,
    n_arms: int = 2,
    noise: float = 1.0,
    random_state: Any = None,
    as_frame: bool = True,
) -> Bunch:
    """Make users with a known effect each, in an experiment or an observational study.

    The features are independent standard normals. With ``U = (x0 + x1) / sqrt(2)``, the user's
    need, and f a curve or a step of mean 0 and SD 1::

        P(treated) = 1/2 in an experiment, expit(confounding * U) in an observational study
        effect     = average_effect + heterogeneity * (f(x0) + f(x2)) / sqrt(2)
        mu0        = U + (U^2 - 1) / (2 sqrt(2)) + x2 / 2
        y          = mu0 + effect * treated + noise * e

    X holds every confounder, but the outcome is not linear in X: a linear adjustment leaves a bias.
    Features from ``x3`` on do nothing.

    Parameters
    ----------
    n_samples : int, default=2000
        Number of users.
    design : {"experiment", "observational"}, default="experiment"
        Whether the treatment was randomised with equal chances, or depends on the need.
    outcome : {"continuous", "binary"}, default="continuous"
        Binary outcomes are 0/1 with the risk ``mu0 + effect * treated``, where mu0 follows the same
        index through a logistic curve, scaled so that every risk lies between 0.05 and 0.95;
        effects are risk differences.
    effect_shape : {"smooth", "step"}, default="smooth"
        f is ``sqrt(3) (2 Phi(x) - 1)``, an S-shaped curve inside (-1.74, 1.74), or the sign of x.
    n_features : int, default=6
        Number of columns, at least 3.
    average_effect : float or sequence of float of shape (n_arms - 1,), default=None
        Mean of the effect over the population, in units of y. None: 1 (binary: 0.1) for every arm.
    heterogeneity : float, default=None
        SD of the effect over the population, in units of y, at least 0. None: 0.5 (binary: 0.1).
    confounding : float, default=1.0
        SD of the log-odds of treatment in an observational study, 0 to 10: 0.7 is mild, 2 severe.
        Unused in an experiment.
    n_arms : int, default=2
        Number of arms, the control among them. With more than two, arm k has log-odds
        ``confounding * (x0 + s x1) / sqrt(2)`` against the control and the effect
        ``average_effect[k - 1] + heterogeneity * (f(x0) + s f(x2)) / sqrt(2)``, where the sign s is
        + for odd k and - for even k, so that who gains most differs by arm.
    noise : float, default=1.0
        SD of the user's own error in y, at least 0. Unused for a binary outcome.
    random_state : int, RandomState instance or None, default=None
        Seed; the same seed gives the same users.
    as_frame : bool, default=True
        Whether columns come as pandas Series and DataFrames; arrays otherwise.

    Returns
    -------
    data : Bunch
        * ``X`` : float64 of shape (n_samples, n_features)
        * ``y`` : float64 of shape (n_samples,)
        * ``treatment`` : int64 of shape (n_samples,), values 0 (control) to n_arms - 1
        * ``effect`` : float64 of shape (n_samples,), the true effect in units of y; with more arms
          of shape (n_samples, n_arms - 1), each arm against the control
        * ``propensity`` : float64 of shape (n_samples,), the true probability of treatment; with
          more arms of shape (n_samples, n_arms), of each arm
        * ``mu0`` : float64 of shape (n_samples,), the expected outcome without treatment
        * ``mu1`` : float64 of the shape of ``effect``, the expected outcome with treatment
        * ``ate`` : float, or float64 of shape (n_arms - 1,), the population's average effect, exact
        * ``feature_names``, ``description``

    Raises
    ------
    ValueError
        If a parameter is out of its range, or effects leave no room for risks between 0.05 and 0.95.

    See Also
    --------
    make_segmented_users : Users in segments, with known effects per segment.

    Examples
    --------
    >>> from segcate.datasets import make_uplift
    >>> data = make_uplift(1000, design="observational", random_state=0)
    >>> is_treated = data.treatment == 1
    >>> naive = data.y[is_treated].mean() - data.y[~is_treated].mean()
    >>> print(data.ate, round(data.effect.mean(), 2), round(naive, 2))
    1.0 0.97 2.06
    """
    check_option(_OWNER, "design", design, ["experiment", "observational"])
    check_option(_OWNER, "outcome", outcome, ["continuous", "binary"])
    check_option(_OWNER, "effect_shape", effect_shape, ["smooth", "step"])
    check_count(_OWNER, "n_samples", n_samples, 1)
    check_count(_OWNER, "n_features", n_features, _FEWEST_FEATURES)
    check_count(_OWNER, "n_arms", n_arms, 2)
    check_number(_OWNER, "noise", noise, least=0)
    check_number(_OWNER, "confounding", confounding, least=0, most=10)
    average, spread = _DEFAULTS[outcome]
    asked = average if average_effect is None else average_effect
    averages = check_numbers(
        _OWNER, "average_effect", asked, n_arms - 1, "arm but the control", repeats=True
    )
    spread = spread if heterogeneity is None else heterogeneity
    check_number(_OWNER, "heterogeneity", spread, least=0)

    rng = check_seed(_OWNER, random_state)
    X = rng.standard_normal((n_samples, n_features))
    strength = confounding if design == "observational" else 0.0
    truth = _truth(X, averages, float(spread), strength, effect_shape, outcome == "binary")
    chance = rng.uniform(size=(n_samples, 1))
    treatment = (chance > np.cumsum(truth.propensity, axis=1)[:, :-1]).sum(axis=1)
    gains = np.column_stack([np.zeros(n_samples), truth.effect])
    expected = truth.mu0 + gains[np.arange(n_samples), treatment]
    if outcome == "binary":
        y = (rng.uniform(size=n_samples) < expected).astype(np.float64)
    else:
        y = expected + noise * rng.standard_normal(n_samples)
    return _as_bunch(X, y, treatment.astype(np.int64), truth, averages, as_frame)


def _truth(
    X: Float, averages: Float, spread: float, strength: float, shape: str, is_binary: bool
) -> _Truth:
    """Work out effects, propensities and the outcome without treatment for every row."""
    need = (X[:, 0] + X[:, 1]) / np.sqrt(2)
    contrast = (X[:, 0] - X[:, 1]) / np.sqrt(2)
    is_odd = np.arange(1, len(averages) + 1) % 2 == 1
    scores = strength * np.where(is_odd, need[:, None], contrast[:, None])
    propensity = softmax(np.column_stack([np.zeros(len(X)), scores]), axis=1)
    modifier = _shaped(X[:, 0], shape)[:, None] + np.where(is_odd, 1, -1) * _shaped(
        X[:, 2], shape
    ).reshape(-1, 1)
    effect = averages + spread * modifier / np.sqrt(2)
    index = need + (need**2 - 1) / (2 * np.sqrt(2)) + X[:, 2] / 2
    if not is_binary:
        return _Truth(effect, propensity, index)
    reach = spread * (np.sqrt(6) if shape == "smooth" else np.sqrt(2))
    ends = float(averages.min() - reach), float(averages.max() + reach)
    low, high = risks_of_control(_OWNER, "`average_effect` and `heterogeneity`", ends)
    return _Truth(effect, propensity, low + (high - low) * expit(index))


def _shaped(x: Float, shape: str) -> Float:
    """Turn a standard normal into the effect's modifier, of mean 0 and SD 1."""
    if shape == "step":
        return np.where(x > 0, 1.0, -1.0)
    return np.asarray(np.sqrt(3) * (2 * ndtr(x) - 1), dtype=np.float64)


def _as_bunch(
    X: Any, y: Any, treatment: Any, truth: _Truth, averages: Float, as_frame: bool
) -> Bunch:
    effect: Any = truth.effect
    propensity: Any = truth.propensity
    mu1: Any = truth.mu0[:, None] + truth.effect
    mu0: Any = truth.mu0
    names = [f"x{j}" for j in range(X.shape[1])]
    if len(averages) == 1:
        effect, propensity, mu1 = effect[:, 0], propensity[:, 1], mu1[:, 0]
    columns = {"y": y, "treatment": treatment, "effect": effect, "propensity": propensity}
    columns |= {"mu0": mu0, "mu1": mu1}
    if as_frame:
        X = pd.DataFrame(X, columns=names)
        columns = {name: _labelled(name, values, len(averages)) for name, values in columns.items()}
    return Bunch(
        X=X,
        **columns,
        ate=float(averages[0]) if len(averages) == 1 else averages,
        feature_names=names,
        description=_DESCRIPTION,
    )


def _labelled(name: str, values: Any, n_treatments: int) -> Any:
    """Return a Series, or a frame with one column an arm."""
    if values.ndim == 1:
        return pd.Series(values, name=name)
    first = n_treatments + 1 - values.shape[1]
    return pd.DataFrame(values, columns=[f"arm{k}" for k in range(first, n_treatments + 1)])
