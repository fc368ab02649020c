"""The networks of the RMSN: LSTMs that read sequences, and the limits of their weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.layers import Linear
from segcate.temporal._networks.lstm import LSTM, State
from segcate.temporal._networks.recurrent import side_by_side, states_at
from segcate.temporal._networks.tensors import Inputs


def cut_off(weights: Tensor, clip: float) -> Tensor:
    """Cut the weights of each model off at a quantile and at its mirror image; NaN stays."""
    values = weights.cpu().numpy()
    low, high = (
        torch.as_tensor(
            np.nanquantile(values, q, axis=(1, 2), keepdims=True),
            dtype=weights.dtype, device=weights.device,
        )
        for q in (clip, 1.0 - clip)
    )  # fmt: skip
    return torch.minimum(torch.maximum(weights, low), high)


class Reader(nn.Module):
    """An LSTM and a linear layer."""

    def __init__(
        self,
        n_models: int,
        n_in: int,
        n_hidden: int,
        n_out: int,
        rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.lstm = LSTM(n_models, n_in, n_hidden, rate, generator)
        self.output = Linear(n_models, n_hidden, n_out, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Read sequences."""
        hidden = self.lstm(features)
        out: Tensor = self.output(hidden)
        return out


class OutcomeReader(nn.Module):
    """Predict the next outcome from the treatment given now and the history until now."""

    def __init__(
        self,
        n_models: int,
        widths: tuple[int, int, int, int],
        n_hidden: int,
        n_encoded: int | None,
        changes: Changes,
        rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.changes = changes
        self.lstm = LSTM(n_models, sum(widths) + changes.n_added, n_hidden, rate, generator)
        self.output = Linear(n_models, n_hidden, widths[1], generator)
        self.start = None
        if n_encoded is not None:
            self.start = Linear(n_models, n_encoded, n_hidden, generator)

    def begin(self, encoded: Tensor) -> State:
        """Turn the state of an encoder into the first state."""
        state = self.start(encoded) if self.start is not None else encoded
        return state, state

    def forward(self, inputs: Inputs, treatment: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions and hidden states at every position."""
        found, hidden = self.answers(inputs, treatment)
        return self.changes.write(found, inputs.outcome), hidden

    def answers(self, inputs: Inputs, treatment: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the head says and hidden states at every position."""
        state = None if inputs.state is None else self.begin(inputs.state)
        hidden = self.lstm(side_by_side(treatment, inputs, self.changes), state)
        return self.output(hidden), hidden

    def states_before(self, inputs: Inputs, treatment: Tensor, origins: Tensor) -> State:
        """Return the state before each origin was read, units and origins in one axis."""
        hidden, cell = states_at(self.lstm, treatment, inputs, self.changes, origins)
        return hidden.flatten(1, 2), cell.flatten(1, 2)

    def advance(
        self,
        treatment: Tensor,
        path: list[Tensor],
        covariates: Tensor | None,
        static: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Take one step from the last two outcomes of a path."""
        parts = [treatment, self.changes.read(path[-1], path[-2]), covariates, static]
        read = torch.cat([part for part in parts if part is not None], dim=-1)
        state = self.lstm.step(self.lstm.input(read), state)
        return self.changes.write(self.output(state[0]), path[-1]), state
