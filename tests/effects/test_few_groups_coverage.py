"""Fifteen groups treated whole, and rare events: how often the intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.effects import SegmentMatching, SegmentRegression

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*clustered by:segcate.exceptions.SegcateWarning"),
]
N_DRAWS = 500
MODELS = {"matching": SegmentMatching, "regression": SegmentRegression}


def holds(model, X, y, treatment, truth, **more):
    """Tell whether the interval holds the truth; None where there is no interval."""
    row = model.fit(X, y, treatment=treatment, **more).effects_.iloc[0]
    return None if np.isnan(row["std_error"]) else row["ci_low"] <= truth <= row["ci_high"]


@pytest.mark.parametrize("name", MODELS)
def test_fifteen_groups_treated_whole(name):
    """Five of 15 treated, unequal sizes, effects that differ; measured 96.5 and 96.8 % of 400."""
    found = []
    for i in range(N_DRAWS):
        rng = np.random.default_rng(555_000 + i)
        group = np.repeat(np.arange(15), rng.integers(10, 61, 15))
        t = (rng.permutation(15) < 5).astype(int)[group]
        x = rng.normal(size=(len(group), 2)) + 0.5 * rng.normal(size=(15, 2))[group]
        y = x[:, 0] + 0.5 * rng.normal(size=15)[group] + rng.normal(size=len(group))
        y = y + t * (1 + 0.4 * rng.normal(size=15)[group])
        options = {"segment": None, "estimand": "att"}
        found.append(holds(MODELS[name](**options), x, y, t, 1.0, groups=group))
    assert None not in found
    assert 0.93 <= np.mean(found) <= 0.98  # binomial error 1 point


@pytest.mark.parametrize("name", MODELS)
def test_fewer_than_five_events_get_an_interval_that_is_valid(name):
    rng, found = np.random.default_rng(31_415), []
    for _ in range(N_DRAWS):
        x = rng.normal(size=(150, 2))
        t = (rng.random(150) < 1 / (1 + np.exp(-0.4 * x[:, 0]))).astype(int)
        y = (rng.random(150) < 0.02).astype(float)
        if y.any():
            found.append(holds(MODELS[name](segment=None), x, y, t, 0.0))
    covered = [one for one in found if one is not None]
    assert len(covered) > 0.9 * N_DRAWS
    assert np.mean(covered) >= 0.93
