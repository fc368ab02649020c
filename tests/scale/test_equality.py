"""Parts give the numbers in memory, also where a part of many rows decides on curves (see the benchmark)."""

import json

import pytest

from benchmarks.scale_equality import (
    CASES,
    ENGINES,
    RESULTS,
    arrow_table,
    compared,
    made_rows,
    spark_files,
)
from tests.helpers.spark import OF_PANDAS

pytest.importorskip("pyarrow")

N, TOLERANCE = 60_000, 1e-9


def assert_close(row):
    assert row["same_status"]
    assert max(row["gaps"].values()) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_parts_give_the_numbers_in_memory(name):
    for row in compared(made_rows(N), name, (1, 4), {"local": arrow_table}):
        assert_close(row)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_spark_gives_the_numbers_in_memory(spark, tmp_path):
    sources = {"spark": spark_files(spark, str(tmp_path))}
    for row in compared(made_rows(N), "auto, whole numbers, weights, caliper", (4,), sources):
        assert_close(row)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_table_on_record_holds_the_bar(engine):
    rows = [r for r in json.loads(RESULTS.read_text(encoding="utf-8")) if r["engine"] == engine]
    assert {(row["case"], row["parts"]) for row in rows} == {
        (name, n_parts) for name in CASES for n_parts in (1, 4, 16)
    }
    for row in rows:
        assert row["rows"] == 1_000_000
        assert_close(row)
