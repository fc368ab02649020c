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
}  # fmt: skip


def options(name: str | None) -> dict[str, Any]:
    """Return the parameters of a setting; None: the defaults."""
    from segcate.temporal import Training

    if name is None:
        return {}
    found: dict[str, Any] = {"training": Training(**TRAININGS[name])}
    if name.endswith("no balancing"):
        found["balancing"] = None
    return found
