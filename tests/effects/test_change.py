"""Whether effects changed between two fits: the contrasts of one fit, and tests of the right size."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from segcate.effects import EffectChange, SegmentMatching, SegmentRegression
from segcate.exceptions import SegcateWarning
from tests.effects.test_combine import fit
from tests.helpers.small_studies import small_study

RTOL = 1e-10


@pytest.fixture(scope="module")
def study():
    return small_study(3, n=1500, n_segments=5, n_groups=60)


@pytest.fixture(scope="module")
def day(study):
    return np.random.default_rng(5).integers(0, 2, len(study.y))


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(
    "model", [SegmentMatching(adjustment="bias"), SegmentRegression(adjustment="linear")]
)
def test_changes_are_contrasts_of_one_fit_with_both_periods(study, day, model, groups):
    clusters = study.groups if groups else None
    before, after = (fit(model, study, day == d, groups=clusters) for d in (0, 1))
    given = {}
    if groups:
        given = {"groups": study.groups[day == 1], "groups_before": study.groups[day == 0]}
    found = after.effect_table_.change_from(before, **given)
    assert isinstance(found, EffectChange)
    whole = fit(model, study, day > -1, segment=study.segment * 10 + day, groups=clusters)
    expected = whole.contrasts([{10 * s: -1, 10 * s + 1: 1} for s in range(5)])
    columns = ["std_error", "ci_low", "ci_high", "z", "p_value", "p_adjusted", "df"]
    np.testing.assert_allclose(found.table[columns], expected.table[columns], rtol=RTOL)
    np.testing.assert_allclose(found.table["change"], expected.table["estimate"], rtol=RTOL)
    np.testing.assert_allclose(
        [found.joint.statistic, found.joint.p_value],
        [expected.joint.statistic, expected.joint.p_value],
        rtol=1e-9,
    )
    np.testing.assert_array_equal(found.table["before"], before.effects_["effect"])
    np.testing.assert_array_equal(found.table["after"], after.effects_["effect"])
    n = before.effects_["n_matched"] + after.effects_["n_matched"]
    mix = whole.contrasts(
        [{10 * s + d: (2 * d - 1) * n[s] / n.sum() for s in n.index for d in (0, 1)}]
    )
    columns = ["estimate", "std_error", "p_value", "df"]
    np.testing.assert_allclose(found.mix.table[columns], mix.table[columns], rtol=RTOL)


def test_the_change_of_the_overall_effect(study, day):
    before, after = (fit(SegmentMatching(adjustment="bias"), study, day == d) for d in (0, 1))
    row = after.effect_table_.change_from(before).overall
    a, b = before.overall_, after.overall_
    assert row["change"] == pytest.approx(b["effect"] - a["effect"], rel=RTOL)
    assert row["std_error"] == pytest.approx(np.hypot(a["std_error"], b["std_error"]), rel=RTOL)


def test_the_overall_change_counts_groups_of_both_periods(study, day):
    """Every row twice, a constant added the second time: nothing changed, and that is certain."""
    again = dataclasses.replace(study, y=study.y + 1.0)
    before, after = (
        fit(SegmentRegression(adjustment="linear"), one, day > -1, groups=study.groups)
        for one in (study, again)
    )
    groups = {"groups": study.groups, "groups_before": study.groups}
    tied = after.effect_table_.change_from(before, **groups)
    assert tied.overall["std_error"] < 1e-6
    assert (tied.table["std_error"].fillna(0) < 1e-6).all()
    with pytest.warns(SegcateWarning, match="parts were fitted with groups, and `groups` is"):
        loose = after.effect_table_.change_from(before)
    expected = np.sqrt(2) * before.overall_["std_error"]
    assert loose.overall["std_error"] == pytest.approx(expected, rel=1e-9)


def test_covariances_of_both_periods_count(study, day):
    auto = SegmentMatching(adjustment="auto")
    before, after = (fit(auto, study, day == d).effect_table_ for d in (0, 1))
    found = after.change_from(before)
    covariance = before.covariance + after.covariance
    np.testing.assert_allclose(found.table["std_error"], np.sqrt(np.diag(covariance)), rtol=RTOL)
    change = after.effect - before.effect
    wald = change @ np.linalg.solve(covariance, change)
    assert found.joint.statistic == pytest.approx(wald, rel=1e-8)


def test_segments_of_one_period_only_have_no_change(study, day):
    before = fit(SegmentMatching(adjustment="bias"), study, (day == 0) & (study.segment != 1))
    after = fit(SegmentMatching(adjustment="bias"), study, (day == 1) & (study.segment != 3))
    with pytest.warns(UserWarning, match="3 only before, 1 only after. `overall` compares"):
        found = after.effect_table_.change_from(before)
    assert (found.only_before, found.only_after) == ([3], [1])
    assert found.describe().startswith(
        "3 of 5 segments have an effect in both fits; test that none of"
    )
    assert found.describe() in repr(found)
    assert found.table.index.tolist() == [0, 1, 2, 3, 4]
    assert found.table["change"].isna().tolist() == [False, True, False, True, False]
    assert np.isnan(found.table.loc[1, "before"])
    assert found.table.loc[1, "after"] == after.effects_.loc[1, "effect"]
    assert found.joint.df == 3
    assert np.isfinite(found.mix.table["std_error"]).all()
    known = found.table["df"].dropna()
    assert known.index.tolist() == [0, 2, 4]
    both = (before.effects_["df"] + after.effects_["df"])[[0, 2, 4]]
    assert (known <= both).all()  # Welch's never exceed the sum


def test_what_cannot_be_compared_is_refused(study, day):
    before = fit(SegmentMatching(adjustment="bias"), study, (day == 0) & (study.segment < 2))
    after = fit(
        SegmentMatching(adjustment="bias"), study, (day == 1) & (study.segment > 2)
    ).effect_table_
    with pytest.raises(ValueError, match="no segment has an estimate in both: before has 0, 1"):
        after.change_from(before)
    with pytest.raises(ValueError, match="`groups_before` is missing"):
        after.change_from(before, groups=study.groups)
    other = dataclasses.replace(after, estimand="ate")
    with pytest.raises(ValueError, match="'before' has att, 'after' has ate"):
        other.change_from(before)


def draw(rng, model, effect, size, groups=None):
    n = size if groups is None else len(groups)
    segment, x = rng.integers(0, 4, n), rng.normal(size=n)
    t = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x))).astype(int)
    y = x + effect * t + rng.normal(size=n)
    if groups is not None:
        y = y + effects_of(groups, t)
    X = pd.DataFrame({"x": x, "segment": segment})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, treatment=t, groups=groups)


def effects_of(groups, t):
    """The same store has the same effect of its own in both months."""
    own = np.random.default_rng(int(groups[0])).normal(size=2000)
    return own[groups % 1000] * 0.5 * t


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_tests_of_no_change_keep_their_size(clustered):
    """1,000 draws, no change: binomial error 0.7 points."""
    rng, single, joint, overall, mix = np.random.default_rng(11), [], [], [], []
    for k in range(1000):
        groups = np.r_[1000 * k, np.arange(599) % 60 + 1000 * k] if clustered else None
        model = SegmentRegression if clustered else SegmentMatching
        before, after = (draw(rng, model(), 0.5, 600, groups) for _ in range(2))
        given = {"groups": groups, "groups_before": groups}
        found = after.effect_table_.change_from(before, **given)
        single += (found.table["p_value"] < 0.05).tolist()
        joint.append(found.joint.p_value < 0.05)
        overall.append(found.overall["p_value"] < 0.05)
        mix.append(found.mix.table["p_value"].iloc[0] < 0.05)
    print(np.mean(single), np.mean(joint), np.mean(overall), np.mean(mix))
    assert 0.035 <= np.mean(single) <= 0.06
    assert 0.03 <= np.mean(joint) <= 0.07
    assert 0.03 <= np.mean(overall) <= 0.07
    assert 0.03 <= np.mean(mix) <= 0.07


@pytest.mark.slow
def test_a_change_is_found():
    rng, found = np.random.default_rng(12), []
    for _ in range(100):
        before, after = (draw(rng, SegmentMatching(adjustment="bias"), e, 600) for e in (0.0, 0.8))
        found.append(after.effect_table_.change_from(before).joint.p_value < 0.05)
    assert np.mean(found) > 0.9
