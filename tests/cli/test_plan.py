"""The estimators that an options' plan stands for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._plan import Plan, effect_estimator, segmenter
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from tests.helpers.command_line import BASIC, error_of, run


@pytest.mark.parametrize(
    ("plan", "kind", "estimand"),
    [
        (Plan(), SegmentMatching, "att"),
        (Plan(experiment=True), SegmentRegression, "ate"),
        (Plan(experiment=True, method="matching", estimand="att"), SegmentMatching, "att"),
        (Plan(method="aipw"), SegmentAIPW, "att"),
        (Plan(method="regression", estimand="atc"), SegmentRegression, "atc"),
    ],
)
def test_the_method_and_the_estimand_are_those_asked_for(plan, kind, estimand):
    model = effect_estimator(plan, "segment")
    assert type(model) is kind
    assert model.estimand == estimand


def test_caliper_and_seed_reach_the_matcher():
    model = effect_estimator(Plan(caliper=0.1, random_state=7), "s")
    assert (model.matcher.caliper, model.matcher.random_state, model.random_state) == (0.1, 7, 7)


def test_hdbscan_samples_by_itself_above_20000_rows():
    assert segmenter(Plan("hdbscan"), 20_000).get_params()["min_cluster_size"] == 100
    many = segmenter(Plan("hdbscan"), 100_000)
    assert (many.max_fit_samples, many.min_cluster_size) == (20_000, 20)
    assert segmenter(Plan("hdbscan", min_cluster_size=4000), 100_000).min_samples == 50
    few = segmenter(Plan("hdbscan", max_fit_samples=1000), 100_000)
    assert (few.max_fit_samples, few.min_cluster_size) == (1000, 5)


@pytest.mark.parametrize("method", ["regression", "aipw"])
def test_other_methods_give_what_their_estimators_give(file, tmp_path, users, method):
    out = tmp_path / "out"
    options = ("--segment-column", "region", "--method", method, "--out", out)
    assert run("run", file, *BASIC, *options) == 0
    model = {"regression": SegmentRegression, "aipw": SegmentAIPW}[method](
        estimand="att", segment="region", random_state=0
    )
    model.fit(users[["x0", "x1", "region"]], users["spend"], treatment=users["offer"])
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    np.testing.assert_allclose(written["effect"], model.effects_["effect"], rtol=1e-9)
    assert not (out / "balance.csv").exists()


def test_options_that_contradict_each_other_are_told_together(file, capsys):
    more = ("--segment-column", "region", "--tune", "--method", "aipw", "--caliper", 0.2)
    more = (*more, "--estimand", "atc", "--max-fit-samples", 100)
    assert run("run", file, *BASIC, *more, "--quiet") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    for option in ("--tune", "--caliper", "--estimand atc", "--max-fit-samples"):
        assert any(f"error: {option}" in line for line in lines)
    assert "--method matching" in error_of(
        capsys, "run", file, *BASIC, "--experiment", "--caliper", 1
    )
