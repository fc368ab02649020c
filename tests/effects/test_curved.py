"""`adjustment="auto"`: matches with a curved regression of all segments together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.exceptions import SegcateWarning
from segcate.matching import MahalanobisMatcher, PropensityMatcher
from tests.helpers import naive_curves

USERS = make_segmented_users(900, n_segments=3, random_state=4)
X = USERS.X.assign(segment=USERS.segment)
Y, T = np.asarray(USERS.y), np.asarray(USERS.treatment)
COUNTS = np.random.default_rng(0).integers(1, 4, len(Y))
FIGURES = ["effect", "std_error", "ci_low", "ci_high", "df", "n_eff_controls"]


def fit(rows=slice(None), y=Y, treatment=T, frame=X, given=None, **options):
    options = {"adjustment": "auto", **options}
    given = {key: value[rows] for key, value in (given or {}).items()}
    return SegmentMatching(**options).fit(frame.iloc[rows], y[rows], treatment=treatment[rows], **given)  # fmt: skip


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize(
    "matcher",
    [PropensityMatcher(), PropensityMatcher(caliper=0.1), MahalanobisMatcher()],
    ids=["score", "caliper", "distance"],
)
def test_figures_are_those_of_the_formulas_for_the_matched_sets(estimand, matcher):
    model = fit(estimand=estimand, matcher=matcher)
    sample = model.matcher_.matched_
    own, uses = np.zeros(len(Y)), np.zeros(len(Y))
    own[sample.order], uses[sample.order] = sample.is_matched, sample.uses
    naive = naive_curves.effects(
        USERS.X.to_numpy(float), np.asarray(USERS.segment), Y, T, own, uses, np.ones(len(Y)), estimand
    )  # fmt: skip
    table = model.effects_
    np.testing.assert_allclose(table["effect"], naive.effect, rtol=1e-9)
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(naive.covariance)), rtol=1e-9)
    np.testing.assert_allclose(table["df"], naive.df, rtol=1e-9)
    if estimand != "atc":
        np.testing.assert_allclose(table["n_eff_controls"], naive.n_eff_controls, rtol=1e-9)
    contrast = np.array([1.0, -1.0, 0.0])
    found = model.contrasts(contrast).table["std_error"].iloc[0]
    assert found == pytest.approx(np.sqrt(contrast @ naive.covariance @ contrast), rel=1e-9)


def test_overall_counts_what_segments_share():
    model = fit()
    table = model.effects_
    share = (table["n_matched"] / table["n_matched"].sum()).to_numpy()
    covariance = model._table.covariance
    spread = share @ (table["effect"] - share @ table["effect"]).to_numpy() ** 2
    expected = share @ covariance @ share + spread / table["n_matched"].sum()
    assert model.overall_["std_error"] == pytest.approx(np.sqrt(expected), rel=1e-9)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() > 0


@pytest.mark.parametrize("options", [{}, {"estimand": "ate"}, {"inference": "sample"}])
def test_neither_the_order_of_rows_nor_jobs_matter(options):
    found = fit(**options).effects_[FIGURES]
    order = np.random.default_rng(1).permutation(len(Y))
    pd.testing.assert_frame_equal(fit(order, **options).effects_[FIGURES], found, rtol=1e-8)
    pd.testing.assert_frame_equal(fit(n_jobs=2, **options).effects_[FIGURES], found, rtol=0, atol=0)


def test_counts_give_the_effects_of_repeated_rows():
    counted = fit(given={"sample_weight": COUNTS}).effects_
    rows = np.repeat(np.arange(len(Y)), COUNTS)
    repeated = SegmentMatching(adjustment="auto").fit(
        X.iloc[rows].reset_index(drop=True), Y[rows], treatment=T[rows]
    )
    np.testing.assert_allclose(counted["effect"], repeated.effects_["effect"], rtol=1e-8)


def test_only_ratios_of_sampling_weights_matter():
    weight = np.random.default_rng(2).exponential(size=len(Y))
    found = fit(given={"sample_weight": weight}).effects_[FIGURES]
    other = fit(given={"sample_weight": 30.0 * weight}).effects_[FIGURES]
    pd.testing.assert_frame_equal(other, found, rtol=1e-9)


def test_lines_that_bend_are_followed():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 2))
    treated = (rng.random(4000) < 1 / (1 + np.exp(1 - x[:, 0] ** 2))).astype(int)
    y = 2 * x[:, 0] ** 2 + treated + rng.normal(size=4000)
    gaps = {
        name: abs(SegmentMatching(adjustment=name, segment=None).fit(x, y, treatment=treated)
                  .overall_["effect"] - 1)
        for name in ("bias", "auto")
    }  # fmt: skip
    assert gaps["auto"] < 0.15 < gaps["bias"]


def test_residuals_are_the_standard_error():
    model = fit()
    assert model.std_error_method_ == "residual"
    assert fit(std_error="residual").effects_.equals(model.effects_)
    with pytest.raises(ValueError, match="std_error='residual' is for adjustment='auto'"):
        fit(adjustment="bias", std_error="residual")


@pytest.mark.parametrize("name", ["abadie-imbens", "abadie-imbens-2016", "pair+unit"])
def test_standard_errors_made_for_bias_bring_it_with_them(name):
    model = fit(std_error=name)
    assert model.effects_.equals(fit(adjustment="bias", std_error=name).effects_)
    assert model.matcher_.n_neighbors == 3
    assert not hasattr(model, "second_estimate_") or model.second_estimate_ is None


def test_matches_without_replacement_have_pairs_on_request():
    matcher = PropensityMatcher(n_neighbors=1, replacement=False)
    assert fit(matcher=matcher).std_error_method_ == "residual"
    assert fit(matcher=matcher, std_error="pair").std_error_method_ == "pair"


def test_groups_have_the_standard_error_of_groups():
    groups = np.random.default_rng(4).integers(0, 60, len(Y))
    model = fit(given={"groups": groups})
    assert model.std_error_method_ == "group"
    alone = fit(given={"groups": np.arange(len(Y))}).effects_
    plain = fit().effects_
    np.testing.assert_allclose(alone["effect"], plain["effect"], rtol=1e-12)
    np.testing.assert_allclose(alone["std_error"], plain["std_error"], rtol=0.15)


def test_few_donors_and_rows_beyond_them_are_told():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 1))
    treated = (rng.random(600) < 1 / (1 + np.exp(-1 - 3 * x[:, 0]))).astype(int)
    y = x[:, 0] + rng.normal(size=600)
    one = PropensityMatcher(n_neighbors=1)
    model = SegmentMatching(one, adjustment="auto", segment=None).fit(x, y, treatment=treated)
    status = model.effects_["status"].iloc[0]
    assert "few effective controls (the variance rests on " in status
    assert (
        "of the treated lie beyond the scores of all controls: the estimate rests on the" in status
    )
    assert "n_eff_controls" in model.effects_


def rows_beyond(score, focal):
    """Status of 200 treated rows of which the first `focal` have log-odds above all controls'."""
    rng = np.random.default_rng(8)
    treated = np.repeat([1, 0], 200)
    log_odds = rng.uniform(-1, 1, 400)
    log_odds[:focal] = score
    log_odds[-1] = 1.0
    x, y = rng.normal(size=(400, 2)), rng.normal(size=400)
    model = SegmentMatching(adjustment="auto", segment=None)
    model.fit(x, y, treatment=treated, propensity=1 / (1 + np.exp(-log_odds)))
    return model.effects_["status"].iloc[0]


