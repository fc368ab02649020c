"""Groups that coincide with the arms of the treatment are refused wherever both are passed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from segcate._inputs.groups import refuse_groups_that_are_arms
from segcate.cate import InteractionRegression
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.metrics import blp_from_outcome, effect_scores, r_loss
from segcate.model_selection import honest_effects
from segcate.segmentation import KMeansSegmenter

RNG = np.random.default_rng(0)
T = RNG.integers(0, 2, 300)
X = pd.DataFrame({"a": RNG.normal(size=300), "segment": np.arange(300) % 3})
Y = X["segment"] * T + RNG.normal(size=300)
HALF = np.full(300, 0.5)
MODELS = {
    "matching": SegmentMatching(),
    "regression": SegmentRegression(),
    "aipw": SegmentAIPW(LinearRegression(), LogisticRegression(), cv=2, random_state=0),
    "interaction": InteractionRegression(),
}
LABELS = np.array(["north", "south"])


@pytest.mark.parametrize("groups", [T, 1 - T, LABELS[T]], ids=["same", "swapped", "text"])
@pytest.mark.parametrize("name", MODELS)
def test_estimators_refuse_arms_as_groups(name, groups):
    with pytest.raises(ValueError, match="`groups` coincide with the arms of `treatment`"):
        MODELS[name].fit(X, Y, treatment=T, groups=groups)


CALLS = {
    "effect_scores": lambda: effect_scores(X, Y, treatment=T, groups=T),
    "blp_from_outcome": lambda: blp_from_outcome(
        Y, X["a"], treatment=T, propensity=HALF, baseline=HALF, groups=T
    ),
    "r_loss": lambda: r_loss(Y, X["a"], treatment=T, propensity=HALF, outcome=HALF, groups=T),
    "honest_effects": lambda: honest_effects(
        GridSearchCV(
            make_pipeline(KMeansSegmenter(column="found"), SegmentRegression()),
            {"kmeanssegmenter__n_clusters": [2, 3]},
        ),
        X,
        Y,
        treatment=T,
        groups=T,
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_refuse_arms_as_groups(name):
    with pytest.raises(ValueError, match="`groups` coincide with the arms of `treatment`"):
        CALLS[name]()


def test_more_groups_than_arms_pass():
    refuse_groups_that_are_arms("f", None, T)
    refuse_groups_that_are_arms("f", np.arange(300), T)
    refuse_groups_that_are_arms("f", np.where(T == 1, 1, np.arange(300) % 2 * 2), T)
    refuse_groups_that_are_arms("f", np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))


@pytest.mark.filterwarnings("ignore:.*run low below 30:segcate.exceptions.SegcateWarning")
@pytest.mark.filterwarnings("ignore:.*nothing for the variance:segcate.exceptions.SegcateWarning")
@pytest.mark.parametrize("arm", [0, 1])
@pytest.mark.parametrize("name", ["matching", "regression", "interaction"])
def test_one_group_that_holds_an_arm_leaves_no_standard_error(name, arm):
    groups = np.where(arm == T, np.arange(300) % 30, 99)
    model = MODELS[name].fit(X, Y, treatment=T, groups=groups)
    if name == "interaction":
        assert np.isnan(model.predict_interval(X)).all()
        return
    table = model.effects_
    assert table["effect"].notna().all()
    assert table[["std_error", "ci_low", "ci_high"]].isna().all().all()
    assert table["status"].str.contains("one group holds all rows of an arm").all()
    assert np.isnan(model.overall_["std_error"])
