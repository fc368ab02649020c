"""What a new matcher has to bring, and what it gets: the smallest one there can be, by SegmentMatching."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import Matcher, PropensityMatcher
from segcate.matching._design import Space, design_covariates, nearest_design
from segcate.matching._options import MatchingOptions
from segcate.plots import LovePlotDisplay, OverlapDisplay
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import assert_valid_match


class FirstColumnMatcher(Matcher):
    """Match on the first column of X."""

    replacement = True

    def __init__(self, *, segment="auto", missing="auto"):
        self.segment = segment
        self.missing = missing

    def check_parameters(self):
        """Take anything."""

    def match(self, data, estimand):
        """Match with the nearest value."""
        covariates = design_covariates(type(self).__name__, data, None, estimand)
        space = Space(covariates.encoded.values[:, 0], None, ("",) * data.segment.n_segments)
        return nearest_design(covariates, space, MatchingOptions(n_neighbors=1, estimand=estimand))

    def describe(self):
        """Say so."""
        return "nearest in the first column"


@pytest.fixture
def data():
    return small_study(0, n=200, n_segments=2)


def test_a_new_matcher_has_fit_and_balance(data):
    X = data.X.drop(columns="cell")
    found = FirstColumnMatcher().fit(X, treatment=data.treatment)
    assert_valid_match(
        found.matched_, data.treatment, segment=data.segment, score=data.Z[:, 0], n_neighbors=1,
        replacement=True,
    )  # fmt: skip
    assert found.propensity_ is None
    assert found.balance_.index.get_level_values("covariate").unique().tolist() == [
        "z0",
        "z1",
        "z2",
    ]
    assert found.effective_sample_size_.shape == (2, 2)
    LovePlotDisplay.from_estimator(found).plot()
    with pytest.raises(TypeError, match="FirstColumnMatcher"):
        OverlapDisplay.from_estimator(found, treatment=data.treatment)


@pytest.mark.parametrize("estimand", ["att", "ate"])
def test_segment_matching_takes_a_new_matcher(data, estimand):
    X = data.X.drop(columns="cell")
    model = SegmentMatching(FirstColumnMatcher(), estimand=estimand, adjustment="bias")
    model.fit(X, data.y, treatment=data.treatment)
    assert model.std_error_method_ == "abadie-imbens"
    assert (model.effects_["std_error"] > 0).all()
    assert "nearest in the first column" in model.summary()


def test_it_is_refused_what_holds_for_estimated_scores_alone(data):
    model = SegmentMatching(FirstColumnMatcher(), std_error="abadie-imbens-2016", adjustment="bias")
    with pytest.raises(ValueError, match=r"FirstColumnMatcher|estimated"):
        model.fit(data.X.drop(columns="cell"), data.y, treatment=data.treatment)


def test_the_base_itself_matches_nothing(data):
    with pytest.raises(NotImplementedError):
        Matcher().fit(data.X, treatment=data.treatment)
    assert not Matcher.estimates_score
    assert PropensityMatcher.estimates_score


def test_the_design_does_not_look_at_an_outcome(data):
    X, y = data.X.drop(columns="cell"), np.full(len(data.y), np.nan)
    one = FirstColumnMatcher().fit(X, y, treatment=data.treatment)
    other = FirstColumnMatcher().fit(X, treatment=data.treatment)
    np.testing.assert_array_equal(one.matched_.weights, other.matched_.weights)
