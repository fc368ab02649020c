"""Adam for an ensemble, with weight decay and a limit on gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Descent:
    """Settings of Adam, and the step that it takes.

    Attributes
    ----------
    learning_rate, weight_decay : of Adam
    max_gradient : largest norm of a model's gradient; infinity: any
    """

    learning_rate: float
    weight_decay: float = 0.0
    max_gradient: float = math.inf

    def optimiser(self, weights: Iterable[Tensor]) -> torch.optim.Adam:
        """Return the optimiser of some weights."""
        return torch.optim.Adam(weights, lr=self.learning_rate, weight_decay=self.weight_decay)

    def step(self, optimiser: torch.optim.Adam, loss: Tensor, n_models: int) -> None:
        """Take a step down the sum of the models' losses."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if math.isfinite(self.max_gradient):
            weights = (w for group in optimiser.param_groups for w in group["params"])
            grads = [w.grad for w in weights if w.grad is not None]
            _shrink(grads, n_models, self.max_gradient)
        optimiser.step()


def _shrink(grads: list[Tensor], n_models: int, most: float) -> None:
    """Shrink the gradient of each model whose norm exceeds `most`."""
    squares = sum((g.reshape(n_models, -1) ** 2).sum(1) for g in grads)
    factor = (most / (torch.sqrt(torch.as_tensor(squares)) + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(factor.repeat_interleave(len(g) // n_models).view(-1, *[1] * (g.dim() - 1)))
