"""Control means: by hand, and right in simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.findings import collect_findings
from segcate.findings._analysed_rows import read_rows
from segcate.findings._follow_ups import follow_ups
from segcate.findings._source import read_source
from segcate.matching import PropensityMatcher
from tests.findings.small import collect, fitted, users


def in_arm(arm):
    return [users().y[(users().segment == k) & (users().treatment == arm)].mean() for k in range(3)]


def test_on_the_treated_it_is_their_mean_less_the_effect():
    found = collect().effects_table
    assert_allclose(found["control_mean"] + found["effect"], in_arm(1), rtol=1e-12)


def test_on_the_controls_it_is_their_mean():
    found = collect(fitted(SegmentMatching(estimand="atc"))).effects_table
    assert_allclose(found["control_mean"], in_arm(0), rtol=1e-12)


def test_on_all_rows_of_an_experiment_it_is_near_the_mean_of_the_controls():
    rng = np.random.RandomState(0)
    n = 4000
    X = np.column_stack([rng.normal(size=n), rng.randint(2, size=n)])
    t = rng.randint(2, size=n)
    y = 5 + X[:, 0] + t * (1 + X[:, 1]) + rng.normal(size=n)
    for model in (
        SegmentRegression(segment=-1),
        SegmentMatching(segment=-1, estimand="ate"),
        SegmentAIPW(segment=-1, cv=2, random_state=0),
    ):
        findings = collect_findings(model.fit(X, y, treatment=t), X, y, treatment=t)
        for segment in (*findings.segments, findings.overall):
            assert abs(segment.control_mean - 5) < 4 * segment.control_mean_std_error
            assert 0.02 < segment.control_mean_std_error < 0.07


def test_the_overall_one_fits_the_overall_effect():
    findings = collect(fitted(SegmentMatching(PropensityMatcher(caliper=0.05))))
    means = findings.effects_table
    expected = np.average(means["control_mean"], weights=means["n_matched"])
    assert findings.overall.control_mean == pytest.approx(expected)


def test_groups_widen_it():
    groups = np.arange(1200) // 60
    findings = collect(fitted(SegmentMatching(), groups=groups), groups=groups)
    assert all(segment.control_mean_std_error > 0 for segment in findings.segments)


def truth(estimand):
    """Control mean and effect, by the law of x."""
    x = np.linspace(-8, 8, 4001)
    chance = 1 / (1 + np.exp(-0.5 * x))
    law = np.exp(-0.5 * x**2) * {"att": chance, "atc": 1 - chance, "ate": 1.0}[estimand]
    mean = float(np.average(x, weights=law))
    return 20 + 2 * mean, 3 + mean


@pytest.mark.slow
@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_intervals_of_control_mean_and_lift_cover_the_truth(estimand):
    """95 % intervals in 500 draws: two standard deviations of the count are 2 points."""
    rng = np.random.RandomState(1)
    truth_mean, truth_effect = truth(estimand)
    covered = np.zeros(2)
    n_draws, n = 500, 600
    for _ in range(n_draws):
        x = rng.normal(size=n)
        chance = 1 / (1 + np.exp(-0.5 * x))
        t = (rng.uniform(size=n) < chance).astype(int)
        y0 = 20 + 2 * x + rng.normal(size=n)
        y = y0 + t * (3 + x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SegmentMatching(segment=None, estimand=estimand).fit(x[:, None], y, treatment=t)
        found = everyone(model, x[:, None], y, t)
        mean, error = found["control_mean"], found["control_mean_std_error"]
        covered[0] += abs(mean - truth_mean) < 1.96 * error
        covered[1] += found["lift_low"] < truth_effect / truth_mean < found["lift_high"]
    assert (np.abs(covered / n_draws - 0.95) < 0.03).all(), covered / n_draws


def everyone(model, X, y, t):
    """Return what follows from the overall effect."""
    source = read_source(model)
    rest = dict.fromkeys(("groups", "sample_weight", "propensity"))
    return follow_ups(source, read_rows(source, X, y, treatment=t, **rest))[1]
