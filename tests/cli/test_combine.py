"""`segcate combine`: runs as one table, the change between two, and runs that do not go together."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segcate.cli._tables import Facts, write_table
from segcate.datasets import make_segmented_users
from segcate.effects import EffectTable, SegmentMatching, SegmentRegression
from segcate.matching import combine_balance
from segcate.segmentation import segment_profile
from tests.helpers.command_line import error_of, run

BASIC = ("--outcome", "spend", "--treatment", "offer", "--method", "regression", "--quiet")


def users_of(seed):
    data = make_segmented_users(600, n_segments=2, n_features=2, n_groups=60, random_state=seed)
    region = np.where(data.segment == 0, "north", "south")
    return data.X.assign(region=region, offer=data.treatment, spend=data.y, school=data.groups)


def fitted(users, adjustment="auto", **given):
    X = users[["x0", "x1", "region"]]
    model = SegmentRegression(estimand="att", segment="region", adjustment=adjustment)
    return model.fit(X, users["spend"], treatment=users["offer"], **given).effect_table_


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two months by segment column and groups; the same by k-means."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, month in enumerate(("january", "february")):
        file = folder / f"{month}.csv"
        users_of(seed).to_csv(file, index=False)
        given = ("--segment-column", "region", "--groups", "school", "--out", folder / month)
        assert run("run", file, *BASIC, *given) == 0
        given = ("--n-clusters", 2, "--ignore", "region,school", "--out", folder / f"{month}-found")
        assert run("run", file, *BASIC, *given) == 0
    return folder


def test_two_runs_are_one_table_and_a_change(runs, tmp_path, capsys):
    out = tmp_path / "both"
    assert run("combine", runs / "january", runs / "february", "--out", out) == 0
    told = capsys.readouterr()
    written = "effects.csv, overall.csv, contrasts.csv, change.csv, profile.csv, effects.json"
    assert f"wrote {written}" in told.err
    assert "note: " not in told.err
    assert "Change from january to february" in told.out
    users = [users_of(0), users_of(1)]
    groups = [one["school"] for one in users]
    tables = [fitted(one, groups=g) for one, g in zip(users, groups, strict=True)]
    expected = EffectTable.combine(tables, groups=groups)
    read = pd.read_csv(out / "effects.csv", index_col="segment")
    pd.testing.assert_frame_equal(
        read.select_dtypes("number"), expected.frame().select_dtypes("number"), rtol=1e-9
    )
    change = tables[1].change_from(tables[0], groups=groups[1], groups_before=groups[0])
    read = pd.read_csv(out / "change.csv", index_col="segment")
    pd.testing.assert_frame_equal(read, change.table, rtol=1e-9)
    assert (out / "summary.txt").read_text(encoding="utf-8") == told.out


def test_segments_that_runs_found_do_not_go_together(runs, capsys):
    places = (runs / "january-found", runs / "february-found")
    text = error_of(capsys, "combine", *places)
    assert "'january-found' and 'february-found' found segments on rows of their own" in text
    assert "segment 0 of one is not segment 0 of another" in text
    assert "--segment-column" in text
    text = error_of(capsys, "combine", runs / "january-found", runs / "january-found")
    assert "a folder is named twice" in text


def test_groups_profiles_and_what_follows_are_combined_again(runs, tmp_path, capsys):
    """Two runs and then a third give what three give at once: a school of several months is one group."""
    users_of(2).to_csv(tmp_path / "march.csv", index=False)
    given = ("--segment-column", "region", "--groups", "school", "--out", tmp_path / "march")
    assert run("run", tmp_path / "march.csv", *BASIC, *given) == 0
    months = [runs / "january", runs / "february", tmp_path / "march"]
    assert run("combine", *months[:2], "--out", tmp_path / "two") == 0
    told = json.loads((tmp_path / "two" / "effects.json").read_text(encoding="utf-8"))["analysis"]
    schools = pd.concat([users_of(0)["school"], users_of(1)["school"]])
    assert told["groups"] == sorted(schools.unique().tolist())
    assert run("combine", tmp_path / "two", months[2], "--out", tmp_path / "again") == 0
    assert run("combine", *months, "--out", tmp_path / "once") == 0
    told = capsys.readouterr().err
    assert "balance" not in told
    again, once = (
        {
            name: pd.read_csv(tmp_path / folder / f"{name}.csv", index_col=0)
            for name in ("effects", "overall", "profile")
        }
        for folder in ("again", "once")
    )
    for name in ("effects", "overall"):
        columns = ["effect", "std_error"] if name == "overall" else ["n", "effect", "std_error"]
        pd.testing.assert_frame_equal(again[name][columns], once[name][columns], rtol=1e-9)
    pd.testing.assert_frame_equal(again["profile"], once["profile"], rtol=1e-12)
    users = pd.concat([users_of(seed) for seed in range(3)])
    expected = segment_profile(users[["x0", "x1"]], users["region"].to_numpy())
    pd.testing.assert_frame_equal(once["profile"][expected.columns], expected, rtol=1e-9)


def test_balance_is_that_of_all_rows(tmp_path, capsys):
    """One run in memory, one by an engine, which has no profile; then a run without matches."""
    pytest.importorskip("pyarrow")
    names, models = ["x0", "x1", "region"], []
    for seed, engine in enumerate(([], ["--engine", "arrow"])):
        users = users_of(seed)[[*names, "offer", "spend"]]
        users.to_parquet(tmp_path / f"{seed}.parquet")
        given = (*BASIC[:4], "--quiet", "--segment-column", "region", "--out", tmp_path / str(seed))
        assert run("run", tmp_path / f"{seed}.parquet", *given, *engine) == 0
        models.append(SegmentMatching(segment="region", on_empty="nan"))
        models[-1].fit(users[names], users["spend"], treatment=users["offer"])
    out = tmp_path / "both"
    assert run("combine", tmp_path / "0", tmp_path / "1", "--out", out) == 0
    told = capsys.readouterr().err
    assert "note: no profile.csv, as '1' wrote no profile that adds up" in told
    assert not (out / "profile.csv").exists()
    found = pd.read_csv(out / "balance.csv", index_col=["segment", "covariate"])
    pd.testing.assert_frame_equal(found, combine_balance(models).table, rtol=1e-8, atol=1e-9)
    users_of(2).to_csv(tmp_path / "2.csv", index=False)
    given = ("--segment-column", "region", "--ignore", "school", "--estimand", "att")
    assert run("run", tmp_path / "2.csv", *BASIC, *given, "--out", tmp_path / "2") == 0
    assert run("combine", out, tmp_path / "2", "--out", tmp_path / "three") == 0
    assert "note: no balance.csv, as '2' wrote no balance" in capsys.readouterr().err


def test_balances_of_other_columns_do_not_go_together(tmp_path, capsys):
    for seed, columns in enumerate(("x0,x1", "x0")):
        users_of(seed).to_csv(tmp_path / f"{seed}.csv", index=False)
        given = (*BASIC[:4], "--quiet", "--segment-column", "region", "--covariates", columns)
        assert run("run", tmp_path / f"{seed}.csv", *given, "--out", tmp_path / str(seed)) == 0
    assert run("combine", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "both") == 0
    told = capsys.readouterr().err
    assert "note: no balance.csv: '0' and '1' have different covariates: 'x1'" in told
    assert "note: no profile.csv: '0' and '1' describe different columns: 'x1'" in told
    names = {path.name for path in (tmp_path / "both").iterdir()}
    assert not names & {"balance.csv", "profile.csv"}


@pytest.fixture
def parts(tmp_path):
    """Write three months straight away: the table, what it was about, and the folder's name."""
    facts = Facts("offer = 1", "offer = 0", "EUR", "region")

    def write(name, seed, table_says=None, **said):
        folder = tmp_path / name
        folder.mkdir()
        table = replace(fitted(users_of(seed)), outcome="spend", **(table_says or {}))
        write_table(table, replace(facts, **said), folder)
        return folder

    return write


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"analysis": [1]}, "of the analysis is damaged (AttributeError"),
        ({"analysis": {"balance": {"a": 1}}}, "of the analysis is damaged (KeyError: 'balance')"),
        ({"analysis": {"profile": {"labels": 3}}}, "of the analysis is damaged (KeyError: 'columns')"),
        ({"labels": None}, "the table is damaged (AttributeError"),
        ({"effect": [1, 2]}, "the table is damaged (ValueError: effect is not one number for each of 2 segments)"),
        ({"scores": "x"}, "the table is damaged (AttributeError"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(parts, change, said, capsys):
    one, other = parts("a", 0), parts("b", 1)
    file = other / "effects.json"
    stored = json.loads(file.read_text(encoding="utf-8")) | change
    file.write_text(json.dumps(stored), encoding="utf-8")
    text = error_of(capsys, "combine", one, other)
    assert f"{str(other)!r}: " in text
    assert said in text


def test_all_that_differs_is_said_at_once(parts, capsys):
    one = parts("a", 0)
    other = parts(
        "b", 1, {"estimand": "ate", "confidence_level": 0.9}, treated="mail = 1", units="USD"
    )
    assert run("combine", one, other) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "segcate: error: unit of the outcome: 'a' has 'EUR', 'b' has 'USD'. Convert it, and give all runs one --units.",
        "segcate: error: treated arm: 'a' has 'offer = 1', 'b' has 'mail = 1'. If it is one, give column and label one "
        "name in all files.",
        "segcate: error: estimand: 'a' has 'att', 'b' has 'ate'. Give all runs one --estimand.",
        "segcate: error: confidence level: 'a' has '95 %', 'b' has '90 %'. Give all runs one --confidence-level.",
    ]
    third = parts("c", 2, segment_column="", found_segments="0a")
    text = error_of(capsys, "combine", one, third)
    assert "'c' found segments on rows of their own" in text


