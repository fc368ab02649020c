"""Where rows come from: a way to read them again and again, as Arrow record batches."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# Small batches are put together up to so many rows, larger ones cut.
ROWS_AT_ONCE = 131_072

Opened = Callable[[], Iterator[Any]]

_KINDS = (
    "a path, glob or URI of Parquet or CSV files, a pyarrow Dataset or Table, a DuckDB relation, a Polars LazyFrame, "
    "or a function that returns a fresh iterator of record batches"
)
_FORMATS = {".csv": "csv", ".json": "json", ".feather": "feather", ".arrow": "ipc"}


def require_pyarrow() -> Any:
    """Import pyarrow, or say which extra brings it."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "scale.fit needs pyarrow: pip install segcate[scale]. Data that fit memory need none: "
            "fit the estimator itself."
        ) from error
    return pa


def open_source(source: Any, columns: list[str] | None) -> Opened:
    """Return a function that starts reading anew and yields record batches of about one size.

    Parameters
    ----------
    source : as `fit` takes it
    columns : names to read; None: all
    """
    pa = require_pyarrow()
    read = _reader(pa, source, columns)
    return lambda: evened(pa, read())


def _reader(pa: Any, source: Any, columns: list[str] | None) -> Opened:
    """Choose how to read a source."""
    import pyarrow.dataset as ds

    if isinstance(source, str | Path):
        source = _dataset(ds, str(source))
    if isinstance(source, ds.Dataset):
        return lambda: dataset_batches(source, columns)
    if isinstance(source, pa.Table):
        table = source if columns is None else source.select(columns)
        return lambda: iter(table.to_batches())
    if hasattr(source, "collect_batches"):  # polars
        frame = source if columns is None else source.select(columns)
        return lambda: (part.to_arrow() for part in frame.collect_batches())
    if hasattr(source, "fetch_arrow_reader"):  # duckdb
        relation = source if columns is None else source.select(*map(_quoted, columns))
        return lambda: iter(_duckdb_batches(relation))
    if callable(source):
        return lambda: _chosen(source(), columns)
    if hasattr(source, "sink_parquet"):
        raise TypeError(
            "scale.fit: this version of Polars cannot give the batches of a LazyFrame. Use a later one "
            "(`LazyFrame.collect_batches`), or source.sink_parquet(path) and pass the path."
        )
    once = isinstance(source, pa.RecordBatchReader | Iterator)
    why = (
        "can be read once, and a fit reads its rows several times" if once else "is not one of them"
    )
    raise TypeError(
        f"scale.fit: `source` must be {_KINDS}; got a {type(source).__name__}, which {why}. Pass a function that "
        "makes a new one, or write the rows to Parquet; data in memory go to the estimator's own fit."
    )


def dataset_batches(source: Any, columns: list[str] | None) -> Iterator[Any]:
    """Start reading a dataset anew; of a Parquet file a scan would hold all it has read, until the file ends."""
    import pyarrow.dataset as ds

    options = None
    if isinstance(getattr(source, "format", None), ds.ParquetFileFormat):
        options = ds.ParquetFragmentScanOptions(pre_buffer=False)
    return iter(source.to_batches(columns=columns, fragment_scan_options=options))


def _dataset(ds: Any, path: str) -> Any:
    """Open a path, a glob or a URI."""
    kind = _FORMATS.get(Path(path).suffix.lower(), "parquet")
    if "://" not in path and glob.has_magic(path):
        files = sorted(glob.glob(path, recursive=True))
        if not files:
            raise FileNotFoundError(f"scale.fit: no file matches `source`={path!r}.")
        return ds.dataset(files, format=kind)
    return ds.dataset(path, format=kind, partitioning="hive")


def source_mark(source: Any) -> str:
    """Say in a short text which rows a source gives: of files names, sizes and times; of others their kind.

    A function may say it with an attribute `reads`: a dataset, or a text. Rows of other sources are told
    apart by what passes add up.
    """
    import pyarrow.dataset as ds

    said = getattr(source, "reads", None)
    if isinstance(said, str):
        return said
    source = source if said is None else said
    if isinstance(source, str | Path):
        source = _dataset(ds, str(source))
    if not isinstance(source, ds.FileSystemDataset):
        return type(source).__name__
    files = source.filesystem.get_file_info(source.files)
    texts = [f"{file.path} {file.size} {file.mtime_ns}" for file in files]
    whole = "\n".join([str(source.schema), *texts])
    return f"{len(texts)} files, {hashlib.sha256(whole.encode()).hexdigest()}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _duckdb_batches(relation: Any) -> Iterable[Any]:
    """Run a relation again."""
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    return read(ROWS_AT_ONCE)  # type: ignore[no-any-return]


def _chosen(batches: Iterable[Any], columns: list[str] | None) -> Iterator[Any]:
    for batch in batches:
        yield batch if columns is None else batch.select(columns)


def evened(pa: Any, batches: Iterable[Any]) -> Iterator[Any]:
    """Put small batches together and cut large ones."""
    held: list[Any] = []
    n_held = 0
    for batch in batches:
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        for begin in range(0, table.num_rows, ROWS_AT_ONCE):
            part = table.slice(begin, ROWS_AT_ONCE)
            held.append(part)
            n_held += part.num_rows
            if n_held >= ROWS_AT_ONCE:
                yield pa.concat_tables(held, promote_options="permissive")
                held, n_held = [], 0
    if n_held:
        yield pa.concat_tables(held, promote_options="permissive")
