"""The overlap plot shows both arms, and counts those without a counterpart."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.plots import OverlapDisplay
from segcate.plots._overlap_counts import bin_edges, panel_bars
from tests.helpers.pictures import (
    assert_reads_in_grey,
    assert_texts_fit,
    luminance,
    one_line,
    title_of,
    words,
)


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(600, n_segments=2, n_features=2, random_state=0)


def stairs_of(display):
    return [patch for patch in display.ax_.patches if isinstance(patch, StepPatch)]


def test_bars_are_shares_of_each_arm(users):
    display = OverlapDisplay.from_predictions(users.propensity, users.treatment)
    treated, control = stairs_of(display)
    values, edges, _ = treated.get_data()
    shares = {}
    for arm in (1, 0):
        score = users.propensity[users.treatment == arm]
        shares[arm] = np.histogram(score, edges)[0] / len(score)
        assert shares[arm].sum() == pytest.approx(1)
    tallest = max(share.max() for share in shares.values())
    np.testing.assert_allclose(-values / 0.44 * tallest, shares[1], atol=1e-12)
    np.testing.assert_allclose(control.get_data().values / 0.44 * tallest, shares[0], atol=1e-12)


def test_weights_count_as_rows(users):
    doubled = np.repeat(np.arange(600), np.where(np.arange(600) < 100, 2, 1))
    weight = np.where(np.arange(600) < 100, 2.0, 1.0)
    p, t = users.propensity.to_numpy(), users.treatment.to_numpy()
    edges = np.linspace(p.min(), p.max(), 11)
    weighted = panel_bars(p, t == 1, weight, None, edges)
    repeated = panel_bars(p[doubled], t[doubled] == 1, None, None, edges)
    for ours, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours.share, theirs.share, atol=1e-12)


def test_rows_beyond_the_other_arm_are_counted():
    p = [0.1, 0.2, 0.3, 0.5, 0.25, 0.4, 0.6, 0.7, 0.9]
    t = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    shown = words(OverlapDisplay.from_predictions(p, t))
    assert "5 treated\n3 beyond the other arm" in shown
    assert "4 control\n2 beyond the other arm" in shown


def test_a_segment_with_one_arm_is_beyond_altogether():
    p, t = [0.1, 0.2, 0.3, 0.4, 0.5], [0, 1, 0, 1, 1]
    display = OverlapDisplay.from_predictions(p, t, segment=["a", "a", "a", "b", "b"])
    assert "2 treated\n2 beyond the other arm" in words(display)
    assert "0 control\n0 beyond the other arm" in words(display)


def test_rows_without_a_match_are_hatched_and_told_why(users):
    matcher = PropensityMatcher(segment=None, n_neighbors=1, replacement=False, caliper=0.01)
    matcher.fit(users.X, treatment=users.treatment)
    display = OverlapDisplay.from_estimator(matcher, treatment=users.treatment)
    reasons = matcher.matched_.unmatched["reason"].value_counts()
    assert reasons.sum() > 10
    assert f"{reasons.sum()} without a match" in " ".join(words(display))
    for reason, n in reasons.items():
        assert f"{reason} ({n})" in one_line(display)
    hatched = [patch for patch in stairs_of(display) if patch.get_hatch()]
    assert len(hatched) == 1
    treated = stairs_of(display)[0].get_data()
    part = hatched[0].get_data().values.sum() / treated.values.sum()
    assert part == pytest.approx(reasons.sum() / (users.treatment == 1).sum(), rel=1e-9)


@pytest.mark.parametrize("n_segments", [1, 30])
def test_no_text_overlaps_or_leaves_the_picture(n_segments):
    users = make_segmented_users(6000, n_segments=n_segments, n_features=2, random_state=0)
    names = [f"a segment with the rather long name {i}" for i in users.segment]
    X = users.X.assign(segment=names)
    matcher = PropensityMatcher(n_neighbors=1, replacement=False, caliper=0.01)
    matcher.fit(X, treatment=users.treatment)
    display = OverlapDisplay.from_estimator(matcher, treatment=users.treatment, segment=names)
    assert_texts_fit(display)
    assert_reads_in_grey(display)
    assert len(display.ax_.get_yticks()) == n_segments


def test_arms_differ_in_grey():
    display = OverlapDisplay.from_predictions([0.1, 0.4, 0.3, 0.6], [0, 1, 0, 1])
    treated, control = stairs_of(display)
    assert luminance(control.get_facecolor()) - luminance(treated.get_facecolor()) > 0.4


def test_both_ways_in_agree(users):
    X = users.X.assign(segment=users.segment)
    model = SegmentMatching(segment="segment").fit(X, users.y, treatment=users.treatment)
    first = OverlapDisplay.from_estimator(model, treatment=users.treatment)
    matcher = model.matcher_
    second = OverlapDisplay.from_estimator(matcher, treatment=users.treatment)
    third = OverlapDisplay.from_predictions(
        matcher.propensity_, users.treatment, reason=matcher.matched_.unmatched_reason
    )
    pipe = make_pipeline(FunctionTransformer(), model)
    fourth = OverlapDisplay.from_estimator(pipe, treatment=users.treatment)
    assert words(first) == words(second) == words(third) == words(fourth)


def test_a_classifier_predicts_its_own_rows_also_inside_a_pipeline(users):
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    classifier.fit(users.X, users.treatment)
    probability = classifier.predict_proba(users.X)[:, 1]
    first = OverlapDisplay.from_estimator(classifier, users.X, treatment=users.treatment)
    second = OverlapDisplay.from_predictions(probability, users.treatment)
    assert words(first) == words(second)
    assert "600" not in title_of(first)
    assert f"{int((users.treatment == 1).sum())} treated above" in title_of(first)


def test_rows_without_a_propensity_are_counted():
    p = np.array([0.2, 0.3, 0.5, np.nan, np.nan])
    display = OverlapDisplay.from_predictions(p, [0, 1, 0, 1, 1])
    assert "2 rows without a propensity" in one_line(display)
    assert "1 treated" in " ".join(words(display))


def test_equal_propensities_and_few_rows_draw():
    display = OverlapDisplay.from_predictions([0.5, 0.5, 0.5], [0, 1, 1])
    assert len(stairs_of(display)[0].get_data().values) == 1
    assert len(bin_edges(np.array([0.1, 0.9]), 1)) == 9
    assert len(bin_edges(np.array([0.1, 0.9]), 10**7)) == 41


def test_log_odds_spread_the_ends():
    p = np.array([0.001, 0.5, 0.999, 0.5])
    display = OverlapDisplay.from_predictions(p, [0, 1, 1, 0], score_scale="logit")
    edges = stairs_of(display)[0].get_data().edges
    np.testing.assert_allclose(edges[[0, -1]], np.log([0.001 / 0.999, 999]), rtol=1e-9)
    assert one_line(display).startswith("propensity (log-odds of treatment)")


def test_bad_input_is_named(users):
    p, t = [0.2, 0.4], [0, 1]
    with pytest.raises(ValueError, match=r"inside \[0, 1\]; 1 of 2 values do not \(1.4\).*not log"):
        OverlapDisplay.from_predictions([0.2, 1.4], t)
    with pytest.raises(
        ValueError, match=r"exactly 0 or 1 in 1 of 2 rows.*score_scale='probability'"
    ):
        OverlapDisplay.from_predictions([0.0, 0.4], t, score_scale="logit")
    with pytest.raises(ValueError, match="NaN in all 2 rows"):
        OverlapDisplay.from_predictions([np.nan, np.nan], t)
    with pytest.raises(ValueError, match="`propensity` must be one number for every row"):
        OverlapDisplay.from_predictions(np.ones((2, 2)), t)
    with pytest.raises(ValueError, match="`treatment` must hold only 0 and 1"):
        OverlapDisplay.from_predictions(p, [0, 2])
    with pytest.raises(ValueError, match="`segment` must be one value for each of 2 rows"):
        OverlapDisplay.from_predictions(p, t, segment=[1])
    with pytest.raises(ValueError, match=r"`reason` must hold texts.* got 0.5, 1.0"):
        OverlapDisplay.from_predictions(p, t, reason=[0.5, 1.0])
    mahalanobis = SimpleNamespace(matched_=None, propensity_=None)
    with pytest.raises(TypeError, match="SimpleNamespace has no propensity"):
        OverlapDisplay.from_estimator(mahalanobis, treatment=t)
    with pytest.raises(ValueError, match="index of `segment` differs"):
        OverlapDisplay.from_predictions(
            pd.Series(p), pd.Series(t), segment=pd.Series([1, 2], index=[5, 6])
        )
    with pytest.raises(ValueError, match="a classifier needs rows to score"):
        OverlapDisplay.from_estimator(LogisticRegression().fit([[0], [1]], t), treatment=t)
    with pytest.raises(TypeError, match="LinearRegression, which has no `matched_`"):
        OverlapDisplay.from_estimator(LinearRegression(), treatment=t)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        OverlapDisplay.from_estimator(SegmentMatching(), treatment=t)
