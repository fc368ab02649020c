"""Models as published code had them, where that differs from the papers; needs PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from segcate.temporal import MSM, RMSN, GNet


class PublishedMSM(MSM):
    """Weigh by the chance of being treated, whatever was given."""

    def _of_given(self, chance: Any, given: Any) -> Any:
        return chance


class PublishedRMSN(RMSN):
    """Weigh by the chance of being treated, whatever was given."""

    def _sign(self, treatment: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(treatment)


class PublishedGNet(GNet):
    """Add the same errors in all futures of a unit: one noisy rollout; average on the scale."""

    @property
    def _n_error_paths(self) -> int:
        return 1

    @property
    def _averages_own_outcomes(self) -> bool:
        return False
