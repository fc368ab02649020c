"""Files, compressed files and pipes."""

from __future__ import annotations

import gzip
import io
import sys

import pytest

from segcate.cli._problems import UserError
from segcate.cli._reading import read_table
from tests.helpers.command_line import BASIC, error_of, run

TEXT = b"a,b\n1,2\n3,4\n"


class Piped(io.TextIOWrapper):
    def __init__(self, data, terminal=False):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize(
    "data",
    [TEXT, gzip.compress(TEXT, mtime=0), TEXT.decode().encode("utf-16")],
    ids=["utf-8", "gz", "utf-16"],
)
def test_a_pipe_is_read_like_a_file(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", Piped(data))
    found = read_table("-")
    assert found.columns.table.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert found.name == "standard input"


def test_parquet_comes_through_a_pipe(monkeypatch, tmp_path, users):
    users.to_parquet(tmp_path / "users.parquet")
    monkeypatch.setattr(sys, "stdin", Piped((tmp_path / "users.parquet").read_bytes()))
    assert read_table("-").columns.table.equals(users)


def test_a_terminal_and_an_empty_pipe_are_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Piped(b"", terminal=True))
    with pytest.raises(UserError, match="nothing is piped into it"):
        read_table("-")
    monkeypatch.setattr(sys, "stdin", Piped(b""))
    with pytest.raises(UserError, match="standard input is empty"):
        read_table("-")


def test_a_compressed_file_needs_no_ending(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(TEXT))
    assert len(read_table(str(tmp_path / "a.csv")).columns.table) == 2


def test_a_workbook_is_named_as_such(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(UserError, match="a zip archive or an Excel workbook"):
        read_table(str(tmp_path / "a.csv"))


def test_a_run_reads_a_pipe(monkeypatch, file, capsys):
    monkeypatch.setattr(sys, "stdin", Piped(file.read_bytes()))
    assert run("run", "-", *BASIC, "--segment-column", "region") == 0
    first = capsys.readouterr().out
    assert run("run", file, *BASIC, "--segment-column", "region") == 0
    assert capsys.readouterr().out == first


def test_a_folder_that_is_not_there_is_told(tmp_path, capsys):
    assert "There is no folder" in error_of(capsys, "run", tmp_path / "x" / "a.csv", *BASIC)
