"""Tables of several fits put together: exactly one fit, or the average that it would be."""

from __future__ import annotations

import dataclasses
import io
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import EffectTable, SegmentMatching, SegmentRegression
from segcate.exceptions import SegcateWarning
from segcate.segmentation import GroupSegmenter, KMeansSegmenter, RuleSegmenter
from tests.helpers.small_studies import small_study

# The same sums in another order.
RTOL = 1e-12

MODELS = {
    "matching": SegmentMatching(adjustment="bias"),
    "matching ate, sample": SegmentMatching(estimand="ate", inference="sample", adjustment="bias"),
    "regression": SegmentRegression(adjustment="linear"),
}


def rows_of(study, kept, segment=None):
    X = pd.DataFrame(study.Z, columns=["a", "b", "c"])
    X["segment"] = study.segment if segment is None else segment
    return X[kept], pd.Series(study.y, name="spend")[kept], study.treatment[kept]


def fit(model, study, kept, segment=None, groups=None, **given):
    X, y, t = rows_of(study, kept, segment)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*standard errors clustered by")
        return pickle.loads(pickle.dumps(model)).fit(
            X, y, treatment=t, groups=None if groups is None else groups[kept], **given
        )


def same_frame(found, expected, columns=slice(None)):
    pd.testing.assert_frame_equal(
        found.loc[:, columns], expected.loc[:, columns], rtol=RTOL, atol=1e-14
    )


def same_tables(found, expected):
    """Compare all that a user can read from two tables."""
    same_frame(found.frame(), expected.frame())
    pd.testing.assert_series_equal(found.overall_row(), expected.overall_row(), rtol=RTOL)
    a, b = found.heterogeneity(), expected.heterogeneity()
    np.testing.assert_allclose(
        [a.q, a.p_value, a.tau2, a.mean, a.i2], [b.q, b.p_value, b.tau2, b.mean, b.i2], rtol=1e-10
    )
    a, b = found.contrasts(), expected.contrasts()
    pd.testing.assert_frame_equal(a.table, b.table, rtol=1e-10)
    np.testing.assert_allclose(a.joint.statistic, b.joint.statistic, rtol=1e-10)
    np.testing.assert_allclose(a.joint.p_value, b.joint.p_value, rtol=1e-9)


@pytest.fixture(scope="module")
def study():
    return small_study(3, n=1500, n_segments=5, n_groups=60)


@pytest.fixture(scope="module")
def day(study):
    return np.random.default_rng(5).integers(0, 2, len(study.y))


@pytest.fixture(scope="module")
def days(study, day):
    return {f"day {d}": fit(SegmentMatching(adjustment="bias"), study, day == d) for d in (0, 1)}


# Matching has no clustered standard error for sample inference.
CASES = [(name, False) for name in MODELS]
CASES += [(name, True) for name in ("matching", "regression")]


@pytest.mark.parametrize(("name", "groups"), CASES)
def test_parts_of_disjoint_segments_are_one_fit(study, name, groups):
    clusters = study.groups if groups else None
    first = np.isin(study.segment, [0, 3])
    whole = fit(MODELS[name], study, first | True, groups=clusters)
    parts = [fit(MODELS[name], study, kept, groups=clusters) for kept in (~first, first)]
    shared = [study.groups[~first], study.groups[first]] if groups else None
    same_tables(EffectTable.combine(parts, groups=shared), whole.effect_table_)


@pytest.mark.parametrize(("name", "groups"), CASES)
def test_a_segment_of_two_parts_is_what_a_fit_with_the_parts_as_segments_finds(
    study, day, name, groups
):
    clusters = study.groups if groups else None
    parts = [fit(MODELS[name], study, day == d, groups=clusters) for d in (0, 1)]
    shared = [study.groups[day == d] for d in (0, 1)] if groups else None
    found = EffectTable.combine(parts, groups=shared)
    for segment in range(5):
        alone = fit(MODELS[name], study, study.segment == segment, segment=day, groups=clusters)
        columns = ["n_matched", "effect", "std_error", "ci_low", "p_value", "df"]
        row = found.frame().loc[segment, columns].to_numpy(float)
        np.testing.assert_allclose(row, alone.overall_[columns].to_numpy(float), rtol=RTOL)
    both = study.segment * 10 + day
    crossed = fit(MODELS[name], study, day > -1, segment=both, groups=clusters).overall_
    columns = ["n", "n_matched", "effect", "std_error"]
    row = found.overall_row()[columns].to_numpy(float)
    np.testing.assert_allclose(row, crossed[columns].to_numpy(float), rtol=RTOL)


