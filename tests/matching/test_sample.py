"""What matching returns: pairs, weights, who is left out and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import MatchedSample, PropensityMatcher
from tests.helpers.valid_match import assert_valid_match

# Six rows in two segments, worked by hand. Scores are probabilities.
#   segment a: treated 0 (.5), 1 (.6); controls 2 (.5), 3 (.54)
#   segment b: treated 4 (.3); control 5 (.35)
X = pd.DataFrame({"z": np.arange(6.0), "segment": list("aaaabb")})
TREATMENT = np.array([1, 1, 0, 0, 1, 0])
SCORE = np.array([0.5, 0.6, 0.5, 0.54, 0.3, 0.35])
CELL = np.array([0, 0, 0, 0, 1, 1])


def match(X=X, **options) -> MatchedSample:
    matcher = PropensityMatcher(**{"score_scale": "probability", "n_neighbors": 1, **options})
    return matcher.fit(X, treatment=TREATMENT, propensity=SCORE).matched_


def test_pairs_by_hand():
    found = match()
    assert found.n_pairs == 3
    assert found.pairs.to_dict("list") == {
        "segment": [0, 0, 1],
        "focal": [0, 1, 4],
        "match": [2, 3, 5],
        "rank": [0, 0, 0],
        "distance": pytest.approx([0.0, 0.06, 0.05]),
        "weight": [1.0, 1.0, 1.0],
    }
    assert_valid_match(found, TREATMENT, segment=CELL, score=SCORE, n_neighbors=1, replacement=True)


def test_two_neighbours_share_the_weight():
    found = match(n_neighbors=2)
    pairs = found.pairs.set_index(["focal", "match"])
    assert pairs["rank"].to_dict() == {(0, 2): 0, (0, 3): 1, (1, 3): 0, (1, 2): 1, (4, 5): 0}
    assert pairs["weight"].tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]
    assert found.weights.tolist() == [1, 1, 1, 1, 1, 1]
    assert_valid_match(found, TREATMENT, segment=CELL, score=SCORE, n_neighbors=2, replacement=True)


def test_reused_controls_weigh_more_and_unused_ones_nothing():
    found = match(X=X.assign(segment="a"), n_neighbors=1)
    # treated 4 (.3) takes control 5 (.35), treated 0 control 2, treated 1 control 3
    assert found.weights.tolist() == [1, 1, 1, 1, 1, 1]
    few = PropensityMatcher(n_neighbors=1, score_scale="probability", segment=None)
    matched = few.fit(
        X[["z"]], treatment=[1, 1, 0, 0, 1, 0], propensity=[0.5, 0.5, 0.5, 0.9, 0.5, 0.1]
    ).matched_
    assert matched.weights.tolist() == [1, 1, 3, 0, 1, 0]
    uses = dict(zip(matched.order.tolist(), matched.uses, strict=True))
    assert uses[2] == 3.0


def test_distances_are_those_to_the_farthest_match():
    found = match(n_neighbors=2)
    distance = np.full(6, np.nan)
    distance[found.order] = found.distances()
    np.testing.assert_allclose(distance, [0.04, 0.1, np.nan, np.nan, 0.05, np.nan])
    greedy = match(replacement=False, n_neighbors=2)
    distance[greedy.order] = greedy.distances()
    # everybody gets a first match first: 1 (.6) takes 3, then 0 takes 2; nothing is left
    np.testing.assert_allclose(distance, [0.0, 0.06, np.nan, np.nan, 0.05, np.nan])


def test_rows_without_a_match_have_no_distance():
    # the control at .1 is beyond the caliper of every treated row, whose empty set ends the array
    matcher = PropensityMatcher(
        n_neighbors=1, score_scale="probability", caliper=0.1, caliper_scale="raw"
    )
    treatment = np.array([0, 0, 0, 0, 1, 1, 1])
    score = np.array([0.1, 0.51, 0.52, 0.9, 0.5, 0.5, 0.6])
    nearest = np.array([np.nan, 0.01, 0.02, np.nan, 0.01, 0.01, 0.08])
    for estimand, looking in (("att", [1]), ("atc", [0]), ("ate", [0, 1])):
        model = SegmentMatching(
            matcher, estimand=estimand, segment=None, adjustment=None, min_per_arm=2
        )
        model.fit(np.zeros((7, 1)), np.arange(7.0), treatment=treatment, propensity=score)
        found = model.matcher_.matched_
        distance = np.full(7, np.nan)
        distance[found.order] = found.distances()
        wanted = np.where(np.isin(treatment, looking), nearest, np.nan)
        np.testing.assert_allclose(distance, wanted, atol=1e-15)


def test_a_list_of_very_many_pairs_is_refused_with_their_number():
    n = 12_000  # half treated, all of one score: 36 million ties
    treatment = np.arange(n) % 2
    found = PropensityMatcher(score_scale="probability", segment=None).fit(
        np.zeros((n, 1)), treatment=treatment, propensity=np.full(n, 0.5)
    ).matched_  # fmt: skip
    assert found.n_pairs == 36_000_000
    with pytest.raises(ValueError, match=r"36,000,000 pairs of 12,000 rows.*Use `weights`"):
        found.pairs  # noqa: B018
    assert found.weights.sum() == pytest.approx(n)
    assert np.nanmax(found.distances()) == 0.0


def test_segment_slices_hold_the_rows_of_a_segment():
    for options in ({}, {"exact": "z"}, {"replacement": False}):
        found = match(**options)
        for segment in range(2):
            rows = found.order[found.segment_slice(segment)]
            assert sorted(rows) == np.flatnonzero(segment == CELL).tolist()
    assert found.segment_slice(7) == slice(0, 0)


# --- why not --------------------------------------------------------------------------------------


def reasons(found: MatchedSample) -> dict:
    return found.unmatched.set_index("row")["reason"].to_dict()


def test_reasons_by_hand():
    assert reasons(match()) == {}
    assert reasons(match(caliper=0.055, caliper_scale="raw")) == {1: "no row within the caliper"}
    assert reasons(match(exact="z")) == dict.fromkeys([0, 1, 4], "no row of the other arm")
    assert reasons(match(common_support="treated")) == {
        1: "outside common support",
        4: "outside common support",
    }
    assert reasons(match(common_support="control")) == {5: "outside common support"} | {
        4: "no row of the other arm"
    }
    assert reasons(match(common_support="both")) == {
        1: "outside common support",
        4: "outside common support",
        5: "outside common support",
    }


def test_rows_used_up_are_told_from_rows_too_far():
    both = PropensityMatcher(
        n_neighbors=1, score_scale="probability", replacement=False, segment=None,
        caliper=0.1, caliper_scale="raw",
    )  # fmt: skip
    found = both.fit(
        X[["z"]].head(4), treatment=[1, 1, 1, 0], propensity=[0.5, 0.52, 0.9, 0.51]
    ).matched_
    assert reasons(found) == {0: "rows of the other arm used up", 2: "no row within the caliper"}


def test_rows_of_weight_zero_are_listed():
    matcher = PropensityMatcher(n_neighbors=1, score_scale="probability")
    found = matcher.fit(
        X, treatment=TREATMENT, propensity=SCORE, sample_weight=[1, 0, 0, 1, 1, 2]
    ).matched_
    assert reasons(found) == {1: "weight zero", 2: "weight zero"}
    assert found.weights.tolist() == [1, 0, 0, 1, 1, 1]


# --- names of the rows ----------------------------------------------------------------------------


def test_an_index_names_the_rows_of_pairs_and_unmatched():
    named = X.set_axis(list("uvwxyz"))
    found = match(X=named, caliper=0.055, caliper_scale="raw")
    assert found.pairs["focal"].tolist() == ["u", "y"]
    assert found.pairs["match"].tolist() == ["w", "z"]
    assert found.unmatched["row"].tolist() == ["v"]


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(6),
        pd.Index(np.arange(6)),
        pd.RangeIndex(10, 16),
        pd.Index([0, 0, 1, 1, 2, 2]),
        pd.date_range("2024-01-01", periods=6),
        pd.MultiIndex.from_product([["p", "q", "r"], [0, 1]]),
    ],
    ids=["range", "numbers", "shifted", "repeated", "dates", "two levels"],
)
def test_any_index_will_do(index):
    found = match(X=X.set_axis(index))
    numbers = match()
    assert (found.ids is None) == index.equals(pd.RangeIndex(6))
    if not isinstance(index, pd.MultiIndex):
        assert found.pairs["focal"].tolist() == index[numbers.pairs["focal"]].tolist()
    np.testing.assert_array_equal(found.order, numbers.order)
    np.testing.assert_array_equal(found.uses, numbers.uses)