def test_more_than_two_combine_again(parts, tmp_path, capsys):
    folders = [parts(name, seed) for seed, name in enumerate("abc")]
    assert run("combine", *folders[:2], "--out", tmp_path / "ab") == 0
    assert run("combine", tmp_path / "ab", folders[2], "--out", tmp_path / "abc") == 0
    capsys.readouterr()
    assert run("combine", *folders, "--out", tmp_path / "at-once") == 0
    told = capsys.readouterr()
    assert "note: how effects changed is told of two runs" in told.err
    assert "Change" not in told.out
    read = [pd.read_csv(tmp_path / name / "effects.csv") for name in ("abc", "at-once")]
    names = ["segment", "n", "n_treated", "effect"]
    pd.testing.assert_frame_equal(read[0][names], read[1][names], rtol=1e-9)


def test_workers_with_segments_of_their_own(parts, tmp_path, capsys):
    whole = fitted(users_of(0), "linear")
    for label in ("north", "south"):
        users = users_of(0)
        table = fitted(users[users["region"] == label].reset_index(drop=True), "linear")
        (tmp_path / label).mkdir()
        write_table(table, Facts(segment_column="region"), tmp_path / label)
    given = (tmp_path / "north", tmp_path / "south")
    assert run("combine", *given, "--out", tmp_path / "all") == 0
    assert "no segment has an effect in both runs" in capsys.readouterr().err
    found = pd.read_csv(tmp_path / "all" / "overall.csv", index_col=0).loc["all"]
    assert found["effect"] == pytest.approx(whole.overall_row()["effect"], rel=1e-12)
    assert found["std_error"] == pytest.approx(whole.overall_row()["std_error"], rel=1e-12)


def test_calls_that_cannot_work(parts, tmp_path, capsys):
    one, other = parts("a", 0), parts("b", 1)
    assert "two or more runs" in error_of(capsys, "combine", one)
    assert "'a' is one of the runs" in error_of(
        capsys, "combine", one, other, "--out", one
    ).replace(str(tmp_path) + "/", "")
    same = parts("again", 0)
    assert "the same rows would count twice" in error_of(capsys, "combine", one, same)
