"""Row scores: what one unit of a row's weight adds to the error of the estimate.

A focal row adds ``f_i s_i`` and a donor ``K_j s_j``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect
from segcate.effects._matched.view import SegmentView


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
        if view.is_focal_arm(arm):
            of_arm = _deviations(view, adjusted.for_focal_arm(arm), found, arm)
            focal, donor = focal + of_arm[0], donor + of_arm[1]
    return RowScores(focal, donor, 2)


def _deviations(view: SegmentView, r: Float, found: MatchedEffect, arm: int) -> tuple[Float, Float]:
    """Return the deviations of the focal rows of one arm and of their donors, over the total weight."""
    focal, donor = np.zeros(len(r)), np.zeros(len(r))
    rows = view.in_arm(arm) & (view.own > 0)
    if not rows.any():
        return focal, donor
    own, uses = view.own[rows], np.where(view.in_arm(arm), 0.0, view.uses)
    used, sign = uses > 0, 1.0 if arm == 1 else -1.0
    arm_effect = float(own @ found.tau[rows]) / own.sum()
    gap = r[rows] - float(own @ r[rows]) / own.sum()
    focal[rows] = (sign * gap + arm_effect - found.effect) / view.total
    donor[used] = -sign * (r[used] - float(uses @ r) / uses.sum()) / view.total
    return focal, donor


def unit_scores(view: SegmentView, scores: RowScores) -> Float:
    """Return what each position adds to the error of the estimate, as a focal row and as a donor."""
    return view.own * scores.focal + view.uses * scores.donor
