"""Effects of plans, unit by unit and on average: models with their defaults, on worlds with known truth.

    python benchmarks/temporal_effects.py [--worlds NAME ...] [--models NAME ...] [--seeds 3]
                                          [--n 1000] [--out FILE.json]
    python benchmarks/temporal_effects.py --coverage [--worlds NAME ...] [--seeds 30] [--n 500]
    python benchmarks/temporal_effects.py --settings NAME ... [--worlds NAME ...] [--models NAME ...]

The first tells for each model the correlation of estimated and true effects on units it did not see, the
slope of true on estimated ones (1 is right), and the ratio of means; the second how many of 95 %
intervals, of the average and of groups, hold the truth, and how wide they are; the third compares settings
of networks (`temporal_cells.settings`) on data of their own: 400 units, seeds from 20 on. Cells that the
file holds already are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from temporal_cells.settings import TRAININGS, options
from temporal_cells.worlds import WORLDS, World, world

RESULTS = Path(__file__).parent / "temporal_effects.json"
MODELS = ("LinearGComputation", "MSM", "GNet", "CausalTransformer", "CRN", "RMSN")
N_FRESH, N_FRESH_OF_COVERAGE = 1000, 300
# Data sets whose intervals are counted, and those on which settings are compared, have seeds of their own.
FIRST_OF_COVERAGE, FIRST_OF_SETTINGS = 50, 20
OF_SETTINGS = Path(__file__).parent / "temporal_settings.json"
N_OF_SETTINGS = 400


def fit(name: str, here: World, seed: int, **options: Any) -> tuple[Any, float]:
    """Fit a model with its defaults; return it and the CPU seconds."""
    from segcate import temporal

    kind = getattr(temporal, name)
    if name != "MSM":
        options["random_state"] = seed
    if name == "LinearGComputation" and not options.pop("is_resampled", False):
        options["n_bootstraps"] = 0
    begin = time.process_time()
    model = kind(**here.roles, **options).fit(here.training)
    return model, time.process_time() - begin


def by_unit(model: Any, here: World) -> Any:
    """Return the estimated effect at the last step, one a unit, on the first outcome."""
    found = model.effect(here.fresh, here.plan, here.reference, origin=here.origin)
    name = "effect" if "effect" in found else "effect_y1"
    return found.loc[found["step"] == found["step"].max(), name].to_numpy()


def agreement(estimated: Any, true: Any) -> dict[str, float]:
    """Compare effects; a correlation and a slope need effects that differ."""
    found = {
        "mean": float(estimated.mean()), "true_mean": float(true.mean()),
        "sd": float(estimated.std()), "true_sd": float(true.std()),
        "rmse": float(np.sqrt(np.mean((estimated - true) ** 2))),
    }  # fmt: skip
    if true.std() > 1e-6 and estimated.std() > 1e-6:
        found["correlation"] = float(np.corrcoef(estimated, true)[0, 1])
        found["slope"] = float(np.polyfit(estimated, true, 1)[0])
    return {key: round(value, 4) for key, value in found.items()}


def run(
    name: str, world_name: str, n: int, seed: int, setting: str | None = None
) -> dict[str, Any]:
    """Fit one model in one world, by its defaults or by a setting."""
    here = world(world_name, n, N_FRESH if setting is None else N_OF_SETTINGS, seed)
    model, seconds = fit(name, here, seed, **options(setting, name))
    found = agreement(by_unit(model, here), here.truth)
    record = {"model": name, "world": world_name, "n": n, "seed": seed, "cpu_s": round(seconds, 1)}
    if setting is not None:
        return {**record, "setting": setting, "epochs": len(model.history_), **found}
    return {**record, "transform": getattr(model, "transform_", "none"), **found}


def cover(world_name: str, n: int, seed: int) -> dict[str, Any]:
    """Count the intervals of one data set that hold the truth."""
    from segcate.temporal._models.average_effects import average_effects

    here = world(world_name, n, N_FRESH_OF_COVERAGE, seed)
    model, seconds = fit("LinearGComputation", here, seed, is_resampled=True)
    data = model._read(here.fresh)
    origins, _ = model._origins(data, here.origin)
    effects = model._replicates(data, origins, here.plan, here.reference)[:, :, 0, -1:, :1]
    second = model._second_contrast(data, origins, here.plan, here.reference)[:, 0, -1:, :1]
    record: dict[str, Any] = {"model": "coverage", "world": world_name, "n": n, "seed": seed,
                              "cpu_s": round(seconds, 1), "intervals": []}  # fmt: skip
    for group in ("all", *np.unique(here.group)):
        rows = np.ones(len(here.truth), dtype=bool) if group == "all" else here.group == group
        table = average_effects(
            "coverage", effects[:, rows], ("y",), 0.95, is_resampled=True, second=second[rows]
        )
        low, high = float(table["ci_low"].iloc[0]), float(table["ci_high"].iloc[0])
        truth, found = float(here.truth[rows].mean()), float(table["effect"].iloc[0])
        record["intervals"].append(
            {"group": str(group), "truth": round(truth, 4), "effect": round(found, 4),
             "width": round(high - low, 4), "holds": low <= truth <= high}
        )  # fmt: skip
    return record


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a record from others."""
    found = (record["model"], record["world"], record["n"], record["seed"])
    return (*found, record["setting"]) if "setting" in record else found


