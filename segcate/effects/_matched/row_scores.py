"""Row scores: what one unit of a row's weight adds to the error of the estimate.

A focal row adds ``f_i s_i`` and a donor ``K_j s_j``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float
from segcate._kernels import kernel
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
            r = adjusted.for_focal_arm(arm)
            _add_deviations(
                r, view.own, view.uses, found.tau, view.is_treated, arm, found.effect, view.total,
                focal, donor,
            )  # fmt: skip
    return RowScores(focal, donor, 2)


@kernel
def _add_deviations(r, own, uses, tau, is_treated, arm, effect, total, focal, donor):  # type: ignore[no-untyped-def]
    """Add the deviations of the focal rows of one arm and of their donors, over the total weight."""
    sign = 1.0 if arm == 1 else -1.0
    mass, mean, arm_effect, used, used_mean = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(r)):
        if is_treated[i] == (arm == 1):
            if own[i] > 0:
                mass += own[i]
                mean += own[i] * r[i]
                arm_effect += own[i] * tau[i]
        else:
            used += uses[i]
            used_mean += uses[i] * r[i]
    if mass == 0.0:
        return
    mean, arm_effect, used_mean = mean / mass, arm_effect / mass, used_mean / used
    for i in range(len(r)):
        if is_treated[i] == (arm == 1):
            if own[i] > 0:
                focal[i] = (sign * (r[i] - mean) + arm_effect - effect) / total
        elif uses[i] > 0:
            donor[i] = -sign * (r[i] - used_mean) / total


def unit_scores(view: SegmentView, scores: RowScores) -> Float:
    """Return what each position adds to the error of the estimate, as a focal row and as a donor."""
    return view.own * scores.focal + view.uses * scores.donor
