"""Effect estimators name covariates that were probably measured after the treatment."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.exceptions import OverlapError, SegcateWarning

ESTIMATORS = [
    SegmentMatching(segment=None),
    SegmentRegression(segment=None),
    SegmentAIPW(LinearRegression(), LogisticRegression(), segment=None),
]
IDS = ["matching", "regression", "aipw"]


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(0)
    n = 1500
    X = pd.DataFrame({"age": rng.normal(size=n), "tenure": rng.normal(size=n)})
    t = (rng.random(n) < 0.5).astype(int)
    visit = rng.random(n) < 0.3
    y = np.where(visit & (rng.random(n) < 0.8), rng.exponential(5, n), 0.0)
    return X, y, t, visit.astype(float)


@pytest.mark.parametrize("model", ESTIMATORS, ids=IDS)
def test_a_gate_is_warned_of_and_stands_in_the_summary(shop, model):
    X, y, t, visit = shop
    with pytest.warns(
        SegcateWarning, match=r"'visit': the outcome is 0 in all 1,\d\d\d rows where it is 0"
    ) as caught:
        model.fit(X.assign(visit=visit), y, treatment=t)
    assert caught[0].filename == __file__
    assert list(model.late_columns_) == ["visit"]
    assert "  visit: measured after the treatment? the outcome is 0 in all" in model.summary()


@pytest.mark.parametrize("model", ESTIMATORS, ids=IDS)
def test_columns_measured_before_are_left_in_peace(shop, model):
    X, y, t, _ = shop
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y, treatment=t)
    assert model.late_columns_ == {}
    assert "Columns" not in model.summary()


@pytest.mark.parametrize("model", ESTIMATORS, ids=IDS)
def test_a_column_that_names_the_arm_is_refused(shop, model):
    X, y, t, _ = shop
    arm = np.where(t == 1, "mail", "none")
    if isinstance(model, SegmentAIPW):
        arm = 2.0 * t
    with pytest.raises(OverlapError, match=r"column 'arm' of X decides the treatment"):
        model.fit(X.assign(arm=arm), y, treatment=t)


def test_a_known_propensity_says_that_the_arms_overlap(shop):
    X, y, t, _ = shop
    model = SegmentMatching(segment=None)
    model.fit(X.assign(arm=2.0 * t), y, treatment=t, propensity=np.full(len(y), 0.5))
    assert list(model.late_columns_) == ["arm"]


def test_rows_of_weight_zero_are_not_looked_at(shop):
    X, y, t, visit = shop
    broken = visit.copy()
    broken[np.flatnonzero(visit == 1)[0]] = 0.0  # one row breaks the gate
    weight = np.where((broken == 0) & (y > 0), 0.0, 1.0)
    model = SegmentRegression(segment=None)
    model.fit(X.assign(visit=broken), y, treatment=t)
    assert model.late_columns_ == {}
    with pytest.warns(SegcateWarning, match="'visit'"):
        model.fit(X.assign(visit=broken), y, treatment=t, sample_weight=weight)
