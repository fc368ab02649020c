"""Balance, overlap and profile are those of the estimator and of the rows."""

from __future__ import annotations

import numpy as np

from segcate.effects import SegmentAIPW, SegmentMatching
from segcate.findings._analysed_rows import read_rows
from segcate.findings._design import collect_overlap
from segcate.findings._source import read_source
from segcate.matching import PropensityMatcher
from segcate.segmentation import segment_profile
from tests.findings.small import collect, fitted, labelled, matching, users


def test_balance_is_that_of_the_matcher():
    findings = collect()
    table = matching().balance_
    np.testing.assert_array_equal(findings.balance_table["smd_after"], table["smd_after"])
    for entry in findings.balance:
        part = table.loc[entry.segment]["smd_after"].abs()
        assert abs(entry.smd_after) == part.max()
        assert entry.n_over == (part > 0.1).sum()


def test_profile_is_that_of_the_segments():
    findings = collect()
    expected = segment_profile(labelled(), "segment").drop(columns=["n", "share"])
    np.testing.assert_allclose(findings.profile_table, expected, rtol=1e-12)
    i = findings.profile.columns.index("x1")
    everyone, spread = users().X["x1"].mean(), users().X["x1"].std(ddof=0)
    gap = (expected["x1"].iloc[0] - everyone) / spread
    assert np.isclose(findings.profile.difference[0][i], gap)


def test_unmatched_rows_are_counted_by_segment():
    model = fitted(SegmentMatching(PropensityMatcher(caliper=0.02)))
    findings = collect(model)
    table = model.effects_
    n_without = (table["n_treated"] - table["n_matched"]).tolist()
    assert [entry.n_unmatched for entry in findings.overlap] == n_without
    assert findings.population.n_unmatched == sum(n_without) > 0


def test_effective_sizes_are_those_of_the_matcher():
    sizes = matching().matcher_.effective_sample_size_
    for entry, (control, treated) in zip(collect().overlap, sizes, strict=True):
        np.testing.assert_allclose(
            [entry.effective_control, entry.effective_treated], [control, treated]
        )


def test_weights_of_a_doubly_robust_estimate_are_inverse_chances():
    model = fitted(SegmentAIPW(cv=2, random_state=0))
    source = read_source(model)
    given = {
        "treatment": users().treatment,
        "groups": None,
        "sample_weight": None,
        "propensity": None,
    }
    rows = read_rows(source, labelled(), users().y, **given)
    entry = collect_overlap(source, rows)[0]
    at = (users().segment == 0) & (users().treatment == 1)
    weight = 1 / model.propensity_[at]
    assert np.isclose(entry.effective_treated, weight.sum() ** 2 / (weight**2).sum())
    assert sum(entry.treated) == at.sum()
