"""Do the intervals of segments hold the truth, and how wide are they? Known truths, many designs.

Each draw finds six segments by k-means on its own rows (in two cells density clusters, as many as there are) and
estimates the effect in each. Its truth is the
mean effect in these segments over 40,000 other rows, weighted by their chance of being in the
population of the estimand. Run ``python benchmarks/sharper.py`` for all cells; the table goes to
benchmarks/sharper.json. ``--cells "linear 800" --draws 40`` runs less and only prints.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.cluster import KMeans

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.exceptions import SegcateWarning
from segcate.matching import PropensityMatcher
from segcate.segmentation import HDBSCANSegmenter

RESULTS = Path(__file__).with_suffix(".json")
N_SEGMENTS = 6
N_TRUTH = 40_000


@dataclass(frozen=True)
class Population:
    """Rows as they are drawn: covariates, log-odds of treatment, outcome without it, effect, noise."""

    X: np.ndarray
    log_odds: np.ndarray
    base: np.ndarray
    effect: np.ndarray
    noise: np.ndarray
    is_event: bool = False


Draw = Callable[[np.random.Generator, int], Population]


def _normal(rng: np.random.Generator, n: int, p: int = 5) -> np.ndarray:
    """Columns with a correlation of .3."""
    return np.sqrt(0.7) * rng.normal(size=(n, p)) + np.sqrt(0.3) * rng.normal(size=(n, 1))


def _side(x: np.ndarray) -> np.ndarray:
    """Return -1 or 1: two kinds of users, told apart by the last column."""
    return np.where(x[:, -1] > 0, 1.0, -1.0)


def _linear(rng: np.random.Generator, n: int, shift: float = -0.5) -> Population:
    x = _normal(rng, n)
    log_odds = shift + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.4 * x[:, 2]
    base = x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 3]
    return Population(x, log_odds, base, 0.5 + 0.4 * x[:, 0], rng.normal(size=n))


def _no_effect(rng: np.random.Generator, n: int) -> Population:
    found = _linear(rng, n)
    return Population(found.X, found.log_odds, found.base, np.zeros(n), found.noise)


def _curved(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    log_odds = -0.5 + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.4 * x[:, 2]
    base = np.exp(0.6 * x[:, 0]) + 0.6 * x[:, 1] ** 2 + 0.6 * x[:, 0] * x[:, 2]
    return Population(x, log_odds, base, 0.5 + 0.3 * x[:, 1], rng.normal(size=n))


def _poor(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    log_odds = -0.5 + 1.3 * x[:, 0] + 0.9 * x[:, 1] - 0.7 * x[:, 2]
    base = x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 3]
    return Population(x, log_odds, base, 0.5 + 0.3 * x[:, 0], rng.normal(size=n))


def _squares(rng: np.random.Generator, n: int, steep: float = 0.5) -> Population:
    x = _normal(rng, n)
    log_odds = -1.0 + steep * x[:, 0] ** 2 + 0.3 * x[:, 1]
    base = 1.0 * x[:, 0] ** 2 + 0.5 * x[:, 1]
    return Population(x, log_odds, base, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _squares_no_overlap(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    log_odds = np.clip(-1.5 + 1.5 * x[:, 0] ** 2 + 0.3 * x[:, 1], -9, 9)
    return Population(
        x, log_odds, x[:, 0] ** 2 + 0.5 * x[:, 1], np.full(n, 0.5), rng.normal(size=n)
    )


def _squares_by_side(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    x[:, -1] += 4 * np.where(rng.random(n) < 0.5, 1.0, -1.0)
    log_odds = -0.3 + 0.6 * _side(x) * (x[:, 0] ** 2 - 1)
    base = _side(x) * x[:, 0] ** 2 + 0.5 * x[:, 1]
    return Population(x, log_odds, base, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _slopes_by_side(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    x[:, -1] += 4 * np.where(rng.random(n) < 0.5, 1.0, -1.0)
    log_odds = -0.3 + 0.7 * _side(x) * x[:, 0]
    base = _side(x) * (x[:, 0] + 0.6 * x[:, 1])
    return Population(x, log_odds, base, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _poor_slopes_by_side(rng: np.random.Generator, n: int) -> Population:
    """Slopes with a sign by segment, and few controls where the treated are."""
    found = _slopes_by_side(rng, n)
    return replace(found, log_odds=-0.3 + 1.5 * _side(found.X) * found.X[:, 0])


def _poor_products_by_side(rng: np.random.Generator, n: int) -> Population:
    """A product with a sign by segment, and few controls where the treated are."""
    x = _slopes_by_side(rng, n).X
    log_odds = -0.5 + 1.3 * x[:, 0] + 0.9 * x[:, 1] - 0.7 * x[:, 2]
    base = _side(x) * x[:, 0] * x[:, 1] + x[:, 2]
    return Population(x, log_odds, base, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _waves(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    log_odds = -0.4 + 1.2 * np.sin(3 * x[:, 0])
    base = 1.2 * np.sin(3 * x[:, 0]) + 0.5 * x[:, 1]
    return Population(x, log_odds, base, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _steps(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    step = 1.0 * (x[:, 0] > 0.3) + np.sign(x[:, 1] * x[:, 2])
    return Population(
        x, -0.6 + 0.6 * step, 0.8 * step + 0.5 * x[:, 1], np.full(n, 0.5), rng.normal(size=n)
    )


def _many_columns(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n, 30)
    slopes = 0.5 / np.arange(1, 31)
    log_odds = -0.5 + x @ slopes
    return Population(x, log_odds, 1.5 * x @ slopes, 0.5 + 0.2 * x[:, 1], rng.normal(size=n))


def _spend(rng: np.random.Generator, n: int) -> Population:
    x = _normal(rng, n)
    log_odds = -0.5 + 0.6 * x[:, 0] + 0.4 * x[:, 1]
    buys = rng.random(n) < expit(-0.5 + 0.5 * x[:, 0])
    mean = np.exp(2.5 + 0.4 * x[:, 1])
    base = expit(-0.5 + 0.5 * x[:, 0]) * mean
    spent = buys * mean * rng.lognormal(-0.32, 0.8, n)
    return Population(x, log_odds, base, 3.0 + np.zeros(n), spent - base)


def _heavy(rng: np.random.Generator, n: int) -> Population:
    found = _linear(rng, n)
    noise = rng.standard_t(2.5, size=n)
    return Population(found.X, found.log_odds, found.base, found.effect, noise)


def _blobs(rng: np.random.Generator, n: int) -> Population:
    """Five crowds of users, for density clusters to find; some rows lie between them."""
    x = _normal(rng, n)
    at = rng.integers(0, 5, n)
    angle = 2 * np.pi * at / 5
    x[:, 3] += 4 * np.cos(angle)
    x[:, 4] += 4 * np.sin(angle)
    log_odds = -0.5 + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.15 * x[:, 3]
    base = np.exp(0.6 * x[:, 0]) + 0.7 * x[:, 1] - 0.3 * x[:, 3]
    return Population(x, log_odds, base, 0.5 + 0.3 * x[:, 1], rng.normal(size=n))


def _money(rng: np.random.Generator, n: int) -> Population:
    """Income, a count, and a city of twelve: long tails and levels."""
    x = _normal(rng, n, 3)
    income, visits = np.exp(1.2 * x[:, 0]), rng.poisson(np.exp(0.5 * x[:, 1]))
    city = np.minimum(rng.geometric(0.25, n) - 1, 11)
    pull = np.random.default_rng(7).normal(size=12) * 0.6
    log_odds = -0.5 + 0.5 * np.log(income) + 0.2 * visits + pull[city]
    base = np.log(income) + 0.4 * visits + pull[city] + 0.4 * x[:, 2]
    X = np.column_stack([income, visits, x[:, 2], city])
    return Population(X, log_odds, base, 0.5 + 0.2 * x[:, 2], rng.normal(size=n))


def _skewed(rng: np.random.Generator, n: int) -> Population:
    """Columns with tails too short to be tamed; treatment and outcome follow their logarithms."""
    x = _normal(rng, n)
    log_odds = -0.5 + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.4 * x[:, 2]
    base = x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 3]
    return Population(np.exp(0.7 * x), log_odds, base, 0.5 + 0.3 * x[:, 1], rng.normal(size=n))


def _events(rng: np.random.Generator, n: int, level: float) -> Population:
    x = _normal(rng, n)
    log_odds = -0.5 + 0.6 * x[:, 0] + 0.4 * x[:, 1] - 0.4 * x[:, 2]
    base = expit(level + 0.5 * x[:, 0] + 0.4 * x[:, 1])
    return Population(x, log_odds, base, 0.3 * base * (1 - base), rng.random(n), is_event=True)


@dataclass(frozen=True)
class Cell:
    """One design of one size."""

    draw: Draw
    n: int
    estimand: str = "att"
    weights: str = ""
    groups: int = 0
    inference: str = "population"
    matcher: Any = None
    is_dense: bool = False


def _shifted(shift: float) -> Draw:
    return lambda rng, n: _linear(rng, n, shift)


CELLS: dict[str, Cell] = {
    "linear 800": Cell(_linear, 800),
    "linear 3000": Cell(_linear, 3000),
    "curved 800": Cell(_curved, 800),
    "curved 3000": Cell(_curved, 3000),
    "no effect 240": Cell(_no_effect, 240),
    "no effect 800": Cell(_no_effect, 800),
    "no effect 3000": Cell(_no_effect, 3000),
    "poor overlap 800": Cell(_poor, 800),
    "poor overlap 3000": Cell(_poor, 3000),
    "squares 800": Cell(_squares, 800),
    "squares 3000": Cell(_squares, 3000),
    "steep squares 3000": Cell(lambda rng, n: _squares(rng, n, 0.7), 3000),
    "squares, no overlap 3000": Cell(_squares_no_overlap, 3000),
    "squares, sign by segment 3000": Cell(_squares_by_side, 3000),
    "slopes, sign by segment 800": Cell(_slopes_by_side, 800),
    "poor overlap, slopes by segment 800": Cell(_poor_slopes_by_side, 800),
    "poor overlap, slopes by segment 3000": Cell(_poor_slopes_by_side, 3000),
    "poor overlap, products by segment 3000": Cell(_poor_products_by_side, 3000),
    "waves 3000": Cell(_waves, 3000),
    "steps 3000": Cell(_steps, 3000),
    "80 % treated 800": Cell(_shifted(1.6), 800),
    "90 % treated 1500": Cell(_shifted(2.5), 1500),
    "5 % treated 3000": Cell(_shifted(-3.3), 3000),
    "30 columns 800": Cell(_many_columns, 800),
    "30 columns 3000": Cell(_many_columns, 3000),
    "spend 800": Cell(_spend, 800),
    "heavy tails 800": Cell(_heavy, 800),
    "skewed 800": Cell(_skewed, 800),
    "money, counts, cities 800": Cell(_money, 800),
    "money, counts, cities 3000": Cell(_money, 3000),
    "30 % events 3000": Cell(lambda rng, n: _events(rng, n, -1.0), 3000),
    "2 % events 3000": Cell(lambda rng, n: _events(rng, n, -4.1), 3000),
    "ATE linear 800": Cell(_linear, 800, "ate"),
    "ATE curved 800": Cell(_curved, 800, "ate"),
    "ATE poor overlap 800": Cell(_poor, 800, "ate"),
    "ATE squares 3000": Cell(_squares, 3000, "ate"),
    "ATC curved 800": Cell(_curved, 800, "atc"),
    "ATC squares 3000": Cell(_squares, 3000, "atc"),
    "sampling weights, curved 800": Cell(_curved, 800, weights="sampling"),
    "sampling weights, ATE curved 800": Cell(_curved, 800, "ate", weights="sampling"),
    "sample inference, curved 800": Cell(_curved, 800, inference="sample"),
    "sample inference, ATE curved 800": Cell(_curved, 800, "ate", inference="sample"),
    "no replacement, curved 1500": Cell(
        _curved, 1500, matcher=PropensityMatcher(n_neighbors=1, replacement=False, caliper=0.2)
    ),
    "caliper, poor overlap 1500": Cell(_poor, 1500, matcher=PropensityMatcher(caliper=0.1)),
    "15 groups, treated whole 1500": Cell(_linear, 1500, groups=15),
    "40 groups, treated whole 3000": Cell(_linear, 3000, groups=40),
    "40 groups, mixed 1500": Cell(_linear, 1500, groups=-40),
    "HDBSCAN 1500": Cell(_blobs, 1500, is_dense=True),
    "HDBSCAN 3000": Cell(_blobs, 3000, is_dense=True),
}


@dataclass
class Rows:
    """One data set and its truths."""

    X: Any
    y: np.ndarray
    treatment: np.ndarray
    weight: np.ndarray | None
    groups: np.ndarray | None
    truth: np.ndarray
    overall: float


def _frame(cell: Cell, X: np.ndarray, segment: np.ndarray) -> Any:
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    if cell.draw is _money:
        frame["x3"] = "city " + frame["x3"].astype(int).astype(str)
    return frame.assign(segment=segment)


def _numbers(cell: Cell, X: np.ndarray) -> np.ndarray:
    if cell.draw is not _money:
        return X[:, :5]
    return np.column_stack([np.log(X[:, 0]), X[:, 1], X[:, 2]])


def _segments(
    cell: Cell, X: np.ndarray, pool: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Find segments in the rows, by k-means or by density; label the pool's rows likewise.

    Density clusters are as many as there are; rows in none of them are the segment 0.
    """
    if not cell.is_dense:
        kmeans = KMeans(N_SEGMENTS, n_init=1, random_state=int(rng.integers(1 << 31)))
        segment = kmeans.fit_predict(_numbers(cell, X))
        return segment, kmeans.predict(_numbers(cell, pool)), N_SEGMENTS
    dense = HDBSCANSegmenter(min_cluster_size=len(X) // 20, min_samples=10, columns=[3, 4]).fit(X)
    segment, in_pool = dense.labels_ + 1, dense.predict(pool) + 1
    return segment, in_pool, int(segment.max()) + 1


def make_rows(cell: Cell, rng: np.random.Generator, pool: Population) -> Rows:
    """Draw a data set, find its segments, and work out their true effects."""
    found = cell.draw(rng, cell.n)
    log_odds = found.log_odds
    noise, groups = found.noise, None
    if cell.groups:
        groups = rng.integers(0, abs(cell.groups), cell.n)
        noise = noise + 0.5 * rng.normal(size=abs(cell.groups))[groups]
    if cell.groups > 0:  # whole groups are treated, half of them
        treated = rng.permutation(cell.groups) < cell.groups // 2
        t = treated[groups].astype(int)
        pool = Population(pool.X, np.zeros(N_TRUTH), pool.base, pool.effect, pool.noise)
    else:
        t = (rng.random(cell.n) < expit(log_odds)).astype(int)
    y = found.base + t * found.effect + noise
    if found.is_event:
        y = (noise < found.base + t * found.effect).astype(float)
    segment, in_pool, n_segments = _segments(cell, found.X, pool.X, rng)
    weight = None
    chance = expit(pool.log_odds)
    share = {"att": chance, "atc": 1 - chance, "ate": np.ones(N_TRUTH)}[cell.estimand]
    if cell.weights:  # rows of the population are sampled by the second column
        weight = np.exp(0.5 * found.X[:, 1])
        share = share * np.exp(0.5 * pool.X[:, 1])
    if cell.inference == "sample":
        where, effect = segment, found.effect
        share = {"att": t, "atc": 1 - t, "ate": np.ones(cell.n)}[cell.estimand]
    else:
        where, effect = in_pool, pool.effect
    mass = np.bincount(where, share, n_segments)
    with np.errstate(invalid="ignore", divide="ignore"):
        truth = np.bincount(where, share * effect, n_segments) / mass
    overall = float(share @ effect / share.sum())
    return Rows(_frame(cell, found.X, segment), y, t, weight, groups, truth, overall)


def estimators(cell: Cell) -> dict[str, Any]:
    """Name the estimators that are compared in a cell."""
    shared = {"estimand": cell.estimand, "inference": cell.inference, "on_empty": "nan"}
    matching = {"matcher": cell.matcher, **shared}
    return {
        "bias": SegmentMatching(adjustment="bias", **matching),
        "auto": SegmentMatching(adjustment="auto", **matching),
        "auto, old matches": SegmentMatching(
            adjustment="auto", **{**matching, "matcher": cell.matcher or PropensityMatcher()}
        ),
        "regression": SegmentRegression(adjustment="linear", **shared),
        "regression, auto": SegmentRegression(adjustment="auto", **shared),
        "odds": SegmentAIPW("auto", estimand=cell.estimand, on_empty="nan"),
    }


def run_cell(name: str, n_draws: int, wanted: list[str] | None = None) -> dict[str, Any]:
    """Draw data sets, estimate all, and count."""
    cell = CELLS[name]
    seed = sum(ord(letter) * 31**i for i, letter in enumerate(name)) % (1 << 31)
    pool = cell.draw(np.random.default_rng(seed), N_TRUTH)
    seen: dict[str, list[Any]] = {}
    cpu: dict[str, float] = {}
    for draw in range(n_draws):
        rows = make_rows(cell, np.random.default_rng([seed, draw]), pool)
        for key, model in estimators(cell).items():
            if wanted and key not in wanted:
                continue
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SegcateWarning)
                try:
                    model.fit(
                        rows.X, rows.y, treatment=rows.treatment, sample_weight=rows.weight,
                        groups=rows.groups,
                    )  # fmt: skip
                except ValueError:
                    continue
            cpu[key] = cpu.get(key, 0.0) + time.process_time() - start
            seen.setdefault(key, []).append(_noted(model, rows))
    return {
        key: _counted(found) | {"cpu": round(cpu[key] / len(found), 4)}
        for key, found in seen.items()
    }


