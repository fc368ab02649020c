"""`SegmentAIPW("auto")`: a curved regression with odds of treatment as weights."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentAIPW
from segcate.exceptions import SegcateWarning
from tests.helpers import naive_curves

USERS = make_segmented_users(800, n_segments=3, random_state=9)
X = USERS.X.assign(segment=USERS.segment)
Y, T = np.asarray(USERS.y), np.asarray(USERS.treatment)
Z, SEGMENT = USERS.X.to_numpy(float), np.asarray(USERS.segment)


def fit(estimand="att", **given):
    options = {"estimand": estimand, "clip": given.pop("clip", 0.0)}
    return SegmentAIPW("auto", **options).fit(X, Y, treatment=T, **given)


@pytest.mark.parametrize("estimand", ["att", "ate"])
def test_figures_are_those_of_the_formulas(estimand):
    model = fit(estimand)
    chance = 1 / (1 + np.exp(-naive_curves.log_odds(Z, SEGMENT, T, np.ones(len(Y)))))
    np.testing.assert_allclose(model.propensity_, chance, atol=1e-8)
    odds = np.where(T == 1, (1 - chance) / chance, chance / (1 - chance))
    own = (T == 1) * 1.0 if estimand == "att" else np.ones(len(Y))
    naive = naive_curves.effects(Z, SEGMENT, Y, T, own, odds, np.ones(len(Y)), estimand)
    table = model.effects_
    np.testing.assert_allclose(table["effect"], naive.effect, rtol=1e-6)
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(naive.covariance)), rtol=1e-6)
    np.testing.assert_allclose(table["df"], naive.df, rtol=1e-6)
    assert model.std_error_method_ == "residual"


def test_propensities_handed_in_are_the_odds():
    chance = np.random.default_rng(0).uniform(0.2, 0.8, len(Y))
    model = fit(propensity=chance)
    np.testing.assert_array_equal(model.propensity_, chance)
    odds = chance / (1 - chance)
    naive = naive_curves.effects(Z, SEGMENT, Y, T, (T == 1) * 1.0, odds, np.ones(len(Y)), "att")
    np.testing.assert_allclose(model.effects_["effect"], naive.effect, rtol=1e-8)


def test_clipped_chances_are_counted():
    with pytest.warns(SegcateWarning, match="was clipped"):
        model = fit(clip=0.3)
    assert model.n_clipped_ > 0
    assert model.effects_["status"].str.contains("propensities clipped").any()


def test_rows_of_weight_zero_are_not_there():
    weight = (np.arange(len(Y)) % 4 > 0).astype(float)
    kept = weight > 0
    part = SegmentAIPW("auto", estimand="att", clip=0.0).fit(X[kept], Y[kept], treatment=T[kept])
    np.testing.assert_allclose(
        fit(sample_weight=weight).effects_["effect"], part.effects_["effect"], rtol=1e-7
    )


def test_a_model_of_the_treatment_beside_it_is_refused():
    with pytest.raises(
        ValueError, match="`propensity_model` must be None with outcome_model='auto'"
    ):
        SegmentAIPW("auto", object()).fit(X, Y, treatment=T)


def test_groups_and_the_summary():
    model = fit(groups=np.arange(len(Y)) % 50)
    assert model.std_error_method_ == "group"
    assert "Outcome model   curved, slopes shared" in model.summary()
    assert "Propensity      penalised and curved" in model.summary()