def test_rows_beyond_all_donors_are_told_where_their_share_is_above_a_twentieth_beyond_chance():
    told = "% of the treated lie beyond the scores of all controls"
    assert f"8 {told}" in rows_beyond(1.5, 16)  # 10 expected of 200 at 5 %: 16 are beyond chance
    assert told not in rows_beyond(1.5, 14)  # 14 are not
    assert told not in rows_beyond(1.3, 40)  # odds 1.35 times those of the last control


def test_the_summary_names_columns_and_effective_parameters():
    text = fit().summary()
    assert "curved, slopes shared between segments as far as the data say (" in text
    assert "effective parameters)" in text
    assert "residuals of the adjustment with exact weights, t by Satterthwaite" in text


def test_half_an_event_is_added_below_fifteen():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(1200, 2))
    treated = (rng.random(1200) < 0.4).astype(int)
    y = (rng.random(1200) < 0.02).astype(float)
    assert 5 <= min(y[treated == 1].sum(), y[treated == 0].sum()) < 15
    model = SegmentMatching(adjustment="auto", segment=None)
    widened = model.fit(x, y, treatment=treated).effects_.iloc[0]
    plain = model.set_params(std_error="residual").fit(x, y, treatment=treated).effects_.iloc[0]
    n_treated, n_controls = treated.sum(), widened["n_eff_controls"]
    expected = plain["std_error"] ** 2 + 0.5 / n_treated**2 + 0.5 / n_controls**2
    assert widened["std_error"] ** 2 == pytest.approx(expected, rel=1e-9)
    assert widened["effect"] == plain["effect"]
    assert widened["status"] == "ok"


def test_few_groups_warn_as_ever():
    with pytest.warns(SegcateWarning, match="clustered by 12 groups"):
        fit(given={"groups": np.arange(len(Y)) % 12})


def test_very_many_segments_are_refused():
    n = 12_012
    frame = pd.DataFrame({"a": np.arange(n) % 7.0, "segment": np.arange(n) % 1001})
    with pytest.raises(
        ValueError, match=r"at most 1,000 segments.*there are 1,001\. Use adjustment='bias'"
    ):
        fit(frame=frame, y=np.zeros(n), treatment=np.arange(n) // 1001 % 2)
