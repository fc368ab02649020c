"""`segcate run --engine`: effects of a table that outgrows memory, read a batch at a time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.pipeline import make_pipeline

from segcate._inputs.listing import listed
from segcate._writing.whole_files import whole_folder
from segcate.cli._described import described
from segcate.cli._engine_weights import check_engine_weights, check_spark_weights
from segcate.cli._options import OPTIONS, defaults_of
from segcate.cli._problems import UserError, shell_list
from segcate.cli._progress import Progress
from segcate.cli._reading.memory import memory_needed, size_text
from segcate.cli._reading.parquet_files import are_many, open_parquet_files
from segcate.cli._spark_table import spark_frame, stop_jobs
from segcate.cli._study.weights import COUNTS_ROWS
from segcate.cli._tables import TABLE_FILE, Facts, frames_of, write_frames, write_table
from segcate.effects import SegmentMatching
from segcate.effects._table.segment_definition import segment_definition
from segcate.matching import PropensityMatcher
from segcate.segmentation import KMeansSegmenter

# Options that an engine follows; what the others do needs single rows in memory.
_FOLLOWED = {
    *(
        "outcome",
        "treatment",
        "control",
        "covariates",
        "ignore",
        "segment_column",
        "weights",
        "estimand",
    ),
    *(
        "caliper",
        "confidence_level",
        "random_state",
        "n_clusters",
        "cluster_on",
        "memory",
        "engine",
    ),
    *("sql", "spill", "resume", "config", "out", "quiet", "debug", "title"),
}
_ALSO = {
    "method": ("auto", "matching"),
    "segments": ("kmeans",),
    "missing_covariates": ("indicator", "drop"),
}
_FILES = (
    "effects.csv",
    "overall.csv",
    "contrasts.csv",
    "balance.csv",
    TABLE_FILE,
    "summary.txt",
    "config.toml",
)
# Where an analysis in memory does more.
_NOTES = (
    "columns are not screened for what was measured after the treatment: name --covariates that were known before it",
)
# Columns of these parts play no other one.
_ALONE = ("--outcome", "--treatment", "--weights")
_SECONDS_BETWEEN = 5.0
# Module, class and the option that brought it.
_OTHERS_ERRORS = (
    ("duckdb", "Error", "--sql"),
    ("pyspark.errors", "PySparkException", "--engine spark"),
    ("py4j.protocol", "Py4JError", "--engine spark"),
)
_BATCH = 131_072


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read several times.

    Attributes
    ----------
    name : for messages
    columns : names with their Arrow types
    n_rows : int
    batches : function of names of columns, gives a fresh iterator of Arrow batches
    reads : dataset or query behind it, by which a later run tells whether the rows are the same
    frame : DataFrame of Spark that is read in place of batches, or None
    """

    name: str
    columns: dict[str, Any]
    n_rows: int
    batches: Any
    reads: Any = None
    frame: Any = None


def choose_engine(options: dict[str, Any], progress: Progress) -> str | None:
    """Return the engine asked for, or arrow for Parquet that --memory does not hold; None: in memory."""
    engine, allowed = options["engine"], options["memory"]
    if (options["sql"] is None) == (engine == "duckdb"):
        raise UserError("--sql and --engine duckdb belong together: give both or neither.")
    if engine is not None:
        return str(engine)
    path = options["data"]
    is_parquet = path.lower().endswith((".parquet", ".pq")) or (path != "-" and are_many(path))
    if allowed is None or not is_parquet:
        refuse_engine_options(options)
        return None
    found = open_parquet_files(path)
    needed = memory_needed(found.n_rows, found.n_columns)
    if needed <= allowed:
        for flag in _of_engines(options):
            progress(
                f"note: {flag} does nothing here, as the rows fit --memory {size_text(allowed)}"
            )
        return None
    progress(
        f"{found.n_rows:,} rows need about {size_text(needed)} of memory, more than --memory {size_text(allowed)}: "
        "going on with --engine arrow"
    )
    return "arrow"


def refuse_engine_options(options: dict[str, Any], where: str = "an analysis in memory") -> None:
    """Refuse what only an engine follows."""
    given = _of_engines(options)
    if given:
        raise UserError(
            f"{', '.join(given)}: {where} reads its rows once, so there are no passes to keep and no files in between. "
            "Leave it out, or add --engine arrow to `segcate run` (Parquet), or --engine duckdb --sql QUERY."
        )


def _of_engines(options: dict[str, Any]) -> list[str]:
    """Return the options of engines that were given, as they are typed."""
    spill = options["spill"]
    return [
        *(["--resume"] if options["resume"] else []),
        *([] if spill is None else [f"--spill {spill}"]),
    ]


