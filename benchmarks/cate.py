"""Accuracy, time and memory of individual effects beside EconML and causalml, in the same run.

    python benchmarks/cate.py [--size smoke|full] [--only TABLE ...] [--out FILE.json]

Prints one table a part and writes all figures as JSON. Times on a shared machine mean little on their
own: every part has its yardstick in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matching import PeakWatch, resident, show
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results" / "cate.json"
N_TREES = 500
# name: parameters of make_uplift. "sparse" has 2 useful columns of 20.
DESIGNS: dict[str, dict[str, Any]] = {
    "confounded, smooth": {"design": "observational"},
    "confounded, step": {"design": "observational", "effect_shape": "step"},
    "randomised, smooth": {"design": "experiment"},
    "randomised, step": {"design": "experiment", "effect_shape": "step"},
    "confounded, sparse": {"design": "observational", "n_features": 20},
    "confounded, constant": {"design": "observational", "heterogeneity": 0.0},
}


def boosting() -> tuple[Any, Any]:
    """Return the models of outcome and treatment that every method is given."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {"max_iter": 60, "max_leaf_nodes": 8, "random_state": 0}
    return HistGradientBoostingRegressor(**options), HistGradientBoostingClassifier(**options)


def uplift(n: int, name: str, seed: int) -> Any:
    """Draw a data set of one of the designs, as arrays."""
    from segcate.datasets import make_uplift

    return make_uplift(n, random_state=seed, as_frame=False, **DESIGNS[name])


