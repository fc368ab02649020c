"""Effect scores of this checkout beside those of an older one: processor time and error, same rows.

    python benchmarks/effect_scores.py --beside OLDER_CHECKOUT [--seeds 20] [--out FILE.json]

Both take turns, each in a process of its own with one thread. `gap` is the root mean square of scores less those of
the true nuisances, `error` that of the mean effects of ten segments. In the cells of 21,000 rows trees race
(as in all above 20,000), those of 5,000 average all learners, and those of 50,000 rows of 20 columns are for the time
(three seeds at most). On a busy machine times of both are too long alike. Seeds 100 to 106 and 200 were looked at while
settings were chosen. The rows of `effect_scores` were measured while chances raced on 6,000 rows, not 12,000; those of
50,000 have seeds 200 and 201.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nuisances
import numpy as np
from scipy.stats import norm

RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Cell:
    """Rows of a design; `events` is the share of 1 in a 0/1 outcome, 0 for a measured one."""

    design: str
    events: float
    n_rows: int
    n_columns: int


_DESIGNS = [("few of many", 0.0), ("steps", 0.0), ("dense", 0.0), ("lines", 0.3), ("steps", 0.3),
            ("dense", 0.3), ("few of many", 0.02)]  # fmt: skip
# What stands for a method in the older checkout: its default.
OLD = {"SegmentAIPW('auto')": "SegmentAIPW(None)"}
ERROR_CELLS = [Cell(*one, n, 8) for n in (21_000, 5_000) for one in _DESIGNS]
TIME_CELLS = [Cell(*one, 50_000, 20) for one in [("lines", 0.0), *_DESIGNS]]


def draw(cell: Cell, seed: int) -> nuisances.Study:
    """Draw the rows of a cell; an event is an outcome above a bound."""
    nuisances.N_COLUMNS = cell.n_columns
    study = nuisances.draw(cell.design, cell.n_rows, seed)
    if not cell.events:
        return study
    bound = np.quantile(study.y, 1 - cell.events)
    return replace(study, y=(study.y > bound).astype(float), mu=norm.sf(bound - study.mu))


def measured(cell: Cell, seed: int, method: str) -> dict[str, float]:
    """Fit once."""
    study = draw(cell, seed)
    start = time.process_time()
    scores, effects = nuisances.METHODS[method](study)
    found = {"cpu": time.process_time() - start}
    if scores is None:
        errors = effects - np.bincount(study.segment, study.effect) / np.bincount(study.segment)
    else:
        oracle = study.scores(study.chance, study.mu[:, 0], study.mu[:, 1])
        found["gap"] = float(np.mean((scores - oracle) ** 2))
        errors = study.segment_errors(scores)
    return found | {"error": float(np.mean(errors**2))}


def answer() -> None:
    """Answer one line of JSON with one, until there are no more."""
    warnings.simplefilter("ignore")
    warm = Cell("lines", 0.0, 21_000, 8)
    measured(warm, 0, "effect_scores")
    for line in sys.stdin:
        cell, seed, method = json.loads(line)
        print(json.dumps(measured(Cell(*cell), seed, method)), flush=True)


class Checkout:
    """A process that fits with the package of one checkout."""

    def __init__(self, path: Path) -> None:
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | one | {"PYTHONPATH": str(path)},
        )

    def ask(self, *question: Any) -> dict[str, float]:
        """Fit one cell."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def summed(cell: Cell, method: str, rows: list[tuple[dict[str, float], dict[str, float]]]) -> Any:
    """Root mean squares over the seeds, and the ratios of new to old."""
    out: dict[str, Any] = {"method": method, **vars(cell), "seeds": len(rows)}
    for name in rows[0][0]:
        new, old = np.array([[a[name], b[name]] for a, b in rows]).T
        if name == "cpu":
            out |= {"cpu": float(np.median(new)), "cpu_old": float(np.median(old))}
            continue
        out[name], out[f"{name}_old"] = float(np.sqrt(new.mean())), float(np.sqrt(old.mean()))
        out[f"{name}_ratio"] = out[name] / out[f"{name}_old"]
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in out.items()}


def main() -> None:
    """Let both checkouts take turns, seed by seed, and write after each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=201)
    parser.add_argument("--only", choices=("error", "time"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--answer", action="store_true")
    given = parser.parse_args()
    if given.answer:
        answer()
        return
    new, old = Checkout(Path(__file__).parents[1]), Checkout(given.beside)
    jobs = [(cell, "effect_scores") for cell in ERROR_CELLS] if given.only != "time" else []
    if given.only != "error":
        jobs += [(cell, "effect_scores") for cell in TIME_CELLS]
        aipw = ("SegmentAIPW('auto')", "SegmentAIPW(None)")
        jobs += [(TIME_CELLS[2], method) for method in aipw]
    found: dict[int, list[Any]] = {}
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for at, (cell, method) in enumerate(jobs):
            if cell.n_rows == 50_000 and seed >= given.first_seed + 3:
                continue
            rows = list(vars(cell).values()), seed
            both = [new.ask(*rows, method), old.ask(*rows, OLD.get(method, method))]
            found.setdefault(at, []).append(both)
        cells = [summed(*jobs[at], rows) for at, rows in found.items()]
        given.out.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
        print(seed, flush=True)


if __name__ == "__main__":
    main()
