"""The error of held-out units several steps ahead, each step predicted from the predictions before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from segcate._inputs.arrays import Bool, Float
from segcate.temporal._networks.tensors import PanelTensors

# Predict scaled outcomes of units from origins under plans: (n_models, n, n_origins, horizon, d_y).
RollOut = Callable[[PanelTensors, Tensor, Tensor], Tensor]

# Origins of each unit, spread over its rows.
_MOST_ORIGINS = 6


@dataclass(frozen=True, slots=True)
class FactualFutures:
    """What came of units from some of their rows on, under the treatments that they were given.

    Attributes
    ----------
    units : int tensor of shape (n,)
    data : histories of the units
    origins : int tensor of shape (n, n_origins)
    plans : tensor of shape (n, n_origins, horizon, d_a), coded
    reached : tensor of shape (n, n_origins, horizon, d_y)
        Outcomes that came, scaled.
    counts : tensor of shape (n_models, n, n_origins, horizon)
        1 where the step came and the unit is one of the model's.
    """

    units: Tensor
    data: PanelTensors
    origins: Tensor
    plans: Tensor
    reached: Tensor
    counts: Tensor

    @classmethod
    def of_units(cls, data: PanelTensors, units: Tensor, horizon: int) -> FactualFutures:
        """Take the futures of the units of each model, (n_models, n)."""
        every = torch.unique(units)
        is_own = (units.unsqueeze(1) == every.view(1, -1, 1)).any(dim=-1)
        part = _take(data, every)
        share = torch.linspace(0.0, 1.0, min(_MOST_ORIGINS, data.outcome.shape[1] - 1))
        last = (part.n_steps - 2).clamp(min=0).unsqueeze(1)
        origins = torch.round(share.to(last.device) * last).long()
        at = origins.unsqueeze(-1) + torch.arange(horizon, device=last.device)
        unit = torch.arange(len(every), device=last.device).view(-1, 1, 1)
        longest = data.outcome.shape[1] - 1
        # All is known of every step until then.
        is_there = part.is_learned[unit, at.clamp(max=longest)].cumprod(dim=-1) > 0
        counts = is_own[:, :, None, None] & is_there
        return cls(
            every,
            part,
            origins,
            part.treatment[unit, at.clamp(max=longest)],
            part.outcome[unit, (at + 1).clamp(max=longest)],
            counts.to(data.outcome.dtype),
        )

    def error(self, roll_out: RollOut) -> Tensor:
        """Return the squared error of each model, each step in units of the mean squared change until then.

        1 is the error of predicting that nothing changes.
        """
        predicted = roll_out(self.data, self.origins, self.plans)
        change = self._by_step((self.reached - self._now().unsqueeze(2)) ** 2)
        share = self._by_step((predicted - self.reached) ** 2) / change.clamp(min=1e-12)
        came = (self.counts.sum(dim=(1, 2)) > 0).to(share.dtype)
        return (share * came).sum(dim=1) / came.sum(dim=1).clamp(min=1.0)

    def changes(self, predicted: Tensor) -> tuple[Float, Float, Bool]:
        """Return changes since the origin: predicted, those that came, and which came.

        The futures of a unit by all models stand side by side, (n, n_models * n_origins, horizon, d_y); a
        unit counts for the models that did not learn from it.
        """
        now = self._now().unsqueeze(2)
        came = (self.reached - now).expand(len(predicted), *self.reached.shape)
        changes = [
            part.transpose(0, 1).flatten(1, 2).cpu().numpy()
            for part in (predicted - now, came, self.counts)
        ]
        return changes[0].astype(np.float64), changes[1].astype(np.float64), changes[2] > 0

    def _now(self) -> Tensor:
        """Return the outcomes of the origins, (n, n_origins, d_y)."""
        unit = torch.arange(len(self.origins), device=self.origins.device).unsqueeze(1)
        return self.data.outcome[unit, self.origins]

    def _by_step(self, squares: Tensor) -> Tensor:
        """Average squares over units and origins: (n_models, horizon)."""
        inside = (squares.mean(dim=-1) * self.counts).sum(dim=(1, 2))
        return inside / self.counts.sum(dim=(1, 2)).clamp(min=1.0)


def _take(data: PanelTensors, units: Tensor) -> PanelTensors:
    """Return the tensors of some units."""
    parts = {field.name: getattr(data, field.name) for field in fields(data)}
    return PanelTensors(**{k: None if v is None else v[units] for k, v in parts.items()})
