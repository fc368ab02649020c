"""Data for the tests of the command line."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.datasets import make_segmented_users


@pytest.fixture(scope="module")
def users():
    data = make_segmented_users(
        600, n_segments=2, n_features=2, treated_share=0.4, n_groups=200, random_state=0
    )
    return data.X.assign(
        region=np.where(data.segment == 0, "north", "south"),
        offer=data.treatment,
        spend=data.y,
        school=data.groups,
        score=data.propensity,
    )


@pytest.fixture
def file(tmp_path, users):
    path = tmp_path / "users.csv"
    users.to_csv(path, index=False)
    return path


@pytest.fixture
def shop(tmp_path, users):
    """Write users whose spend is 0 unless they visit."""
    rng = np.random.default_rng(0)
    n = len(users)
    visit = rng.random(n) < 0.3
    bought = visit & (rng.random(n) < 0.7)
    path = tmp_path / "shop.csv"
    users[["x0", "x1", "region", "offer"]].assign(
        visit=visit.astype(int),
        promo=rng.integers(0, 2, n),
        spend=np.where(bought, rng.exponential(20, n), 0).round(2),
    ).to_csv(path, index=False)
    return path