@dataclass(frozen=True)
class Noted:
    """What is kept of one fit: estimates and ends of intervals, less the truth."""

    gap: np.ndarray
    std_error: np.ndarray
    overall: np.ndarray
    test: float
    holm: float
    shrunken: np.ndarray
    contrast: np.ndarray


def _noted(model: Any, rows: Rows) -> Noted:
    table = model.effects_.reindex(range(len(rows.truth)))
    of_effect = ["effect", "ci_low", "ci_high"]
    of_shrunken = ["shrunken_effect", "shrunken_ci_low", "shrunken_ci_high"]
    pairs = model.contrasts().table
    ends = np.array([name.split(" - ") for name in pairs.index], dtype=int).reshape(-1, 2)
    apart = rows.truth[ends[:, 0]] - rows.truth[ends[:, 1]]
    return Noted(
        gap=table[of_effect].to_numpy() - rows.truth[:, None],
        std_error=table["std_error"].to_numpy(),
        overall=model.overall_[of_effect].to_numpy(float) - rows.overall,
        test=model.heterogeneity_.p_value,
        holm=float(table["p_adjusted"].min()),
        shrunken=table[of_shrunken].to_numpy() - rows.truth[:, None],
        contrast=pairs[["estimate", "ci_low", "ci_high"]].to_numpy() - apart[:, None],
    )


