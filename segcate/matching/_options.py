"""How to match: the parameters that nearest-neighbour matchers share, checked, and the estimand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.effect_data import DesignData
from segcate._inputs.parameters import check_count, check_flag, check_option, check_seed
from segcate.matching._calipers import check_caliper
from segcate.matching._greedy import ORDERS

FEWEST_NEIGHBORS = 3
# As many as rest a mean on enough rows, where there are no more than a few hundred donors.
WIDE_ENOUGH = 36


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """How to match, whatever the distance.

    Attributes
    ----------
    n_neighbors : int, or None for as many as `neighbors_for` says
    replacement, caliper, caliper_scale, order, common_support : as in the matchers
    priority : float64 array of shape (n_rows,), who chooses first with ``order="random"``
    estimand : "att", "atc" or "ate"
    tie_tolerance : how much farther than the last neighbour, in squared distance, a row may lie and
        still be tied with it; of a score in squared standard deviations
    """

    n_neighbors: int | None = 3
    replacement: bool = True
    caliper: float | None = None
    caliper_scale: str = "sd"
    order: str = "largest"
    common_support: str | None = None
    priority: npt.NDArray[np.float64] | None = None
    estimand: str = "att"
    tie_tolerance: float = 0.0


def is_auto(n_neighbors: Any) -> bool:
    """Tell whether the number of neighbours follows from the number of donors."""
    return isinstance(n_neighbors, str) and n_neighbors == "auto"


def neighbors_for(n_donors: float) -> int:
    """Return how many neighbours to take among so many donors: twice the root, more of few donors.

    A regression takes out what differs within a set, so that wide sets cost little bias; one row
    then serves less often, and the variance falls (Lin, Ding & Han 2023: the number is to grow).
    It is at least 36, or four fifths of fewer than 45 donors, and at least three. Twice the root of 25 to
    100 donors made intervals 1.18 times as wide as those of the regression alone; ten times the cube
    root of more than 400 left squares unlike between the arms in one segment of thirteen.
    """
    wide = max(2 * math.sqrt(n_donors), min(0.8 * n_donors, WIDE_ENOUGH))
    return max(FEWEST_NEIGHBORS, round(wide))


def check_neighbors(owner: str, matcher: Any) -> None:
    """Refuse what is no number of neighbours; "auto" is for one score and with replacement."""
    if not is_auto(matcher.n_neighbors):
        check_count(owner, "n_neighbors", matcher.n_neighbors, 1)
    elif not (matcher.estimates_score and matcher.replacement):
        raise ValueError(
            f"{owner}: n_neighbors='auto' is for matching on a propensity score with replacement. Pass a number."
        )


def check_matching_options(matcher: Any) -> None:
    """Refuse values that no matching can work with."""
    owner = type(matcher).__name__
    check_neighbors(owner, matcher)
    check_flag(owner, "replacement", matcher.replacement)
    check_option(owner, "order", matcher.order, ORDERS)
    check_caliper(owner, matcher.caliper, matcher.caliper_scale)


def matching_options(
    matcher: Any, data: DesignData, estimand: str, *, tie_tolerance: float = 0.0
) -> MatchingOptions:
    """Read a matcher's parameters; refuse what does not go together."""
    owner = type(matcher).__name__
    if not matcher.replacement:
        _refuse_without_replacement(owner, data, estimand)
    priority = None
    if not matcher.replacement and matcher.order == "random":
        priority = check_seed(owner, matcher.random_state).random_sample(data.n_rows)
    return MatchingOptions(
        n_neighbors=None if is_auto(matcher.n_neighbors) else int(matcher.n_neighbors),
        replacement=bool(matcher.replacement),
        caliper=matcher.caliper,
        caliper_scale=matcher.caliper_scale,
        order=matcher.order,
        common_support=getattr(matcher, "common_support", None),
        priority=priority,
        estimand=estimand,
        tie_tolerance=tie_tolerance,
    )


def _refuse_without_replacement(owner: str, data: DesignData, estimand: str) -> None:
    if data.sample_weight is not None:
        raise ValueError(
            f"{owner}: `sample_weight` needs `replacement=True`: without replacement each row "
            "stands for one, so weights have no meaning. Match with replacement, or leave the weights out."
        )
    if estimand == "ate":
        raise ValueError(
            f"{owner}: estimand='ate' needs `replacement=True`: without replacement the treated and the controls "
            "would compete for each other. Use 'att' or 'atc', or match with replacement."
        )


def describe_rules(matcher: Any) -> str:
    """Say whether rows serve more than once, who chooses first, and how wide the caliper is."""
    text = "with replacement"
    if not matcher.replacement:
        text = f"without replacement, order {matcher.order}"
    if matcher.caliper is not None:
        unit = f"SD of the {matcher.score_scale}" if matcher.caliper_scale == "sd" else "(raw)"
        text += f", caliper {matcher.caliper:g} {unit}"
    return text
