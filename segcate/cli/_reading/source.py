"""Open what the user named: a file, a compressed one, or standard input."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import UserError

__all__ = ["STANDARD_INPUT", "Source", "open_source", "read_parquet"]

STANDARD_INPUT = "-"
_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_GZIP_MAGIC, _PARQUET_MAGIC, _ZIP_MAGIC = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of a table.

    Attributes
    ----------
    name : for messages and titles
    data : bytes, no longer compressed
    is_parquet : whether they are Parquet; else text
    prefers_tabs : whether its name says that cells stand between tabs
    sha256 : of the bytes as they came
    """

    name: str
    data: bytes = field(repr=False)
    is_parquet: bool
    prefers_tabs: bool = False
    sha256: str = ""


def open_source(path: str) -> Source:
    """Read a file, or standard input for `-`, and take off gzip.

    Raises
    ------
    UserError
        If there is no such file, or it is of a kind that cannot be read.
    """
    if path == STANDARD_INPUT:
        name, raw = "standard input", _from_standard_input()
    else:
        name, raw = Path(path).name, _from_file(Path(path))
    digest = hashlib.sha256(raw).hexdigest()
    data = _unzipped(name, raw) if raw.startswith(_GZIP_MAGIC) else raw
    if data.startswith(_ZIP_MAGIC):
        raise UserError(
            f"{name!r} is a zip archive or an Excel workbook. Unpack it, or save its sheet as CSV or Parquet."
        )
    is_parquet = data.startswith(_PARQUET_MAGIC) or name.lower().endswith(_PARQUET)
    return Source(name, data, is_parquet, ".tsv" in name.lower(), digest)


def _from_standard_input() -> bytes:
    stream = sys.stdin
    if stream is None or stream.isatty():
        raise UserError(
            "DATA is -, standard input, and nothing is piped into it: `zcat users.csv.gz | segcate run - ...`."
        )
    raw: bytes = stream.buffer.read()
    if not raw:
        raise UserError("standard input is empty; is the command before the pipe right?")
    return raw


def _from_file(path: Path) -> bytes:
    if not path.exists():
        raise UserError(f"there is no file {str(path)!r}. {_near_files(path)}".strip())
    if not path.name.lower().endswith(_TEXT + _PARQUET):
        raise UserError(
            f"{path.name!r} must end in one of {', '.join(_TEXT + _PARQUET)}, so that its format is "
            "known. Rename or convert it, or pipe it in: `segcate run - < FILE`."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{str(path)!r} cannot be read: {error.strerror or error}. Check its permissions."
        ) from error


def _near_files(path: Path) -> str:
    """Suggest files beside it with a like name."""
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    others = [file.name for file in path.parent.iterdir() if file.is_file()]
    close = difflib.get_close_matches(path.name, others, n=3)
    return f"Did you mean {listed(close)}?" if close else "Check the path."


def _unzipped(name: str, raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{name!r} is not a whole gzip file: {error}. Copy or download it again."
        ) from error


def read_parquet(source: Source) -> pd.DataFrame:
    """Read a Parquet file; a named index becomes columns."""
    try:
        table = pd.read_parquet(io.BytesIO(source.data))
    except ImportError as error:
        raise UserError("reading Parquet needs pyarrow: `pip install pyarrow`.") from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{source.name!r} is not a Parquet file that can be read: {error}"
        ) from error
    table.columns = [str(name) for name in table.columns]
    has_names = any(name is not None for name in table.index.names)
    return table.reset_index(drop=not has_names)
