"""Outcomes as networks read and predict them: as levels, or with their changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


class Changes(nn.Module):
    """Read outcomes with their last change and predict the next change, or pass levels through.

    A day's treatment moves an outcome little. A network that reads the last change and predicts the
    next one, in units of their standard deviation, learns the effect from far fewer units.

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
        """Return the columns by which a network reads outcomes, along the last axis."""
        if self.sd is None:
            return now
        return torch.cat([now, (now - before) / self.sd], dim=-1)

    def write(self, found: Tensor, now: Tensor) -> Tensor:
        """Turn the output of a head into the next outcomes."""
        return found if self.sd is None else torch.addcmul(now, found, self.sd)
