"""Many Parquet files as one table: a folder, a pattern, hive partitions, an address such as s3://..."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import UserError

_PARQUET = (".parquet", ".pq")
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Where pandas keeps an index without a name.
_INDEX = re.compile(r"__index_level_\d+__")
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files that are one table.

    Attributes
    ----------
    name : as the user wrote it
    files : paths, sorted
    system, dataset : of pyarrow
    notes : on what was left aside
    """

    name: str
    files: tuple[str, ...]
    system: Any = field(repr=False)
    dataset: Any = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Count the rows, from the files' footers."""
        return int(self.dataset.count_rows())

    @property
    def n_columns(self) -> int:
        """Count the columns, those of partitions included."""
        return len(self.dataset.schema)

    def read(self) -> pd.DataFrame:
        """Read all rows, file by file in the order of their names."""
        try:
            table = self.dataset.to_table().to_pandas(ignore_metadata=True)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.name!r} cannot be read: {error}") from error
        table.columns = [str(name) for name in table.columns]
        kept: pd.DataFrame = table.loc[:, [not _INDEX.fullmatch(name) for name in table.columns]]
        return kept

    def sha256(self) -> str:
        """Hash the files' bytes, in the order of their names."""
        digest = hashlib.sha256()
        for path in self.files:
            with self.system.open_input_stream(path) as stream:
                while chunk := stream.read(_HASHED_AT_ONCE):
                    digest.update(chunk)
        return digest.hexdigest()


def are_many(path: str) -> bool:
    """Tell whether a path is a folder, a pattern or an address, and so of several files perhaps."""
    if _ADDRESS.match(path):
        return True
    return Path(path).is_dir() or ("*" in path and not Path(path).exists())


def open_parquet_files(path: str) -> ParquetFiles:
    """Find the files, and check that they have the same columns.

    Raises
    ------
    UserError
        If pyarrow is missing, nothing is found, or the files do not belong together.
    """
    try:
        import pyarrow as pa
        from pyarrow import dataset as ds
    except ImportError as error:
        raise UserError(
            "reading several Parquet files needs pyarrow: `pip install pyarrow`."
        ) from error
    system, where = _opened(path)
    base, pattern = _split(where)
    try:
        files, others = _found(system, base, pattern)
    except OSError as error:
        raise UserError(f"{path!r} cannot be listed: {error}") from error
    if not files:
        there = f"It has {listed(others)}. " if others else ""
        raise UserError(
            f"no Parquet file is in {path!r}. {there}Files end in {' or '.join(_PARQUET)}; several CSV files are "
            "joined first."
        )
    options = {
        "filesystem": system,
        "format": "parquet",
        "partitioning": "hive",
        "partition_base_dir": _above_partitions(base),
    }
    try:
        found = ds.dataset(files, **options)
        schemas = {one.path: one.physical_schema for one in found.get_fragments()}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path!r} cannot be read as Parquet: {error}") from error
    found = ds.dataset(files, schema=_common_schema(pa, schemas, found.schema, base), **options)
    notes = (f"files beside the Parquet files were left aside: {listed(others)}",)
    return ParquetFiles(path, tuple(files), system, found, notes if others else ())


def _opened(path: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    from pyarrow import fs

    if not _ADDRESS.match(path):
        return fs.LocalFileSystem(), Path(path).absolute().as_posix()
    scheme, _, rest = path.partition("://")
    base, pattern = _split(rest)
    try:
        system, where = fs.FileSystem.from_uri(f"{scheme}://{base}")
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"{path!r} cannot be opened: {error}") from error
    return system, f"{where.rstrip('/')}/{pattern}" if pattern else where


def _split(path: str) -> tuple[str, str]:
    """Split a path into the folder above the first pattern, and the pattern."""
    parts = path.split("/")
    first = next((i for i, part in enumerate(parts) if "*" in part), len(parts))
    return "/".join(parts[:first]) or "/", "/".join(parts[first:])


def _found(system: Any, base: str, pattern: str) -> tuple[list[str], list[str]]:
    """Return the Parquet files that fit, and the names of others; hidden ones are neither."""
    from pyarrow import fs

    about = system.get_file_info(base)
    if about.type == fs.FileType.File:
        return [base], []
    if about.type == fs.FileType.NotFound:
        raise UserError(f"there is no folder {base!r}. Check the path.")
    infos = system.get_file_info(fs.FileSelector(base, recursive=True))
    inside = [(info.path, info.path[len(base) :].lstrip("/")) for info in infos if info.is_file]
    fits = _regex(pattern) if pattern else re.compile(".*")
    shown = [
        (path, name)
        for path, name in sorted(inside)
        if fits.fullmatch(name) and not any(part[0] in "._" for part in name.split("/"))
    ]
    files = [path for path, name in shown if name.lower().endswith(_PARQUET)]
    return files, [name for path, name in shown if path not in set(files)]


def _regex(pattern: str) -> re.Pattern[str]:
    """Read `*` as any name, `**` as any folders."""
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.compile(text)


def _above_partitions(base: str) -> str:
    """Return the folder above the first that is called name=value."""
    parts = base.split("/")
    first = next((i for i, part in enumerate(parts) if "=" in part), len(parts))
    return "/".join(parts[:first]) or "/"


def _common_schema(pa: Any, schemas: dict[str, Any], whole: Any, base: str) -> Any:
    """Return the columns of all files; refuse files that have others, or of another kind."""
    first = next(iter(schemas))
    names = set(schemas[first].names)
    for path, schema in schemas.items():
        if differing := sorted(names ^ set(schema.names)):
            raise UserError(
                f"the Parquet files have different columns: {listed(differing)} are in {_short(first, base)!r} or in "
                f"{_short(path, base)!r}, not in both. Name the files that belong together, or write them anew."
            )
    bare = [schema.remove_metadata() for schema in schemas.values()]
    try:
        common = pa.unify_schemas(bare, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise UserError(f"a column is of another kind in another Parquet file: {error}") from error
    partitions = [column for column in whole if column.name not in names]
    return pa.schema([*common, *partitions])


def _short(path: str, base: str) -> str:
    return path[len(base) :].lstrip("/") or path
