"""Whether arms that are said to be drawn by lot look so."""

from __future__ import annotations

import numpy as np
from scipy import stats

from segcate._inputs.arrays import Float, Int
from segcate._inputs.weights import are_counts, read_weights
from segcate.cli._study import Study

# Chance of one false alarm in a study whose arms were drawn by lot.
_ALARM = 0.001


def uneven_arms(study: Study) -> dict[str, str]:
    """Compare each arm with control, column by column, and name those that differ by more than chance allows.

    Rows are taken as drawn one by one; with clusters, whose rows are alike, nothing is said.

    Returns
    -------
    dict of str to str
        What to say of an arm, by its name; an arm of which nothing is to be said is not there.
    """
    if study.groups is not None:
        return {}
    columns = study.X[study.covariates].select_dtypes(["number", "bool"]).astype(float)
    treatment = study.treatment.to_numpy()
    weight = None if study.weights is None else read_weights(study.weights.to_numpy(np.float64))
    weight = np.ones(len(treatment)) if weight is None else weight
    n_tests = max(1, columns.shape[1] * len(study.arms))
    found: dict[str, str] = {}
    for code, arm in enumerate(study.arms, start=1):
        gaps = {
            str(name): _difference(columns[name].to_numpy(), treatment, code, weight)
            for name in columns
        }
        worst = max(gaps, key=lambda name: abs(gaps[name]), default="")
        if worst and 2 * stats.norm.sf(abs(gaps[worst])) * n_tests < _ALARM:
            of_arm = "" if len(study.arms) == 1 else f" ({arm} and control)"
            found[arm] = _told(worst, gaps[worst], of_arm)
    return found


def _told(column: str, z: float, of_arm: str) -> str:
    return (
        f"--experiment: the arms{of_arm} differ in {column!r} by more than chance allows (z = {z:.1f}). If treatment "
        "was not drawn by lot, leave --experiment out; if it was drawn within blocks, name their chance of "
        "treatment with --propensity"
    )


def _difference(values: Float, treatment: Int, arm: int, weight: Float) -> float:
    """Return the difference of two arms in standard errors."""
    is_known, counts = ~np.isnan(values), are_counts(weight)
    rows = [np.flatnonzero((treatment == code) & is_known) for code in (arm, 0)]
    (mean, variance), (other, other_variance) = (
        _mean_and_variance(values[at], weight[at], as_counts=counts) for at in rows
    )
    spread = np.sqrt(variance + other_variance)
    return float((mean - other) / spread) if spread > 0 else 0.0


def _mean_and_variance(values: Float, weight: Float, *, as_counts: bool) -> tuple[float, float]:
    """Return the mean of an arm with its variance; NaN where there are too few rows.

    Counts are rows that are alike; with sampling weights the variance is that of a ratio.
    """
    n, total = len(values), weight.sum()
    if n < 2:
        return float("nan"), float("nan")
    mean = float(weight @ values / total)
    squares = (values - mean) ** 2
    if as_counts:
        return mean, float(weight @ squares / (total - 1) / total)
    return mean, float(weight**2 @ squares / total**2 * n / (n - 1))
