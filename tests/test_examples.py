"""The examples of the gallery run; the study that may not be published runs where its data are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

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


def test_mindset_example_prints_table_7():
    printed = run("plot_mindset.py", str(shared_path("data", "mindset", "mindset_rows.csv")))
    paper = pd.read_csv(shared_path("reference", "mindset", "table7_reproduction.csv")).head(6)
    for row in paper.itertuples():
        line = f"{row.table7_att:.3f}      {row.table7_se:.3f}"
        assert line in printed, line
