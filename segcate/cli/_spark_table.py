"""`segcate run --engine spark`: a path or a table of the catalog as a DataFrame of Spark."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from segcate.cli._problems import UserError

_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


def spark_frame(data: str) -> Any:
    """Open a path of Parquet or CSV, or a table, in the session that is there or in a new one."""
    if data == "-":
        raise UserError(
            "--engine spark reads a path or a table, no pipe. Write the rows to Parquet."
        )
    session = _session()
    try:
        return _opened(session, data)
    except Exception as error:
        raise UserError(f"--engine spark cannot read {data!r}: {_first_line(error)}") from error


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
