"""The files of a report: tables, pictures, one page; all of them or none."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from segcate._writing.number_texts import write_number
from segcate.cli import _output, main
from segcate.cli._report import worst_balance
from segcate.reports._blocks import frame_table
from segcate.reports._markdown import written_blocks
from tests.helpers.command_line import BASIC, FILES, PICTURES, SHOP, run, run_into


def test_report_names_rows_notes_and_picture(file, tmp_path, users):
    gappy = users.copy()
    gappy.loc[:4, "spend"] = np.nan
    gappy.loc[3:5, "x0"] = np.nan
    gappy.to_csv(file, index=False)
    common = (*BASIC, "--segment-column", "region", "--out", tmp_path)
    assert run("run", file, *common) == 2
    assert run("run", file, *common, "--drop-missing") == 0
    report = (tmp_path / "report.md").read_text()
    assert "users.csv: 594 rows" in report
    assert "* 6 of 600 rows dropped for missing values in spend (5), x0 (3)" in report
    for name in PICTURES:
        assert f"]({name})" in report


def test_demo_writes_all_files(tmp_path, capsys):
    assert run("demo", "--out", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    text = capsys.readouterr().out
    assert "Effect of quitting smoking on weight" in text
    effects = pd.read_csv(tmp_path / "effects.csv")
    assert effects["n_treated"].sum() == 403
    assert effects["n_control"].sum() == 1163
    for name in PICTURES:
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_no_figure_stays_open_and_the_backend_is_as_before(file, tmp_path):
    before = plt.get_backend(), plt.get_fignums()
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", tmp_path) == 0
    assert (plt.get_backend(), plt.get_fignums()) == before


def test_worst_balance_names_the_worst_covariate():
    index = pd.MultiIndex.from_product([[0, 1], ["a", "b"]], names=["segment", "covariate"])
    balance = pd.DataFrame(
        {"smd_before": [0.5, -0.9, 0.1, np.nan], "smd_after": [0.05, -0.2, 0.01, np.nan]},
        index=index,
    )
    table = worst_balance(balance)
    assert table["largest_before"].tolist() == [0.9, 0.1]
    assert table["largest_after"].tolist() == [0.2, 0.01]
    assert table["above_0.1_after"].tolist() == [1, 0]
    assert table["worst_after"].tolist() == ["b", "a"]
    assert "no_finite" not in table
    balance.iloc[0] = np.inf, -np.inf
    table = worst_balance(balance)
    assert table["largest_after"].tolist() == [0.2, 0.01]
    assert table["no_finite"].tolist() == [1, 0]


def test_markdown_table_writes_numbers_and_escapes_bars():
    table = pd.DataFrame({"n": [1200], "x": [0.123456], "y": [np.nan]}, index=pd.Index(["a|b"]))
    assert [write_number(v) for v in (28_784.0, 0.0, "a", -1.5e-7)] == [
        "28,784",
        "0",
        "a",
        "-1.5e-07",
    ]
    table.index.name = "label"
    (written,) = written_blocks([frame_table(table, "")])
    assert written.splitlines()[:3] == [
        "| label | n | x |",
        "| --- | --- | --- |",
        r"| a\|b | 1200 | 0.1235 |",
    ]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_report_that_cannot_be_finished_leaves_the_old_one(
    file, tmp_path, monkeypatch, capsys, failure
):
    out = tmp_path / "report"
    assert run_into(out, file) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(before) == FILES

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(_output, "report_markdown", fail)
    capsys.readouterr()
    assert run_into(out, file) == (130 if isinstance(failure, KeyboardInterrupt) else 2)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == "segcate: interrupted" or "No space left on device" in last
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "users.csv"]


def test_hostile_labels_come_out_as_text(tmp_path, capsys):
    labels = [
        "=1+1",
        "<script>",
        "a|b",
        "line\nbreak",
        "$\\frac{",
        "\x1b[31mred",
        "-2 evil",
        "@x\r=2",
    ]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {name: rng.normal(size=800) for name in ("y", "=2+2", "$a_<b>|", "\x1b[2J")}
    )
    table["t"], table["seg"] = rng.integers(0, 2, 800), np.resize(np.array(labels, object), 800)
    table.to_parquet(tmp_path / "hostile.parquet")
    options = ["--outcome", "y", "--treatment", "t", "--segment-column", "seg"]
    out = tmp_path / "report"
    assert main(["run", str(tmp_path / "hostile.parquet"), *options, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
    for name in ("effects.csv", "balance.csv", "profile.csv"):
        cells = pd.read_csv(out / name, header=None, dtype=str, keep_default_na=False)
        for cell in cells.to_numpy().ravel():
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or np.isfinite(float(cell))
    assert len(pd.read_csv(out / "effects.csv")) == len(labels)
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in report
    rows = [line for line in report.splitlines() if line.startswith("|")]
    assert sum(line.startswith("| a\\|b |") for line in rows) == 6


def test_report_names_covariates_and_what_was_clustered_on(shop, tmp_path):
    more = ("--ignore", "visit", "--out", tmp_path)
    assert run("run", shop, *SHOP, *more) == 0
    report = (tmp_path / "report.md").read_text()
    assert "* Covariates: x0, x1, promo" in report
    assert "* Segments: given by column region" in report
    assert run("run", shop, *SHOP[:4], *more, "--cluster-on", "x0,x1") == 0
    report = (tmp_path / "report.md").read_text()
    assert "* Covariates: x0, x1, region, promo" in report
    assert "* Segments: clustered on x0, x1" in report
