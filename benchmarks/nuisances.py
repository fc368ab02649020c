"""Effect scores and AIPW by the default models: time, memory and error beside scikit-learn and EconML.

    python benchmarks/nuisances.py [--rows 50000] [--seeds 2] [--only DESIGN ...] [--out FILE.json]

The truth is known. `gap` is the root mean square of scores less those of the true nuisances, `error` that of the
mean effects of ten segments. Every method sees the same rows in the same run; memory is what it takes at its peak
beyond what was there before.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matching import PeakWatch, resident
from scipy.special import expit
from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parent / "results" / "nuisances.json"
N_COLUMNS, N_SEGMENTS = 20, 10


@dataclass(frozen=True)
class Study:
    """Rows with their true nuisances, and the segment each is in."""

    X: np.ndarray
    treatment: np.ndarray
    y: np.ndarray
    chance: np.ndarray
    mu: np.ndarray
    segment: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """True effect of each row."""
        return self.mu[:, 1] - self.mu[:, 0]

    def scores(self, chance: np.ndarray, mu0: np.ndarray, mu1: np.ndarray) -> np.ndarray:
        """Doubly robust scores."""
        t, chance = self.treatment, np.clip(chance, 0.01, 0.99)
        left = t * (self.y - mu1) / chance - (1 - t) * (self.y - mu0) / (1 - chance)
        return mu1 - mu0 + left

    def segment_errors(self, scores: np.ndarray) -> np.ndarray:
        """Mean score of each segment less its mean effect."""
        size = np.bincount(self.segment)
        return np.bincount(self.segment, scores - self.effect) / size


def few_of_many(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four of twenty columns matter, and bend."""
    odds = -0.8 + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.4 * x[:, 2] + 0.3 * x[:, 3] ** 2
    base = np.exp(0.4 * x[:, 0]) + 0.6 * x[:, 1] ** 2 + 0.6 * x[:, 0] * x[:, 2]
    return odds, base, 0.5 + 0.3 * x[:, 1]


