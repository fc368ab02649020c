"""Passes on Spark: `mapInArrow` and `applyInArrow` alone, so that Connect works, and serverless computing should.

The first pass looks at the rows, the second one encodes them into blocks of many rows, which are kept on the disks
of the cluster where it can. Whatever a task gives comes from its own rows and from what the driver sent, so
that a task that is run again gives the same.
"""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

import segcate
from segcate.scale._blocks import (
    BlockReader,
    from_bytes,
    pack,
    row_blocks,
    to_bytes,
    unpack,
)
from segcate.scale._rows import Reader, Roles
from segcate.scale._runner import Parts, PartStep, R, Step
from segcate.scale._scan import Look, Scan
from segcate.scale._sources import evened, require_pyarrow
from segcate.scale._sums import merged

# More results than this are put together on the cluster before the driver sees them.
MOST_RESULTS = 64
# Bytes of dealt rows that a task holds back, so that they leave in few large rows.
MOST_HELD = 64 * 2**20
# Small parts share a task, up to about so many rows.
ROWS_A_TASK = 50_000
_MOST_PARTITIONS = 10_000
_RESULT = "bucket long, at long, found binary"
_DEALT = "segment long, part long, at long, found binary"
_BLOCK = "found binary"

_TOO_LARGE = (
    "scale.fit: what a pass gives is larger than spark.driver.maxResultSize lets through to the driver. Most of it are "
    "columns with values far out, which are measured whole (8 bytes a row): cap them in the source, or take asinh or "
    "log. Else take fewer columns or segments, a smaller `sample_size`, or raise that setting."
)

Batches = Iterable[Any]
Merge = Callable[[int, Any, Any], Any]


