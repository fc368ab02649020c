"""The examples of the gallery run; the study that may not be published runs where its data are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.shared import shared_path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nhefs_example_runs():
    assert "Heterogeneity" in run("plot_nhefs.py")


def test_evaluation_example_finds_what_is_true():
    """Groups in order, mailing some better than mailing all, and the truth inside its interval."""
    printed = run("plot_effects_evaluation.py")
    assert "Kendall's tau 1.00" in printed
    some, everyone = (
        [
            float(x)
            for x in re.search(rf"mail {who}.*profit (\S+) \((\S+) to (\S+)\)", printed).groups()
        ]
        for who in ("those", "all")
    )
    assert some[1] > everyone[2]
    true_some, true_all = (
        float(re.search(rf"true profit of mailing {who}: (\S+) per", printed).group(1))
        for who in ("those", "everyone")
    )
    assert some[1] <= true_some <= some[2]
    assert everyone[1] <= true_all <= everyone[2]


def test_mindset_example_prints_table_7():
    printed = run("plot_mindset.py", str(shared_path("data", "mindset", "mindset_rows.csv")))
    paper = pd.read_csv(shared_path("reference", "mindset", "table7_reproduction.csv")).head(6)
    for row in paper.itertuples():
        line = f"{row.table7_att:.3f}      {row.table7_se:.3f}"
        assert line in printed, line


def test_mindset_example_runs_without_the_data_and_says_so():
    printed = run("plot_mindset.py")
    assert "students, simulated" in printed
    assert "by school" in printed


def test_players_example_says_what_its_text_says():
    """HDBSCAN is nearest to the truth, and no two rankings can be told apart."""
    printed = run("plot_players.py")
    error = dict(re.findall(r"^(rules|k-means|HDBSCAN) +error (\S+) hours", printed, re.M))
    assert float(error["HDBSCAN"]) < float(error["k-means"]) < float(error["rules"])
    p_adjusted = [float(line.split()[-1]) for line in printed.splitlines()[-3:]]
    assert min(p_adjusted) > 0.1


def test_sorted_effects_example_says_what_its_text_says():
    """Estimates rise from fifth to fifth, and the lowest predictions are below the interval."""
    printed = run("plot_sorted_effects.py")
    rows = [[float(x) for x in line.split()] for line in printed.splitlines()[2:7]]
    effects = [row[3] for row in rows]
    assert effects == sorted(effects)
    assert rows[0][2] < rows[0][4]
    low = re.search(r"top less bottom fifth: \S+ \((\S+) to", printed).group(1)
    assert float(low) > 0


def test_hillstrom_example_says_what_its_text_says():
    script = (EXAMPLES / "plot_hillstrom.py").read_text(encoding="utf-8")
    printed = run("plot_hillstrom.py", str(shared_path("data", "uplift", "hillstrom.csv.gz")))
    value = {
        line[:30].strip(): [float(cell) for cell in line[30:].split()]
        for line in printed.splitlines()
        if " mail " in line[:30]
    }
    share, mean, low, high = value["women's mail where it pays"]
    assert share == pytest.approx(49, abs=1)
    assert f"it earns {mean} cents ({low} to {high})" in script
    _, all_mean, all_low, all_high = value["women's mail for all"]
    front = " ".join((ROOT / "docs" / "index.md").read_text(encoding="utf-8").split())
    assert f"{all_mean} cents a customer ({all_low} to {all_high})" in front
    assert f"{mean} cents ({low} to {high}) for the half" in front
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"earns {mean} cents a customer ({low} to {high})" in readme
    _, mean, low, high = value["men's mail for all"]
    assert f"{mean} cents per customer ({low} to {high})" in script
    _, _, low, high = value["women's mail for all"]
    assert f"may well lose money ({low} to\n# {high} cents)" in script
    mean, low, high = re.search(
        r"(\S+) cents per customer more \((\S+) to (\S+)\)", printed
    ).groups()
    assert f"By {mean} cents, with an interval from {low} to {high}" in script
    mean, low, high = re.search(r"policy: (\S+) cents .*\((\S+) to (\S+)\)", printed).groups()
    assert f"it is {mean} cents per customer ({low} to {high})" in script


@pytest.mark.slow
def test_trajectories_example_is_close_to_the_truth():
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    printed = run("plot_trajectories.py")
    assert float(re.search(r"with the truth: (\S+)", printed).group(1)) > 0.85
