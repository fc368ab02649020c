"""How outcomes enter and leave a network: as they are, or with their changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Changes"]


class Changes(nn.Module):
    """Outcomes as they are, or read beside their last change and predicted as the next one.

    What a treatment does in a day is small beside the outcome itself. A network that is shown the
    last change, and asked for the next, in units of their standard deviation, learns it from far
    fewer units.

    Parameters
    ----------
    sd : float array of shape (width,), or None
        Standard deviation of the changes of scaled outcomes; None leaves outcomes as they are.
    """

    sd: Tensor | None

    def __init__(self, sd: npt.NDArray[np.float64] | None) -> None:
        super().__init__()
        found = None if sd is None else torch.as_tensor(sd, dtype=torch.float32)
        self.register_buffer("sd", found, persistent=False)
        self.n_added = 0 if sd is None else len(sd)

    def read(self, now: Tensor, before: Tensor) -> Tensor:
        """Return what a network is shown of outcomes, along the last axis."""
        if self.sd is None:
            return now
        return torch.cat([now, (now - before) / self.sd], dim=-1)

    def write(self, found: Tensor, now: Tensor) -> Tensor:
        """Turn what a head says into the next outcomes."""
        return found if self.sd is None else torch.addcmul(now, found, self.sd)
