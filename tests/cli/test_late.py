"""Covariates measured after the treatment stop the run, or are pointed at."""

from __future__ import annotations

import pandas as pd

from segcate.cli._reading import Columns
from segcate.cli._study.study import Gaps
from segcate.cli._study.study import make_study as make_study_of
from tests.helpers.command_line import SHOP, error_of, run
from tests.helpers.shared import shared_path


def make_study(table, roles, title, drop_missing=False):
    return make_study_of(Columns(table), roles, title, gaps=Gaps(drop_missing))


def test_ignoring_the_late_column_runs(shop, capsys):
    assert run("run", shop, *SHOP, "--ignore", "visit") == 0
    text = capsys.readouterr().err
    assert (
        "Every column that is not named otherwise is taken as measured BEFORE the treatment: x0, "
        "x1, promo. Name them with --covariates." in text
    )
    assert run("run", shop, *SHOP, "--covariates", "x0,x1") == 0
    assert "Every column" not in capsys.readouterr().err


def test_a_column_named_like_an_outcome_gets_a_note(shop, capsys):
    table = pd.read_csv(shop).rename(columns={"promo": "clicked"}).drop(columns="visit")
    table.to_csv(shop, index=False)
    assert run("run", shop, *SHOP) == 0
    assert "covariate 'clicked' has the name of something measured after" in capsys.readouterr().err


def test_a_column_that_names_the_arm_stops_the_run(shop, capsys):
    table = pd.read_csv(shop).drop(columns="visit")
    table.assign(arm=table["offer"].map({0: "none", 1: "mail"})).to_csv(shop, index=False)
    for keep in ((), ("--keep", "arm")):
        text = error_of(capsys, "run", shop, *SHOP, *keep)
        assert "covariate 'arm' decides the treatment" in text
        assert "--groups arm" in text


def test_visit_and_conversion_of_hillstrom_are_refused(tmp_path, capsys):
    mails = pd.read_csv(shared_path("data", "uplift", "hillstrom.csv.gz"))
    mails.to_csv(tmp_path / "mails.csv", index=False)
    basic = (tmp_path / "mails.csv", "--outcome", "spend", "--treatment", "segment")
    basic = (*basic, "--control", "No E-Mail", "--segment-column", "channel")
    text = error_of(capsys, "run", *basic)
    assert "'visit' (the outcome is 0 in all 54,606 rows where it is 0)" in text
    assert "--ignore visit,conversion, or --keep visit,conversion" in text
    assert run("run", *basic, "--ignore", "visit,conversion") == 0
    assert run("run", *basic, "--keep", "visit,conversion") == 0


def test_columns_measured_after_the_treatment_stop_the_run(shop, capsys):
    text = error_of(capsys, "run", shop, *SHOP)
    assert "probably measured after the treatment: 'visit' (the outcome is 0 in all" in text
    assert "Pass --ignore visit, or --keep visit if measured before." in text


def test_keep_runs_with_a_note(shop, tmp_path, capsys):
    assert run("run", shop, *SHOP, "--keep", "visit", "--out", tmp_path) == 0
    text = capsys.readouterr().err
    assert text.count("covariate 'visit': the outcome is 0 in all") == 1
    assert "kept, as --keep says" in text
    assert "SegmentMatching:" not in text
    assert "visit: measured after the treatment?" in (tmp_path / "summary.txt").read_text()
    report = (tmp_path / "report.md").read_text()
    assert "* covariate 'visit': the outcome is 0 in all" in report
    assert "--keep: there is no column 'nope'" in error_of(
        capsys, "run", shop, *SHOP, "--keep", "nope"
    )
