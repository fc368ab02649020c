"""A panel as tensors on a device: made once, read by index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segcate.temporal._panel.coding import Scaling, TreatmentCoding
from segcate.temporal._panel.panel import Panel


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a network reads, positions along the third axis.

    Attributes
    ----------
    prev_treatment : tensor of shape (n_models, n, t, d_a)
        Treatment of the step before; zeros at the first position.
    prev_outcome : tensor of shape (n_models, n, t, d_y)
        Outcome of the step before; at the first position of a unit that of the position.
    outcome : tensor of shape (n_models, n, t, d_y)
        Outcome at the position.
    covariates : tensor of shape (n_models, n, t, d_x), or None
    static : tensor of shape (n_models, n, d_v)
    known_until : int tensor of shape (n_models, n), or None
        Covariates are known at positions before it; None: at all.
    state : tensor of shape (n_models, n, width), or None
        What an encoder knew before the first position; recurrent networks begin from it.
    """

    prev_treatment: Tensor
    prev_outcome: Tensor
    outcome: Tensor
    covariates: Tensor | None
    static: Tensor
    known_until: Tensor | None = None
    state: Tensor | None = None


@dataclass(frozen=True, slots=True)
class PanelTensors:
    """What networks read of a panel; the first axis is units, the second steps.

    Attributes
    ----------
    prev_treatment, treatment : tensors of shape (n, t, d_a), coded
    prev_outcome, outcome : tensors of shape (n, t, d_y), scaled
    covariates : tensor of shape (n, t, d_x) or None
    static : tensor of shape (n, d_v)
    n_steps : int tensor of shape (n,)
        Rows of each unit; a step is learned from where the next row is there.
    is_learned : bool tensor of shape (n, t)
        Those steps of which all is known.
    """

    prev_treatment: Tensor
    treatment: Tensor
    prev_outcome: Tensor
    outcome: Tensor
    covariates: Tensor | None
    static: Tensor
    n_steps: Tensor
    is_learned: Tensor

    def inputs(self, units: Tensor, n_positions: int | None = None) -> Inputs:
        """Gather histories; `units` is an index tensor of shape (n_models, n)."""
        t = n_positions or self.outcome.shape[1]
        return Inputs(
            self.prev_treatment[units, :t],
            self.prev_outcome[units, :t],
            self.outcome[units, :t],
            None if self.covariates is None else self.covariates[units, :t],
            self.static[units],
        )

    def targets(self, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather next outcomes, treatments given, and 1 where a step counts (n_models, n, t - 1)."""
        t = self.outcome.shape[1] - 1
        counts = self.is_learned[units, :t]
        return self.outcome[units, 1:], self.treatment[units, :t], counts.to(self.outcome.dtype)


def panel_tensors(
    panel: Panel, scaling: Scaling, coding: TreatmentCoding, device: torch.device
) -> PanelTensors:
    """Scale and code a panel, and put it on the device in single precision."""

    def tensor(values: np.ndarray, kind: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=kind, device=device)

    treatment = coding.encode_panel(panel)
    before = np.zeros_like(treatment)
    before[:, 1:] = treatment[:, :-1]
    outcome = scaling.encode_rows(panel)
    outcome_before = np.concatenate([outcome[:, :1], outcome[:, :-1]], axis=1)
    has_covariates = panel.covariates.shape[2] > 0
    covariates = scaling.encode_covariates(panel.covariates) * panel.is_row[..., None]
    return PanelTensors(
        prev_treatment=tensor(before),
        treatment=tensor(treatment),
        prev_outcome=tensor(outcome_before),
        outcome=tensor(outcome),
        covariates=tensor(covariates) if has_covariates else None,
        static=tensor(scaling.encode_static(panel.static)),
        n_steps=tensor(panel.n_steps, torch.int64),
        is_learned=tensor(panel.is_learned, torch.bool),
    )
