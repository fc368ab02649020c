"""Fits in parts beside the fit in memory: the largest relative difference of any figure.

The rows have ties on whole-number covariates, weights, a caliper, and segments of every kind: a large one, a thin
one, one whose arms a covariate separates, and one without treated rows. Each case is fitted in memory once, and in
parts with the largest segment in 1, 4 and 16 parts: by the local runner from batches of shuffled rows, and by two
workers of Spark from eight Parquet files of them. Run ``python benchmarks/scale_equality.py`` for the table, written
to benchmarks/scale_equality.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.scale_spark import cpu_seconds, two_workers

RESULTS = Path(__file__).with_suffix(".json")
WHOLE, MIXED = ["a", "b", "c", "d", "e"], ["a", "b", "c", "x", "z"]
CASES: dict[str, dict[str, Any]] = {
    "bias": {"adjustment": "bias", "columns": MIXED},
    "bias, whole numbers, weights, caliper": {
        "adjustment": "bias", "columns": WHOLE, "weight": "weight", "caliper": 0.05,
    },
    "auto": {"adjustment": "auto", "columns": MIXED},
    "auto, whole numbers, weights, caliper": {
        "adjustment": "auto", "columns": WHOLE, "weight": "weight", "caliper": 0.05,
    },
}  # fmt: skip
PARTS = (1, 4, 16)
ENGINES = ("local", "spark")
_FILES = 8

# Makes a source of shuffled rows.
Source = Callable[[pd.DataFrame], Any]


def made_rows(n: int, seed: int = 0) -> pd.DataFrame:
    """Make rows; segment 3 has about 70 % of them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.integers(-2, 3, (n, 5)), columns=WHOLE)
    frame["x"], frame["z"] = rng.normal(size=(2, n))
    segment = rng.choice([3, 1, 2, 4], n, p=[0.7, 0.15, 0.1, 0.05])
    log_odds = -0.8 + 0.4 * frame["a"] - 0.3 * frame["b"] + 0.4 * frame["x"] + 0.1 * segment
    treatment = (rng.random(n) < 1 / (1 + np.exp(-log_odds.to_numpy()))).astype(int)
    segment[:80], segment[80:380], segment[380:680] = 7, 8, 9
    treatment[80:380] = frame["a"].to_numpy()[80:380] > 0
    treatment[380:680] = 0
    frame["y"] = (
        frame[WHOLE] @ [1.0, 0.5, -0.3, 0.2, 0.0] + frame["x"] ** 2 + 0.3 * frame["a"] * frame["z"]
        + 0.2 * treatment * (segment % 3) + rng.normal(size=n)
    )  # fmt: skip
    weight = rng.uniform(0.5, 3.0, n)
    return frame.assign(segment=segment, t=treatment, weight=weight)


def model_of(case: dict[str, Any]) -> Any:
    """Make the estimator of a case, not fitted."""
    from segcate.effects import SegmentMatching
    from segcate.matching import PropensityMatcher

    matching = {"estimator": "auto", "n_neighbors": "auto"} if case["adjustment"] == "auto" else {}
    matcher = PropensityMatcher(**matching, caliper=case.get("caliper"))
    return SegmentMatching(matcher, adjustment=case["adjustment"], on_empty="nan")


def in_memory(frame: pd.DataFrame, case: dict[str, Any]) -> Any:
    """Fit a case in memory."""
    given = {"sample_weight": frame[case["weight"]]} if "weight" in case else {}
    X = frame[[*case["columns"], "segment"]]
    return model_of(case).fit(X, frame["y"], treatment=frame["t"], **given)


def arrow_table(frame: pd.DataFrame) -> Any:
    """Give rows to the local runner."""
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


def spark_files(session: Any, folder: str) -> Source:
    """Give rows to Spark, in files of their own."""

    def source(frame: pd.DataFrame) -> Any:
        for i in range(_FILES):
            frame.iloc[i::_FILES].to_parquet(f"{folder}/{i}.parquet", index=False)
        return session.read.parquet(folder)

    return source


def in_parts(frame: pd.DataFrame, case: dict[str, Any], n_parts: int, source: Source) -> Any:
    """Fit a case in parts, from shuffled rows."""
    from segcate import scale

    mixed = frame.sample(frac=1.0, random_state=n_parts, ignore_index=True)
    largest = int((frame["segment"] == 3).sum())
    return scale.fit(
        model_of(case), source(mixed), outcome="y", treatment="t", sample_weight=case.get("weight"),
        columns=[*case["columns"], "segment"], part_size=-(-largest // n_parts),
    )  # fmt: skip


def _tables(found: Any) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "effects", found.effects_
    yield "overall", found.overall_.to_frame().T
    yield "contrasts", found.contrasts().table
    q = found.heterogeneity_
    yield "heterogeneity", pd.DataFrame([{"q": q.q, "p": q.p_value, "tau2": q.tau2}])
    # distances between distributions are taken at quantiles of a sample
    yield "balance", found.balance_.drop(columns=["ks_before", "ks_after"])
    if found.second_estimate_ is not None:
        yield "second estimate", found.second_estimate_.table


def largest_gaps(expected: Any, found: Any) -> dict[str, float]:
    """Return the largest difference in each table, relative to figures above 0.001; infinite where gaps differ."""
    out = {}
    for (name, one), (_, other) in zip(_tables(expected), _tables(found), strict=True):
        a, b = (t.select_dtypes("number").to_numpy(dtype=float) for t in (one, other))
        if not (np.isnan(a) == np.isnan(b)).all():
            out[name] = float("inf")
            continue
        with np.errstate(invalid="ignore"):
            gap = np.where(a == b, 0.0, np.abs(a - b) / np.maximum(np.abs(a), 1e-3))
        out[name] = float(np.nanmax(gap, initial=0.0))
    return out


def compared(
    frame: pd.DataFrame, name: str, parts: tuple[int, ...], sources: dict[str, Source]
) -> Iterator[dict[str, Any]]:
    """Fit one case in memory and in parts."""
    case = CASES[name]
    expected, seconds = _timed(lambda: in_memory(frame, case))
    for engine, source in sources.items():
        for n_parts in parts:
            found, used = _timed(lambda: in_parts(frame, case, n_parts, source))  # noqa: B023
            report = found.scale_report_
            yield {
                "case": name, "engine": engine, "rows": len(frame), "parts": n_parts,
                **{key: report[key] for key in ("n_passes", "n_parts", "halo_share")},
                "cpu_seconds": used, "cpu_seconds_in_memory": seconds,
                "same_status": list(found.effects_["status"]) == list(expected.effects_["status"]),
                "gaps": largest_gaps(expected, found),
            }  # fmt: skip


def _timed(fit: Callable[[], Any]) -> tuple[Any, float]:
    before = cpu_seconds()
    found = fit()
    used = sum(now - before.get(pid, 0.0) for pid, now in cpu_seconds().items())
    return found, round(used, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--case", nargs="*", default=list(CASES))
    parser.add_argument("--engine", nargs="*", default=list(ENGINES))
    given = parser.parse_args()
    frame, results = made_rows(int(given.rows)), []
    session = two_workers() if "spark" in given.engine else None
    with tempfile.TemporaryDirectory() as folder:
        known: dict[str, Source] = {"local": arrow_table, "spark": spark_files(session, folder)}
        sources = {engine: known[engine] for engine in given.engine}
        for name in given.case:
            for row in compared(frame, name, PARTS, sources):
                results.append(row)
                worst = max(row["gaps"].values())
                print(f"{name:40} {row['parts']:3} parts {worst:9.1e} {row}", flush=True)
    if session is not None:
        session.stop()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
