"""Attention over the past with relative positions for keys and values (Shaw et al., 2018).

Scores are ``q_i (k_j + eK_{i-j}) / sqrt(d)`` and outputs ``sum_j w_ij (v_j + eV_{i-j})``, distances
clipped at the longest that the tables know. Tables are indexed by how far back j lies: the future is
masked, so it needs no entries.

The entry of the longest distance is added to every key and value; what the nearer entries have on top
is a band below the diagonal. The band of a square matrix is a view of it: nothing is shifted or
gathered.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segcate.temporal._networks.layers import keep_factors


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Turn ``(g, n, t, n_heads * d)`` into ``(g, n, n_heads, t, d)``."""
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_table: Tensor,
    value_table: Tensor,
    key_mask: Tensor | None,
    rate: float,
    training: bool,
) -> Tensor:
    """Attend from every position to itself and the past.

    Parameters
    ----------
    query, key, value : tensors of shape (g, n, n_heads, t, d)
    key_table, value_table : tensors of shape (g, longest + 1, d), by distance
    key_mask : bool tensor broadcastable to (g, n, n_heads, 1, t), True where a key must not be used
    rate, training : dropout of the weights

    Returns
    -------
    tensor of shape (g, n, t, n_heads * d)
    """
    shape = query.shape
    near_key, far_key = _near_and_far(key_table, shape)
    near_value, far_value = _near_and_far(value_table, shape)
    parts = (query / math.sqrt(shape[-1]), key + far_key, value + far_value)
    flat = [part.reshape(-1, *shape[-2:]) for part in parts]
    is_seen = None
    if key_mask is not None:
        is_seen = (~key_mask).expand(*shape[:3], 1, shape[3]).flatten(0, 2).to(query.dtype)
    out = _BandedAttention.apply(*flat, near_key, near_value, is_seen, rate if training else 0.0)
    return merge_heads(out.view(shape))


