"""Intervals of cross-fitted segment effects hold the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from segcate.temporal import TrajectorySegmenter, cross_fit_segment_effects

# Each data set has three segments.
N_DATASETS = 12
N_UNITS = 200
# Three binomial errors of 36 intervals below the 90 % that are promised.
LOWEST = 0.90 - 3 * np.sqrt(0.90 * 0.10 / (3 * N_DATASETS))


def two_kinds(seed):
    """Simulate y' = y / 2 - (kind + 1 / 2) a + e, a the likelier the larger y.

    Returns the panel, and the effect on each unit of three treatments in a row against none: after
    three steps, 1 + 1/2 + 1/4 times that of one.
    """
    rng = np.random.default_rng(seed)
    n_steps = 8
    kind = rng.integers(0, 2, N_UNITS)
    outcome, treatment = np.zeros((N_UNITS, n_steps)), np.zeros((N_UNITS, n_steps), dtype=int)
    outcome[:, 0] = rng.normal(size=N_UNITS)
    for t in range(n_steps):
        treatment[:, t] = rng.random(N_UNITS) < 1 / (1 + np.exp(-0.5 * outcome[:, t]))
        if t + 1 < n_steps:
            moved = 0.5 * outcome[:, t] - (0.5 + kind) * treatment[:, t]
            outcome[:, t + 1] = moved + rng.normal(size=N_UNITS)
    panel = pd.DataFrame(
        {
            "id": np.repeat(np.arange(N_UNITS), n_steps),
            "t": np.tile(np.arange(n_steps), N_UNITS),
            "y": outcome.ravel(),
            "a": treatment.ravel(),
            "kind": np.repeat(kind, n_steps),
        }
    )
    return panel, -1.75 * (0.5 + kind)


def errors_and_hits(seed):
    """Cross-fit on one data set; return errors, truths and which intervals hold the truth."""
    from segcate.temporal import GNet, Training

    panel, truth = two_kinds(seed)
    model = GNet(
        "a", "y", static=["kind"], horizon=3, n_models=5, n_simulations=10, random_state=seed,
        outcome_transform=None,
        training=Training(n_epochs=40, batch_size=32, early_stopping=False, verbose=False),
    )  # fmt: skip
    segmenter = TrajectorySegmenter(model, KMeans(3, n_init=10, random_state=0), origin=4)
    found = cross_fit_segment_effects(
        model, segmenter, panel, {"a": [1, 1, 1]}, {"a": [0, 0, 0]}, origin=4, random_state=seed
    )
    table = found.effects
    wanted = pd.Series(truth).groupby(found.units["segment"].to_numpy()).mean()[table.index]
    hits = (table["ci_low"] <= wanted) & (wanted <= table["ci_high"])
    return (table["effect"] - wanted).to_numpy(), wanted.to_numpy(), hits.to_numpy()


@pytest.mark.slow
def test_intervals_cover_the_true_effects_of_segments():
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    results = [errors_and_hits(seed) for seed in range(N_DATASETS)]
    errors, truths, hits = map(np.concatenate, zip(*results, strict=True))
    assert len(hits) == 3 * N_DATASETS
    # Segments tell effects apart, so that covering is more than covering one average.
    assert truths.std() > 3 * np.abs(errors).mean()
    assert hits.mean() >= LOWEST, f"{hits.mean():.2f} of {len(hits)}, bias {errors.mean():+.2f}"
