"""Fits beyond memory: rows a CPU second, peak memory, and whether a limited process gets through.

Each size is written to a Parquet file once and fitted in a process of its own, after a small fit that
compiles the kernels. Run ``python benchmarks/scale.py`` for the table, written to benchmarks/scale.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_suffix(".json")
N_COLUMNS, N_SEGMENTS = 5, 20
_ROWS_A_GROUP = 500_000


def write_rows(path: Path, n: int, seed: int = 0) -> None:
    """Write rows of float32 covariates; one segment has 43 % of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    fields = [(f"x{j}", pa.float32()) for j in range(N_COLUMNS)]
    schema = pa.schema([*fields, ("segment", pa.int16()), ("y", pa.float32()), ("t", pa.int8())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for begin in range(0, n, _ROWS_A_GROUP):
            size = min(_ROWS_A_GROUP, n - begin)
            X = rng.normal(size=(size, N_COLUMNS)).astype(np.float32)
            segment = np.where(rng.random(size) < 0.43, 0, rng.integers(1, N_SEGMENTS, size))
            chance = 1 / (1 + np.exp(0.8 - 0.5 * X[:, 0] + 0.3 * X[:, 1]))
            t = (rng.random(size) < chance).astype(np.int8)
            y = X[:, 0] + 0.5 * X[:, 1] + 0.2 * t * (segment % 3) + rng.normal(size=size)
            columns = [*X.T, segment.astype(np.int16), y.astype(np.float32), t]
            writer.write_table(pa.table(columns, schema=schema))


def fit_once(path: str, limit_gb: float, adjustment: str) -> dict[str, Any]:
    """Fit a file in this process; its address space is limited where a limit is given."""
    from segcate import scale
    from segcate.effects import SegmentMatching

    model = SegmentMatching(adjustment=adjustment)
    small = Path(path).with_name("small.parquet")
    roles = {"outcome": "y", "treatment": "t"}
    scale.fit(model, small, **roles)  # compiles, and imports
    if limit_gb:
        size = int(limit_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    begun = time.process_time()
    found = scale.fit(model, path, **roles)
    cpu = time.process_time() - begun
    report = found.scale_report_
    return {
        "adjustment": adjustment,
        "rows": report["n_rows"],
        "cpu_seconds": round(cpu, 1),
        "rows_a_cpu_second": round(report["n_rows"] / cpu),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "limit_gb": limit_gb,
        **{key: report[key] for key in ("n_passes", "n_parts", "halo_share", "spilled_bytes")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="*", default=[1e6, 1e7])
    parser.add_argument("--limit-gb", type=float, default=0.0, help="address space of each fit")
    parser.add_argument("--adjustment", nargs="*", default=["auto", "bias"])
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fit:
        print(json.dumps(fit_once(given.fit, given.limit_gb, given.adjustment[0])))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "small.parquet", 60_000)
        for n in given.rows:
            path = Path(folder) / "rows.parquet"
            write_rows(path, int(n))
            for adjustment in given.adjustment:
                options = ["--limit-gb", str(given.limit_gb), "--adjustment", adjustment]
                command = [sys.executable, __file__, "--fit", str(path), *options]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout.splitlines()[-1]))
                print(results[-1], flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
