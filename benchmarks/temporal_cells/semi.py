"""Cells of the semi-synthetic data: one model on one cohort (seed), scored on units kept out.

Covariates are made up by `standin_covariates`, 25 of them, with two static columns that play no part;
two outcomes and three treatments are simulated on top, with `center=True` where a treatment would be
given on less than 5 % or more than 95 % of days. As in the published tables step 1 is scored on all
eight combinations of treatments, and steps 2 to 10 on plans of coin flips behind a factual first day.
Errors are in SD of the outcome in the training units, over both outcomes. Published figures are the
authors' corrected table, on records of intensive care: 1,000 patients of up to 100 hours, 5 seeds, and
with covariates that are measured together with the outcome to be predicted. "floor" is a forecast that
knows how the data were made; no model comes closer.

Widths, batches and learning rates are the authors', except for these: one learning rate for all
networks of a model (theirs of the encoder), one layer, one width of both propensity networks (theirs
of the denominator). A quarter of the training units is held out, and the
epoch of the lowest factual error there is kept.

`small`: 400 training units of 60 hours; 60 epochs of CT, whose lowest factual error comes at about 40
(at 300 units it overfits from there on), 200 of the encoders, 30 of the decoders, 200 of G-Net, whose
batches of 256 make one step an epoch. A model takes one and a half to four CPU-minutes. `published`:
800 units of 100 hours and the authors' epochs.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from temporal_cells.scoring import Float, Int, agreement, clustered_rmse, predictions
from temporal_cells.semi_floor import Floor

HORIZON = 10
TREATMENTS, OUTCOMES, STATIC = ["t1", "t2", "t3"], ["y1", "y2"], ["age", "female"]
# RMSE at tau 1 to 10; the MSM is above 10 from tau 8 on.
PUBLISHED = {
    "MSM": (0.37, 0.57, 0.74, 0.88, 1.14, 1.95, 3.44, np.inf, np.inf, np.inf),
    "RMSN": (0.24, 0.47, 0.60, 0.70, 0.78, 0.84, 0.89, 0.94, 0.97, 1.00),
    "CRN": (0.30, 0.48, 0.59, 0.65, 0.68, 0.71, 0.72, 0.74, 0.76, 0.78),
    "GNet": (0.34, 0.67, 0.83, 0.94, 1.03, 1.10, 1.16, 1.21, 1.25, 1.29),
    "CT": (0.20, 0.38, 0.46, 0.50, 0.52, 0.54, 0.56, 0.57, 0.59, 0.60),
    "CT cdc": (0.21, 0.38, 0.46, 0.50, 0.53, 0.54, 0.55, 0.57, 0.58, 0.59),
}
MODELS = (
    "floor", "persistence", "MSM", "RMSN", "CRN", "GNet", "CT", "CT cdc", "GNet residual", "CT residual",
)  # fmt: skip
PRINTED_STEPS = (1, 2, 3, 5, 8, 10)
VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    n_train: int
    n_test: int
    n_steps: int
    n_rows: int
    n_seeds: int
    epochs: dict[str, int]


SIZES = {
    "smoke": Size(
        60, 10, 24, 100, 1,
        {"CT": 2, "CRN": 2, "RMSN": 2, "GNet": 2, "propensity": 2, "decoder": 2},
    ),
    "small": Size(
        400, 150, 60, 4000, 1,
        {"CT": 60, "CRN": 200, "RMSN": 200, "GNet": 200, "propensity": 60, "decoder": 30},
    ),
    "published": Size(
        800, 200, 100, 30_000, 5,
        {"CT": 400, "CRN": 400, "RMSN": 400, "GNet": 100, "propensity": 400, "decoder": 400},
    ),
}  # fmt: skip


def build(name: str, size: Size, seed: int, covariates: list[str]) -> Any:
    """Return an unfitted model: with a direct head as in the papers, or a residual one."""
    from segcate.temporal import CRN, MSM, RMSN, CausalTransformer, GNet, Network, Training

    kind, *options = name.split()
    roles = {
        "treatment": TREATMENTS, "outcome": OUTCOMES, "covariates": covariates, "static": STATIC,
        "horizon": HORIZON,
    }  # fmt: skip
    if kind == "MSM":
        return MSM(**roles, interactions=None)
    common = {
        **roles,
        "outcome_transform": None,
        "outcome_head": "residual" if "residual" in options else "direct",
        "random_state": seed,
    }
    training = partial(
        Training, n_epochs=size.epochs[kind], validation_share=VALIDATION_SHARE, verbose=False,
        # Never before the end, and the weights of the best epoch.
        patience=size.epochs[kind], dropout=0.1,
        moving_average=0.0 if kind in ("RMSN", "GNet") else None,
    )  # fmt: skip
    decoder_epochs = size.epochs["decoder"]
    if kind == "CT":
        return CausalTransformer(
            **common, balancing="cdc" if "cdc" in options else None,
            network=Network(hidden=24, representation=44, head=22, longest_distance=20),
            training=training(batch_size=64, learning_rate=0.01),
        )  # fmt: skip
    if kind == "CRN":
        return CRN(
            **common, balancing="grad_reverse",
            network=Network(hidden=74, representation=74, head=37),
            decoder=Network(representation=98, head=98),
            training=training(batch_size=64, learning_rate=0.001),
            decoder_training=Training(n_epochs=decoder_epochs, batch_size=256),
        )  # fmt: skip
    if kind == "RMSN":
        return RMSN(
            **common, network=Network(hidden=74), decoder=Network(hidden=196),
            propensity=Network(hidden=74),
            training=training(batch_size=64, learning_rate=0.001, max_gradient=0.5),
            decoder_training=Training(n_epochs=decoder_epochs, batch_size=1024),
            propensity_training=Training(n_epochs=size.epochs["propensity"], batch_size=128),
        )  # fmt: skip
    return GNet(
        **common, network=Network(hidden=148, representation=74, head=74),
        training=training(batch_size=256, learning_rate=0.01),
    )  # fmt: skip


def cohort(size: Size, seed: int) -> tuple[Any, bool]:
    """Simulate training and test units, in this order; and whether functions had to be centred."""
    from segcate.exceptions import SegcateWarning
    from segcate.temporal import semi_synthetic, standin_covariates

    n_units = size.n_train + size.n_test
    covariates = standin_covariates(n_units, size.n_steps, random_state=10 + seed)
    rng, unit = np.random.default_rng(seed), covariates["id"].to_numpy()
    covariates["age"] = rng.standard_normal(n_units)[unit]
    covariates["female"] = rng.integers(0, 2, n_units)[unit]
    with warnings.catch_warnings():
        # Of treatments that are too rare or too common: that is asked below.
        warnings.simplefilter("ignore", SegcateWarning)
        found = semi_synthetic(covariates, STATIC, random_state=seed)
    rates = found.treatment.mean(axis=(0, 1))
    if rates.min() >= 0.05 and rates.max() <= 0.95:
        return found, False
    return semi_synthetic(covariates, STATIC, center=True, random_state=seed), True


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a record from others of the data set."""
    return record["model"], record["seed"], record["n_train"]


