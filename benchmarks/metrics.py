"""Time of ranking scores and curves: growth with the rows, peers, and the share of a search.

    python benchmarks/metrics.py [--size smoke|full] [--part growth|peers|search] [--out FILE.json]

Prints one table a part and writes all figures as JSON. Times on a shared machine mean little on their
own: every part has its yardstick in the same run (a stable argsort, the peers, the rest of the search).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "metrics.json"


def timed(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the best wall time of a few runs, in seconds."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def scored_rows(n: int, n_levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make effect scores and predictions, distinct or of a few levels."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=n)
    prediction = np.floor(n_levels * rng.random(n)) / 7 if n_levels else effect
    return effect + rng.normal(size=n), prediction


def metrics_with_std_error() -> dict[str, Callable[[np.ndarray, np.ndarray], Any]]:
    """Return every ranking score and curve, each with its standard error."""
    from segcate import metrics as m

    scores = {
        f"rank_test {kind}": lambda psi, s, kind=kind: m.rank_test(psi, s, metric=kind)
        for kind in ("qini", "autoc", "uplift_at_k")
    }
    curves = {
        curve.__name__: curve
        for curve in (m.uplift_curve, m.qini_curve, m.cumulative_effect_curve, m.toc_curve)
    }
    return {**scores, **curves}


def growth(sizes: list[int]) -> list[dict[str, Any]]:
    """Scores and curves beside one stable argsort of the predictions."""
    found = []
    for work in metrics_with_std_error().values():
        work(*scored_rows(1000))
    for n in sizes:
        for n_levels in (0, 20):
            psi, prediction = scored_rows(n, n_levels)
            repeats = 3 if n <= 10**6 else 2
            argsort = timed(lambda s=prediction: np.argsort(s, kind="stable"), repeats)
            for name, work in metrics_with_std_error().items():
                seconds = timed(lambda w=work, p=psi, s=prediction: w(p, s), repeats)
                found.append(
                    {
                        "metric": name,
                        "rows": n,
                        "levels": n_levels or "distinct",
                        "seconds": seconds,
                        "argsort_seconds": argsort,
                        "ratio": seconds / argsort,
                    }
                )
                show(found[-1])
    return found


def beside_peers(n: int) -> list[dict[str, Any]]:
    """Compare with causalml and scikit-uplift, which give no standard error."""
    import pandas as pd

    try:
        from causalml.metrics import auuc_score
        from causalml.metrics import qini_score as causalml_qini
        from sklift.metrics import qini_auc_score
    except ImportError as missing:
        print(f"{missing.name} is not installed here: left out")
        return []
    from segcate.metrics import effect_scores, qini_score, rank_test

    rng = np.random.default_rng(0)
    effect = rng.uniform(-0.1, 0.3, n)
    treatment = rng.integers(0, 2, n)
    y = (rng.random(n) < 0.3 + effect * treatment).astype(int)
    frame = pd.DataFrame({"y": y, "w": treatment, "score": effect})

    def with_std_error() -> None:
        psi = effect_scores(None, y, treatment=treatment, design="experiment")
        rank_test(psi, effect)

    columns = {"outcome_col": "y", "treatment_col": "w"}
    peers = {
        "causalml qini_score": lambda: causalml_qini(frame, **columns),
        "causalml auuc_score": lambda: auuc_score(frame, **columns),
        "scikit-uplift qini_auc_score": lambda: qini_auc_score(y, effect, treatment),
    }
    ours = {
        "value": timed(lambda: qini_score(y, effect, treatment=treatment, design="experiment")),
        "value and standard error": timed(with_std_error),
    }
    found = []
    for peer, work in peers.items():
        theirs = timed(work)
        for name, seconds in ours.items():
            found.append(
                {
                    "rows": n,
                    "peer": peer,
                    "ours": name,
                    "peer_seconds": theirs,
                    "seconds": seconds,
                    "times_faster": theirs / seconds,
                }
            )
            show(found[-1])
    return found


def share_of_search(n: int, n_columns: int = 10) -> list[dict[str, Any]]:
    """Measure what scoring takes of a GridSearchCV of 8 candidates and 5 folds."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    import segcate.exceptions
    from segcate.effects import SegmentMatching
    from segcate.matching import PropensityMatcher
    from segcate.metrics import effect_scores, get_scorer
    from segcate.model_selection import TreatmentStratifiedKFold
    from segcate.segmentation import KMeansSegmenter

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, n_columns))
    treatment = rng.integers(0, 2, n)
    y = X[:, 0] + treatment * (X[:, 1] > 0) + rng.normal(size=n)
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    pipeline = make_pipeline(
        KMeansSegmenter(n_init=1, random_state=0),
        SegmentMatching(PropensityMatcher(), segment=-1, on_empty="overall"),
    )
    grid = {"kmeanssegmenter__n_clusters": range(2, 10)}
    found = []
    for name in ("qini", "autoc", "uplift_at_k"):
        spent = {"metric": 0.0}
        scorer = get_scorer(name)
        inner = scorer._score_func.metric

        def watched(*args: Any, inner: Any = inner, spent: Any = spent, **kwargs: Any) -> float:
            begin = time.perf_counter()
            value = float(inner(*args, **kwargs))
            spent["metric"] += time.perf_counter() - begin
            return value

        object.__setattr__(scorer._score_func, "metric", watched)
        search = GridSearchCV(pipeline, grid, scoring=scorer, cv=TreatmentStratifiedKFold(5))
        with segcate.routing(), warnings.catch_warnings():
            warnings.simplefilter("ignore", segcate.exceptions.SegcateWarning)
            begin = time.perf_counter()
            search.fit(X, y, treatment=treatment, pseudo_outcome=psi)
            seconds = time.perf_counter() - begin
        found.append(
            {
                "scorer": name,
                "rows": n,
                "search_seconds": seconds,
                "metric_seconds": spent["metric"],
                "metric_share": spent["metric"] / seconds,
                "score_share_with_predict": float(
                    (search.cv_results_["mean_score_time"] * 5).sum() / seconds
                ),
            }
        )
        show(found[-1])
    return found


def show(row: dict[str, Any]) -> None:
    """Print one row of a table."""
    cells = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()]
    print("  " + "  ".join(cells), flush=True)


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument("--part", choices=["growth", "peers", "search"], action="append")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    full = arguments.size == "full"
    parts: dict[str, Callable[[], Any]] = {
        "growth": lambda: growth([10**5, 10**6, 10**7] if full else [10**4, 10**5]),
        "peers": lambda: beside_peers(10**6 if full else 10**4),
        "search": lambda: share_of_search(64_000 if full else 4_000),
    }
    found: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cores": os.cpu_count(),
        }
    }
    if arguments.out.exists():
        found = {**json.loads(arguments.out.read_text(encoding="utf-8")), **found}
    for part in arguments.part or parts:
        print(part)
        found[part] = parts[part]()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
