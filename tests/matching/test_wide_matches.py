"""`estimator="auto"` and `n_neighbors="auto"`: a curved score, and sets as wide as donors allow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import MahalanobisMatcher, PropensityMatcher
from segcate.matching._options import neighbors_for
from tests.helpers.naive_curves import log_odds

RNG = np.random.default_rng(8)
N = 500
SEGMENT = RNG.choice(3, N, p=[0.6, 0.35, 0.05])
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"]).assign(segment=SEGMENT)
T = (RNG.random(N) < 1 / (1 + np.exp(0.5 - X["a"]))).astype(int)
Y = X["b"].to_numpy() + T + RNG.normal(size=N)
WIDE = PropensityMatcher("auto", n_neighbors="auto")


def test_the_score_is_the_penalised_logit():
    found = WIDE.fit(X, treatment=T).propensity_
    expected = log_odds(X[["a", "b"]].to_numpy(), SEGMENT, T, np.ones(N))
    np.testing.assert_allclose(np.log(found / (1 - found)), expected, atol=1e-7)


def test_the_number_of_neighbours_is_twice_the_root_of_the_donors():
    assert [neighbors_for(n) for n in (400, 441, 1_000_000)] == [40, 42, 2_000]


def test_of_few_donors_more_are_taken_but_not_all():
    assert [neighbors_for(n) for n in (1, 2, 4, 10, 40)] == [3, 3, 4, 8, 32]
    assert [neighbors_for(n) for n in (45, 100, 324)] == [36, 36, 36]


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("weight", [None, RNG.integers(1, 3, N)], ids=["equal", "counts"])
def test_each_segment_is_matched_as_with_that_number_alone(estimand, weight):
    chance = WIDE.fit(X, treatment=T, sample_weight=weight).propensity_
    options = {"estimand": estimand, "adjustment": None, "on_empty": "nan"}
    wide = SegmentMatching(PropensityMatcher(n_neighbors="auto"), **options).fit(
        X, Y, treatment=T, propensity=chance, sample_weight=weight
    )
    for k, arm in np.ndindex(3, 2):
        if estimand == ("att", "atc")[arm]:
            continue
        here = (k == SEGMENT) & (1 - arm == T)
        n_donors = here.sum() if weight is None else weight[here].sum()
        one = PropensityMatcher(n_neighbors=neighbors_for(n_donors))
        narrow = SegmentMatching(one, **options).fit(
            X, Y, treatment=T, propensity=chance, sample_weight=weight
        )
        sets = [m.matcher_.matched_ for m in (wide, narrow)]
        at = [(s.order, s.start, s.stop) for s in sets]
        focal = (SEGMENT[at[0][0]] == k) & (T[at[0][0]] == arm)
        for a, b in zip(*at, strict=True):
            np.testing.assert_array_equal(a[focal], b[focal])
        assert (at[0][2][focal] > at[0][1][focal]).all()


def test_a_caliper_still_holds():
    matcher = PropensityMatcher("auto", n_neighbors="auto", caliper=0.01).fit(X, treatment=T)
    sample = matcher.matched_
    distance = sample.distances()
    assert np.nanmax(distance) <= sample.caliper.max()
    assert (sample.status[T == 1] != 0).any()


def test_what_does_not_go_together_is_refused():
    for matcher in (
        PropensityMatcher(n_neighbors="auto", replacement=False),
        MahalanobisMatcher(n_neighbors="auto"),
    ):
        with pytest.raises(ValueError, match="n_neighbors='auto' is for matching on a propensity"):
            matcher.fit(X, treatment=T)
    with pytest.raises(ValueError, match="pool_propensity=True is for estimator=None"):
        PropensityMatcher("auto", pool_propensity=True).fit(X, treatment=T)
    with pytest.raises(TypeError, match="'auto' or None; got 'logit'"):
        PropensityMatcher("logit").fit(X, treatment=T)


def test_it_is_what_a_curved_adjustment_matches_with():
    model = SegmentMatching(adjustment="auto", on_empty="nan").fit(X, Y, treatment=T)
    text = model.summary()
    assert (
        "2 sqrt(donors) (of few 36, or 80 %) nearest on the logit score, penalised and curved, of all segments"
        in text
    )
    same = SegmentMatching(WIDE, adjustment="auto", on_empty="nan").fit(X, Y, treatment=T)
    pd.testing.assert_frame_equal(model.effects_, same.effects_)
