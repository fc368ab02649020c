"""What every method of this room finds out about one segment, before the segments are put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

OK = "ok"
# A 0/1 outcome with fewer events than this in an arm gives intervals that are not to be trusted.
FEWEST_EVENTS = 5
# Below this many groups clustered standard errors run low, even with Student's t.
FEWEST_GROUPS = 30
# A standard error below this share of the largest |y| is rounding, not spread.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class SegmentEstimate:
    """The estimate of one segment.

    Attributes
    ----------
    status : "ok", "ok: ..." with remarks, or the reason why there is no estimate
    effect, variance : NaN without an estimate
    n, n_treated, n_control : rows of the segment
    n_matched : focal rows with a match
    total : weight of the matched focal rows
    pooled_variance : what goes into the variance for everyone; a variance estimated as 0, which is
        no standard error of its own, counts as 0
    method : how the standard error was made
    group_sums : float64 array of shape (n_groups,) or None
        Scores summed by group, for covariances between segments.
    group_totals : float64 array of shape (n_groups,) or None
        Weight of the matched focal rows in each group.
    n_groups : groups that take part
    total_squares : sum of the squared focal weights
    n_smaller_focal : matched focal rows; for the ATE those of the arm that has fewer
    n_donors, max_uses, max_distance : distinct donors, the largest K, the widest matched set
    """

    status: str
    effect: float
    variance: float
    n: int
    n_treated: int
    n_control: int
    n_matched: int
    total: float
    method: str = ""
    group_sums: Float | None = None
    group_totals: Float | None = None
    n_groups: int = 0
    pooled_variance: float = float("nan")
    total_squares: float = 0.0
    n_smaller_focal: int = 0
    n_donors: int = 0
    max_uses: float = 0.0
    max_distance: float = float("nan")

    @property
    def is_estimated(self) -> bool:
        """Tell whether there is an effect."""
        return self.status.startswith(OK)
