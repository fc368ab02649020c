"""Attention over the past with relative positions for keys and values (Shaw et al., 2018).

Scores are ``q_i (k_j + eK_{i-j}) / sqrt(d)`` and outputs ``sum_j w_ij (v_j + eV_{i-j})``, distances
clipped at the longest that the tables know. Tables are indexed by how far back j lies: the future is
masked, so it needs no entries.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segcate.temporal._layers import dropout

__all__ = ["attend", "attend_from", "distance_table", "split_heads"]


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Turn ``(g, n, t, n_heads * d)`` into ``(g, n, n_heads, t, d)``."""
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)


def distance_table(table: Tensor, n_times: int) -> Tensor:
    """Give the distances ``n_times - 1, ..., 1, 0`` their entries, behind one of zeros.

    The result is of shape (g, n_times + 1, d); the zeros are what shifting columns needs.
    """
    distance = torch.arange(n_times - 1, -1, -1, device=table.device)
    entries = table[:, distance.clamp(max=table.shape[1] - 1)]
    return torch.nn.functional.pad(entries, (0, 0, 1, 0))


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
    key_table, value_table : tensors of shape (g, t + 1, d)
        Entries by distance, the longest first (`distance_table`).
    key_mask : bool tensor broadcastable to (g, n, n_heads, t, t), True where a key must not be used
    rate, training : dropout of the weights

    Returns
    -------
    tensor of shape (g, n, t, n_heads * d)
    """
    t, d = query.shape[-2:]
    query = query / math.sqrt(d)
    score = query @ key.transpose(-1, -2)
    score += _to_positions(_times_table(query, key_table.transpose(1, 2)))
    score += torch.full((t, t), -math.inf, device=score.device).triu_(1)
    if key_mask is None:
        weight = torch.softmax(score, dim=-1)
    else:
        # Where every key is masked the weights are 0, not NaN.
        weight = torch.softmax(score.masked_fill(key_mask, -1e30), dim=-1)
        weight = weight.masked_fill(key_mask, 0.0)
    weight = dropout(weight, rate, training)
    out = weight @ value
    out += _times_table(_to_distances(weight), value_table)
    return merge_heads(out)


def _times_table(x: Tensor, table: Tensor) -> Tensor:
    """Multiply ``(g, n, h, t, a)`` by a table ``(g, a, b)`` that all units and heads share."""
    g, n, h, t, a = x.shape
    return torch.bmm(x.reshape(g, n * h * t, a), table).view(g, n, h, t, -1)


def _to_positions(x: Tensor) -> Tensor:
    """Shift columns from distance, longest first, to key position; future entries are arbitrary.

    ``(t, t + 1)`` whose first column is 0 becomes ``(t, t)``.
    """
    *lead, t, _ = x.shape
    return x.view(*lead, t + 1, t)[..., 1:, :]


def _to_distances(x: Tensor) -> Tensor:
    """Shift columns from key position to distance, longest first, behind an arbitrary column.

    ``(t, t)`` whose future entries are 0 becomes ``(t, t + 1)``.
    """
    *lead, t, _ = x.shape
    return torch.nn.functional.pad(x, (0, 0, 1, 0)).view(*lead, t, t + 1)


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
