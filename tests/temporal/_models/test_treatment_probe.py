"""The probe finds a treatment that the representation tells, and nothing in noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from segcate.temporal._models.treatment_probe import explained_share, name_treatments
from tests.helpers.small_panels import small, small_panel


def test_combinations_are_named():
    given = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert name_treatments(given, ("chemo", "radio")).tolist() == ["none", "chemo", "chemo+radio"]


def test_noise_explains_nothing_and_what_decides_most():
    rng = np.random.default_rng(0)
    noise, treatment = rng.normal(size=(600, 3)), np.where(rng.random(600) < 0.4, "a", "none")
    share, error = explained_share(noise, treatment)
    assert abs(share) < 3 * error + 0.02
    told = noise + 3.0 * (treatment == "a")[:, None]
    share, error = explained_share(told, treatment)
    assert share > 0.7
    assert 0 < error < 0.1


def test_the_share_is_that_of_a_logistic_regression_in_the_long_run():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 1))
    treated = rng.random(4000) < 1 / (1 + np.exp(-x[:, 0]))
    share, error = explained_share(x, np.where(treated, "a", "none"))
    chance = (
        LogisticRegression(C=np.inf).fit(x, treated).predict_proba(x)[np.arange(4000), treated * 1]
    )
    rate = treated.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert share == pytest.approx(1 + np.log(chance).mean() / entropy, abs=0.01)
    assert error < 0.02


def test_one_treatment_or_a_handful_tell_nothing():
    assert np.isnan(explained_share(np.zeros((20, 1)), np.array(["a"] * 20))).all()
    assert np.isnan(explained_share(np.zeros((20, 1)), np.array(["a"] * 4 + ["none"] * 16))).all()


def test_a_network_is_probed_where_units_are_known():
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    from segcate.temporal import GNet

    panel = small_panel(n_units=30)
    model = GNet(["a0", "a1"], "y", static=["kind"], n_simulations=2, **small()).fit(panel)
    found = model.probe_treatment(panel, origin=2)
    lengths = panel.groupby("id")["t"].size()
    assert found.ids.tolist() == lengths.index[lengths > 3].tolist()
    rows = panel[panel["id"].isin(found.ids)].set_index(["id", "t"])
    np.testing.assert_allclose(found.outcome[:, 0], rows.xs(3, level="t")["y"])
    long = panel[panel["id"].isin(found.ids)]
    np.testing.assert_array_equal(found.representation, model.transform(long, origin=2))
    given = rows.xs(2, level="t")[["a0", "a1"]].to_numpy()
    assert found.treatment.tolist() == name_treatments(given, ("a0", "a1")).tolist()
    with pytest.raises(ValueError, match="0 of 30 units are known at row 99"):
        model.probe_treatment(panel, origin=99)
    with pytest.raises(ValueError, match="`origin`"):
        model.probe_treatment(panel, origin="last")
