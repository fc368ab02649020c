"""Outcomes under treatment plans: every temporal model on simulated units, beside published figures.

    python benchmarks/temporal.py [--size smoke|small|published] [--data tumor|semi|both]
                                  [--gammas 0 4] [--seeds 3] [--models NAME ...] [--jobs 2]
                                  [--out FILE.json]

A cell is one model on one training set: of simulated tumours (`temporal_cells.tumor`; gamma, seed), or
of outcomes simulated on top of covariates (`temporal_cells.semi`; seed). Cells that the file holds
already are not run again, so that a run may be stopped and taken up; a cell of another number of
training units is another cell. Standard errors take units as clusters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from temporal_cells import semi, tumor

RESULTS = Path(__file__).parent / "results" / "temporal.json"
DATA: dict[str, Any] = {"tumor": tumor, "semi": semi}
MODELS = tuple(dict.fromkeys((*tumor.MODELS, *semi.MODELS)))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tumor.SIZES, default="small")
    parser.add_argument("--data", choices=(*DATA, "both"), default="both")
    parser.add_argument("--gammas", type=int, nargs="+", help="of the tumours")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def data_of(record: dict[str, Any]) -> str:
    """Return the data set of a record; those of tumours do not name it."""
    return record.get("data", "tumor")


def run_data(name: str, options: argparse.Namespace, records: list[dict[str, Any]]) -> None:
    """Run the cells of a data set that are not there yet, writing the file after each."""
    module = DATA[name]
    size = module.SIZES[options.size]
    asked = (options.gammas,) if name == "tumor" else ()
    cells = module.cells(size, options.models, options.seeds, *asked)
    done = {module.key(r) for r in records if data_of(r) == name}
    left = [cell for cell in cells if cell not in done]
    with ProcessPoolExecutor(options.jobs) as pool:
        for record in pool.map(module.run, left, [size] * len(left)):
            records.append(record)
            stored = {"machine": platform.machine(), "python": platform.python_version(),
                      "size": options.size, "records": records}  # fmt: skip
            options.out.write_text(json.dumps(stored, indent=1))
            print(module.line(record), flush=True)
    here = [r for r in records if data_of(r) == name and r["n_train"] == size.n_train]
    if here:
        print(module.table(here))


def main() -> None:
    """Run what is asked for, and print its tables."""
    options = read_options()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    records: list[dict[str, Any]] = []
    if options.out.exists():
        records = json.loads(options.out.read_text())["records"]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in DATA if options.data == "both" else (options.data,):
        run_data(name, options, records)


if __name__ == "__main__":
    main()
