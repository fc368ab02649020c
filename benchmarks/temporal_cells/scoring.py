"""Predict the counterfactual rows of a simulator, and score them with units as clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]


def packed(rows: Any, chosen: Int) -> tuple[Int, Float, Int]:
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


def predictions(model: Any, rows: Any, chosen: Int) -> Float:
    """Predict outcomes, (n_rows, horizon, n_outcomes); without a model: as on the day of the origin."""
    unit, origin = rows.unit[chosen], rows.origin[chosen]
    if model is None:
        now = rows.history_outcome[unit, origin]
        return np.repeat(now[:, None], rows.plan.shape[1], axis=1)
    origins, plans, place = packed(rows, chosen)
    found = model._simulate(model._read(rows.panel), origins, plans).mean(axis=0)
    return found[unit, place]


def clustered_rmse(square: Float, unit: Int) -> tuple[Float, Float]:
    """Return root mean squared errors by step, and their standard errors, clustered by unit.

    `square` holds squared errors, (n_rows, horizon). The standard error is that of the mean square,
    carried to its root by the delta method.
    """
    mean = square.mean(axis=0)
    sums = np.stack([np.bincount(unit, s - m) for s, m in zip(square.T, mean, strict=True)])
    n_units = len(np.unique(unit))
    std_error = np.sqrt((sums**2).sum(axis=1) * n_units / max(n_units - 1, 1)) / len(square)
    rmse = np.sqrt(mean)
    return rmse, std_error / (2 * rmse)


def agreement(found: pd.DataFrame, truth: pd.DataFrame, column: str, step: int) -> dict[str, float]:
    """Compare estimated effects on units with the true ones, some steps on.

    Effects that are the same for all units correlate with nothing: NaN.
    """
    both = found.merge(truth, on=["id", "step"], suffixes=("_found", "_true"))
    last = both[both["step"] == step]
    estimate, true = last[f"{column}_found"], last[f"{column}_true"]
    is_constant = float(np.ptp(estimate)) <= 1e-9 * float(np.abs(estimate).max())
    return {
        "correlation": float("nan") if is_constant else round(float(estimate.corr(true)), 4),
        "rmse": round(float(np.sqrt(((estimate - true) ** 2).mean())), 4),
        "true_mean": round(float(true.mean()), 4),
        "true_sd": round(float(true.std()), 4),
        "n": len(last),
    }