def run_engine(options: dict[str, Any], progress: Progress) -> None:
    """Estimate, print the summary, and write the tables."""
    with engine_errors():
        _run(options, progress)


@contextmanager
def engine_errors() -> Iterator[None]:
    """Tell errors of DuckDB and Spark, in the middle of a pass too, as those of the user's query or files."""
    try:
        yield
    except Exception as error:
        for module, name, option in _OTHERS_ERRORS:
            kind = getattr(sys.modules.get(module), name, None)
            if kind is not None and isinstance(error, kind):
                raise UserError(f"{option}: {_first_line(error)}") from error
        raise


def _first_line(error: Exception) -> str:
    """Return the line that says what failed: the last cause of Java, else the first line that is no mere call."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    if causes:
        return causes[-1].removeprefix("Caused by: ")
    is_call = lines[0].startswith("An error occurred while calling") and len(lines) > 1
    return lines[1].removeprefix(": ") if is_call else lines[0]


def _run(options: dict[str, Any], progress: Progress) -> None:
    _refuse_options(options)
    table = _TABLES[options["engine"]](options)
    names = _covariates(table, options)
    model = _model(options)
    progress(
        f"{table.name}: {table.n_rows:,} rows, {len(names)} columns, engine {options['engine']}"
    )
    for note in _NOTES:
        progress(f"note: {note}")
    if options["weights"] is not None and options["segment_column"] is None:
        progress(
            "note: k-means finds the segments without the weights: every row counts once there"
        )
    leave = None if table.frame is None else partial(stop_jobs, table.frame.sparkSession)
    with stopped_by_signals(leave):
        row_counts = _row_counts(table, options, progress)
        control = _control(table, options)
        fitted = _fitted(model, table, names, control, options, progress)
    last = fitted[-1] if hasattr(fitted, "steps") else fitted
    n_left_out = last.scale_report_.get("n_rows_left_out", 0)
    if n_left_out:
        n_rows = n_left_out + last.scale_report_["n_rows"]
        progress(f"note: {n_left_out:,} of {n_rows:,} rows dropped for missing values in numbers")
    ids = [] if options["covariates"] else [k.name for k in last._columns if k.looks_like_id]
    if ids:
        progress(
            f"note: {listed(ids)}: whole numbers that look like an id, taken as a covariate here and left out by an "
            f"analysis in memory. Leave it out with --ignore {shell_list(ids)}, or name the covariates"
        )
    print(last.summary())
    if options["out"] is not None:
        files = _write(last, _facts(fitted, control, row_counts, options), options)
        progress(f"wrote {', '.join(files)} to {options['out']}")
        progress("note: a report shows single rows; run it on a sample of them in memory")
    progress("done")


def _refuse_options(options: dict[str, Any]) -> None:
    """Refuse options that an engine does not follow, all at once."""
    if options["missing_covariates"] == "impute":
        raise UserError(
            f"--missing-covariates impute: not with --engine {options['engine']}, as values are drawn row by row, five "
            "times over. Use indicator (means, and 0/1 columns that say where) or drop, or impute on a sample of the "
            "rows in memory."
        )
    if options["resume"] and options["spill"] is None:
        raise UserError("--resume needs --spill DIR, a folder that stays when the process ends.")
    defaults = defaults_of()
    given = [
        option.flag
        for option in OPTIONS
        if option.key not in _FOLLOWED
        and options[option.key] not in (defaults[option.key], *_ALSO.get(option.key, ()))
    ]
    if given:
        raise UserError(
            f"{', '.join(given)}: not with --engine {options['engine']}, which keeps no single rows. Leave them out, "
            "or run them on a sample of the rows in memory."
        )


def _arrow_table(options: dict[str, Any]) -> Table:
    path = options["data"]
    if path == "-" or path.lower().endswith((".csv", ".tsv", ".txt", ".gz")):
        raise UserError(
            f"--engine arrow reads Parquet, and {path!r} is not. Convert it, or read it with --engine duckdb --sql "
            "\"select * from read_csv('users.csv')\"."
        )
    from segcate.scale._sources import dataset_batches

    found = open_parquet_files(path)
    schema = found.dataset.schema
    types = dict(zip(schema.names, schema.types, strict=True))
    return Table(
        path,
        types,
        found.n_rows,
        lambda names: dataset_batches(found.dataset, list(names)),
        found.dataset,
    )


def _sql_table(options: dict[str, Any]) -> Table:
    """Ask DuckDB; nothing of it is kept between passes."""
    try:
        import duckdb
    except ImportError as error:
        raise UserError("--engine duckdb needs DuckDB: `pip install duckdb`.") from error
    connection = duckdb.connect()
    try:
        relation = connection.sql(options["sql"])
        if relation is None:
            raise UserError('--sql must be a query that gives rows: "select ... from ...".')
        schema = relation.limit(0).to_arrow_table().schema
        n_rows = int(relation.count("*").fetchall()[0][0])
    except duckdb.Error as error:
        raise UserError(f"--sql: {error}") from error

    def batches(names: Sequence[str]) -> Iterator[Any]:
        # Asked of the connection, which closes once nobody holds it.
        rows = connection.sql(options["sql"])
        chosen = rows.select(*(duckdb.ColumnExpression(name) for name in names))
        read = getattr(chosen, "to_arrow_reader", None) or chosen.fetch_arrow_reader
        yield from read(_BATCH)

    types = dict(zip(schema.names, schema.types, strict=True))
    return Table("--sql", types, n_rows, batches, options["sql"])


def _spark_table(options: dict[str, Any]) -> Table:
    """Ask Spark; its batches are the different values of columns alone."""
    if options["spill"] is not None or options["resume"]:
        raise UserError(
            "--spill, --resume: not with --engine spark, which keeps files in spark.local.dir and repeats lost tasks."
        )
    frame = spark_frame(options["data"])
    schema = frame.limit(0).toArrow().schema

    def batches(names: Sequence[str]) -> Iterator[Any]:
        few = frame.select(*(f"`{name}`" for name in names)).distinct().limit(10)
        yield from few.toArrow().to_batches()

    types = dict(zip(schema.names, schema.types, strict=True))
    return Table(options["data"], types, int(frame.count()), batches, frame=frame)


_TABLES = {"arrow": _arrow_table, "duckdb": _sql_table, "spark": _spark_table}


def _covariates(table: Table, options: dict[str, Any]) -> list[str]:
    """Return the columns of X: covariates and segment."""
    segment = options["segment_column"]
    roles = _roles(options)
    asked = [*options["covariates"], *options["ignore"], *options["cluster_on"], *roles]
    unknown = [name for name in (*asked, segment) if name is not None and name not in table.columns]
    if unknown:
        raise UserError(
            f"{table.name!r} has no column {listed(unknown)}; its columns are {listed(table.columns, 20)}."
        )
    left_out = {*roles, *options["ignore"]}
    names = list(options["covariates"]) or [n for n in table.columns if n not in left_out]
    names = [name for name in names if name != segment]
    if segment is None:
        names += [name for name in options["cluster_on"] if name not in names]
    return names if segment is None else [*names, segment]


def _roles(options: dict[str, Any]) -> list[str]:
    """Return the columns that are neither covariates nor segments; refuse one that plays another part, too."""
    flags: dict[str, str] = {}
    for flag, names in (
        ("--outcome", [options["outcome"]]),
        ("--treatment", [options["treatment"]]),
        ("--weights", [options["weights"]]),
        ("--segment-column", [options["segment_column"]]),
        ("--covariates", options["covariates"]),
        ("--cluster-on", options["cluster_on"]),
    ):
        for name in names:
            if flags.get(name) in _ALONE and name is not None:
                raise UserError(
                    f"column {name!r} is named twice, by {flags[name]} and {flag}; it can play one part only."
                )
            flags.setdefault(name, flag)
    return [name for name, flag in flags.items() if flag in _ALONE and name is not None]


def _model(options: dict[str, Any]) -> Any:
    """Make the estimator, after k-means where no column holds segments; all that can be done in parts."""
    seed, segment = options["random_state"], options["segment_column"]
    caliper, matcher = options["caliper"], None
    if caliper is not None:
        matcher = PropensityMatcher("auto", n_neighbors="auto", caliper=caliper, random_state=seed)
    estimator = SegmentMatching(
        matcher,
        estimand=options["estimand"] or "att",
        confidence_level=options["confidence_level"],
        segment=segment or "segment",
        on_empty="nan",
        missing=options["missing_covariates"] or "auto",
        random_state=seed,
    )
    if segment is not None:
        return estimator
    columns = list(options["cluster_on"]) or None
    return make_pipeline(
        KMeansSegmenter(options["n_clusters"], columns=columns, random_state=seed), estimator
    )


def _row_counts(table: Table, options: dict[str, Any], progress: Progress) -> str:
    """Look at the weights, and say what a row counts."""
    name = options["weights"]
    if name is None:
        return COUNTS_ROWS
    kind = table.columns[name]
    with progress.during(f"looking at the weights in column {name!r}"):
        if table.frame is not None:
            return check_spark_weights(name, kind, table.frame)
        return check_engine_weights(name, kind, table.batches([name]))


def _control(table: Table, options: dict[str, Any]) -> Any:
    """Read the label of the control arm as the column holds it; refuse further arms."""
    import pyarrow as pa

    name, text = options["treatment"], options["control"]
    if text is None:
        return None
    kind = table.columns[name]
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    labels: set[Any] = set()
    for batch in table.batches([name]):
        labels |= set(batch.column(0).unique().to_pylist())
        if len(labels) > 2:
            raise UserError(
                f"--treatment {name!r} has more than two labels, {listed(sorted(labels, key=str))}; an engine compares "
                'two arms. Choose the rows of two with --engine duckdb --sql "select ... where ...".'
            )
    found = [label for label in labels if str(label).lower() == text.lower()]
    if not found:
        raise UserError(
            f"--control {text!r} is no label of {name!r}, which holds {listed(sorted(labels, key=str))}."
        )
    return found[0]


def _fitted(
    model: Any,
    table: Table,
    names: list[str],
    control: Any,
    options: dict[str, Any],
    progress: Progress,
) -> Any:
    from segcate.scale._fit import fit_job
    from segcate.scale._job import check_job
    from segcate.scale._rows import Roles

    spill, seed = options["spill"], options["random_state"]
    job = check_job(model, 200_000, None, seed, spill, resume=options["resume"])
    job = replace(job, drops_first=True)
    roles = Roles(options["outcome"], options["treatment"], control, options["weights"], names)
    read = roles.wanted or []
    source = table.frame
    told: AbstractContextManager[None] = nullcontext()
    if source is None:
        source = CountedPasses(table, read, progress)
    else:
        told = progress.during("fitting on Spark")
    with told:
        return fit_job(job, source, roles)


class CountedPasses:
    """Read a table anew on every call, and tell how far that is.

    Parameters
    ----------
    table : Table
    names : columns to read
    progress : called with a line of text every few seconds
    """

    def __init__(self, table: Table, names: list[str], progress: Progress) -> None:
        self._table, self._names, self._progress = table, names, progress
        self.reads = table.reads
        self.n_passes = 0

    def go_on(self, n_passes: int) -> None:
        """Count on from passes that an earlier run finished."""
        self.n_passes = n_passes

    def __call__(self) -> Iterator[Any]:
        """Yield the batches of one pass."""
        self.n_passes += 1
        begun = told = time.perf_counter()
        done = 0
        self._progress(f"pass {self.n_passes} over {self._table.n_rows:,} rows")
        for batch in self._table.batches(self._names):
            yield batch
            done += batch.num_rows
            now = time.perf_counter()
            if now - told >= _SECONDS_BETWEEN and done:
                told, rate = now, done / (now - begun)
                left = max(self._table.n_rows - done, 0) / rate
                self._progress(
                    f"pass {self.n_passes}: {done:,} of {self._table.n_rows:,} rows, {rate:,.0f} rows a second, "
                    f"{left:,.0f} s left in this pass"
                )


@contextmanager
def stopped_by_signals(leave: Callable[[], None] | None = None) -> Iterator[None]:
    """Leave as after Ctrl-C when the process is told to end, so that files in between are removed.

    Parameters
    ----------
    leave : called first, to end what goes on elsewhere; an error that this causes is not told
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_told = threading.Event()

    def stop(number: int, _: Any) -> None:
        if leave is not None and not is_told.is_set():
            is_told.set()
            leave()
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM,) if leave is None else (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    except Exception as error:
        if is_told.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _facts(fitted: Any, control: Any, row_counts: str, options: dict[str, Any]) -> Facts:
    """Say what was analysed, in the words of an analysis in memory."""
    name = options["treatment"]
    return Facts(
        treated=f"{name} = 1" if control is None else "",
        control=f"{name} = {0 if control is None else control}",
        segment_column=options["segment_column"] or "",
        found_segments=segment_definition(fitted),
        row_counts=row_counts,
    )


def _write(model: Any, facts: Facts, options: dict[str, Any]) -> list[str]:
    """Write the tables into a folder, all or none."""
    from segcate.cli._config import config_text

    with whole_folder(Path(options["out"]), _FILES) as part:
        write_frames(frames_of(model.effect_table_) | {"balance": model.balance_}, part)
        write_table(model.effect_table_, facts, part, described(model, None))
        (part / "summary.txt").write_text(model.summary() + "\n", encoding="utf-8")
        (part / "config.toml").write_text(config_text(options, None), encoding="utf-8")
        names = {file.name for file in part.iterdir()}
    return [name for name in _FILES if name in names]
