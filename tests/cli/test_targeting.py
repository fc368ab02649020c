"""Whom to treat is learned on one half of the rows and valued on the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segcate.cli import _targeting
from segcate.cli._plan import Plan
from segcate.cli._progress import Progress
from segcate.cli._result import _own_doubts
from segcate.cli._study import Study
from segcate.cli._targeting import Prices, find_targets
from segcate.datasets import make_segmented_users
from tests.helpers.command_line import run


def study(n=4000, **more):
    data = make_segmented_users(
        n, n_segments=2, n_features=2, effects=[0, 1], confounding=0, random_state=0
    )
    X = data.X.assign(seg=data.segment)
    return data, Study(X, data.y, data.treatment, "users", "y", ("t",), segment="seg", **more)


@pytest.mark.parametrize("experiment", [True, False])
def test_the_planted_segment_is_treated_at_its_profit(experiment):
    data, rows = study()
    found = find_targets(rows, Plan(experiment=experiment), Prices(0.5, 1.0), Progress(True))
    table = found.rows
    assert table["treat"].tolist() == data.segment.tolist()
    is_valued = table["part"] == "valued on"
    assert is_valued.sum() == len(table) / 2
    truth = 0.5 * data.segment[is_valued].mean()
    assert abs(found.gain.value - truth) < 3 * found.gain.std_error
    assert found.gain.n_treated == data.segment[is_valued].sum()
    assert found.over_all.value > 0
    assert found.curve.share[-1] == 1
    assert "learned on 2,000 rows, valued on the 2,000 others" in found.summary()
    assert not found.is_losing
    assert "earns more than treating nobody and than treating everybody" in found.summary()


def test_the_outcomes_of_the_valued_half_do_not_choose_the_rule(monkeypatch):
    _, rows = study()
    halves = np.arange(2000), np.arange(2000, 4000)
    monkeypatch.setattr(_targeting, "_halves", lambda study, plan: halves)
    found = find_targets(rows, Plan(experiment=True), Prices(0.5), Progress(True))
    is_bad = (rows.treatment == 1) & (rows.X["seg"] == 1) & (rows.y.index >= 2000)
    other = replace(rows, y=rows.y - 5 * is_bad)
    again = find_targets(other, Plan(experiment=True), Prices(0.5), Progress(True))
    assert again.rows.equals(found.rows)
    assert again.gain.value < 0 < found.gain.value
    assert "do not use the rule: treating nobody earns" in again.advice()


def test_a_rule_that_loses_is_a_doubt():
    """The rule leaves out one of two segments, whose effect is above the cost in the valued half."""
    _, rows = study()
    found = find_targets(rows, Plan(experiment=True), Prices(0.5), Progress(True))
    better = replace(found.over_all, value=-0.4, std_error=0.1)
    losing = replace(found, over_all=better)
    assert losing.is_losing
    assert losing.advice() == (
        "do not use the rule: treating everybody earns 0.4 more a row (0.2039 to 0.5961)"
    )
    (doubt,) = _own_doubts(None, losing)
    assert (doubt.kind, doubt.segment) == ("targeting", None)
    assert losing.advice() in doubt.text
    unproven = replace(found, over_all=replace(better, std_error=0.3))
    assert unproven.advice().endswith("earns more than treating everybody")
    assert _own_doubts(None, unproven) == []


def test_a_higher_value_treats_more_and_clusters_stay_whole():
    _, rows = study(groups=pd.Series(np.arange(4000) // 4))
    dear = find_targets(rows, Plan(experiment=True), Prices(5.0, 1.0), Progress(True))
    worth = find_targets(rows, Plan(experiment=True), Prices(5.0, 10.0), Progress(True))
    assert dear.rows["treat"].sum() == 0
    assert worth.rows["treat"].sum() > 1500
    parts = dear.rows.groupby(np.arange(4000) // 4)["part"].nunique()
    assert (parts == 1).all()


def test_a_run_writes_ids_and_the_profit_curve(file, tmp_path, users, capsys):
    users.assign(user=[f"u{i}" for i in range(600)]).to_csv(file, index=False)
    out = tmp_path / "out"
    basic = ("run", file, "--outcome", "spend", "--treatment", "offer", "--covariates", "x0,x1")
    more = ("--segment-column", "region", "--cost", 0.5, "--value", 2, "--id", "user")
    assert run(*basic, *more, "--out", out) == 0
    targets = pd.read_csv(out / "targeting.csv")
    assert targets.columns.tolist() == ["user", "predicted_effect", "treat", "part"]
    assert targets["user"].tolist() == [f"u{i}" for i in range(600)]
    assert (targets["treat"] == (2 * targets["predicted_effect"] > 0.5)).all()
    curve = pd.read_csv(out / "profit_curve.csv")
    assert curve["profit"].iloc[0] == 0
    assert (out / "profit.png").exists()
    assert "Whom to treat" in capsys.readouterr().out
    assert run(*basic, *more[:2], "--out", out) == 0
    assert not (out / "targeting.csv").exists()
    rows = ("--rows", "x0 > 0", "--cost", 0)
    assert run(*basic, *more[:2], *rows, "--out", out) == 0
    numbered = pd.read_csv(out / "targeting.csv")["row"]
    assert numbered.tolist() == (np.flatnonzero(users["x0"] > 0) + 1).tolist()
