"""Public ranking scores: their arrays, their checks, and the scores of experiments."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.metrics import (
    autoc_score,
    effect_scores,
    qini_score,
    rank_test,
    uplift_at_k,
)
from tests.helpers.naive_ranking import naive_rank_score

SCORES = [(qini_score, "qini"), (autoc_score, "autoc")]
OF_EXPERIMENT = [qini_score, autoc_score, uplift_at_k]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 6, 60).astype(float)
    treatment = rng.integers(0, 2, 60)
    y = prediction * treatment + rng.normal(size=60)
    return y, prediction, treatment, rng.integers(1, 4, 60)


@pytest.mark.parametrize(("score", "kind"), SCORES)
def test_scores_are_those_of_the_definition(rows, score, kind):
    psi, prediction, _, weight = rows
    assert score(psi, prediction) == pytest.approx(naive_rank_score(prediction, psi, kind))
    naive = naive_rank_score(prediction, psi, kind, repeats=weight)
    assert score(psi, prediction, sample_weight=weight) == pytest.approx(naive)
    assert type(score(psi, prediction)) is float


@pytest.mark.parametrize(("score", "kind"), SCORES)
def test_the_best_ranking_is_by_the_scores_themselves(rows, score, kind):
    psi, prediction, _, _ = rows
    assert score(psi, psi) > score(psi, prediction) > score(psi, -psi)


@pytest.mark.parametrize(("score", "kind"), SCORES)
def test_a_random_ranking_scores_zero_on_average(score, kind):
    rng = np.random.default_rng(1)
    psi = rng.normal(size=100) + 5
    values = [score(psi, rng.normal(size=100)) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(400)


def test_containers_do_not_matter(rows):
    psi, prediction, _, weight = rows
    expected = qini_score(psi, prediction, sample_weight=weight)
    assert qini_score(psi.tolist(), prediction.tolist(), sample_weight=weight.tolist()) == expected
    series = [pd.Series(values, index=range(5, 65)) for values in (psi, prediction, weight)]
    assert qini_score(series[0], series[1], sample_weight=series[2]) == expected
    assert qini_score(pl.Series(psi), pl.Series(prediction), sample_weight=weight) == expected
    assert qini_score(psi, prediction[:, None], sample_weight=weight) == expected
    assert qini_score(psi.astype(np.float32), prediction) == pytest.approx(
        qini_score(psi, prediction), rel=1e-6
    )


@pytest.mark.parametrize("score", OF_EXPERIMENT)
def test_experiment_scores_are_those_on_arm_centred_scores(rows, score):
    y, prediction, treatment, weight = rows
    for sample_weight in (None, weight):
        psi = effect_scores(
            None, y, treatment=treatment, design="experiment", sample_weight=sample_weight
        )
        assert score(
            y, prediction, treatment=treatment, design="experiment", sample_weight=sample_weight
        ) == pytest.approx(score(psi, prediction, sample_weight=sample_weight), rel=1e-12)


@pytest.mark.parametrize("score", OF_EXPERIMENT)
def test_experiment_scores_repeat_rows_by_weight(rows, score):
    y, prediction, treatment, weight = rows
    repeated = [np.repeat(values, weight) for values in (y, prediction, treatment)]
    by_weight = score(y, prediction, treatment=treatment, design="experiment", sample_weight=weight)
    by_rows = score(*repeated[:2], treatment=repeated[2], design="experiment")
    assert by_weight == pytest.approx(by_rows, rel=1e-12)


@pytest.mark.parametrize("score", OF_EXPERIMENT)
def test_a_constant_added_to_the_outcome_changes_no_experiment_score(rows, score):
    y, prediction, treatment, _ = rows
    one = score(y, prediction, treatment=treatment, design="experiment")
    other = score(y + 1000, prediction, treatment=treatment, design="experiment")
    assert other == pytest.approx(one, rel=1e-9)


def test_rank_test_agrees_with_the_scores(rows):
    psi, prediction, _, weight = rows
    for kind, score in (("qini", qini_score), ("autoc", autoc_score)):
        result = rank_test(psi, prediction, metric=kind, sample_weight=weight)
        assert result.value == score(psi, prediction, sample_weight=weight)
        assert 0 < result.std_error < 1


def test_rank_test_of_a_difference(rows):
    psi, prediction, _, weight = rows
    other = np.random.default_rng(3).normal(size=60)
    result = rank_test(psi, prediction, baseline=other, sample_weight=weight)
    expected = qini_score(psi, prediction, sample_weight=weight) - qini_score(
        psi, other, sample_weight=weight
    )
    assert result.value == pytest.approx(expected, rel=1e-12)
    plain = rank_test(psi, prediction, baseline=other)
    rows_left = [np.delete(np.arange(60), i) for i in range(60)]
    left_out = [qini_score(psi[k], prediction[k]) - qini_score(psi[k], other[k]) for k in rows_left]
    jackknife = np.sqrt(59 / 60 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert plain.std_error == pytest.approx(jackknife, rel=0.05)
    # A constant baseline ranks nothing: the difference is the test of the ranking itself.
    against_none = rank_test(psi, prediction, baseline=np.zeros(60))
    alone = rank_test(psi, prediction)
    assert against_none.value == pytest.approx(alone.value, rel=1e-12)
    assert against_none.std_error == pytest.approx(alone.std_error, rel=1e-12)


def test_rank_test_of_dependent_rows_is_less_sure(rows):
    psi, prediction, _, _ = rows
    doubled = rank_test(
        np.tile(psi, 2), np.tile(prediction, 2), groups=np.tile([f"u{i}" for i in range(60)], 2)
    )
    assert doubled.n_units == 60
    assert doubled.std_error == pytest.approx(rank_test(psi, prediction).std_error, rel=1e-12)
    assert doubled.value == pytest.approx(rank_test(psi, prediction).value, rel=1e-12)


def test_a_constant_prediction_has_no_p_value(rows):
    result = rank_test(rows[0], np.zeros(60))
    assert result.value == 0
    assert math.isnan(result.p_value)


@pytest.mark.parametrize("score", [qini_score, autoc_score, rank_test])
def test_bad_arrays_are_named(rows, score):
    psi, prediction, _, weight = rows
    name = score.__name__
    gap = np.where(np.arange(60) < 3, np.nan, prediction)
    with pytest.raises(
        ValueError, match=rf"{name}: `prediction` is NaN or infinite in 3 of 60.*on_empty"
    ):
        score(psi, gap)
    with pytest.raises(
        ValueError, match=rf"{name}: `pseudo_outcome` is NaN or infinite in 3 of 60"
    ):
        score(gap, prediction)
    with pytest.raises(ValueError, match=rf"{name}: `prediction` has 59 values for 60 rows"):
        score(psi, prediction[:-1])
    with pytest.raises(ValueError, match=rf"{name}: `prediction` must be one-dimensional"):
        score(psi, np.column_stack([prediction, prediction]))
    with pytest.raises(ValueError, match=rf"{name}: `prediction` must be one number for every row"):
        score(psi, prediction.astype(str))
    with pytest.raises(
        ValueError, match=rf"{name}: `sample_weight` must be finite and not negative"
    ):
        score(psi, prediction, sample_weight=-weight)
    with pytest.raises(ValueError, match=rf"{name}: `sample_weight` has 59 values"):
        score(psi, prediction, sample_weight=weight[:-1])
    with pytest.raises(ValueError, match=r"index of `prediction` differs .*another order"):
        score(pd.Series(psi), pd.Series(prediction).iloc[::-1])


@pytest.mark.parametrize("score", OF_EXPERIMENT)
def test_an_outcome_is_not_taken_for_effect_scores(rows, score):
    y, prediction, treatment, _ = rows
    name = score.__name__
    with pytest.raises(ValueError, match=rf"{name}: `treatment` came.*say design='experiment'"):
        score(y, prediction, treatment=treatment)
    with pytest.raises(ValueError, match=rf"{name}: `design` must be one of"):
        score(y, prediction, treatment=treatment, design="rct")


def test_the_outcome_of_an_experiment_comes_once(rows):
    y, prediction, treatment, _ = rows
    with pytest.raises(ValueError, match="the outcome is the first argument"):
        qini_score(y, prediction, treatment=treatment, design="experiment", y=y)


@pytest.mark.parametrize("metric", OF_EXPERIMENT)
def test_bad_experiments_are_named(rows, metric):
    y, prediction, treatment, _ = rows
    score = partial(metric, design="experiment")
    with pytest.raises(ValueError, match=r"of 60 rows to score on, 0 are treated.*KFold"):
        score(y, prediction, treatment=np.zeros(60))
    with pytest.raises(ValueError, match=r"of 60 rows to score on, 60 are treated"):
        score(y, prediction, treatment=np.ones(60))
    with pytest.raises(ValueError, match=r"of \d+ rows to score on, 0 are treated"):
        score(y, prediction, treatment=treatment, sample_weight=1 - treatment)
    with pytest.raises(ValueError, match="needs `treatment`, but none came"):
        score(y, prediction, treatment=None)
    with pytest.raises(ValueError, match="must hold only 0 and 1"):
        score(y, prediction, treatment=treatment + 1)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        score(np.where(y > 1, np.nan, y), prediction, treatment=treatment)
    with pytest.raises(ValueError, match="`prediction` is NaN"):
        score(y, prediction * np.nan, treatment=treatment)


def test_rank_test_checks_its_own_arguments(rows):
    psi, prediction, _, _ = rows
    with pytest.raises(ValueError, match="`metric` must be one of"):
        rank_test(psi, prediction, metric="auuc")
    with pytest.raises(ValueError, match="`groups` holds one group"):
        rank_test(psi, prediction, groups=np.zeros(60))
    with pytest.raises(ValueError, match="`baseline` is NaN or infinite in 60"):
        rank_test(psi, prediction, baseline=prediction * np.nan)