def test_plain_formulas_give_the_same(days):
    found = EffectTable.combine(days).frame()
    tables = [model.effects_ for model in days.values()]
    for segment in found.index:
        rows = [table.loc[segment] for table in tables]
        total = sum(row["n_matched"] for row in rows)
        effect = sum(row["n_matched"] * row["effect"] for row in rows) / total
        within = sum((row["n_matched"] / total * row["std_error"]) ** 2 for row in rows)
        spread = sum(row["n_matched"] * (row["effect"] - effect) ** 2 for row in rows) / total**2
        donors = 1 / sum((row["n_matched"] / total) ** 2 / row["n_eff_controls"] for row in rows)
        got = found.loc[segment, ["n_matched", "effect", "std_error", "n_eff_controls"]]
        expected = [total, effect, (within + spread) ** 0.5, donors]
        np.testing.assert_allclose(got.to_numpy(float), expected, rtol=RTOL)
        assert got["n_matched"] == total


def test_combining_in_steps_or_in_another_order_changes_nothing(study):
    third = np.arange(len(study.y)) % 3
    a, b, c = (fit(SegmentMatching(adjustment="bias"), study, third == i) for i in range(3))
    at_once = EffectTable.combine([a, b, c])
    in_steps = EffectTable.combine([EffectTable.combine([c, a]), b])
    columns = ["n", "n_matched", "effect", "std_error", "shrunken_effect"]
    same_frame(in_steps.frame(), at_once.frame(), columns)
    columns = ["effect", "std_error"]
    first, second = (table.overall_row()[columns] for table in (at_once, in_steps))
    pd.testing.assert_series_equal(first, second, rtol=RTOL)


def test_one_part_is_itself(days):
    model = days["day 0"]
    same_tables(EffectTable.combine([model]), model.effect_table_)


def test_covariances_between_segments_are_kept(study, day):
    auto = SegmentMatching(adjustment="auto")
    parts = [fit(auto, study, day == d).effect_table_ for d in (0, 1)]
    assert all(part.between is not None for part in parts)
    same_tables(EffectTable.combine([parts[0]]), parts[0])
    found = EffectTable.combine(parts)
    weight = np.array([part.n_matched / found.n_matched for part in parts])
    expected = sum(np.outer(w, w) * part.between for w, part in zip(weight, parts, strict=True))
    np.testing.assert_allclose(found.between, expected, rtol=RTOL)
    plain = EffectTable.combine([dataclasses.replace(part, between=None) for part in parts])
    share = found.n_matched / found.n_matched.sum()
    extra = found.overall.variance - plain.overall.variance
    assert extra == pytest.approx(share @ expected @ share, rel=1e-9)


def test_one_part_with_covariances_beside_one_without(study, day):
    auto = fit(SegmentMatching(adjustment="auto"), study, day == 0).effect_table_
    plain = fit(SegmentMatching(adjustment="bias"), study, day == 1).effect_table_
    found = EffectTable.combine([auto, plain])
    weight = auto.n_matched / found.n_matched
    np.testing.assert_allclose(found.between, np.outer(weight, weight) * auto.between, rtol=RTOL)
    apart = dataclasses.replace(plain, labels=plain.labels + 10)
    both = EffectTable.combine([apart, auto])
    np.testing.assert_array_equal(both.between[:5, :5], auto.between)
    assert not both.between[5:].any()


