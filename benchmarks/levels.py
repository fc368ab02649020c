"""Effects where a category has many levels: bias, error, coverage and rows left out.

Each cell draws data sets whose effects are known for every row; the truth of a segment is the mean
effect on the rows that the estimate is about (its treated, those without a donor in their level left
out). Run ``python benchmarks/levels.py`` for the table, written to benchmarks/levels.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.exceptions import EmptySegmentError, SegcateWarning

RESULTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Design:
    """What a data set looks like.

    Attributes
    ----------
    n : rows a segment
    n_segments : number of segments
    levels : number of levels of each category
    pattern : "ordered", "mild", "strong" or "own" effects of the levels on treatment and outcome
    numbers : numeric covariates beside the categories
    varying : whether effects differ between levels and along the first number
    decisive : share of levels of the first category whose rows are all treated, or all controls
    """

    n: int
    n_segments: int = 2
    levels: tuple[int, ...] = (40,)
    pattern: str = "ordered"
    numbers: int = 0
    varying: bool = False
    decisive: float = 0.0


DESIGNS = {
    "40 ordered, n 300": Design(300),
    "20 ordered, n 300, 1 number": Design(300, 4, (20,), numbers=1),
    "40 ordered, n 300, 1 number": Design(300, 4, numbers=1),
    "40 strong, n 300, 1 number": Design(300, 4, pattern="strong", numbers=1),
    "40 own, n 300, 1 number": Design(300, 4, pattern="own", numbers=1),
    "40 mild, n 300, 1 number": Design(300, 4, pattern="mild", numbers=1),
    "200 strong, n 300, 1 number": Design(300, 4, (200,), "strong", 1),
    "200 strong, n 1500, 1 number": Design(1500, 2, (200,), "strong", 1),
    "20 and 12 strong, n 300, 2 numbers": Design(300, 4, (20, 12), "strong", 2),
    "30, 20 and 3 strong, n 600, 2 numbers": Design(600, 2, (30, 20, 3), "strong", 2),
    "40 strong varying, n 600, 1 number": Design(600, 2, (40,), "strong", 1, varying=True),
    "20 ordered varying, n 300, 1 number": Design(300, 4, (20,), "ordered", 1, varying=True),
    "20 and 12 own varying, n 400, 2 numbers": Design(400, 3, (20, 12), "own", 2, varying=True),
    "20 mild, 3 decide, n 300, 1 number": Design(300, 4, (20,), "mild", 1, decisive=0.15),
    "2 levels, rare, n 300, 2 numbers": Design(300, 4, (2,), "rare", 2),
}


def draw(design: Design, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Return covariates with the segment, treatment, outcome and the effect of every row."""
    rng = np.random.default_rng([seed, 20_260])
    n = design.n * design.n_segments
    segment = np.repeat(np.arange(design.n_segments), design.n)
    X, eta, base, tau = pd.DataFrame({"segment": segment}), 0.0, 0.0, np.full(n, 2.0)
    for k, count in enumerate(design.levels):
        share = [0.98, 0.02] if design.pattern == "rare" else None
        level = rng.choice(count, n, p=share)
        on_treatment, on_outcome = _level_effects(design, count, rng)
        at = segment if design.pattern == "own" else 0
        logit, shift = on_treatment[at, level], on_outcome[at, level]
        if k == 0 and design.decisive:
            n_decisive = max(1, round(design.decisive * count))
            logit = np.where(level < n_decisive, np.where(level % 2 == 0, 30.0, -30.0), logit)
        eta, base = eta + logit, base + shift
        if design.varying and k == 0:
            tau = tau + 0.5 * shift
        X[f"c{k}"] = np.char.add("l", rng.permutation(count)[level].astype(str))
    for k in range(design.numbers):
        x = rng.normal(size=n)
        X[f"x{k}"] = x
        eta, base = eta + 0.5 * x, base + 0.7 * x
        if design.varying and k == 0:
            tau = tau + 0.5 * x
    treatment = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    y = base + treatment * tau + rng.normal(size=n)
    return X, treatment, y, tau


def _level_effects(
    design: Design, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Effects of the levels on the log-odds and on the outcome, one row for each set of them."""
    if design.pattern == "rare":
        return np.array([[-0.2, 3.0]]), np.array([[0.0, 3.0]])
    if design.pattern == "ordered":
        line = np.linspace(-1.7, 1.7, count)[None]
        return 1.4 * line, 1.8 * line
    sets = design.n_segments if design.pattern == "own" else 1
    spread = 0.5 if design.pattern == "mild" else 1.5 / np.sqrt(len(design.levels))
    u = rng.normal(size=(sets, count))
    return spread * u, spread * (0.8 * u + 0.6 * rng.normal(size=(sets, count)))


def estimators(estimand: str = "att") -> dict[str, object]:
    """Return the estimators to compare."""
    return {
        "matching": SegmentMatching(estimand=estimand, on_empty="nan"),
        "matching, bias": SegmentMatching(estimand=estimand, adjustment="bias", on_empty="nan"),
        "regression": SegmentRegression(estimand=estimand, on_empty="nan"),
        "regression, linear": SegmentRegression(
            estimand=estimand, adjustment="linear", on_empty="nan"
        ),
        "AIPW": SegmentAIPW(estimand=estimand, on_empty="nan"),
    }


def with_donor(X: pd.DataFrame, treatment: np.ndarray) -> np.ndarray:
    """Mark rows whose levels all have a control in their segment."""
    out = np.ones(len(X), dtype=bool)
    for name in [name for name in X if name.startswith("c")]:
        has = pd.Series(treatment == 0).groupby([X["segment"], X[name]]).transform("any")
        out &= has.to_numpy()
    return out


def run(design: Design, model: object, seeds: range) -> dict[str, float]:
    """Estimate every segment of every draw, and sum up."""
    rows = []
    for seed in seeds:
        X, t, y, tau = draw(design, seed)
        keep = with_donor(X, t) & (t == 1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SegcateWarning)
                table = model.fit(X, y, treatment=t).effects_
        except EmptySegmentError:
            rows += [(np.nan, np.nan, np.nan, np.nan)] * design.n_segments
            continue
        for label, row in table.iterrows():
            here = (X["segment"] == label).to_numpy()
            truth = tau[keep & here].mean()
            left = 1 - row["n_matched"] / row["n_treated"]
            covered = row["ci_low"] <= truth <= row["ci_high"]
            rows.append((row["effect"] - truth, covered, left, row["std_error"]))
    error, covered, left, se = np.array(rows, dtype=float).T
    there = np.isfinite(error)
    if not there.any():
        return {"estimates": 0, "none": len(error)}
    return {
        "estimates": int(there.sum()),
        "none": int((~there).sum()),
        "bias": float(error[there].mean()),
        "rmse": float(np.sqrt((error[there] ** 2).mean())),
        "worst": float(np.abs(error[there]).max()),
        "covered": float(covered[there].mean()),
        "left_out": float(np.nanmean(left)) if there.any() else float("nan"),
        "mean_se": float(np.nanmean(se)),
    }


def main() -> None:
    """Print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.draws)
    cells = []
    for name in args.designs:
        for kind, model in estimators().items():
            found = run(DESIGNS[name], model, seeds)
            text = "  ".join(f"{k} {v:.3g}" for k, v in found.items())
            print(f"{name:42} {kind:20} {text}", flush=True)
            cells.append({"design": name, "estimator": kind, **asdict(DESIGNS[name]), **found})
    args.out.write_text(
        json.dumps({"first_seed": args.first_seed, "draws": args.draws, "cells": cells}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
