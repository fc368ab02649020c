"""Width of the caliper, the inclusive rule, and reasons by name."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.matching._calipers import (
    REASONS,
    RowStatus,
    caliper_widths,
    is_within,
    say_why_unmatched,
    score_deviations,
)


def test_every_status_has_its_reason():
    assert len(REASONS) == len(RowStatus)
    assert REASONS[RowStatus.CALIPER] == "no row within the caliper"
    assert REASONS[RowStatus.EXHAUSTED] == "rows of the other arm used up"
    assert REASONS[RowStatus.NO_DONOR] == "no row of the other arm"
    assert REASONS[RowStatus.NO_LEVEL] == "no donor in its level"


def test_the_rule_is_inclusive():
    assert is_within(0.5, 0.75, 0.25)
    assert not is_within(0.5, np.nextafter(0.75, 1), 0.25)


def test_widths_are_in_deviations_of_the_segment_or_in_units_of_the_score():
    deviation = np.array([2.0, 0.5])
    assert caliper_widths(0.2, "sd", deviation).tolist() == pytest.approx([0.4, 0.1])
    assert caliper_widths(0.2, "raw", deviation).tolist() == [0.2, 0.2]
    assert np.isinf(caliper_widths(None, "sd", deviation)).all()


def test_a_weight_counts_as_that_many_rows():
    score, weight = np.array([0.0, 1.0, 5.0]), np.array([1.0, 3.0, 2.0])
    bounds, cells = np.array([0, 2, 3]), np.array([0])
    found = score_deviations(score, weight, bounds, cells, 1)
    assert found[0] == pytest.approx(np.std([0, 1, 1, 1, 5, 5], ddof=1))
    assert score_deviations(score, None, bounds, cells, 1)[0] == pytest.approx(score.std(ddof=1))


@pytest.mark.parametrize("replacement", [True, False])
def test_why_a_row_is_unmatched(replacement):
    """One cell: controls at 0 and 1 (both taken), treated at 0.1 and 9; another without controls."""
    status = np.zeros(5, np.int8)
    score = np.array([0.0, 1.0, 0.1, 9.0, 3.0])
    say_why_unmatched(
        status, np.arange(5, dtype=np.int32), np.array([0, 2, 4, 4, 5]), np.zeros(5, np.int32),
        np.zeros(5, np.int32), score, score, np.array([0.5, 0.5]), replacement,
        np.array([False, True]),
    )  # fmt: skip
    near = RowStatus.CALIPER if replacement else RowStatus.EXHAUSTED
    assert status.tolist() == [0, 0, near, RowStatus.CALIPER, RowStatus.NO_DONOR]


def test_a_whole_number_beyond_64_bits_is_a_width():
    found = caliper_widths(10**30, "sd", np.array([1.0, 2.0]))
    assert found.tolist() == [1e30, 2e30]
