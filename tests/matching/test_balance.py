"""Balance before and after matching against MatchIt, by hand, and where an arm is empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers.references import public_matchit_call, records, study
from tests.helpers.small_studies import small_study

# 15 digits printed.
RTOL = 1e-9
MATCHIT = {"smd": "Std. Mean Diff.", "variance_ratio": "Var. Ratio", "ks": "eCDF Max"}
# one record of each kind and study; the effects of all records are in tests/effects
CASES = [
    ("lalonde", "atc_n1_repl"),
    ("lalonde", "n1_cal02_sd"),
    ("lalonde", "n1_repl"),
    ("lalonde", "n3_repl"),
    ("lalonde", "n3_cal_abs01_norepl"),
    ("lalonde", "n1_discard_both"),
    ("nsw_dw", "n1_norepl_largest"),
    ("nsw_dw", "n2_norepl"),
    ("nsw_dw", "n3_repl"),
    ("nsw_dw", "n1_exact"),
    ("cattaneo2", "n1_norepl_ties"),
    ("cattaneo2", "n2_exact_cluster_repl"),
    ("black_politicians", "n1_cal02_sd"),
    ("black_politicians", "n2_norepl"),
]


def matchit_table(rows):
    table = pd.DataFrame(rows).set_index("variable").rename(index={"distance": "propensity"})
    return table.astype(float)


@pytest.mark.parametrize(("name", "spec"), CASES)
def test_balance_is_that_of_matchit(name, spec):
    data, record = study(name), records("matchit", name)[spec]
    call = public_matchit_call(data, record)
    matcher = call.matcher.set_params(exact=None)  # an exact column is no covariate; here it is one
    if "exact" in spec:
        matcher = call.matcher.set_params(exact="cell")
    model = SegmentMatching(matcher, estimand=call.estimand, segment=None, adjustment="bias")
    model.fit(call.X, data.y, treatment=data.treatment, propensity=call.propensity)
    found = model.balance_.loc["all"]
    assert (model.balance_.index.get_level_values("segment") == "all").all()
    for when, key in (("before", "balance_all"), ("after", "balance_matched")):
        theirs = matchit_table(record[key]).reindex(found.index)
        for ours, name_of in MATCHIT.items():
            np.testing.assert_allclose(
                found[f"{ours}_{when}"], theirs[name_of], rtol=RTOL, atol=1e-12, err_msg=name_of
            )
    matched = matchit_table(record["balance_matched"]).reindex(found.index)
    np.testing.assert_allclose(found["mean_treated"], matched["Means Treated"], rtol=RTOL)
    np.testing.assert_allclose(found["mean_control"], matched["Means Control"], rtol=RTOL)


# --- by hand --------------------------------------------------------------------------------------

X = pd.DataFrame({"z": [1.0, 3.0, 2.0, 4.0, 9.0], "b": [1, 0, 1, 1, 0]})
TREATMENT = np.array([1, 1, 0, 0, 0])
SCORE = np.array([0.4, 0.5, 0.4, 0.5, 0.1])


def by_hand(estimand="att", **options):
    matcher = PropensityMatcher(n_neighbors=1, segment=None, **options)
    model = SegmentMatching(
        matcher, estimand=estimand, segment=None, adjustment=None, min_per_arm=2
    )
    model.fit(X, np.arange(5.0), treatment=TREATMENT, propensity=SCORE)
    return model.balance_.loc["all"]


def test_differences_by_hand():
    found = by_hand()
    # treated 1, 3: mean 2, variance 2; controls 2, 4, 9: mean 5; matched controls 2, 4: mean 3
    assert found.loc["z", "smd_before"] == pytest.approx((2 - 5) / np.sqrt(2))
    assert found.loc["z", "smd_after"] == pytest.approx((2 - 3) / np.sqrt(2))
    assert found.loc["z", "variance_ratio_before"] == pytest.approx(2 / 13)
    assert found.loc["z", "variance_ratio_after"] == pytest.approx(1.0)
    # 0/1: treated half, controls two thirds, matched controls all
    assert found.loc["b", "smd_before"] == pytest.approx((1 / 2 - 2 / 3) / 0.5)
    assert found.loc["b", "smd_after"] == pytest.approx((1 / 2 - 1) / 0.5)
    assert np.isnan(found.loc["b", "variance_ratio_before"])
    assert found.loc["b", "ks_after"] == pytest.approx(0.5)
    assert found.loc["z", "mean_control"] == pytest.approx(3.0)


def test_the_denominator_follows_the_estimand():
    s1, s0 = 2.0, 13.0
    for estimand, scale in (("att", s1), ("atc", s0), ("ate", (s1 + s0) / 2)):
        found = by_hand(estimand)
        assert found.loc["z", "smd_before"] == pytest.approx(-3 / np.sqrt(scale))


def test_ks_is_that_of_scipy():
    for seed in range(4):
        data = small_study(seed, n=120, decimals=2)
        frame = pd.DataFrame(np.round(data.Z, seed), columns=list("abc"))
        found = PropensityMatcher(segment=None).fit(
            frame, treatment=data.treatment, propensity=data.score
        ).balance_.loc["all"]  # fmt: skip
        for name in "abc":
            arms = [frame.loc[data.treatment == arm, name] for arm in (1, 0)]
            expected = stats.ks_2samp(*arms).statistic
            assert found.loc[name, "ks_before"] == pytest.approx(expected, abs=1e-12)


def test_weights_count_as_rows_before_and_after():
    data = small_study(3, n=150)
    weight = data.weight + 1
    rows = np.repeat(np.arange(150), weight.astype(int))
    frame = pd.DataFrame(data.Z, columns=list("abc"))
    matcher = PropensityMatcher(segment=None, score_scale="probability")
    weighted = matcher.fit(
        frame, treatment=data.treatment, propensity=data.score, sample_weight=weight
    ).balance_
    repeated = matcher.fit(
        frame.iloc[rows], treatment=data.treatment[rows], propensity=data.score[rows]
    ).balance_
    for name in ("mean_treated", "mean_control", "ks_before", "ks_after"):
        np.testing.assert_allclose(weighted[name], repeated[name], rtol=1e-10, atol=1e-12)


def test_each_segment_is_that_of_its_own_rows():
    data = small_study(4, n=300, n_segments=3)
    matcher = PropensityMatcher(n_neighbors=2, exact="cell")
    whole = matcher.fit(data.X, treatment=data.treatment, propensity=data.score)
    table, sizes = whole.balance_, whole.effective_sample_size_
    for segment in range(3):
        rows = data.segment == segment
        alone = matcher.fit(
            data.X[rows], treatment=data.treatment[rows], propensity=data.score[rows]
        )
        pd.testing.assert_frame_equal(alone.balance_, table.loc[[segment]])
        np.testing.assert_allclose(alone.effective_sample_size_[0], sizes[segment])


# --- where there is nothing to compare ------------------------------------------------------------


def test_a_segment_without_both_arms_has_no_differences():
    data = small_study(5, n=200, n_segments=2)
    treatment = np.where(data.segment == 1, 1, data.treatment)
    found = PropensityMatcher().fit(data.X, treatment=treatment, propensity=data.score)
    empty, full = found.balance_.loc[1], found.balance_.loc[0]
    assert empty[["smd_before", "smd_after", "ks_before", "ks_after"]].isna().all(axis=None)
    assert full[["smd_before", "smd_after", "ks_before", "ks_after"]].notna().all(axis=None)
    assert found.effective_sample_size_[1].tolist() == [0, 0]


@pytest.mark.parametrize("gap", [np.nan])
@pytest.mark.parametrize("n", [60, 300])  # slices sorted by insertion and by digits
def test_a_column_with_gaps_is_not_measured_and_does_not_hang(n, gap):
    data = small_study(6, n=n)
    frame = data.X[["z0", "z1"]].copy()
    frame.loc[[0, 5, n - 1], "z0"] = gap
    matcher = PropensityMatcher(segment=None)
    found = matcher.fit(frame, treatment=data.treatment, propensity=data.score).balance_
    assert found.loc[("all", "z0")].isna().all()
    assert found.loc[("all", "z1")].notna().all()


def test_a_column_that_is_constant_in_a_segment_differs_by_nothing_there():
    data = small_study(7)
    half = np.arange(len(data.X)) % 2
    frame = data.X[["z0"]].assign(
        one=1.0 * half, seven=np.where(half, data.X["z0"], 7.0), segment=half
    )
    found = PropensityMatcher().fit(
        frame, treatment=data.treatment, propensity=data.score
    ).balance_.loc[0]  # fmt: skip
    for name in ("one", "seven"):
        assert found.loc[name, "smd_after"] == 0
        assert found.loc[name, "ks_after"] == 0


def test_a_constant_column_is_left_out_with_a_note():
    data = small_study(7)
    matcher = PropensityMatcher(segment=None).fit(
        data.X[["z0"]].assign(one=1.0), treatment=data.treatment, propensity=data.score
    )
    assert matcher.balance_.loc["all"].index.tolist() == ["propensity", "z0"]
    assert matcher.covariates_.set_index("column").loc["one", "note"] == "constant"
