"""Adjust matched outcomes for what differs within the matched sets.

Abadie & Imbens (2011), JBES 29:1-11: with mu_0 the regression of y on Z among the donors, the
matched outcome of row i is the mean over its set of ``y_j + mu_0(Z_i) - mu_0(Z_j)``. That is
plain matching on ``y - mu_0(Z)``, which is how it is computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from segcate._inputs.arrays import Float
from segcate._inputs.weights import effective_rows
from segcate._statistics.columns import independent_columns
from segcate._statistics.least_squares import centre_columns, least_squares
from segcate.effects._matched.level_regression import level_regression
from segcate.effects._matched.view import SegmentView
from segcate.matching._shrunken_score import Blocks

# The bias regression takes the covariates only where this many donors stand for each parameter.
DONORS_PER_PARAMETER = 10
# Without a score there is nothing else to adjust on: the regression of the whole arm makes do with these.
ROWS_PER_PARAMETER = 4


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Outcomes less the regression of the donor arm, one array for each focal arm.

    Attributes
    ----------
    residual : pair of float64 arrays of shape (n_positions,) or None
        ``y - mu(Z)`` with mu fitted for focal rows of arm 0 (mu_1) and of arm 1 (mu_0); None for an
        arm that is not focal.
    note : text for the segment's status, empty where there is nothing to say
    """

    residual: tuple[Float | None, Float | None]
    note: str

    def for_focal_arm(self, arm: int) -> Float:
        """Return the residuals used for focal rows of an arm."""
        values = self.residual[arm]
        if values is None:
            raise ValueError(f"arm {arm} is not focal")
        return values


def adjust(
    view: SegmentView,
    Z: Float,
    adjustment: Any,
    blocks: Blocks | None = None,
    *,
    is_bounded: bool = False,
) -> Adjusted:
    """Take the donor regression out of the outcomes.

    Parameters
    ----------
    view : the segment
    Z : float64 array of shape (n_rows, n_encoded)
        Covariates of all rows of X; only those of the segment are read.
    adjustment : None, "bias" or a regressor
    blocks : columns of the positions of `view`, default=None
        Given where a category is sparse: "bias" then shrinks the levels of categories, and clips
        numbers to the range of the donors.
    is_bounded : bool, default=False
        Whether "bias" clips numbers to the range of the donors used in any case.
    """
    residual: list[Float | None] = [None, None]
    note = ""
    for arm in (0, 1):
        if not view.is_focal_arm(arm):
            continue
        if adjustment is None:
            residual[arm] = view.y
        else:
            used = view.in_arm(1 - arm) & (view.uses > 0)
            if adjustment == "bias" and blocks is not None:
                mu, said = _level_means(view, blocks, view.in_arm(1 - arm))
            else:
                mu, said = _donor_regression(view, Z, used, adjustment, is_bounded)
            residual[arm] = view.y - mu
            note = note or said
    return Adjusted((residual[0], residual[1]), note)


def _donor_regression(
    view: SegmentView, Z: Float, used: npt.NDArray[np.bool_], adjustment: Any, is_bounded: bool
) -> tuple[Float, str]:
    """Fit y on Z among the donors, weighted by K, and predict it for the whole segment.

    Where the donors are too few for the covariates, "bias" takes the score alone; without a score,
    all rows of the donors' arm.
    """
    at = np.flatnonzero(used)
    if adjustment != "bias":
        model = clone(adjustment)
        model.fit(Z[view.rows[at]], view.y[at], sample_weight=view.uses[at])
        return np.asarray(model.predict(Z[view.rows]), dtype=np.float64), ""
    weight = view.uses
    columns, note = _affordable_columns(view, Z[view.rows], at)
    if columns is None and len(view.score) == 0:  # no score to fall back on
        at = np.flatnonzero(view.is_treated == view.is_treated[at[0]])
        weight = view.weight if len(view.weight) else np.ones(len(view.y))
        columns, note = _affordable_columns(view, Z[view.rows], at, is_whole_arm=True)
        note = note or f"bias adjusted by all {len(at)} rows of the donors' arm"
    if columns is None:
        return np.zeros(len(view.y)), note
    if is_bounded:
        columns = _inside_range(columns, at)
    design = np.column_stack([np.ones(len(at)), columns[at]])
    fit = least_squares(design, view.y[at], weight[at])
    return columns @ fit.coef[1:], note


