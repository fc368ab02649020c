"""How weights are read, and that only what they say counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate._inputs.weights import (
    COUNTS_NOTE,
    SAMPLING_NOTE,
    effective_rows,
    mass_in_rows,
    present_groups,
    read_weights,
    weight_note,
)
from segcate.cate import InteractionRegression
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study

FACTORS = [1e-3, 0.05, 3.7, 1e4]
# A factor moves the last digits of sums.
RTOL = 1e-9

MODELS = {
    "matching": SegmentMatching(),
    "matching alone": SegmentMatching(adjustment=None),
    "matching, linear": SegmentMatching(adjustment="linear"),
    "matching, ATE": SegmentMatching(estimand="ate"),
    "matching, ATC": SegmentMatching(estimand="atc"),
    "matching, caliper": SegmentMatching(PropensityMatcher(caliper=0.5)),
    "matching, pooled": SegmentMatching(PropensityMatcher(pool_propensity=True)),
    "regression": SegmentRegression(),
    "AIPW": SegmentAIPW(),
    "AIPW, default models": SegmentAIPW(None, random_state=0),
}


@pytest.mark.parametrize("size", [1e-300, 0.2, 1.0, 500.0])
def test_equal_weights_are_none(size):
    assert read_weights(np.full(5, size)) is None
    assert read_weights(size * np.array([1.0, 0, 1])).tolist() == [1, 0, 1]


def test_whole_numbers_from_1_are_counts():
    counts = np.array([1.0, 3, 0, 2])
    assert read_weights(counts) is counts
    assert weight_note(counts) == COUNTS_NOTE
    for other in ([2.0, 4, 6], [1.0, 2.5], [0.5, 1, 2]):
        found = read_weights(np.array(other))
        assert weight_note(found) == SAMPLING_NOTE
        assert found.mean() == pytest.approx(1)
        np.testing.assert_allclose(found / found[0], np.array(other) / other[0], rtol=1e-15)


def test_huge_and_tiny_weights_keep_their_ratios():
    for size in (1e-300, 1e300):
        np.testing.assert_allclose(read_weights(size * np.array([1.0, 2.5])), [4 / 7, 10 / 7])


def test_sampling_weights_in_units_of_rows_of_their_code():
    weight, codes = np.array([1.5, 4.5, 0.0, 10.0, 30.0]), np.array([0, 0, 0, 1, 1])
    assert mass_in_rows(weight, codes, 3).tolist() == [0.5, 1.5, 0, 0.5, 1.5]
    counts = np.array([1.0, 2, 0, 1, 5])
    assert mass_in_rows(counts, codes, 3) is counts


def test_rows_for_thresholds_are_counts_or_those_of_kish():
    assert effective_rows(np.array([1.0, 3.0]), as_counts=True) == 4
    assert effective_rows(np.array([1.0, 3.0]), as_counts=False) == pytest.approx(1.6)
    assert effective_rows(np.array([]), as_counts=False) == 0


def test_groups_whose_rows_weigh_nothing_are_not_there():
    groups = np.array([0, 1, 2, 2, 3])
    assert present_groups(groups, np.array([1.0, 0, 2, 0, 1])).tolist() == [0, 0, 1, 0, 2]


@pytest.fixture(scope="module")
def study():
    data = small_study(0, n=900, n_segments=3, share=0.45)
    return data, data.X.drop(columns="cell")


def tables(model, study, weight, rows=slice(None)):
    data, X = study
    model.fit(X[rows], data.y[rows], treatment=data.treatment[rows], sample_weight=weight)
    return model.effects_.copy(), model.overall_.copy()


@pytest.mark.parametrize("name", MODELS)
def test_only_the_ratios_of_sampling_weights_count(name, study):
    weight = np.random.default_rng(1).gamma(2.0, size=900) + 0.1
    effects, overall = tables(MODELS[name], study, weight)
    assert effects["status"].str.startswith("ok: weights read as sampling weights").all()
    for factor in FACTORS:
        found, everyone = tables(MODELS[name], study, factor * weight)
        pd.testing.assert_frame_equal(found, effects, rtol=RTOL)
        assert everyone["effect"] == pytest.approx(overall["effect"], rel=RTOL)
        assert everyone["std_error"] == pytest.approx(overall["std_error"], rel=RTOL)


@pytest.mark.parametrize("name", MODELS)
def test_equal_weights_change_nothing_and_rows_of_weight_0_are_not_there(name, study):
    plain, _ = tables(MODELS[name], study, None)
    pd.testing.assert_frame_equal(tables(MODELS[name], study, np.full(900, 0.2))[0], plain)
    kept = np.arange(900) % 4 != 0
    for weight in (np.full(900, 3.0), np.random.default_rng(2).uniform(1, 9, 900)):
        found, _ = tables(MODELS[name], study, np.where(kept, weight, 0.0))
        rest, _ = tables(MODELS[name], study, weight[kept], kept)
        pd.testing.assert_frame_equal(found, rest, rtol=RTOL)


def test_segments_count_by_the_weights_that_were_given(study):
    """A segment whose rows weigh nine times as much counts nine times as much for everyone."""
    data, _ = study
    weight = np.random.default_rng(3).uniform(1, 2, 900) * np.where(data.segment == 0, 9, 1)
    effects, overall = tables(SegmentMatching(), study, weight)
    total = [weight[(data.segment == s) & (data.treatment == 1)].sum() for s in range(3)]
    assert overall["effect"] == pytest.approx(np.average(effects["effect"], weights=total))


def test_interaction_regression_reads_them_alike(study):
    data, X = study
    weight = np.random.default_rng(4).gamma(2.0, size=900) + 0.1
    fits = [
        InteractionRegression()
        .fit(X, data.y, treatment=data.treatment, sample_weight=factor * weight)
        .predict_interval(X)
        for factor in (1, *FACTORS)
    ]
    for found in fits[1:]:
        np.testing.assert_allclose(found, fits[0], rtol=1e-8)
