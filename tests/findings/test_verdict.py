"""The verdict follows its rules, and no sentence claims more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcate.effects import SegmentMatching
from segcate.findings import Description, Doubt, collect_findings
from segcate.findings._verdict import verdict_of
from tests.findings.small import collect, fitted, labelled, users


def statements(findings, kind):
    return [s for s in verdict_of(findings) if s.kind == kind]


def partly():
    """Return findings with an effect in two of three segments."""
    y = np.where(users().segment == 0, np.sin(np.arange(1200.0)), users().y)
    return collect_findings(fitted_on(y), labelled(), y, treatment=users().treatment)


def test_a_segment_is_established_where_its_adjusted_p_value_is():
    findings = partly()
    expected = {s.label for s in findings.segments if s.p_adjusted <= 0.05}
    said = {s.segment for s in statements(findings, "segment") if s.is_established}
    assert said == expected
    assert 0 < len(expected) < 3


def test_what_is_not_established_says_what_would_have_been_seen():
    findings = partly()
    (rest,) = [s for s in statements(findings, "segment") if not s.is_established]
    assert "No effect is established in segment 0 (" in rest.text
    limit = findings.segments[0].minimum_detectable_effect
    assert f"an effect of {limit:.2f} or more would have been seen in 80 of 100" in rest.text


def test_differences_are_established_by_the_test_of_equal_effects():
    findings = collect()
    (found,) = statements(findings, "difference")
    assert found.is_established
    assert "larger than in segment 0" in found.text
    none = replace(findings, heterogeneity=replace(findings.heterogeneity, p_value=0.4), contrasts=tuple(
        replace(c, p_adjusted=1.0) for c in findings.contrasts
    ))  # fmt: skip
    (found,) = statements(none, "difference")
    assert not found.is_established
    assert found.text.startswith(
        "No difference between segments is established (test of equal effects: p = 0.4)."
    )
    limits = [c.minimum_detectable_among_all for c in findings.contrasts]
    assert f"a difference of {min(limits):.2f} to {max(limits):.2f} or more" in found.text


def test_nothing_is_established_of_segments_that_saw_the_outcome():
    findings = collect()
    saw = replace(findings, population=replace(findings.population, segments_saw_outcome=True))
    for kind in ("segment", "difference"):
        assert not any(s.is_established for s in statements(saw, kind))
    assert any(s.is_established for s in statements(saw, "overall"))


def test_words_and_units_of_the_user_stand_in_the_sentences():
    words = Description(treated="a reminder", outcome="hours played", units="hours")
    findings = collect(description=words)
    (found,) = statements(findings, "overall")
    assert found.text.startswith(
        f"On average over the treated, a reminder raises hours played by {findings.overall.effect:.2f} hours"
    )


def test_shares_are_written_in_percentage_points():
    y = (users().y > 1).astype(float)
    model = SegmentMatching().fit(labelled(), y, treatment=users().treatment)
    findings = collect_findings(model, labelled(), y, treatment=users().treatment)
    assert "percentage points" in findings.verdict[0].text


def test_a_lowered_outcome_is_written_with_positive_numbers():
    model = fitted_on(-users().y)
    findings = collect_findings(model, labelled(), -users().y, treatment=users().treatment)
    text = findings.verdict[0].text
    assert "lowers the outcome by 0." in text
    assert f"{-findings.overall.ci_high:.2f} to {-findings.overall.ci_low:.2f})" in text


def fitted_on(y):
    return SegmentMatching().fit(labelled(), y, treatment=users().treatment)


@pytest.mark.parametrize("seed", range(5))
def test_chance_alone_establishes_nothing_in_most_draws(seed):
    y = np.random.RandomState(seed).normal(size=1200)
    findings = collect_findings(fitted_on(y), labelled(), y, treatment=users().treatment)
    established = {s.kind for s in findings.verdict if s.is_established}
    by_rule = {
        "overall": findings.overall.p_value <= 0.05,
        "segment": min(s.p_adjusted for s in findings.segments) <= 0.05,
        "difference": findings.heterogeneity.p_value <= 0.05,
    }
    assert established == {kind for kind, holds in by_rule.items() if holds}


def test_no_word_of_the_trade_is_misused():
    for estimator in (SegmentMatching(), SegmentMatching(segment=None)):
        for statement in collect(fitted(estimator)).verdict:
            assert "significant" not in statement.text + statement.rule
            assert statement.text.endswith(".")


def test_few_groups_or_events_establish_nothing():
    findings = collect()
    label = findings.segments[2].label
    doubt = Doubt("few groups", "Segment 2 has rows of 3 groups only.", label)
    doubted = replace(findings, doubts=(doubt,))
    (found,) = [s for s in statements(doubted, "segment") if s.segment == label]
    assert not found.is_established
    assert "but it has few groups, so that this is not established" in found.text
