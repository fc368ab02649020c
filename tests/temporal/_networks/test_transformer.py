"""The network of the Causal Transformer: what it may look at, and how large it is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal._networks.balanced import BalancedNetwork  # noqa: E402
from segcate.temporal._networks.changes import Changes  # noqa: E402
from segcate.temporal._networks.tensors import Inputs  # noqa: E402
from segcate.temporal._networks.transformer import TransformerSize, TransformerTrunk  # noqa: E402
from segcate.temporal._networks.transformer_rollout import roll_out  # noqa: E402

D_A, D_Y, D_V = 4, 1, 1


def network(n_models=2, d_x=0, blocks=1, is_residual=True, **size):
    generator = torch.Generator().manual_seed(0)
    size = TransformerSize(**{"hidden": 12, "representation": 8, "head": 10, "longest": 4, **size})
    changes = Changes(np.array([0.3]) if is_residual else None)
    trunk = TransformerTrunk(n_models, (D_A, D_Y, d_x, D_V), size, changes, generator)
    widths = (size.representation, size.head, D_A)
    return BalancedNetwork(trunk, n_models, widths, generator).double().eval()


def inputs(n_models=2, n=3, t=9, d_x=0, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    covariates = draw(n_models, n, t, d_x) if d_x else None
    outcome = draw(n_models, n, t, D_Y)
    return Inputs(
        draw(n_models, n, t, D_A), before(outcome), outcome, covariates, draw(n_models, n, D_V)
    )


def before(outcome):
    """Shift outcomes by a step; the first stays."""
    return torch.cat([outcome[:, :, :1], outcome[:, :, :-1]], dim=2)


def changed_after(data, t):
    """Change everything behind a position."""
    parts = [data.prev_treatment, data.prev_outcome, data.outcome, data.covariates]
    parts = [None if part is None else part.clone() for part in parts]
    for part in parts:
        if part is not None:
            part[:, :, t + 1 :] += 1.0
    return Inputs(*parts, data.static)


@pytest.mark.parametrize("d_x", [0, 3])
@pytest.mark.parametrize("blocks", [1, 2])
def test_the_future_is_not_seen(d_x, blocks):
    net, data = network(d_x=d_x, blocks=blocks), inputs(d_x=d_x)
    kept, changed = net.trunk(data), net.trunk(changed_after(data, 4))
    torch.testing.assert_close(kept[:, :, :5], changed[:, :, :5], rtol=0, atol=0)
    assert (kept[:, :, 5:] != changed[:, :, 5:]).any()


def test_padding_behind_a_unit_changes_nothing():
    net, data = network(d_x=2), inputs(d_x=2)
    cut = Inputs(
        data.prev_treatment[:, :, :6],
        data.prev_outcome[:, :, :6],
        data.outcome[:, :, :6],
        data.covariates[:, :, :6],
        data.static,
    )
    torch.testing.assert_close(net.trunk(cut), net.trunk(data)[:, :, :6], rtol=0, atol=1e-14)


def test_models_do_not_see_each_other():
    net, data = network(n_models=3), inputs(n_models=3)
    kept = net.trunk(data)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.view(3, -1)[1] += 1.0
    changed = net.trunk(data)
    torch.testing.assert_close(kept[[0, 2]], changed[[0, 2]], rtol=0, atol=0)
    assert (kept[1] != changed[1]).any()


@pytest.mark.parametrize(
    ("hidden", "representation", "head", "published"), [(16, 12, 24, 9481), (12, 16, 48, 7257)]
)
def test_size_is_the_published_one(hidden, representation, head, published):
    net = network(
        1, is_residual=False, hidden=hidden, representation=representation, head=head, longest=15
    )
    found = sum(parameter.numel() for parameter in net.parameters())
    # The published networks also hold entries for 15 distances into the future in two tables of
    # width hidden / 2, and an input layer from 4 columns; neither is ever used.
    unused = 15 * 2 * (hidden // 2) + 5 * hidden
    assert found + unused == published


@pytest.mark.parametrize("d_x", [0, 3])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("is_residual", [True, False])
def test_many_futures_at_once_equal_the_loop_written_out(d_x, blocks, is_residual):
    n_models, n, t, n_futures, horizon = 2, 2, 7, 3, 3
    net, data = network(n_models, d_x, blocks, is_residual), inputs(n_models, n, t, d_x)
    generator = torch.Generator().manual_seed(2)
    origins = torch.randint(0, t, (n, n_futures), generator=generator)
    arms = torch.randint(0, D_A, (n, n_futures, horizon), generator=generator)
    plans = torch.eye(D_A, dtype=torch.float64)[arms]
    with torch.no_grad():
        found = roll_out(net, data, origins, plans)
        for i in range(n):
            for j in range(n_futures):
                expected = step_by_step(net, data, i, int(origins[i, j]), plans[i, j])
                torch.testing.assert_close(found[:, i, j], expected, rtol=0, atol=1e-13)


def step_by_step(net, data, unit, origin, plan):
    """Feed the network its own predictions, the whole history anew at each step."""
    one = slice(unit, unit + 1)
    given = data.prev_treatment[:, one, : origin + 1]
    outcome = data.outcome[:, one, : origin + 1]
    covariates = None if data.covariates is None else data.covariates[:, one, : origin + 1]
    n_models = len(outcome)
    found = []
    for treatment in plan:
        if covariates is not None and covariates.shape[2] < outcome.shape[2]:
            unknown = torch.full((n_models, 1, 1, covariates.shape[3]), 7.0, dtype=torch.float64)
            covariates = torch.cat([covariates, unknown], dim=2)
        known = None if covariates is None else torch.full((n_models, 1), origin + 1)
        read = Inputs(given, before(outcome), outcome, covariates, data.static[:, one], known)
        phi = net.trunk(read)[:, :, -1]
        treatment = treatment.expand(n_models, 1, -1)
        predicted = net.outcome(phi, treatment, outcome[:, :, -1], before(outcome)[:, :, -1])
        found.append(predicted)
        outcome = torch.cat([outcome, predicted.unsqueeze(2)], dim=2)
        given = torch.cat([given, treatment.unsqueeze(2)], dim=2)
    return torch.cat(found, dim=1)
