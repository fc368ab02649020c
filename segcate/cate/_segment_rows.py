"""The rows of each segment, and why a segment has no model of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segcate._covariates.late_columns import deciding_column
from segcate._inputs import frames
from segcate._inputs.arrays import Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.segments import SegmentCodes
from segcate.cate._estimator import treated_arms


def without_segment_column(data: EffectData) -> EffectData:
    """Leave the segment column out of X; the segment of each row stays known."""
    return replace(
        data,
        X=frames.select_columns(data.X, data.covariates),
        segment=replace(data.segment, position=None),
    )


def rows_by_segment(segment: SegmentCodes) -> list[Int]:
    """List the row positions of each segment."""
    order = np.argsort(segment.codes, kind="stable")
    ends = np.cumsum(np.bincount(segment.codes, minlength=segment.n_segments))
    return list(np.split(order, ends[:-1]))


def count_rows(data: EffectData, part: Int) -> tuple[int, int, int]:
    """Count the rows of a segment, the treated ones and the controls."""
    n_treated = int((data.treatment[part] != 0).sum())
    return len(part), n_treated, len(part) - n_treated


def why_pooled(data: EffectData, part: Int, smallest: int) -> str:
    """Say why a segment can have no model of its own; empty if it can.

    Rows of weight 0 must have been left out. A column that decides the treatment is no reason where
    the chance of treatment is known.
    """
    if data.groups is not None and len(np.unique(data.groups[part])) < 2:
        return "fewer than 2 groups"
    if data.treatment.dtype.kind == "f":
        if len(part) < smallest:
            return f"{len(part)} rows, fewer than min_per_arm={smallest}"
        return "" if len(np.unique(data.treatment[part])) > 1 else "the same dose in all rows"
    n_arms = len(treated_arms(data.treatment)) + 1
    counts = np.bincount(data.treatment[part], minlength=n_arms)
    least = int(np.argmin(counts))
    if counts[least] < smallest:
        word = ("control", "treated")[least] if n_arms == 2 else f"in arm {least}"
        return f"{counts[least]} {word}, fewer than min_per_arm={smallest}"
    column = None
    if data.propensity is None:
        column = deciding_column(data, part)
    return "" if column is None else f"column {column!r} decides the treatment"


def fold_trains_every_arm(data: EffectData, part: Int, fold: Int) -> bool:
    """Tell whether a part keeps rows of every arm, and two groups, whichever fold is left out."""
    fewest = max(len(treated_arms(data.treatment)) + 1, 2)
    for k in range(int(fold.max()) + 1):
        train = part[fold[part] != k]
        if data.groups is not None and len(np.unique(data.groups[train])) < 2:
            return False
        if len(np.unique(data.treatment[train])) < fewest:
            return False
    return True
