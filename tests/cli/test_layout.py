"""A text is cut into rows and cells, or refused in one line."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from segcate.cli import main
from segcate.cli._problems import UserError
from segcate.cli._reading import read_table
from tests.helpers import command_line
from tests.helpers.command_line import error_of

BASIC = ("--outcome", "y", "--treatment", "t")


def run(capsys, *arguments):
    code = main(["run", *map(str, arguments)])
    found = capsys.readouterr()
    return code, found.out + found.err


def read(path, *, sep=None, encoding=None):
    return read_table(str(path), sep=sep, encoding=encoding).columns.table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"y,t,x\n1,0,2\n2,1\n3,1,5\n", "row 2 has 2 cells, and the header names 3 columns"),
        (b"y,t,x\n1,0,2,\n2,1,3,\n", "its rows have more cells than the header"),
        (b"y,t,x\n1,0,2\n2,1,3,4\n", "is not a regular table"),
        (b"y,t,y\n1,0,2\n", "columns of the same name: 'y'"),
        (b"y,t,x\n", "has column names but no rows"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\x00\x01\x02\x03", "single column"),
        (b'y,t,x\n1,0,"2\n2,1,3\n', "EOF inside string"),
    ],
)  # fmt: skip
def test_files_that_are_no_table_end_in_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    code, text = run(capsys, path, *BASIC, "--quiet")
    assert code == 2, text
    assert text.count("\n") == 1
    assert message in text


def test_a_cut_gzip_file_and_a_strange_separator_are_told(tmp_path, capsys):
    whole = gzip.compress(b"y,t,x\n" + b"1,0,2\n2,1,3\n" * 5000)
    (tmp_path / "data.csv.gz").write_bytes(whole[:-20])
    code, text = run(capsys, tmp_path / "data.csv.gz", *BASIC, "--quiet")
    assert (code, text.count("\n")) == (2, 1)
    assert "gzip" in text
    (tmp_path / "data.csv").write_text("y,t\n1,0\n")
    with pytest.raises(UserError, match="--sep must be one character"):
        read(tmp_path / "data.csv", sep="::")


def test_parquet_columns_of_one_name_are_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [arrow.array([1.0, 2.0]), arrow.array([0, 1]), arrow.array([3, 4])]
    parquet.write_table(
        arrow.Table.from_arrays(columns, names=["y", "t", "y"]), tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match=r"a\.parquet"):
        read(tmp_path / "a.parquet")


def write(path, text):
    path.write_text(text)
    return path


def test_missing_file_suggests_its_neighbours(file, capsys):
    text = error_of(capsys, "run", file.with_name("user.csv"), *command_line.BASIC)
    assert "there is no file" in text
    assert "Did you mean 'users.csv'?" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "has column names but no rows"),
        ("spend\n1\n", "has a single column, 'spend'; at least two are needed"),
        ("spend,spend,offer\n1,2,0\n", "columns of the same name: 'spend'. Rename them."),
        ("spend,offer\n1,0\n1,2,3,4\n", "is not a regular table"),
    ],
)
def test_unusable_csv_is_told_what_is_wrong(tmp_path, capsys, text, message):
    path = write(tmp_path / "data.csv", text)
    assert message in error_of(capsys, "run", path, "--outcome", "spend", "--treatment", "offer")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spend;offer;x\n1;0;2\n", "single column, 'spend;offer;x', when read with separator ','"),
        ("spend\toffer\n1\t0\n", "Its name holds tabs: try --sep tab."),
    ],
)
def test_a_separator_that_does_not_fit_is_told(tmp_path, capsys, text, message):
    path = write(tmp_path / "data.csv", text)
    options = ("--outcome", "spend", "--treatment", "offer", "--sep", ",")
    assert message in error_of(capsys, "run", path, *options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a;b;c\n1,5;x;2\n2,5;y,z;3\n", "semicolons"),
        ("a\tb\tc\n1\tx;y\t2\n2\tz\t3\n", "tabs"),
        ("a|b|c\n1|x, y|2\n2|z|3\n", "bars"),
        ('"a, in EUR";b\n"1;2";x\n', "semicolons"),
        ("a,b,c\n1,x;y;z,2\n3,u;v;w,4\n", ""),
    ],
)
def test_the_separator_that_fits_all_rows_is_found_and_said(tmp_path, text, said):
    found = read_table(str(write(tmp_path / "d.csv", text)))
    assert found.notes == ((f"d.csv: cells stand between {said}",) if said else ())
    assert len(found.columns.table.columns) == (2 if "EUR" in text else 3)


def test_names_lose_the_blanks_around_them_and_keep_quoted_signs(tmp_path):
    path = write(tmp_path / "d.csv", ' a ,"b ""x"", c"\n1,2\n')
    assert read(path).columns.tolist() == ["a", 'b "x", c']
    with pytest.raises(UserError, match="columns of the same name: 'a'"):
        read(write(tmp_path / "d.csv", "a, a\n1,2\n"))


def test_semicolons_tabs_gzip_and_other_encodings_are_read_when_named(tmp_path, users):
    small = users.head(20).rename(columns={"region": "región"})
    small.to_csv(tmp_path / "a.csv", sep=";", index=False, encoding="latin-1")
    small.to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    with gzip.open(tmp_path / "c.csv.gz", "wt", encoding="utf-8") as target:
        small.to_csv(target, index=False)
    for name, sep, encoding in (
        ("a.csv", ";", "latin-1"),
        ("b.tsv", None, "utf-8"),
        ("c.csv.gz", None, "utf-8"),
    ):
        found = read(tmp_path / name, sep=sep, encoding=encoding)
        pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / "b.tsv", sep="\t"))
        pd.testing.assert_frame_equal(read(tmp_path / name), found)
    with pytest.raises(UserError, match=r"cannot be read as utf-8.*--encoding cp1252"):
        read(tmp_path / "a.csv", sep=";", encoding="utf-8")


def test_other_formats_and_folders_are_refused(tmp_path, capsys):
    path = write(tmp_path / "data.xlsx", "x")
    assert "must end in one of .csv" in error_of(capsys, "run", path, *command_line.BASIC)
    assert "no Parquet file is in" in error_of(capsys, "run", tmp_path, *command_line.BASIC)
    path = write(tmp_path / "data.parquet", "no parquet")
    assert "is not a Parquet file that can be read" in error_of(
        capsys, "run", path, *command_line.BASIC
    )
