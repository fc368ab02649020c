"""A long short-term memory with a leading axis of models.

Hochreiter & Schmidhuber (1997); dropout masks are drawn once a sequence (Gal & Ghahramani, 2016).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from segcate.temporal._networks.layers import Linear, dropout

State = tuple[Tensor, Tensor]


class LSTM(nn.Module):
    """A long short-term memory a model, ``(n_models, n, t, n_in) -> (n_models, n, t, n_hidden)``."""

    def __init__(
        self, n_models: int, n_in: int, n_hidden: int, rate: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.n_hidden, self.rate = n_hidden, rate
        self.input = Linear(n_models, n_in, 4 * n_hidden, generator)
        bound = 1.0 / math.sqrt(n_hidden)
        weight = torch.rand(n_models, n_hidden, 4 * n_hidden, generator=generator)
        self.recurrent = nn.Parameter((2.0 * weight - 1.0) * bound)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """Read sequences from a state (zeros by default); return outputs."""
        hidden, cell = self.start(x) if state is None else state
        if not self.training or round(256 * self.rate) == 0:
            return self._read(x, (hidden, cell))
        keep_output, keep_hidden, keep_cell = (
            dropout(torch.ones_like(hidden), self.rate, True) for _ in range(3)
        )
        outputs = []
        for gates in self.input(x).unbind(2):
            hidden, cell = self.step(gates, (hidden * keep_hidden, cell * keep_cell))
            outputs.append(hidden)
        return torch.stack(outputs, dim=2) * keep_output.unsqueeze(2)

    def _read(self, x: Tensor, state: State) -> Tensor:
        """Read sequences without dropout, model by model, by PyTorch's own LSTM.

        A step of narrow networks is mostly the time of starting operations, which PyTorch spares for a
        sequence as a whole; a batch over models gains less than that.
        """
        weights = [self._in_order(w).mT for w in (self.input.weight, self.recurrent)]
        bias = self._in_order(self.input.bias).squeeze(1)
        zeros = torch.zeros_like(bias[0])
        outputs = [
            torch.lstm(
                x[i], (state[0][i : i + 1].contiguous(), state[1][i : i + 1].contiguous()),
                (weights[0][i], weights[1][i], bias[i], zeros),
                True, 1, 0.0, self.training, False, True,
            )[0]
            for i in range(len(x))
        ]  # fmt: skip
        return torch.stack(outputs)

    def _in_order(self, columns: Tensor) -> Tensor:
        """Put gates as PyTorch has them: the candidate before the gate of what is shown."""
        let_in, keep, let_out, candidate = columns.chunk(4, dim=-1)
        return torch.cat([let_in, keep, candidate, let_out], dim=-1)

    def step(self, drive: Tensor, state: State) -> State:
        """Take one step, the input already projected."""
        hidden, cell = state
        gates = torch.baddbmm(drive, hidden, self.recurrent)
        open_, candidate = gates.split([3 * self.n_hidden, self.n_hidden], dim=-1)
        let_in, keep, let_out = torch.sigmoid(open_).chunk(3, dim=-1)
        cell = keep * cell + let_in * torch.tanh(candidate)
        return let_out * torch.tanh(cell), cell

    def states_before(self, drive: Tensor) -> State:
        """Return the state before each position was read, (n_models, n, t, n_hidden) each."""
        state = self.start(drive)
        kept = [state]
        for gates in drive.unbind(2)[:-1]:
            state = self.step(gates, state)
            kept.append(state)
        hidden, cell = (torch.stack(part, dim=2) for part in zip(*kept, strict=True))
        return hidden, cell

    def start(self, x: Tensor) -> State:
        """Return a state of zeros for the sequences."""
        zeros = x.new_zeros(x.shape[0], x.shape[1], self.n_hidden)
        return zeros, zeros


def compile_parts(network: nn.Module) -> None:
    """Compile the parts of a network that hold no LSTM: PyTorch has its own, which compilers refuse."""
    for part in network.children():
        if not any(isinstance(module, LSTM) for module in part.modules()):
            part.compile()
