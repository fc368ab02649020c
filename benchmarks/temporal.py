"""Outcomes under treatment plans: every temporal model on simulated patients, beside published figures.

    python benchmarks/temporal.py [--size smoke|small|published] [--gammas 0 4] [--seeds 3]
                                  [--models NAME ...] [--jobs 2] [--out FILE.json]

A cell is one model on one training set (gamma, seed), scored on both test policies. Cells that the
file holds already are not run again, so that a run may be stopped and taken up. Errors are those of
the tumour volume in per cent of the volume at death (1150.35 cubic centimetres), with patients as
clusters in their standard errors; published figures are the authors' corrected tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "temporal.json"
DEATH_VOLUME = 1150.3465
ROLES: dict[str, Any] = {
    "treatment": ["chemo", "radio"], "outcome": "volume", "static": ["type"], "time": "t",
}  # fmt: skip
POLICIES = ("own", "published")
# Authors' corrected tables, sliding treatment, nRMSE % at tau 2, 4, 6 (10,000 patients, 5 seeds).
PUBLISHED = {
    "MSM": {0: (1.362, 1.871, 1.970), 2: (1.939, 2.489, 2.509), 4: (2.468, 2.615, 2.422)},
    "RMSN": {0: (0.742, 0.821, 0.889), 2: (0.827, 0.963, 1.081), 4: (1.276, 1.416, 1.436)},
    "CRN": {0: (0.671, 0.734, 0.807), 2: (0.741, 0.898, 1.047), 4: (1.151, 1.573, 1.827)},
    "GNet": {0: (1.021, 1.390, 1.538), 2: (1.271, 1.819, 2.062), 4: (1.257, 1.769, 1.994)},
    "CT": {0: (0.685, 0.729, 0.790), 2: (0.714, 0.826, 0.915), 4: (1.072, 1.426, 1.654)},
    "CT cdc": {0: (0.681, 0.726, 0.789), 2: (0.713, 0.822, 0.909), 4: (1.274, 1.762, 2.052)},
}


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    n_train: int
    n_test: int
    n_rows: int
    n_seeds: int
    epochs: dict[str, int]
    gammas: tuple[int, ...]


SIZES = {
    "smoke": Size(120, 30, 300, 1, dict.fromkeys(("CT", "CRN", "RMSN", "GNet", "decoder"), 2), (4,)),
    "small": Size(
        1000, 400, 6000, 3, {"CT": 50, "CRN": 40, "RMSN": 40, "GNet": 60, "decoder": 30}, (0, 4)
    ),
    "published": Size(
        10_000, 1000, 30_000, 5, {"CT": 150, "CRN": 100, "RMSN": 100, "GNet": 100, "decoder": 100},
        (0, 1, 2, 3, 4),
    ),
}  # fmt: skip
MODELS = (
    "persistence", "MSM", "MSM legacy", "RMSN", "CRN", "GNet", "CT", "CT cdc",
    "GNet cbrt", "CT cbrt",
)  # fmt: skip


def build(name: str, size: Size, seed: int) -> Any:
    """Return an unfitted model: as in the papers, or ("cbrt") a residual head on the cube root."""
    from segcate.temporal import CRN, MSM, RMSN, CausalTransformer, GNet

    kind, *options = name.split()
    if kind == "MSM":
        return MSM(**ROLES, legacy="legacy" in options)
    is_cbrt = "cbrt" in options
    common = {
        **ROLES,
        "outcome_head": "residual" if is_cbrt else "direct",
        "outcome_transform": "cbrt" if is_cbrt else None,
        "n_epochs": size.epochs[kind],
        "patience": None,
        "verbose": False,
        "random_state": seed,
    }
    decoder = {"decoder_epochs": size.epochs["decoder"]}
    if kind == "CT":
        return CausalTransformer(**common, balancing="cdc" if "cdc" in options else None)
    if kind == "CRN":
        return CRN(**common, **decoder)
    if kind == "RMSN":
        return RMSN(**common, **decoder)
    return GNet(**common)


def packed(rows: Any, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay rows out by unit: origins (n, f), plans (n, f, horizon, d), and where each row went."""
    unit = rows.unit[chosen]
    order = np.argsort(unit, kind="stable")
    counts = np.bincount(unit, minlength=len(rows.ids))
    place = np.empty(len(chosen), dtype=np.intp)
    place[order] = np.arange(len(chosen)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(rows.ids), max(int(counts.max()), 1))
    origins = np.zeros(shape, dtype=np.intp)
    plans = np.zeros((*shape, *rows.plan.shape[1:]))
    origins[unit, place] = rows.origin[chosen]
    plans[unit, place] = rows.plan[chosen]
    return origins, plans, place


