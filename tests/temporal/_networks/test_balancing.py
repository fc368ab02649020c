"""Balancing: what is left of the treatment in the representation, as a fresh probe finds it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CausalTransformer, Training, tumor_growth  # noqa: E402
from segcate.temporal._networks.tensors import panel_tensors  # noqa: E402
from segcate.temporal._panel.panel import read_panel  # noqa: E402


def rows_of(model, panel):
    """Representations of every patient and day, and the combination of treatments given there."""
    data = read_panel("test", panel, model._roles)
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    with torch.no_grad():
        phi = model._represent(model._network(), tensors)[0].numpy()
    is_there = np.arange(phi.shape[1]) < (data.n_steps - 1)[:, None]
    # On day 0 nobody is treated.
    is_there[:, 0] = False
    return phi[is_there], (data.treatment[is_there] @ [1, 2]).astype(int)


def explained(model, train, test, probe):
    """Share of the entropy of the treatment that a probe on the representation explains."""
    (x, given), (new_x, new_given) = rows_of(model, train), rows_of(model, test)
    rows = np.arange(len(new_given))
    likelihood = probe.fit(x, given).predict_log_proba(new_x)[rows, new_given].mean()
    marginal = np.log(np.bincount(given, minlength=4) / len(given))[new_given].mean()
    return float(1.0 - likelihood / marginal)


@pytest.mark.slow
def test_confusion_at_the_published_strength_leaves_what_tells_the_treatment():
    # A negative result, and no promise: the method is meant to take it away. A thousand times
    # the strength makes the representation small, which a probe on the standardised one does not mind.
    train, known, new = (
        tumor_growth(n, gamma=4, n_steps=30, random_state=seed).panel
        for seed, n in enumerate((200, 300, 300))
    )
    rescaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    found = {}
    for balancing in (None, "cdc"):
        model = CausalTransformer(
            ["chemo", "radio"], "volume", static=["type"], horizon=1,
            balancing=balancing, alpha=0.01, outcome_transform="cbrt", random_state=0,
            training=Training(
                n_epochs=30, early_stopping=False, batch_size=32, dropout=0.1, learning_rate=0.01,
                verbose=False, validation_share=0.0,
            ),
        ).fit(train)  # fmt: skip
        found[balancing] = explained(model, known, new, rescaled)
    print(found)
    assert found[None] > 0.03
    assert found["cdc"] > 0.7 * found[None]
