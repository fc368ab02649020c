"""Rows of weight 0 are not there: a fit with them is the fit without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate.cate import CausalForest, SegmentedCATE
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.metrics import effect_scores
from segcate.model_selection import TargetingPolicy

N = 400
MODELS = {"outcome_model": LinearRegression(), "propensity_model": LogisticRegression()}


def study(*, gaps=False):
    """Return X, y, treatment, weights and clusters; rows of weight 0 are unlike the others."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N)})
    X["segment"] = rng.integers(0, 2, N)
    treatment = (rng.random(N) < 1 / (1 + np.exp(-X["a"] / 2))).astype(int).to_numpy()
    y = (X["a"] + treatment * (1 + X["b"]) + rng.normal(size=N)).to_numpy(copy=True)
    weight = np.where(rng.random(N) < 0.25, 0.0, 1.0)
    groups = np.where(weight > 0, rng.integers(0, 60, N), 60 + np.arange(N))
    X.loc[weight == 0, ["a", "b"]] *= 100
    y[weight == 0] += 1000
    if gaps:
        X.loc[rng.choice(N, 12, replace=False), "a"] = np.nan
    return X, y, treatment, weight, groups


def both(fit, *, weighted, gaps=False, grouped=False):
    """Return what `fit` gives on all rows with weights, and on the rows above weight 0 alone."""
    X, y, treatment, weight, groups = study(gaps=gaps)
    if weighted:
        weight = weight * np.random.default_rng(4).uniform(0.5, 2, N)
    kept = np.flatnonzero(weight)
    more = {"groups": groups} if grouped else {}
    every = fit(X, y, treatment=treatment, sample_weight=weight, **more)
    more = {"groups": groups[kept]} if grouped else {}
    if weighted:
        more["sample_weight"] = weight[kept]
    return every, fit(X.iloc[kept], y[kept], treatment=treatment[kept], **more), kept


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_effect_scores(weighted, grouped):
    every, alone, kept = both(
        lambda *a, **k: effect_scores(*a, **k, **MODELS, random_state=0),
        weighted=weighted, grouped=grouped,
    )  # fmt: skip
    np.testing.assert_allclose(every[kept], alone, rtol=1e-9)
    assert np.isfinite(every).all()


def test_effect_scores_with_the_default_models():
    every, alone, kept = both(
        lambda *a, **k: effect_scores(*a, **k, random_state=0), weighted=False
    )
    np.testing.assert_allclose(every[kept], alone, rtol=1e-6)


ESTIMATORS = {
    "matching": SegmentMatching(),
    "regression": SegmentRegression(),
    "AIPW": SegmentAIPW(**MODELS, random_state=0),
    "AIPW, by odds": SegmentAIPW(),
    "AIPW, default models": SegmentAIPW(None, random_state=0),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "gaps"),
    # The default models of AIPW take gaps as they are, so that nothing is done about them.
    [(name, gaps) for name in ESTIMATORS for gaps in (False, True)
     if not (gaps and name == "AIPW, default models")],
)  # fmt: skip
def test_effects_of_segments(name, gaps, weighted):
    def fit(X, y, **given):
        model = ESTIMATORS[name].__class__(**ESTIMATORS[name].get_params(deep=False))
        return model.fit(X, y, **given).effects_

    every, alone, _ = both(fit, weighted=weighted, gaps=gaps)
    columns = ["effect", "std_error", "n", "n_treated", "n_control", "n_matched"]
    columns = [name for name in columns if name in alone]
    assert {"effect", "std_error"} <= set(columns)
    pd.testing.assert_frame_equal(every[columns], alone[columns], rtol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_targeting_policy(weighted):
    def fit(X, y, **given):
        policy = TargetingPolicy(SegmentRegression(), value=1.0, cost=0.5, cv=3, random_state=0)
        return policy.fit(X, y, **given, pseudo_outcome=y * (2 * given["treatment"] - 1))

    every, alone, _ = both(fit, weighted=weighted)
    assert every.share_ == pytest.approx(alone.share_)
    assert every.value_.value == pytest.approx(alone.value_.value, rel=1e-9)
    X = study()[0]
    np.testing.assert_array_equal(every.predict(X), alone.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        SegmentedCATE(CausalForest(n_estimators=40, random_state=0), random_state=0),
        CausalForest(n_estimators=40, random_state=0, **MODELS),
    ],
    ids=["SegmentedCATE", "CausalForest"],
)
def test_effects_of_rows(model, weighted):
    def fit(X, y, **given):
        return model.__class__(**model.get_params(deep=False)).fit(X, y, **given)

    every, alone, kept = both(fit, weighted=weighted)
    X = study()[0].iloc[kept]
    np.testing.assert_allclose(every.predict(X), alone.predict(X), rtol=1e-7)
