"""The truths that `make_segmented_users` states are the truths of the data it makes."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad, quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from segcate.datasets import make_segmented_users
from segcate.datasets._truth import intercept_for, mean_need_of_treated

# Adaptive quadrature of the same integrals, asked for 1e-12.
QUADRATURE = 1e-10
# A mean of n draws may lie this many of its own standard errors off (p = 6e-7 a comparison).
SIGMAS = 5.0


@pytest.mark.parametrize(
    ("share", "confounding", "overlap_loss"),
    [(0.1, 1.0, 0.0), (0.4, 0.7, 0.0), (0.3, 1.5, 2.0), (0.02, 3.0, 3.0), (0.5, 0.0, 1.0)],
)
def test_mean_need_of_treated_equals_adaptive_quadrature(share, confounding, overlap_loss):
    """With V the standardised score, E[U e] = c / sd E[V e]: one integral instead of two."""
    intercept = intercept_for(share, confounding, overlap_loss, (0.0,))
    spread = np.hypot(confounding, overlap_loss)
    options = {"epsabs": 1e-13, "epsrel": 1e-13, "limit": 400}
    treated = quad(lambda v: norm.pdf(v) * expit(intercept + spread * v), -12, 12, **options)[0]
    moment = quad(lambda v: v * norm.pdf(v) * expit(intercept + spread * v), -12, 12, **options)[0]
    found = mean_need_of_treated(share, confounding, overlap_loss, (0.0,), False)
    assert treated == pytest.approx(share, abs=QUADRATURE)
    assert found == pytest.approx(moment * confounding / spread / share, abs=QUADRATURE)


def test_mean_bounded_need_equals_double_quadrature():
    share, confounding, overlap_loss = 0.2, 1.2, 0.8
    intercept = intercept_for(share, confounding, overlap_loss, (0.0,))

    def integrand(w, u):
        density = np.exp(-0.5 * (u * u + w * w)) / (2 * np.pi)
        score = 1 / (1 + np.exp(-(intercept + confounding * u + overlap_loss * w)))
        return density * np.tanh(u / 2) * score

    moment = dblquad(integrand, -9, 9, -9, 9, epsabs=1e-11, epsrel=1e-11)[0]
    found = mean_need_of_treated(share, confounding, overlap_loss, (0.0,), True)
    assert found == pytest.approx(moment / share, abs=1e-9)


DIALS = {
    "plain": {},
    "heterogeneous": {"heterogeneity": 1.0, "treated_share": [0.1, 0.2, 0.3, 0.4]},
    "poor overlap": {"heterogeneity": -0.7, "confounding": 0.8, "overlap_loss": 2.0},
    "categories": {"heterogeneity": 0.6, "categories": True},
    "binary": {"outcome": "binary", "heterogeneity": 0.2, "overlap_loss": 0.5},
    "groups": {"heterogeneity": 0.5, "n_groups": 3000},
    "randomised": {"heterogeneity": 1.0, "confounding": 0.0},
}


@pytest.mark.parametrize("dials", DIALS.values(), ids=DIALS)
def test_population_truth_lies_within_error_of_a_large_draw(dials):
    data = make_segmented_users(
        600_000, n_features=2, random_state=20, as_frame="categories" in dials, **dials
    )
    effect, treated = np.asarray(data.effect), np.asarray(data.treatment) == 1
    segment = np.asarray(data.segment)
    shares = np.broadcast_to(dials.get("treated_share", 0.3), 4)
    for s in range(4):
        rows = segment == s
        n = rows.sum()
        assert abs(treated[rows].mean() - shares[s]) < SIGMAS * np.sqrt(shares[s] / n)
        for name, arm in (
            ("att", treated),
            ("atc", ~treated),
            ("ate", np.ones(len(segment), dtype=bool)),
        ):
            members = effect[rows & arm]
            error = members.std() / np.sqrt(len(members))
            assert data.truth.loc[s, f"{name}_sample"] == pytest.approx(members.mean(), rel=1e-10)
            assert abs(data.truth.loc[s, name] - members.mean()) <= SIGMAS * error + 1e-12
    for name, arm in (("att", treated), ("atc", ~treated)):
        members = effect[arm]
        assert data.overall[f"{name}_sample"] == pytest.approx(members.mean(), rel=1e-10)
        error = members.std() / np.sqrt(len(members))
        assert abs(data.overall[name] - members.mean()) <= SIGMAS * error + 1e-12


@pytest.mark.parametrize("dials", DIALS.values(), ids=DIALS)
def test_treatment_follows_the_stated_propensity(dials):
    data = make_segmented_users(300_000, n_features=2, random_state=3, **dials)
    score, treated = data.propensity.to_numpy(), data.treatment.to_numpy()
    assert abs((treated - score).mean()) < SIGMAS * 0.5 / np.sqrt(len(score))
    # the excess is unrelated to the score itself and to every feature
    for column in (score, *data.X.select_dtypes("number").to_numpy().T):
        product = (treated - score) * (column - column.mean())
        assert abs(product.mean()) <= SIGMAS * product.std() / np.sqrt(len(score)) + 1e-12


def test_outcome_model_gives_back_the_effects_by_inverse_weighting():
    """The ATT by weighting with the true score: the outcome was made as the docstring says."""
    data = make_segmented_users(
        400_000, n_segments=2, effects=[0.5, -1.0], heterogeneity=0.8, curvature=1.0, n_groups=2000,
        treated_share=0.3, confounding=0.8, categories=True, random_state=4,
    )  # fmt: skip
    y, t, p = data.y.to_numpy(), data.treatment.to_numpy(), data.propensity.to_numpy()
    for s in range(2):
        rows = (data.segment == s).to_numpy()
        weight = np.where(t == 1, 1.0, p / (1 - p))[rows]
        arm = t[rows] == 1
        found = y[rows][arm].mean() - np.average(y[rows][~arm], weights=weight[~arm])
        assert found == pytest.approx(data.att[s], abs=0.03)


def test_binary_effects_are_risk_differences_inside_the_unit_interval():
    data = make_segmented_users(
        400_000, n_segments=2, effects=[-0.2, 0.3], heterogeneity=0.1, outcome="binary",
        confounding=0.0, treated_share=0.5, random_state=5,
    )  # fmt: skip
    assert set(data.y.unique()) == {0.0, 1.0}
    for s, effect in enumerate([-0.2, 0.3]):
        arms = data.y[data.segment == s].groupby(data.treatment).mean()
        assert arms[1] - arms[0] == pytest.approx(effect, abs=0.01)
    assert data.effect.between(-0.3, 0.4).all()


def test_confounding_dial_is_the_sd_of_the_logit_score():
    data = make_segmented_users(
        200_000, n_segments=2, confounding=0.7, overlap_loss=1.1, random_state=6
    )
    logit = np.log(data.propensity / (1 - data.propensity))
    for s in range(2):
        assert logit[data.segment == s].std() == pytest.approx(np.hypot(0.7, 1.1), rel=0.01)
    naive = data.y.groupby(data.treatment).mean()
    assert naive[1] - naive[0] > data.overall["att_sample"] + 0.3


def test_overlap_loss_does_not_confound():
    data = make_segmented_users(
        300_000, n_segments=1, effects=[1.0], confounding=0.0, overlap_loss=2.0, random_state=7
    )
    arms = data.y.groupby(data.treatment).mean()
    assert arms[1] - arms[0] == pytest.approx(1.0, abs=0.03)
    assert (data.propensity < 0.02).mean() > 0.1


def test_logistic_regression_inside_a_segment_is_the_right_model():
    data = make_segmented_users(
        200_000,
        n_segments=2,
        treated_share=[0.2, 0.4],
        confounding=1.0,
        overlap_loss=0.5,
        random_state=8,
    )
    rows = data.segment == 1
    fitted = LogisticRegression(C=np.inf).fit(data.X[rows], data.treatment[rows])
    found = fitted.predict_proba(data.X[rows])[:, 1]
    assert np.abs(found - data.propensity[rows]).max() < 0.03


def test_kmeans_finds_the_segments():
    data = make_segmented_users(3000, n_segments=6, random_state=9)
    found = KMeans(6, n_init=3, random_state=0).fit_predict(data.X)
    assert adjusted_rand_score(data.segment, found) > 0.97


@pytest.mark.parametrize("n_features", [1, 2, 3, 5])
def test_features_have_unit_variance_inside_a_segment(n_features):
    data = make_segmented_users(100_000, n_segments=3, n_features=n_features, random_state=10)
    inside = data.X.groupby(data.segment).std()
    assert np.allclose(inside, 1, atol=0.02)


def test_groups_share_an_error_of_the_stated_size():
    data = make_segmented_users(
        200_000, n_segments=1, effects=[0.0], prognosis=0.0, n_groups=2000, group_sd=0.8, noise=0.6,
        random_state=11,
    )  # fmt: skip
    sizes = data.groups.value_counts()
    between = data.y.groupby(data.groups).mean().var() - 0.36 / 100
    assert sizes.min() == sizes.max() == 100
    assert np.sqrt(between) == pytest.approx(0.8, rel=0.06)


def test_treatment_by_group_is_constant_in_it_and_keeps_the_population_truth():
    dials = {
        "n_segments": 2,
        "heterogeneity": 1.0,
        "treated_share": 0.3,
        "confounding": 1.0,
        "overlap_loss": 0.5,
    }
    data = make_segmented_users(
        100_000, n_groups=10_000, assignment="group", random_state=12, **dials
    )
    by_user = make_segmented_users(100, random_state=0, **dials)
    assert (data.treatment.groupby(data.groups).nunique() == 1).all()
    score = data.propensity.groupby(data.groups)
    assert (score.max() - score.min() < 1e-12).all()
    assert data.att == pytest.approx(by_user.att, abs=0)
    assert data.att_sample == pytest.approx(data.att, abs=SIGMAS / np.sqrt(3000))


def test_sizes_are_fixed_and_follow_the_shares():
    equal = make_segmented_users(1003, n_segments=4, random_state=0)
    assert equal.truth["n"].tolist() == [251, 251, 251, 250]
    assert equal.segment.value_counts().sort_index().tolist() == [251, 251, 251, 250]
    unequal = make_segmented_users(1000, n_segments=3, segment_shares=[1, 2, 7], random_state=0)
    assert unequal.truth["n"].tolist() == [100, 200, 700]


def test_same_seed_same_users_and_frame_equals_array():
    first = make_segmented_users(500, n_groups=10, missing=0.1, heterogeneity=1.0, random_state=1)
    again = make_segmented_users(500, n_groups=10, missing=0.1, heterogeneity=1.0, random_state=1)
    plain = make_segmented_users(
        500, n_groups=10, missing=0.1, heterogeneity=1.0, random_state=1, as_frame=False
    )
    pd.testing.assert_frame_equal(first.X, again.X)
    assert np.array_equal(first.X.to_numpy(), plain.X, equal_nan=True)
    for name in ("y", "treatment", "segment", "groups", "propensity", "effect"):
        assert np.array_equal(first[name].to_numpy(), plain[name])
        assert first[name].equals(again[name])


def test_missing_share_and_complete_outcome():
    data = make_segmented_users(20_000, missing=0.2, random_state=2)
    assert data.X.isna().to_numpy().mean() == pytest.approx(0.2, abs=0.01)
    assert data.y.notna().all()


def test_categories_are_a_string_and_a_category_column():
    data = make_segmented_users(3000, categories=True, random_state=0)
    assert set(data.X["channel"]) == {"app", "store", "web"}
    assert isinstance(data.X["plan"].dtype, pd.CategoricalDtype)
    assert data.feature_names == list(data.X.columns)
    treated = data.treatment.groupby(data.X["channel"]).mean()
    assert treated["app"] < treated["store"] < treated["web"]


def test_segment_without_treated_users_has_no_sample_att():
    data = make_segmented_users(20, n_segments=10, treated_share=0.01, random_state=0)
    assert np.isnan(data.att_sample).any()
    assert np.isfinite(data.att).all()


def test_a_million_users_take_about_a_second():
    start = time.process_time()
    make_segmented_users(1_000_000, heterogeneity=0.5, random_state=0)
    assert time.process_time() - start < 5.0  # 0.5 s when measured; slack for a busy machine


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"n_samples": 0}, "`n_samples` must be a whole number of at least 1; got 0"),
        ({"n_samples": 2.5}, "`n_samples` must be a whole number"),
        ({"n_segments": True}, "`n_segments` must be a whole number"),
        ({"n_samples": 3}, "n_segments=4 is more than n_samples=3"),
        ({"effects": [1, 2]}, "`effects` must hold 4 finite numbers"),
        ({"effects": [1, 2, 3, "x"]}, "`effects` must hold 4 finite numbers"),
        ({"effects": 1.0}, "`effects` must hold 4 finite numbers"),
        ({"heterogeneity": "slope"}, "`heterogeneity` must be a finite number; .*'constant'"),
        ({"heterogeneity": float("nan")}, "`heterogeneity` must be a finite number; .*'constant'"),
        ({"treated_share": 1.0}, r"`treated_share` must lie inside \(0, 1\); got 1.0"),
        ({"treated_share": [0.1, 0.2]}, "`treated_share` must hold 4"),
        (
            {"confounding": -1},
            r"`confounding` must be a number in \[0, 10\]; .*SD of the logit score",
        ),
        (
            {"overlap_loss": 11},
            r"`overlap_loss` must be a number in \[0, 10\]; .*SD of the logit score",
        ),
        ({"overlap_loss": 1, "n_features": 1}, "with n_features=1 there is none"),
        ({"outcome": "count"}, "`outcome` must be one of"),
        ({"outcome": "binary", "effects": [0, 0.5, 0.7, 0.9]}, "leave no room for control risks"),
        ({"noise": -1.0}, "`noise` must be a number of at least 0"),
        ({"noise": None}, "`noise` must be a number of at least 0; got None"),
        ({"segment_shares": [1, 1, 1, 0]}, "`segment_shares` must be positive"),
        ({"segment_shares": [1, 1, 1, 1e9]}, "a segment is empty"),
        ({"n_groups": 1}, "`n_groups` must be between 2 and n_samples=2000; got 1"),
        ({"assignment": "group"}, "Say how many with `n_groups=`"),
        (
            {"assignment": "group", "n_groups": 5, "treated_share": [0.1] * 4},
            "`treated_share` must be one number with assignment='group'",
        ),
        ({"assignment": "school"}, "`assignment` must be one of"),
        ({"missing": 1.0}, r"`missing` must be a number in \[0, 1\); got 1.0"),
        ({"categories": True, "as_frame": False}, "Pass `as_frame=True`"),
    ],
)
def test_bad_dials_are_named(dials, message):
    with pytest.raises(ValueError, match=message):
        make_segmented_users(**dials)


@pytest.mark.slow
def test_population_truth_against_twenty_million_users():
    dials = {"heterogeneity": 1.0, "overlap_loss": 1.0, "n_features": 2, "as_frame": False}
    draws = [make_segmented_users(1_000_000, random_state=seed, **dials) for seed in range(20)]
    error = 1.0 / np.sqrt(20 * 75_000)
    assert np.mean([d.att_sample for d in draws], axis=0) == pytest.approx(
        draws[0].att, abs=SIGMAS * error
    )
