"""The numbers of an overlap plot: bins, and the bars of both arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate._inputs.segments import SegmentCodes

_MOST_BINS = 40


@dataclass(frozen=True, slots=True)
class ArmBars:
    """The histogram of one arm in one segment.

    Attributes
    ----------
    share : share of the arm (of its weight) in each bin
    unmatched : the part of it that looked for a match in vain; 0 where nothing is known of matches
    n : rows
    n_outside : rows whose propensity no row of the other arm reaches, below or above
    reasons : rows by why they found no match
    """

    share: Float
    unmatched: Float
    n: int
    n_outside: int
    reasons: dict[str, int]


def bin_edges(values: Float, n_rows_smallest: int) -> Float:
    """Cut the range of the values into equal bins, fewer where there are few rows."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return np.array([low - 0.01, high + 0.01])
    n_bins = int(np.clip(2.0 * n_rows_smallest ** (1 / 3), 8, _MOST_BINS))
    return np.linspace(low, high, n_bins + 1)


def one_segment(n_rows: int) -> SegmentCodes:
    """Put all rows into one segment."""
    return SegmentCodes(np.zeros(n_rows, dtype=np.intp), np.array(["all"], dtype=object), None)


def panel_bars(
    score: Float, is_treated: Bool, weight: Float | None, reason: Any, edges: Float
) -> tuple[ArmBars, ArmBars]:
    """Count treated and control rows of one segment into bins."""
    arms = [is_treated, ~is_treated]
    spans = [(score[arm].min(), score[arm].max()) if arm.any() else None for arm in arms]
    first, second = (
        _arm_bars(
            score[arm],
            None if weight is None else weight[arm],
            None if reason is None else reason[arm],
            other,
            edges,
        )
        for arm, other in zip(arms, spans[::-1], strict=True)
    )
    return first, second


def _arm_bars(
    score: Float, weight: Any, reason: Any, other: tuple[float, float] | None, edges: Float
) -> ArmBars:
    counts = np.histogram(score, edges, weights=weight)[0].astype(np.float64)
    total = counts.sum()
    scale = 1.0 / total if total > 0 else 0.0
    unmatched, reasons = np.zeros(len(counts)), {}
    if reason is not None:
        is_left = reason != ""
        left = None if weight is None else weight[is_left]
        unmatched = np.histogram(score[is_left], edges, weights=left)[0] * scale
        found, n_rows = np.unique(reason[is_left], return_counts=True)
        reasons = dict(zip(found.tolist(), n_rows.tolist(), strict=True))
    outside = len(score) if other is None else int(((score < other[0]) | (score > other[1])).sum())
    return ArmBars(counts * scale, unmatched, len(score), outside, reasons)
