"""What a first fit costs, and where large fits spend their time: CPU seconds beside yardsticks.

    python benchmarks/hot_spots.py [--parts first_fit fits growth kmeans hdbscan] [--size smoke|full]

Seconds differ from machine to machine, so that each part has a yardstick of the same run, and the ratio
to it is what to compare. Run alone: beside other processes CPU seconds grow by half and more, so that the
load is written down. The table goes to benchmarks/hot_spots.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RESULTS = Path(__file__).with_suffix(".json")
N_SEGMENTS = 10

FIRST_FIT = """
import sys, time
import sklearn.base, sklearn.utils.parallel, sklearn.utils.validation, pandas as pd, numpy as np
importing = time.process_time()
from segcate.effects import SegmentMatching
n, adjustment = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(n, 5)), columns=list("abcde")).assign(segment=rng.integers(0, 4, n))
treatment = (rng.random(n) < 1 / (1 + np.exp(1 - X["a"]))).astype(int)
y = X["a"] + treatment + rng.normal(size=n)
def fit():
    model = SegmentMatching(adjustment=adjustment).fit(X, y, treatment=treatment)
    return model.effects_, model.balance_
fit()
first = time.process_time() - importing
begin = time.process_time()
fit()
print(importing, first, time.process_time() - begin, "numba" in sys.modules)
"""


def cpu_seconds(work: Callable[[], Any], repeats: int = 1) -> float:
    """Return the fewest CPU seconds of a few runs."""
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def argsort_seconds(n: int) -> float:
    """Yardstick: one stable argsort of n random numbers."""
    values = np.random.default_rng(0).random(n)
    return cpu_seconds(lambda: np.argsort(values, kind="stable"), 3)


def row(part: str, seconds: float, yardstick: str, of_yardstick: float, **more: Any) -> Any:
    """Make one row of the table, and print it."""
    found = {
        "part": part, **more, "cpu_seconds": round(seconds, 3), "yardstick": yardstick,
        "yardstick_seconds": round(of_yardstick, 3), "ratio": round(seconds / of_yardstick, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print("  ".join(f"{k}={v}" for k, v in found.items()), flush=True)
    return found


def first_fit(full: bool) -> list[Any]:
    """First fit of a fresh process with an empty cache of kernels, over importing scikit-learn."""
    out = []
    for n in (4_000, 60_000) if full else (4_000,):
        for adjustment in ("bias", "auto"):
            with tempfile.TemporaryDirectory() as cache:
                env = {**os.environ, "NUMBA_CACHE_DIR": cache}
                said = subprocess.run(
                    [sys.executable, "-W", "ignore", "-c", FIRST_FIT, str(n), adjustment],
                    env=env, check=True, capture_output=True, text=True,
                ).stdout.split()  # fmt: skip
            importing, first, second = (float(text) for text in said[:3])
            spent = first if n == 4_000 else first - second
            out.append(
                row(
                    "first fit", spent, "import of scikit-learn and pandas", importing,
                    rows=n, adjustment=adjustment, second_fit=second, numba=said[3] == "True",
                )
            )  # fmt: skip
    return out


def users(n: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows with 20 covariates, a segment, an outcome and a treatment."""
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(n, 20))
    treatment = (rng.random(n) < 1 / (1 + np.exp(1 - 0.4 * Z[:, :3].sum(axis=1)))).astype(int)
    y = Z[:, 0] + treatment + rng.normal(size=n)
    X = pd.DataFrame(Z, columns=[f"x{j}" for j in range(20)])
    return X.assign(segment=rng.integers(0, N_SEGMENTS, n)), y, treatment


def fits(full: bool) -> list[Any]:
    """SegmentMatching.fit of many rows and 20 covariates, by both adjustments."""
    from segcate.effects import SegmentMatching
    from segcate.matching import PropensityMatcher

    n = 1_000_000 if full else 50_000
    X, y, treatment = users(n)
    models = {
        "bias": SegmentMatching(PropensityMatcher(n_neighbors=3), adjustment="bias"),
        "auto": SegmentMatching(adjustment="auto"),
    }
    yardstick, out = argsort_seconds(n), []
    for adjustment, model in models.items():
        model.fit(X[:25_000], y[:25_000], treatment=treatment[:25_000])  # compiles
        spent = cpu_seconds(lambda m=model: m.fit(X, y, treatment=treatment))
        out.append(
            row(
                "fit", spent, "stable argsort", yardstick, rows=n, columns=20, adjustment=adjustment
            )
        )
    return out


def growth(full: bool) -> list[Any]:
    """Matching on scores given, with and without replacement."""
    from matching import fit_once, model_of, scored_rows

    n = 10_000_000 if full else 100_000
    data = scored_rows(n)
    yardstick, out = argsort_seconds(n), []
    for replacement in (True, False):
        fit_once(model_of(replacement), scored_rows(25_000))  # compiles
        # The first fits of a process pay for memory that the system has yet to hand out.
        spent = cpu_seconds(lambda r=replacement: fit_once(model_of(r), data), 3)
        out.append(
            row("scores given", spent, "stable argsort", yardstick, rows=n, replacement=replacement)
        )
    return out


def kmeans(full: bool) -> list[Any]:
    """KMeansSegmenter as it comes, beside scikit-learn's KMeans from one start."""
    from sklearn.cluster import KMeans

    from segcate.segmentation import KMeansSegmenter

    n = 1_000_000 if full else 50_000
    X = users(n)[0].drop(columns="segment")
    peer = KMeans(8, n_init=1, random_state=0)
    theirs = cpu_seconds(lambda: peer.fit(X.to_numpy()))
    spent = cpu_seconds(lambda: KMeansSegmenter(random_state=0).fit(X))
    return [row("k-means", spent, "KMeans(n_init=1)", theirs, rows=n, columns=20)]


def hdbscan(full: bool) -> list[Any]:
    """HDBSCANSegmenter on a sample, the other rows assigned, beside the fit of the sample."""
    from segcate.segmentation import HDBSCANSegmenter

    n, sample = (1_000_000, 20_000) if full else (20_000, 2_000)
    rng = np.random.default_rng(2)
    centres = rng.normal(scale=4.0, size=(N_SEGMENTS, 10))
    X = pd.DataFrame(centres[rng.integers(0, N_SEGMENTS, n)] + rng.normal(size=(n, 10)))
    X.columns = [f"x{j}" for j in range(10)]
    theirs = cpu_seconds(lambda: HDBSCANSegmenter(100, random_state=0).fit(X[:sample]))
    model = HDBSCANSegmenter(100, max_fit_samples=sample, random_state=0)
    spent = cpu_seconds(lambda: model.fit(X))
    return [row("HDBSCAN", spent, f"fit of {sample} rows", theirs, rows=n, columns=10)]


PARTS = {
    "first_fit": first_fit, "fits": fits, "growth": growth, "kmeans": kmeans, "hdbscan": hdbscan,
}  # fmt: skip


def main() -> None:
    """Run the parts asked for; a run of all at full size is written down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = [row for name in arguments.parts for row in PARTS[name](arguments.size == "full")]
    if arguments.size == "full":
        kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
        measured = {one["part"] for one in found}
        rows = [one for one in kept if one["part"] not in measured] + found
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
