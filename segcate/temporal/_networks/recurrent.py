"""Recurrent trunks: an LSTM with a leading axis of models, and windows of steps to learn from.

Hochreiter & Schmidhuber (1997); dropout masks are drawn once a sequence (Gal & Ghahramani, 2016).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.layers import Linear, dropout
from segcate.temporal._networks.tensors import Inputs, PanelTensors

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

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read sequences from a state (zeros by default); return outputs and the last state."""
        drive = self.input(x)
        hidden, cell = self.start(x) if state is None else state
        keep_output, keep_hidden, keep_cell = (self._mask(hidden) for _ in range(3))
        outputs = []
        for gates in drive.unbind(2):
            hidden, cell = self.step(gates, (hidden * keep_hidden, cell * keep_cell))
            outputs.append(hidden)
        return torch.stack(outputs, dim=2) * keep_output.unsqueeze(2), (hidden, cell)

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

    def _mask(self, like: Tensor) -> Tensor:
        return dropout(torch.ones_like(like), self.rate, self.training)


def side_by_side(treatment: Tensor, inputs: Inputs, changes: Changes) -> Tensor:
    """Put a treatment, outcomes, covariates (where there are any) and static features together.

    `treatment` is of shape (n_models, n, t, d_a): that of the step before, or of the step itself.
    """
    static = inputs.static.unsqueeze(2).expand(-1, -1, inputs.outcome.shape[2], -1)
    outcome = changes.read(inputs.outcome, inputs.prev_outcome)
    parts = [treatment, outcome, inputs.covariates, static]
    return torch.cat([part for part in parts if part is not None], dim=-1)


def states_at(
    lstm: LSTM, treatment: Tensor, inputs: Inputs, changes: Changes, origins: Tensor
) -> State:
    """Return the state before each origin was read, (n_models, n, n_origins, n_hidden) each."""
    hidden, cell = lstm.states_before(lstm.input(side_by_side(treatment, inputs, changes)))
    return take_steps(hidden, origins), take_steps(cell, origins)


class RecurrentTrunk(nn.Module):
    """From histories to a representation at every position: LSTM, linear, ELU."""

    def __init__(
        self,
        n_models: int,
        widths: tuple[int, int, int, int],
        n_hidden: int,
        n_representation: int,
        rate: float,
        changes: Changes,
        generator: torch.Generator,
    ) -> None:
        """Build the trunk for widths of treatment, outcome, covariates and static."""
        super().__init__()
        self.n_outcomes, self.changes = widths[1], changes
        self.lstm = LSTM(n_models, sum(widths) + changes.n_added, n_hidden, rate, generator)
        self.output = Linear(n_models, n_hidden, n_representation, generator)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the representation, (n_models, n, t, width)."""
        state = None if inputs.state is None else (inputs.state, inputs.state)
        hidden, _ = self.lstm(side_by_side(inputs.prev_treatment, inputs, self.changes), state)
        return nn.functional.elu(self.output(hidden))


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of steps after an origin, read by number: what a decoder learns from.

    It stands in for `PanelTensors`: `inputs` and `targets` take numbers of windows.

    Attributes
    ----------
    data : the panel
    unit, origin : int tensors of shape (n_windows,)
        A window begins at the step after its origin.
    length : steps in a window
    state : tensor of shape (n_models, n_windows, width) or None
        What an encoder knew at the origin.
    """

    data: PanelTensors
    unit: Tensor
    origin: Tensor
    length: int
    state: Tensor | None = None

    @classmethod
    def after_origins(cls, data: PanelTensors, known: Tensor, horizon: int) -> Windows:
        """List the windows after every origin, with what an encoder knew at each position."""
        unit, origin = windows_of(data)
        return cls(data, unit, origin, max(horizon - 1, 1), known[:, unit, origin])

    @property
    def n_steps(self) -> Tensor:
        """Rows of each window, its target included."""
        return (self.data.n_steps[self.unit] - self.origin - 1).clamp(max=self.length + 1)

    def inputs(self, windows: Tensor, n_positions: int | None = None) -> Inputs:
        """Gather the steps of windows; covariates after the origin are unknown."""
        unit, at = self._positions(windows)
        state = None
        if self.state is not None:
            model = torch.arange(len(windows), device=windows.device).unsqueeze(1)
            state = self.state[model, windows]
        return Inputs(
            self.data.prev_treatment[unit, at],
            self.data.prev_outcome[unit, at],
            self.data.outcome[unit, at],
            None,
            self.data.static[self.unit[windows]],
            state=state,
        )

    def targets(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather next outcomes, treatments given, and 1 where a step counts."""
        unit, at = self._positions(windows)
        last = self.data.outcome.shape[1] - 1
        counts = self.data.is_learned[unit, at]
        after = (at + 1).clamp(max=last)
        outcome, treatment = self.data.outcome[unit, after], self.data.treatment[unit, at]
        return outcome, treatment, counts.to(outcome.dtype)

    def of_units(self, units: Tensor) -> Tensor | None:
        """Return the windows of some units, for each model its own: (n_models, n_windows).

        All models get as many; None where a model would get none.
        """
        is_wanted = torch.zeros(
            len(units), self.data.outcome.shape[0], dtype=torch.bool, device=units.device
        ).scatter_(1, units, True)
        numbers = [torch.nonzero(row[self.unit]).squeeze(1) for row in is_wanted]
        fewest = min(len(found) for found in numbers)
        return torch.stack([found[:fewest] for found in numbers]) if fewest else None

    def of_parts(self, parts: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the windows of training and of validation units; None stays None."""
        return [None if units is None else self.of_units(units) for units in parts]

    def _positions(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit and step of each position, (n_models, n, length)."""
        step = torch.arange(1, self.length + 1, device=windows.device)
        at = self.origin[windows].unsqueeze(-1) + step
        return (
            self.unit[windows].unsqueeze(-1).expand_as(at),
            at.clamp(max=self.data.outcome.shape[1] - 1),
        )


def take_steps(x: Tensor, steps: Tensor) -> Tensor:
    """Take some steps of each unit, ``(n_models, n, t, d) -> (n_models, n, n_steps, d)``."""
    at = steps.expand(x.shape[0], *steps.shape).unsqueeze(-1)
    return x.gather(2, at.expand(-1, -1, -1, x.shape[-1]))


def last_two_outcomes(inputs: Inputs, origins: Tensor) -> list[Tensor]:
    """Begin the paths of futures: the outcomes before each origin and at it."""
    return [take_steps(part, origins) for part in (inputs.prev_outcome, inputs.outcome)]


def windows_of(data: PanelTensors) -> tuple[Tensor, Tensor]:
    """List unit and origin of every window with at least one step to learn from."""
    t = data.outcome.shape[1]
    origin = torch.arange(t, device=data.outcome.device)
    unit, at = torch.nonzero(origin < (data.n_steps - 2).unsqueeze(1), as_tuple=True)
    return unit, at
