"""The recipes of the developers' pages run, and what they add works where it is used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import segcate
from segcate.cate import InteractionRegression
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.effects._matched import standard_errors
from segcate.matching import PropensityMatcher

PAGE = Path(__file__).resolve().parents[1] / "docs" / "developers" / "recipes.md"
BLOCKS = {
    section.split(":")[0]: re.search(r"```python\n(.*?)```", section, re.S).group(1)
    for section in PAGE.read_text(encoding="utf-8").split("\n## A ")[1:]
}


def run(name: str) -> dict:
    scope: dict = {"__name__": "recipe"}
    exec(BLOCKS[name], scope)
    return scope


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(400, n_segments=2, effects=[1, 1], random_state=0)


def test_a_matcher(users):
    scope = run("matcher")
    model = clone(scope["model"]).set_params(matcher__n_neighbors=2)
    overall = model.fit(users.X, users.y, treatment=users.treatment).overall_
    assert overall["effect"] == pytest.approx(1, abs=4 * overall["std_error"])
    assert "2 nearest on x0" in model.summary()
    assert {"smd_before", "smd_after"} <= set(model.balance_.columns)


def test_a_standard_error(users, monkeypatch):
    table = standard_errors.STANDARD_ERRORS
    monkeypatch.setitem(table, "twice-pair", table["pair"])  # so that the row goes after the test
    run("standard error of matched effects")
    row = table["twice-pair"]
    found = {}

    def keep(segment):
        found["pair"] = standard_errors.by_pair(segment)
        found["twice"] = row.variance(segment)
        return found["pair"]

    monkeypatch.setitem(table, "pair", table["pair"]._replace(variance=keep))
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=1, replacement=False), std_error="pair", segment=None
    )
    model.fit(users.X, users.y, treatment=users.treatment)
    assert found["twice"].value == pytest.approx(2 * found["pair"].value)
    assert row.reasons


@pytest.mark.filterwarnings("ignore:InteractionRegression. the mean effect is")
def test_a_metric(users):
    scope = run("metric")
    estimate = scope["gain_of_positive"](np.array([1.0, 2.0, -1.0]), np.array([1.0, 1.0, -1.0]))
    assert estimate.value == pytest.approx(1)
    model = InteractionRegression().fit(users.X, users.y, treatment=users.treatment)
    with segcate.routing():
        gain = scope["gain_scorer"](model, users.X, users.y, pseudo_outcome=users.effect)
    assert gain == pytest.approx(1, abs=0.3)


def test_a_segmenter():
    scope = run("segmenter")
    segmenter = scope["HalfSegmenter"]("age")
    X = pd.DataFrame({"age": [1.0, 2.0, 3.0, 4.0]})
    assert segmenter.fit_transform(X)["segment"].tolist() == [0, 0, 1, 1]
    assert segmenter.predict(X.tail(1)).tolist() == [1]


def test_a_model_over_time():
    scope = run("model over time")
    panel, model = scope["panel"], scope["model"]
    effect = model.effect(panel, [[1, 1]] * 3, [[0, 0]] * 3, origin=2)
    assert (effect["effect"] == 0).all()


def test_a_plot():
    display = run("plot")["HistogramDisplay"]([0.0, 1.0, 1.0]).plot(bar_kw={"color": "red"})
    assert len(display.bar_) == 10
