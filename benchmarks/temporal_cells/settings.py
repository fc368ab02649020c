"""Settings of networks that were tried for their defaults, by name: fields of `Training`, and parameters.

The records of `temporal_settings.json` name them. What a setting leaves open was then: batches sized for
2,000 steps, dropout 0.1, a rate of 0.01, patience 15, averaged weights (0.99) in the transformer alone,
stopping by the next outcome.
"""

from __future__ import annotations

from typing import Any

AVERAGED: dict[str, Any] = {"moving_average": 0.99}
LONGER = {**AVERAGED, "patience": 40, "n_epochs": 150}
PLAIN = {**AVERAGED, "dropout": 0.0}
BEFORE = {"dropout": 0.1, "patience": 15, "learning_rate": 0.01}

TRAININGS: dict[str, dict[str, Any]] = {
    "batches of 128": {**BEFORE, "batch_size": 128},
    "batches of 32": {**BEFORE, "batch_size": 32},
    "sized batches": BEFORE,
    "sized, to the end, 40 epochs": {**BEFORE, "early_stopping": False, "n_epochs": 40},
    "several steps": {**BEFORE, "moving_average": 0.0, "stop_by": "horizon"},
    "several steps, averaged": {**BEFORE, **AVERAGED, "stop_by": "horizon"},
    "several steps, averaged, rate 0.003": {
        **BEFORE, **AVERAGED, "stop_by": "horizon", "learning_rate": 0.003,
    },
    "several steps, longer, rate 0.003": {
        **BEFORE, **LONGER, "stop_by": "horizon", "learning_rate": 0.003,
    },
    "averaged": {**BEFORE, **AVERAGED},
    "averaged, patience 20": {**BEFORE, **AVERAGED, "patience": 20},
    "averaged, longer": {**BEFORE, **LONGER},
    "averaged, longer, rate 0.003": {**BEFORE, **LONGER, "learning_rate": 0.003},
    "averaged, longer, no dropout": {**BEFORE, **LONGER, **PLAIN},
    "averaged, no dropout": {**BEFORE, **PLAIN, "patience": 20},
    "averaged, no dropout, rate 0.003": {**BEFORE, **PLAIN, "patience": 20, "learning_rate": 0.003},
    "averaged, no dropout, rate 0.003, patience 60": {
        **BEFORE, **PLAIN, "patience": 60, "learning_rate": 0.003,
    },
    "averaged, no dropout, no balancing": {**BEFORE, **PLAIN, "patience": 20},
    "averaged, no dropout, reversal at 0.1": {**BEFORE, **PLAIN, "patience": 20},
    "averaged, no dropout, rate 0.003, to the end, 60 epochs": {
        **BEFORE, **PLAIN, "learning_rate": 0.003, "early_stopping": False, "n_epochs": 60,
    },
}  # fmt: skip


def options(name: str | None, model: str = "") -> dict[str, Any]:
    """Return the parameters of a setting for a model; None: the defaults."""
    from segcate.temporal import Training

    if name is None:
        return {}
    found: dict[str, Any] = {"training": Training(**TRAININGS[name])}
    if model == "CRN":
        # Its default when most of these were tried.
        found["balancing"] = None if name.endswith("no balancing") else "grad_reverse"
    if name.endswith("reversal at 0.1"):
        found["alpha"] = 0.1
    return found
