"""Fits on Spark beside the local runner: CPU seconds of the driver, the JVM and the workers, on one machine.

Two workers (``local[2]``) fit a Parquet file, after a small fit that starts them. CPU seconds are read from
/proc (Linux). Run ``python benchmarks/scale_spark.py`` for the table, written to benchmarks/scale_spark.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.scale import write_rows

RESULTS = Path(__file__).with_suffix(".json")
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> dict[int, float]:
    """Return what this process, and each that it started, has used; with what these waited for."""
    parents, ticks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return {pid: ticks[pid] / _TICKS for pid in family if pid in ticks}


def measured(name: str, fit: Callable[[], Any]) -> dict[str, Any]:
    begun, before = time.perf_counter(), cpu_seconds()
    report = fit().scale_report_
    # idle workers that ended in between count for nothing
    cpu = sum(used - before.get(pid, 0.0) for pid, used in cpu_seconds().items())
    return {
        "engine": name,
        "rows": report["n_rows"],
        "cpu_seconds": round(cpu, 1),
        "rows_a_cpu_second": round(report["n_rows"] / cpu),
        "seconds": round(time.perf_counter() - begun, 1),
        **{key: report[key] for key in ("n_passes", "n_parts", "spilled_bytes")},
    }


def two_workers(memory: str = "2g") -> Any:
    """Start a session of Spark with two workers on this machine."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", memory)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )


def main() -> None:
    from segcate import scale
    from segcate.effects import SegmentMatching
    from segcate.matching import PropensityMatcher

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="*", default=[1e6])
    given = parser.parse_args()
    spark = two_workers()
    model = SegmentMatching(PropensityMatcher(), adjustment="bias")
    results = []
    with tempfile.TemporaryDirectory() as folder:

        def fit(source: Any) -> Any:
            return scale.fit(model, source, outcome="y", treatment="t")

        small, path = str(Path(folder) / "small.parquet"), str(Path(folder) / "rows.parquet")
        write_rows(Path(small), 60_000)
        fit(small)
        fit(spark.read.parquet(small))
        for n in given.rows:
            write_rows(Path(path), int(n))
            results.append(measured("local", lambda: fit(path)))
            results.append(measured("spark", lambda: fit(spark.read.parquet(path))))
            print(*results[-2:], sep="\n")
    spark.stop()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
