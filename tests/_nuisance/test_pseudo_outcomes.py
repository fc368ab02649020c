"""The two formulas for effect scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segcate._nuisance.pseudo_outcomes import arm_centred_scores, doubly_robust_scores

CASES = json.loads(
    (Path(__file__).parents[1] / "reference" / "metrics" / "ranking.json").read_text()
)["cases"]


@pytest.mark.parametrize("name", list(CASES))
def test_reference_scores(name):
    data = {key: np.array(values) for key, values in CASES[name]["input"].items()}
    y, t, e = data["y"], data["treatment"].astype(np.int8), data["propensity"]
    robust = doubly_robust_scores(y, t, e, data["mu0"], data["mu1"])
    np.testing.assert_allclose(robust, data["psi_aipw"], rtol=1e-9, atol=1e-9)
    raw = doubly_robust_scores(y, t, e, 0.0, 0.0)
    np.testing.assert_allclose(raw, data["psi_ipw"], rtol=1e-9, atol=1e-9)
    centred = arm_centred_scores(y, t)
    np.testing.assert_allclose(centred, data["psi_armcentred"], rtol=1e-9, atol=1e-9)


def test_arm_centred_scores_by_hand():
    # Arm means 2 and 1, share treated 1/2: 1 + (y - 2) * 2 if treated, 1 - (y - 1) * 2 if not.
    scores = arm_centred_scores(np.array([3.0, 1, 1, 1]), np.array([1, 0, 1, 0], dtype=np.int8))
    np.testing.assert_array_equal(scores, [3, 1, -1, 1])


def test_mean_of_arm_centred_scores_is_the_difference_in_means():
    rng = np.random.default_rng(0)
    y, t, weight = rng.normal(size=50), (np.arange(50) % 3 == 0).astype(np.int8), rng.random(50)
    assert arm_centred_scores(y, t).mean() == pytest.approx(y[t == 1].mean() - y[t == 0].mean())
    weighted = np.average(arm_centred_scores(y, t, weight), weights=weight)
    means = [np.average(y[t == arm], weights=weight[t == arm]) for arm in (0, 1)]
    assert weighted == pytest.approx(means[1] - means[0])
    np.testing.assert_allclose(arm_centred_scores(y + 50, t), arm_centred_scores(y, t), atol=1e-12)


def test_constant_propensity_is_the_share_of_treated():
    rng = np.random.default_rng(1)
    y, t = rng.normal(size=40), (np.arange(40) % 4 == 0).astype(np.int8)
    handed_in = arm_centred_scores(y, t, propensity=np.full(40, 0.25))
    np.testing.assert_allclose(handed_in, arm_centred_scores(y, t), rtol=1e-12)
