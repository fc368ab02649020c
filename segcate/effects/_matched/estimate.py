"""From a design and an outcome to one estimate a segment: the numbers behind `SegmentMatching`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.jobs import in_threads
from segcate.effects._curved.words import describe_curves
from segcate.effects._matched.adjustment import Adjusted, adjust, matched_effect
from segcate.effects._matched.curved import (
    CurvedDesign,
    adjusted_by_curves,
    curved_design,
    curved_note,
)
from segcate.effects._matched.estimated_segment import (
    EstimatedSegment,
    EstimateOptions,
    is_curved,
)
from segcate.effects._matched.g_computation import g_computation
from segcate.effects._matched.standard_errors import STANDARD_ERRORS
from segcate.effects._matched.view import SegmentView, segment_view
from segcate.effects._table.segment_estimate import (
    SegmentEstimate,
    level_notes,
    rare_events,
    with_effect,
)
from segcate.effects._table.summary import describe_adjustment
from segcate.effects._thin_segments import FEWEST_DONORS, too_few_rows
from segcate.matching._calipers import RowStatus
from segcate.matching._design import Design
from segcate.matching._nearest import SharedWindows, shared_windows
from segcate.matching._shrunken_score import Blocks, split_blocks


def estimate_segments(
    design: Design, y: Float, options: EstimateOptions, n_jobs: int | None
) -> tuple[list[SegmentEstimate], str, CurvedDesign | None]:
    """Estimate every segment on its own, and describe the adjustment.

    A curved adjustment is one regression of all segments, made first; it comes last.

    Segments run in threads where `n_jobs` asks for several: the kernels let go of Python's lock, and
    nothing is copied.
    """
    curved = None
    if is_curved(options.adjustment):
        curved = curved_design(design, y, options.estimand, options.inference)
    shared = shared_windows(design.sample)
    codes = range(design.data.segment.n_segments)
    parts = ((design, y, code, options, curved, shared) for code in codes)
    estimates = in_threads(_estimate_segment, parts, n_jobs)
    if curved is None:
        return estimates, describe_adjustment(options.adjustment), None
    return estimates, describe_curves(curved.curves, curved.found), curved


def _estimate_segment(
    design: Design,
    y: Float,
    code: int,
    options: EstimateOptions,
    curved: CurvedDesign | None,
    shared: SharedWindows | None,
) -> SegmentEstimate:
    view = segment_view(design, y, code, options.estimand, shared)
    empty = _without_estimate(design, view, options.fewest)
    if empty.status:
        return empty if curved is None else replace(empty, covariances=curved.covariances(code))
    segment = _with_effect(design, view, options, curved)
    variance = STANDARD_ERRORS[options.std_error].variance(segment)
    used = np.flatnonzero(segment.takes_part)
    notes = [
        view.weight_note,
        "" if design.support.sparse[code].any() else design.notes[code],
        segment.adjusted.note if segment.adjusted else "",
        "" if curved is None else curved_note(view, curved),
        *level_notes(design.support, code, _treatment_of_levels(design, options)),
    ]
    weight = segment.weights[used]
    rare = rare_events(view.y[used], view.is_treated[used], weight, segment.fewest_events)
    if options.as_published:
        rare = replace(rare, variance=0.0)
    found = with_effect(empty, segment.found.effect, variance, notes, view.y, rare)
    return replace(
        found,
        total_squares=float(view.own @ view.own),
        n_eff_controls=segment.n_eff_controls,
        covariances=None if curved is None else curved.covariances(code),
    )


def _with_effect(
    design: Design, view: SegmentView, options: EstimateOptions, curved: CurvedDesign | None
) -> EstimatedSegment:
    """Estimate the effect, by g-computation or from adjusted outcomes."""
    if curved is not None:
        adjusted = adjusted_by_curves(view, curved)
        found = matched_effect(view, adjusted)
        return EstimatedSegment(design, view, found, options, adjusted, None, curved)
    if isinstance(options.adjustment, str) and options.adjustment == "linear":
        found, scores = g_computation(view, design.encoded.values, options.inference)
        return EstimatedSegment(design, view, found, options, None, scores)
    adjusted = _adjust(design, view, options.adjustment)
    return EstimatedSegment(design, view, matched_effect(view, adjusted), options, adjusted, None)


def _treatment_of_levels(design: Design, options: EstimateOptions) -> str:
    """Say whether sparse levels are adjusted for, or shrunk by our score or bias regression."""
    if is_curved(options.adjustment):
        return "each adjusted for by itself"
    is_bias = isinstance(options.adjustment, str) and options.adjustment == "bias"
    is_ours = design.propensity is not None and design.propensity.is_ours
    return "effects shrunk" if is_bias or is_ours else ""


def _adjust(design: Design, view: SegmentView, adjustment: Any) -> Adjusted:
    """Adjust by our own columns, or by the covariates as they came for a regressor handed in."""
    if adjustment is None or not isinstance(adjustment, str):
        return adjust(view, design.encoded.values, adjustment)
    columns = design.columns
    return adjust(
        view,
        columns.values,
        adjustment,
        _blocks(design, view),
        is_bounded=bool(columns.long_tails),
    )


def _blocks(design: Design, view: SegmentView) -> Blocks | None:
    """Return the segment's numbers and levels where a category is sparse in it, else None."""
    sparse = design.support.sparse[view.code]
    return split_blocks(design.columns, view.rows, sparse.tolist()) if sparse.any() else None


