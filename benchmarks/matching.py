"""Time and memory of matching and inference: growth with the rows, peers, and a whole fit.

    python benchmarks/matching.py [--size smoke|full] [--out FILE.json]

Prints one table a part and writes all figures as JSON. Times on a shared machine mean little on their
own: every part has its yardstick in the same run (a stable argsort, causalml, the rest of the fit).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "matching.json"


def timed(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the best wall time of a few runs, in seconds."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scored_rows(n: int, n_segments: int = 20, share: float = 0.3) -> dict[str, np.ndarray]:
    """Make rows with a segment, a known propensity, a treatment and an outcome."""
    rng = np.random.default_rng(0)
    propensity = 1 / (1 + np.exp(-rng.normal(np.log(share / (1 - share)), 0.7, n)))
    treatment = (rng.random(n) < propensity).astype(np.int8)
    segment = rng.integers(0, n_segments, n).astype(np.float64)
    y = rng.normal(size=n) + treatment + np.log(propensity)
    return {"X": segment[:, None], "y": y, "treatment": treatment, "propensity": propensity}


def model_of(replacement: bool) -> Any:
    """Return the estimator under test: three neighbours, or 1:1 without replacement."""
    from segcate.effects import SegmentMatching
    from segcate.matching import PropensityMatcher

    matcher = PropensityMatcher(n_neighbors=3 if replacement else 1, replacement=replacement)
    return SegmentMatching(matcher, adjustment="bias", segment=0)


def fit_once(model: Any, data: dict[str, np.ndarray]) -> Any:
    """Fit on scores given."""
    return model.fit(
        data["X"], data["y"], treatment=data["treatment"], propensity=data["propensity"]
    )


def growth(sizes: list[int]) -> list[dict[str, Any]]:
    """Effects and standard errors with scores given, beside one stable argsort of the scores."""
    found = []
    for n in sizes:
        data = scored_rows(n)
        argsort = timed(lambda d=data: np.argsort(d["propensity"], kind="stable"))
        for replacement in (True, False):
            seconds = timed(lambda r=replacement, d=data: fit_once(model_of(r), d))
            found.append(
                {
                    "rows": n,
                    "replacement": replacement,
                    "seconds": seconds,
                    "argsort_seconds": argsort,
                    "ratio": seconds / argsort,
                    "bytes_per_row": memory_in_fresh_process(n, replacement),
                }
            )
            show(found[-1])
    return found


def memory_in_fresh_process(n: int, replacement: bool) -> float:
    """Measure the extra memory of one fit, per row, in a process of its own."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import matching as b, gc;"
        "small = b.scored_rows(20_000); b.fit_once(b.model_of(sys.argv[3] == 'True'), small);"
        "n = int(sys.argv[2]); data = b.scored_rows(n); gc.collect();"
        "before = b.resident(); watch = b.PeakWatch(); watch.start();"
        "b.fit_once(b.model_of(sys.argv[3] == 'True'), data); peak = watch.stop();"
        "print(max(0, peak - before) / n)"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(n), str(replacement)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(out.stdout.split()[-1])


def resident() -> int:
    """Return the resident memory of this process now, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class PeakWatch:
    """Sample the resident memory every few milliseconds in a thread."""

    def __init__(self) -> None:
        import threading

        self._peak = 0
        self._on = True
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _watch(self) -> None:
        while self._on:
            self._peak = max(self._peak, resident())
            time.sleep(0.002)

    def stop(self) -> int:
        """End, and return the peak in bytes."""
        self._on = False
        self._thread.join()
        return max(self._peak, resident())


def beside_causalml(n: int) -> list[dict[str, Any]]:
    """Compare with causalml's NearestNeighborMatch, which gives matched rows and no standard error."""
    import pandas as pd

    try:
        from causalml.match import NearestNeighborMatch
    except ImportError:
        print("causalml is not installed here (it has no wheels for Python 3.13): left out")
        return []
    data = scored_rows(n, n_segments=1)
    frame = pd.DataFrame({"treatment": data["treatment"], "score": data["propensity"]})
    found = []
    for replacement in (False, True):
        peer = NearestNeighborMatch(
            caliper=10.0, replace=replacement, ratio=1, random_state=0, n_jobs=1
        )
        theirs = timed(
            lambda p=peer: p.match(data=frame, treatment_col="treatment", score_cols=["score"]),
            repeats=1,
        )
        ours = timed(lambda r=replacement: fit_once(model_of(r), data))
        found.append(
            {"rows": n, "replacement": replacement, "causalml_seconds": theirs, "seconds": ours,
             "times_faster": theirs / ours}
        )  # fmt: skip
        show(found[-1])
    return found


def on_covariates(n: int, n_columns: int = 5) -> list[dict[str, Any]]:
    """Match on Mahalanobis distance, beside scikit-learn's search for neighbours in a tree.

    The search is given whitened columns and returns three donors a treated row: no ties, no second use
    denied, no balance. Memory is that of a fit in a process of its own.
    """
    from sklearn.neighbors import NearestNeighbors

    from segcate.matching import MahalanobisMatcher

    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, n_columns))
    treatment = (rng.random(n) < 1 / (1 + np.exp(1 - X[:, 0]))).astype(int)

    def search() -> Any:
        tree = NearestNeighbors(n_neighbors=3, algorithm="kd_tree").fit(X[treatment == 0])
        return tree.kneighbors(X[treatment == 1])

    theirs = timed(search, repeats=1)
    found = []
    for replacement in (True, False):
        matcher = MahalanobisMatcher(segment=None, replacement=replacement)
        matcher.fit(X[:500], treatment=treatment[:500])  # compiles
        before = resident()
        watch = PeakWatch()
        watch.start()
        ours = timed(lambda m=matcher: m.fit(X, treatment=treatment), repeats=1)
        found.append(
            {"rows": n, "columns": n_columns, "replacement": replacement, "seconds": ours,
             "sklearn_search_seconds": theirs, "bytes_per_row": max(0, watch.stop() - before) / n}
        )  # fmt: skip
        show(found[-1])
    return found


