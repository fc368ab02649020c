"""Every source gives the same rows, again and again; what can be read once is refused."""

import numpy as np
import pandas as pd
import pytest

pa = pytest.importorskip("pyarrow")

import pyarrow.csv as pa_csv  # noqa: E402
import pyarrow.dataset as ds  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from segcate.scale._sources import ROWS_AT_ONCE, open_source  # noqa: E402


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pa.table(
        {"b c": rng.normal(size=3000), "a": np.arange(3000), "t": ["x", "y", "가"] * 1000}
    )


def read(source, columns):
    opened = open_source(source, columns)
    once, again = (pa.concat_tables(opened(), promote_options="permissive") for _ in range(2))
    assert once.equals(again)
    return once.to_pandas().sort_values("a", ignore_index=True)


def made(kind, table, folder):
    if kind == "table":
        return table
    if kind == "function":
        return lambda: iter(table.to_batches(max_chunksize=7))
    if kind == "polars":
        frame = pytest.importorskip("polars").from_arrow(table).lazy()
        if not hasattr(frame, "collect_batches"):
            pytest.skip("this version of Polars gives no batches")
        return frame
    if kind == "csv":
        pa_csv.write_csv(table, folder / "rows.csv")
        return folder / "rows.csv"
    for i in range(3):
        pq.write_table(table.slice(1000 * i, 1000), folder / f"{i}.parquet")
    if kind == "duckdb":
        return pytest.importorskip("duckdb").sql(f"select * from '{folder}/*.parquet'")
    if kind == "bucket":  # any file system of fsspec is read as S3 is: by its address within
        fsspec = pytest.importorskip("fsspec")
        memory = fsspec.filesystem("memory")
        memory.put(f"{folder}/", f"/{folder.name}/", recursive=True)
        return ds.dataset(f"/{folder.name}", filesystem=memory)
    return {
        "folder": folder,
        "glob": f"{folder}/*.parquet",
        "uri": folder.as_uri(),
        "dataset": ds.dataset(folder),
    }[kind]


@pytest.mark.parametrize("columns", [None, ["a", "b c"]])
@pytest.mark.parametrize(
    "kind",
    ["table", "function", "polars", "csv", "duckdb", "folder", "glob", "uri", "dataset", "bucket"],
)
def test_every_source_gives_the_same_rows(kind, columns, table, tmp_path):
    found = read(made(kind, table, tmp_path), columns)
    wanted = table.to_pandas() if columns is None else table.to_pandas()[columns]
    pd.testing.assert_frame_equal(found[list(wanted.columns)], wanted, check_dtype=False)
    assert len(found.columns) == len(wanted.columns)


def test_a_parquet_file_is_not_held_while_it_is_read(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "rows.parquet"
    part = pa.table({"a": rng.random(100_000), "b": rng.random(100_000)})
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(100):
            writer.write_table(part)
    before, held = pa.total_allocated_bytes(), []
    for _ in open_source(path, None)():
        held.append(pa.total_allocated_bytes() - before)
    assert max(held) < 0.5 * path.stat().st_size


def test_batches_are_brought_to_one_size():
    big = pa.table({"a": np.arange(3 * ROWS_AT_ONCE + 5)})
    for source in (big, lambda: iter(big.to_batches(max_chunksize=1000))):
        sizes = [part.num_rows for part in open_source(source, None)()]
        assert sum(sizes) == big.num_rows
        assert max(sizes) < 2 * ROWS_AT_ONCE
        assert len(sizes) <= 4


@pytest.mark.parametrize("kind", ["reader", "generator"])
def test_what_can_be_read_once_is_refused(kind, table):
    source = table.to_reader() if kind == "reader" else iter(table.to_batches())
    with pytest.raises(TypeError, match="can be read once, and a fit reads its rows several times"):
        open_source(source, None)


def test_data_in_memory_are_sent_to_the_fit_in_memory(table):
    with pytest.raises(TypeError, match="data in memory go to the estimator's own fit"):
        open_source(table.to_pandas(), None)


def test_a_glob_without_files_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file matches `source`"):
        open_source(f"{tmp_path}/*.parquet", None)
