"""Balancing: what is left of the treatment in the representation, as a fresh probe finds it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CausalTransformer, tumor_growth  # noqa: E402


def explained(model, train, test):
    """Share of the entropy of the treatment that a probe on the representation explains."""
    features, given = zip(*(rows_of(model, panel) for panel in (train, test)), strict=True)
    probe = make_pipeline(
        StandardScaler(), PolynomialFeatures(2), LogisticRegression(C=1.0, max_iter=2000)
    ).fit(features[0], given[0])
    marginal = np.log(np.bincount(given[0], minlength=4) / len(given[0]))
    likelihood = probe.predict_log_proba(features[1])[np.arange(len(given[1])), given[1]].mean()
    return 1.0 - likelihood / marginal[given[1]].mean()


def rows_of(model, panel):
    """Representations at every tenth day, and the treatment given there."""
    parts = []
    for day in range(10, 50, 10):
        there = panel[panel.groupby("id")["t"].transform("max") > day]
        now = there[there["t"] == day].sort_values("id")
        parts.append((model.transform(there, origin=day), now["chemo"] + 2 * now["radio"]))
    features, given = zip(*parts, strict=True)
    return np.concatenate(features), pd.concat(given).to_numpy().astype(int)


@pytest.mark.slow
def test_confusion_hides_the_treatment_and_no_balancing_does_not():
    train = tumor_growth(300, gamma=4, random_state=0).panel
    probe = tumor_growth(400, gamma=4, random_state=1).panel
    test = tumor_growth(400, gamma=4, random_state=2).panel
    found = {}
    for balancing, alpha in ((None, 0.0), ("cdc", 1.0), ("grad_reverse", 1.0)):
        model = CausalTransformer(
            ["chemo", "radio"], "volume", static=["type"], horizon=1, n_epochs=25, patience=None,
            batch_size=64, balancing=balancing, alpha=alpha, outcome_transform="cbrt",
            random_state=0, verbose=False,
        ).fit(train)  # fmt: skip
        found[balancing] = explained(model, probe, test)
    print({name: round(value, 3) for name, value in found.items()})
    assert found[None] > 0.08
    assert found["cdc"] < 0.5 * found[None]
