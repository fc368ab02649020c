"""Effects and contrasts are read from the estimator."""

from __future__ import annotations

from segcate.effects import SegmentMatching
from tests.findings.small import collect, fitted, labelled, users


def test_many_segments_have_too_many_pairs():
    X = labelled().assign(segment=[f"s{i % 30:02d}" for i in range(1200)])
    model = SegmentMatching(on_empty="nan").fit(X, users().y, treatment=users().treatment)
    findings = collect(model, X)
    assert findings.contrasts is None
    assert "435 differences" in findings.why_not("contrasts").reason


def test_a_single_segment_has_nothing_to_compare_with():
    findings = collect(fitted(SegmentMatching(segment=None)))
    assert findings.contrasts is None
    assert findings.why_not("contrasts").reason == "there is one segment"
    assert [segment.label for segment in findings.segments] == ["all"]


def test_merged_segments_are_named():
    findings = collect(fitted(SegmentMatching(min_per_arm=130)))
    merged = [segment.is_merged_from for segment in findings.segments]
    assert any(merged)
    assert sum(segment.n for segment in findings.segments) == 1200
