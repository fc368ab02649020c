"""Averages of weights along training: predictions hang less on the batch seen last."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class MovingAverage:
    """Exponential moving average of weights that warms up: decay min(b, (1 + n) / (10 + n))."""

    def __init__(self, decay: float) -> None:
        self.decay, self.n_updates = decay, 0

    @torch.no_grad()
    def update(
        self, average: nn.Module, network: nn.Module, takes_part: Callable[[str], bool]
    ) -> None:
        """Move the averaged weights towards the current ones."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        new = dict(network.named_parameters())
        names = [name for name, _ in average.named_parameters() if takes_part(name)]
        kept = dict(average.named_parameters())
        torch._foreach_lerp_([kept[n] for n in names], [new[n] for n in names], 1.0 - decay)
