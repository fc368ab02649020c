"""The model of the next step: known coefficients are found, and resamples are fits to copies."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._linear.histories import Histories, features
from segcate.temporal._linear.ridge import deal_folds
from segcate.temporal._linear.step_model import fit_steps, held_out_changes


def linear(n, t=10, seed=0, own=0.0):
    """Simulate z' = z - z / 2 - (1 + own) a + v + noise; a the likelier the larger z."""
    rng = np.random.default_rng(seed)
    z, a = np.zeros((n, t)), np.zeros((n, t))
    v, answers = rng.normal(size=n), own * rng.normal(size=n)
    for s in range(t):
        a[:, s] = rng.random(n) < 1 / (1 + np.exp(-z[:, s]))
        if s + 1 < t:
            noise = 0.5 * rng.normal(size=n)
            z[:, s + 1] = 0.5 * z[:, s] - (1 + answers) * a[:, s] + v + noise
    n_steps = np.full(n, t)
    return Histories(z[..., None], np.empty((n, t, 0)), a[..., None], v[:, None], n_steps), answers


def fitted(histories, weights=None):
    n = len(histories.static)
    return fit_steps(histories, deal_folds(n, 0), np.ones((1, n)) if weights is None else weights)


def test_coefficients_of_a_linear_world_are_found():
    histories, _ = linear(4000)
    model = fitted(histories).models[0]
    block = {
        name: model.pooled[at, 0] for name, at in histories.widths.blocks().items() if name != "own"
    }
    assert block["treatment"][0] == pytest.approx(-1.0, abs=0.05)
    np.testing.assert_allclose(block["treatment_static"], 0.0, atol=0.05)
    assert fitted(histories).errors.std() == pytest.approx(0.5, rel=0.02)
    assert held_out_changes(histories, deal_folds(4000, 0)).std() == pytest.approx(0.5, rel=0.02)


def test_own_answers_to_a_treatment_are_learned():
    histories, answers = linear(2000, t=25, own=0.5)
    model = fitted(histories).models[0]
    # The pooled model reads a part of the differences from running means.
    assert 0.1 < model.covariance[0, 1, 1] < 0.25
    found = model.answers(histories, features(histories))[:, -1, 0, 1]
    assert np.corrcoef(found, -answers)[0, 1] > 0.8


def test_without_differences_between_units_own_answers_are_next_to_nothing():
    histories, _ = linear(1000)
    assert fitted(histories).models[0].covariance[0, 1, 1] < 0.02


def test_resamples_are_fits_to_copies_of_units():
    histories, _ = linear(60)
    weight = np.random.default_rng(3).integers(0, 3, 60).astype(float)
    found = fitted(histories, np.stack([np.ones(60), weight])).models
    again = np.repeat(np.arange(60), weight.astype(int))
    copies = Histories(
        histories.outcome[again], histories.covariates[again], histories.treatment[again],
        histories.static[again], histories.n_steps[again],
    )  # fmt: skip
    expected = fit_steps(copies, deal_folds(60, 0)[again], np.ones((1, len(again)))).models[0]
    np.testing.assert_allclose(found[1].pooled, expected.pooled, atol=1e-8)
    assert (found[1].coef != found[0].coef).any()
