"""Columns as curves take them: one for every level of a category, two or three for a long tail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import EncodedColumns
from segcate._inputs.kinds import with_note
from segcate.matching._long_tails import NOTE, LongTail

# A category of fewer levels has a column already that says all.
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class EveryLevel:
    """Gives the first levels of categories of three and more a column, and long tails two or three.

    Attributes
    ----------
    places : of the other levels of each category among the encoded columns: first, and after the last
    kind : intp array, category that each column is a level of, -1 for none
    names : of all columns
    tails : encoded columns that become two or three, ascending
    """

    places: tuple[tuple[int, int], ...]
    kind: Int
    names: tuple[str, ...]
    tails: tuple[tuple[int, LongTail], ...] = ()

    @property
    def n_encoded(self) -> int:
        """Count the encoded columns."""
        return len(self.names) - len(self.places) - sum(_width(tail) - 1 for _, tail in self.tails)

    def of(self, columns: Float) -> Float:
        """Make the columns of encoded ones."""
        if not self.places and not self.tails:
            return columns
        parts, at = [], 0
        for j, tail in self.tails:
            parts += [columns[:, at:j], tail.columns(np.ascontiguousarray(columns[:, j]))]
            at = j + 1
        first = [1.0 - columns[:, a:b].sum(axis=1) for a, b in self.places]
        return np.ascontiguousarray(np.column_stack([*parts, columns[:, at:], *first]))

    def matrix(self) -> Float:
        """Return the map from encoded columns to all of them, but for constants; 0 for long tails."""
        n_columns = self.n_encoded
        widths = np.ones(n_columns, dtype=np.intp)
        for j, tail in self.tails:
            widths[j] = _width(tail)
        out = np.repeat(np.eye(n_columns), widths, axis=0)
        out[:, [j for j, _ in self.tails]] = 0.0
        first = np.zeros((len(self.places), n_columns))
        for row, (a, b) in zip(first, self.places, strict=True):
            row[a:b] = -1.0
        return np.vstack([out, first])


def _width(tail: LongTail) -> int:
    return 3 if tail.common else 2


def every_level(encoded: EncodedColumns, tails: Mapping[int, LongTail]) -> EveryLevel:
    """Find the categories among encoded columns, and make room for long tails."""
    kind = np.full(len(encoded.names), -1, dtype=np.intp)
    places, of_first, first_names = [], [], []
    for j in encoded.categories:
        at, record = encoded.columns_of(j), encoded.kinds[j]
        kind[at] = j
        if len(record.levels) >= _FEWEST:
            places.append((at.start, at.stop))
            first_names.append(f"{record.name}={record.levels[0]}")
            of_first.append(j)
    widths = [_width(tails[j]) if j in tails else 1 for j in range(len(kind))]
    names = np.repeat(np.array(encoded.names, dtype=object), widths).tolist()
    return EveryLevel(
        tuple(places),
        np.append(np.repeat(kind, widths), of_first).astype(np.intp),
        (*names, *first_names),
        tuple(sorted(tails.items())),
    )


def with_tails_noted(encoded: EncodedColumns, tails: Mapping[int, LongTail]) -> EncodedColumns:
    """Write long tails into the notes of the columns' records."""
    positions = {int(encoded.source[j]) for j in tails}
    kinds = [
        with_note(kind, NOTE) if kind.position in positions else kind for kind in encoded.kinds
    ]
    return replace(encoded, kinds=tuple(kinds))