@contextmanager
def without_pandas_note() -> Iterator[None]:
    """Keep PySpark from saying of each call that it knows no pandas 3; rows pass through Arrow alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "PySpark does not yet fully support pandas", FutureWarning, r"pyspark\."
        )
        yield


def is_spark(source: Any) -> bool:
    """Tell whether a source is a DataFrame of Spark, classic or Connect."""
    return type(source).__module__.startswith("pyspark.sql") and hasattr(source, "mapInArrow")


class _Found(NamedTuple):
    """What a task gives.

    Attributes
    ----------
    labels : of the segments by the task's codes
    results : by code
    n, total : rows, and the sum of their outcomes; for parts: rows dealt, and bytes
    """

    labels: list[Any]
    results: dict[int, Any]
    n: int
    total: float


class SparkRunner:
    """Passes as jobs of Spark.

    Parameters
    ----------
    frame : DataFrame
    roles : which column is what
    """

    def __init__(self, frame: Any, roles: Roles) -> None:
        require_pyarrow()
        self.reader = Reader("SegmentMatching", _nothing, roles)
        wanted = roles.wanted
        self._frame = frame if wanted is None else frame.select(*map(_quoted, wanted))
        self._blocks: Any = None
        self._is_kept = False
        self._n_tasks = 0
        self.n_passes = 0

    def close(self) -> None:
        """Let go of what was kept on the cluster."""
        if self._is_kept:
            self._blocks.unpersist()
            self._is_kept = False

    @without_pandas_note()
    def scan(self, sample_size: int, random_state: int) -> Scan:
        """Look at the rows as they are."""
        n = self._frame.count()
        share = min(1.0, (sample_size + 6 * np.sqrt(sample_size)) / max(n, 1))
        task = _looked(self.reader, sample_size, random_state, share)
        found = _collected(self._frame.mapInArrow(task, _RESULT))
        self.n_passes += 1
        self._n_tasks = len(found)
        look, n, total = Look(sample_size, random_state), 0, 0.0
        for version, seen, (n_read, outcomes) in found:
            _check_version(version)
            look.join(seen)
            n, total = n + n_read, total + outcomes
        self.reader.check_same(n, total)
        if self.reader.dropping is not None:  # blocks hold the other rows alone
            self.reader.seen = None
        return look.found()

    @without_pandas_note()
    def fold(self, step: Step[R]) -> dict[int, R]:
        """Carry out a pass, and return the result of each segment."""
        rows, reader = self._frame, self.reader
        if not reader.allows_gaps:  # rows with gaps are seen once, and not kept
            rows, reader = self._rows(), self._block_reader()
        task = _folded(reader, step, MOST_RESULTS)
        found = self._together(rows.mapInArrow(task, _RESULT), step.merged, self._n_tasks)
        self.reader.check_same(found.n, found.total)
        self.n_passes += 1
        return found.results

    @without_pandas_note()
    def match(self, step: PartStep) -> Parts:
        """Deal the rows out by a shuffle, and add the parts of each segment up."""
        dealt = self._rows().mapInArrow(_dealt(self._block_reader(), step), _DEALT)
        n_rows = 0 if self.reader.seen is None else self.reader.seen[0]
        n = max(min(step.n_parts, -(-n_rows // ROWS_A_TASK), _MOST_PARTITIONS), 1)
        parts = dealt.repartition(n, "segment", "part").groupBy("segment", "part")
        labels = list(self.reader.labels)
        results = parts.applyInArrow(_matched(step, labels, MOST_RESULTS), _RESULT)
        found = self._together(results, _merged_sums, step.n_parts)
        self.n_passes += 1
        return Parts(found.results, found.n, int(found.total))

    def _together(self, results: Any, merge: Merge, n_results: int) -> _Found:
        """Put the results of tasks together, first on the cluster where they are many."""
        if n_results > MOST_RESULTS:
            results = results.groupBy("bucket").applyInArrow(_merged_bucket(merge), _RESULT)
        return _put_together(_collected(results), merge, self.reader.labels)

    def _block_reader(self) -> BlockReader:
        reader = self.reader
        return BlockReader(reader.owner, _nothing, reader.roles, labels=dict(reader.labels))

    def _rows(self) -> Any:
        """Return the blocks of encoded rows; kept, unless the cluster keeps nothing."""
        if self._blocks is None:
            self._blocks = self._frame.mapInArrow(_encoded(self.reader), _BLOCK)
            self._is_kept = _persisted(self._blocks)
        return self._blocks


def _persisted(frame: Any) -> bool:
    """Ask the cluster to keep rows on its disks; serverless computing refuses, and reads the source again."""
    from pyspark import StorageLevel
    from pyspark.errors import PySparkException

    try:
        frame.persist(StorageLevel.DISK_ONLY)
    except PySparkException:
        return False
    return True


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _nothing() -> Iterator[Any]:
    return iter(())


def _merged_sums(code: int, one: Any, other: Any) -> Any:
    return merged(one, other)


def _collected(results: Any) -> list[Any]:
    """Bring results to the driver, in the order of the tasks."""
    try:
        table = results.toArrow()
    except Exception as error:
        if "spark.driver.maxResultSize" in str(error):
            raise ValueError(_TOO_LARGE) from error
        missing = re.search(r"No module named '([\w.]+)'", str(error))
        if missing is None:
            raise
        raise ImportError(
            f"scale.fit: the Python of Spark's workers has no {missing[1]}. Install segcate[spark] "
            f"{segcate.__version__} there as on the driver, or ship an environment that has it; on one machine, set "
            "PYSPARK_PYTHON to the Python that has segcate before the session starts."
        ) from error
    order = np.argsort(table.column("at").to_numpy(), kind="stable")
    written = table.column("found")
    return [from_bytes(written[int(i)].as_py()) for i in order]


def _check_version(version: str) -> None:
    if version != segcate.__version__:
        raise ImportError(
            f"scale.fit: the workers of Spark have segcate {version}, the driver has {segcate.__version__}. Install "
            "the same version on both."
        )


def _put_together(found: Iterable[_Found], merge: Merge, labels: dict[Any, int]) -> _Found:
    """Put results together; codes become those of the labels known here."""
    out: dict[int, Any] = {}
    n, total = 0, 0.0
    for one in found:
        n, total = n + one.n, total + one.total
        for own, result in one.results.items():
            code = labels.setdefault(one.labels[own], len(labels))
            out[code] = merge(code, out[code], result) if code in out else result
    return _Found(list(labels), out, n, total)


# Tasks. Each is a function made by a function of this module, so that what travels to workers is what it needs.


@cache
def _settle() -> None:
    """Keep imported modules out of the collections that a worker makes after each task: a tenth of a second each."""
    gc.collect()
    gc.freeze()


def _task_number() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else context.partitionId()


def _reading(reader: Reader, batches: Batches) -> Reader:
    """Return a reader of the batches of a task, which learns nothing from other tasks."""
    opened = partial(evened, require_pyarrow(), batches)
    return replace(reader, opened=opened, labels=dict(reader.labels), seen=None)


def _reading_rows(reader: Reader, batches: Batches) -> Reader:
    """Return a reader of encoded rows: from blocks, or from the source."""
    if not isinstance(reader, BlockReader):
        return _reading(reader, batches)

    def opened() -> Iterator[Any]:
        for batch in batches:
            for block in batch.column(0):
                yield block.as_buffer()

    return replace(reader, opened=opened, labels=dict(reader.labels), seen=None)


def _batch(**columns: Any) -> Any:
    """Make a batch of one row."""
    pa = require_pyarrow()
    types = {"found": pa.binary()}
    arrays = [pa.array([value], types.get(name, pa.int64())) for name, value in columns.items()]
    return pa.record_batch(arrays, names=list(columns))


def _result(task: int, n_a_bucket: int, make: Callable[[], Any]) -> Any:
    """Return the result of a task, or the error that it met, for the driver to raise: no use to try again."""
    _settle()
    try:
        found = make()
    except (TypeError, ValueError) as error:
        found = error
    return _batch(bucket=task // n_a_bucket, at=task, found=to_bytes(found))


def _looked(reader: Reader, sample_size: int, random_state: int, share: float) -> Any:
    """Make the task of the first look."""

    def run(batches: Batches) -> Iterator[Any]:
        task = _task_number()

        def look() -> Any:
            own = _reading(reader, batches)
            seen = Look(sample_size, [random_state, task])
            for raw in own.raw():
                seen.add(raw)
            return segcate.__version__, seen.within(share), own.seen

        yield _result(task, 1, look)

    return run


def _encoded(reader: Reader) -> Any:
    """Make the task that encodes rows into blocks."""

    def run(batches: Batches) -> Iterator[Any]:
        try:
            for block in row_blocks(_reading(reader, batches)):
                yield _batch(found=block)
        except (TypeError, ValueError) as error:
            yield _batch(found=to_bytes(error))

    return run


def _folded(reader: Reader, step: Any, n_a_bucket: int) -> Any:
    """Make the task of a pass whose results are small."""

    def run(batches: Batches) -> Iterator[Any]:
        def fold() -> _Found:
            own = _reading_rows(reader, batches)
            out: dict[int, Any] = {}
            for code, rows in own.by_segment():
                found = step.of(code, rows)
                if found is not None:
                    out[code] = step.merged(code, out[code], found) if code in out else found
            n, total = own.seen or (0, 0.0)
            return _Found(list(own.labels), out, n, total)

        yield _result(_task_number(), n_a_bucket, fold)

    return run


def _merged_bucket(merge: Merge) -> Any:
    """Make the task that puts the results of one bucket together."""

    def run(table: Any) -> Any:
        pa = require_pyarrow()
        at = table.column("at").to_numpy()
        order = np.argsort(at, kind="stable")
        written = table.column("found")

        def together() -> _Found:
            found = (from_bytes(written[int(i)].as_py()) for i in order)
            return _put_together(found, merge, {})

        return pa.Table.from_batches([_result(int(at.min()), 1, together)])

    return run


def _dealt(reader: BlockReader, step: PartStep) -> Any:
    """Make the task that deals rows out, in few large rows."""

    def run(batches: Batches) -> Iterator[Any]:
        held: dict[tuple[int, int], list[Any]] = {}
        n_held, at = 0, _task_number() << 32
        for code, rows in _reading_rows(reader, batches).by_segment():
            for part, packed in step.dealt(code, rows):
                held.setdefault((code, part), []).append(packed)
                n_held += packed.nbytes
            if n_held > MOST_HELD:
                yield from _sent(held, at)
                held, n_held, at = {}, 0, at + 1
        yield from _sent(held, at)

    return run


def _sent(held: dict[tuple[int, int], list[Any]], at: int) -> Iterator[Any]:
    for (segment, part), parts in held.items():
        rows = to_bytes(pack(np.concatenate(parts)))
        yield _batch(segment=segment, part=part, at=at, found=rows)


def _matched(step: PartStep, labels: list[Any], n_a_bucket: int) -> Any:
    """Make the task that takes all rows of one part."""

    def run(table: Any) -> Any:
        pa = require_pyarrow()
        code, part = table.column("segment")[0].as_py(), table.column("part")[0].as_py()
        order = np.argsort(table.column("at").to_numpy(), kind="stable")
        written = table.column("found")
        n_bytes = written.nbytes

        def match() -> _Found:
            rows = [unpack(from_bytes(written[int(i)].as_buffer())) for i in order]
            dealt = np.concatenate(rows)
            return _Found(labels, {code: step.sums((code, part), dealt)}, len(dealt), n_bytes)

        batch = _result((code << 32) + part, n_a_bucket, match)
        return pa.Table.from_batches([batch])

    return run