def predictions(model: Any, rows: Any, chosen: np.ndarray) -> np.ndarray:
    """Predict the outcomes of counterfactual rows, (n_rows, horizon)."""
    unit, origin = rows.unit[chosen], rows.origin[chosen]
    if model is None:
        now = rows.history_outcome[unit, origin, 0]
        return np.repeat(now[:, None], rows.plan.shape[1], axis=1)
    origins, plans, place = packed(rows, chosen)
    found = model._simulate(model._read(rows.panel), origins, plans).mean(axis=0)
    return found[unit, place, :, 0]


def diameter(volume: np.ndarray) -> np.ndarray:
    """Return the diameter of a sphere."""
    return 2.0 * np.cbrt(3.0 * np.maximum(volume, 0.0) / (4.0 * np.pi))


def errors_of(predicted: np.ndarray, rows: Any, chosen: np.ndarray) -> dict[str, list[float]]:
    """Return errors by step: of the volume (with standard errors by patient) and of the diameter."""
    truth, unit = rows.outcome[chosen, :, 0], rows.unit[chosen]
    square = (predicted - truth) ** 2
    mean = square.mean(axis=0)
    sums = np.stack([np.bincount(unit, s - m) for s, m in zip(square.T, mean, strict=True)])
    n_units = len(np.unique(unit))
    std_error = np.sqrt((sums**2).sum(axis=1) * n_units / max(n_units - 1, 1)) / len(chosen)
    rmse = np.sqrt(mean)
    by_diameter = np.sqrt(((diameter(predicted) - diameter(truth)) ** 2).mean(axis=0))
    return {
        "nrmse": (100 * rmse / DEATH_VOLUME).round(4).tolist(),
        "std_error": (100 * std_error / (2 * rmse) / DEATH_VOLUME).round(4).tolist(),
        "diameter_rmse": by_diameter.round(4).tolist(),
    }


def effect_agreement(model: Any, simulation: Any) -> dict[str, float]:
    """Compare five days of radio with five of chemo from day 20: estimated against true effects."""
    plan = {"chemo": [0] * 5, "radio": [1] * 5}
    reference = {"chemo": [1] * 5, "radio": [0] * 5}
    panel = simulation.panel
    panel = panel[panel.groupby("id")["t"].transform("max") >= 20]
    panel = panel[panel["t"] <= 20]
    found = model.effect(panel, plan, reference, origin=20)
    truth = simulation.true_effect(plan, reference, origin=20)
    both = found.merge(truth, on=["id", "step"], suffixes=("_found", "_true"))
    last = both[both["step"] == 5]
    gap = last["effect_found"] - last["effect_true"]
    return {
        "correlation": round(float(last["effect_found"].corr(last["effect_true"])), 4),
        "rmse": round(float(np.sqrt((gap**2).mean())), 4),
        "true_mean": round(float(last["effect_true"].mean()), 4),
        "true_sd": round(float(last["effect_true"].std()), 4),
        "n": len(last),
    }


