"""The network of G-Net, and the errors that its simulations add."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segcate.temporal._networks.changes import Changes
from segcate.temporal._networks.layers import ELUPair, Linear
from segcate.temporal._networks.lstm import LSTM, State
from segcate.temporal._networks.recurrent import side_by_side, states_at
from segcate.temporal._networks.tensors import PanelTensors

# Added to a seed, so that shares are drawn apart from errors.
_SHARES = 1_000_003


class ResidualPool:
    """Errors of held-out units, drawn by step: those of a random unit at that step, or its last.

    The draws do not depend on the plan, so that two plans are compared on the same noise. They are made
    on the device of the errors, by its own generator.
    """

    def __init__(self, residuals: Tensor, seed: int, n_different: int) -> None:
        n_steps = (~torch.isnan(residuals[..., 0])).sum(dim=2)
        fewest = int((n_steps > 0).sum(dim=1).min())
        # Units of whose steps none is known have no errors; all models draw from as many others.
        kept = torch.argsort((n_steps > 0).long(), dim=1, descending=True, stable=True)[:, :fewest]
        model = torch.arange(len(residuals), device=residuals.device).unsqueeze(1)
        self.residuals, self.n_steps = residuals[model, kept], n_steps[model, kept]
        self.seed, self.n_different = seed, n_different

    def draw(self, k: int, position: Tensor, n_futures: int) -> Tensor:
        """Draw one error for each path at its step: (n_models, n_paths, width)."""
        n_models, n_held_out = self.n_steps.shape
        n_draws = len(position) // n_futures * self.n_different
        unit = torch.randint(
            n_held_out, (n_models, n_draws), generator=self._generator(k), device=position.device
        )
        unit = unit.repeat_interleave(n_futures // self.n_different, dim=1)
        model = torch.arange(n_models, device=position.device).unsqueeze(1)
        last = self.n_steps[model, unit] - 1
        at = torch.minimum(position.expand_as(last), last)
        return self.residuals[model, unit, at]

    def shares(self, k: int, like: Tensor) -> Tensor:
        """Draw a share of [0, 1) for each path and variable at its step."""
        return torch.rand(like.shape, generator=self._generator(_SHARES + k), device=like.device)

    def _generator(self, number: int) -> torch.Generator:
        """Return the generator of a step."""
        return torch.Generator(self.residuals.device).manual_seed(self.seed + number)


class GNetwork(nn.Module):
    """LSTM over treatments given and variables; a head for the next outcome and covariates."""

    def __init__(
        self,
        n_models: int,
        widths: tuple[int, int, int, int],
        sizes: tuple[int, int, int],
        rate: float,
        changes: tuple[Changes, Changes],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        n_hidden, n_representation, n_head = sizes
        n_variables = widths[1] + widths[2]
        self.n_outcomes = widths[1]
        self.changes, self.next_changes = changes
        n_read = sum(widths) + self.changes.n_added
        self.lstm = LSTM(n_models, n_read, n_hidden, rate, generator)
        self.output = Linear(n_models, n_hidden, n_representation, generator)
        self.head = ELUPair(n_models, n_representation, n_head, n_variables, generator)

    def variables(self, inputs: Any) -> Tensor:
        """Put outcomes and covariates side by side."""
        if inputs.covariates is None:
            return inputs.outcome
        return torch.cat([inputs.outcome, inputs.covariates], dim=-1)

    def predict(self, hidden: Tensor, now: Tensor) -> Tensor:
        """Predict the next variables."""
        return self.next_changes.write(self._answer(hidden), now)

    def _answer(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.head(nn.functional.elu(self.output(hidden)))
        return found

    def losses(self, data: PanelTensors, units: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses of the next variables and which steps count."""
        hidden, now, target, counts = self._read(data, units)
        return self.next_changes.losses(self._answer(hidden), now, target), counts

    def errors(self, data: PanelTensors, units: Tensor) -> tuple[Tensor, Tensor]:
        """Return errors of the next variables and which steps count."""
        hidden, now, target, counts = self._read(data, units)
        return target - self.predict(hidden, now), counts

    def _read(self, data: PanelTensors, units: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return hidden states, variables, next variables and which steps count."""
        target, treatment, counts = data.targets(units)
        inputs = data.inputs(units, counts.shape[-1])
        if data.covariates is not None:
            target = torch.cat([target, data.covariates[units, 1:]], dim=-1)
        hidden = self.lstm(side_by_side(treatment, inputs, self.changes))
        return hidden, self.variables(inputs), target, counts

    def states_before(self, data: PanelTensors, inputs: Any, origins: Tensor) -> State:
        """Return the LSTM's state before each origin was read, (n_models, n, n_origins, width)."""
        given = data.treatment.expand(len(inputs.outcome), *data.treatment.shape)
        return states_at(self.lstm, given, inputs, self.changes, origins)

    def advance(
        self, treatment: Tensor, now: Tensor, before: Tensor, static: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Take one step of every path; return the mean of its next variables.

        `now` holds the variables of the step, `before` the outcomes of the step before it.
        """
        outcome, covariates = now[..., : self.n_outcomes], now[..., self.n_outcomes :]
        read = [treatment, self.changes.read(outcome, before), covariates, static]
        drive = self.lstm.input(torch.cat(read, dim=-1))
        state = self.lstm.step(drive, state)
        return self.predict(state[0], now), state
