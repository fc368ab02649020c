"""Sums that parts of the data give, and how two of them become one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from segcate._inputs.arrays import Float

# An array by name. What a name begins with says how two arrays of that name become one.
Sums = dict[str, Float]

_SMALLEST, _LARGEST, _LISTED = "smallest_", "largest_", "listed_"


def merged(one: Sums, other: Sums) -> Sums:
    """Put two results together: smallest and largest values, lists, and sums for all else."""
    out = dict(one)
    for name, values in other.items():
        out[name] = _merged_values(name, one[name], values) if name in one else values
    return out


def _merged_values(name: str, one: Float, other: Float) -> Float:
    if name.startswith(_SMALLEST):
        return np.minimum(one, other)
    if name.startswith(_LARGEST):
        return np.maximum(one, other)
    if name.startswith(_LISTED):
        return np.concatenate([one, other])
    return np.asarray(one + other)


def merged_all(parts: Iterable[Sums]) -> Sums:
    """Put any number of results together."""
    out: Sums = {}
    for part in parts:
        out = merged(out, part)
    return out
