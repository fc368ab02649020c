"""Wrong uses are called out, and right ones are not."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import segcate
from segcate.effects import SegmentMatching
from segcate.findings import collect_findings
from segcate.matching import PropensityMatcher
from segcate.model_selection import honest_effects
from tests.findings.small import collect, fitted, labelled, matching, users
from tests.findings.test_collect import grid


def kinds(findings):
    return {doubt.kind for doubt in findings.doubts}


def texts(findings, kind):
    return [doubt.text for doubt in findings.doubts if doubt.kind == kind]


def collected(X, y, t, estimator=None, design="observational", **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = (estimator or SegmentMatching()).fit(X, y, treatment=t, **given)
        return collect_findings(model, X, y, treatment=t, design=design, **given)


def experiment(n=4000, seed=0):
    rng = np.random.RandomState(seed)
    X = pd.DataFrame({"age": rng.normal(40, 10, n), "segment": rng.randint(3, size=n)})
    t = rng.randint(2, size=n)
    return X, 0.03 * X["age"].to_numpy() + 3 * t + rng.normal(size=n), t


def test_a_large_clean_experiment_raises_no_doubt():
    X, y, t = experiment()
    assert not collected(X, y, t).doubts


def test_a_covariate_measured_after_the_treatment_is_named():
    X, y, t = experiment()
    late = X.assign(visits_after=y + np.random.RandomState(1).normal(0, 0.1, len(y)))
    (text,) = texts(collected(late, y, t), "late covariate")
    assert "'visits_after' may have been measured after the treatment" in text


def test_no_doubt_is_raised_of_covariates_that_the_user_vouches_for():
    X, y, t = experiment()
    noise = np.random.RandomState(1).normal(0, 0.1, len(y))
    X = X.assign(metric=y - 3 * t + noise, after=noise)
    model = SegmentMatching()
    with pytest.warns(UserWarning, match="measured after the treatment"):
        model.fit(X, y, treatment=t)

    def doubts(**given):
        return kinds(collect_findings(model, X, y, treatment=t, **given))

    assert doubts() >= {"late covariate", "covariate to check"}
    assert not doubts(measured_before=["metric", "after"]) & {
        "late covariate",
        "covariate to check",
    }
    with pytest.raises(ValueError, match="`measured_before` names 'befor', and the covariates are"):
        doubts(measured_before=["befor"])
    with pytest.raises(TypeError, match=r"got the text 'after'. Pass \['after'\]"):
        doubts(measured_before="after")


def test_a_name_that_sounds_late_is_to_be_checked():
    X, y, t = experiment()
    noise = np.random.RandomState(1).normal(size=len(y))
    (text,) = texts(collected(X.assign(visits_after=noise), y, t), "covariate to check")
    assert "'visits_after' has the name of something measured after the treatment" in text


def test_segments_chosen_on_the_same_outcome_are_called_out():
    with segcate.routing():
        search = grid().fit(users().X, users().y, treatment=users().treatment)
    (text,) = texts(collect(search, users().X), "segments saw the outcome")
    assert "tried 2 settings" in text
    assert "honest_effects" in text
    with segcate.routing():
        other = grid(segmentmatching__adjustment=[None, "bias"])
        other.fit(users().X, users().y, treatment=users().treatment)
    assert kinds(collect(other, users().X)) >= {"settings saw the outcome"}
    honest = honest_effects(
        grid(), users().X, users().y, treatment=users().treatment, random_state=0
    )
    assert not {k for k in kinds(collect(honest, users().X)) if "saw the outcome" in k}


def test_three_schools_in_a_segment_are_called_out():
    X, y, t = experiment()
    schools = np.where(X["segment"] == 2, np.arange(4000) % 3, 3 + np.arange(4000) % 60)
    found = [d for d in collected(X, y, t, groups=schools).doubts if d.kind == "few groups"]
    assert [doubt.segment for doubt in found] == [2]
    assert (
        "Segment 2 has rows of 3 groups only (3 with treated rows, 3 with control rows)"
        in found[0].text
    )
    few = collected(X, y, t, groups=np.arange(4000) % 20)
    assert any("rest on 20 groups" in text for text in texts(few, "few groups"))


def test_poor_overlap_is_called_out():
    X, y, t = experiment()
    shifted = X.assign(age=X["age"] + np.where((X["segment"] == 1) & (t == 1), 40, 0))
    found = [d for d in collected(shifted, y, t).doubts if d.kind == "overlap"]
    assert {doubt.segment for doubt in found} == {1}
    assert "no row of the other arm reaches" in found[0].text


def test_unmatched_rows_are_called_out():
    findings = collect(fitted(SegmentMatching(PropensityMatcher(caliper=0.02))))
    for entry in findings.overlap:
        said = [
            d for d in findings.doubts if d.kind == "unmatched rows" and d.segment == entry.segment
        ]
        assert bool(said) == (entry.n_unmatched / entry.n_focal > 0.05)
    said = texts(findings, "unmatched rows")
    assert said
    assert all("Widen the caliper, or say whom it is about." in text for text in said)


@pytest.mark.parametrize("as_text", [True, False])
def test_the_remedy_for_unmatched_rows_names_the_column_in_question(as_text):
    X, y, t = experiment()
    alone = (t == 1) & (np.random.RandomState(3).uniform(size=len(t)) < 0.1)
    flag = np.where(alone, "blue", "red") if as_text else alone.astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = texts(collected(X.assign(colour=flag), y, t), "unmatched rows")
    remedy = (
        "Merge rare levels of 'colour', or say whom"
        if as_text
        else "One arm alone has a value of 'colour': leave the column out if it does not matter, or say"
    )
    assert len(said) == 3
    assert all(remedy in text for text in said)


def test_imbalance_is_called_out_with_its_figure():
    findings = collect()
    over = {entry.segment: entry for entry in findings.balance if abs(entry.smd_after) > 0.1}
    worst_first = sorted(over, key=lambda label: -abs(over[label].smd_after))
    *spelled_out, listed = [d for d in findings.doubts if d.kind == "imbalance"]
    assert [d.segment for d in spelled_out] == worst_first[:2]
    for doubt in spelled_out:
        smd = over[doubt.segment].smd_after
        assert f"{smd:.2f} standard deviations" in doubt.text
    assert len(over) == 3
    assert f"The same doubt (imbalance) in 1 more segment: {worst_first[2]}." in listed.text


def test_few_events_are_called_out():
    X, _, t = experiment()
    y = (np.arange(4000) % 997 == 3).astype(float)
    assert "Below 10 intervals are not to be trusted" in texts(collected(X, y, t), "few events")[0]


def test_thin_and_empty_segments_are_called_out():
    X, y, t = experiment(400)
    X.loc[:11, "segment"] = 7
    X.loc[12:14, "segment"] = 8
    t[:15] = np.arange(15) % 2
    findings = collected(X, y, t, SegmentMatching(on_empty="nan"))
    assert [d.segment for d in findings.doubts if d.kind == "thin segment"] == [7]
    assert [d.segment for d in findings.doubts if d.kind == "no estimate"] == [8]
    merged = collected(X, y, t, SegmentMatching(min_per_arm=5))
    assert "holds the rows of 8" in texts(merged, "merged segments")[0]


def test_remarks_of_the_estimator_are_passed_on():
    table = matching().effects_
    said = {d.segment for d in collect().doubts if d.kind == "remark of the estimator"}
    assert said == set(table.index[table["status"] != "ok"])


def test_a_weak_hidden_bias_is_named_where_an_effect_is_found():
    X, _, t = experiment()
    y = np.random.RandomState(5).normal(size=4000) + 0.12 * t
    findings = collected(X, y, t)
    for segment in findings.segments:
        said = [
            d for d in findings.doubts if d.kind == "hidden bias" and d.segment == segment.label
        ]
        assert bool(said) == (segment.p_value <= 0.05 and segment.e_value_limit < 1.25)
    assert texts(findings, "hidden bias")
    assert "nothing beside the covariates" in findings.verdict[-1].text


def test_a_lot_has_no_hidden_cause():
    X, _, t = experiment()
    y = np.random.RandomState(5).normal(size=4000) + 0.12 * t
    findings = collected(X, y, t, design="experiment")
    assert not texts(findings, "hidden bias")
    assert "drawn by lot" in findings.verdict[-1].text
    with pytest.raises(
        ValueError, match=r"`design` must be one of \['observational', 'experiment'\]"
    ):
        collected(X, y, t, design="lot")


def test_gaps_are_named():
    X, y, t = experiment()
    X["income"] = np.where(
        np.arange(4000) % 3 == 0, np.nan, np.random.RandomState(2).normal(size=4000)
    )
    findings = collected(X, y, t, SegmentMatching(missing="indicator"))
    said = texts(findings, "missing values")[0]
    assert "'income' is missing in 33 % of the rows" in said
    assert "not adjusted for it" in said
    imputed = collected(X, y, t, SegmentMatching(missing="impute"))
    assert "alike given the rest" in texts(imputed, "missing values")[0]


def test_labels_are_plain_text_in_doubts():
    findings = collect(names={k: f"a\nb{k}" for k in labelled()["segment"].unique()})
    assert findings.doubts
    assert not [doubt for doubt in findings.doubts if "\n" in doubt.text]