def cells(size: Size, models: list[str], seeds: int | None) -> list[Any]:
    """List what is to be run, as `key` writes it."""
    return [
        (name, seed, size.n_train)
        for seed in range(seeds or size.n_seeds)
        for name in models
        if name in MODELS
    ]


def run(cell: tuple[str, int, int], size: Size) -> dict[str, Any]:
    """Train one model on one cohort and score it."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, seed, _ = cell
    simulation, is_centered = cohort(size, seed)
    panel = simulation.panel
    training, test = (part for _, part in panel.groupby(panel["id"] >= size.n_train))
    model, begin = None, time.process_time()
    if name not in ("floor", "persistence"):
        model = build(name, size, seed, list(simulation.covariate_names)).fit(training)
    record: dict[str, Any] = {
        "data": "semi", "model": name, "seed": seed, "n_train": size.n_train,
        "n_steps": size.n_steps, "is_centered": is_centered,
        "treated": simulation.treatment.mean(axis=(0, 1)).round(3).tolist(),
        "train_cpu_s": round(time.process_time() - begin, 1),
    }  # fmt: skip
    units = np.arange(size.n_train, size.n_train + size.n_test)
    sets = {
        "one_step": simulation.one_step(units=units),
        # A factual day comes first, so that plans have the length of the horizon.
        "random_plans": simulation.random_plans(
            horizon=HORIZON - 1, units=units, random_state=1000 + seed
        ),
    }
    scale = training[OUTCOMES].to_numpy().std(axis=0)
    rng, begin = np.random.default_rng(seed), time.process_time()
    for kind, rows in sets.items():
        chosen = rng.permutation(len(rows))[: size.n_rows]
        if name == "floor":
            found = Floor(simulation, seed, is_centered).forecast(rows, chosen, units)
        else:
            found = predictions(model, rows, chosen)
        record[kind] = errors_of(found, rows, chosen, scale)
    record["score_cpu_s"] = round(time.process_time() - begin, 1)
    if model is not None:
        record["effect"] = effect_agreement(model, simulation, test)
    return record


def errors_of(predicted: Float, rows: Any, chosen: Int, scale: Float) -> dict[str, list[float]]:
    """Return errors by step over both outcomes, with standard errors by unit, and of each outcome."""
    square = ((predicted - rows.outcome[chosen]) / scale) ** 2
    rmse, std_error = clustered_rmse(square.mean(axis=2), rows.unit[chosen])
    by_outcome = np.sqrt(square.mean(axis=0))
    return {
        "rmse": rmse.round(4).tolist(),
        "std_error": std_error.round(4).tolist(),
        **{name: by_outcome[:, k].round(4).tolist() for k, name in enumerate(OUTCOMES)},
    }


def effect_agreement(model: Any, simulation: Any, test: pd.DataFrame) -> dict[str, Any]:
    """Compare ten days of all treatments with none: estimated against true effects on test units."""
    origin = simulation.outcome.shape[1] // 3
    plan, reference = ({name: [given] * HORIZON for name in TREATMENTS} for given in (1, 0))
    found = model.effect(test[test["t"] <= origin], plan, reference, origin=origin)
    truth = simulation.true_effect(plan, reference, origin=origin)
    return {name: agreement(found, truth, f"effect_{name}", HORIZON) for name in OUTCOMES}


def line(record: dict[str, Any]) -> str:
    """Say in one line how a cell came out."""
    return (
        f"{record['model']:<14} seed {record['seed']}: one step {record['one_step']['rmse']} "
        f"plans {record['random_plans']['rmse']} train {record['train_cpu_s']:.0f} s "
        f"score {record['score_cpu_s']:.0f} s"
    )


def table(records: list[dict[str, Any]]) -> str:
    """Write mean errors over seeds beside the published ones."""
    steps = " / ".join(map(str, PRINTED_STEPS))
    lines = [
        "",
        f"semi-synthetic: RMSE in SD of the outcome at tau {steps} (sd over seeds; of one seed the "
        "standard error by unit); effect of all treatments against none: correlation with the truth",
        f"{'model':<14}{'here':>74}{'published':>44}{'y1':>7}{'y2':>7}{'CPU s':>7}",
    ]
    for name in MODELS:
        here = [r for r in records if r["model"] == name]
        if here:
            lines.append(_row(name, here))
    return "\n".join(lines)


def _row(name: str, records: list[dict[str, Any]]) -> str:
    at = np.array(PRINTED_STEPS) - 1
    found, error = (
        np.array([_by_step(r, what) for r in records]) for what in ("rmse", "std_error")
    )
    spread = found.std(axis=0, ddof=1) if len(records) > 1 else error[0]
    mean = found.mean(axis=0)
    here = " / ".join(f"{m:.2f} ({s:.2f})" for m, s in zip(mean[at], spread[at], strict=True))
    printed = np.array(PUBLISHED.get(name, ()))
    beside = " / ".join("> 10" if np.isinf(v) else f"{v:.2f}" for v in printed[at[: len(printed)]])
    effects = [
        np.mean([r["effect"][outcome]["correlation"] for r in records]) if "effect" in records[0]
        else np.nan
        for outcome in OUTCOMES
    ]  # fmt: skip
    cpu = np.mean([r["train_cpu_s"] for r in records])
    return f"{name:<14}{here:>74}{beside:>44}{effects[0]:>7.2f}{effects[1]:>7.2f}{cpu:>7.0f}"


def _by_step(record: dict[str, Any], what: str) -> list[float]:
    """Step 1 is scored on all combinations of treatments, later ones on plans."""
    return [record["one_step"][what][0], *record["random_plans"][what][1:]]