def test_imputations_are_combined_one_by_one(study, day):
    X, y, t = rows_of(study, day > -1)
    X.loc[np.random.default_rng(0).random(len(X)) < 0.1, "a"] = np.nan
    model = SegmentRegression(missing="impute", random_state=0, adjustment="linear")
    tables = [
        pickle.loads(pickle.dumps(model))
        .fit(X[day == d], y[day == d], treatment=t[day == d])
        .effect_table_
        for d in (0, 1)
    ]
    found = EffectTable.combine(tables)
    each = [EffectTable.combine([t.imputations[i] for t in tables]) for i in range(5)]
    np.testing.assert_allclose(found.effect, np.mean([t.effect for t in each], axis=0), rtol=RTOL)
    within = np.mean([t.variance for t in each], axis=0)
    between = np.var([t.effect for t in each], axis=0, ddof=1)
    np.testing.assert_allclose(found.variance, within + 1.2 * between, rtol=RTOL)
    complete = fit(SegmentRegression(adjustment="linear"), study, day == 1)
    assert len(EffectTable.combine([tables[0], complete]).imputations) == 5


class TestStatus:
    def test_what_parts_say_is_named_by_part(self, study, day):
        few = study.segment == 4
        thin = few & (np.cumsum(few & (study.treatment == 1) & (day == 0)) > 3) & (day == 0)
        kept = ~(thin & (study.treatment == 1)) & ~((day == 1) & (study.segment == 2))
        model = SegmentMatching(on_empty="nan", adjustment="bias")
        parts = {f"day {d}": fit(model, study, kept & (day == d)) for d in (0, 1)}
        reason = parts["day 0"].effects_.loc[4, "status"]
        assert not reason.startswith("ok")
        found = EffectTable.combine(parts)
        frame, later = found.frame(), parts["day 1"].effects_
        assert frame.loc[4, "status"] == f"ok: no estimate: {reason} (day 0)"
        assert frame.loc[4, "effect"] == pytest.approx(later.loc[4, "effect"], rel=RTOL)
        assert frame.loc[4, "std_error"] == pytest.approx(later.loc[4, "std_error"], rel=RTOL)
        assert frame.loc[4, "n"] == sum(part.effects_.loc[4, "n"] for part in parts.values())
        assert frame.loc[4, "n_matched"] == later.loc[4, "n_matched"]
        assert frame.loc[2, "status"] == "ok: not in day 1"
        assert frame.loc[0, "status"] == "ok"

    def test_a_segment_that_nobody_could_estimate(self, study, day):
        kept = ~((study.segment == 1) & (study.treatment == 1) & (np.arange(len(day)) > 9))
        model = SegmentMatching(on_empty="nan", adjustment="bias")
        parts = [fit(model, study, kept & (day == d)) for d in (0, 1)]
        frame = EffectTable.combine(parts).frame()
        assert not frame.loc[1, "status"].startswith("ok")
        assert np.isnan(frame.loc[1, "effect"])
        assert frame.loc[1, "n"] == sum(part.effects_.loc[1, "n"] for part in parts)

    def test_remarks_that_all_share_are_said_once(self, days):
        tables = [
            dataclasses.replace(model.effect_table_, status=("ok: weak", *("ok",) * 4))
            for model in days.values()
        ]
        assert EffectTable.combine(tables).status[0] == "ok: weak"
        tables[0] = dataclasses.replace(tables[0], status=("ok: weak; late", *("ok",) * 4))
        named = EffectTable.combine(dict(zip(days, tables, strict=True)))
        assert named.status[0] == "ok: weak; late (day 0)"

    def test_disjoint_parts_are_not_missed_in_each_other(self, study):
        first = study.segment < 2
        parts = [fit(SegmentMatching(adjustment="bias"), study, kept) for kept in (first, ~first)]
        assert EffectTable.combine(parts).status == ("ok",) * 5


