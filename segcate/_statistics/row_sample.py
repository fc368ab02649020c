"""A part of many rows that the content of the rows alone decides: no seed, and no order of rows.

What is held in memory and what is read piece by piece take the same rows by this rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._statistics.columns import BLOCK

Keys = npt.NDArray[np.uint64]

# Odd numbers whose bits look random: of SplitMix64 (Steele, Lea & Flood 2014), and of its finaliser.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def row_keys(columns: Float, weight: Float | None = None) -> Keys:
    """Give every row a number that looks random and that its values alone decide.

    Rows of the same values have the same key; 0 and -0 are one value, and so are all NaN. The order of
    the columns matters, that of the rows does not.

    Parameters
    ----------
    columns : float64 array of shape (n_rows, n_columns)
    weight : float64 array of shape (n_rows,), default=None
        One more value of each row.

    Returns
    -------
    uint64 array of shape (n_rows,)
    """
    keys = np.full(len(columns), _STEP)
    for begin in range(0, len(columns), BLOCK):
        part = slice(begin, begin + BLOCK)
        _stir(keys[part], columns[part])
        if weight is not None:
            _stir(keys[part], weight[part, None])
    return _mixed(keys)


def sampled(keys: Keys, most: int) -> Int:
    """Return the positions of the `most` rows with the smallest keys, ascending; all if they are fewer.

    The second, third and further row of one key take another key each, so that rows that occur often
    are taken as often as they occur. Samples of parts of the rows can be joined: the smallest keys of
    all are among the smallest of each part, as long as repeats are counted over the parts.
    """
    if len(keys) <= most:
        return np.arange(len(keys))
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.flatnonzero(keys <= ordered[most - 1]) if most else np.arange(0)
    order = np.argsort(keys, kind="stable")
    return np.sort(order[np.argsort(numbered(ordered), kind="stable")[:most]])


def numbered(ordered: Keys) -> Keys:
    """Give the second, third and further row of one key another key each; keys come ascending."""
    is_repeat = np.append(False, ordered[1:] == ordered[:-1])
    first = np.maximum.accumulate(np.where(is_repeat, 0, np.arange(len(ordered))))
    repeat = (np.arange(len(ordered)) - first).astype(np.uint64)
    return np.where(is_repeat, _mixed(ordered + _STEP * repeat), ordered)


def sampled_in_strata(keys: Keys, strata: Sequence[Int], most: int) -> list[Int]:
    """Take the same share of each stratum, `most` rows of all or a few more; they stand by their keys.

    The order of the rows then changes no bit of what is made of the sample.

    Parameters
    ----------
    keys : uint64 array of shape (n_rows,)
    strata : rows of each
    most : int
    """
    share = most / max(sum(len(rows) for rows in strata), 1)
    out = []
    for rows in strata:
        part = rows[sampled(keys[rows], share_of(len(rows), share))]
        out.append(part[np.argsort(keys[part], kind="stable")])
    return out


def share_of(n_rows: int, share: float) -> int:
    """Return how many rows of a stratum a share comes to."""
    return min(int(np.ceil(share * n_rows)), n_rows)


def rounded_weight(weight: Float | None, rows: Int) -> Float | None:
    """Return weights of sampled rows to 7 digits: all that weights of another order of summing share."""
    if weight is None:
        return None
    return np.asarray(weight[rows].astype(np.float32), dtype=np.float64)


def _stir(keys: Keys, columns: Float) -> None:
    """Stir the values of each row into its key, column by column."""
    values = np.ascontiguousarray(columns.T) + 0.0
    values[np.isnan(values)] = np.nan
    for bits in values.view(np.uint64):
        keys ^= bits
        keys *= _FIRST
        keys ^= keys >> _HALF


def _mixed(keys: Keys) -> Keys:
    """Spread every bit over all others."""
    keys = (keys ^ (keys >> _SHIFTS[0])) * _FIRST
    keys = (keys ^ (keys >> _SHIFTS[1])) * _SECOND
    return np.asarray(keys ^ (keys >> _SHIFTS[2]), dtype=np.uint64)
