"""`segcate run --engine spark`: the effects in memory from paths and tables, and what is said where Spark lacks."""

import logging
import sys
import threading
import time

import pandas as pd
import pytest

from tests.cli.test_engine import COLUMNS, effects_of, in_memory, with_gaps
from tests.helpers.command_line import error_of, run
from tests.helpers.spark import OF_PANDAS


@pytest.fixture
def kept(users):
    return users[["x0", "x1", "region", "offer", "spend"]]


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_effects_are_those_in_memory(spark, kept, users, tmp_path, capsys):
    path = tmp_path / "users.csv"
    kept.assign(offer=kept["offer"].map({0: "none", 1: "mail"})).to_csv(path, index=False)
    out = tmp_path / "out"
    words = [*COLUMNS, "--control", "none", "--engine", "spark", "--out", out]
    assert run("run", path, *words) == 0
    told = capsys.readouterr().err
    assert "engine spark" in told
    assert "fitting on Spark" in told
    expected = in_memory(users).effects_
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    for name in ("n", "effect", "std_error"):
        assert written[name].to_numpy(float) == pytest.approx(
            expected[name].to_numpy(float), rel=1e-9
        )


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_rows_with_gaps_are_left_out_as_in_memory(spark, users, tmp_path, capsys):
    with_gaps(users, tmp_path / "u.parquet")
    words = ("run", tmp_path / "u.parquet", *COLUMNS, "--missing-covariates", "drop")
    expected = effects_of(*words, out=tmp_path / "memory")
    found = effects_of(*words, "--engine", "spark", out=tmp_path / "spark")
    assert "rows dropped for missing values in numbers" in capsys.readouterr().err
    for name in ("n", "effect", "std_error"):
        assert found[name].to_numpy(float) == pytest.approx(
            expected[name].to_numpy(float), rel=1e-9
        )


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_parquet_and_tables_are_read(spark, kept, tmp_path):
    from segcate.cli._spark_table import spark_frame

    path = tmp_path / "users.parquet"
    kept.to_parquet(path)
    frame = spark_frame(str(path))
    assert frame.count() == len(kept)
    frame.createOrReplaceTempView("some_users")
    assert spark_frame("some_users").columns == frame.columns


def made_slowly(batches):
    time.sleep(30)
    yield from batches


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_jobs_are_cancelled_without_a_word(spark, caplog):
    """What goes on in Spark ends when the command is told to, long before it is done."""
    from segcate.cli._spark_table import stop_jobs

    found = []

    def wait():
        try:
            spark.range(3).mapInArrow(made_slowly, "id long").toArrow()
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        while not spark.sparkContext.statusTracker().getActiveJobsIds():
            time.sleep(0.05)
        stop_jobs(spark)
        thread.join(25)
    finally:
        spark.sparkContext.setLogLevel("ERROR")
        logging.disable(logging.NOTSET)
    assert found
    assert not caplog.records


@pytest.mark.spark
def test_what_is_not_there_is_an_error(spark, tmp_path, capsys):
    words = [*COLUMNS, "--engine", "spark"]
    told = error_of(capsys, "run", tmp_path / "none.parquet", *words)
    assert "--engine spark cannot read" in told
    told = error_of(capsys, "run", "no_table", *words, "--spill", tmp_path)
    assert "--spill, --resume: not with --engine spark" in told


def test_the_extra_is_named_where_pyspark_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    told = error_of(capsys, "run", "users.parquet", *COLUMNS, "--engine", "spark")
    assert "pip install segcate[spark]" in told
    told = error_of(capsys, "run", "-", *COLUMNS, "--engine", "spark")
    assert "no pipe" in told


def test_a_session_that_does_not_start_asks_for_java(monkeypatch, capsys):
    sql = pytest.importorskip("pyspark.sql")

    class Builder:
        def appName(self, name):
            return self

        def getOrCreate(self):
            raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited\nmore lines")

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setattr(sql.SparkSession, "builder", Builder())
    told = error_of(capsys, "run", "users.parquet", *COLUMNS, "--engine", "spark")
    assert "no session starts ([JAVA_GATEWAY_EXITED] Java gateway process exited)" in told
    assert "Java 17 or newer on the PATH or in JAVA_HOME" in told