def _covered(gaps: np.ndarray) -> float:
    """Percentage of intervals that hold the truth, of those that are known."""
    known = gaps[np.isfinite(gaps).all(axis=1)]
    if len(known) == 0:
        return float("nan")
    return round(100 * float(((known[:, 1] <= 0) & (known[:, 2] >= 0)).mean()), 1)


def _counted(found: list[Noted]) -> dict[str, Any]:
    gap = np.concatenate([one.gap for one in found])
    std_error = np.concatenate([one.std_error for one in found])
    known = np.isfinite(gap).all(axis=1)
    gap, std_error = gap[known], std_error[known]
    error = gap[:, 0]
    return {
        "draws": len(found),
        "none": round(100 * float(1 - known.mean()), 1),
        "covered": _covered(gap),
        "rmse": round(float(np.sqrt((error**2).mean())), 4),
        "bias": round(float(error.mean()), 4),
        "width": round(float(np.median(gap[:, 2] - gap[:, 1])), 4),
        "se_over_sd": round(float(np.sqrt((std_error**2).mean() / (error**2).mean())), 3),
        "overall_covered": _covered(np.array([one.overall for one in found])),
        "contrasts_covered": _covered(np.concatenate([one.contrast for one in found])),
        "shrunken_covered": _covered(np.concatenate([one.shrunken for one in found])),
        "test_rejects": round(100 * float(np.mean([one.test < 0.05 for one in found])), 1),
        "holm_rejects": round(100 * float(np.mean([one.holm < 0.05 for one in found])), 1),
    }


def main() -> None:
    """Run cells and print, and write the table where all were run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--cells", nargs="*", default=list(CELLS))
    parser.add_argument("--estimators", nargs="*", default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    out = given.out or RESULTS
    kept = json.loads(out.read_text()) if out.exists() else {}
    for name in given.cells:
        found = run_cell(name, given.draws, given.estimators)
        for key, counts in found.items():
            print(
                f"{name:34s}{key:18s}" + "  ".join(f"{k} {v}" for k, v in counts.items()),
                flush=True,
            )
        kept[name] = kept.get(name, {}) | found
        out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