def run_cell(cell: tuple[str, int, int], size: Size) -> dict[str, Any]:
    """Train one model on one training set and score it."""
    import torch

    from segcate.temporal import tumor_growth

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, gamma, seed = cell
    training = tumor_growth(size.n_train, gamma=gamma, random_state=10 + seed).panel
    training = training[training.groupby("id")["t"].transform("size") > 1]
    model, begin = None, time.process_time()
    if name != "persistence":
        model = build(name, size, seed).fit(training)
    record: dict[str, Any] = {
        "model": name, "gamma": gamma, "seed": seed, "n_train": size.n_train,
        "train_cpu_s": round(time.process_time() - begin, 1),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    for policy in POLICIES:
        test = tumor_growth(2, gamma=gamma, policy=policy, random_state=0)
        begin = time.process_time()
        for kind in ("one_step", "sliding", "random_plans"):
            rows = getattr(test, kind)(size.n_test, random_state=1000 + seed)
            chosen = rng.permutation(len(rows))[: size.n_rows]
            found = predictions(model, rows, chosen)
            record[f"{policy} {kind}"] = errors_of(found, rows, chosen)
        record[f"{policy} score_cpu_s"] = round(time.process_time() - begin, 1)
    if model is not None:
        fresh = tumor_growth(size.n_test, gamma=gamma, random_state=2000 + seed)
        record["effect"] = effect_agreement(model, fresh)
    return record


def table(records: list[dict[str, Any]]) -> str:
    """Write mean errors over seeds at tau 2, 4, 6 beside the published ones."""
    lines = []
    for gamma in sorted({r["gamma"] for r in records}):
        lines += [
            "",
            f"gamma {gamma}: sliding treatment, nRMSE % at tau 2 / 4 / 6 (sd over seeds); effect of "
            "radio against chemo: correlation with the truth",
            f"{'model':<14}{'own policy':>36}{'published policy':>36}{'published':>20}{'effect':>8}"
            f"{'CPU s':>8}",
        ]
        for name in MODELS:
            here = [r for r in records if r["gamma"] == gamma and r["model"] == name]
            if not here:
                continue
            cells = []
            for policy in POLICIES:
                found = np.array([r[f"{policy} sliding"]["nrmse"] for r in here])[:, [1, 3, 5]]
                spread = found.std(axis=0, ddof=1) if len(here) > 1 else np.zeros(3)
                cells.append(
                    " / ".join(
                        f"{m:.2f} ({s:.2f})"
                        for m, s in zip(found.mean(axis=0), spread, strict=True)
                    )
                )
            printed = PUBLISHED.get(name, {}).get(gamma)
            cells.append(" / ".join(f"{v:.2f}" for v in printed) if printed else "")
            effect = [r["effect"]["correlation"] for r in here if "effect" in r]
            lines.append(
                f"{name:<14}{cells[0]:>36}{cells[1]:>36}{cells[2]:>20}"
                f"{np.mean(effect) if effect else np.nan:>8.2f}"
                f"{np.mean([r['train_cpu_s'] for r in here]):>8.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--gammas", type=int, nargs="+")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    size = SIZES[options.size]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    stored: dict[str, Any] = {"records": []}
    if options.out.exists():
        stored = json.loads(options.out.read_text())
    records = stored["records"]
    done = {(r["model"], r["gamma"], r["seed"]) for r in records if r["n_train"] == size.n_train}
    cells = [
        (name, gamma, seed)
        for seed in range(options.seeds or size.n_seeds)
        for gamma in options.gammas or size.gammas
        for name in options.models
        if (name, gamma, seed) not in done
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for record in pool.map(run_cell, cells, [size] * len(cells)):
            records.append(record)
            stored = {"machine": platform.machine(), "python": platform.python_version(),
                      "size": options.size, "records": records}  # fmt: skip
            options.out.write_text(json.dumps(stored, indent=1))
            effect = record.get("effect", {}).get("correlation", float("nan"))
            print(
                f"{record['model']:<12} gamma {record['gamma']} seed {record['seed']}: own "
                f"{record['own sliding']['nrmse']} effect {effect:.2f} "
                f"train {record['train_cpu_s']:.0f} s",
                flush=True,
            )
    print(table([r for r in records if r["n_train"] == size.n_train]))


if __name__ == "__main__":
    main()
