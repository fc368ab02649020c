"""Rows and arrays as bytes: what travels between the tasks of a cluster, many rows at a time.

Row by row a cluster spends more on carrying rows than on computing. Numbers that a float of four bytes holds
exactly travel as such, and come back as they were.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate.scale._rows import Reader, Rows, split_by_segment

# Numbers in a block, about.
_MOST_NUMBERS = 4_000_000


def pack(values: Float) -> tuple[Any, Any, Any]:
    """Part the columns of an array into those that floats of four bytes hold, and the others."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    is_short = (short == values).all(axis=0)
    return is_short, short[..., is_short], values[..., ~is_short]


def unpack(packed: tuple[Any, Any, Any]) -> Float:
    """Put the columns of an array together again."""
    is_short, short, long = packed
    out = np.empty((len(short), len(is_short)))
    out[:, is_short], out[:, ~is_short] = short, long
    return out


def to_bytes(found: Any) -> bytes:
    """Write what a task gives. Only tasks of the same fit read it."""
    return pickle.dumps(found, protocol=5)


def from_bytes(written: Any) -> Any:
    """Read what a task gave; an error that it met is raised here."""
    found = pickle.loads(written)
    if isinstance(found, Exception):
        raise found
    return found


def row_blocks(reader: Reader) -> Iterator[bytes]:
    """Read and encode rows, segment by segment within each block."""
    for rows in reader.rows():
        labels = list(reader.labels)
        size = max(_MOST_NUMBERS // (rows.columns.shape[1] + 4), 1)
        for begin in range(0, len(rows.y), size):
            block = [
                (labels[code], *_shortened(part))
                for code, part in split_by_segment(rows.taken(slice(begin, begin + size)))
            ]
            yield to_bytes(block)


def _shortened(rows: Rows) -> tuple[Any, Any, Any]:
    numbers = [rows.y] if rows.weight is None else [rows.y, rows.weight]
    return pack(rows.columns), pack(np.column_stack(numbers)), rows.treatment


@dataclass(slots=True)
class BlockReader(Reader):
    """Reads rows that `row_blocks` wrote."""

    def by_segment(self) -> Iterator[tuple[int, Rows]]:
        """Yield the rows of each segment in each block."""
        n, total = 0, 0.0
        for block in self.opened():
            for label, columns, numbers, treatment in from_bytes(block):
                y, *weight = unpack(numbers).T
                n, total = n + len(y), total + float(y.sum())
                code = self.labels.setdefault(label, len(self.labels))
                codes = np.full(len(y), code, dtype=np.intp)
                y = np.ascontiguousarray(y)
                kept = np.ascontiguousarray(weight[0]) if weight else None
                yield code, Rows(unpack(columns), y, treatment, kept, codes)
        self.check_same(n, total)
