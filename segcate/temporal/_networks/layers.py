"""Layers with a leading axis of models, so that an ensemble trains as one batch.

Every tensor begins with the models, ``(n_models, n_units, n_times, width)``; each model has weights of
its own and nothing mixes them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Module):
    """An affine map a model, ``(n_models, ..., n_in) -> (n_models, ..., n_out)``."""

    def __init__(self, n_models: int, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(max(n_in, 1))
        weight = torch.rand(n_models, n_in, n_out, generator=generator)
        bias = torch.rand(n_models, 1, n_out, generator=generator)
        self.weight = nn.Parameter((2.0 * weight - 1.0) * bound)
        self.bias = nn.Parameter((2.0 * bias - 1.0) * bound)

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Map the last axis; `rows` says whose weights to use, where not all are asked."""
        weight = self.weight if rows is None else self.weight[rows]
        bias = self.bias if rows is None else self.bias[rows]
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        return torch.baddbmm(bias, flat, weight).view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Centre and scale the last axis: ``gain * (h - mean) / (sd + 1e-6) + bias``, sd unbiased."""

    def __init__(self, n_models: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_models, 1, 1, width))
        self.bias = nn.Parameter(torch.zeros(n_models, 1, 1, width))

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Normalise each position on its own."""
        gain = self.gain if rows is None else self.gain[rows]
        bias = self.bias if rows is None else self.bias[rows]
        return torch.addcmul(bias, gain, _Normalise.apply(x))


class _Normalise(torch.autograd.Function):
    """``(h - mean) / (sd + 1e-6)`` over the last axis; `torch.std_mean` is slow on short rows."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        """Centre and scale."""
        centred = x - x.mean(-1, keepdim=True)
        sd = (centred.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt_()
        inverse = 1.0 / (sd + 1e-6)
        centred *= inverse
        ctx.save_for_backward(centred, sd, inverse)
        return centred

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        """Differentiate mean and standard deviation too."""
        found, sd, inverse = ctx.saved_tensors
        # Equal entries: their deviations are 0, and so is the gradient of their sd.
        slope = (grad * found).sum(-1, keepdim=True) / (sd * (found.shape[-1] - 1)).clamp_(
            min=1e-30
        )
        centred = (grad - grad.mean(-1, keepdim=True)).mul_(inverse)
        return centred.addcmul_(found, slope, value=-1.0)


class ELUPair(nn.Module):
    """A head: linear, ELU, linear."""

    def __init__(
        self, n_models: int, n_in: int, n_hidden: int, n_out: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.first = Linear(n_models, n_in, n_hidden, generator)
        self.second = Linear(n_models, n_hidden, n_out, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        return self.second(nn.functional.elu(self.first(x)))


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Drop entries at random while training, in steps of 1/256 of the rate."""
    if not training or round(256 * rate) == 0:
        return x
    return x * keep_factors(x, rate)


def keep_factors(x: Tensor, rate: float) -> Tensor:
    """Draw the factor of each entry: 0, or the inverse of the share that is kept.

    One random byte an entry: on a CPU this takes a fraction of the time of `torch.dropout`.
    """
    n_dropped = round(256 * rate)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    random = words.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
    # In place, because bytes compared to bytes are vectorised.
    return random.ge_(n_dropped).to(x.dtype).mul_(256.0 / (256 - n_dropped))
