"""A table becomes a study: roles of columns, gaps, arms, and columns measured too late."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._study import Roles, Study, make_study
from segcate.cli._table import UserError, read_table
from segcate.datasets import make_segmented_users
from tests.helpers.command_line import BASIC, SHOP, error_of, run
from tests.helpers.shared import shared_path


def test_labels_are_coded_with_the_control_the_user_names(file, tmp_path, users, capsys):
    arms = np.where(users["offer"] == 1, "mail", "none")
    users.assign(offer=arms).to_csv(file, index=False)
    common = (*BASIC, "--segment-column", "region")
    assert run("run", file, *common, "--control", "none", "--out", tmp_path / "out") == 0
    messages = capsys.readouterr()
    assert "control is none (" in messages.err
    assert messages.out.startswith("Effect of offer = mail on spend")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "offer: control is none" in report
    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert effects["n_treated"].sum() == users["offer"].sum()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["a", "b"], (), "holds two values that are not 0 and 1: 'a', 'b'. Name the untreated one"),
        (["a", "b", "c"], (), "holds 3 values: 'a', 'b', 'c'. Name the untreated one"),
        ([1, 2], (), "holds two values that are not 0 and 1: 1, 2. Name the untreated one"),
        ([1, 1], (), "holds one value only (1); an effect needs two arms"),
        (["a", "b"], ("--control", "z"), "'z' does not occur in column 'offer'; its values are"),
    ],
)
def test_treatment_that_is_not_two_valued_is_refused(
    tmp_path, users, capsys, values, options, message
):
    path = tmp_path / "data.csv"
    users.assign(offer=np.resize(values, len(users))).to_csv(path, index=False)
    assert message in error_of(capsys, "run", path, *BASIC, *options)


def test_more_than_two_arms_are_compared_with_the_control_and_said_so(users):
    arms = pd.Series(np.resize(["a", "b", "none"], len(users)))
    roles = Roles("spend", "offer", control="none", segment="region", covariates=("x0",))
    study = make_study(users.assign(offer=arms), roles, "users")
    assert study.treatment.tolist() == (arms != "none").astype(int).tolist()
    assert study.treated_name == "offer other than none"
    assert study.notes == ("offer: control is none (200), treated is a (200), b (200)",)


def test_control_may_be_a_number_written_otherwise(users):
    roles = Roles("spend", "offer", control="2", segment="region", covariates=("x0",))
    study = make_study(users.assign(offer=np.resize([2.0, 5.0], 600)), roles, "users")
    assert study.treatment.tolist() == np.resize([0, 1], 600).tolist()


def test_missing_values_are_counted_and_refused(users):
    gappy = users.assign(region=users["region"].astype(object))
    gappy.loc[:9, "offer"] = np.nan
    gappy.loc[5:14, "spend"] = np.nan
    gappy.loc[20, "region"] = None
    roles = Roles("spend", "offer", ignore=("school", "score"))
    with pytest.raises(
        UserError, match=r"15 of 600 rows have .* spend \(10\), offer \(10\)\. Pass"
    ):
        make_study(gappy, roles, "users")
    study = make_study(gappy, roles, "users", drop_missing=True)
    assert len(study.X) == 585  # a gap in a text covariate is a level, not a reason to drop
    assert study.X["region"].isna().sum() == 1
    assert study.X.index.equals(study.y.index)
    with pytest.raises(UserError, match="every row has a missing value"):
        make_study(gappy.assign(spend=np.nan), roles, "users", drop_missing=True)


def test_columns_that_no_model_can_use_are_refused_or_pointed_at(users):
    roles = Roles("spend", "offer")
    named = users.assign(user=[f"user {i}" for i in range(600)])
    with pytest.raises(
        UserError, match=r"'user' holds text with 600 different values.*--ignore user"
    ):
        make_study(named, roles, "users")
    dated = users.assign(seen=pd.Timestamp("2020-01-01") + pd.to_timedelta(users.index, unit="D"))
    study = make_study(dated, roles, "users")
    assert "covariate 'seen': dates: days since 2020-01-01" in study.notes
    constant = make_study(users.assign(country="DE", nothing=np.nan), roles, "users")
    assert "covariate 'country' is left out: constant" in constant.notes
    assert not {"country", "nothing"} & set(constant.X.columns)
    numbered = make_study(users.assign(user=np.arange(600)), roles, "users")
    assert any("'user' has a different whole number in every row" in n for n in numbered.notes)
    assert "user" not in numbered.X.columns
    listed = Roles("spend", "offer", covariates=("x0", "user"))
    assert "user" in make_study(users.assign(user=np.arange(600)), listed, "users").X.columns
    with pytest.raises(UserError, match=r"--outcome: column 'region' must hold numbers"):
        make_study(users, Roles("region", "offer"), "users")


def test_a_saved_row_index_is_not_a_covariate(tmp_path, users):
    users.to_csv(tmp_path / "users.csv")
    study = make_study(read_table(tmp_path / "users.csv"), Roles("spend", "offer"), "users")
    assert study.X.columns.tolist() == ["x0", "x1", "region", "school", "score"]
    assert study.notes[0].startswith("1 column(s) without a name")


def test_a_column_plays_one_part(users):
    with pytest.raises(UserError, match="'offer' is named twice, by --treatment and --groups"):
        make_study(users, Roles("spend", "offer", groups="offer"), "users")
    with pytest.raises(UserError, match="'x0' is named twice, by --covariates and --ignore"):
        make_study(users, Roles("spend", "offer", covariates=("x0",), ignore=("x0",)), "users")
    taken = users[["offer", "spend"]]
    with pytest.raises(UserError, match="no covariates are left"):
        make_study(taken, Roles("spend", "offer"), "users")


def test_study_keeps_rows_together():
    data = make_segmented_users(100, random_state=0)
    table = data.X.assign(y=data.y, t=data.treatment)
    study = make_study(table, Roles("y", "t"), "table")
    assert isinstance(study, Study)
    assert study.X.shape == (100, 4)
    assert np.array_equal(study.y, data.y)


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
