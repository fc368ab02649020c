"""A small Spark on this machine, for the tests that need one."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# pyspark says so of pandas 3; nothing of the package passes through its pandas.
OF_PANDAS = "ignore:PySpark does not yet fully support pandas:FutureWarning"
_FIRST_JAVA = 17
_OPTIONS = {
    "spark.driver.memory": "1g",
    # a session of seconds: compile little, plan simply
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "2",
    "spark.python.daemon.module": "tests.helpers.spark_daemon",
    "spark.default.parallelism": "3",
    "spark.sql.leafNodeDefaultParallelism": "3",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
}
# The server of Connect stands in the same Java, at a port that is free.
_SERVER = {
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.connect.grpc.binding.port": "0",
}


def why_not() -> str:
    """Say what Spark lacks here; an empty text where it runs."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or shutil.which(java) is None:
        return "there is no Java"
    told = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < _FIRST_JAVA:
        return f"Spark needs Java {_FIRST_JAVA} or newer"
    return ""


def why_no_connect() -> str:
    """Say which package Connect lacks here; an empty text where it runs."""
    needed = ("grpc", "grpc_status", "google.rpc", "zstandard")
    missing = [name for name in needed if not _is_there(name)]
    return f"pyspark[connect] is not installed: no {missing[0]}" if missing else ""


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def start(folder: Path) -> Any:
    """Start two workers that import this tree; a task that fails is run again, twice at the most."""
    from pyspark.sql import SparkSession

    before = dict(os.environ)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    server = {} if why_no_connect() else _SERVER
    folders = {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": str(folder)}
    builder = SparkSession.builder.master("local[2,3]").config(map=_OPTIONS | server | folders)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return builder.getOrCreate()
    finally:
        os.environ.clear()
        os.environ.update(before)


def connect(session: Any) -> Any:
    """Open a session of Connect, to the server that stands beside a classic session."""
    from pyspark.sql.connect.session import SparkSession

    service = session._jvm.org.apache.spark.sql.connect.service
    server = getattr(getattr(service, "SparkConnectService$"), "MODULE$")
    return SparkSession.builder.remote(f"sc://localhost:{server.localPort()}").create()
