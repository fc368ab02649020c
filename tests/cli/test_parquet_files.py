"""Folders, patterns and partitions of Parquet files, read as one table."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from segcate.cli._problems import UserError
from segcate.cli._reading import read_table
from segcate.cli._reading.parquet_files import are_many
from tests.helpers.command_line import BASIC, run


@pytest.fixture
def folder(tmp_path, users):
    """Four files in partitions by country, with what Spark leaves beside them."""
    for k, country in enumerate(["de", "kr"]):
        place = tmp_path / "users" / f"country={country}"
        place.mkdir(parents=True)
        for i in (0, 1):
            users.iloc[2 * k + i :: 4].to_parquet(place / f"part-{i}.parquet", index=False)
    (tmp_path / "users" / "_SUCCESS").write_text("")
    return tmp_path / "users"


def test_a_folder_is_its_files_in_order_with_their_partitions(folder, users):
    found = read_table(str(folder))
    expected = pd.concat([users.iloc[i::4] for i in range(4)], ignore_index=True)
    table = found.columns.table
    pd.testing.assert_frame_equal(table[users.columns], expected, check_dtype=False)
    assert (
        table["country"].tolist() == ["de"] * len(users[::2].iloc[:0]) + table["country"].tolist()
    )
    assert table["country"].value_counts().to_dict() == {
        "de": len(users.iloc[0::4]) + len(users.iloc[1::4]),
        "kr": len(users.iloc[2::4]) + len(users.iloc[3::4]),
    }
    assert found.notes == (f"{len(users):,} rows of 4 Parquet files",)


@pytest.mark.parametrize(
    ("pattern", "n_files"),
    [("*/part-0.parquet", 2), ("country=kr/*.parquet", 2), ("**/*.parquet", 4), ("c*/p*-1.*", 2)],
)
def test_patterns(folder, pattern, n_files):
    found = read_table(f"{folder}/{pattern}")
    assert f"of {n_files} Parquet files" in found.notes[0]
    assert "country" in found.columns.table


def test_an_address_is_read_like_a_path(folder):
    pd.testing.assert_frame_equal(
        read_table(f"file://{folder}").columns.table, read_table(str(folder)).columns.table
    )
    assert "of 2 Parquet files" in read_table(f"file://{folder}/*/part-1.parquet").notes[0]
    with pytest.raises(UserError, match="cannot be opened"):
        read_table("nowhere://bucket/users")


def test_the_hash_follows_the_bytes(folder, users):
    before = read_table(str(folder)).sha256
    assert before == read_table(str(folder)).sha256
    users.iloc[0::4].iloc[::-1].to_parquet(folder / "country=de" / "part-0.parquet", index=False)
    assert before != read_table(str(folder)).sha256


def test_an_index_without_a_name_is_no_column(tmp_path):
    pd.DataFrame({"a": [1, 2]}, index=[5, 9]).to_parquet(tmp_path / "x.parquet")
    assert read_table(str(tmp_path)).columns.table.columns.tolist() == ["a"]


def test_numbers_of_other_widths_are_one_column(tmp_path):
    pd.DataFrame({"a": [1, 2]}).astype("int32").to_parquet(tmp_path / "x.parquet")
    pd.DataFrame({"a": [3.5]}).to_parquet(tmp_path / "y.parquet")
    assert read_table(str(tmp_path)).columns.table["a"].tolist() == [1, 2, 3.5]


@pytest.mark.parametrize("path", ["", "x.parquet"])
def test_decimals_are_numbers(tmp_path, path):
    cells = [Decimal("1.10"), None, Decimal("-3.07")]
    pd.DataFrame({"a": cells, "b": ["x", "y", "z"]}).to_parquet(tmp_path / "x.parquet")
    table = read_table(str(tmp_path / path)).columns.table
    np.testing.assert_array_equal(table["a"], [1.1, np.nan, -3.07])
    assert table["b"].tolist() == ["x", "y", "z"]


class TestRefused:
    def test_files_of_different_columns(self, folder):
        pd.DataFrame({"age": [1], "other": [2]}).to_parquet(folder / "country=kr" / "z.parquet")
        with pytest.raises(UserError, match=r"different columns: .*'country=kr/z\.parquet'"):
            read_table(str(folder))

    def test_a_column_that_is_text_in_one_and_number_in_another(self, tmp_path):
        pd.DataFrame({"a": ["x"]}).to_parquet(tmp_path / "x.parquet")
        pd.DataFrame({"a": [3.5]}).to_parquet(tmp_path / "y.parquet")
        with pytest.raises(UserError, match="of another kind in another Parquet file"):
            read_table(str(tmp_path))

    def test_nothing_there(self, folder, tmp_path):
        with pytest.raises(UserError, match="there is no folder"):
            read_table(str(tmp_path / "nowhere" / "*.parquet"))
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        with pytest.raises(UserError, match=r"no Parquet file is in .*It has 'a\.csv'"):
            read_table(f"{tmp_path}/*.csv")

    def test_no_parquet_in_it(self, tmp_path):
        (tmp_path / "x.parquet").write_text("nonsense")
        with pytest.raises(UserError, match="cannot be read as Parquet"):
            read_table(str(tmp_path))

    def test_more_than_memory_is_known_before_it_is_read(self, folder):
        with pytest.raises(UserError, match=r"64 bytes a cell, and 400 MB\); --memory allows 1 kB"):
            read_table(str(folder), memory=1000)


def test_other_files_are_told(folder):
    (folder / "country=de" / "readme.txt").write_text("hello")
    notes = read_table(str(folder)).notes
    assert notes[1] == "files beside the Parquet files were left aside: 'country=de/readme.txt'"


def test_what_is_one_file(folder, tmp_path):
    assert not are_many(str(folder / "country=de" / "part-0.parquet"))
    (tmp_path / "odd*.csv").write_text("a,b\n1,2\n")
    assert not are_many(str(tmp_path / "odd*.csv"))
    assert are_many("s3://bucket/users")


def test_a_folder_is_analysed(folder, capsys):
    assert (
        run("run", folder, *BASIC, "--segments", "kmeans", "--n-clusters", "2", "--memory", "2GB")
        == 0
    )
    out = capsys.readouterr()
    assert "4 Parquet files" in out.err
