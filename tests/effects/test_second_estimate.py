"""Second estimates: against estimates made apart, against dense formulas, and their size in simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate._nuisance.curves import curves_of
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.effects._curved.reweighted import Reweighted, reweighted
from segcate.effects._curved.weighted_effects import weighted_effects
from segcate.effects._table.second_estimate import second_estimate
from tests.effects.test_curved_weighted_effects import (
    FOCAL,
    SEGMENT,
    TREATED,
    USES,
    WEIGHT,
    N,
    S,
    Z,
    comparison,
)
from tests.effects.test_curved_weighted_effects import Y as OUTCOME
from tests.helpers import naive_curves

MODELS = [
    SegmentMatching(adjustment="auto"),
    SegmentRegression(adjustment="auto", estimand="att"),
    SegmentAIPW("auto", estimand="att"),
]


def rows(rng, n=600, sharp=False):
    x = rng.normal(size=(n, 4))
    step = np.sign(x[:, 0] * x[:, 1]) if sharp else x[:, 0]
    t = (rng.random(n) < 1 / (1 + np.exp(0.5 - 0.8 * step))).astype(int)
    y = step + x[:, 1] + t + rng.normal(size=n)
    frame = pd.DataFrame(x, columns=list("abcd"))
    return frame.assign(segment=np.where(x[:, 2] > 0, "high", "low")), y, t


X, Y, T = rows(np.random.default_rng(3))


@pytest.mark.parametrize("estimand", ["att", "ate"])
def test_that_of_odds_is_the_regression_and_the_other_way_round(estimand):
    odds = SegmentAIPW("auto", estimand=estimand, clip=0).fit(X, Y, treatment=T)
    alone = SegmentRegression(adjustment="auto", estimand=estimand).fit(X, Y, treatment=T)
    for one, other in ((odds, alone), (alone, odds)):
        table = one.second_estimate_.table
        np.testing.assert_allclose(table["effect"], one.effects_["effect"], rtol=1e-12)
        np.testing.assert_allclose(table["second_effect"], other.effects_["effect"], atol=1e-9)
    a, b = odds.second_estimate_.table, alone.second_estimate_.table
    np.testing.assert_allclose(a["std_error"], b["std_error"], rtol=1e-8)


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_the_difference_is_that_of_two_sets_of_dense_weights(estimand, weight):
    v, uses = np.ones(N) if weight is None else weight, np.arange(N) % 7 + 1.0
    curves, compared = curves_of(Z, weight), comparison(estimand, weight)
    found = weighted_effects(curves, compared)
    other = reweighted(curves, compared, found, uses, "other")
    naive = [
        naive_curves.effects(Z, SEGMENT, OUTCOME, TREATED, FOCAL[estimand] * v, u, v, estimand)
        for u in (USES, uses)
    ]
    np.testing.assert_allclose(other.difference[:S], naive[0].effect - naive[1].effect, atol=1e-9)
    share = np.array([(FOCAL[estimand] * v)[k == SEGMENT].sum() for k in range(S)])
    share = np.vstack([np.eye(S), share / share.sum()])
    variance, parts = np.zeros(S + 1), []
    for part in found.parts:
        arm = part.arm.arm
        gap = share @ (naive[0].weights[arm] - naive[1].weights[arm])
        parts.append((gap**2 @ part.arm.noise, (gap**2).sum(1) ** 2 / (gap**4).sum(1)))
        variance += parts[-1][0]
    np.testing.assert_allclose(other.variance, variance, rtol=1e-7)
    df = variance**2 / sum(value**2 / freedom for value, freedom in parts)
    np.testing.assert_allclose(other.df, df, rtol=1e-7)


def test_that_of_matches_is_the_regression():
    matched = SegmentMatching(adjustment="auto").fit(X, Y, treatment=T)
    alone = SegmentRegression(adjustment="auto", estimand="att").fit(X, Y, treatment=T)
    second = matched.second_estimate_.table["second_effect"]
    np.testing.assert_allclose(second, alone.effects_["effect"], atol=1e-9)
    weight = matched.effects_["n_treated"] / matched.effects_["n_treated"].sum()
    overall = matched.second_estimate_.overall
    assert overall["second_effect"] == pytest.approx(float(weight @ second))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_rows_as_groups_give_nearly_the_same_error(model):
    """Groups of one row leave out leverages, a few per cent here."""
    apart = model.fit(X, Y, treatment=T).second_estimate_.table["std_error"]
    grouped = model.fit(X, Y, treatment=T, groups=np.arange(len(Y))).second_estimate_.table
    np.testing.assert_allclose(grouped["std_error"], apart, rtol=0.1)
    assert (grouped["df"] == len(Y) - 1).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_scale_and_order_do_not_matter(model):
    found = model.fit(X, Y, treatment=T).second_estimate_.table
    order = np.random.default_rng(0).permutation(len(Y))
    other = model.fit(X.iloc[order], 3.0 * Y[order] + 5, treatment=T[order]).second_estimate_.table
    np.testing.assert_allclose(other["difference"], 3.0 * found["difference"], atol=1e-8)
    np.testing.assert_allclose(other["p_value"], found["p_value"], atol=1e-7)


def test_other_adjustments_have_none():
    for model in (SegmentMatching(adjustment="bias"), SegmentRegression(adjustment="linear")):
        model.fit(X, Y, treatment=T)
        assert model.second_estimate_ is None
        assert "Second estimate" not in model.summary()


def test_a_segment_without_an_estimate_has_no_second():
    thin = X.assign(segment=np.where(np.arange(len(Y)) < 6, "thin", X["segment"]))
    model = SegmentMatching(adjustment="auto", on_empty="nan").fit(thin, Y, treatment=T)
    table = model.second_estimate_.table
    assert table.loc["thin"].isna().all()
    assert np.isfinite(table.loc[["high", "low"]].to_numpy()).all()


def test_imputations_are_combined():
    gaps = X.mask(np.random.default_rng(5).random(X.shape) < 0.03).assign(segment=X["segment"])
    model = SegmentMatching(adjustment="auto", missing="impute", random_state=0)
    table = model.fit(gaps, Y, treatment=T).second_estimate_.table
    assert np.isfinite(table.to_numpy()).all()


def fitted_table():
    return SegmentMatching(adjustment="auto").fit(X, Y, treatment=T).effect_table_


def test_the_summary_names_segments_that_differ():
    second = Reweighted(
        "other weights", np.array([0.5, 0.1, 0.3]), np.full(3, 0.01), np.full(3, 200.0)
    )
    found = second_estimate(fitted_table(), [second])
    assert found.differs == ["high"]
    assert found.describe().startswith("other weights differs beyond chance in high (")
    p = found.table["p_value"]
    np.testing.assert_allclose(found.table["p_adjusted"], [2 * p.iloc[0], p.iloc[1]])


def rejections(model, n_draws, **design):
    single, together, named = [], [], []
    for draw in range(n_draws):
        data, y, t = rows(np.random.default_rng([11, draw]), **design)
        found = model.fit(data, y, treatment=t).second_estimate_
        single += (found.table["p_value"] < 0.05).tolist()
        together.append(found.overall["p_value"] < 0.05)
        named.append(bool(found.differs))
    return np.mean(single), np.mean(together), np.mean(named)


def test_a_fit_that_is_wrong_is_found():
    _, together, named = rejections(MODELS[0], 10, n=2000, sharp=True)
    assert together >= 0.8
    assert named >= 0.5


@pytest.mark.slow
def test_size_is_right_where_the_regression_is():
    """600 differences: bounds are 5 % less and plus 2.6 binomial standard errors, rounded."""
    single, together, named = rejections(MODELS[0], 300)
    assert 0.027 <= single <= 0.073
    assert 0.017 <= together <= 0.083
    assert named <= 0.083


def test_a_difference_of_less_than_a_tenth_of_the_standard_error_is_left_aside():
    model = SegmentMatching().fit(X, Y, treatment=T)
    table = model.effect_table_
    error = np.append(np.sqrt(table.variance), np.sqrt(table.overall.variance))
    far = Reweighted(
        "other", np.array([0.2, 0.05, 0.1]) * error, np.full(3, 1e-8), np.full(3, 50.0)
    )
    found = second_estimate(table, [far])
    assert (found.table["p_adjusted"] < 0.001).all()
    assert found.differs == ["high"]
    assert "low" not in found.describe().split("differs beyond chance in")[1].split(";")[0]
