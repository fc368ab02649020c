"""From the rows of all segments to their effects by a curved regression, with weights of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._nuisance.curves import Curves
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.imbalance import imbalance_left, imbalance_notes
from segcate.effects._curved.reweighted import Reweighted, reweighted
from segcate.effects._curved.row_scores import Weighted
from segcate.effects._curved.weighted_effects import WeightedEffects, weighted_effects
from segcate.effects._curved.words import donor_note
from segcate.effects._table.segment_estimate import (
    FEWEST_EVENTS,
    SegmentEstimate,
    VarianceEstimate,
    group_variance,
    grouped_rows,
    rare_events,
    summed_by_group,
    with_effect,
)
from segcate.effects._thin_segments import too_few_rows
from segcate.effects._unmatched.rows import SegmentRows

__all__ = ["CurvedRows", "curved_estimates", "thin_or_counted"]


@dataclass(frozen=True, slots=True)
class CurvedRows:
    """Segments with the curves and the weights that their effects are made with.

    Attributes
    ----------
    segments : rows of each segment; a status says why there is no estimate
    curves : of all rows
    names : of the columns that the curves are made of, where the weights are to balance them; None
        for equal weights, which leave it to the regression
    uses : float64 array of shape (n_rows,), weight of each row as a donor
    other_uses : float64 array of shape (n_rows,), for second estimates
    other_method : what gave them, in words
    estimand : "att", "atc" or "ate"
    inference : "population" or "sample"
    """

    segments: Sequence[SegmentRows]
    curves: Curves
    names: Sequence[str] | None
    uses: Float
    other_uses: Float
    other_method: str
    estimand: str
    inference: str


def thin_or_counted(part: SegmentRows, fewest: int) -> SegmentRows:
    """Give a segment with too few rows in an arm a status that says so."""
    n_treated = int(part.is_treated.sum())
    why = part.counted.status or too_few_rows(n_treated, len(part.rows) - n_treated, fewest)
    return replace(part, counted=replace(part.counted, status=why)) if why else part


def curved_estimates(
    rows: CurvedRows, data: EffectData
) -> tuple[list[SegmentEstimate], Weighted, Reweighted]:
    """Estimate all segments together, and a second time with other weights."""
    own = np.zeros(data.n_rows)
    for part in rows.segments:
        own[part.rows] = part.own
    comparison = Comparison(
        rows_of=[part.rows for part in rows.segments],
        y=data.y,
        is_treated=data.treatment == 1,
        own=own,
        uses=rows.uses,
        weight=data.sample_weight,
        estimand=rows.estimand,
    )
    found = weighted_effects(rows.curves, comparison, inference=rows.inference)
    left = [""] * len(rows.segments)
    if rows.names is not None:
        left = imbalance_notes(imbalance_left(rows.curves, comparison, found), rows.names)
    estimates = [
        _estimate(part, code, rows.curves, comparison, found, data, left[code])
        for code, part in enumerate(rows.segments)
    ]
    second = reweighted(
        rows.curves, comparison, found, rows.other_uses, rows.other_method, data.groups
    )
    return estimates, Weighted(rows.curves, comparison, found), second


def _estimate(
    part: SegmentRows,
    code: int,
    curves: Curves,
    comparison: Comparison,
    found: WeightedEffects,
    data: EffectData,
    left: str,
) -> SegmentEstimate:
    covariances = found.covariance[code]
    if part.counted.status:
        return replace(part.counted, covariances=covariances)
    weight = found.exact_weights(comparison, part.rows)
    if data.groups is None:
        variance = VarianceEstimate(float(covariances[code]), "residual", float(found.df[code]))
    else:
        grouped = grouped_rows(data.groups[part.rows], part.is_treated)
        units = found.unit_scores(comparison, part.rows)
        sums = summed_by_group(grouped, units, part.is_treated, part.weight)
        variance = group_variance(grouped, sums, part.own, 1)
    n_treated = int(part.is_treated.sum())
    notes = [
        part.weight_note,
        part.note,
        donor_note(curves, found, code, (len(part.rows) - n_treated, n_treated)),
        left,
    ]
    rare = rare_events(part.y, part.is_treated, weight, 3 * FEWEST_EVENTS)
    controls = weight[~part.is_treated]
    return replace(
        with_effect(part.counted, float(found.effect[code]), variance, notes, part.y, rare),
        covariances=covariances,
        n_eff_controls=float(controls.sum() ** 2 / (controls @ controls)),
    )
