"""The error several steps ahead: factual futures of held-out units, each of the models that did not see it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CRN, RMSN, CausalTransformer, GNet, Training  # noqa: E402
from segcate.temporal._networks.ahead import FactualFutures  # noqa: E402
from segcate.temporal._networks.tensors import panel_tensors  # noqa: E402
from segcate.temporal._panel.coding import TreatmentCoding, fit_scaling  # noqa: E402
from segcate.temporal._panel.panel import Roles, read_panel  # noqa: E402
from tests.helpers.small_panels import small, small_panel  # noqa: E402

ROLES = Roles(("a0", "a1"), ("y",), (), (), "id", "t")
UNITS = torch.tensor([[3, 5, 8], [5, 9, 0]])


@pytest.fixture(scope="module")
def futures():
    panel = read_panel("test", small_panel(), ROLES)
    scaling = fit_scaling("test", panel, "none")
    data = panel_tensors(panel, scaling, TreatmentCoding(2, "flags"), torch.device("cpu"))
    return data, FactualFutures.of_units(data, UNITS, 3)


def test_futures_are_what_came(futures):
    data, found = futures
    every = [0, 3, 5, 8, 9]
    assert torch.equal(found.data.n_steps, data.n_steps[every])
    counts = found.counts.numpy() > 0
    for model, own in enumerate(UNITS.tolist()):
        rows = counts[model].any(axis=(1, 2))
        assert [every[i] for i in np.flatnonzero(rows)] == sorted(own)
    for i, j, k in np.argwhere(counts.any(axis=0)):
        unit, at = every[i], int(found.origins[i, j]) + k
        assert at + 1 < data.n_steps[unit]
        assert torch.equal(found.plans[i, j, k], data.treatment[unit, at])
        assert torch.equal(found.reached[i, j, k], data.outcome[unit, at + 1])


def test_the_error_is_a_share_of_what_changed(futures):
    _, found = futures

    def unchanged(data, origins, plans):
        now = data.outcome[torch.arange(len(origins)).unsqueeze(1), origins]
        return now.unsqueeze(2).expand(2, *plans.shape[:3], 1)

    def perfect(data, origins, plans):
        return found.reached.expand(2, *found.reached.shape)

    torch.testing.assert_close(found.error(unchanged), torch.ones(2))
    assert found.error(perfect).tolist() == [0.0, 0.0]

    def half(data, origins, plans):
        return 0.5 * (unchanged(data, origins, plans) + perfect(data, origins, plans))

    torch.testing.assert_close(found.error(half), torch.full((2,), 0.25))
    predicted, came, counts = found.changes(half(found.data, found.origins, found.plans))
    np.testing.assert_allclose(predicted[counts], 0.5 * came[counts], atol=1e-6)
    assert counts.sum() == found.counts.sum()


@pytest.mark.parametrize("kind", [CausalTransformer, CRN, GNet, RMSN])
def test_networks_stop_by_the_error_ahead_when_asked(kind):
    panel = small_panel()
    errors = {}
    for stop_by in ("horizon", "next"):
        model = kind(["a0", "a1"], "y", **small(stop_by=stop_by, n_epochs=3)).fit(panel)
        errors[stop_by] = model.history_[-1, 2]
    assert errors["horizon"] != errors["next"]


def test_a_simulation_without_errors_is_what_g_net_looks_ahead_by():
    panel = small_panel()
    model = GNet(["a0", "a1"], "y", n_simulations=2, **small()).fit(panel)
    model.residuals_ = np.zeros_like(model.residuals_)
    data = read_panel("test", panel, ROLES)
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    origins = torch.full((data.n_units, 1), 2)
    plans = torch.as_tensor(
        model.coding_.encode(np.ones((data.n_units, 1, 3, 2))), dtype=torch.float32
    )
    with torch.no_grad():
        ahead = model._look_ahead(model._network(), tensors, origins, plans)
        simulated = model._roll_out(model._network(), tensors, origins, plans)
    torch.testing.assert_close(ahead, simulated)


def test_averaged_weights_are_those_of_the_model():
    panel = small_panel()
    for kind in (GNet, RMSN):
        plain, averaged = (
            kind(["a0", "a1"], "y", **small(moving_average=decay)).fit(panel)
            for decay in (0.0, 0.9)
        )
        assert any((plain.weights_[k] != averaged.weights_[k]).any() for k in plain.weights_)
        assert Training(moving_average=0.9).moving_average == 0.9
