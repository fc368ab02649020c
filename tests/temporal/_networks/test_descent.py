"""Steps of Adam for an ensemble: limits hold for each model, weight decay pulls towards 0."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal._networks.descent import Descent, _shrink  # noqa: E402


def test_gradients_of_each_model_are_shrunk_to_the_largest_norm():
    """Two models, two weights each, and a bias: norms 5 and 0.5; only the first is too long."""
    grads = [torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([[4.0], [0.4]])]
    _shrink(grads, 2, 1.0)
    torch.testing.assert_close(grads[0], torch.tensor([[0.6, 0.0], [0.3, 0.0]]))
    torch.testing.assert_close(grads[1], torch.tensor([[0.8], [0.4]]))


def test_infinity_leaves_gradients_alone():
    steps = []
    for most in (math.inf, 1e9):
        weight = torch.nn.Parameter(torch.tensor([[2.0], [-1.0]]))
        descent = Descent(0.1, max_gradient=most)
        descent.step(descent.optimiser([weight]), (weight**2).sum(), 2)
        steps.append(weight.detach())
    assert torch.equal(*steps)


def test_weight_decay_pulls_weights_without_a_gradient_towards_zero():
    weight = torch.nn.Parameter(torch.tensor([[2.0], [-1.0]]))
    descent = Descent(0.1, weight_decay=0.5)
    descent.step(descent.optimiser([weight]), (0.0 * weight).sum(), 2)
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.9], [-0.9]]))