class TestGroups:
    def test_groups_are_of_one_part_unless_given(self, study, day):
        parts = [
            fit(SegmentRegression(adjustment="linear"), study, day == d, groups=study.groups)
            for d in (0, 1)
        ]
        with pytest.warns(SegcateWarning, match="parts were fitted with groups, and `groups` is"):
            apart = EffectTable.combine(parts)
        assert apart.n_groups == sum(part.effect_table_.n_groups for part in parts)
        shared = EffectTable.combine(parts, groups=[study.groups[day == d] for d in (0, 1)])
        assert shared.n_groups == 60
        renamed = EffectTable.combine(
            parts, groups=[study.groups[day == 0], study.groups[day == 1] + 1000.0]
        )
        np.testing.assert_allclose(renamed.variance, apart.variance, rtol=RTOL)
        assert not np.allclose(shared.variance, apart.variance, rtol=1e-3)

    def test_whole_numbers_name_the_same_groups_as_floats(self, study, day):
        parts = [
            fit(SegmentRegression(adjustment="linear"), study, day == d, groups=study.groups)
            for d in (0, 1)
        ]
        one = EffectTable.combine(parts, groups=[study.groups[day == d] for d in (0, 1)])
        other = EffectTable.combine(
            parts, groups=[study.groups[day == 0], study.groups[day == 1].astype(float)]
        )
        np.testing.assert_array_equal(one.variance, other.variance)

    def test_groups_that_do_not_fit_are_refused(self, study, day, days):
        parts = [
            fit(SegmentRegression(adjustment="linear"), study, day == d, groups=study.groups)
            for d in (0, 1)
        ]
        with pytest.raises(ValueError, match="one array a part; got 1 for 2 parts"):
            EffectTable.combine(parts, groups=[study.groups])
        with pytest.raises(ValueError, match=r"'part 2' holds 5 groups.*estimated with 60 groups"):
            EffectTable.combine(parts, groups=[study.groups[day == 0], study.segment])
        with pytest.raises(ValueError, match=r"'day 0' holds 60 groups, .* with none"):
            EffectTable.combine(days, groups=[study.groups, study.groups])


class TestRefused:
    def test_what_is_no_part(self, days):
        with pytest.raises(TypeError, match="'part 2' is not fitted"):
            EffectTable.combine([days["day 0"], SegmentMatching(adjustment="bias")])
        with pytest.raises(TypeError, match=r"'part 1' is neither a table nor .*\(DataFrame\)"):
            EffectTable.combine([days["day 0"].effects_])
        with pytest.raises(TypeError, match="must be a list of tables"):
            EffectTable.combine(days["day 0"])
        with pytest.raises(ValueError, match="`parts` is empty"):
            EffectTable.combine([])
        bare = dataclasses.replace(days["day 0"].effect_table_, weights=None)
        with pytest.raises(ValueError, match="has no `weights`"):
            EffectTable.combine([bare])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"estimand": "ate"}, "different estimands .* 'day 0' has att, 'day 1' has ate"),
            ({"inference": "sample"}, "different `inference`"),
            ({"confidence_level": 0.9}, "different confidence levels .* has 0.95, 'day 1' has 0.9"),
            ({"outcome": "visits"}, "different outcomes .* has spend, 'day 1' has visits.*rename"),
            (
                {"labels": np.array(list("abcde"), dtype=object)},
                "different kinds of segment labels .* has int, 'day 1' has str",
            ),
        ],
    )
    def test_parts_that_differ(self, days, change, message):
        later = dataclasses.replace(days["day 1"].effect_table_, **change)
        with pytest.raises(ValueError, match=message):
            EffectTable.combine({"day 0": days["day 0"], "day 1": later})

    def test_an_outcome_without_a_name_goes_with_any(self, days):
        later = dataclasses.replace(days["day 1"].effect_table_, outcome="")
        assert EffectTable.combine([later, days["day 0"]]).outcome == "spend"

    def test_the_same_rows_twice(self, days):
        with pytest.raises(ValueError, match="'part 1' and 'part 2' hold the same figures"):
            EffectTable.combine([days["day 0"], days["day 0"].effect_table_])

    def test_rows_beside_groups(self, study, day, days):
        clustered = fit(SegmentMatching(adjustment="bias"), study, day == 1, groups=study.groups)
        with pytest.raises(ValueError, match="'day 0' has rows, 'x' has groups"):
            EffectTable.combine({"day 0": days["day 0"], "x": clustered})


