"""Intervals of segment effects: segments of contrasts, found and judged on different units.

    python benchmarks/temporal_segments.py [--worlds NAME ...] [--seeds 30] [--n 500] [--out FILE.json]

One half of a data set fits `LinearGComputation` and four segments of its contrasts, the other half gives their
effects. The truth is the mean true effect of the other half's units in each segment. It tells how many of 95 %
intervals hold it, and whether estimated segments lie as far apart as true ones: the slope of true on estimated
segment effects is below 1 where they lie too far apart, above 1 where they are drawn towards each other.
Cells that the file holds already are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from temporal_cells.worlds import WORLDS, world

RESULTS = Path(__file__).parent / "temporal_segments.json"
SHOWN = ("customers 0", "customers 4", "tumors 0", "tumors 4")
N_FRESH = 500
# Data sets of intervals have seeds of their own.
FIRST = 200


def run(name: str, n: int, seed: int) -> dict[str, Any]:
    """Find segments in one data set and estimate their effects."""
    from segcate.temporal import LinearGComputation, TrajectorySegmenter, segment_effects

    here = world(name, n, N_FRESH, seed)
    begin = time.process_time()
    model = LinearGComputation(**here.roles, random_state=seed).fit(here.training)
    segmenter = TrajectorySegmenter(
        model, features="contrasts", plan=here.plan, reference=here.reference, origin=here.origin
    )
    rows = _rows_at(here.training, here.roles, here.origin)
    segmenter.fit(rows)
    # Both halves number their units from 0; they are different ones.
    found = segment_effects(
        model,
        segmenter,
        here.fresh,
        here.plan,
        here.reference,
        origin=here.origin,
        allow_same_units=True,
    )
    if "outcome" in found:
        found = found[found["outcome"] == found["outcome"].iloc[0]]
    labels = segmenter.predict(here.fresh)
    truth = np.array([here.truth[labels == segment].mean() for segment in found.index])
    holds = (found["ci_low"] <= truth) & (truth <= found["ci_high"])
    return {
        "world": name, "n": n, "seed": seed, "cpu_s": round(time.process_time() - begin, 1),
        "segments": [
            {"n": int(size), "truth": round(float(t), 4), "effect": round(float(e), 4),
             "width": round(float(w), 4), "holds": bool(h)}
            for size, t, e, w, h in zip(
                found["n"], truth, found["effect"], found["ci_high"] - found["ci_low"], holds,
                strict=True,
            )
        ],
    }  # fmt: skip


def _rows_at(frame: Any, roles: dict[str, Any], origin: Any) -> Any:
    """Keep the units that have a row at the origin."""
    if origin == "last":
        return frame
    n_rows = frame.groupby(roles.get("id", "id"))[roles.get("outcome")].transform("size")
    return frame[n_rows > origin]


def table(records: list[dict[str, Any]]) -> str:
    """Write the share of intervals that hold the truth, by world, and how far segments lie apart."""
    lines = [
        f"{'world':<14}{'n':>6}{'sets':>6}{'segments':>10}{'hold':>8}{'bias':>8}{'rmse':>8}{'width':>8}"
        f"{'spread':>8}{'true':>8}{'slope':>7}{'CPU s':>7}"
    ]
    cells = {(r["world"], r["n"]) for r in records}
    for where, n in sorted(cells, key=lambda c: (WORLDS.index(c[0]), c[1])):
        here = [r for r in records if (r["world"], r["n"]) == (where, n)]
        parts = [s for r in here for s in r["segments"]]
        truth, effect = (np.array([s[what] for s in parts]) for what in ("truth", "effect"))
        inner = [_inner(r["segments"]) for r in here]
        apart, wanted = (np.concatenate([pair[i] for pair in inner]) for i in (0, 1))
        slope = float(apart @ wanted / max(apart @ apart, 1e-12))
        lines.append(
            f"{where:<14}{n:>6}{len(here):>6}{len(parts):>10}{np.mean([s['holds'] for s in parts]):>8.1%}"
            f"{(effect - truth).mean():>8.3f}{np.sqrt(((effect - truth) ** 2).mean()):>8.3f}"
            f"{np.mean([s['width'] for s in parts]):>8.3f}{apart.std():>8.3f}{wanted.std():>8.3f}{slope:>7.2f}"
            f"{np.mean([r['cpu_s'] for r in here]):>7.1f}"
        )
    return "\n".join(lines)


def _inner(segments: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Return estimated and true effects of segments, each less their mean."""
    effect, truth = (np.array([s[what] for s in segments]) for what in ("effect", "truth"))
    return effect - effect.mean(), truth - truth.mean()


def main() -> None:
    """Run the cells that are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(SHOWN))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    records = json.loads(options.out.read_text())["records"] if options.out.is_file() else []
    done = {(r["world"], r["n"], r["seed"]) for r in records}
    for seed in range(FIRST, FIRST + options.seeds):
        for name in options.worlds:
            if (name, options.n, seed) not in done:
                records.append(run(name, options.n, seed))
                options.out.write_text(json.dumps({"records": records}, indent=1) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
