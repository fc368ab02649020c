"""Variances from row scores, summed within what is dependent: pairs, pairs and rows, or groups.

Abadie & Spiess (2022), JASA 117:983-995, for matched pairs without replacement; Cameron, Gelbach &
Miller (2011), JBES 29:238-249, for two ways of clustering. A row score is what one unit of a
row's weight adds to the error of the estimate, so that a focal row adds ``f_i s_i`` and a donor
``K_j s_j``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate.effects._adjustment import Adjusted, MatchedEffect
from segcate.effects._segment_view import SegmentView

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowScores:
    """What each position adds to the error of the estimate, a unit of its weight.

    Attributes
    ----------
    focal, donor : float64 arrays of shape (n_positions,)
        As a focal row, and as a donor.
    n_parameters : int
        Parameters of the regression behind the estimate.
    """

    focal: Float
    donor: Float
    n_parameters: int


def difference_scores(view: SegmentView, adjusted: Adjusted, found: MatchedEffect) -> RowScores:
    """Scores of a difference in matched means: deviations from the mean of the focal or donor arm."""
    focal = np.zeros(len(view.y))
    donor = np.zeros(len(view.y))
    for arm in (0, 1):
        if not view.is_focal_arm(arm):
            continue
        r = adjusted.for_focal_arm(arm)
        sign = 1.0 if arm == 1 else -1.0
        at = (view.own > 0) & view.in_arm(arm)
        used = (view.uses > 0) & view.in_arm(1 - arm)
        share_effect = float(view.own[at] @ found.tau[at] / view.own[at].sum()) if at.any() else 0.0
        centre = np.average(r[at], weights=view.own[at]) if at.any() else 0.0
        focal[at] = sign * (r[at] - centre) + (share_effect - found.effect)
        if used.any():
            donor[used] = -sign * (r[used] - np.average(r[used], weights=view.uses[used]))
    return RowScores(focal / view.total, donor / view.total, 2)


def pair_variance(view: SegmentView, scores: RowScores) -> float:
    """Sum the scores within each matched set, square, and add up (HC1 factor)."""
    at = view.own > 0
    sums = view.own[at] * (scores.focal[at] + view.means_over_sets(scores.donor)[at])
    n_rows = int(at.sum() + (view.uses > 0).sum())
    n_sets = int(at.sum())
    return float(sums @ sums) * _one_way_factor(n_sets, n_rows, scores.n_parameters)


def pair_and_unit_variance(view: SegmentView, scores: RowScores) -> float:
    """Cluster by matched set and by row: the two one-way sums less that of single memberships."""
    at = view.own > 0
    sets = view.own[at] * (scores.focal[at] + view.means_over_sets(scores.donor)[at])
    units = view.own * scores.focal + view.uses * scores.donor
    members = float((view.own * scores.focal) @ (view.own * scores.focal)) + float(
        view.squared_uses @ scores.donor**2
    )
    n_sets, n_units = int(at.sum()), int(((view.own > 0) | (view.uses > 0)).sum())
    n_members = n_sets + int((view.stop - view.start)[at].sum())
    small = (n_members - 1) / max(n_members - scores.n_parameters, 1)
    return small * (
        float(sets @ sets) * n_sets / max(n_sets - 1, 1)
        + float(units @ units) * n_units / max(n_units - 1, 1)
        - members * n_members / max(n_members - 1, 1)
    )


def group_sums(
    view: SegmentView, scores: RowScores, groups: npt.NDArray[np.intp], n_groups: int
) -> tuple[Float, int]:
    """Sum the scores within each group; also count the groups that take part."""
    units = view.own * scores.focal + view.uses * scores.donor
    codes = groups[view.rows]
    takes_part = (view.own > 0) | (view.uses > 0)
    present = np.bincount(codes[takes_part], minlength=n_groups) > 0
    return np.bincount(codes, units, n_groups), int(present.sum())


def _one_way_factor(n_clusters: int, n_rows: int, n_parameters: int) -> float:
    """HC1: G / (G - 1) * (n - 1) / (n - k)."""
    if n_clusters < 2 or n_rows <= n_parameters:
        return float("nan")
    return n_clusters / (n_clusters - 1) * (n_rows - 1) / (n_rows - n_parameters)
