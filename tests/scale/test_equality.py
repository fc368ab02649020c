"""Parts give the numbers in memory, also where a part of many rows decides on curves (see the benchmark)."""

import json

import pytest

from benchmarks.scale_equality import CASES, RESULTS, compared, made_rows

pytest.importorskip("pyarrow")

N, TOLERANCE = 60_000, 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_parts_give_the_numbers_in_memory(name):
    for row in compared(made_rows(N), name, (1, 4)):
        assert row["same_status"]
        assert max(row["gaps"].values()) <= TOLERANCE


def test_the_table_on_record_holds_the_bar():
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert {(row["case"], row["parts"]) for row in rows} == {
        (name, n_parts) for name in CASES for n_parts in (1, 4, 16)
    }
    for row in rows:
        assert row["rows"] == 1_000_000
        assert row["same_status"]
        assert max(row["gaps"].values()) <= TOLERANCE
