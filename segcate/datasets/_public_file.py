"""Public data files: a user's own copy, a cached copy, or a checked download."""

from __future__ import annotations

import gzip
import os
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.listing import listed
from segcate._writing.whole_files import whole_file


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A CSV file that is published somewhere.

    Attributes
    ----------
    owner : function that reads it, for messages
    url : where it is published
    name : of the copy in the cache
    size : of the download, with its unit
    values_sha256 : digest of its values
    """

    owner: str
    url: str
    name: str
    size: str
    values_sha256: str


def find_file(
    public: PublicFile,
    path: str | os.PathLike[str] | None,
    data_home: str | os.PathLike[str] | None,
    *,
    download: bool,
    timeout: float,
    digest: Callable[[Path], str],
) -> Path:
    """Return the user's own file, or the cached copy, fetched first if that was asked for.

    Raises
    ------
    ValueError
        If both kinds of file are asked for, or the copy or what was downloaded has other values.
    FileNotFoundError
        If the file is not there, and `download` is off.
    OSError
        If the download fails.
    """
    if path is not None and (download or data_home is not None):
        raise ValueError(
            f"{public.owner}: `path` names a file of your own, `download` and `data_home` the cached "
            "copy. Pass the one or the other."
        )
    if path is not None:
        file = Path(path)
    else:
        home = data_home or os.environ.get("SEGCATE_DATA") or "~/segcate_data"
        file = Path(home).expanduser() / public.name
    is_good = file.is_file() and (path is not None or _is_public(public, file, digest))
    if is_good:
        return file
    if not download:
        if file.is_file():
            raise ValueError(
                f"{public.owner}: the copy {str(file)!r} is damaged or another file: its values are not those of the "
                "public one. Pass `download=True` to fetch it again, or `path=` to read it as it is."
            )
        raise FileNotFoundError(_not_there(public, file, path is not None))
    _download(public, file, timeout, digest)
    return file


def _is_public(public: PublicFile, file: Path, digest: Callable[[Path], str]) -> bool:
    """Tell whether a copy holds the values of the public file."""
    try:
        return digest(file) == public.values_sha256
    except ValueError:
        return False


def _not_there(public: PublicFile, file: Path, is_own: bool) -> str:
    if is_own:
        return f"{public.owner}: there is no file {str(file)!r}. Check `path`."
    return (
        f"{public.owner}: there is no copy of the data at {str(file)!r}. Pass `download=True` to fetch "
        f"it ({public.size}) from {public.url}, or fetch it by hand and pass `path=`."
    )


def _download(
    public: PublicFile, file: Path, timeout: float, digest: Callable[[Path], str]
) -> None:
    """Download the public file; it is moved into place only once complete and checked."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = _content(public, timeout)
    with whole_file(file) as part:
        part.write_bytes(content)
        found = digest(part)
        if found != public.values_sha256:
            raise ValueError(
                f"{public.owner}: what {public.url} sent is not the public file: its values have the SHA-256 "
                f"{found[:16]}..., expected {public.values_sha256[:16]}... Nothing was stored. If the "
                "file has changed and you trust it, fetch it by hand and pass `path=`."
            )


def _content(public: PublicFile, timeout: float) -> bytes:
    try:
        with urllib.request.urlopen(public.url, timeout=timeout) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise OSError(
            f"{public.owner}: the download of {public.url} failed ({getattr(error, 'reason', error)}). Try "
            "again online, or fetch the file on another machine and pass `path=`."
        ) from error


def read_table(owner: str, file: Path, columns: Sequence[str], expected: str) -> pd.DataFrame:
    """Read a CSV file that must have `columns`, which come as text."""
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(columns, str))
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{owner}: {str(file)!r} is not a CSV file: {error}. Fetch the file again."
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(
            f"{owner}: {str(file)!r} lacks the columns {listed(missing, 13)}; it has "
            f"{listed(table.columns, 13)}. Expected is {expected} with {', '.join(columns)}."
        )
    return table


def finite_numbers(owner: str, column: pd.Series, file: Path) -> npt.NDArray[Any]:
    """Convert text to the nearest doubles; a column of whole numbers to integers."""
    try:
        values = np.asarray(column, dtype=object).astype(np.float64)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{owner}: column {column.name!r} of {str(file)!r} must hold finite numbers; it "
            "holds text or gaps. Fetch the file again."
        )
    return values if (values % 1).any() else values.astype(np.int64)
