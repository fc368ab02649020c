"""Segments with too few rows in an arm: what an estimate needs, and merging before there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.encoding import encode_columns
from segcate._inputs.listing import listed
from segcate._inputs.segments import SegmentCodes
from segcate.effects._table.segment_estimate import SegmentEstimate

# Rows of each arm that an estimate needs. In simulation (400 segments a cell, one or three
# covariates, normal and exponential errors) the intervals of all three estimators covered 93 to
# 99 % from 5 rows an arm on, with the degrees of freedom of the smaller arm; below, intervals of
# matching are wider than 5 standard deviations of y, and one segment in ten has none.
FEWEST_PER_ARM = 5
# Different donors that a matched estimate needs: 3 of 5 or 6 donors covered 82 to 90 %, 4 94 %.
FEWEST_DONORS = 4


@dataclass(frozen=True, slots=True)
class MergedSegments:
    """Segments that were merged into others because an arm had too few rows.

    Attributes
    ----------
    into : label of each merged segment -> label of the segment that it became part of
    remarks : label of a receiving segment -> what became part of it, and why
    """

    into: dict[Any, Any]
    remarks: dict[Any, str]

    def tell(
        self, labels: npt.NDArray[Any], estimates: list[SegmentEstimate]
    ) -> list[SegmentEstimate]:
        """Add to the status of each receiving segment what was merged into it."""
        return [
            with_remark(estimate, self.remarks[label]) if label in self.remarks else estimate
            for label, estimate in zip(labels.tolist(), estimates, strict=True)
        ]


def too_few_rows(n_treated: int, n_control: int, least: int, what_for: str = "") -> str:
    """Say so where an arm has fewer rows than an estimate needs; empty where both have enough."""
    if min(n_treated, n_control) >= least:
        return ""
    return (
        f"too few rows ({n_treated} treated, {n_control} control; at least {least} of each"
        f"{what_for})"
    )


def merge_thin(data: EffectData, least: int | None) -> tuple[EffectData, MergedSegments]:
    """Merge segments with fewer than `least` rows in an arm into their nearest neighbour.

    Nearest is the segment whose mean of the covariates (encoded as for the models, each divided by
    its standard deviation over all rows) is at the smallest Euclidean distance. The segment with the
    fewest rows in an arm goes first; the receiving one keeps its label. Rows of weight 0 do not
    count. The noise segment -1 receives none as long as there is another.
    """
    nothing = MergedSegments({}, {})
    labels = data.segment.labels.tolist()
    if least is None or len(labels) < 2:
        return data, nothing
    counts = _rows_by_arm(data)
    receives = np.array([label != -1 for label in labels], dtype=bool)
    from segcate.segmentation._merging import merge_small  # loads scikit-learn's clusterers

    owner = merge_small(counts, _scaled_means(data), least, receives)
    kept = np.flatnonzero(owner == np.arange(len(owner)))
    if len(kept) == len(owner):
        return data, nothing
    codes = np.searchsorted(kept, owner)[data.segment.codes].astype(np.intp)
    segment = SegmentCodes(codes, data.segment.labels[kept], data.segment.position)
    merged = {i: int(owner[i]) for i in range(len(owner)) if owner[i] != i}
    remarks = {
        labels[i]: _remark(labels, labels[i], [k for k, into in merged.items() if into == i],
                           counts, least)
        for i in sorted(set(merged.values()))
    }  # fmt: skip
    into = {labels[i]: labels[k] for i, k in merged.items()}
    return replace(data, segment=segment), MergedSegments(into, remarks)


def _rows_by_arm(data: EffectData) -> Int:
    """Count the controls and the treated of each segment; rows of weight 0 are not there."""
    n, weighs = data.segment.n_segments, slice(None)
    if data.sample_weight is not None:
        weighs = data.sample_weight > 0  # type: ignore[assignment]
    codes, treatment = data.segment.codes[weighs], data.treatment[weighs]
    return np.column_stack(
        [np.bincount(codes[treatment == arm], minlength=n) for arm in (0, 1)]
    ).astype(np.intp)


def _scaled_means(data: EffectData) -> Float:
    """Average the covariates of each segment, divided by their standard deviation over all rows.

    Values are summed in ascending order, so that the order of rows changes no bit. A missing value
    counts as the mean.
    """
    values = encode_columns(data.X, data.covariates).values
    codes, n = data.segment.codes, data.segment.n_segments
    size = np.bincount(codes, minlength=n)
    means = np.empty((n, values.shape[1]))
    for j, column in enumerate(values.T):
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        known = ordered[~np.isnan(ordered)]
        scale = (known.std() if len(known) else 0.0) or 1.0
        z = np.nan_to_num((ordered - (known.mean() if len(known) else 0.0)) / scale)
        means[:, j] = np.bincount(codes[order], z, n) / size
    return means


def _remark(labels: list[Any], owner: Any, merged: list[int], counts: Int, least: int) -> str:
    """Say which segments became part of `owner`, and which arm had too few rows."""
    is_thin = counts[merged] < least
    arm = {(False, True): "treated", (True, False): "controls"}
    found = {arm.get((bool(few[0]), bool(few[1])), "rows in an arm") for few in is_thin}
    what = found.pop() if len(found) == 1 else "rows in an arm"
    s = "" if len(merged) == 1 else "s"
    return (
        f"segment{s} {listed(labels[i] for i in merged)} merged into {owner!r} "
        f"(fewer than {least} {what})"
    )


def with_remark(estimate: SegmentEstimate, remark: str) -> SegmentEstimate:
    joint = ": " if estimate.status == "ok" else "; "
    return replace(estimate, status=f"{estimate.status}{joint}{remark}")
