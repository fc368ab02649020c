"""scikit-learn's own estimator checks on every effect estimator, and how many of them ran."""

from __future__ import annotations

import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from segcate.exceptions import EmptySegmentError
from tests.helpers.sklearn_checks import checks_of, checks_to_run, name_of
from tests.helpers.treatment_shim import (
    CheckedCausalForest,
    CheckedInteractionRegression,
    CheckedMahalanobisMatcher,
    CheckedPropensityMatcher,
    CheckedSegmentAIPW,
    CheckedSegmentedCATE,
    CheckedSegmentMatching,
    CheckedSegmentRegression,
    CheckedTargetingPolicy,
)

ESTIMATORS = {
    "SegmentMatching": CheckedSegmentMatching(),
    "SegmentMatching-ate": CheckedSegmentMatching(adjustment=None, estimand="ate"),
    "SegmentMatching-linear": CheckedSegmentMatching(adjustment="linear"),
    "SegmentRegression": CheckedSegmentRegression(),
    "SegmentRegression-att": CheckedSegmentRegression(estimand="att", std_error="hc3"),
    "SegmentAIPW": CheckedSegmentAIPW(DummyRegressor(strategy="constant", constant=0.0)),
    "SegmentAIPW-models": CheckedSegmentAIPW(
        Ridge(), LogisticRegression(C=0.01, solver="newton-cholesky", tol=1e-10)
    ),
    "CausalForest": CheckedCausalForest(
        outcome_model=DummyRegressor(strategy="constant", constant=0.0)
    ),
    "InteractionRegression": CheckedInteractionRegression(),
    "InteractionRegression-ridge": CheckedInteractionRegression(Ridge()),
    "SegmentedCATE": CheckedSegmentedCATE(),
    "TargetingPolicy": CheckedTargetingPolicy(CheckedSegmentMatching(), cost=0.3, max_share=0.5),
    "SegmentMatching-mahalanobis": CheckedSegmentMatching(CheckedMahalanobisMatcher()),
    "PropensityMatcher": CheckedPropensityMatcher(),
    "MahalanobisMatcher": CheckedMahalanobisMatcher(),
}
# What scikit-learn 1.6 to 1.9 runs on each; fewer means that a tag hides some.
FEWEST_CHECKS = {
    "SegmentMatching": 57,
    "InteractionRegression": 57,
    "SegmentedCATE": 57,
    "SegmentRegression": 57,
    "SegmentAIPW": 57,
    "CausalForest": 57,
    "TargetingPolicy": 49,
    "PropensityMatcher": 45,
    "MahalanobisMatcher": 45,
}

# Checks whose rows an estimator must refuse: the arms made of them lie apart in X, so that fitted
# scores cannot overlap.
REFUSED = {
    ("SegmentAIPW-models", "check_sample_weights_shape"): "no overlap of scores",
    # one control is the nearest of all treated
    (
        "SegmentMatching-mahalanobis",
        "check_sample_weight_equivalence_on_dense_data",
    ): "too few distinct matches",
}


def cases():
    """List all checks; `parametrize_with_checks` of 1.6 gives no list, as new pytest wants."""
    for name, estimator in ESTIMATORS.items():
        for check in checks_to_run(estimator):
            what = name_of(check)
            refusal = REFUSED.get((name, what), "")
            yield pytest.param(estimator, check, refusal, id=f"{name}-{what}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check", "refusal"), list(cases()))
def test_scikit_learn_checks(estimator, check, refusal):
    if refusal:
        with pytest.raises(EmptySegmentError, match=refusal):
            check(clone(estimator))
        return
    check(clone(estimator))


@pytest.mark.parametrize("name", list(FEWEST_CHECKS))
def test_no_check_was_lost(name):
    assert len(checks_of(ESTIMATORS[name])) >= FEWEST_CHECKS[name]