def lines(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All columns matter, less and less, along lines."""
    slopes = 0.5 / np.arange(1, N_COLUMNS + 1)
    return -0.5 + x @ slopes, 1.5 * x @ slopes, 0.5 + 0.2 * x[:, 1]


def steps(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps and signs of a product, which no curve follows."""
    step = 1.0 * (x[:, 0] > 0.3) + np.sign(x[:, 1] * x[:, 2])
    return -0.6 + 0.6 * step, 0.8 * step + 0.5 * x[:, 1], 0.5 + 0.5 * (x[:, 3] > 0)


def dense(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All products and waves of all columns matter a little."""
    rng = np.random.default_rng(99)
    products = np.einsum("ij,jk,ik->i", x, 0.08 * rng.normal(size=(N_COLUMNS, N_COLUMNS)), x)
    odds = -0.5 + x @ (0.15 * rng.normal(size=N_COLUMNS)) + 0.15 * products
    base = x @ (0.3 * rng.normal(size=N_COLUMNS)) + 0.5 * products + 0.3 * np.sin(2 * x).sum(axis=1)
    return odds, base, 0.5 + 0.3 * x[:, 1] + 0.1 * products


DESIGNS = {"few of many": few_of_many, "lines": lines, "steps": steps, "dense": dense}


def draw(name: str, n: int, seed: int) -> Study:
    """Draw the rows of a design, and find ten segments by k-means."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    x = np.sqrt(0.7) * rng.normal(size=(n, N_COLUMNS)) + np.sqrt(0.3) * rng.normal(size=(n, 1))
    odds, base, effect = DESIGNS[name](x)
    treatment = (rng.random(n) < expit(odds)).astype(np.int64)
    y = base + treatment * effect + rng.normal(size=n)
    segment = KMeans(N_SEGMENTS, n_init=1, random_state=0).fit_predict(x)
    return Study(x, treatment, y, expit(odds), np.column_stack([base, base + effect]), segment)


# Each takes a study; returns scores or None, and the mean effects of the segments or None.


def ours(study: Study) -> tuple[np.ndarray | None, np.ndarray | None]:
    """`effect_scores` as it comes."""
    from segcate.metrics import effect_scores

    return effect_scores(study.X, study.y, treatment=study.treatment, random_state=0), None


def aipw(outcome_model: Any) -> Callable[[Study], tuple[np.ndarray | None, np.ndarray | None]]:
    """`SegmentAIPW` with curves and odds ("auto"), or with the averaged models (None)."""

    def fit(study: Study) -> tuple[np.ndarray | None, np.ndarray | None]:
        from segcate.effects import SegmentAIPW

        model = SegmentAIPW(outcome_model, segment=N_COLUMNS, random_state=0)
        labelled = np.column_stack([study.X, study.segment])
        table = model.fit(labelled, study.y, treatment=study.treatment).effects_
        return None, table["effect"].to_numpy()

    return fit


def scikit_learn(study: Study) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Scores by cross-fitted gradient boosting, as one would write them."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.model_selection import StratifiedKFold

    chance, mu = np.empty(len(study.y)), np.empty((len(study.y), 2))
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(study.X, study.treatment)
    for train, test in folds:
        model = HistGradientBoostingClassifier(random_state=0)
        model.fit(study.X[train], study.treatment[train])
        chance[test] = model.predict_proba(study.X[test])[:, 1]
        for arm in (0, 1):
            rows = train[study.treatment[train] == arm]
            model = HistGradientBoostingRegressor(random_state=0)
            mu[test, arm] = model.fit(study.X[rows], study.y[rows]).predict(study.X[test])
    return study.scores(chance, mu[:, 0], mu[:, 1]), None


def econml(study: Study) -> tuple[np.ndarray | None, np.ndarray | None]:
    """EconML's LinearDRLearner on the segments, with the same boosting."""
    from econml.dr import LinearDRLearner
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    model = LinearDRLearner(
        model_propensity=HistGradientBoostingClassifier(random_state=0),
        model_regression=HistGradientBoostingRegressor(random_state=0),
        min_propensity=0.01, cv=5, random_state=0,
    )  # fmt: skip
    member = (study.segment[:, None] == np.arange(1, N_SEGMENTS)).astype(float)
    model.fit(study.y, study.treatment, X=member, W=study.X)
    one_each = np.vstack([np.zeros(N_SEGMENTS - 1), np.eye(N_SEGMENTS - 1)])
    return None, model.effect(one_each).ravel()


METHODS = {
    "effect_scores": ours,
    "SegmentAIPW('auto')": aipw("auto"),
    "SegmentAIPW(None)": aipw(None),
    "scikit-learn boosting": scikit_learn,
    "EconML LinearDRLearner": econml,
}


def measured(method: Callable[[Study], Any], study: Study) -> dict[str, float]:
    """Run one method once."""
    before, watch = resident(), PeakWatch()
    watch.start()
    begin, cpu = time.perf_counter(), time.process_time()
    scores, effects = method(study)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - begin
    memory = watch.stop() - before
    found = {"cpu_seconds": cpu, "seconds": seconds, "megabytes": memory / 2**20}
    if scores is not None:
        oracle = study.scores(study.chance, study.mu[:, 0], study.mu[:, 1])
        found["gap"] = float(np.sqrt(np.mean((scores - oracle) ** 2)))
        errors = study.segment_errors(scores)
    else:
        size = np.bincount(study.segment)
        errors = effects - np.bincount(study.segment, study.effect) / size
    found["error"] = float(np.sqrt(np.mean(errors**2)))
    return found


def main() -> None:
    """Run the designs asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=list(DESIGNS), action="append")
    parser.add_argument("--methods", choices=list(METHODS), action="append")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = []
    with threadpool_limits(1):
        for name in METHODS if arguments.methods is None else arguments.methods:
            METHODS[name](draw("lines", 2_000, 0))  # imports, and what is compiled
        for design in arguments.only or DESIGNS:
            for seed in range(arguments.seeds):
                study = draw(design, arguments.rows, seed)
                for name in METHODS if arguments.methods is None else arguments.methods:
                    row = {"design": design, "seed": seed, "method": name}
                    table.append({**row, **measured(METHODS[name], study)})
                    cells = [
                        f"{value:10.4g}" if isinstance(value, float) else f"{value!s:22}"
                        for value in table[-1].values()
                    ]
                    print("  ".join(cells), flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"cores": os.cpu_count(), "rows": arguments.rows, "table": table}
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
