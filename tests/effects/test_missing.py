"""Missing covariates in the estimators of segment effects and in the matcher."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate._covariates.missing import N_IMPUTATIONS
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.effects._table.imputed import rubin
from segcate.matching import PropensityMatcher


def aipw(**options):
    return SegmentAIPW(
        LinearRegression(), LogisticRegression(), clip=0.001, random_state=0, **options
    )


def matching(**options):
    return SegmentMatching(random_state=0, **options)


def regression(**options):
    return SegmentRegression(random_state=0, **options)


MODELS = {"matching": matching, "regression": regression, "aipw": aipw}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def study(seed=0, n=1000, n_segments=2):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    t = (rng.random(n) < 1 / (1 + np.exp(-X["a"] - X["b"]))).astype(int)
    y = X.to_numpy() @ [1.0, 1.0, 0.3, 0.0] + 2 * t + rng.normal(size=n)
    return X.assign(segment=rng.integers(0, n_segments, n)), y.to_numpy(), t.to_numpy()


def holed(X, share, seed=0, columns="ab"):
    rng = np.random.default_rng(100 + seed)
    X = X.copy()
    for name in columns:
        X.loc[rng.random(len(X)) < share, name] = np.nan
    return X


# --- up to 5 % ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [matching, regression], ids=["matching", "regression"])
def test_three_percent_of_holes_move_the_effect_by_less_than_a_standard_error(make):
    near = 0
    for seed in range(20):
        X, y, t = study(seed + 50, n_segments=1)
        full = make().fit(X, y, treatment=t).overall_
        few = make().fit(holed(X, 0.03, seed, "a"), y, treatment=t).overall_
        near += abs(few["effect"] - full["effect"]) < full["std_error"]
    assert near >= 19


@every_model
def test_what_was_done_is_said(make):
    X, y, t = study()
    model = make().fit(holed(X, 0.04, columns="a"), y, treatment=t)
    line = next(line for line in model.summary().splitlines() if line.startswith("Missing"))
    assert line.startswith("Missing         a ")
    assert "mean of the segment" in line
    assert model.effects_["status"].tolist() == ["ok", "ok"]
    assert "Missing" not in make().fit(X, y, treatment=t).summary()
    assert np.isfinite(model.predict(holed(X, 0.2))).all()


@every_model
def test_without_gaps_no_option_changes_anything(make):
    X, y, t = study(n=400)
    plain = make().fit(X, y, treatment=t).effects_
    for how in ("indicator", "drop", "impute"):
        pd.testing.assert_frame_equal(make(missing=how).fit(X, y, treatment=t).effects_, plain)


# --- above 5 % ------------------------------------------------------------------------------------


@every_model
def test_more_is_an_error_that_names_three_ways(make):
    X, y, t = study()
    with pytest.raises(ValueError, match=r"contains NaN, in the columns a \(\d+\), b \(\d+\)") as e:
        make().fit(holed(X, 0.3), y, treatment=t)
    for text in (
        "of the rows of segment 0",
        "missing='indicator'",
        "missing='drop'",
        "missing='impute'",
    ):
        assert text in str(e.value)


@every_model
def test_one_segment_with_many_gaps_is_enough_for_the_error(make):
    X, y, t = study(n_segments=4)
    bad = X.copy()
    bad.loc[np.flatnonzero(X["segment"] == 2)[:30], "c"] = np.nan
    with pytest.raises(ValueError, match=r"1\d % of the rows of segment 2 are incomplete"):
        make().fit(bad, y, treatment=t)
    weight = np.where(bad["c"].isna(), 0.0, 1.0)  # rows of weight 0 are not there
    make().fit(bad, y, treatment=t, sample_weight=weight)


@every_model
def test_two_gaps_in_a_thin_segment_are_filled_and_told_eight_are_an_error(make):
    X, y, t = study(n_segments=4)
    X["segment"] = np.r_[np.zeros(60, dtype=int), X["segment"].to_numpy()[60:] + 1]
    few, many = X.copy(), X.copy()
    few.loc[:3, "c"] = np.nan
    many.loc[:15, "c"] = np.nan
    status = make().fit(few, y, treatment=t).effects_["status"]
    assert "7 % of rows have a covariate filled in" in status.loc[0]
    with pytest.raises(ValueError, match="27 % of the rows of segment 0 are incomplete"):
        make().fit(many, y, treatment=t)


@every_model
def test_drop_is_the_complete_rows_exactly(make):
    X, y, t = study()
    bad = holed(X, 0.2)
    if make is not aipw:  # whose lines take no text
        bad["city"] = np.random.default_rng(2).choice(np.array(["x", "y", None]), 1000)
    kept = bad.notna().all(axis=1).to_numpy()
    weight = np.random.default_rng(1).uniform(0.5, 2, 1000)
    model = make(missing="drop").fit(bad, y, treatment=t, sample_weight=weight)
    alone = make().fit(bad[kept], y[kept], treatment=t[kept], sample_weight=weight[kept])
    pd.testing.assert_frame_equal(model.effects_, alone.effects_)
    np.testing.assert_array_equal(model.complete_rows_, np.flatnonzero(kept))
    assert "rows left out" in model.summary()
    np.testing.assert_array_equal(model.predict(bad), model.effects_["effect"][X["segment"]])


def test_drop_with_groups_and_a_segment_that_is_gone():
    X, y, t = study(n_segments=3)
    groups = np.arange(1000) // 10
    bad = holed(X, 0.1)
    bad.loc[X["segment"] == 1, "a"] = np.nan
    bad.loc[:9, "a"] = np.nan  # group 0
    kept = bad.notna().all(axis=1).to_numpy()
    model = regression(missing="drop").fit(bad, y, treatment=t, groups=groups)
    alone = regression().fit(bad[kept], y[kept], treatment=t[kept], groups=groups[kept])
    assert model.segment_labels_.tolist() == [0, 2]
    pd.testing.assert_frame_equal(model.effects_, alone.effects_)


def test_drop_that_leaves_no_arm_says_so():
    X, y, t = study(n=200)
    bad = X.assign(a=np.where(t == 1, np.nan, X["a"]))
    with pytest.raises(ValueError, match=r"missing='drop' no treated row is left \(\d+ of 200"):
        matching(missing="drop").fit(bad, y, treatment=t)


@every_model
def test_the_indicator_is_a_covariate_like_any(make):
    X, y, t = study()
    bad = holed(X, 0.3, columns="a")
    means = bad.groupby("segment")["a"].transform("mean")
    by_hand = bad.assign(a=bad["a"].fillna(means)).assign(gap=bad["a"].isna().astype(float))
    model = make(missing="indicator").fit(bad, y, treatment=t)
    hand = make().fit(by_hand, y, treatment=t)
    np.testing.assert_allclose(model.effects_["effect"], hand.effects_["effect"], rtol=1e-9)
    np.testing.assert_allclose(model.effects_["std_error"], hand.effects_["std_error"], rtol=1e-9)
    assert "% of rows have a covariate filled in" in model.effects_.loc[0, "status"]


def test_the_decision_on_what_was_seen_needs_the_indicator():
    rng = np.random.default_rng(7)
    found = []
    for _ in range(12):
        a = rng.normal(size=1500)
        gap = rng.random(1500) < 0.3
        seen = np.where(gap, 1.0, a)
        t = (rng.random(1500) < 1 / (1 + np.exp(-seen))).astype(int)
        y = seen + 2 * t + rng.normal(size=1500)
        X = pd.DataFrame({"a": np.where(gap, np.nan, a)})
        model = regression(missing="indicator", segment=None).fit(X, y, treatment=t)
        found.append((model.overall_["effect"] - 2) / model.overall_["std_error"])
    assert abs(np.mean(found)) < 3 / np.sqrt(12)


@every_model
def test_imputation_uses_the_outcome_and_widens(make):
    X, y, t = study(3, n=1500, n_segments=1)
    bad = holed(X, 0.3)
    full = make().fit(X, y, treatment=t).overall_
    model = make(missing="impute").fit(bad, y, treatment=t)
    naive = make(missing="indicator").fit(bad, y, treatment=t).overall_
    assert abs(model.overall_["effect"] - 2) < abs(naive["effect"] - 2)
    assert abs(model.overall_["effect"] - full["effect"]) < 3 * full["std_error"]
    assert model.overall_["std_error"] > 0.9 * full["std_error"]
    assert "5 imputations" in model.summary()
    again = make(missing="impute").fit(bad, y, treatment=t)
    pd.testing.assert_frame_equal(model.effects_, again.effects_)


def test_rubins_rule():
    # within 1, between 0.5 over 5: extra 0.6, share 0.375, df 4 / 0.140625 = 28.44
    assert rubin(1.0, 0.5, 5, np.inf) == pytest.approx(4 / 0.375**2)
    observed = (20 + 1) / (20 + 3) * 20 * 0.625
    expected = 1 / (0.375**2 / 4 + 1 / observed)
    assert rubin(1.0, 0.5, 5, 20.0) == pytest.approx(expected)
    assert rubin(1.0, 0.0, 5, 20.0) == 20.0


def test_tables_are_combined_by_rubins_rule(monkeypatch):
    X, y, t = study()
    bad = holed(X, 0.2)
    seen = []
    from segcate.effects import _mixin as module

    combine = module.combine_tables
    monkeypatch.setattr(
        module, "combine_tables", lambda tables: (seen.extend(tables), combine(tables))[1]
    )
    model = regression(missing="impute").fit(bad, y, treatment=t)
    assert len(seen) == N_IMPUTATIONS
    effects = np.array([table.effect for table in seen])
    within = np.array([table.variance for table in seen]).mean(axis=0)
    np.testing.assert_allclose(model.effects_["effect"], effects.mean(axis=0))
    expected = np.sqrt(within + 1.2 * effects.var(axis=0, ddof=1))
    np.testing.assert_allclose(model.effects_["std_error"], expected)


# --- what counts as missing, and where ------------------------------------------------------------


@every_model
def test_models_that_take_gaps_get_them_as_they_come(make):
    X, y, t = study()
    bad = holed(X, 0.3)
    if make is aipw:
        SegmentAIPW(None, random_state=0).fit(bad, y, treatment=t)
    elif make is matching:
        matcher = PropensityMatcher(HistGradientBoostingClassifier(max_iter=20, random_state=0))
        SegmentMatching(matcher, adjustment=None).fit(bad, y, treatment=t)
    else:
        with pytest.raises(ValueError, match="contains NaN"):
            make().fit(bad, y, treatment=t)


@pytest.mark.parametrize("make", [matching, regression], ids=["matching", "regression"])
def test_a_missing_level_is_the_level_of_that_name(make):
    X, y, t = study()
    city = np.random.default_rng(4).choice(["a", "b", "<missing>"], 1000)
    named = make().fit(X.assign(city=city), y, treatment=t).effects_
    gaps = X.assign(city=pd.Series(city, dtype=object).replace("<missing>", None))
    pd.testing.assert_frame_equal(make().fit(gaps, y, treatment=t).effects_, named)


@every_model
@pytest.mark.parametrize("value", [np.nan, None])
def test_a_column_without_any_value_is_left_out(make, value):
    X, y, t = study()
    model = make().fit(X.assign(empty=value), y, treatment=t)
    plain = make().fit(X, y, treatment=t)
    np.testing.assert_allclose(model.effects_["effect"], plain.effects_["effect"], rtol=1e-9)


def test_containers_agree():
    X, y, t = study()
    bad = holed(X, 0.2)
    frames = {
        "pandas": bad,
        "nullable": bad.convert_dtypes(),
        "object": bad.astype({"a": object}),
        "text": bad.assign(a=[None if v != v else repr(v) for v in bad["a"].tolist()]),
        "polars": pl.DataFrame({k: [None if v != v else v for v in bad[k]] for k in bad}),
        "array": bad.to_numpy(),
    }
    for how in ("indicator", "drop", "impute"):
        found = {
            name: matching(missing=how, segment=-1).fit(frame, y, treatment=t).effects_["effect"]
            for name, frame in frames.items()
        }
        for name, effect in found.items():
            np.testing.assert_allclose(effect, found["pandas"], rtol=1e-9, err_msg=name)


def test_missing_dates_are_filled():
    X, y, t = study()
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(1000) % 90, "D"))
    gap = np.random.default_rng(0).random(1000) < 0.3
    dates = X.assign(d=days.where(~gap))
    numbers = X.assign(d=np.where(gap, np.nan, np.arange(1000.0) % 90))
    for how in ("indicator", "impute"):
        first = matching(missing=how).fit(dates, y, treatment=t).effects_["effect"]
        second = matching(missing=how).fit(numbers, y, treatment=t).effects_["effect"]
        np.testing.assert_allclose(first, second, rtol=1e-6)


def test_rare_gaps_get_no_indicator_and_gaps_alike_get_one():
    X, y, t = study()
    bad = X.copy()
    gap = np.random.default_rng(2).random(1000) < 0.2
    bad.loc[gap, ["a", "b"]] = np.nan
    bad.loc[[3, 4, 5], "c"] = np.nan
    balance = matching(missing="indicator").fit(bad, y, treatment=t).balance_
    rows = balance.index.get_level_values("covariate").unique().tolist()
    assert rows == ["propensity", "a", "b", "c", "d", "a: missing"]
    shares = bad.assign(t=t)["a"].isna().groupby([bad["segment"], t]).mean()
    assert balance.loc[(0, "a: missing"), "mean_treated"] == pytest.approx(shares[0, 1])


def test_rows_of_thin_segments_are_filled_with_the_mean_of_the_merged_segment():
    X, y, t = study()
    bad = holed(X, 0.04, columns="a")
    bad["segment"] = bad["segment"].where(bad.index >= 12, 7)
    model = regression(min_per_arm=20).fit(bad, y, treatment=t)
    into = model.merged_segments_[7]
    merged = bad.assign(segment=bad["segment"].replace(7, into))
    plain = regression().fit(merged, y, treatment=t)
    np.testing.assert_array_equal(model.effects_["effect"], plain.effects_["effect"])


def test_exact_columns_keep_their_gaps():
    X, y, t = study()
    cell = np.where(np.arange(1000) % 3 == 0, np.nan, np.arange(1000) % 2)
    matcher = PropensityMatcher(exact="cell")
    found = SegmentMatching(matcher).fit(X.assign(cell=cell), y, treatment=t)
    named = SegmentMatching(matcher).fit(X.assign(cell=np.nan_to_num(cell, nan=2)), y, treatment=t)
    np.testing.assert_array_equal(found.effects_["effect"], named.effects_["effect"])


# --- the matcher ----------------------------------------------------------------------------------


def test_the_matcher_fills_drops_and_refuses_to_impute():
    X, _, t = study()
    bad = holed(X, 0.3)
    with pytest.raises(ValueError, match=r"missing='drop' takes the complete rows") as error:
        PropensityMatcher().fit(bad, treatment=t)
    assert "impute" not in str(error.value)
    with pytest.raises(
        ValueError, match=r"`missing` must be one of \['auto', 'indicator', 'drop'\]; got 'impute'"
    ):
        PropensityMatcher(missing="impute").fit(bad, treatment=t)
    filled = PropensityMatcher(missing="indicator").fit(bad, treatment=t)
    assert "a: missing" in filled.balance_.index.get_level_values("covariate")
    kept = np.flatnonzero(bad.notna().all(axis=1))
    dropped = PropensityMatcher(missing="drop").fit(bad, treatment=t)
    alone = PropensityMatcher().fit(bad.iloc[kept], treatment=t[kept])
    np.testing.assert_array_equal(dropped.complete_rows_, kept)
    np.testing.assert_array_equal(dropped.propensity_, alone.propensity_)
    pd.testing.assert_frame_equal(dropped.balance_, alone.balance_)


@every_model
def test_an_unknown_option_is_refused(make):
    X, y, t = study(n=200)
    with pytest.raises(ValueError, match=r"`missing` must be one of .*'impute'.*got 'mean'"):
        make(missing="mean").fit(X, y, treatment=t)


@every_model
def test_filled_models_are_cloned_and_stored(make):
    X, y, t = study(n=400)
    model = make(missing="indicator").fit(holed(X, 0.3), y, treatment=t)
    back = pickle.loads(pickle.dumps(model))
    assert back.summary() == model.summary()
    assert clone(model).missing == "indicator"


# --- coverage -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_imputation_covers():
    hits, n = 0, 120
    for seed in range(n):
        X, y, t = study(1000 + seed, n=500, n_segments=1)
        row = regression(missing="impute").fit(holed(X, 0.3, seed), y, treatment=t).overall_
        hits += row["ci_low"] <= 2 <= row["ci_high"]
    # 95 % less three binomial standard errors
    assert hits / n >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / n)


def test_gaps_are_the_business_of_the_estimator_not_of_the_matcher_inside():
    model = SegmentMatching(PropensityMatcher(missing="drop"), segment=None)
    X = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(ValueError, match=r"Pass it as SegmentMatching\(missing='drop'\)"):
        model.fit(X, X[:, 0], treatment=np.arange(40) % 2)