def residuals(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Centre treatment and outcome with the boosting models, cross-fitted."""
    from segcate._nuisance.nuisances import NuisanceModels, fit_nuisances

    outcome, treatment = boosting()
    models = NuisanceModels(outcome, treatment, cv=5, random_state=0)
    wants = ("outcome", "propensity")
    found = fit_nuisances("benchmark", data.X, data.y, data.treatment, wants, models)
    return data.treatment - found.propensity[:, 1], data.y - found.outcome


# Each takes data, residuals, new rows, a seed and n_jobs; returns effect, low and high.


def ours_alone(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Grow and read our trees on centred data, as CausalForest does without line and shrinkage."""
    from scipy.special import ndtri

    from segcate.cate import CausalForest
    from segcate.cate._forest.honest_forest import grow_forest, read_forest
    from segcate.cate._forest.parameters import forest_shape
    from segcate.cate._forest.rows import CentredRows

    shape = forest_shape("benchmark", CausalForest(N_TREES), data.X.shape[1])
    n = len(data.X)
    rows = CentredRows(data.X, *left, np.ones(n), np.arange(n))
    forest = grow_forest(rows, shape, seed=seed, n_jobs=n_jobs)
    effect, variance = read_forest(forest, new, with_variance=True, n_jobs=n_jobs)
    half = float(ndtri(0.975)) * np.sqrt(variance)
    return effect, effect - half, effect + half


def econml_alone(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Grow and read EconML's trees on the same centred data."""
    from econml.grf import CausalForest

    forest = CausalForest(N_TREES, random_state=seed, n_jobs=n_jobs)
    forest.fit(data.X, left[0][:, None], left[1])
    return [values.ravel() for values in forest.predict(new, interval=True, alpha=0.05)]


def ours_whole(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Fit CausalForest, nuisances included."""
    from segcate.cate import CausalForest

    outcome, treatment = boosting()
    forest = CausalForest(
        N_TREES, outcome_model=outcome, propensity_model=treatment, random_state=seed, n_jobs=n_jobs
    ).fit(data.X, data.y, treatment=data.treatment)
    return forest.predict(new), *forest.predict_interval(new).T


def econml_whole(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Fit CausalForestDML with the same models and folds."""
    from econml.dml import CausalForestDML

    outcome, treatment = boosting()
    forest = CausalForestDML(
        model_y=outcome, model_t=treatment, discrete_treatment=True, cv=5,
        n_estimators=N_TREES, random_state=seed, n_jobs=n_jobs,
    ).fit(data.y, data.treatment, X=data.X)  # fmt: skip
    return forest.effect(new), *forest.effect_interval(new, alpha=0.05)


def ours_defaults(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Fit CausalForest with the default models of outcome and treatment."""
    from segcate.cate import CausalForest

    forest = CausalForest(N_TREES, random_state=seed, n_jobs=n_jobs)
    forest.fit(data.X, data.y, treatment=data.treatment)
    return forest.predict(new), *forest.predict_interval(new).T


def causalml_raw(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Fit causalml's forest on the data as they are; it has no interval that covers anything."""
    from causalml.inference.tree import CausalRandomForestRegressor

    forest = CausalRandomForestRegressor(
        N_TREES, min_samples_leaf=20, random_state=seed, n_jobs=n_jobs
    )
    forest.fit(X=data.X, treatment=data.treatment, y=data.y)
    effect = np.asarray(forest.predict(new), dtype=np.float64).ravel()
    return effect, np.full(len(new), np.nan), np.full(len(new), np.nan)


def causalml_centred(data: Any, left: Any, new: Any, seed: int, n_jobs: int) -> Any:
    """Fit causalml's forest on outcomes less their expectation given X; it cannot centre arms."""
    from sklearn.utils import Bunch

    return causalml_raw(Bunch(**{**data, "y": left[1]}), left, new, seed, n_jobs)


METHODS: dict[str, Callable[..., Any]] = {
    "segcate trees": ours_alone,
    "EconML trees": econml_alone,
    "segcate": ours_whole,
    "EconML CausalForestDML": econml_whole,
    "segcate, default models": ours_defaults,
    "causalml, raw": causalml_raw,
    "causalml, y centred": causalml_centred,
}
# Methods that grow trees on the same residuals, and both nuisances and trees: compared pairwise.
PAIRS = {"segcate trees": "EconML trees", "segcate": "EconML CausalForestDML"}


def forest_accuracy(n: int, n_draws: int, designs: list[str], methods: list[str]) -> list[Any]:
    """Measure the error of the effect on new rows, and how often 95 % intervals hold the truth."""
    found = []
    for name in designs:
        new = uplift(1000, name, 10_000)
        scores: dict[str, list[Any]] = {method: [] for method in methods}
        for seed in range(n_draws):
            data = uplift(n, name, seed)
            left = residuals(data)
            for method in methods:
                begin = time.perf_counter()
                effect, low, high = METHODS[method](data, left, new.X, seed, 1)
                seconds = time.perf_counter() - begin
                known = ~np.isnan(effect)
                scores[method].append(
                    (
                        np.mean((effect - new.effect)[known] ** 2),
                        np.mean(effect[known]) - np.mean(new.effect),
                        np.mean((low <= new.effect) & (new.effect <= high))
                        if np.isfinite(low).any()
                        else np.nan,
                        np.mean(high - low) / 2,
                        np.std(effect[known]),
                        np.mean(~known),
                        seconds,
                    )
                )
        for method in methods:
            mean = np.mean(scores[method], axis=0)
            row = {"design": name, "rows": n, "method": method, "rmse": float(np.sqrt(mean[0]))}
            labels = ("bias", "coverage", "half_width", "spread", "share_nan", "seconds")
            found.append(row | dict(zip(labels, map(float, mean[1:]), strict=True)))
            show(found[-1])
    return found


def forest_time(n: int, repeats: int) -> list[Any]:
    """Time fit and intervals for 1,000 new rows, with one worker and with two, after compiling."""
    data, new = uplift(n, "confounded, smooth", 0), uplift(1000, "confounded, smooth", 1).X
    left = residuals(data)
    found = []
    for ours, theirs in PAIRS.items():
        for n_jobs in (1, 2):
            best = {ours: np.inf, theirs: np.inf}
            for _ in range(repeats):
                for method in best:
                    begin = time.perf_counter()
                    METHODS[method](data, left, new, 0, n_jobs)
                    best[method] = min(best[method], time.perf_counter() - begin)
            found.append(
                {
                    "rows": n, "n_jobs": n_jobs, "ours": ours, "theirs": theirs,
                    "our_seconds": best[ours], "their_seconds": best[theirs],
                    "times_faster": best[theirs] / best[ours],
                }
            )  # fmt: skip
            show(found[-1])
    return found


def forest_growth(sizes: list[int]) -> list[Any]:
    """Grow and read trees on ever more rows, each size in a process of its own for its memory."""
    found = []
    for n in sizes:
        out = subprocess.run(
            [sys.executable, __file__, "--growth-of", str(n)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found.append(json.loads(out.stdout.splitlines()[-1]))
        show(found[-1])
    return found


def growth_of(n: int) -> dict[str, Any]:
    """Measure one size: seconds, extra memory at the peak, and the forest's own size."""
    from segcate.cate import CausalForest
    from segcate.cate._forest.honest_forest import grow_forest, read_forest
    from segcate.cate._forest.parameters import forest_shape
    from segcate.cate._forest.rows import CentredRows

    def grow(data: Any) -> Any:
        left = data.treatment - data.propensity, data.y - data.mu0 - data.propensity * data.effect
        shape = forest_shape("benchmark", CausalForest(N_TREES), data.X.shape[1])
        n = len(data.X)
        rows = CentredRows(data.X, *left, np.ones(n), np.arange(n))
        return grow_forest(rows, shape, seed=0, n_jobs=1)

    small = uplift(500, "confounded, smooth", 0)
    read_forest(grow(small), small.X, with_variance=True, n_jobs=1)
    data = uplift(n, "confounded, smooth", 0)
    before, watch = resident(), PeakWatch()
    watch.start()
    begin = time.perf_counter()
    forest = grow(data)
    middle = time.perf_counter()
    peak = watch.stop() - before
    read_forest(forest, data.X[:10_000], with_variance=True, n_jobs=1)
    stored = sum(getattr(forest, name).nbytes for name in ("feature", "child", "threshold"))
    return {
        "rows": n, "trees": N_TREES, "grow_seconds": middle - begin,
        "read_seconds_per_1000_rows": (time.perf_counter() - middle) * 1000 / min(n, 10_000),
        "peak_mib": peak / 2**20,
        "forest_mib": (stored + forest.missing_left.nbytes + forest.moments.nbytes) / 2**20,
    }  # fmt: skip


def tables(full: bool) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Name the tables, each with its heading and what makes it."""
    return {
        "forest_accuracy": (
            f"error and coverage of the effect on new rows ({N_TREES} trees)",
            lambda: forest_accuracy(
                2000 if full else 500, 5 if full else 1, list(DESIGNS), list(METHODS)
            ),
        ),
        "forest_time": (
            "time of a forest with intervals for 1,000 rows",
            lambda: forest_time(4000 if full else 500, 3 if full else 1),
        ),
        "forest_growth": (
            "growth of the forest with the rows (6 columns, centred data)",
            lambda: forest_growth([10**3, 10**4, 10**5] if full else [10**3]),
        ),
    }


def main() -> None:
    """Run the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument("--only", nargs="*", help="names of tables; all of them by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--growth-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.growth_of:
        print(json.dumps(growth_of(arguments.growth_of)))
        return
    machine = {"python": platform.python_version(), "numpy": np.__version__}
    found: dict[str, Any] = {"machine": machine | {"cores": os.cpu_count()}}
    if arguments.out.exists():  # tables that are not run again keep their figures
        found = json.loads(arguments.out.read_text(encoding="utf-8")) | found
    with threadpool_limits(1):
        for name, (heading, make) in tables(arguments.size == "full").items():
            if arguments.only is None or name in arguments.only:
                print(heading)
                found[name] = make()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
