"""scikit-learn's own estimator checks on every effect estimator, and how many of them ran."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from tests.helpers.treatment_shim import CheckedPropensityMatcher, CheckedSegmentMatching

# Checks that fail on purpose: name -> reason.
EXPECTED_FAILURES: dict[str, str] = {}
# Fewest checks that scikit-learn 1.6 and later run on each; fewer means that a tag hides some.
FEWEST_CHECKS = {CheckedSegmentMatching: 55, CheckedPropensityMatcher: 45}


def expected_failures(estimator: object) -> dict[str, str]:
    return EXPECTED_FAILURES


@parametrize_with_checks(
    [
        CheckedSegmentMatching(),
        CheckedSegmentMatching(adjustment=None, estimand="ate"),
        CheckedSegmentMatching(adjustment="linear"),
        CheckedPropensityMatcher(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", list(FEWEST_CHECKS))
def test_no_check_was_lost(kind):
    results = check_estimator(kind(), on_skip=None, on_fail=None)
    passed = [r["check_name"] for r in results if r["status"] == "passed"]
    assert len(passed) >= FEWEST_CHECKS[kind], sorted(passed)