def _level_means(
    view: SegmentView, blocks: Blocks, is_donor: npt.NDArray[np.bool_]
) -> tuple[Float, str]:
    """Fit y on numbers and shrunken levels in the donors' arm, and predict it inside its range.

    All rows of the arm count alike, used as a match or not: each level of a focal row has one.
    """
    at = np.flatnonzero(is_donor)
    is_level = blocks.block >= 0
    numbers, note = blocks.values[:, ~is_level], ""
    if numbers.shape[1]:
        found, note = _affordable_columns(view, numbers, at, is_whole_arm=True)
        if found is None:
            numbers, note = (
                np.empty((len(view.y), 0)),
                f"numbers not adjusted for ({len(at)} donors)",
            )
        else:
            numbers = found
    numbers = _inside_range(numbers, at)
    values = np.hstack([numbers, blocks.values[:, is_level]])
    block = np.append(np.full(numbers.shape[1], -1), blocks.block[is_level])
    weight = view.weight[at] if len(view.weight) else None
    coef = level_regression(values[at], block, view.y[at], weight)
    return values @ coef, note


def _inside_range(columns: Float, at: npt.NDArray[np.intp]) -> Float:
    """Clip every column to its range over some rows."""
    return np.clip(columns, columns[at].min(axis=0), columns[at].max(axis=0))


def _affordable_columns(
    view: SegmentView, Z: Float, at: npt.NDArray[np.intp], *, is_whole_arm: bool = False
) -> tuple[Float | None, str]:
    """Return the covariates of the view, or the score where donors are too few for them.

    Without a score, a whole arm does with fewer rows for each parameter.
    """
    makes_do = is_whole_arm and not len(view.score)
    needed = ROWS_PER_PARAMETER if makes_do else DONORS_PER_PARAMETER
    score = view.score[:, None] if len(view.score) else np.empty((len(view.y), 0))
    if Z.shape[1] == 0:
        return score, ""
    n_donors = float(len(at))
    if len(view.weight):
        n_donors = effective_rows(view.weight[at], as_counts=view.has_counts)
    found, note = affordable(
        len(at), n_donors, Z.shape[1], lambda: int(independent_columns(Z[at]).sum()), needed,
        has_score=bool(len(view.score)),
    )  # fmt: skip
    if found == "columns":
        return centre_columns(Z), note
    return (score if found == "score" else None), note


def affordable(
    n_rows: int,
    n_donors: float,
    n_columns: int,
    rank: Callable[[], int],
    needed: int = DONORS_PER_PARAMETER,
    *,
    has_score: bool = True,
) -> tuple[str, str]:
    """Say what the donors are enough for, "columns", "score" or "nothing", and the remark on it.

    Parameters
    ----------
    n_rows, n_donors : donors, and what they count with weights
    n_columns, rank : covariates, and how many of them are independent, asked for where it matters
    needed : donors a parameter
    has_score : whether there is a score to fall back on
    """
    if n_donors < needed * (n_columns + 1):
        n_columns = rank()
    if n_donors >= needed * (n_columns + 1):
        return "columns", ""
    if has_score and n_donors >= needed * 2:
        return "score", f"bias adjusted on the score alone ({n_rows} donors)"
    return "nothing", f"no bias adjustment ({n_rows} donors)"


@dataclass(frozen=True, slots=True)
class MatchedEffect:
    """The effect of a segment and the terms its variance is made of.

    Attributes
    ----------
    effect : the estimate
    tau : float64 array of shape (n_positions,)
        Effect on each matched focal row, NaN elsewhere.
    """

    effect: float
    tau: Float


def matched_effect(view: SegmentView, adjusted: Adjusted) -> MatchedEffect:
    """Average the differences between focal rows and their matched sets."""
    tau = np.full(len(view.y), np.nan)
    total = 0.0
    for arm in (0, 1):
        if view.is_focal_arm(arm):
            r = adjusted.for_focal_arm(arm)
            at = (view.own > 0) & view.in_arm(arm)
            gap = r[at] - view.means_over_sets(r)[at]
            tau[at] = gap if arm == 1 else -gap
            total += float(view.own[at] @ tau[at])
    return MatchedEffect(total / view.total, tau)