def _near_and_far(table: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Split a table into the longest distance's entry and the differences of near distances from it.

    The first is of shape (g * n * n_heads, width, d), the farthest first; the second broadcasts to
    `shape`, (g, n, n_heads, t, d).
    """
    g, n, n_heads, t, d = shape
    far = table[:, -1:]
    near = (table[:, :t] - far).flip(1).unsqueeze(1).expand(-1, n * n_heads, -1, -1)
    return near.reshape(g * n * n_heads, -1, d), far[:, None, None]


class _BandedAttention(torch.autograd.Function):
    """Causal attention to ``(b, t, d)``; near keys and values, ``(b, width, d)``, have more on top.

    By hand, because autograd keeps twice as much and copies what is read through views.
    """

    @staticmethod
    def forward(ctx, query, key, value, near_key, near_value, is_seen, rate):  # type: ignore[no-untyped-def]
        """Attend; `is_seen` is 1 for keys that may be used, (b, 1, t)."""
        t = query.shape[1]
        future = query.new_full((t, t), -math.inf).triu_(1)
        score = torch.baddbmm(future, query, key.mT)
        _add_to_band(score, query, near_key)
        if is_seen is not None:
            score += (is_seen - 1.0) * 1e30
        weight = torch.softmax(score, dim=-1)
        if is_seen is not None:
            # Where every key is masked the weights are 0.
            weight *= is_seen
        kept = weight if rate == 0.0 else keep_factors(weight, rate).mul_(weight)
        ctx.save_for_backward(query, key, value, near_key, near_value, weight, kept)
        out = _narrow_product(kept, value)
        _add_band_product(out, kept, near_value)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        """Return the gradients of queries, keys, values and what is on top."""
        query, key, value, near_key, near_value, weight, kept = ctx.saved_tensors
        grad_score = torch.bmm(grad, value.mT)
        _add_to_band(grad_score, grad, near_value)
        grad_score *= kept
        grad_score.addcmul_(weight, grad_score.sum(-1, keepdim=True), value=-1.0)
        grad_query = _narrow_product(grad_score, key)
        _add_band_product(grad_query, grad_score, near_key)
        return (
            grad_query,
            _narrow_product(grad_score.mT, query),
            _narrow_product(kept.mT, grad),
            _band_gradient(grad_score, query, near_key),
            _band_gradient(kept, grad, near_value),
            None,
            None,
        )


def _narrow_product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply a square matrix by a narrow one; BLAS is three times as fast at the transpose."""
    return torch.bmm(b.mT, a.mT).mT


def _band(square: Tensor, width: int) -> Tensor:
    """View, of every row but the first, the `width` entries that end at the diagonal.

    Where a row has fewer, the view shows entries of the row before that lie in its future.
    """
    b, t, _ = square.shape
    return square.as_strided((b, t - 1, width), (t * t, t + 1, 1), t + 2 - width)


def _add_to_band(square: Tensor, x: Tensor, near: Tensor) -> None:
    """Add ``x_i near_{i-j}``; the first row sees one key and needs nothing."""
    _band(square, near.shape[1]).add_(torch.bmm(x[:, 1:], near.mT))


def _add_band_product(out: Tensor, square: Tensor, near: Tensor) -> None:
    """Add ``sum_j square_ij near_{i-j}``."""
    out[:, 1:] += _narrow_product(_band(square, near.shape[1]), near)
    out[:, 0] += square[:, 0, :1] * near[:, -1]


def _band_gradient(square: Tensor, x: Tensor, near: Tensor) -> Tensor:
    """Return the gradient of `near` where ``sum_ij square_ij x_i near_{i-j}`` is differentiated."""
    found = torch.bmm(_band(square, near.shape[1]).mT, x[:, 1:])
    found[:, -1] += square[:, 0, :1] * x[:, 0]
    return found


def attend_from(
    query: Tensor,
    keys: tuple[Tensor, Tensor],
    values: tuple[Tensor, Tensor],
    key_table: Tensor,
    value_table: Tensor,
    distances: tuple[Tensor, Tensor],
    blocked: tuple[Tensor, Tensor],
) -> Tensor:
    """Attend from one new position of many futures to their unit's history and their own steps.

    Parameters
    ----------
    query : tensor of shape (g, n, n_heads, f, d)
        One new position for each of f futures (origin and plan) of a unit.
    keys, values : pairs of tensors
        Of the history, (g, n, n_heads, t, d), kept once a unit; and of the future's own steps so
        far, (g, n, n_heads, f, s, d).
    key_table, value_table : tensors of shape (g, longest + 1, d), by distance
    distances, blocked : pairs of tensors broadcastable to (g, n, n_heads, f, t) and (..., f, s)
        How far back a key lies, and True where it must not be used.

    Returns
    -------
    tensor of shape (g, n, f, n_heads * d)
    """
    query = query / math.sqrt(query.shape[-1])
    by_distance = torch.einsum("gnhfd,gld->gnhfl", query, key_table)
    plain = (query @ keys[0].transpose(-1, -2), torch.einsum("gnhfd,gnhfsd->gnhfs", query, keys[1]))
    at = [
        distance.clamp(0, key_table.shape[1] - 1).expand(score.shape)
        for distance, score in zip(distances, plain, strict=True)
    ]
    mask = torch.cat([m.expand(s.shape) for m, s in zip(blocked, plain, strict=True)], dim=-1)
    score = torch.cat(
        [s + by_distance.gather(-1, where) for s, where in zip(plain, at, strict=True)], dim=-1
    )
    # Where every key is masked the weights are 0, not NaN.
    weight = torch.softmax(score.masked_fill(mask, -1e30), dim=-1).masked_fill(mask, 0.0)
    history, own = weight.split([plain[0].shape[-1], plain[1].shape[-1]], dim=-1)
    collected = torch.zeros_like(by_distance).scatter_add_(-1, at[0], history)
    collected.scatter_add_(-1, at[1], own)
    out = history @ values[0]
    out += torch.einsum("gnhfs,gnhfsd->gnhfd", own, values[1])
    out += torch.einsum("gnhfl,gld->gnhfd", collected, value_table)
    return merge_heads(out)
