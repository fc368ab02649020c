"""Small panels of units over time, and models small enough to fit in a blink."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segcate.temporal import Training


def small(horizon=3, **training):
    """Return parameters of a network that is learned in a blink, with fields of its training."""
    # Dropout, so that a fit that goes on must find its random numbers again.
    training = {"n_epochs": 2, "batch_size": 16, "dropout": 0.1, "verbose": False, **training}
    return {
        "horizon": horizon, "random_state": 0, "outcome_transform": None,
        "training": Training(**training),
    }  # fmt: skip


def small_panel(
    n_units=30, n_steps=8, n_treatments=2, n_outcomes=1, n_covariates=0, seed=0, varies=True
):
    """Simulate outcomes that fall with treatment, and treatment that follows outcomes.

    Columns id, t, y (or y0, y1, ...), a0, a1, ..., x0, ..., kind (text) and age. With `varies` units
    differ in length.
    """
    rng = np.random.default_rng(seed)
    outcome = np.zeros((n_units, n_steps, n_outcomes))
    treatment = np.zeros((n_units, n_steps, n_treatments))
    level = rng.normal(size=n_units)
    outcome[:, 0] = rng.normal(size=(n_units, n_outcomes))
    for t in range(n_steps):
        chance = 1 / (1 + np.exp(-0.5 * outcome[:, t, :1]))
        treatment[:, t] = rng.random((n_units, n_treatments)) < chance
        if t + 1 < n_steps:
            noise = 0.3 * rng.normal(size=(n_units, n_outcomes))
            push = 0.2 * level - treatment[:, t].mean(axis=1)
            outcome[:, t + 1] = 0.6 * outcome[:, t] + push[:, None] + noise
    last = rng.integers(4, n_steps, n_units) if varies else np.full(n_units, n_steps - 1)
    last[0] = n_steps - 1
    is_there = np.arange(n_steps) <= last[:, None]
    unit, time = np.nonzero(is_there)
    names = ["y"] if n_outcomes == 1 else [f"y{j}" for j in range(n_outcomes)]
    columns = {"id": unit, "t": time}
    columns |= {name: outcome[unit, time, j] for j, name in enumerate(names)}
    columns |= {f"a{j}": treatment[unit, time, j].astype(int) for j in range(n_treatments)}
    columns |= {f"x{j}": rng.normal(size=len(unit)) for j in range(n_covariates)}
    columns["kind"] = np.where(unit % 3 == 0, "b", "a")
    columns["age"] = 40.0 + unit
    return pd.DataFrame(columns)


def covariate_panel():
    """Simulate nine units of six rows at most, with a covariate."""
    return small_panel(n_units=9, n_steps=6, n_covariates=1)


def changed_panel(name, row, value):
    """Put one value into a column of `covariate_panel`, of any type."""
    frame = covariate_panel()
    frame[name] = frame[name].astype(object)
    frame.loc[row, name] = value
    return frame


def linear_panel(n_units, n_steps=8, seed=0):
    """Simulate y' = y / 2 - a + e, with P(a = 1) = logistic(y / 2): effects -1, -1.5, -1.75, ...

    The effect is that of giving `a` at every step of the plan against never.
    """
    rng = np.random.default_rng(seed)
    outcome, treatment = np.zeros((n_units, n_steps)), np.zeros((n_units, n_steps), dtype=int)
    outcome[:, 0] = rng.normal(size=n_units)
    for t in range(n_steps):
        treatment[:, t] = rng.random(n_units) < 1 / (1 + np.exp(-0.5 * outcome[:, t]))
        if t + 1 < n_steps:
            outcome[:, t + 1] = 0.5 * outcome[:, t] - treatment[:, t] + rng.normal(size=n_units)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_units), n_steps),
            "t": np.tile(np.arange(n_steps), n_units),
            "y": outcome.ravel(),
            "a": treatment.ravel(),
        }
    )


def binary_panel(n_units, n_steps=8, seed=0):
    """Simulate P(y' = 1) = 0.2 + 0.4 y + 0.3 a, with a the likelier where y is 0.

    Given at every step against never, the effect of `a` on P(y = 1) is 0.3, 0.42, 0.468, ...
    """
    rng = np.random.default_rng(seed)
    outcome = np.zeros((n_units, n_steps), dtype=int)
    treatment = np.zeros((n_units, n_steps), dtype=int)
    outcome[:, 0] = rng.random(n_units) < 0.4
    for t in range(n_steps):
        treatment[:, t] = rng.random(n_units) < 0.6 - 0.3 * outcome[:, t]
        if t + 1 < n_steps:
            chance = 0.2 + 0.4 * outcome[:, t] + 0.3 * treatment[:, t]
            outcome[:, t + 1] = rng.random(n_units) < chance
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_units), n_steps),
            "t": np.tile(np.arange(n_steps), n_units),
            "y": outcome.ravel(),
            "a": treatment.ravel(),
        }
    )
