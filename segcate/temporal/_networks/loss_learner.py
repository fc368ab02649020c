"""Learn a network by a single loss, without balancing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from segcate.temporal._networks.averaging import MovingAverage
from segcate.temporal._networks.descent import Descent


class LossLearner:
    """Minimise ``loss(network, units)``, one number a model; predict with averaged weights.

    A decay of 0 predicts with the weights themselves.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[Any, Tensor], Tensor],
        descent: Descent,
        decay: float = 0.0,
    ) -> None:
        self.network, self.loss, self.descent = network, loss, descent
        self.average = copy.deepcopy(network).requires_grad_(False) if decay else network
        self._ema = MovingAverage(decay)
        self.learning_rate = descent.learning_rate
        self.optimisers = [descent.optimiser(network.parameters())]

    def step(self, units: Tensor, progress: tuple[int, int]) -> Tensor:
        """Take one optimisation step on a batch; return the loss of each model."""
        self.network.train()
        loss = self.loss(self.network, units)
        self.descent.step(self.optimisers[0], loss.sum(), len(loss))
        if self.average is not self.network:
            self._ema.update(self.average, self.network, lambda _: True)
        return loss.detach()

    @torch.no_grad()
    def validate(self, units: Tensor) -> Tensor:
        """Return the loss of each model without dropout."""
        self.average.eval()
        return self.loss(self.average, units)

    @property
    def result(self) -> nn.Module:
        """The network to predict with."""
        return self.average

    def state(self) -> dict[str, Any]:
        """Everything needed to go on training but the optimisers."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "n_updates": self._ema.n_updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._ema.n_updates = state["n_updates"]
