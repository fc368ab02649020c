"""Missing covariates on the command line."""

import numpy as np
import pandas as pd
import pytest

from segcate.cli import main
from segcate.cli._problems import Problems, UserError
from segcate.cli._study.gaps import rows_without_gaps

BASIC = ("--outcome", "y", "--treatment", "t", "--segment-column", "region")


def write(tmp_path, share):
    rng = np.random.default_rng(0)
    n = 400
    table = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    table["t"] = (rng.random(n) < 0.5).astype(int)
    table["y"] = table["x"] + table["t"] + rng.normal(size=n)
    table["region"] = np.where(np.arange(n) % 2, "north", "south")
    table.loc[rng.permutation(n)[: int(share * n)], "x"] = np.nan
    path = tmp_path / "data.csv"
    table.to_csv(path, index=False)
    return path


def run(capsys, *words):
    code = main(["run", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_few_gaps_are_filled_and_noted(tmp_path, capsys):
    code, text = run(capsys, write(tmp_path, 0.03), *BASIC)
    assert code == 0
    assert "3 % of rows lack a number, x (12): mean of the segment, and a 0/1 column" in text


def test_many_gaps_stop_and_name_the_flag(tmp_path, capsys):
    code, text = run(capsys, write(tmp_path, 0.3), *BASIC)
    assert code == 2
    assert "120 of 400 rows have missing values in x (120) (30 %: up to 5 % are filled" in text
    assert "--missing-covariates" in text


@pytest.mark.parametrize("how", ["indicator", "drop", "impute"])
def test_each_way_runs(tmp_path, capsys, how):
    code, text = run(capsys, write(tmp_path, 0.3), *BASIC, "--missing-covariates", how)
    assert code == 0
    said = {
        "indicator": "mean of the segment, and a 0/1 column",
        "drop": "120 of 400 rows dropped",
        "impute": "five imputations",
    }
    assert said[how] in text


def test_the_error_on_gaps_names_the_texts_that_are_read_as_missing(tmp_path, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=60), "a": rng.normal(size=60)})
    frame["t"] = np.where(np.arange(60) % 2, "NA", "1")
    frame.to_csv(tmp_path / "users.csv", index=False)
    command = ["run", str(tmp_path / "users.csv"), "--outcome", "y", "--treatment", "t"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "30 of 60 rows have missing values in t (30)" in said
    assert "'NA', 'None', 'null'" in said


@pytest.mark.parametrize("fill", ["indicator", "impute"])
def test_what_fills_covariates_goes_before_dropping_rows(fill):
    table = pd.DataFrame(
        {
            "y": [1.0, np.nan, 3.0, 4.0],
            "x": [np.nan, 2.0, np.nan, 1.0],
            "w": [1.0, 2.0, 3.0, np.nan],
        }
    )
    notes, problems = [], Problems()
    kept = rows_without_gaps(
        table,
        ["x", "w"],
        {"y"},
        drop_missing=True,
        covariate_gaps=fill,
        notes=notes,
        problems=problems,
    )
    assert kept.tolist() == [True, False, True, True]
    assert notes[0] == "1 of 4 rows dropped for missing values in y (1)"
    assert "x (2), w (1)" in notes[1]
    refused = Problems()
    rows_without_gaps(
        table,
        ["x", "w"],
        {"y"},
        drop_missing=False,
        covariate_gaps=fill,
        notes=[],
        problems=refused,
    )
    with pytest.raises(
        UserError, match=r"1 of 4 rows have missing values in y \(1\). Pass --drop-missing"
    ):
        refused.stop()
