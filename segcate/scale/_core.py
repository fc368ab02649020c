"""The core: what the rows of one part add to the sums behind a segment's effect. Arrays in, sums out.

Everything behind an effect is linear or quadratic in ``v' w``, with v the outcome, the score and the
covariates of a row and w = (1, -b) the bias regression. Sums of v and of products of v are therefore enough:
the regression is found afterwards, from sums over all parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from segcate._inputs.arrays import Bool, Float, Int
from segcate._statistics.columns import Standard
from segcate.effects._matched.abadie_imbens_2006 import conditional_variances
from segcate.effects._matched.abadie_imbens_2016 import (
    ScoreModel,
    arm_shares,
    arm_windows,
    at_ranks,
    focal_shares,
    logit_score_model,
)
from segcate.effects._matched.view import SegmentView
from segcate.matching._cell_order import sort_rows
from segcate.matching._nearest import match_with_replacement
from segcate.matching._support import FOCAL_ARMS
from segcate.matching._window_sums import count_uses
from segcate.scale._balance import balance_sums
from segcate.scale._sums import Sums

_NONE = np.empty(0)
_NO_DONORS = np.empty(0, np.int32)
# As in the variance of 2006: smaller factors are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class PartRows:
    """The rows that a part sees.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_columns), covariates
    y, score : float64 arrays of shape (n_rows,)
    treatment : int8 array of shape (n_rows,)
    is_own : bool array of shape (n_rows,), rows of the part itself; the others are its halo
    weight : float64 array of shape (n_rows,), or None
    """

    columns: Float
    y: Float
    score: Float
    treatment: npt.NDArray[np.int8]
    is_own: Bool
    weight: Float | None = None


@dataclass(frozen=True, slots=True)
class LogitModel:
    """The logistic regression behind the score of a segment, where the theory of 2016 may hold."""

    standard: Standard
    kept: Bool
    covariance: Float
    standardise: bool = True

    def of(self, columns: Float, score: Float) -> ScoreModel:
        """Make the model of some rows."""
        standard = self.standard.apply(columns, self.kept)
        near = standard if self.standardise else (columns - self.standard.origin)[:, self.kept]
        return logit_score_model(standard, score, self.covariance, near)


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What the parts of a segment must know of it.

    Attributes
    ----------
    estimand : "att", "atc" or "ate"
    n_neighbors : neighbours wanted among the controls, and among the treated
    n_variance_neighbors : int
    inference : "population" or "sample"
    shift : float64 array of shape (2 + n_columns,), near the means of outcome, score and covariates
    caliper : float, width in units of the score; infinite for none
    places : pair of floats, places that a unit of weight fills, by arm
    trends : pair of floats, slope of the outcome on the score in each arm that variances leave out
    model : the score's, or None where the theory of 2016 does not hold
    ranks : for each arm, ranks of the rows and of the donors that stand for all in the term of 2016
    offsets : int64 array of shape (n_parts, 2), rows of each arm before each part
    bins : for the propensity and each covariate the values at which distributions are compared
    """

    estimand: str
    n_neighbors: tuple[int, int]
    n_variance_neighbors: int
    inference: str
    shift: Float
    caliper: float = np.inf
    places: tuple[float, float] = (1.0, 1.0)
    trends: tuple[float, float] = (0.0, 0.0)
    model: LogitModel | None = None
    ranks: tuple[tuple[Int, Int], tuple[Int, Int]] | None = None
    offsets: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((1, 2), np.int64))
    bins: tuple[Float, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a part in sorted order, matched.

    Attributes
    ----------
    view : positions, sets and uses; those of the halo need not be right
    own : bool array of shape (n_positions,)
    columns : float64 array of shape (n_positions, n_columns)
    values : float64 array of shape (n_positions, 2 + n_columns): outcome, score, covariates, less the shift
    """

    view: SegmentView
    own: Bool
    columns: Float
    values: Float

    def focal(self, arm: int) -> Int:
        """Return own matched rows of an arm."""
        return np.flatnonzero(self.own & (self.view.own > 0) & self.view.in_arm(arm))

    def used(self, arm: int) -> Int:
        """Return own donors of an arm that serve."""
        return np.flatnonzero(self.own & (self.view.uses > 0) & self.view.in_arm(arm))


def part_sums(rows: PartRows, plan: SegmentPlan, place: int = 0) -> Sums:
    """Add up what the own rows of a part contribute.

    Parameters
    ----------
    rows : own rows and halo
    plan : of the segment
    place : of the part among those of its segment
    """
    part = matched_part(rows, plan)
    out = counts(part)
    for arm in (0, 1):
        if part.view.is_focal_arm(arm):
            out |= _differences(part, arm) | _donors(part, 1 - arm)
    out |= _noise(part, plan)
    if plan.bins:
        out |= balance(part, plan)
    if plan.model is not None:
        out |= _score_terms(part, plan)
        out |= _listed_rows(part, plan, plan.offsets[place])
    return out


def matched_part(rows: PartRows, plan: SegmentPlan) -> Part:
    """Sort the rows and match them; rows of the halo may find wrong sets."""
    n = len(rows.y)
    order, bounds = sort_rows(np.zeros(n, dtype=np.intp), 1, rows.treatment, rows.score)
    score, is_treated = rows.score[order], rows.treatment[order] == 1
    weight, places = _NONE, None
    if rows.weight is not None:
        weight = rows.weight[order]
        places = weight * np.where(is_treated, plan.places[1], plan.places[0])
    tolerance = np.zeros(1)
    start, stop = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for arm in np.flatnonzero(FOCAL_ARMS[plan.estimand]).tolist():
        low, high = match_with_replacement(
            score, bounds, focal_arms=(arm == 0, arm == 1), n_neighbors=plan.n_neighbors[1 - arm],
            caliper=np.array([plan.caliper]), tie_tolerance=tolerance, weight=places, n_rows=n,
        )  # fmt: skip
        start, stop = start + low, stop + high
    uses, squares = count_uses(start, stop, _NO_DONORS, weight, weight, n)
    own = (stop > start).astype(np.float64)
    view = SegmentView(
        code=0, rows=order, y=rows.y[order], score=score, is_treated=is_treated,
        own=own * weight if len(weight) else own, uses=uses, squared_uses=squares,
        start=start, stop=stop, donors=_NO_DONORS, weight=weight, bounds=bounds,
        tie_tolerance=tolerance, estimand=plan.estimand, n_all=n,
    )  # fmt: skip
    columns = rows.columns[order]
    # columns stand together, as kernels take them one by one
    values = np.asfortranarray(np.column_stack([view.y, score, columns]) - plan.shift)
    return Part(view, rows.is_own[order], columns, values)


def counts(part: Part) -> Sums:
    """Count rows, matched rows and donors by arm, and add up their weights."""
    view, own = part.view, part.own
    arms = [own & ~view.is_treated, own & view.is_treated]
    used = (view.own > 0) | (view.uses > 0)
    share = view.own + view.uses
    y = view.y[own & used]
    return {
        "n": _each(np.count_nonzero, arms),
        "n_matched": _each(lambda at: np.count_nonzero(view.own[at]), arms),
        "total": _each(lambda at: view.own[at].sum(), arms),
        "squares": _each(lambda at: view.own[at] @ view.own[at], arms),
        "n_used": _each(lambda at: np.count_nonzero(used[at]), arms),
        "n_donors": _each(lambda at: np.count_nonzero(view.uses[at]), arms),
        "largest_uses": _each(lambda at: view.uses[at].max(initial=0.0), arms),
        "events": _each(lambda at: view.y[at & used].sum(), arms),
        "share": _each(lambda at: share[at].sum(), arms),
        "share_squares": _each(lambda at: share[at] @ share[at], arms),
        "smallest_score": _each(lambda at: view.score[at].min(initial=np.inf), arms),
        "largest_score": _each(lambda at: view.score[at].max(initial=-np.inf), arms),
        "largest_y": np.array([np.abs(view.y[own]).max(initial=0.0)]),
        "largest_is_measured": np.array([float(((y != 0.0) & (y != 1.0)).any())]),
    }


def _each(value: Callable[[Bool], Any], arms: Sequence[Bool]) -> Float:
    """Return one number an arm."""
    return np.array([float(value(at)) for at in arms])


def _differences(part: Part, arm: int) -> Sums:
    """Add up the differences between focal rows of an arm and their sets, and products of them."""
    view, at = part.view, part.focal(arm)
    means = np.column_stack([view.means_over_sets(v)[at] for v in part.values.T])
    gap, f = np.column_stack([v[at] for v in part.values.T]) - means, view.own[at]
    weighted = gap * f[:, None]
    return {
        f"gap_{arm}": weighted.sum(axis=0),
        f"gap_squares_{arm}": weighted.T @ weighted,
        f"gap_by_weight_{arm}": f @ weighted,
        f"gap_weighted_{arm}": weighted.T @ gap,
        f"set_means_{arm}": (means * f[:, None]).T @ means,
    }


def _donors(part: Part, arm: int) -> Sums:
    """Add up the donors of an arm, weighted by their uses and not: ``(1, v)(1, v)'``."""
    view, at = part.view, part.used(arm)
    rows = np.column_stack([np.ones(len(at)), part.values[at]])
    out = {
        f"donors_{arm}": (rows * view.uses[at][:, None]).T @ rows,
        f"donors_plain_{arm}": rows.T @ rows,
    }
    if len(view.weight):
        w = view.weight[at]
        out[f"donor_weight_{arm}"] = np.array([w.sum(), w @ w])
    return out


def balance(part: Part, plan: SegmentPlan) -> Sums:
    """Add up what balance is made of, over own rows."""
    view, own = part.view, part.own
    before = view.weight[own] if len(view.weight) else np.ones(int(own.sum()))
    after = (view.own + view.uses)[own]
    columns = np.column_stack([expit(view.score[own]), part.columns[own]])
    shift = np.append(0.0, plan.shift[2:])
    return balance_sums(columns, shift, view.is_treated[own], before, after, plan.bins)


def _noise(part: Part, plan: SegmentPlan) -> Sums:
    """Add up the variance of y around each row, by what it counts in the variance of 2006."""
    view = part.view
    if plan.inference == "sample":
        factor = (view.own + view.uses) ** 2
    else:
        factor = view.uses**2 + 2 * view.own * view.uses - view.squared_uses
    at = part.own & (np.abs(factor) > _ROUNDING)
    if plan.n_variance_neighbors == 0:
        return {"noise": np.array([factor[at].sum()])}
    trend = np.where(view.is_treated, plan.trends[1], plan.trends[0])
    straight = replace(view, y=part.values[:, 0] - trend * part.values[:, 1])
    sigma2 = conditional_variances(straight, plan.n_variance_neighbors, plan.inference)
    return {"noise": np.array([factor[at] @ sigma2[at]])}


def _score_terms(part: Part, plan: SegmentPlan) -> Sums:
    """Add up the derivative of the effect in the score: one row for each of outcome, score, covariates."""
    assert plan.model is not None
    view = part.view
    whole = plan.model.of(part.columns, view.score)
    assert whole.by_chance is not None
    masked = replace(
        whole,
        slope=whole.slope * part.own,
        by_chance=(whole.by_chance[0] * part.own, whole.by_chance[1] * part.own),
    )
    others = plan.n_variance_neighbors + 1
    windows = arm_windows(view, others)
    out = {"slope": masked.slope @ masked.regressors}
    if view.estimand == "ate":
        for arm in (0, 1):
            found = [arm_shares(view, masked, v, arm, windows) for v in part.values.T]
            out[f"derivative_{arm}"] = np.array(found) @ masked.regressors
        return out
    focal = 1 if view.estimand == "att" else 0
    shares = [focal_shares(view, masked, v, 0.0, others, windows) for v in part.values.T]
    out[f"derivative_{focal}"] = np.array(shares) @ masked.regressors
    return out


def _listed_rows(part: Part, plan: SegmentPlan, offset: npt.NDArray[np.int64]) -> Sums:
    """Take out the rows that stand for all in the covariate term of 2016, as they came."""
    assert plan.ranks is not None
    assert plan.model is not None
    out: Sums = {}
    if plan.estimand == "ate":
        return out
    view, z = part.view, part.columns[:, plan.model.kept]
    for arm in (0, 1):
        own = np.flatnonzero(part.own & view.in_arm(arm))
        for name, wanted in zip(("rows", "donors"), plan.ranks[arm], strict=True):
            here = wanted[(wanted >= offset[arm]) & (wanted < offset[arm] + len(own))]
            at = at_ranks(own, (here - offset[arm]).astype(np.intp), view.score, view.y, z)
            found = np.column_stack([view.y[at], view.score[at], part.columns[at]])
            out[f"listed_{name}_{arm}"] = found
    return out
