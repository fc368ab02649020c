"""Adapters and peers: what the adapters cost, and the error of the effect where it is known (IHDP).

    python benchmarks/adapters.py [--size smoke|full] [--out FILE.json] [--ihdp FILE.csv]

Prints one table a part and writes all figures as JSON. The cost of an adapter is in CPU seconds: those
inside the library beside those in all, of one and the same call. IHDP: the first of the NPCI replications
(Hill, 2011), 747 children, 25 covariates; the columns are treatment, y, counterfactual y, mu0, mu1, then
the covariates, without a header.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "adapters.json"
IHDP = Path(__file__).resolve().parents[2] / "shared" / "data" / "uplift" / "ihdp_npci_1.csv"
SEEDS = range(5)


def boosting() -> Any:
    """Return the learner inside every meta-learner: scikit-learn's defaults."""
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=0)


def boosting_classifier() -> Any:
    """Return the same for the treatment."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=0)


def causalml_learners() -> dict[str, Callable[[], Any]]:
    """List causalml's meta-learners."""
    from causalml.inference import meta

    return {
        "S-learner": lambda: meta.BaseSRegressor(boosting()),
        "T-learner": lambda: meta.BaseTRegressor(boosting()),
        "X-learner": lambda: meta.BaseXRegressor(boosting()),
        "R-learner": lambda: meta.BaseRLearner(boosting(), random_state=0, cv_n_jobs=1),
        "DR-learner": lambda: meta.BaseDRRegressor(boosting()),
    }


def econml_models(n_trees: int) -> dict[str, Callable[[], Any]]:
    """List EconML's models, nuisances by the same boosting."""
    from econml.dml import CausalForestDML, LinearDML
    from econml.dr import DRLearner
    from econml.metalearners import TLearner

    nuisances = {"model_y": boosting(), "model_t": boosting_classifier()}
    arms = {"discrete_treatment": True, "random_state": 0}
    return {
        "LinearDML": lambda: LinearDML(**nuisances, **arms),
        "CausalForestDML": lambda: CausalForestDML(
            n_estimators=n_trees, n_jobs=1, **nuisances, **arms
        ),
        "DRLearner": lambda: DRLearner(
            model_regression=boosting(), model_propensity=boosting_classifier(),
            model_final=boosting(), random_state=0,
        ),
        "T-learner": lambda: TLearner(models=boosting()),
    }  # fmt: skip


def by_hand_causalml(name: str, model: Any, data: dict[str, Any], X_new: Any) -> Any:
    """Fit and predict with causalml alone; `p` is handed in where it is heard."""
    more: dict[str, Any] = {}
    if name not in ("S-learner", "T-learner") and "p" in data:
        more["p"] = data["p"]
    if name == "DR-learner":
        more["seed"] = 0
    model.fit(X=data["X"], treatment=data["t"], y=data["y"], **more)
    weighing = {"p": data["p_new"]} if name == "X-learner" and "p_new" in data else {}
    return np.ravel(model.predict(X=X_new, **weighing))


class OwnTime:
    """Measure the CPU seconds spent inside methods of a class, calls within calls once."""

    def __init__(self, cls: type, names: tuple[str, ...]) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._cls = cls
        self._names = names

    def __enter__(self) -> OwnTime:
        """Put a clock around each method."""
        for name in self._names:
            setattr(self._cls, name, self._clocked(getattr(self._cls, name)))
        return self

    def __exit__(self, *_: object) -> None:
        """Take the clocks off again: what was inherited is inherited again."""
        for name in self._names:
            original = getattr(self._cls, name).original
            delattr(self._cls, name)
            if getattr(self._cls, name, None) is not original:
                setattr(self._cls, name, original)

    def _clocked(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            begin = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.process_time() - begin

        call.original = method  # type: ignore[attr-defined]
        return call


def overhead_table(n: int) -> list[dict[str, Any]]:
    """CPU seconds of fit and predict through each adapter, and how many of them are the library's."""
    from segcate.cate import CausalMLEstimator, EconMLEstimator

    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10))
    p = 1 / (1 + np.exp(-X[:, 0]))
    t = (rng.random(n) < p).astype(int)
    y = X[:, 0] + t * (1 + X[:, 1]) + rng.normal(size=n)
    jobs = [
        ("causalml", name, CausalMLEstimator(make(), random_state=0), ("fit", "predict"), p)
        for name, make in causalml_learners().items()
    ]
    jobs += [
        ("EconML", name, EconMLEstimator(make()), ("fit", "const_marginal_effect"), None)
        for name, make in econml_models(100).items()
    ]
    found = []
    for library, name, model, methods, propensity in jobs:
        with OwnTime(type(model.model), methods) as own:
            begin = time.process_time()
            model.fit(X, y, treatment=t, propensity=propensity).predict(X)
            total = time.process_time() - begin
        found.append(
            {"library": library, "model": name, "rows": n, "total_seconds": total,
             "library_seconds": own.seconds,
             "overhead_percent": 100 * (total / own.seconds - 1)}
        )  # fmt: skip
        show(found[-1])
    return found


def segment_effects(effect: Any) -> Callable[[dict[str, Any], Any], Any]:
    """Fit an estimator of segment effects behind four k-means segments."""

    def work(data: dict[str, Any], X_new: Any) -> Any:
        from sklearn.pipeline import make_pipeline

        import segcate
        from segcate.segmentation import KMeansSegmenter

        pipe = make_pipeline(KMeansSegmenter(4, random_state=0), effect())
        names = [f"x{i}" for i in range(data["X"].shape[1])]
        import pandas as pd

        with segcate.routing():
            pipe.fit(pd.DataFrame(data["X"], columns=names), data["y"], treatment=data["t"])
        return pipe.predict(pd.DataFrame(X_new, columns=names))

    return work


