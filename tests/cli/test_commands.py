"""Commands beside `run`."""

from __future__ import annotations

import numpy as np
import pytest

import segcate
from tests.helpers.command_line import BASIC, error_of, run


def test_report_writes_one_page(file, tmp_path, capsys):
    page = tmp_path / "page.html"
    options = ("--segment-column", "region", "--units", "EUR", "--title", "Mails")
    assert run("report", file, *BASIC, *options, "--out", page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "Mails" in text
    assert f"segcate report {file}" in text
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "users.csv"]


def test_report_of_a_configuration_is_that_of_the_run(file, tmp_path):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", out) == 0
    assert run("report", "--config", out / "config.toml", "--out", tmp_path / "r.html") == 0
    first, again = (path.read_text() for path in (out / "report.html", tmp_path / "r.html"))
    assert abs(len(first) - len(again)) < 2000


def test_a_place_that_cannot_be_written_is_told_before_the_work(file, tmp_path, capsys):
    text = error_of(capsys, "report", file, *BASIC, "--out", file / "r.html")
    assert text.startswith("segcate: error: --out: ")


def test_words_of_the_user_reach_the_report(file, tmp_path):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", out) == 0
    config = out / "config.toml"
    words = '\n[description]\npopulation = "customers of <2024>"\n'
    config.write_text(config.read_text() + words)
    assert run("report", "--config", config, "--out", tmp_path / "r.html") == 0
    text = (tmp_path / "r.html").read_text()
    assert "customers of &lt;2024&gt;" in text


@pytest.mark.parametrize("options", [("--segment-column", "region"), ("--n-clusters", 2)])
def test_card_writes_card_and_model(file, tmp_path, users, options):
    pytest.importorskip("skops")
    from skops.io import load

    out = tmp_path / "card"
    assert run("card", file, *BASIC, *options, "--out", out) == 0
    text = (out / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    (model,) = (path for path in out.iterdir() if path.suffix == ".skops")
    loaded = load(model, trusted=segcate.SKOPS_TRUSTED_TYPES)
    effects = loaded.predict(users[["x0", "x1", "region"]])
    assert len(np.unique(effects)) == 2


def test_a_protected_column_is_checked_before_the_work(file, capsys):
    basic = ("run", file, *BASIC)
    assert "--protected: there is no column 'sex'" in error_of(capsys, *basic, "--protected", "sex")
    text = error_of(capsys, *basic, "--protected", "x0")
    assert "--protected: column 'x0' has 600 values, and from 2 to 20" in text
    text = error_of(capsys, *basic, "--protected", "school")
    assert "must be a covariate" in text
