"""Means on the outcome's own scale: errors of units left out, added before predictions are turned back."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._models.smearing import (
    scale_bounds,
    smear,
    some_units,
    typical_errors,
)
from tests.helpers.small_panels import small, small_panel


def test_the_mean_of_a_lognormal_comes_out():
    rng = np.random.default_rng(0)
    errors = 0.5 * rng.normal(size=(1, 200, 8, 2, 1))
    typical = typical_errors(errors, np.ones((1, 200, 8, 2), dtype=bool))
    z = np.array([0.0, 1.0]).reshape(1, 1, 1, 2, 1)
    found = smear(z, typical, np.array([[-9.0], [9.0]]), np.exp)
    np.testing.assert_allclose(found.ravel(), np.exp([0.125, 1.125]), rtol=0.03)


def test_on_a_linear_scale_only_the_mean_error_moves_a_prediction():
    errors = np.arange(8.0).reshape(1, 8, 1, 1, 1)
    typical = typical_errors(errors, np.ones((1, 8, 1, 1), dtype=bool))
    found = smear(np.zeros((1, 3, 1, 1, 1)), typical, np.array([[-99.0], [99.0]]), lambda z: 2 * z)
    np.testing.assert_allclose(found, 7.0, rtol=1e-12)
    inside = smear(np.zeros((1, 3, 1, 1, 1)), typical, np.array([[0.0], [1.0]]), lambda z: z)
    assert (inside < 1).all()


def test_errors_are_those_of_each_model_and_step():
    errors = np.zeros((2, 4, 1, 3, 1))
    errors[0, :2], errors[1, 2:] = 1.0, 2.0
    counts = np.zeros((2, 4, 1, 3), dtype=bool)
    counts[0, :2, :, :2], counts[1, 2:, :, :2] = True, True
    found = typical_errors(errors, counts)
    # No unit came to the third step, which has the errors of the second.
    np.testing.assert_array_equal(found[0], np.ones((3, 50, 1)))
    np.testing.assert_array_equal(found[1], np.full((3, 50, 1), 2.0))


def test_units_are_a_spread_of_all():
    np.testing.assert_array_equal(some_units(np.array([[3, 1], [1, 7]])), [1, 3, 7])
    many = some_units(np.arange(1000))
    assert len(many) == 300
    assert (many[0], many[-1]) == (0, 999)


def test_bounds_are_a_little_beyond_what_was_seen():
    outcome = np.array([[[0.0], [2.0], [99.0]]])
    found = scale_bounds(outcome, np.array([[True, True, False]]))
    np.testing.assert_allclose(found, [[-0.3], [2.3]])


@pytest.mark.parametrize("name", ["CausalTransformer", "CRN", "RMSN"])
def test_networks_that_do_not_simulate_add_errors(name):
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    from segcate import temporal

    panel = small_panel().assign(y=lambda f: np.exp(f["y"]))
    model = getattr(temporal, name)(["a0", "a1"], "y", **{**small(), "outcome_transform": "auto"})
    model.fit(panel)
    assert model.transform_.startswith("log(1 + y /")
    assert model.smearing_.shape == (1, 3, 50, 1)
    data = model._read(panel)
    origins, _ = model._origins(data, "last")
    plans = np.zeros((data.n_units, 1, 3, 2))
    found = model._simulate(data, origins, plans)
    on_scale = model._on_scale(data, origins, plans)
    expected = np.mean(
        [
            model.scaling_.decode_outcome(
                np.clip(on_scale + model.smearing_[:, None, None, :, i], *model._bounds)
            )
            for i in range(50)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    plain = model.set_params(outcome_transform=None).fit(panel)
    assert plain.smearing_.size == 0
