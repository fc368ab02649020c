"""`segcate run --engine`: the effects of the estimator, read batch by batch, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from segcate.cli._engine import CountedPasses, Table, engine_errors, stopped_by_signals
from segcate.cli._problems import UserError
from segcate.effects import EffectTable, SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers.command_line import error_of, run

COLUMNS = ("--outcome", "spend", "--treatment", "offer", "--segment-column", "region")


@pytest.fixture
def folder(tmp_path, users):
    """Some columns of the users in three Parquet files."""
    kept = users[["x0", "x1", "region", "offer", "spend"]]
    (tmp_path / "users").mkdir()
    for i in range(3):
        kept.iloc[i::3].to_parquet(tmp_path / "users" / f"{i}.parquet", index=False)
    return tmp_path / "users"


def in_memory(users, **options):
    X = users[["x0", "x1", "region"]]
    matcher = None
    if options:
        matcher = PropensityMatcher("auto", n_neighbors="auto", **options)
    model = SegmentMatching(matcher, segment="region", on_empty="nan")
    return model.fit(X, users["spend"], treatment=users["offer"])


def test_the_tables_are_those_of_the_fit_in_memory(folder, users, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("run", folder, *COLUMNS, "--engine", "arrow", "--out", out) == 0
    told = capsys.readouterr()
    assert "pass 1 over" in told.err
    assert "note: columns are not screened for what was measured after the treatment" in told.err
    assert "Standard error" in told.out
    expected = in_memory(users)
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    for name in ("n", "n_matched", "effect", "std_error", "p_adjusted"):
        assert written[name].to_numpy(float) == pytest.approx(
            expected.effects_[name].to_numpy(float), rel=1e-9
        )
    table = EffectTable.from_json((out / "effects.json").read_text(encoding="utf-8"))
    assert table.overall.effect == pytest.approx(expected.overall_["effect"], rel=1e-9)
    assert sorted(path.name for path in out.iterdir()) == [
        "balance.csv", "config.toml", "contrasts.csv", "effects.csv", "effects.json", "overall.csv", "summary.txt",
    ]  # fmt: skip
    assert "sha256" not in (out / "config.toml").read_text(encoding="utf-8")
    assert run("run", "--config", out / "config.toml", "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "effects.csv").read_bytes() == (out / "effects.csv").read_bytes()


def test_more_than_memory_goes_to_the_engine(folder, capsys):
    assert run("run", folder, *COLUMNS, "--memory", "10kB") == 0
    assert "more than --memory 10 kB: going on with --engine arrow" in capsys.readouterr().err
    assert run("run", folder, *COLUMNS, "--memory", "1GB") == 0
    assert "engine arrow" not in capsys.readouterr().err


def test_errors_in_the_middle_of_a_query_come_as_one_line(folder, capsys):
    pytest.importorskip("duckdb")
    query = f"select *, cast(region as int) as code from '{folder}/*.parquet'"
    told = error_of(capsys, "run", *COLUMNS, "--engine", "duckdb", "--sql", query)
    assert "--sql: Conversion Error: Could not convert string" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Could not read.\n\tat org.apache", "--engine spark: Could not read."),
        ("An error occurred while calling o7.\n: java.io.E: gone\n\tat x", "--engine spark: java.io.E: gone"),
        ("Lost.\n\tat x\nCaused by: A: b\n\tat y\nCaused by: C: damaged\n", "--engine spark: C: damaged"),
        ("", "--engine spark: Py4JError"),
    ],
)  # fmt: skip
def test_errors_of_spark_are_told_by_the_line_that_says_what_failed(text, said):
    protocol = pytest.importorskip("py4j.protocol")
    with pytest.raises(UserError) as told, engine_errors():
        raise protocol.Py4JError(text)
    assert str(told.value) == said
    with pytest.raises(KeyError), engine_errors():
        raise KeyError(text)


def test_segments_are_found_on_a_sample(folder, capsys):
    given = (
        "--outcome",
        "spend",
        "--treatment",
        "offer",
        "--ignore",
        "region",
        "--n-clusters",
        "2",
    )
    assert run("run", folder, *given, "--engine", "arrow", "--caliper", "0.5") == 0
    assert "caliper" in capsys.readouterr().out.lower()


def test_duckdb_reads_what_it_can_query(folder, users, tmp_path, capsys):
    pytest.importorskip("duckdb")
    users.to_csv(tmp_path / "users.csv", index=False)
    query = f"select x0, x1, region, spend, offer from read_csv('{tmp_path}/users.csv')"
    assert (
        run("run", *COLUMNS, "--engine", "duckdb", "--sql", query, "--out", tmp_path / "out") == 0
    )
    written = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert written["effect"].to_numpy() == pytest.approx(
        in_memory(users).effects_["effect"].to_numpy(), rel=1e-9
    )
    capsys.readouterr()
    told = error_of(
        capsys, "run", *COLUMNS, "--engine", "duckdb", "--sql", "select nothing from nowhere"
    )
    assert "--sql" in told


def test_labels_of_arms(folder, users, tmp_path, capsys):
    labelled = users[["x0", "x1", "region", "spend"]].assign(
        offer=users["offer"].map({0: "none", 1: "mail"})
    )
    path = tmp_path / "labelled.parquet"
    labelled.to_parquet(path)
    assert (
        run(
            "run",
            path,
            *COLUMNS,
            "--control",
            "none",
            "--engine",
            "arrow",
            "--out",
            tmp_path / "out",
        )
        == 0
    )
    written = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert written["effect"].to_numpy() == pytest.approx(
        in_memory(users).effects_["effect"].to_numpy(), rel=1e-9
    )
    capsys.readouterr()
    told = error_of(capsys, "run", path, *COLUMNS, "--control", "nobody", "--engine", "arrow")
    assert "'nobody' is no label of 'offer', which holds 'mail', 'none'" in told
    labelled.loc[:50, "offer"] = "call"
    labelled.to_parquet(path)
    told = error_of(capsys, "run", path, *COLUMNS, "--control", "none", "--engine", "arrow")
    assert "more than two labels" in told


class TestRefused:
    def test_options_that_need_single_rows(self, folder, capsys):
        told = error_of(
            capsys, "run", folder, *COLUMNS, "--engine", "arrow", "--by", "region", "--cost", "2",
            "--method", "aipw",
        )  # fmt: skip
        assert "--method, --by, --cost: not with --engine arrow" in told

    def test_sql_without_duckdb_and_the_other_way(self, folder, capsys):
        told = error_of(capsys, "run", folder, *COLUMNS, "--engine", "duckdb")
        assert "--sql and --engine duckdb belong together" in told
        told = error_of(capsys, "run", *COLUMNS, "--sql", "select 1")
        assert "--sql and --engine duckdb belong together" in told

    def test_a_file_and_a_query(self, folder, tmp_path, capsys):
        query = ("--engine", "duckdb", "--sql", f"select * from '{folder}/*.parquet'")
        told = error_of(capsys, "run", folder, *COLUMNS, *query)
        assert f"DATA {str(folder)!r} and --sql {query[-1]!r} both say which rows; give one" in told
        assert f"--engine duckdb --sql \"select * from '{folder}'\"" in told
        config = tmp_path / "config.toml"
        config.write_text(f"data = '{folder}'\n[reading]\nsql = 'select 1'\nengine = 'duckdb'\n")
        told = error_of(capsys, "run", *COLUMNS, "--config", config)
        assert "both say which rows" in told

    def test_a_query_in_place_of_the_file_of_an_earlier_run(self, folder, tmp_path, capsys):
        pytest.importorskip("duckdb")
        config = tmp_path / "config.toml"
        config.write_text(f"data = '{folder}'\n")
        query = ("--engine", "duckdb", "--sql", f"select * from '{folder}/*.parquet'")
        assert run("run", *COLUMNS, "--config", config, *query, "--out", tmp_path / "out") == 0
        capsys.readouterr()
        assert run("run", "--config", tmp_path / "out" / "config.toml") == 0
        capsys.readouterr()
        assert error_of(capsys, "report", *COLUMNS, *query[2:]).startswith(
            "segcate: error: --sql is for `segcate run --engine duckdb`"
        )

    @pytest.mark.parametrize("given", [["--resume"], ["--spill", "files"]])
    def test_passes_of_an_analysis_that_has_none(self, given, folder, tmp_path, capsys):
        words = ["run", folder, *COLUMNS, *given]
        said = " ".join(given)
        told = error_of(capsys, *words)
        assert f"{said}: an analysis in memory reads its rows once" in told
        assert "Leave it out, or add --engine arrow" in told
        assert f"{said}: a report or a card" in error_of(capsys, "report", *words[1:])
        assert run(*words, "--memory", "1GB") == 0
        assert f"note: {said} does nothing here, as the rows fit --memory 1 GB" in (
            capsys.readouterr().err
        )

    def test_resume_without_a_folder(self, folder, capsys):
        words = ("run", folder, *COLUMNS, "--engine", "arrow", "--resume")
        assert "--resume needs --spill DIR" in error_of(capsys, *words)

    def test_what_is_not_parquet(self, tmp_path, capsys):
        told = error_of(capsys, "run", tmp_path / "a.csv", *COLUMNS, "--engine", "arrow")
        assert "--engine arrow reads Parquet" in told

    def test_unknown_columns(self, folder, capsys):
        told = error_of(
            capsys, "run", folder, *COLUMNS, "--engine", "arrow", "--covariates", "x0,x9"
        )
        assert "has no column 'x9'" in told

    def test_reports_and_cards(self, folder, capsys):
        told = error_of(capsys, "report", folder, *COLUMNS, "--engine", "arrow")
        assert "--engine is for `segcate run`" in told


def test_progress_tells_rows_a_second_and_what_is_left(monkeypatch):
    pa = pytest.importorskip("pyarrow")
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    batch = pa.record_batch({"a": list(range(100))})
    lines = []
    passes = CountedPasses(
        Table("t", {"a": pa.int64()}, 400, lambda names: iter([batch] * 4)), ["a"], lines.append
    )
    assert sum(b.num_rows for b in passes()) == 400
    assert sum(b.num_rows for b in passes()) == 400
    assert lines[0] == "pass 1 over 400 rows"
    assert lines[1] == "pass 1: 200 of 400 rows, 33 rows a second, 6 s left in this pass"
    assert passes.n_passes == 2
    assert "pass 2 over 400 rows" in lines


def test_gaps_are_filled_as_in_memory(users, tmp_path, capsys):
    holed = users.assign(x0=users["x0"].where(np.arange(len(users)) % 9 > 0))
    holed[["x0", "x1", "region", "offer", "spend"]].to_parquet(tmp_path / "u.parquet")
    words = (tmp_path / "u.parquet", *COLUMNS, "--engine", "arrow")
    told = error_of(capsys, "run", *words)
    assert "missing='indicator' fills in means" in told
    assert run("run", *words, "--missing-covariates", "indicator") == 0
    model = SegmentMatching(segment="region", on_empty="nan", missing="indicator")
    model.fit(holed[["x0", "x1", "region"]], holed["spend"], treatment=holed["offer"])
    assert model.summary().split("Missing")[1] in capsys.readouterr().out


def with_gaps(users, path):
    """Numbers without a value in a fifth of the rows, a text without one in others."""
    at = np.arange(len(users))
    holed = users.assign(
        x0=users["x0"].where(at % 9 > 0),
        x1=users["x1"].where(at % 11 > 0),
        plan=pd.Series(np.array(["basic", "plus", "family"])[at % 3]).where(at % 7 > 0),
    )
    kept = holed[["x0", "x1", "plan", "region", "offer", "spend"]]
    kept.to_parquet(path)
    return kept


def effects_of(*words, out):
    assert run(*words, "--out", out) == 0
    return pd.read_csv(out / "effects.csv", index_col="segment")


@pytest.mark.parametrize("is_found", [False, True])
def test_rows_with_gaps_are_left_out_as_in_memory(is_found, users, tmp_path, capsys):
    """Rows without a number, before segments are found; a gap in a text is a level."""
    path = tmp_path / "u.parquet"
    frame = with_gaps(users, path)
    columns = ("--ignore", "region", "--n-clusters", "3") if is_found else COLUMNS[4:]
    words = ("run", path, *COLUMNS[:4], *columns, "--missing-covariates", "drop")
    expected = effects_of(*words, out=tmp_path / "memory")
    memory = capsys.readouterr().err
    found = effects_of(*words, "--engine", "arrow", out=tmp_path / "arrow")
    parts = capsys.readouterr()
    n_left_out = int(frame[["x0", "x1"]].isna().any(axis=1).sum())
    said = f"{n_left_out} of {len(frame)} rows dropped for missing values in"
    assert said in memory.replace(",", "")
    assert said in parts.err.replace(",", "")
    assert f"{n_left_out} of {len(frame)} rows left out" in parts.out
    assert found["n"].sum() == len(frame) - n_left_out
    for name in ("n", "n_matched", "effect", "std_error", "p_adjusted"):
        assert found[name].to_numpy(float) == pytest.approx(
            expected[name].to_numpy(float), rel=1e-9
        )


def test_columns_that_look_like_ids_are_named(users, tmp_path, capsys):
    kept = users[["x0", "x1", "region", "offer", "spend"]]
    ids = np.random.default_rng(0).permutation(len(users)) + 1000
    kept.assign(user_id=ids).to_parquet(tmp_path / "u.parquet")
    words = ("run", tmp_path / "u.parquet", *COLUMNS, "--engine", "arrow")
    assert run(*words) == 0
    told = capsys.readouterr().err
    assert "note: 'user_id': whole numbers that look like an id, taken as a covariate here" in told
    assert "--ignore user_id" in told
    for given in (("--ignore", "user_id"), ("--covariates", "x0,x1,user_id")):
        assert run(*words, *given) == 0
        assert "look like an id" not in capsys.readouterr().err


def test_imputations_need_memory(users, tmp_path, capsys):
    with_gaps(users, tmp_path / "u.parquet")
    words = ("run", tmp_path / "u.parquet", *COLUMNS, "--engine", "arrow")
    told = error_of(capsys, *words, "--missing-covariates", "impute")
    assert "--missing-covariates impute: not with --engine arrow" in told
    assert "Use indicator" in told


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("engine", ["arrow", "duckdb"])
@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_run_that_was_killed_goes_on(engine, folder, users, tmp_path, capsys, monkeypatch):
    words = ["run", folder]
    if engine == "duckdb":
        pytest.importorskip("duckdb")
        words = ["run", "--sql", f"select * from '{folder}/*.parquet'"]
    spill = tmp_path / "spill"
    words += [*COLUMNS, "--engine", engine, "--spill", spill, "--resume"]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("segcate.scale._outcomes.OutcomeStep.of", stop)
    assert run(*words) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert run(*words, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert "note: scale.fit: going on after pass 3 of 6 to 10." in told
    assert "pass 4 over" in told
    assert "pass 3 over" not in told
    assert not list(spill.iterdir())
    written = pd.read_csv(tmp_path / "out" / "effects.csv", index_col="segment")
    expected = in_memory(users).effects_["effect"]
    assert written["effect"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_run_that_is_told_to_end_leaves_no_files_in_between(tmp_path):
    """Parts go to files as soon as there are a million bytes; the process is ended when there is one."""
    rng, n = np.random.default_rng(0), 200_000
    x = rng.normal(size=(n, 6))
    t = (rng.random(n) < 0.4).astype(int)
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(6)])
    y = x[:, 0] + t + rng.normal(size=n)
    frame.assign(offer=t, spend=y, region=rng.integers(0, 3, n)).to_parquet(tmp_path / "u.parquet")
    (tmp_path / "spill").mkdir()
    code = "import sys, segcate.scale._spill as s; s.MOST_HELD = 10**6; from segcate.cli import main; sys.exit(main())"
    words = [
        sys.executable, "-c", code, "run", str(tmp_path / "u.parquet"), *COLUMNS, "--engine", "arrow",
        "--spill", str(tmp_path / "spill"),
    ]  # fmt: skip
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "spill").iterdir()):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert not list((tmp_path / "spill").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_error_that_stopping_causes_is_not_told(number):
    """Spark answers a signal by an error of its own; the user hears of the signal alone, and jobs end once."""
    calls, before = [], signal.getsignal(number)

    def cancelled():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            raise RuntimeError("job cancelled")

    with pytest.raises(KeyboardInterrupt), stopped_by_signals(lambda: calls.append("left")):
        cancelled()
    assert calls == ["left"]
    assert signal.getsignal(number) == before
    with pytest.raises(RuntimeError, match="of another kind"), stopped_by_signals(calls.clear):
        raise RuntimeError("of another kind")
    assert calls == ["left"]