class TestSegmenters:
    def pipelines(self, study, day, segmenters):
        X, y, t = rows_of(study, day > -1)
        X = X.drop(columns="segment").assign(plan=np.where(study.Z[:, 0] > 0, "gold", "free"))
        found = []
        for d, segmenter in enumerate(segmenters):
            pipe = make_pipeline(clone(segmenter), SegmentRegression(adjustment="linear"))
            with segcate.routing():
                found.append(pipe.fit(X[day == d], y[day == d], treatment=t[day == d]))
        return found

    def test_two_fits_of_a_clusterer_do_not_name_the_same_users(self, study, day):
        pipes = self.pipelines(
            study, day, [KMeansSegmenter(3, columns=["a", "b"], random_state=0, n_init=1)] * 2
        )
        with pytest.raises(
            ValueError, match=r"different segmenters .*FrozenEstimator\(segmenter\)"
        ):
            EffectTable.combine(pipes)

    def test_one_fitted_clusterer_rules_and_columns_do(self, study, day):
        X, _, _ = rows_of(study, day > -1)
        X = X.drop(columns="segment").assign(plan="gold")
        fixed = FrozenEstimator(
            KMeansSegmenter(3, columns=["a", "b"], random_state=0, n_init=1).fit(X)
        )
        for segmenter in (fixed, RuleSegmenter({"high": "a > 0"}), GroupSegmenter("plan")):
            pipes = self.pipelines(study, day, [segmenter, segmenter])
            assert EffectTable.combine(pipes).n.sum() == len(study.y)

    def test_other_rules_are_refused(self, study, day):
        rules = [RuleSegmenter({"high": "a > 0"}), RuleSegmenter({"high": "a > 1"})]
        with pytest.raises(ValueError, match="different segmenters"):
            EffectTable.combine(self.pipelines(study, day, rules))


def test_tables_survive_skops_and_pickle(days):
    whole = EffectTable.combine(days)
    tables = [model.effect_table_ for model in days.values()]
    stored = [skops.io.dumps(table) for table in tables]
    read = [
        skops.io.load(io.BytesIO(one), trusted=segcate.SKOPS_TRUSTED_TYPES) for one in stored
    ]  # fmt: skip
    same_tables(EffectTable.combine(dict(zip(days, read, strict=True))), whole)
    again = pickle.loads(pickle.dumps(tables))
    same_tables(EffectTable.combine(dict(zip(days, again, strict=True))), whole)


@pytest.mark.slow
def test_intervals_of_a_pooled_segment_cover():
    """1,000 draws of three days: binomial error 0.7 points; the days' effects are 0.2, 0.5 and 0.8."""
    rng, covered, overall = np.random.default_rng(20_261_126), [], []
    for _ in range(1000):
        tables, truth = [], []
        for effect, size in zip((0.2, 0.5, 0.8), rng.multinomial(900, [1 / 3] * 3), strict=True):
            segment, x = rng.integers(0, 3, size), rng.normal(size=size)
            t = (rng.random(size) < 1 / (1 + np.exp(-0.5 * x))).astype(int)
            y = x + effect * t + rng.normal(size=size)
            X = pd.DataFrame({"x": x, "segment": segment})
            tables.append(SegmentMatching(adjustment="bias").fit(X, y, treatment=t))
            truth.append((effect, int(t.sum())))
        found, target = EffectTable.combine(tables), 0.5
        frame, row = found.frame(), found.overall_row()
        covered += ((frame["ci_low"] <= target) & (target <= frame["ci_high"])).tolist()
        overall.append(row["ci_low"] <= target <= row["ci_high"])
    assert 0.935 <= np.mean(covered) <= 0.97
    assert 0.93 <= np.mean(overall) <= 0.97
