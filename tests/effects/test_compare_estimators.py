"""Several estimators on the same rows: identities of the agreement tests, and their size in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate._nuisance.curves import curves_of
from segcate.effects import (
    SegmentAIPW,
    SegmentMatching,
    SegmentRegression,
    compare_estimators,
)
from segcate.effects._curved.row_scores import Weighted
from segcate.effects._curved.weighted_effects import weighted_effects
from tests.effects.test_curved_weighted_effects import (
    FOCAL,
    SEGMENT,
    TREATED,
    USES,
    N,
    S,
    Z,
    comparison,
)
from tests.effects.test_curved_weighted_effects import Y as OUTCOME
from tests.effects.test_second_estimate import T, X, Y, rows
from tests.helpers import naive_curves


@pytest.fixture(scope="module")
def found():
    return compare_estimators(X, Y, treatment=T)


def plain_models():
    """Return estimators without exact weights, and one with."""
    aipw = SegmentAIPW(LinearRegression(), LogisticRegression(), estimand="att", random_state=0)
    return {
        "curves": SegmentMatching(adjustment="auto"),
        "lines": SegmentRegression(adjustment="linear", estimand="att"),
        "AIPW": aipw,
    }


def test_the_table_has_every_segment_by_every_estimator(found):
    for name, model in found.models.items():
        table = found.table[found.table["estimator"] == name]
        assert table["segment"].tolist() == ["high", "low", "overall"]
        np.testing.assert_allclose(table["effect"][:-1], model.effects_["effect"])
        np.testing.assert_allclose(table["std_error"][:-1], model.effects_["std_error"])
        assert table["effect"].iloc[-1] == pytest.approx(model.overall_["effect"])
    assert found.estimand == "att"


@pytest.mark.parametrize("pair", [("matching", "regression"), ("regression", "AIPW")])
def test_agreement_is_the_second_estimate_where_one_regression_is_shared(found, pair):
    second = found.models[pair[0]].second_estimate_
    by_segment, overall = (
        tests[(tests["first"] == pair[0]) & (tests["second"] == pair[1])]
        for tests in (found.agreement, found.overall_agreement)
    )
    np.testing.assert_allclose(by_segment["difference"], second.table["difference"], atol=1e-9)
    np.testing.assert_allclose(by_segment["std_error"], second.table["std_error"], rtol=1e-6)
    np.testing.assert_allclose(by_segment["p_value"], second.table["p_value"], atol=0.02)
    assert overall["std_error"].item() == pytest.approx(second.overall["std_error"], rel=1e-6)


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_row_scores_are_those_of_dense_weights(estimand):
    curves, compared = curves_of(Z), comparison(estimand)
    effects = weighted_effects(curves, compared)
    scores = Weighted(curves, compared, effects).row_scores()
    naive = naive_curves.effects(
        Z, SEGMENT, OUTCOME, TREATED, FOCAL[estimand] * 1.0, USES, np.ones(N), estimand
    )
    for k in range(S):
        focal = FOCAL[estimand] & (k == SEGMENT)
        expected = np.zeros(N)
        value = effects.focal_value
        expected[focal] = (value[focal] - value[focal].mean()) / focal.sum()
        for part in effects.parts:
            error = np.sign(part.arm.residual) * np.sqrt(part.arm.noise)
            expected -= part.sign * naive.weights[part.arm.arm][k] * error
        np.testing.assert_allclose(scores[k], expected, atol=1e-9)


def test_effects_of_other_models_are_compared_by_their_influence():
    found = compare_estimators(X, Y, treatment=T, estimators=plain_models())
    table = found.table.set_index(["estimator", "segment"])["effect"]
    errors = found.table.set_index(["estimator", "segment"])["std_error"]
    for row in found.agreement.itertuples():
        a, b = (row.first, row.segment), (row.second, row.segment)
        assert row.difference == pytest.approx(table[a] - table[b])
        assert 0 < row.std_error < np.hypot(errors[a], errors[b])
    assert (found.agreement["p_adjusted"] >= found.agreement["p_value"]).all()


def test_groups_of_rows_that_repeat_widen_the_error():
    twice = np.repeat(np.arange(len(Y)), 2)
    data, y, t = X.iloc[twice], Y[twice], T[twice]
    apart = compare_estimators(data, y, treatment=t, estimators=plain_models())
    together = compare_estimators(data, y, treatment=t, groups=twice, estimators=plain_models())
    ratio = together.agreement["std_error"] / apart.agreement["std_error"]
    assert ratio.median() == pytest.approx(np.sqrt(2), rel=0.15)


def test_words_say_where_estimators_differ():
    agreed = compare_estimators(X, Y, treatment=T)
    assert "agree in all segments" in agreed.describe()
    data, y, t = rows(np.random.default_rng(1), 3000, sharp=True)
    text = compare_estimators(data, y, treatment=t).describe()
    assert "matching and regression differ by" in text
    assert "a model is wrong there" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimators": {"one": SegmentMatching()}}, "at least two"),
        (
            {"estimators": {"a": SegmentMatching(), "b": SegmentRegression(estimand="ate")}},
            "must have one estimand",
        ),
        (
            {"estimators": {"a": SegmentMatching(missing="drop"), "b": SegmentMatching()}},
            "missing='drop' of a",
        ),
        ({"sample_weight": (np.arange(len(Y)) > 0).astype(float)}, "above 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        compare_estimators(X, Y, treatment=T, **change)


@pytest.mark.slow
def test_size_of_the_agreement_tests_is_right():
    """200 draws of two segments: bounds of 3 to 7 % and two binomial standard errors."""
    rejected = {}
    for draw in range(200):
        data, y, t = rows(np.random.default_rng([13, draw]))
        found = compare_estimators(data, y, treatment=t, estimators=plain_models())
        for row in found.agreement.itertuples():
            rejected.setdefault((row.first, row.second), []).append(row.p_value < 0.05)
    for pair, seen in rejected.items():
        assert 0.01 <= np.mean(seen) <= 0.09, pair
