"""`segcate run --engine spark`: a path or a table of the catalog as a DataFrame of Spark."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from segcate.cli._problems import UserError

# Then the process ends without waiting for Spark.
_SECONDS_TO_CANCEL = 10.0
_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


def spark_frame(data: str) -> Any:
    """Open a path of Parquet or CSV, or a table, in the session that is there or in a new one."""
    if data == "-":
        raise UserError(
            "--engine spark reads a path or a table, no pipe. Write the rows to Parquet."
        )
    from segcate.scale._spark import without_pandas_note

    session = _session()
    try:
        with without_pandas_note():
            return _opened(session, data)
    except Exception as error:
        raise UserError(f"--engine spark cannot read {data!r}: {_first_line(error)}") from error


def stop_jobs(session: Any) -> None:
    """Cancel all that Spark does, and have it say nothing of that: the command says in one line that it was stopped.

    By another thread: this one may be in the middle of a call of Java, whose connection belongs to it.
    """
    logging.disable(logging.CRITICAL)  # of py4j, whose calls are cut off; the process ends

    def cancel() -> None:
        with contextlib.suppress(Exception):  # it may be gone already
            if type(session).__module__.startswith("pyspark.sql.connect"):
                session.interruptAll()
            else:
                session.sparkContext.setLogLevel("OFF")
                session.sparkContext.cancelAllJobs()

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_CANCEL)


def _session() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UserError(
            "--engine spark needs PySpark: `pip install segcate[spark]`, and Java 17 or newer."
        ) from error
    if "PYSPARK_GATEWAY_PORT" not in os.environ and "SPARK_REMOTE" not in os.environ:
        # no spark-submit, no Connect: workers on this machine take the Python of the command
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return SparkSession.builder.appName("segcate").getOrCreate()
    except Exception as error:
        raise UserError(
            f"--engine spark: no session starts ({_first_line(error)}). Spark needs Java 17 or newer on the PATH or in "
            "JAVA_HOME; on a cluster, start the command by spark-submit."
        ) from error


def _opened(session: Any, data: str) -> Any:
    if data.lower().endswith(_TEXT):
        separator = "\t" if ".tsv" in data.lower() else ","
        return session.read.csv(data, header=True, inferSchema=True, sep=separator)
    is_path = any(mark in data for mark in ("/", "\\", "*")) or Path(data).exists()
    if is_path or data.lower().endswith((".parquet", ".pq")):
        return session.read.parquet(data)
    return session.table(data)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
