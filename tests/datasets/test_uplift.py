"""The truths that `make_uplift` states are the truths of the data it makes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import make_uplift

# A mean of n draws may lie this many of its own standard errors off (p = 6e-7 a comparison).
SIGMAS = 5.0

DIALS = {
    "experiment": {},
    "step": {"effect_shape": "step"},
    "observational": {"design": "observational", "confounding": 2.0},
    "binary": {"outcome": "binary", "design": "observational"},
    "binary step": {"outcome": "binary", "effect_shape": "step", "average_effect": -0.2},
    "arms": {"n_arms": 3, "design": "observational", "average_effect": [0.5, -1.0]},
    "binary arms": {"n_arms": 4, "outcome": "binary"},
    "constant": {"heterogeneity": 0.0, "n_features": 3},
}


@pytest.mark.parametrize("dials", DIALS.values(), ids=DIALS)
def test_truth_lies_within_error_of_a_large_draw(dials):
    n = 200_000
    data = make_uplift(n, random_state=3, as_frame=False, **dials)
    n_arms = dials.get("n_arms", 2)
    effect = data.effect.reshape(n, n_arms - 1)
    propensity = data.propensity.reshape(n, -1)
    propensity = np.column_stack([1 - propensity, propensity]) if n_arms == 2 else propensity
    spread = dials.get("heterogeneity", 0.1 if dials.get("outcome") == "binary" else 0.5)
    assert np.abs(effect.mean(axis=0) - data.ate).max() <= SIGMAS * spread / np.sqrt(n) + 1e-12
    assert np.abs(effect.std(axis=0) - spread).max() <= SIGMAS * spread / np.sqrt(n) + 1e-12
    assert np.allclose(propensity.sum(axis=1), 1.0)
    for arm in range(n_arms):
        rows = data.treatment == arm
        chance = propensity[:, arm]
        error = np.sqrt((chance * (1 - chance)).sum())
        assert abs(rows.sum() - chance.sum()) < SIGMAS * error
        mu = data.mu0 if arm == 0 else data.mu0 + effect[:, arm - 1]
        gap = (data.y - mu)[rows]
        assert abs(gap.mean()) < SIGMAS * gap.std() / np.sqrt(rows.sum())
        # Nor does the error depend on what moves treatment and effect.
        for j in range(3):
            product = gap * data.X[rows, j]
            assert abs(product.mean()) < SIGMAS * product.std() / np.sqrt(rows.sum())
    assert np.allclose(data.mu1.reshape(n, n_arms - 1), data.mu0[:, None] + effect)


def test_inverse_propensity_weighting_by_the_true_chance_finds_the_average_effect():
    data = make_uplift(200_000, design="observational", random_state=4, as_frame=False)
    residual = data.y - data.mu0
    t, e = data.treatment, data.propensity
    psi = t * residual / e - (1 - t) * residual / (1 - e)
    naive = data.y[t == 1].mean() - data.y[t == 0].mean()
    assert abs(psi.mean() - 1.0) < SIGMAS * psi.std() / np.sqrt(len(psi))
    assert naive - 1.0 > 0.5


def test_experiment_has_equal_chances_whatever_the_confounding():
    data = make_uplift(50, confounding=3.0, n_arms=4, random_state=0)
    assert np.allclose(data.propensity, 0.25)


@pytest.mark.parametrize("dials", [DIALS["binary"], DIALS["binary step"], DIALS["binary arms"]])
def test_risks_stay_inside_their_bounds(dials):
    data = make_uplift(50_000, random_state=0, as_frame=False, **dials)
    risks = np.column_stack([data.mu0, data.mu1])
    assert risks.min() >= 0.05
    assert risks.max() <= 0.95
    assert set(np.unique(data.y)) == {0.0, 1.0}


def test_containers_and_shapes():
    two = make_uplift(20, random_state=0)
    assert isinstance(two.X, pd.DataFrame)
    assert two.X.shape == (20, 6)
    assert two.effect.shape == two.propensity.shape == two.mu1.shape == (20,)
    three = make_uplift(20, n_arms=3, random_state=0)
    assert list(three.effect.columns) == list(three.mu1.columns) == ["arm1", "arm2"]
    assert list(three.propensity.columns) == ["arm0", "arm1", "arm2"]
    arrays = make_uplift(20, n_arms=3, random_state=0, as_frame=False)
    assert np.array_equal(arrays.effect, three.effect.to_numpy())
    assert arrays.treatment.dtype == np.int64
    assert arrays.ate.tolist() == [1.0, 1.0]


def test_the_same_seed_gives_the_same_users():
    first, second = (make_uplift(30, random_state=9) for _ in range(2))
    assert first.X.equals(second.X)
    assert first.y.equals(second.y)
    assert not first.y.equals(make_uplift(30, random_state=10).y)


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"design": "rct"}, "`design` must be one of"),
        ({"outcome": "count"}, "`outcome` must be one of"),
        ({"effect_shape": "cliff"}, "`effect_shape` must be one of"),
        ({"n_samples": 0}, "`n_samples` must be a whole number of at least 1; got 0"),
        ({"n_features": 2}, "`n_features` must be a whole number of at least 3; got 2"),
        ({"n_arms": 1}, "`n_arms` must be a whole number of at least 2; got 1"),
        ({"noise": -1.0}, "`noise` must be a number of at least 0; got -1.0"),
        ({"confounding": 11}, r"`confounding` must be a number in \[0, 10\]; got 11"),
        ({"heterogeneity": "much"}, "`heterogeneity` must be a number of at least 0"),
        ({"average_effect": [1.0, 2.0]}, r"one for each arm but the control.*; got \[1.0, 2.0\]"),
        ({"average_effect": "high"}, "`average_effect` must hold 1 finite number"),
        ({"outcome": "binary", "average_effect": 0.7}, "leave no room for control risks"),
    ],
)
def test_bad_dials_are_named(dials, message):
    with pytest.raises(ValueError, match=message):
        make_uplift(**{"n_samples": 10, **dials})
