"""Columns with a few values far out, as two columns that such values cannot rule.

One value a thousand times the others' size spoils a slope for everyone. With z the distance from the
median in robust standard deviations (interquartile range / 1.349), a column with a value beyond 10
enters our own models as asinh(z) and z clipped to [-10, 10]: small values keep their line, large
ones are told apart by their order of magnitude.

A value that more than a quarter of the rows share (no income, no purchase) makes no spread: the
distance is then measured among the other rows, and a 0/1 column tells them from the common value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.columns import BLOCK

NOTE = "long tail: enters our own models as asinh(z) and z clipped at 10 robust SD"
# Distance from the median, in robust standard deviations, that makes a long tail.
FARTHEST = 10.0
_COMMON_SHARE = 0.25
_NORMAL_IQR = 1.349
# Fewer values beside the common one tell no spread.
_FEWEST = 20
# Bins of equal width that tell most columns without a long tail at a glance.
N_BINS = 256


@dataclass(frozen=True, slots=True)
class LongTail:
    """How far values of a column lie from its middle.

    Attributes
    ----------
    median, spread : of the values that are not common; the spread is a robust standard deviation
    common : values that many rows share, the most common first
    """

    median: float
    spread: float
    common: tuple[float, ...]

    def distance(self, values: Float) -> Float:
        """Return how far values lie from the median, in robust standard deviations; 0 for common ones."""
        others = np.ones(len(values), dtype=bool)
        for common in self.common:
            others &= values != common
        return np.where(others, (values - self.median) / self.spread, 0.0)

    def columns(self, values: Float) -> Float:
        """Return the two columns, or three, that stand for one."""
        z = self.distance(values)
        both = [np.arcsinh(z), np.clip(z, -FARTHEST, FARTHEST)]
        if self.common:
            both.append((values != self.common[0]).astype(np.float64))
        return np.column_stack(both)


def tamed_columns(values: Float) -> Float | None:
    """Return the columns that stand for one with a long tail; None for a column without.

    Parameters
    ----------
    values : float64 array of shape (n_rows,)

    Returns
    -------
    float64 array of shape (n_rows, 2), or (n_rows, 3) with a common value; None
        ``asinh(z)``, ``clip(z, -10, 10)``, both 0 at a common value, and 1 where the value is another.
    """
    tail = long_tail(values)
    return None if tail is None else tail.columns(values)


def long_tail(values: Float) -> LongTail | None:
    """Measure a column with a value far out; None for a column without."""
    if not np.isfinite(values).all() or _is_plainly_short(values):
        return None
    others, common = np.ones(len(values), dtype=bool), _common_value(values)
    found = []
    while common is not None:
        found.append(common)
        others &= values != common
        if others.sum() < _FEWEST:
            return None
        common = _common_value(values[others])
    low, median, high = np.quantile(values[others], (0.25, 0.5, 0.75)).tolist()
    spread = (high - low) / _NORMAL_IQR
    if spread <= 0:
        return None
    tail = LongTail(median, spread, tuple(found))
    return tail if np.abs(tail.distance(values)).max() > FARTHEST else None


def _is_plainly_short(values: Float) -> bool:
    """Tell whether counts in bins already show that no value is common and none far from the median.

    A bin holds every row of a common value, and bounds the quartiles from both sides: a column that
    passes would pass the exact test, which sorts.
    """
    low, high = values.min(), values.max()
    width = (high - low) / N_BINS
    if not (0 < width < np.inf):
        return False
    return short_by_counts(_count_in_bins(values, float(low), float(width)), len(values))


def short_by_counts(counts: npt.NDArray[np.int64], n_rows: int) -> bool:
    """Tell from counts in bins of equal width, from the smallest to the largest value, what they show."""
    if counts.max() > _COMMON_SHARE * n_rows:
        return False
    # numpy's quantiles lie between two neighbouring ranks; one more bin is left for rounding
    ranks = [np.ceil(0.25 * (n_rows - 1)), np.floor(0.75 * (n_rows - 1))]
    half = [np.floor(0.5 * (n_rows - 1)), np.ceil(0.5 * (n_rows - 1))]
    lower, upper, below, above = np.searchsorted(np.cumsum(counts), [*ranks, *half], side="right")
    spread = (upper - lower - 2) / _NORMAL_IQR
    farthest = max(N_BINS - below + 1, above + 2)
    return bool(farthest < FARTHEST * spread)


def _count_in_bins(values: Float, low: float, width: float) -> npt.NDArray[np.int64]:
    """Count the values in bins of equal width from the smallest value on."""
    counts = np.zeros(N_BINS, np.int64)
    for begin in range(0, len(values), BLOCK):
        place = ((values[begin : begin + BLOCK] - low) / width).astype(np.intp)
        counts += np.bincount(np.minimum(place, N_BINS - 1), minlength=N_BINS)
    return counts


def _common_value(values: Float) -> float | None:
    """Return a value that more than a quarter of the rows share: it fills one of four ranks."""
    n = len(values)
    ranks = [k * n // 8 for k in (1, 3, 5, 7)]
    for value in np.partition(values, ranks)[ranks].tolist():
        if np.count_nonzero(values == value) > _COMMON_SHARE * n:
            return float(value)
    return None
