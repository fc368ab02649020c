"""Recognise rows of fit in any number, order and container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Int64
from segcate._inputs.cells import Cells, read_cells

Key = npt.NDArray[np.uint64]

# Odd constants of splitmix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195, figure 15).
_STEP, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@dataclass(frozen=True, slots=True)
class RowLookup:
    """Labels of known rows, found by a fingerprint of 128 bits.

    Attributes
    ----------
    keys : uint64 array of shape (n_distinct,), ascending: first half of each fingerprint
    checks : uint64 array of shape (n_distinct,): second half
    labels : int64 array of shape (n_distinct,)
    """

    keys: Key
    checks: Key
    labels: Int64

    def find(self, rows: Any) -> tuple[npt.NDArray[np.bool_], Int64]:
        """Tell which rows are known, and give the labels of those, in row order."""
        keys, checks = fingerprints(rows)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        is_known = (self.keys[at] == keys) & (self.checks[at] == checks)
        return is_known, self.labels[at[is_known]]


def build_lookup(rows: Any, labels: Int64) -> RowLookup:
    """Remember the label of each distinct row.

    If equal rows carry different labels, the most frequent one counts, and the smallest one in a
    tie, so that the label depends on the row alone.
    """
    keys, checks = fingerprints(rows)
    order = np.lexsort((labels, checks, keys))
    keys, checks, labels = keys[order], checks[order], np.asarray(labels, dtype=np.int64)[order]
    new_row = _starts(keys, checks)
    run = np.flatnonzero(new_row | _starts(labels))
    length = np.diff(np.append(run, len(keys)))
    row_of_run = np.cumsum(new_row)[run]
    best = np.lexsort((-length, row_of_run))
    best = best[_starts(row_of_run[best])]
    at = run[best]
    return RowLookup(keys[at], checks[at], labels[at])


def distinct_rows(rows: Any) -> npt.NDArray[np.intp]:
    """Return the positions of one row of each kind: the first, in row order."""
    keys, checks = fingerprints(rows)
    order = np.lexsort((checks, keys))
    return np.sort(order[_starts(keys[order], checks[order])])


def _starts(*sorted_keys: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Mark where a run of equal entries starts."""
    starts = np.ones(len(sorted_keys[0]), dtype=bool)
    starts[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in sorted_keys])
    return starts


def fingerprints(rows: Any) -> tuple[Key, Key]:
    """Hash each row into two independent numbers of 64 bits.

    Numbers are taken as float64 (so 0 and -0, and an integer and its float, are equal), dates as
    moments; all else as text. Two different rows share both numbers with probability 2**-128.
    """
    n, width = rows.shape
    first = np.full(n, _STEP, dtype=np.uint64)
    second = np.full(n, _MIX1, dtype=np.uint64)
    for j in range(width):
        bits = _bits(read_cells("", rows, j))
        first = _mixed(first ^ bits)
        second = _mixed((second ^ _mixed(bits)) + np.uint64(_MIX2))
    return first, second


def _bits(cells: Cells) -> Key:
    if cells.codes is not None:
        levels = np.array(cells.levels, dtype=object)
        hashed = np.asarray(pd.util.hash_array(levels, categorize=False), dtype=np.uint64)
        return hashed[cells.codes]
    values = np.full(cells.n_rows, np.nan) if cells.values is None else cells.values
    return (values.astype(np.float64) + 0.0).view(np.uint64)


def _mixed(values: Key) -> Key:
    values = values + np.uint64(_STEP)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_MIX1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_MIX2)
    return values ^ (values >> np.uint64(31))
