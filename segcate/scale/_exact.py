"""What rows add to the variance by their exact weights, once regressions and gaps are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Bool, Float
from segcate._nuisance.curves import Curves
from segcate.effects._curved.arm_fit import MOST_LEVERAGE
from segcate.effects._curved.imbalance import arm_sums
from segcate.scale._core import matched_part
from segcate.scale._curves import Basis
from segcate.scale._dealing import MatchStep
from segcate.scale._rows import Rows
from segcate.scale._runner import Place
from segcate.scale._sums import Sums, merged

IMBALANCE = ("line", "pair", "squares", "line_noise", "pair_noise", "quartic_noise")


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """What rows of a segment must know of the regression of one arm.

    Attributes
    ----------
    arm : 0 or 1
    centre : float64 array of shape (n_columns,), means of the rows of the arm
    level : mean outcome of these
    mass : their weight
    slopes : float64 array of shape (n_columns,)
    inverse : float64 array of shape (n_columns, n_columns)
    directions : float64 array of shape (n_columns, 2 * n_segments)
        What the columns of a row are multiplied by for its weight in each effect, and for how much this
        weight differs with other weights.
    donors, others : weights of the donors of the segment, and of those by other weights; 0 where
        there is no effect
    """

    arm: int
    centre: Float
    level: float
    mass: float
    slopes: Float
    inverse: Float
    directions: Float
    donors: float
    others: float

    @property
    def sign(self) -> float:
        """1 where controls stand in for treated rows, -1 the other way round."""
        return 1.0 if self.arm == 0 else -1.0

    def residual(self, rows: WeighedRows, values: Float, at: npt.NDArray[np.intp]) -> Float:
        """Return outcomes less those expected in the arm; columns come less their means."""
        return np.asarray(rows.y[at] - self.level - values @ self.slopes)


@dataclass(frozen=True, slots=True)
class ExactPlan:
    """What rows of a segment must know of all.

    Attributes
    ----------
    basis : columns of the regressions
    place : of the segment
    arms : of the donors
    focal : regression of the focal arm, where its noise counts; else None
    total : weight of the focal rows; 0 where there is no effect
    mean : mean over them of what the regression alone says
    share : float64 array of shape (n_segments,), of the segments in the average of all
    both : whether rows of both arms are averaged over
    """

    basis: Basis
    place: int
    arms: tuple[ArmPlan, ...]
    focal: ArmPlan | None
    total: float
    mean: float
    share: Float
    both: bool


class WeighedRows(NamedTuple):
    """Rows and what they weigh.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_encoded)
    y, own, uses : float64 arrays of shape (n_rows,)
    treatment : int8 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), or None
    """

    columns: Float
    y: Float
    treatment: npt.NDArray[np.int8]
    own: Float
    uses: Float
    weight: Float | None


@dataclass(frozen=True, slots=True)
class ExactStep(MatchStep):
    """Matches the rows of each part once more, and adds up what the variance is made of."""

    exact: Mapping[int, ExactPlan]

    def sums(self, place: Place, dealt: Float) -> Sums:
        """Match the rows of a part, and add up its own."""
        part = matched_part(self.unpacked(dealt), self.plans[place[0]])
        view, own = part.view, part.own
        rows = WeighedRows(
            part.columns[own], view.y[own], view.is_treated[own].astype(np.int8), view.own[own],
            view.uses[own], view.weight[own] if len(view.weight) else None,
        )  # fmt: skip
        return exact_sums(rows, self.exact[place[0]])


@dataclass(frozen=True, slots=True)
class AloneStep:
    """Adds up the same of segments of one arm, whose rows are in the regression all the same."""

    exact: Mapping[int, ExactPlan]

    def of(self, code: int, rows: Rows) -> Sums | None:
        """Add up some rows of one segment."""
        if code not in self.exact:
            return None
        none = np.zeros(len(rows.y))
        weighed = WeighedRows(rows.columns, rows.y, rows.treatment, none, none, rows.weight)
        return exact_sums(weighed, self.exact[code])

    def merged(self, code: int, one: Sums, other: Sums) -> Sums:
        """Put two results of one segment together."""
        return merged(one, other)


def exact_sums(rows: WeighedRows, plan: ExactPlan) -> Sums:
    """Add up what some rows contribute to variances, and what their weights leave unlike."""
    curves, out = plan.basis.of(rows.columns), Sums()
    weights = rows.own / plan.total if plan.total > 0 else np.zeros(len(rows.y))
    value = np.zeros(len(rows.y))
    for arm in plan.arms:
        found, residual, exact = _donor_sums(curves, rows, arm, plan)
        out |= found
        value += arm.sign * residual
        donors = rows.treatment == arm.arm
        weights[donors] = exact[donors]
    if plan.total == 0:
        return out
    gap = rows.own * (value - plan.mean)
    out["spread"] = np.array([gap @ gap])
    if plan.focal is not None:
        out |= _focal_sums(curves, rows, plan.focal)
    out |= _used_sums(rows, plan, weights)
    return out | _unlike(curves, rows, weights, plan.arms[0].centre)


def _donor_sums(
    curves: Curves, rows: WeighedRows, arm: ArmPlan, plan: ExactPlan
) -> tuple[Sums, Float, Float]:
    """Add up the donors of an arm; return the residuals and the exact weights of rows, too."""
    out, n = Sums(), len(plan.share)
    residual, weights = np.zeros(len(rows.y)), np.zeros(len(rows.y))
    for at, values in curves.blocks(np.arange(len(rows.y))):
        values -= arm.centre
        residual[at] = arm.residual(rows, values, at)
        is_donor = rows.treatment[at] == arm.arm
        at, values = at[is_donor], values[is_donor]
        if len(at) == 0:
            continue
        exact = values @ arm.directions
        if rows.weight is not None:
            exact *= rows.weight[at][:, None]
        if arm.donors > 0:
            own, moves = _shares(rows, at, arm, both=plan.both)
            exact[:, plan.place] += own
            exact[:, n + plan.place] += moves
        weights[at] = exact[:, plan.place]
        found, noise, is_tight = _noise(rows, residual[at], values, arm, at)
        found |= _squares("", exact[:, :n], exact[:, n:], noise, plan.share, every=True)
        if is_tight.any():
            tight = exact[is_tight]
            ones = np.ones(len(tight))
            found |= _squares("tight_", tight[:, :n], tight[:, n:], ones, plan.share, every=False)
        out = merged(out, {f"{name}_{arm.arm}": values for name, values in found.items()})
    return out, residual, weights


def _shares(
    rows: WeighedRows, at: npt.NDArray[np.intp], arm: ArmPlan, *, both: bool
) -> tuple[Float, Float]:
    """Return the shares of donors by matches, and by how much other weights differ from them."""
    beside = rows.own[at] if both else np.zeros(len(at))
    equal = np.ones(len(at)) if rows.weight is None else rows.weight[at]
    own = (rows.uses[at] + beside) / arm.donors
    return own, (equal + beside) / arm.others - own


def _noise(
    rows: WeighedRows, residual: Float, values: Float, arm: ArmPlan, at: npt.NDArray[np.intp]
) -> tuple[Sums, Float, Bool]:
    """Estimate the variance of outcomes; 0 and marked where a row all but fits itself.

    What such rows count with is known when all of their arm and segment are added up.
    """
    leverage = np.einsum("ij,ij->i", values @ arm.inverse, values) + 1.0 / arm.mass
    if rows.weight is not None:
        leverage *= rows.weight[at]
    square, spare, least = residual**2, 1.0 - leverage, 1.0 - MOST_LEVERAGE
    is_tight = spare < least
    noise = np.where(is_tight, 0.0, square / np.maximum(spare, least))
    known = {"square": np.array([square.sum(), np.maximum(spare, 0.0).sum()])}
    return known, noise, is_tight


def _squares(
    prefix: str, exact: Float, moved: Float, noise: Float, share: Float, *, every: bool
) -> Sums:
    """Add up products of weights, times the noise, and their second and fourth powers."""
    moved = np.column_stack([moved, moved @ share])
    square = moved**2
    out: Sums = {
        f"{prefix}covariance": (exact * noise[:, None]).T @ exact,
        f"{prefix}moved_variance": noise @ square,
    }
    if every:
        powers = exact**2
        out["powers"] = np.array([powers.sum(axis=0), (powers**2).sum(axis=0)])
        out["moved_powers"] = np.array([square.sum(axis=0), (square**2).sum(axis=0)])
    return out


def _focal_sums(curves: Curves, rows: WeighedRows, arm: ArmPlan) -> Sums:
    """Add up the noise of the focal rows around the regression of their own arm."""
    out = Sums()
    for at, values in curves.blocks(np.flatnonzero(rows.treatment == arm.arm)):
        values -= arm.centre
        found, noise, is_tight = _noise(rows, arm.residual(rows, values, at), values, arm, at)
        own = rows.own[at] ** 2
        found["noise"] = np.array([own @ noise, own @ is_tight])
        out = merged(out, found)
    return {f"focal_{name}": values for name, values in out.items()}


def _used_sums(rows: WeighedRows, plan: ExactPlan, weights: Float) -> Sums:
    """Count the rows that take part by arm, with their events and weights."""
    donors = [arm.arm for arm in plan.arms]
    used = (rows.own > 0) | (rows.uses > 0) | np.isin(rows.treatment, donors)
    arms = [used & (rows.treatment == arm) for arm in (0, 1)]
    y = rows.y[used]
    return {
        "used": np.array([[at.sum(), rows.y[at].sum()] for at in arms], dtype=np.float64),
        "used_weight": np.array([[weights[at].sum(), weights[at] @ weights[at]] for at in arms]),
        "largest_is_measured": np.array([float(((y != 0.0) & (y != 1.0)).any())]),
    }


def _unlike(curves: Curves, rows: WeighedRows, weights: Float, centre: Float) -> Sums:
    """Add up lines, squares and products of each arm by the exact weights."""
    out = Sums()
    for arm in (0, 1):
        at = np.flatnonzero((rows.treatment == arm) & (weights != 0))
        found = arm_sums(curves, at, weights[at], centre[: curves.n_lines])
        out[f"unlike_mass_{arm}"] = np.array([weights[at].sum()])
        for name in IMBALANCE:
            out[f"unlike_{name}_{arm}"] = np.asarray(getattr(found, name), dtype=np.float64)
    return out
