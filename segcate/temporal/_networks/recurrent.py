"""Recurrent trunks, and windows of steps to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.layers import Linear
from segcate.temporal._networks.lstm import LSTM, State
from segcate.temporal._networks.tensors import Inputs, PanelTensors


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
        hidden = self.lstm(side_by_side(inputs.prev_treatment, inputs, self.changes), state)
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
