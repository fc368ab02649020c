"""Lift, minimum detectable effects and sensitivity of segments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.intervals import Law
from segcate.effects import SegmentMatching, SegmentRegression, pair_differences, rosenbaum_bounds
from segcate.findings import collect_findings
from segcate.findings._control_means import ControlMean
from segcate.findings._follow_ups import fieller_interval
from segcate.matching import PropensityMatcher
from tests.findings.small import collect, fitted, labelled, users


def binary():
    y = (users().y > 1).astype(float)
    model = SegmentMatching().fit(labelled(), y, treatment=users().treatment)
    return collect_findings(model, labelled(), y, treatment=users().treatment)


def test_lift_is_the_effect_as_a_share_of_the_control_mean():
    for found in (*binary().segments, binary().overall):
        assert found.relative_lift == pytest.approx(found.effect / found.control_mean)
        assert found.lift_low < found.relative_lift < found.lift_high
        assert (found.lift_low > 0) == (found.ci_low > 0)
        assert (found.lift_high < 0) == (found.ci_high < 0)


def test_fiellers_interval_holds_the_ratios_that_fit():
    control = ControlMean(4.0, 0.5, 0.3)
    low, high = fieller_interval(1.0, 0.4, control, 1.96)
    for r in (low, high):
        variance = 0.4**2 - 2 * r * 0.3 * 0.4 * 0.5 + r**2 * 0.25
        assert abs(1.0 - r * 4.0) == pytest.approx(1.96 * np.sqrt(variance))


def test_there_is_no_lift_of_an_outcome_that_may_be_negative():
    for segment in collect().segments:
        assert np.isnan(segment.relative_lift)
        assert "below 0" in segment.lift_note


def test_there_is_no_lift_near_zero():
    y = np.abs(users().y) * (np.random.RandomState(0).uniform(size=1200) < 0.004)
    model = SegmentRegression(segment=None).fit(labelled(), y, treatment=users().treatment)
    found = collect_findings(model, labelled(), y, treatment=users().treatment).overall
    assert np.isnan(found.relative_lift)
    assert "not told from 0" in found.lift_note


def test_e_values_are_of_risk_ratios_or_of_standard_deviations():
    for found in binary().segments:
        ratio = 1 + found.relative_lift
        ratio = max(ratio, 1 / ratio)
        assert found.e_value == pytest.approx(ratio + np.sqrt(ratio * (ratio - 1)))
    for found in collect().segments:
        assert (found.e_value_limit == 1.0) == (found.ci_low <= 0 <= found.ci_high)


def test_pairs_have_a_largest_bias_and_other_designs_say_why_not():
    model = fitted(SegmentMatching(PropensityMatcher(n_neighbors=1, replacement=False)))
    findings = collect(model)
    pairs = pair_differences(model, users().y)
    for segment in findings.segments:
        expected = rosenbaum_bounds(pairs[segment.label]).gamma_limit
        np.testing.assert_equal(segment.rosenbaum_gamma, expected)
    assert findings.overall.rosenbaum_gamma > 1
    assert "with replacement" in collect().segments[0].sensitivity_note


def test_a_minimum_detectable_effect_has_the_law_of_the_interval():
    model = fitted(SegmentMatching())
    for segment, df in zip(collect(model).segments, model.effects_["df"], strict=True):
        reach, size = stats.t.ppf(0.975, df), segment.minimum_detectable_effect
        assert stats.nct.sf(reach, df, size / segment.std_error) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n_arm", [12, 150])
@pytest.mark.parametrize("what", ["segment", "difference"])
def test_minimum_detectable_effects_are_met(n_arm, what):
    """An effect of that size is found in 80 of 100 studies, give or take 3."""
    rng = np.random.RandomState(0)
    n, n_draws = 4 * n_arm, 2500
    segment, t = np.repeat([0.0, 1.0], 2 * n_arm), np.tile([0, 1], 2 * n_arm)
    X = segment[:, None]

    def study(effect):
        y = rng.normal(size=n) + effect * t * segment
        model = SegmentRegression(segment=0).fit(X, y, treatment=t)
        return model.effects_.iloc[1] if what == "segment" else model.contrasts().table.iloc[0]

    limits = [Law(row["df"]).detectable(row["std_error"], 0.05) for row in map(study, [0.0] * 300)]
    effect = np.sqrt(np.mean(np.square(limits)))
    share = np.mean([study(effect)["p_value"] <= 0.05 for _ in range(n_draws)])
    assert abs(share - 0.8) <= 0.03, share
