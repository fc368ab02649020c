"""Whether arms that are said to be drawn by lot look so."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from segcate.cli._study import Study

# Chance of one false alarm in a study whose arms were drawn by lot.
_ALARM = 0.001


def experiment_notes(study: Study) -> list[str]:
    """Compare the arms column by column; say where they differ by more than chance allows.

    Rows are taken as drawn one by one; with clusters, whose rows are alike, nothing is said.
    """
    if study.groups is not None:
        return []
    worst = ("", 0.0, 1.0)
    columns = study.X[study.covariates].select_dtypes(["number", "bool"]).astype(float)
    treatment = study.treatment.to_numpy()
    n_tests = max(1, columns.shape[1] * len(study.arms))
    for name in columns:
        for arm in range(1, len(study.arms) + 1):
            found = _difference(columns[name], treatment, arm)
            if abs(found) > abs(worst[1]):
                p_value = min(1.0, float(2 * stats.norm.sf(abs(found))) * n_tests)
                worst = (str(name), found, p_value)
    if worst[2] >= _ALARM:
        return []
    return [
        f"--experiment: the arms differ in {worst[0]!r} by more than chance allows (z = {worst[1]:.1f}). If treatment "
        "was not drawn by lot, leave --experiment out; if it was drawn within blocks, name their chance of "
        "treatment with --propensity"
    ]


def _difference(values: pd.Series, treatment: np.ndarray, arm: int) -> float:
    """Return the difference of two arms in standard errors."""
    arms = [values[treatment == code].dropna().to_numpy() for code in (arm, 0)]
    if min(map(len, arms)) < 2:
        return 0.0
    spread = np.sqrt(sum(part.var(ddof=1) / len(part) for part in arms))
    return float((arms[0].mean() - arms[1].mean()) / spread) if spread > 0 else 0.0
