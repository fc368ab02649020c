"""Learn a network by one loss: what needs no balancing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LossLearner"]


class LossLearner:
    """Minimise ``loss(network, units)``, one number a model, by Adam.

    Parameters
    ----------
    clip : largest norm of a model's gradient; None: any
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[Any, Tensor], Tensor],
        *,
        learning_rate: float,
        clip: float | None = None,
    ) -> None:
        self.network, self.loss, self.clip = network, loss, clip
        self.learning_rate = learning_rate
        self.optimisers = [torch.optim.Adam(network.parameters(), lr=learning_rate)]

    def step(self, units: Tensor, progress: tuple[int, int]) -> Tensor:
        """Take one optimisation step on a batch; return the loss of each model."""
        self.network.train()
        loss = self.loss(self.network, units)
        (optimiser,) = self.optimisers
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        if self.clip is not None:
            _clip_gradients(self.network, len(loss), self.clip)
        optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def validate(self, units: Tensor) -> Tensor:
        """Return the loss of each model without dropout."""
        self.network.eval()
        return self.loss(self.network, units)

    @property
    def result(self) -> nn.Module:
        """The network to predict with."""
        return self.network

    def state(self) -> dict[str, Any]:
        """Everything needed to go on training but the optimisers."""
        return {"network": self.network.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])


def _clip_gradients(network: nn.Module, n_models: int, most: float) -> None:
    """Shrink the gradient of each model whose norm exceeds `most`."""
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    squares = sum((g.reshape(n_models, -1) ** 2).sum(1) for g in grads)
    factor = (most / (torch.sqrt(torch.as_tensor(squares)) + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(factor.repeat_interleave(len(g) // n_models).view(-1, *[1] * (g.dim() - 1)))
