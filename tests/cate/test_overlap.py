"""Every estimator of individual effects refuses a column that decides the treatment, and names late ones."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from segcate.cate import (
    CausalForest,
    CausalMLEstimator,
    EconMLEstimator,
    InteractionRegression,
    SegmentedCATE,
)
from segcate.exceptions import EmptySegmentError, OverlapError, SegcateWarning
from tests.helpers.other_libraries import import_causalml, import_econml

OURS = {
    "forest": CausalForest(
        20, outcome_model=LinearRegression(), propensity_model=LogisticRegression(), random_state=0
    ),
    "line": InteractionRegression(),
    "ridge": InteractionRegression(Ridge()),
    "segments": SegmentedCATE(random_state=0, cv=2),
}


def adapter(name):
    """Make an adapter; skip the test where its library is not installed."""
    if name == "causalml":
        return CausalMLEstimator(import_causalml("meta").BaseTRegressor(LinearRegression()))
    if name == "econml":
        return EconMLEstimator(import_econml("metalearners").TLearner(models=LinearRegression()))
    return EconMLEstimator(import_econml("dml").LinearDML(random_state=0))


@pytest.fixture(params=[*OURS, "causalml", "econml", "econml, 0/1 as a number"])
def model(request):
    return clone(OURS[request.param]) if request.param in OURS else adapter(request.param)


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(0)
    n = 600
    X = pd.DataFrame({"age": rng.normal(size=n), "segment": rng.integers(0, 2, n).astype(float)})
    t = (rng.random(n) < 0.5).astype(int)
    return X, 0.4 * X["age"].to_numpy() + t + rng.normal(size=n), t


def test_a_column_that_names_the_arm_is_refused(shop, model):
    X, y, t = shop
    owner = type(model).__name__
    with pytest.raises(OverlapError, match=rf"{owner}: column 'arm' of X decides the treatment"):
        model.fit(X.assign(arm=2.0 * t), y, treatment=t)


def test_columns_measured_before_are_left_in_peace(shop, model):
    X, y, t = shop
    with warnings.catch_warnings():
        warnings.simplefilter("error", SegcateWarning)
        model.fit(X, y, treatment=t)
    assert model.late_columns_ == {}


def test_a_copy_of_the_outcome_is_warned_of_once(shop, model):
    X, y, t = shop
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X.assign(sales=y + 1e-3), y, treatment=t)
    said = [w for w in caught if "measured after the treatment" in str(w.message)]
    assert [w.filename for w in said] == [__file__]
    assert f"{type(model).__name__}: X has columns" in str(said[0].message)
    assert list(model.late_columns_) == ["sales"]


@pytest.mark.parametrize("name", ["forest", "line", "segments"])
def test_a_known_propensity_says_that_the_arms_overlap(shop, name):
    X, y, t = shop
    fitted = clone(OURS[name])
    if name == "forest":
        fitted.set_params(propensity_model=None)
    fitted.fit(X.assign(arm=2.0 * t), y, treatment=t, propensity=np.full(len(y), 0.5))
    assert list(fitted.late_columns_) == ["arm"]


@pytest.mark.parametrize("name", ["forest", "line", "segments"])
def test_doses_have_no_arms_to_decide(shop, name):
    X, y, t = shop
    dose = t + np.random.default_rng(1).normal(size=len(t))
    fitted = clone(OURS[name])
    if name == "forest":
        fitted.set_params(propensity_model=None)
    fitted.fit(X.assign(near=dose.round(1)), y, treatment=dose)
    assert fitted.late_columns_ == {}


def test_arms_called_doses_are_still_arms(shop):
    X, y, t = shop
    line = InteractionRegression(treatment_kind="continuous")
    with pytest.raises(OverlapError, match="'arm' of X decides"):
        line.fit(X.assign(arm=t), y, treatment=t)


def test_one_arm_of_several_that_a_column_decides_is_refused(shop):
    X, y, _ = shop
    arms = np.random.default_rng(2).integers(0, 3, len(y))
    with pytest.raises(OverlapError, match="'second' of X decides"):
        InteractionRegression().fit(X.assign(second=arms == 2), y, treatment=arms)
    with pytest.warns(SegcateWarning, match="'first': all .* rows where it is 1 were treated"):
        line = InteractionRegression().fit(X.assign(first=arms % 2), y, treatment=1 * (arms > 0))
    assert list(line.late_columns_) == ["first"]


@pytest.fixture(scope="module")
def one_segment(shop):
    """Rows whose column `z` is the treatment in segment 0, and 0 in segment 1."""
    X, y, t = shop
    return X.assign(z=np.where(X["segment"] == 0, t, 0)), y, t


# Nobody but the treated has a 1 in `z`.
of_treated_only = pytest.mark.filterwarnings("ignore:.*measured after the treatment")


@of_treated_only
@pytest.mark.parametrize("shrinkage", ["auto", None])
def test_a_segment_whose_column_decides_has_no_model_of_its_own(one_segment, shrinkage):
    X, y, t = one_segment
    found = SegmentedCATE(random_state=0, cv=2, shrinkage=shrinkage).fit(X, y, treatment=t)
    assert found.segments_["status"].tolist() == [
        "pooled: column 'z' decides the treatment",
        "ok",
    ]
    assert found.weights_[0] == 0


@of_treated_only
def test_on_empty_says_what_that_segment_gets(one_segment):
    X, y, t = one_segment
    blank = SegmentedCATE(shrinkage=None, on_empty="nan").fit(X, y, treatment=t)
    np.testing.assert_array_equal(np.isnan(blank.predict(X)), X["segment"] == 0)
    with pytest.raises(EmptySegmentError, match=r"1 of 2 .*'z' decides the treatment"):
        SegmentedCATE(on_empty="raise").fit(X, y, treatment=t)


@of_treated_only
def test_a_known_propensity_leaves_that_segment_its_model(one_segment):
    X, y, t = one_segment
    found = SegmentedCATE(shrinkage=None).fit(X, y, treatment=t, propensity=np.full(len(y), 0.5))
    assert found.segments_["status"].tolist() == ["ok", "ok"]
