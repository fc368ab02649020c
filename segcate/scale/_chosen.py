"""Rows that a fit in memory takes as a part that stands for all: found by the keys of their content.

The same share of each segment and arm is taken, the rows of the smallest keys. A key that occurs often has
to be counted over all rows, so keys are dealt out, and equal ones meet; a further pass takes the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.row_sample import Keys, numbered, rounded_weight, row_keys, share_of
from segcate.scale._levels import EveryLevel
from segcate.scale._moments import Moments
from segcate.scale._rows import Rows
from segcate.scale._runner import Place, Runner
from segcate.scale._sums import Sums

Stratum = tuple[int, int]

# Keys that are compared at once.
_KEYS_AT_ONCE = 4_000_000
# Standard deviations of a count, and keys, by which more keys are kept than are wanted.
_SPARE_SDS, _SPARE = 12.0, 30.0
_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)


class ChosenRows(NamedTuple):
    """Rows of one segment and arm, as models of curves take them.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_columns), every level with a column
    weight : float64 array of shape (n_rows,), or None
    """

    columns: Float
    weight: Float | None


def keys_of(rows: Rows, levels: EveryLevel) -> Keys:
    """Give every row the key of its content."""
    weight = rounded_weight(rows.weight, np.arange(len(rows.y)))
    return row_keys(levels.of(rows.columns), weight)


@dataclass(frozen=True, slots=True)
class KeysStep:
    """Deals keys out, so that equal ones meet, and keeps the smallest.

    Attributes
    ----------
    levels : how columns get one for every level
    n_rows : of each segment and arm
    share : of the rows that is wanted
    """

    levels: EveryLevel
    n_rows: Mapping[Stratum, int]
    share: float

    @property
    def n_parts(self) -> int:
        """Count the parts."""
        return sum(2 ** self._bits(code) for code in {code for code, _ in self.n_rows})

    def dealt(self, code: int, rows: Rows) -> Iterator[tuple[int, Float]]:
        """Yield parts by the first bits of the keys: both halves of each key, and the arm."""
        bits = self._bits(code)
        keys = keys_of(rows, self.levels)
        packed = np.column_stack([*_halves(keys), rows.treatment.astype(np.float64)])
        if bits == 0:
            yield 0, packed
            return
        part = (keys >> np.uint64(64 - bits)).astype(np.intp)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(2**bits + 1))
        for place in np.flatnonzero(np.diff(bounds)).tolist():
            yield place, packed[order[bounds[place] : bounds[place + 1]]]

    def _bits(self, code: int) -> int:
        n = sum(self.n_rows.get((code, arm), 0) for arm in (0, 1))
        return int(np.ceil(np.log2(max(n / _KEYS_AT_ONCE, 1.0))))

    def sums(self, place: Place, dealt: Float) -> Sums:
        """Keep the smallest keys of each arm, those of repeats numbered, with the keys of their rows."""
        out: Sums = {}
        for arm in (0, 1):
            n = self.n_rows.get((place[0], arm), 0)
            ordered = np.sort(_whole(dealt[dealt[:, 2] == arm]))
            taken = numbered(ordered)
            wanted = share_of(n, self.share)
            limit = (wanted + _SPARE_SDS * np.sqrt(wanted) + _SPARE) / max(n, 1)
            if limit < 1.0:
                small = taken <= np.uint64(int(limit * 2.0**64))
                ordered, taken = ordered[small], taken[small]
            out[f"listed_{arm}"] = np.column_stack([*_halves(taken), *_halves(ordered)])
        return out


@dataclass(frozen=True, slots=True)
class TakenStep:
    """Takes one row of each key wanted.

    Attributes
    ----------
    levels : how columns get one for every level
    wanted : uint64 array, ascending
    """

    levels: EveryLevel
    wanted: Keys

    def of(self, code: int, rows: Rows) -> tuple[Keys, Float] | None:
        """Take the first row of each key."""
        keys = keys_of(rows, self.levels)
        at = np.minimum(np.searchsorted(self.wanted, keys), len(self.wanted) - 1)
        found = np.flatnonzero(self.wanted[at] == keys)
        if len(found) == 0:
            return None
        known, first = np.unique(keys[found], return_index=True)
        return known, _values(rows.taken(found[first]), self.levels)

    def merged(
        self, code: int, one: tuple[Keys, Float], other: tuple[Keys, Float]
    ) -> tuple[Keys, Float]:
        """Put two results of one segment together."""
        known, first = np.unique(np.concatenate([one[0], other[0]]), return_index=True)
        return known, np.concatenate([one[1], other[1]])[first]


@dataclass(frozen=True, slots=True)
class AllRowsStep:
    """Takes all rows, of which there are few."""

    levels: EveryLevel

    def of(self, code: int, rows: Rows) -> list[tuple[npt.NDArray[np.int8], Float]]:
        """Take the rows of one batch."""
        return [(rows.treatment, _values(rows, self.levels))]

    def merged(
        self,
        code: int,
        one: list[tuple[npt.NDArray[np.int8], Float]],
        other: list[tuple[npt.NDArray[np.int8], Float]],
    ) -> list[tuple[npt.NDArray[np.int8], Float]]:
        """Put two results of one segment together."""
        one.extend(other)
        return one


def all_rows(runner: Runner, levels: EveryLevel, *, has_weights: bool) -> dict[Stratum, ChosenRows]:
    """Read all rows of each segment and arm."""
    out: dict[Stratum, ChosenRows] = {}
    for code, parts in runner.fold(AllRowsStep(levels)).items():
        arms = np.concatenate([arm for arm, _ in parts])
        values = np.concatenate([part for _, part in parts])
        for arm in (0, 1):
            out[code, arm] = _chosen(values[arms == arm], has_weights)
    return out


def chosen_keys(
    runner: Runner, levels: EveryLevel, moments: Mapping[int, Moments], share: float
) -> dict[Stratum, Float]:
    """Return keys of rows in each segment and arm, more than `share` wants: see `smallest`."""
    n_rows = {(code, arm): int(m.n[arm]) for code, m in moments.items() for arm in (0, 1)}
    found = runner.match(KeysStep(levels, n_rows, share)).sums
    return {(code, arm): sums[f"listed_{arm}"] for code, sums in found.items() for arm in (0, 1)}


def smallest(listed: Float, n_wanted: int) -> Keys:
    """Return the keys of the rows whose numbered keys are smallest, ascending."""
    if len(listed) < n_wanted:
        raise RuntimeError("scale.fit: fewer keys of rows than wanted; `source` may have changed.")
    order = np.argsort(_whole(listed[:, :2]), kind="stable")[:n_wanted]
    return np.sort(_whole(listed[order, 2:]))


class KeyedRows(NamedTuple):
    """Rows by the keys of their content.

    Attributes
    ----------
    keys : uint64 array, ascending
    values : float64 array, columns of the row of each key, the weight last where there is one
    has_weights : bool
    """

    keys: Keys
    values: Float
    has_weights: bool

    def of(self, wanted: Keys) -> ChosenRows:
        """Return a row of each key, as often as it is listed."""
        return _chosen(self.values[np.searchsorted(self.keys, wanted)], self.has_weights)


def keyed_rows(
    runner: Runner, levels: EveryLevel, wanted: Sequence[Keys], *, has_weights: bool
) -> KeyedRows:
    """Read a row of each key."""
    found = runner.fold(TakenStep(levels, np.unique(np.concatenate(wanted))))
    known, first = np.unique(
        np.concatenate([part for part, _ in found.values()]), return_index=True
    )
    values = np.concatenate([part for _, part in found.values()])
    return KeyedRows(known, values[first], has_weights)


def _values(rows: Rows, levels: EveryLevel) -> Float:
    """Return the columns of some rows, the weight last where there is one."""
    columns = levels.of(rows.columns)
    return columns if rows.weight is None else np.column_stack([columns, rows.weight])


def _chosen(values: Float, has_weights: bool) -> ChosenRows:
    if not has_weights:
        return ChosenRows(np.ascontiguousarray(values), None)
    return ChosenRows(np.ascontiguousarray(values[:, :-1]), values[:, -1].copy())


def _halves(keys: Keys) -> tuple[Float, Float]:
    """Return both halves of keys as numbers."""
    return (keys >> _HALF).astype(np.float64), (keys & _LOW).astype(np.float64)


def _whole(halves: Float) -> Keys:
    """Put halves together."""
    high, low = halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)
    return np.asarray((high << _HALF) | low, dtype=np.uint64)
