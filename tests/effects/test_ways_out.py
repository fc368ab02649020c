"""What a message advises fits why segments have no estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.effects._ways_out import _kind, ways_out
from segcate.exceptions import EmptySegmentError, SegcateWarning

THIN = "too few rows (3 treated, 90 control)"
APART = "no overlap of scores (covariate 'age' tells the arms apart)"


def test_thin_segments_are_merged_and_told_what_else_helps():
    text = ways_out("SegmentAIPW", [THIN], 4, "lower `cv`")
    assert text.startswith("Keep going without them, SegmentAIPW(on_empty='nan')")
    assert "min_per_arm=10" in text
    assert text.endswith("; or lower `cv`")
    alone = ways_out("SegmentAIPW", [THIN], 1, "")
    assert alone == "Fit on more rows of both arms, as all rows are one segment"


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (APART, "nobody can be compared"),
        ("60 % of treated have no donor in their level of clicked", "nobody can be compared"),
        ("covariates tell the arms apart", "nobody can be compared"),
        ("caliper took all matches", "widen the caliper"),
        ("no rows of both arms in any cell of the exact columns", "fewer exact columns"),
        ("weights are zero", "look at the weights"),
    ],
)
def test_more_rows_are_asked_for_only_where_they_help(status, word):
    text = ways_out("SegmentMatching", [status] * 2, 2, "use fewer covariates")
    assert word in text.lower()
    assert "min_per_arm" not in text
    assert "fewer covariates" not in text
    both = ways_out("SegmentMatching", [status, THIN], 2, "")
    assert "min_per_arm" in both


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("80 % of treated have no donor in their level of caliper or exact columns", "no comparison"),
        ("no overlap of scores (covariate 'too few rows' tells the arms apart)", "no comparison"),
        ("covariates tell the arms apart (no donor in any level of no matches)", "no comparison"),
        ("too few rows (3 treated, 9 control; at least 5 of each); 'no overlap' merged into it", "too few rows"),
        ("no treated rows; with rows of segment 'weights are zero'", "one arm"),
        ("caliper took all matches", "caliper"),
        ("no rows of both arms in any cell of the exact columns", "exact columns"),
        ("weights are zero", "weights"),
    ],
)  # fmt: skip
def test_names_of_columns_and_segments_do_not_decide_what_a_status_is_of(status, kind):
    assert _kind(status) == kind


def test_advice_goes_by_the_status_and_not_by_a_column_of_that_name():
    rng = np.random.default_rng(0)
    n = 400
    t = rng.integers(0, 2, n)
    caliper = np.where((t == 1) & (rng.random(n) < 0.7), "yes", "no")
    X = pd.DataFrame({"age": rng.normal(size=n), "caliper": caliper})
    with pytest.warns(SegcateWarning), pytest.raises(EmptySegmentError) as caught:
        SegmentMatching(segment=None).fit(X, rng.normal(size=n), treatment=t)
    assert "have no donor in their level of caliper" in str(caught.value)
    assert "nobody can be compared" in str(caught.value)
    assert "widen the caliper" not in str(caught.value).lower()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [SegmentMatching, SegmentRegression, SegmentAIPW])
def test_where_a_column_tells_the_arms_apart_that_column_is_the_way_out(estimator):
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame({"age": rng.normal(size=n), "segment": rng.integers(0, 2, n)})
    t = rng.integers(0, 2, n)
    t[X["segment"] == 1] = X["age"][X["segment"] == 1] > 0
    with pytest.raises(EmptySegmentError, match="leave out of X what names the arm") as caught:
        estimator().fit(X, X["age"] + rng.normal(size=n), treatment=t)
    assert "min_per_arm" not in str(caught.value)
    found = estimator(on_empty="nan").fit(X, X["age"] + rng.normal(size=n), treatment=t).effects_
    assert found["effect"].isna().tolist() == [False, True]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [SegmentMatching, SegmentRegression, SegmentAIPW])
@pytest.mark.parametrize("late", [False, True])
def test_where_no_segment_can_be_fitted_the_reason_is_told(estimator, late):
    """Nothing is left for the models of all segments; they are not asked."""
    rng = np.random.default_rng(1)
    n = 400
    X = pd.DataFrame({"age": rng.normal(size=n), "segment": rng.integers(0, 2, n)})
    t = rng.integers(0, 2, n) if late else X["segment"].to_numpy()
    if late:
        X["clicked"] = np.where((t == 1) & (rng.random(n) < 0.7), "yes", "no")
    what = "no donor in their level of clicked" if late else "no treated rows"
    with pytest.raises(EmptySegmentError, match=what):
        estimator(estimand="att", on_empty="nan").fit(X, rng.normal(size=n), treatment=t)
