"""The caliper: how wide it is, the one inclusive rule, and why a row is unmatched.

Two rows may be matched where their scores differ by at most the width of the segment: `<=`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_number, check_option
from segcate._kernels import kernel

Index = npt.NDArray[np.int32]


class RowStatus(IntEnum):
    """What became of a row; codes from NO_LEVEL on are categories, one each."""

    MATCHED = 0
    NOT_FOCAL = 1
    OUTSIDE_SUPPORT = 2
    NO_DONOR = 3
    CALIPER = 4
    EXHAUSTED = 5
    ZERO_WEIGHT = 6
    NO_LEVEL = 7


# In the order of the codes.
REASONS = (
    "matched",
    "not looking for a match",
    "outside common support",
    "no row of the other arm",
    "no row within the caliper",
    "rows of the other arm used up",
    "weight zero",
    "no donor in its level",
)


def check_caliper(owner: str, width: Any, scale: Any) -> None:
    """Refuse widths that are no number of at least 0, and unknown units."""
    check_option(owner, "caliper_scale", scale, ("sd", "raw"))
    check_number(
        owner, "caliper", width, least=0, optional=True,
        advice="It counts standard deviations of the score, or its own units with caliper_scale='raw'.",
    )  # fmt: skip


def caliper_widths(caliper: float | None, scale: str, deviation: Float) -> Float:
    """Return the width in each segment in units of the score; infinity for none.

    Parameters
    ----------
    caliper : in standard deviations of the score, or in its own units; None for no limit
    scale : "sd" or "raw"
    deviation : float64 array of shape (n_segments,), from `score_deviations`
    """
    if caliper is None:
        return np.full(len(deviation), np.inf)
    return np.asarray(float(caliper) * (deviation if scale == "sd" else np.ones(len(deviation))))


def score_deviations(
    score: Float,
    weight: Float | None,
    bounds: npt.NDArray[np.int64],
    cell_segment: npt.NDArray[np.intp],
    n_segments: int,
) -> Float:
    """Return the standard deviation (ddof 1) of the score over the rows of each segment that take part.

    Positions are sorted by cell; a weight counts as that many rows.
    """
    out = np.zeros(n_segments)
    for s in range(n_segments):
        cells = np.flatnonzero(cell_segment == s)
        if len(cells):
            part = slice(bounds[2 * cells[0]], bounds[2 * cells[-1] + 2])
            out[s] = _deviation(score[part], None if weight is None else weight[part])
    return out


def _deviation(score: Float, weight: Float | None) -> float:
    if weight is None:
        return float(score.std(ddof=1)) if len(score) > 1 else 0.0
    total = float(weight.sum())
    if total <= 1:
        return 0.0
    mean = weight @ score / total
    return float(np.sqrt(weight @ (score - mean) ** 2 / (total - 1)))


def is_within(one: Any, other: Any, width: Any) -> Any:
    """Tell whether two scores are no farther apart than the caliper: the one rule."""
    return abs(one - other) <= width


# The same for kernels.
is_within_kernel = kernel(is_within)


def say_why_unmatched(
    status: npt.NDArray[np.int8],
    order: Index,
    bounds: npt.NDArray[np.int64],
    start: Index,
    stop: Index,
    score: Float,
    sorted_score: Float,
    caliper: Float,
    replacement: bool,
    focal: tuple[bool, bool],
) -> None:
    """Write into `status` why focal positions have no match.

    Parameters
    ----------
    status : int8 array of shape (n_rows,), changed in place
    order, bounds, start, stop : as in `MatchedSample`
    score : float64 array of shape (n_positions,)
    sorted_score : the same, ascending within each slice of `bounds`
    caliper : float64 array of shape (n_cells,)
    replacement : bool
    focal : whether controls, and whether treated, look for matches
    """
    alone = np.flatnonzero(start == stop)
    piece = np.searchsorted(bounds, alone, side="right") - 1
    is_focal = np.array(focal)[piece % 2]
    alone, piece = alone[is_focal], piece[is_focal]
    donors = piece ^ 1  # the other arm of the cell
    status[order[alone]] = np.where(
        bounds[donors] == bounds[donors + 1], RowStatus.NO_DONOR, RowStatus.CALIPER
    )
    if replacement:
        return
    for place in np.unique(donors).tolist():
        at, scores = alone[donors == place], sorted_score[bounds[place] : bounds[place + 1]]
        if len(scores):
            near = np.searchsorted(scores, score[at])
            found = is_within(score[at], scores[np.maximum(near - 1, 0)], caliper[place // 2])
            last = np.minimum(near, len(scores) - 1)
            found |= is_within(score[at], scores[last], caliper[place // 2])
            status[order[at[found]]] = RowStatus.EXHAUSTED
