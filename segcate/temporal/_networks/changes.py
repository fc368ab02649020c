"""Outcomes as networks read and predict them: as levels, or with their changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


class Changes(nn.Module):
    """Read outcomes with their last change and predict the next change, or pass levels through.

    A day's treatment moves an outcome little. A network that reads the last change and predicts the
    next one, in units of their standard deviation, learns the effect from far fewer units.

    Parameters
    ----------
    sd : float array of shape (width,), or None
        Standard deviation of the changes of scaled outcomes; None leaves outcomes as they are.
    levels : float array of shape (2, width), or None
        What 0 and 1 are once scaled, for outcomes that hold nothing else, NaN for others: heads of the
        former are logistic. None: there are no such outcomes.
    """

    sd: Tensor | None
    levels: Tensor | None

    def __init__(
        self,
        sd: npt.NDArray[np.float64] | None,
        levels: npt.NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        # A gradient passes through both sides of a choice: neither may be NaN.
        known = None if levels is None else np.nan_to_num(levels)
        for name, values in (("sd", sd), ("levels", known)):
            found = None if values is None else torch.as_tensor(values, dtype=torch.float32)
            self.register_buffer(name, found, persistent=False)
        self.n_added = 0 if sd is None else len(sd)

    def read(self, now: Tensor, before: Tensor) -> Tensor:
        """Return the columns by which a network reads outcomes, along the last axis."""
        if self.sd is None:
            return now
        return torch.cat([now, (now - before) / self.sd], dim=-1)

    def write(self, found: Tensor, now: Tensor) -> Tensor:
        """Turn the output of a head into the next outcomes."""
        linear = found if self.sd is None else torch.addcmul(now, found, self.sd)
        if self.levels is None:
            return linear
        low, high = self.levels
        return torch.where(high > low, low + torch.sigmoid(found) * (high - low), linear)

    def losses(self, found: Tensor, now: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each output of a head: a squared error, of binary outcomes the deviance.

        Both are deviances, of a normal law whose variance is that of the scaled outcome, 1, and of a binomial
        law: outcomes of both kinds may be learned beside each other.
        """
        squares = (self.write(found, now) - target) ** 2
        if self.levels is None:
            return squares
        low, high = self.levels
        is_binary = high > low
        share = (target - low) / torch.where(is_binary, high - low, 1.0)
        deviance = 2.0 * functional.binary_cross_entropy_with_logits(
            found, share.clamp(0.0, 1.0), reduction="none"
        )
        return torch.where(is_binary, deviance, squares)

    def throw(self, mean: Tensor, now: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Throw binary outcomes: 1 where a share of [0, 1) lies below their probability.

        Returns the next variables, and what is averaged over paths: of binary outcomes the probability.
        """
        assert self.levels is not None, "there are no binary outcomes"
        low, high = self.levels
        thrown = torch.where(mean - low > share * (high - low), high, low)
        is_binary = high > low
        return torch.where(is_binary, thrown, now), torch.where(is_binary, mean, now)