def table(records: list[dict[str, Any]]) -> str:
    """Write means over seeds, and the range of correlations."""
    lines = [
        f"{'world':<14}{'model':<20}{'n':>6}{'seeds':>6}{'correlation':>22}{'slope':>7}{'mean':>9}"
        f"{'true':>9}{'rmse/sd':>9}{'CPU s':>7}"
    ]
    cells = {key(r)[:3] for r in records if r["model"] != "coverage"}
    for name, where, n in sorted(
        cells, key=lambda c: (WORLDS.index(c[1]), MODELS.index(c[0]), c[2])
    ):
        here = [r for r in records if key(r)[:3] == (name, where, n)]

        def mean(what: str, here: list[dict[str, Any]] = here) -> float:
            return float(np.mean([r.get(what, np.nan) for r in here]))

        found = [r.get("correlation", np.nan) for r in here]
        spread = f"{np.mean(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        share = np.mean([r["rmse"] / max(r["true_sd"], 1e-9) for r in here])
        lines.append(
            f"{where:<14}{name:<20}{n:>6}{len(here):>6}{spread:>22}{mean('slope'):>7.2f}"
            f"{mean('mean'):>9.3f}{mean('true_mean'):>9.3f}{min(share, 99):>9.2f}{mean('cpu_s'):>7.1f}"
        )
    return "\n".join(lines)


def coverage_table(records: list[dict[str, Any]]) -> str:
    """Write the share of intervals that hold the truth, by world: average, groups, both."""
    lines = [
        f"{'world':<14}{'n':>6}{'sets':>6}{'average':>9}{'groups':>8}{'all':>7}{'bias':>8}{'rmse':>8}"
        f"{'width':>8}{'truth':>8}"
    ]
    kept = [r for r in records if r["model"] == "coverage"]
    for where, n in sorted({key(r)[1:3] for r in kept}, key=lambda c: (WORLDS.index(c[0]), c[1])):
        here = [i for r in kept if key(r)[1:3] == (where, n) for i in r["intervals"]]
        average = [i for i in here if i["group"] == "all"]
        groups = [i for i in here if i["group"] != "all"]
        shares = [np.mean([i["holds"] for i in part]) for part in (average, groups, here)]
        error = np.array([i["effect"] - i["truth"] for i in average])
        lines.append(
            f"{where:<14}{n:>6}{len(average):>6}{shares[0]:>9.1%}{shares[1]:>8.1%}{shares[2]:>7.1%}"
            f"{error.mean():>8.3f}{np.sqrt((error**2).mean()):>8.3f}"
            f"{np.mean([i['width'] for i in average]):>8.3f}{np.mean([i['truth'] for i in average]):>8.3f}"
        )
    return "\n".join(lines)


def settings_table(records: list[dict[str, Any]]) -> str:
    """Write errors over the spread of true effects, and correlations, by world; one a seed."""
    places = [where for where in WORLDS if any(r["world"] == where for r in records)]
    lines = [f"{'model':<19}{'setting':<48}" + "".join(f"{where:<26}" for where in places)]
    for name, setting in sorted({(r["model"], r["setting"]) for r in records}):
        line = f"{name:<19}{setting:<48}"
        for where in places:
            here = [
                r
                for r in records
                if (r["model"], r["setting"], r["world"]) == (name, setting, where)
            ]
            cells = (
                f"{r['rmse'] / r['true_sd']:.2f} ({r.get('correlation', np.nan):.2f})" for r in here
            )
            line += f"{', '.join(cells):<26}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def run_settings(asked: argparse.Namespace) -> None:
    """Run settings that are not there yet, and print the table."""
    path = OF_SETTINGS if asked.out == RESULTS else asked.out
    records = json.loads(path.read_text())["records"] if path.is_file() else []
    done = {key(record) for record in records}
    n = asked.n or N_OF_SETTINGS
    seeds = range(FIRST_OF_SETTINGS, FIRST_OF_SETTINGS + (asked.seeds or 2))
    cells = [
        (m, w, n, s, name)
        for s in seeds
        for w in asked.worlds
        for m in asked.models
        for name in asked.settings
    ]
    for cell in cells:
        if cell not in done:
            records.append(run(*cell))
            path.write_text(json.dumps({"records": records}, indent=1) + "\n")
    print(settings_table(records))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["LinearGComputation"])
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--settings", nargs="+", choices=list(TRAININGS))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--n", type=int)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Run the cells that are not there yet, and print the tables."""
    asked = read_options()
    warnings.simplefilter("ignore")
    if asked.settings:
        run_settings(asked)
        return
    n = asked.n or (500 if asked.coverage else 1000)
    seeds = range(asked.seeds or (30 if asked.coverage else 3))
    records = json.loads(asked.out.read_text())["records"] if asked.out.is_file() else []
    done = {key(record) for record in records}
    models = ["coverage"] if asked.coverage else asked.models
    cells = [(m, w, s) for w in asked.worlds for s in seeds for m in models]
    for name, where, seed in cells:
        number = seed + FIRST_OF_COVERAGE if asked.coverage else seed
        if (name, where, n, number) in done:
            continue
        record = cover(where, n, number) if asked.coverage else run(name, where, n, number)
        records.append(record)
        asked.out.write_text(json.dumps({"records": records}, indent=1) + "\n")
    print(table(records))
    print()
    print(coverage_table(records))


if __name__ == "__main__":
    main()
