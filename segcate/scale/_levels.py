"""Columns with one for every level of a category, as curves take them: a penalty has no reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import EncodedColumns

# A category of fewer levels has a column already that says all.
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class EveryLevel:
    """Gives the first levels of categories of three and more a column.

    Attributes
    ----------
    places : of the other levels of each category among the encoded columns: first, and after the last
    kind : intp array, category that each column is a level of, -1 for none
    names : of all columns
    """

    places: tuple[tuple[int, int], ...]
    kind: Int
    names: tuple[str, ...]

    def of(self, columns: Float) -> Float:
        """Append the first levels to encoded columns."""
        if not self.places:
            return columns
        first = [1.0 - columns[:, a:b].sum(axis=1) for a, b in self.places]
        return np.ascontiguousarray(np.column_stack([columns, *first]))

    def matrix(self, n_columns: int) -> Float:
        """Return the map from encoded columns to all of them, but for the constants."""
        first = np.zeros((len(self.places), n_columns))
        for row, (a, b) in zip(first, self.places, strict=True):
            row[a:b] = -1.0
        return np.vstack([np.eye(n_columns), first])


def every_level(encoded: EncodedColumns) -> EveryLevel:
    """Find the categories among encoded columns."""
    kind = np.full(len(encoded.names), -1, dtype=np.intp)
    places, names, of_first = [], list(encoded.names), []
    for j in encoded.categories:
        at, record = encoded.columns_of(j), encoded.kinds[j]
        kind[at] = j
        if len(record.levels) >= _FEWEST:
            places.append((at.start, at.stop))
            names.append(f"{record.name}={record.levels[0]}")
            of_first.append(j)
    return EveryLevel(tuple(places), np.append(kind, of_first).astype(np.intp), tuple(names))