def our_estimators(n_trees: int) -> dict[str, Callable[[dict[str, Any], Any], Any]]:
    """List segcate's estimators with their defaults."""
    from segcate import cate, effects

    def plain(make: Callable[[], Any]) -> Callable[[dict[str, Any], Any], Any]:
        return lambda data, X_new: (
            make().fit(data["X"], data["y"], treatment=data["t"]).predict(X_new)
        )

    return {
        "InteractionRegression": plain(cate.InteractionRegression),
        "CausalForest": plain(lambda: cate.CausalForest(n_trees, random_state=0)),
        "SegmentedCATE": segment_effects(
            lambda: cate.SegmentedCATE(cate.InteractionRegression())
        ),
        "SegmentRegression": segment_effects(lambda: effects.SegmentRegression(on_empty="overall")),
        "SegmentAIPW": segment_effects(
            lambda: effects.SegmentAIPW(on_empty="overall", random_state=0)
        ),
        "SegmentMatching": segment_effects(lambda: effects.SegmentMatching(on_empty="overall")),
    }  # fmt: skip


def ihdp_table(file: Path, seeds: range, n_trees: int) -> list[dict[str, Any]]:
    """Root mean squared error of the effect: on the rows of the fit, and on a third left out."""
    if not file.is_file():
        print(f"  {file} is not there: left out")
        return []
    values = np.loadtxt(file, delimiter=",")
    t, y, X = values[:, 0].astype(int), values[:, 1], values[:, 5:]
    truth = values[:, 4] - values[:, 3]
    peers = {("segcate", name): work for name, work in our_estimators(n_trees).items()}
    for name, make in causalml_learners().items():
        peers["causalml", name] = lambda data, new, n=name, m=make: by_hand_causalml(
            n, m(), data, new
        )
    for name in ("X-learner", "R-learner", "DR-learner"):
        peers["CausalMLEstimator", name] = lambda data, new, n=name: through_adapter(n, data, new)
    peers["causalml", "CausalRandomForestRegressor"] = lambda data, new: causalml_forest(
        data, new, n_trees
    )
    for name, make in econml_models(n_trees).items():
        peers["EconML", name] = lambda data, new, m=make: (
            m().fit(data["y"], data["t"], X=data["X"]).effect(new)
        )
    found = []
    for (library, name), work in peers.items():
        begin = time.perf_counter()
        within, beyond = [], []
        for seed in seeds:
            is_left_out = np.random.default_rng(seed).random(len(y)) < 1 / 3
            fit_rows = ~is_left_out
            data = {"X": X[fit_rows], "t": t[fit_rows], "y": y[fit_rows]}
            effect = np.asarray(work(data, X))
            error = (effect - truth) ** 2
            within.append(float(np.sqrt(error[fit_rows].mean())))
            beyond.append(float(np.sqrt(error[is_left_out].mean())))
        seconds = (time.perf_counter() - begin) / len(seeds)
        found.append(
            {"library": library, "model": name, "rmse_within": float(np.mean(within)),
             "rmse_left_out": float(np.mean(beyond)),
             "sd_left_out": float(np.std(beyond, ddof=1)) if len(beyond) > 1 else None,
             "seconds": seconds}
        )  # fmt: skip
        show(found[-1])
    show({"sd_of_true_effect": float(truth.std()), "average": float(truth.mean())})
    return found


def through_adapter(name: str, data: dict[str, Any], X_new: Any) -> Any:
    """Fit a learner of causalml with our cross-fitted propensity in place of its own."""
    from segcate.cate import CausalMLEstimator

    model = CausalMLEstimator(causalml_learners()[name](), random_state=0)
    return model.fit(data["X"], data["y"], treatment=data["t"]).predict(X_new)


def causalml_forest(data: dict[str, Any], X_new: Any, n_trees: int) -> Any:
    """Fit causalml's own forest, as it comes; its smallest leaf of 100 rows would allow no split."""
    from causalml.inference.tree import CausalRandomForestRegressor

    forest = CausalRandomForestRegressor(
        n_trees, min_samples_leaf=20, min_group_samples=5, random_state=0
    )
    forest.fit(X=data["X"], treatment=data["t"], y=data["y"])
    return np.ravel(forest.predict(X=X_new))


def show(row: dict[str, Any]) -> None:
    """Print one row of a table."""
    cells = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()]
    print("  " + "  ".join(cells), flush=True)


def main() -> None:
    """Run every part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--ihdp", type=Path, default=IHDP)
    arguments = parser.parse_args()
    full = arguments.size == "full"
    logging.getLogger("duecredit").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    try:
        causalml_learners()
        econml_models(4)
    except ImportError as error:
        print(f"needs causalml and EconML: {error}")
        return
    packages = ("segcate", "causalml", "econml", "scikit-learn", "numpy")
    found: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            **{name: version(name) for name in packages},
        }
    }
    print("adapters: CPU seconds in all, and inside the library (propensity handed in)")
    found["overhead"] = overhead_table(10_000 if full else 500)
    print("IHDP: root mean squared error of the effect, means over the splits")
    found["ihdp"] = ihdp_table(arguments.ihdp, SEEDS if full else range(1), 500 if full else 20)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