def _matched_focal(view: SegmentView) -> list[int]:
    """Count the matched rows of every focal arm."""
    return [
        int(np.count_nonzero((view.own > 0) & view.in_arm(arm)))
        for arm in (0, 1)
        if view.is_focal_arm(arm)
    ]


def _without_estimate(design: Design, view: SegmentView, fewest: int) -> SegmentEstimate:
    """Count the segment's rows and say why it has no estimate; an empty status means it has one."""
    n_control, n_treated = (int(count) for count in design.counts[view.code])
    n = n_control + n_treated
    n_matched = int((view.own > 0).sum())
    found = SegmentEstimate("", np.nan, np.nan, n, n_treated, n_control, n_matched, view.total)
    given = design.data.given
    if n_treated in (0, n) and given is not None and given.had_both_arms[view.code]:
        return replace(found, status="weights are zero")
    if n_treated == 0:
        return replace(found, status="no treated rows")
    if n_treated == n:
        return replace(found, status="no control rows")
    refusal = design.support.refusal(view.code, design.data.segment.codes)
    if refusal:
        return replace(found, status=refusal)
    if n_matched == 0:
        codes = design.sample.status[design.data.segment.codes == view.code]
        why = {
            RowStatus.CALIPER: "caliper took all matches",
            RowStatus.OUTSIDE_SUPPORT: "no overlap of scores",
            RowStatus.NO_DONOR: "no rows of both arms in any cell of the exact columns",
        }
        seen = [code for code in why if (codes == code).any()]
        return replace(found, status=why[seen[0]] if seen else "no matches")
    if _is_disjoint(view):
        return replace(found, status="no overlap of scores")
    n_donors = int(np.count_nonzero(view.uses))
    thin = too_thin(min(_matched_focal(view)), n_donors, n_treated, n_control, fewest)
    return replace(found, status=thin) if thin else found


def too_thin(n_matched: int, n_donors: int, n_treated: int, n_control: int, fewest: int) -> str:
    """Say so where the matches rest on too few rows; empty where they do not."""
    if min(n_matched, n_donors) >= 2:
        thin = too_few_rows(n_treated, n_control, fewest)
        if thin:
            return thin
    if n_matched < fewest:
        return "too few matched rows"
    return "too few distinct matches" if n_donors < min(fewest, FEWEST_DONORS) else ""


def _is_disjoint(view: SegmentView) -> bool:
    """Tell whether all scores of one arm lie above all of the other; never so without a score."""
    if len(view.score) == 0:
        return False
    treated, control = view.score[view.is_treated], view.score[~view.is_treated]
    return bool(treated.min() > control.max() or control.min() > treated.max())
