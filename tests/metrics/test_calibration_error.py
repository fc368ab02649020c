"""Calibration error: the definitions, naive pairs, clusters and weights, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import segcate
from segcate.exceptions import SegcateWarning
from segcate.metrics import calibration_error, make_uplift_scorer
from tests.helpers.group_references import CASES, EXACT, inputs, own
from tests.helpers.naive_groups import naive_calibration_error


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 30, 90) / 10
    return (
        prediction + rng.normal(size=90),
        prediction,
        rng.uniform(0.3, 3, 90),
        rng.integers(0, 20, 90),
    )


@pytest.mark.parametrize("psi", ["psi_aipw", "psi_armcentred"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_definitions(name, psi):
    rows = inputs(name)[psi], inputs(name)["score"]
    assert calibration_error(*rows).value == pytest.approx(
        own(name, f"eceth(k=10, {psi})"), **EXACT
    )
    assert calibration_error(*rows, method="plug-in").value == pytest.approx(
        own(name, f"plugin_calibration(k=10, {psi})"), **EXACT
    )


def test_six_rows_by_hand():
    # Groups {0, 1, 2} and {3, 4, 5}, predictions 0 and 1. psi - s: 1 1 -2 | 2 0 1; the others'
    # mean less s: -0.5 -0.5 1 | 0.5 1.5 1. Products -0.5 -0.5 -2 | 1 0 1, mean -1 / 6.
    psi, s = [1, 1, -2, 3, 1, 2], [0, 0, 0, 1, 1, 1]
    assert calibration_error(psi, s, n_groups=2).value == pytest.approx(-1 / 6)
    # Gaps of the groups 0 and 1: plug-in mean of 0 and 1.
    assert calibration_error(psi, s, n_groups=2, method="plug-in").value == pytest.approx(0.5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_equals_naive_pairs(draw, weighted, clustered):
    psi, prediction, weight, cluster = draw
    keywords = {"sample_weight": weight} if weighted else {}
    keywords |= {"groups": cluster} if clustered else {}
    found = calibration_error(psi, prediction, n_groups=4, **keywords)
    theirs = naive_calibration_error(
        psi, prediction, 4, weight if weighted else None, cluster if clustered else None
    )
    assert found.value == pytest.approx(theirs, rel=1e-12)
    assert found.n_units == (len(set(cluster)) if clustered else 90)
    assert found.ci_low < found.value < found.ci_high


def test_clusters_of_one_row_are_rows(draw):
    psi, prediction, weight, _ = draw
    rows = calibration_error(psi, prediction, sample_weight=weight)
    clusters = calibration_error(psi, prediction, sample_weight=weight, groups=np.arange(90))
    assert clusters.value == pytest.approx(rows.value, rel=1e-12)
    assert clusters.std_error == pytest.approx(rows.std_error, rel=1e-12)


def test_order_of_rows_is_irrelevant(draw):
    psi, prediction, weight, cluster = draw
    order = np.random.default_rng(1).permutation(90)
    one = calibration_error(psi, prediction, sample_weight=weight, groups=cluster)
    two = calibration_error(
        psi[order], prediction[order], sample_weight=weight[order], groups=cluster[order]
    )
    assert (one.value, one.std_error) == pytest.approx((two.value, two.std_error), rel=1e-10)


def test_error_is_that_of_the_jackknife_where_rows_decide():
    rng = np.random.default_rng(2)
    prediction = np.repeat([0.0, 1.0, 2.0], 60)
    psi = 3 * prediction + rng.normal(size=180)  # far off: pairs hardly matter
    found = calibration_error(psi, prediction, n_groups=3)
    left_out = [
        calibration_error(np.delete(psi, i), np.delete(prediction, i), n_groups=3).value
        for i in range(180)
    ]
    jackknife = np.sqrt(179 / 180 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert found.std_error == pytest.approx(jackknife, rel=0.01)


def test_plug_in_error_is_that_of_the_jackknife():
    rng = np.random.default_rng(3)
    prediction = np.repeat([0.0, 1.0, 2.0], 60)
    psi = 2 * prediction + rng.normal(size=180)
    found = calibration_error(psi, prediction, n_groups=3, method="plug-in")
    left_out = [
        calibration_error(
            np.delete(psi, i), np.delete(prediction, i), n_groups=3, method="plug-in"
        ).value
        for i in range(180)
    ]
    jackknife = np.sqrt(179 / 180 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert found.std_error == pytest.approx(jackknife, rel=0.01)


def test_serves_as_a_scorer():
    scorer = make_uplift_scorer(calibration_error, greater_is_better=False, n_groups=2)

    class Fitted(BaseEstimator):
        def predict(self, X):
            return X[:, 0]

    X = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    with segcate.routing():
        score = scorer(Fitted(), X, np.zeros(6), pseudo_outcome=[1, 1, -2, 3, 1, 2])
    assert score == pytest.approx(1 / 6)


def test_groups_of_a_single_row_are_left_out_and_told():
    # Mid-positions in units of three groups: the tie of four is in the middle, alone are the ends.
    with pytest.warns(SegcateWarning, match=r"2 of 3 quantile groups hold one row"):
        found = calibration_error([9, 1, 1, -1, -1, 9], [0, 1, 1, 1, 1, 2], n_groups=5)
    # psi - s: 0 0 -2 -2; others' mean less s: -4/3 -4/3 -2/3 -2/3; products 0 0 4/3 4/3.
    assert found.value == pytest.approx(2 / 3)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"none of the 3 quantile groups has two independent rows"):
        calibration_error([1.0, 2.0, 3.0], [1, 2, 3], n_groups=3)
    with pytest.raises(ValueError, match=r"`method` must be one of"):
        calibration_error([1.0, 2.0, 3.0], [1, 2, 3], n_groups=1, method="loo")
    with pytest.raises(ValueError, match=r"`n_groups` must be a whole number from 1"):
        calibration_error([1.0, 2.0, 3.0], [1, 2, 3])
    with pytest.raises(ValueError, match=r"`prediction` is NaN"):
        calibration_error([1.0, 2.0], [1, np.nan], n_groups=1)
