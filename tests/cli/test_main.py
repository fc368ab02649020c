"""The command line: right numbers out, one clear line for whatever is wrong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from segcate.cli import main
from segcate.cli._problems import UserError
from segcate.effects import SegmentMatching
from tests.helpers.command_line import BASIC, FILES, error_of, run, run_into


def test_table_is_that_of_the_estimator(file, tmp_path, users, capsys):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", out) == 0
    model = SegmentMatching(segment="region")
    model.fit(users[["x0", "x1", "region"]], users["spend"], treatment=users["offer"])
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    numbers = ["n_treated", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]
    np.testing.assert_allclose(written[numbers], model.effects_[numbers], rtol=1e-9)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert model.summary() in capsys.readouterr().out


def test_parquet_gives_what_csv_gives(file, tmp_path, users):
    users.to_parquet(tmp_path / "users.parquet")
    for name in ("users.csv", "users.parquet"):
        out = tmp_path / name.partition(".")[2]
        assert run("run", tmp_path / name, *BASIC, "--segment-column", "region", "--out", out) == 0
    first, second = (pd.read_csv(tmp_path / kind / "effects.csv") for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(first, second, rtol=1e-12)


def test_quiet_prints_no_progress(file, capsys):
    assert run("run", file, *BASIC, "--segment-column", "region", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_progress_goes_to_stderr_with_seconds(file, capsys):
    assert run("run", file, *BASIC, "--segment-column", "region") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(f"s] reading {file}")
    assert lines[-1].endswith("s] done")
    assert all(line.startswith("[ ") for line in lines)


def test_unknown_column_lists_columns_and_close_names(file, capsys):
    text = error_of(capsys, "run", file, "--outcome", "Spnd", "--treatment", "offer")
    assert "--outcome: there is no column 'Spnd'. Did you mean 'spend'?" in text
    assert "The columns are 'x0', 'x1', 'region', 'offer', 'spend', 'school', 'score'." in text
    for option in ("--groups", "--propensity", "--segment-column", "--covariates", "--ignore"):
        text = error_of(capsys, "run", file, *BASIC[:-2], option, "nope")
        assert f"{option}: there is no column 'nope'" in text


def test_errors_of_the_estimator_come_as_one_line(file, tmp_path, users, capsys):
    users.assign(score=1.5).to_csv(file, index=False)
    more = ("--segment-column", "region", "--propensity", "score", "--ignore", "school")
    text = error_of(capsys, "run", file, *BASIC[:4], *more)
    assert "`propensity` must lie strictly inside (0, 1)" in text


def test_debug_shows_where_an_error_came_from(file):
    with pytest.raises(UserError):
        run("run", file, "--outcome", "nope", "--treatment", "offer", "--debug")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "the call lacks DATA, the file, --outcome COL, --treatment COL"),
        (["run", "a.csv", *BASIC, "--n-cluster", "3"], "did you mean --n-clusters?"),
        (
            ["run", "a.csv", *BASIC, "--cost", "-1"],
            "--cost: must be a number of at least 0; got '-1'",
        ),
        (["run", "a.csv", *BASIC, "--confidence-level", "95"], "between 0 and 1; got '95'"),
        (["run", "a.csv", *BASIC, "--n-clusters", "1"], "must be a whole number of at least 2"),
        (["run", "a.csv", *BASIC, "--covariates", " , "], "names nothing"),
        (["run", "a.csv", *BASIC, "--estimand", "late"], "invalid choice: 'late'"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_calls_are_told_in_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("segcate: error: ")
    assert message in text


def test_out_that_cannot_be_a_folder_is_told_before_the_work(file, tmp_path, capsys):
    assert run_into(file, file) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"segcate: error: --out: '{file}' is a file")


@pytest.mark.parametrize("module", ["segcate", "segcate.cli"])
def test_module_runs_as_a_program(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("segcate 0.")


def failing(error):
    def command(*arguments, **options):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("x"), 3, "KeyError: 'x' (nobody foresaw this; please report it with what --debug shows)"),
        (RuntimeError("a\nb"), 3, "RuntimeError: a b (nobody"),
        (MemoryError(), 2, "the rows need more memory than there is"),
    ],
)  # fmt: skip
def test_no_error_ends_in_a_traceback(file, error, code, said, monkeypatch, capsys):
    monkeypatch.setattr("segcate.cli._reading.read_table", failing(error))
    assert run("run", file, *BASIC, "--quiet") == code
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith(f"segcate: error: {said}")
    with pytest.raises(type(error)):
        run("run", file, *BASIC, "--debug")


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        ({"spend": np.nan}, (), "--outcome: column 'spend' is empty in all rows. Name another column."),
        ({"offer": np.nan}, (), "--treatment: column 'offer' is empty in all rows."),
        ({"offer": 1}, (), "--treatment: column 'offer' holds one value only (1)"),
        ({"offer": np.arange(600) % 3}, (), "with --control LABEL, such as --control 0."),
        ({"n": np.arange(600) % 7}, (), "covariate 'n' has the name of a column that the profile"),
        ({"segment": np.arange(600) % 7}, (), "If it holds them, pass --segment-column segment; else rename it"),
        ({}, ("--n-clusters", 601), "--n-clusters 601: there are 600 rows to find segments in."),
        ({}, ("--by", "spend"), "column 'spend' is named twice, by --outcome and --by; it can play one part only."),
        ({}, ("--encoding", "base64"), "--encoding: there is no encoding 'base64'."),
    ],
)  # fmt: skip
def test_files_and_options_that_cannot_be_used(file, users, change, words, said, capsys):
    users.drop(columns="region").assign(**change).to_csv(file, index=False)
    assert said in error_of(capsys, "run", file, *BASIC, *words)


def test_a_column_named_twice_in_by_is_shown_once(file, tmp_path):
    words = ("--segment-column", "region", "--by", "region,region", "--out", tmp_path / "out")
    assert run("run", file, *BASIC, *words) == 0
    assert pd.read_csv(tmp_path / "out" / "by.csv")["group"].tolist() == ["north", "south"]


def test_the_package_is_the_command(file):
    words = [sys.executable, "-m", "segcate", "run", file, *BASIC, "--segment-column", "region"]
    done = subprocess.run([*map(str, words), "--quiet"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Effect of offer = 1 on spend\n")
    failed = subprocess.run([*map(str, words), "--caliper", "x"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("segcate: error: --caliper: must be a number above 0")


def test_a_reader_that_has_seen_enough_is_no_error(file):
    """As `| head` does: the pipe is closed before the tables come."""
    command = [sys.executable, "-m", "segcate.cli", "run", str(file), *map(str, BASIC), "--quiet"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 1
    assert told == "segcate: stopped, as nobody reads the tables any more\n"
