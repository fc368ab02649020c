"""Experiments: methods for them, and whether the arms look drawn by lot."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segcate.cli._experiment import uneven_arms
from segcate.cli._study import Study
from segcate.effects import SegmentRegression
from tests.helpers.command_line import run


def study(x, treatment, arms=("t",), **more):
    n = len(x)
    return Study(
        pd.DataFrame({"x": x}), pd.Series(np.zeros(n)), pd.Series(treatment), "d", "y", arms, **more
    )


def test_arms_that_differ_are_told_and_drawn_ones_are_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    drawn = rng.integers(0, 3, 2000)
    assert uneven_arms(study(x, drawn, ("a", "b"))) == {}
    found = uneven_arms(study(x + 0.3 * (drawn == 2), drawn, ("a", "b")))
    assert list(found) == ["b"]
    assert "the arms (b and control) differ in 'x' by more than chance allows (z = " in found["b"]
    assert "leave --experiment out" in found["b"]
    (note,) = uneven_arms(study(x + 0.3 * (drawn == 2), (drawn == 2) * 1)).values()
    assert "the arms differ in 'x'" in note
    groups = pd.Series(np.arange(2000))
    assert uneven_arms(study(x + (drawn == 2), drawn, ("a", "b"), groups=groups)) == {}


def test_false_alarms_are_rare():
    rng = np.random.default_rng(1)
    alarms = [uneven_arms(study(rng.normal(size=100), rng.integers(0, 2, 100))) for _ in range(300)]
    assert sum(map(len, alarms)) <= 3


def test_an_experiment_is_estimated_by_regression_on_all(file, tmp_path, users, capsys):
    drawn = users.assign(offer=np.random.default_rng(0).integers(0, 2, len(users)))
    drawn.to_csv(file, index=False)
    basic = ("--outcome", "spend", "--treatment", "offer", "--covariates", "x0,x1")
    out = tmp_path / "out"
    assert run("run", file, *basic, "--segment-column", "region", "--experiment", "--out", out) == 0
    model = SegmentRegression(segment="region")
    model.fit(drawn[["x0", "x1", "region"]], drawn["spend"], treatment=drawn["offer"])
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    np.testing.assert_allclose(written["std_error"], model.effects_["std_error"], rtol=1e-9)
    said = capsys.readouterr()
    assert "more than chance" not in said.err
    assert "ATE, effect on all" in said.out
    assert "Treatment was drawn by lot" in (out / "report.md").read_text()
    users.to_csv(file, index=False)  # here it was not
    assert run("run", file, *basic, "--segment-column", "region", "--experiment") == 0
    said = capsys.readouterr()
    assert "more than chance allows" in said.err
    assert "Doubt: --experiment: the arms differ in" in said.out
