"""Names of segments: short, unique, and true for the rows that they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import SegmentRegression
from segcate.findings import collect_findings
from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter, RuleSegmenter
from tests.findings.small import collect, users

N = 2000


def table(seed=0):
    rng = np.random.RandomState(seed)
    return pd.DataFrame(
        {
            "fixed_mindset": rng.normal(size=N),
            "city": rng.randint(2, size=N),
            "plan": rng.choice(["free", "gold", "프로"], N),
            "age": rng.randint(18, 80, N).astype(float),
        }
    )


def named(X, segment, **more):
    """Return the findings of a regression in given segments of rows that nothing happened to."""
    rng = np.random.RandomState(1001)
    y, t = rng.normal(size=len(X)), rng.randint(2, size=len(X))
    if isinstance(X, pd.DataFrame):
        X, column = X.assign(segment=segment), "segment"
    else:
        X, column = np.column_stack([X, segment]), -1
    model = SegmentRegression(segment=column, on_empty="nan").fit(X, y, treatment=t)
    return collect_findings(model, X, y, treatment=t, **more)


def test_words_say_what_sets_a_segment_apart():
    X = table()
    segment = np.where((X["city"] == 1) & (X["fixed_mindset"] < -0.3), 6, 2)
    found = named(X, segment).names[6]
    assert set(found.split(", ")) == {"city", "low fixed mindset"}
    segment = np.where(X["plan"] == "프로", 1, np.where(X["age"] > 60, 2, 3))
    names = named(X, segment).names
    assert names[1] == "plan 프로"
    assert set(names[2].split(", ")) == {"high age", "plan not 프로"}


@pytest.mark.parametrize("seed", range(4))
def test_a_name_holds_for_the_rows_that_it_says(seed):
    X = table(seed)
    score = X["fixed_mindset"] + 2 * X["city"] + np.random.RandomState(seed).normal(size=N)
    segment = pd.qcut(score, 4, labels=False).to_numpy()
    for entry in named(X, segment).segments:
        if not entry.name_rule:
            continue
        holds = np.ones(N, dtype=bool)
        for condition in entry.name_rule.split(" and "):
            holds &= meets(X.rename(columns={"fixed_mindset": "fixed mindset"}), condition)
        inside = segment == entry.label
        assert entry.name_share == pytest.approx(holds[inside].mean())
        assert entry.name_share_elsewhere == pytest.approx(holds[~inside].mean())
        assert entry.name_share >= 0.6
        assert entry.name_share_elsewhere <= 0.5


def meets(X, condition):
    """Read a condition as somebody would who has only the text."""
    for word, holds in (
        (" up to ", lambda v, x: v <= float(x)),
        (" above ", lambda v, x: v > float(x)),
        (" not ", lambda v, x: v.astype(str) != x),
        (" = ", lambda v, x: v.astype(str) == x),
    ):
        if word in condition:
            name, value = condition.split(word)
            return holds(X[name], value).to_numpy()
    name, _, low, _, high = condition.rsplit(" ", 4)
    return ((X[name] > float(low)) & (X[name] <= float(high))).to_numpy()


def test_a_segment_by_chance_keeps_its_label():
    X = table()
    segment = np.random.RandomState(5).randint(3, size=N)
    found = named(X, segment)
    assert [s.name for s in found.segments] == ["0", "1", "2"]
    assert all(s.name_rule == "" and np.isnan(s.name_share) for s in found.segments)


def test_names_are_unique_also_of_many_segments():
    X = table()
    segment = pd.qcut(X["age"], 25, labels=False, duplicates="drop").to_numpy()
    names = list(named(X, segment).names.values())
    assert len(set(names)) == len(names) > 15


def test_labels_that_are_words_and_names_of_rules_stay():
    X = table()
    assert named(X, np.where(X["city"] == 1, "도시", "시골")).names == {
        "도시": "도시",
        "시골": "시골",
    }
    assert "low age" in named(X, np.where(X["age"] < 40, "s1", "s2")).names["s1"]
    rules = RuleSegmenter({"r1": "x0 < 0"}, default="r2")
    pipe = make_pipeline(rules, SegmentRegression())
    with segcate.routing():
        pipe.fit(users().X, users().y, treatment=users().treatment)
    assert collect(pipe, users().X).names == {"r1": "r1", "r2": "r2"}


def test_arrays_have_columns_x0_x1():
    X = np.random.RandomState(0).normal(size=(N, 2))
    names = named(X, (X[:, 1] > 0.5).astype(float)).names
    assert names == {0: "x1 up to 0.5", 1: "high x1"}


def test_noise_is_in_no_cluster():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        np.vstack(
            [
                rng.normal(0, 0.3, (300, 2)),
                rng.normal(4, 0.3, (300, 2)),
                rng.uniform(-2, 6, (60, 2)),
            ]
        ),
        columns=["a", "b"],
    )
    t = rng.randint(2, size=660)
    y = rng.normal(size=660)
    pipe = make_pipeline(HDBSCANSegmenter(50), SegmentRegression(on_empty="nan"))
    with segcate.routing():
        pipe.fit(X, y, treatment=t)
    findings = collect_findings(pipe, X, y, treatment=t)
    assert findings.names[-1] == "in no cluster"
    assert not [doubt for doubt in findings.doubts if doubt.kind == "noise"]


@pytest.mark.parametrize(("share", "is_doubted"), [(0.6, True), (0.4, False)])
def test_mostly_noise_is_doubted(share, is_doubted):
    rng = np.random.RandomState(0)
    n_noise = int(1000 * share)
    segment = np.where(np.arange(1000) < n_noise, -1, rng.randint(2, size=1000))
    X = pd.DataFrame({"a": rng.normal(size=1000), "segment": segment})
    t, y = rng.randint(2, size=1000), rng.normal(size=1000)
    model = SegmentRegression().fit(X, y, treatment=t)
    doubts = collect_findings(model, X, y, treatment=t).doubts
    found = [doubt for doubt in doubts if doubt.kind == "noise"]
    assert bool(found) == is_doubted
    if is_doubted:
        assert found[0].segment == -1
        assert "600 of 1,000 rows (60 %) lie in no cluster" in found[0].text
        assert "take k-means" in found[0].text


def test_names_of_the_user_stand_before_those_found():
    findings = collect(names={0: "new customers"})
    assert findings.names[0] == "new customers"
    assert findings.segments[0].name_rule == ""
    for names, kind, words in (
        ({9: "a"}, ValueError, r"`names` has 9, and the segments are"),
        ({0: "a", 1: "a"}, ValueError, "to more than one segment"),
        ({0: 1}, TypeError, "mapping of segment label to text"),
        (["a", "b", "c"], TypeError, "mapping of segment label to text"),
    ):
        with pytest.raises(kind, match=words):
            collect(names=names)


def test_names_do_not_depend_on_the_order_of_the_rows():
    order = np.random.RandomState(3).permutation(1200)
    X = users().X
    pipe = make_pipeline(KMeansSegmenter(3, random_state=0), SegmentRegression())
    with segcate.routing():
        pipe.fit(X, users().y, treatment=users().treatment)
    first = collect_findings(pipe, X, users().y, treatment=users().treatment)
    turned = collect_findings(
        pipe, X.iloc[order], users().y[order], treatment=users().treatment[order]
    )
    assert first.names == turned.names