def whole_fit(n: int, n_columns: int = 20, n_segments: int = 10) -> dict[str, Any]:
    """Fit segmenter, propensity, matching and inference from a DataFrame; split the time by stage."""
    import pandas as pd

    from segcate.effects import SegmentMatching
    from segcate.effects import _segment_matching as effects_module
    from segcate.matching import PropensityMatcher, _design, _matcher
    from segcate.segmentation import KMeansSegmenter

    rng = np.random.default_rng(1)
    Z = rng.normal(size=(n, n_columns))
    treatment = (rng.random(n) < 1 / (1 + np.exp(1 - 0.4 * Z[:, :3].sum(axis=1)))).astype(int)
    y = Z[:, 0] + treatment + rng.normal(size=n)
    X = pd.DataFrame(Z, columns=[f"x{j}" for j in range(n_columns)])
    stages: dict[str, float] = {}

    def watch(module: Any, name: str, stage: str) -> Callable[[], None]:
        original = getattr(module, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            out = original(*args, **kwargs)
            stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - begin
            return out

        setattr(module, name, wrapped)
        return lambda: setattr(module, name, original)

    undo = [
        watch(_design, "fit_propensity", "propensity"),
        watch(_matcher, "nearest_design", "matching"),
        watch(effects_module, "estimate_segments", "inference"),
    ]
    begin = time.perf_counter()
    segmenter = KMeansSegmenter(n_clusters=n_segments, n_init=1, random_state=0)
    with_segment = segmenter.fit(X).transform(X)
    stages["segmentation"] = time.perf_counter() - begin
    model = SegmentMatching(PropensityMatcher(), adjustment="bias").fit(
        with_segment, y, treatment=treatment
    )
    total = time.perf_counter() - begin
    balance = timed(lambda: model.balance_, repeats=1)  # measured when it is first read
    for restore in undo:
        restore()
    stages["checks, encoding, tables"] = total - sum(stages.values())
    share = (stages["matching"] + stages["inference"]) / total
    found = {"rows": n, "seconds": total, "balance_seconds": balance, "stages": stages,
             "matching_and_inference_share": share}  # fmt: skip
    show({k: v for k, v in found.items() if k != "stages"})
    for stage, seconds in stages.items():
        print(f"    {stage:26s} {seconds:8.2f} s  {100 * seconds / total:5.1f} %")
    return found


def first_call() -> dict[str, float]:
    """Time a first fit that compiles the kernels, and one that finds them cached on disk."""
    script = (
        "import time, sys; sys.path.insert(0, sys.argv[1]); import matching as b;"
        "data = b.scored_rows(2000); b.model_of(True); t = time.perf_counter();"
        "b.fit_once(b.model_of(True), data); b.fit_once(b.model_of(False), data);"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", script, str(Path(__file__).parent)],
                    check=True, capture_output=True, text=True, env=env,
                ).stdout.split()[-1]
            )
            for _ in range(2)
        ]  # fmt: skip
    found = {"compiling_seconds": runs[0], "cached_seconds": runs[1]}
    show(found)
    return found


def import_time() -> dict[str, float]:
    """Time `import segcate` beyond scikit-learn."""
    script = (
        "import time, sklearn.base, sklearn.metrics, sklearn.utils.validation;"
        "t = time.perf_counter(); import segcate; print(time.perf_counter() - t)"
    )
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-c", script], check=True, capture_output=True, text=True
            ).stdout
        )
        for _ in range(3)
    ]
    found = {"import_seconds": min(runs)}
    show(found)
    return found


def show(row: dict[str, Any]) -> None:
    """Print one row of a table."""
    cells = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()]
    print("  " + "  ".join(cells), flush=True)


def main() -> None:
    """Run every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    full = arguments.size == "full"
    found: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cores": os.cpu_count(),
        }
    }
    fit_once(model_of(True), scored_rows(2000))
    fit_once(model_of(False), scored_rows(2000))
    print("growth with the rows (scores given, 20 segments, 30 % treated)")
    found["growth"] = growth([10**4, 10**5, 10**6, 10**7] if full else [10**4, 10**5])
    print("beside causalml's NearestNeighborMatch (one segment; theirs without a standard error)")
    found["causalml"] = beside_causalml(100_000 if full else 5_000)
    print("on five covariates, beside scikit-learn's search (one segment, 3 neighbours)")
    found["covariates"] = on_covariates(100_000 if full else 5_000)
    print("whole fit from a DataFrame (20 columns, 10 k-means segments, propensity per segment)")
    found["whole_fit"] = whole_fit(1_000_000 if full else 20_000)
    print("first call of the kernels")
    found["first_call"] = first_call()
    print("import")
    found["import"] = import_time()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
