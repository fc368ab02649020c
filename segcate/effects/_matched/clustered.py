"""Standard errors from row scores, summed within what is dependent: pairs, pairs and rows, or groups.

Abadie & Spiess (2022), JASA 117:983-995, for matched pairs without replacement; Cameron, Gelbach &
Miller (2011), JBES 29:238-249, for two ways of clustering.
"""

from __future__ import annotations

import numpy as np

from segcate._statistics.sandwich import cluster_factor
from segcate.effects._matched.estimated_segment import EstimatedSegment
from segcate.effects._matched.row_scores import RowScores, unit_scores
from segcate.effects._matched.view import SegmentView
from segcate.effects._table.segment_estimate import (
    VarianceEstimate,
    group_variance,
    grouped_rows,
    summed_by_group,
)

__all__ = ["by_group", "by_pair", "by_pair_and_unit"]


def by_pair(segment: EstimatedSegment) -> VarianceEstimate:
    """Cluster by matched set."""
    return segment.variance(pair_variance(segment.view, segment.scores), "pair")


def by_pair_and_unit(segment: EstimatedSegment) -> VarianceEstimate:
    """Cluster by matched set and by row."""
    return segment.variance(pair_and_unit_variance(segment.view, segment.scores), "pair+unit")


def by_group(segment: EstimatedSegment) -> VarianceEstimate:
    """Cluster by the groups handed in; where few were treated whole each is left out in turn."""
    groups, view = segment.design.data.groups, segment.view
    if groups is None:
        raise ValueError("std_error='group' needs groups")
    is_regression = segment.adjusted is None
    at = segment.takes_part
    rows = grouped_rows(groups[view.rows[at]], view.is_treated[at])
    n_parameters = segment.scores.n_parameters if is_regression else 1
    remedy = ": try adjustment='bias'" if is_regression else ""
    sums = summed_by_group(rows, segment.units[at], view.is_treated[at], (view.own + view.uses)[at])
    return group_variance(rows, sums, view.own[at], n_parameters, remedy)


def pair_variance(view: SegmentView, scores: RowScores) -> float:
    """Sum the scores within each matched set, square, and add up (CR1)."""
    n_sets = int(np.count_nonzero(view.own))
    n_rows = n_sets + int(np.count_nonzero(view.uses))
    at = view.own > 0
    sets = view.own[at] * (scores.focal[at] + view.means_over_sets(scores.donor)[at])
    return float(sets @ sets) * float(cluster_factor(n_sets, n_rows, scores.n_parameters))


def pair_and_unit_variance(view: SegmentView, scores: RowScores) -> float:
    """Cluster by matched set and by row: the two one-way sums less that of single memberships."""
    at = view.own > 0
    sets = view.own[at] * (scores.focal[at] + view.means_over_sets(scores.donor)[at])
    units = unit_scores(view, scores)
    members = float((view.own * scores.focal) @ (view.own * scores.focal)) + float(
        view.squared_uses @ scores.donor**2
    )
    n_sets, n_units = int(at.sum()), int(((view.own > 0) | (view.uses > 0)).sum())
    n_members = n_sets + int((view.stop - view.start)[at].sum())
    ways = ((n_sets, sets @ sets), (n_units, units @ units), (n_members, -members))
    return float(
        sum(cluster_factor(n, n_members, scores.n_parameters) * squares for n, squares in ways)
    )
