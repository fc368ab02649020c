"""Cells of the tumour data: one model on one training set (gamma, seed), scored on both policies.

Errors are those of the volume in per cent of the volume at death (1150.35 cubic centimetres).
Published figures are the authors' corrected tables: 10,000 patients, 5 seeds.
"""

from __future__ import annotations

import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from temporal_cells import recipes
from temporal_cells.scoring import Float, Int, agreement, clustered_rmse, predictions

DEATH_VOLUME = 1150.3465
ROLES: dict[str, Any] = {
    "treatment": ["chemo", "radio"], "outcome": "volume", "static": ["type"], "time": "t",
}  # fmt: skip
POLICIES = ("own", "published")
# Sliding treatment, nRMSE % at tau 2, 4, 6.
PUBLISHED = {
    "MSM": {0: (1.362, 1.871, 1.970), 2: (1.939, 2.489, 2.509), 4: (2.468, 2.615, 2.422)},
    "RMSN": {0: (0.742, 0.821, 0.889), 2: (0.827, 0.963, 1.081), 4: (1.276, 1.416, 1.436)},
    "CRN": {0: (0.671, 0.734, 0.807), 2: (0.741, 0.898, 1.047), 4: (1.151, 1.573, 1.827)},
    "GNet": {0: (1.021, 1.390, 1.538), 2: (1.271, 1.819, 2.062), 4: (1.257, 1.769, 1.994)},
    "CT": {0: (0.685, 0.729, 0.790), 2: (0.714, 0.826, 0.915), 4: (1.072, 1.426, 1.654)},
    "CT cdc": {0: (0.681, 0.726, 0.789), 2: (0.713, 0.822, 0.909), 4: (1.274, 1.762, 2.052)},
}
MODELS = (
    "persistence", "MSM", "MSM legacy", "RMSN", "CRN", "GNet", "CT", "CT cdc",
    "GNet cbrt", "CT cbrt",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    n_train: int
    n_test: int
    n_rows: int
    n_seeds: int
    epochs: dict[str, int]
    gammas: tuple[int, ...]
    is_published: bool = False  # whether networks are set and trained as their authors had them


SIZES = {
    "smoke": Size(120, 30, 300, 1, dict.fromkeys(("CT", "CRN", "RMSN", "GNet", "decoder", "cbrt"), 2), (4,)),
    "small": Size(
        1000, 400, 6000, 3,
        {"CT": 50, "CRN": 40, "RMSN": 40, "GNet": 60, "decoder": 30, "cbrt": 120}, (0, 4),
    ),
    "published": Size(
        10_000, 1000, 30_000, 2,
        {"CT": 150, "CRN": 100, "RMSN": 100, "GNet": 100, "decoder": 100, "cbrt": 150},
        recipes.GAMMAS, is_published=True,
    ),
}  # fmt: skip


def build(name: str, size: Size, gamma: int, seed: int) -> Any:
    """Return an unfitted model: as in the papers, or ("cbrt") as we would fit it.

    That is a residual head on the cube root, trained for longer and to the end, the transformer without
    dropout: effects are learned last. The others keep the weights of their best epoch, or have widths,
    rates and training as published where the size is the published one.
    """
    from segcate.temporal import CRN, MSM, RMSN, CausalTransformer, GNet, Training

    kind, *options = name.split()
    if kind == "MSM":
        if "legacy" in options:
            from temporal_cells.published import PublishedMSM

            return PublishedMSM(**ROLES, interactions=None)
        return MSM(**ROLES, interactions=None)
    is_cbrt = "cbrt" in options
    common = {
        **ROLES,
        "outcome_head": "residual" if is_cbrt else "direct",
        "outcome_transform": "cbrt" if is_cbrt else None,
        "training": Training(
            n_epochs=size.epochs["cbrt" if is_cbrt else kind],
            batch_size=64 if is_cbrt else 128,
            learning_rate=0.01,
            moving_average=0.0 if kind in ("RMSN", "GNet") else None,
            dropout=0.0 if is_cbrt and kind == "CT" else 0.1,
            early_stopping=not is_cbrt,
            patience=size.epochs[kind],
            verbose=False,
        ),
        "random_state": seed,
    }
    if size.is_published and not is_cbrt:
        common |= recipes.recipe(kind, gamma, size.epochs)
        decoder: dict[str, Any] = {}
    else:
        decoder = {"decoder_training": Training(n_epochs=size.epochs["decoder"], batch_size=1024)}
        if kind == "RMSN":
            decoder["propensity_training"] = Training(n_epochs=30, batch_size=128)
    if kind == "CT":
        return CausalTransformer(**common, balancing="cdc" if "cdc" in options else None)
    if kind == "CRN":
        return CRN(**common, **decoder, balancing="grad_reverse")
    if kind == "RMSN":
        return RMSN(**common, **decoder)
    return GNet(**common)


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a record from others of the data set."""
    return record["model"], record["gamma"], record["seed"], record["n_train"]


def cells(size: Size, models: list[str], seeds: int | None, gammas: list[int] | None) -> list[Any]:
    """List what is to be run, as `key` writes it."""
    return [
        (name, gamma, seed, size.n_train)
        for seed in range(seeds or size.n_seeds)
        for gamma in gammas or size.gammas
        for name in models
        if name in MODELS
    ]


def run(cell: tuple[str, int, int, int], size: Size) -> dict[str, Any]:
    """Train one model on one training set and score it."""
    import torch

    from segcate.temporal import tumor_growth

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, gamma, seed, _ = cell
    training = tumor_growth(size.n_train, gamma=gamma, random_state=10 + seed).panel
    training = training[training.groupby("id")["t"].transform("size") > 1]
    model, begin, start = None, time.process_time(), time.perf_counter()
    if name != "persistence":
        as_published = size.is_published and "cbrt" not in name
        with recipes.constant_rate() if as_published else nullcontext():
            model = build(name, size, gamma, seed).fit(training)
    record: dict[str, Any] = {
        "model": name, "gamma": gamma, "seed": seed, "n_train": size.n_train,
        "train_cpu_s": round(time.process_time() - begin, 1),
        "train_s": round(time.perf_counter() - start, 1),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    for policy in POLICIES:
        test = tumor_growth(2, gamma=gamma, policy=policy, random_state=0)
        begin = time.process_time()
        for kind in ("one_step", "sliding", "random_plans"):
            rows = getattr(test, kind)(size.n_test, random_state=1000 + seed)
            chosen = rng.permutation(len(rows))[: size.n_rows]
            found = predictions(model, rows, chosen)[:, :, 0]
            record[f"{policy} {kind}"] = errors_of(found, rows, chosen)
        record[f"{policy} score_cpu_s"] = round(time.process_time() - begin, 1)
    if model is not None:
        fresh = tumor_growth(size.n_test, gamma=gamma, random_state=2000 + seed)
        record["effect"] = effect_agreement(model, fresh)
    return record


def diameter(volume: Float) -> Float:
    """Return the diameter of a sphere."""
    return 2.0 * np.cbrt(3.0 * np.maximum(volume, 0.0) / (4.0 * np.pi))


def errors_of(predicted: Float, rows: Any, chosen: Int) -> dict[str, list[float]]:
    """Return errors by step: of the volume (with standard errors by patient) and of the diameter."""
    truth = rows.outcome[chosen, :, 0]
    rmse, std_error = clustered_rmse((predicted - truth) ** 2, rows.unit[chosen])
    by_diameter = np.sqrt(((diameter(predicted) - diameter(truth)) ** 2).mean(axis=0))
    return {
        "nrmse": (100 * rmse / DEATH_VOLUME).round(4).tolist(),
        "std_error": (100 * std_error / DEATH_VOLUME).round(4).tolist(),
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
    return agreement(found, truth, "effect", 5)


def line(record: dict[str, Any]) -> str:
    """Say in one line how a cell came out."""
    effect = record.get("effect", {}).get("correlation", float("nan"))
    return (
        f"{record['model']:<12} gamma {record['gamma']} seed {record['seed']}: own "
        f"{record['own sliding']['nrmse']} effect {effect:.2f} train {record['train_cpu_s']:.0f} s"
    )


def table(records: list[dict[str, Any]]) -> str:
    """Write mean errors over seeds at tau 2, 4, 6 beside the published ones."""
    lines = []
    for gamma in sorted({r["gamma"] for r in records}):
        lines += [
            "",
            f"gamma {gamma}: sliding treatment, nRMSE % at tau 2 / 4 / 6 (sd over seeds); effect of "
            "radio against chemo: correlation with the truth",
            f"{'model':<14}{'own policy':>41}{'published policy':>41}{'published':>22}{'effect':>8}"
            f"{'CPU s':>8}",
        ]
        for name in MODELS:
            here = [r for r in records if r["gamma"] == gamma and r["model"] == name]
            if here:
                lines.append(_row(name, gamma, here))
    return "\n".join(lines)


def _row(name: str, gamma: int, records: list[dict[str, Any]]) -> str:
    cells = []
    for policy in POLICIES:
        found = np.array([r[f"{policy} sliding"]["nrmse"] for r in records])[:, [1, 3, 5]]
        spread = found.std(axis=0, ddof=1) if len(records) > 1 else np.zeros(3)
        cells.append(
            " / ".join(
                f"{m:.2f} ({s:.2f})" for m, s in zip(found.mean(axis=0), spread, strict=True)
            )
        )
    printed = PUBLISHED.get(name, {}).get(gamma)
    cells.append(" / ".join(f"{v:.2f}" for v in printed) if printed else "")
    effect = [r["effect"]["correlation"] for r in records if "effect" in r]
    return (
        f"{name:<14}{cells[0]:>41}{cells[1]:>41}{cells[2]:>22}"
        f"{np.mean(effect) if effect else np.nan:>8.2f}"
        f"{np.mean([r['train_cpu_s'] for r in records]):>8.0f}"
    )
