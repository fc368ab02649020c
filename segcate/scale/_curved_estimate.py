"""Effects by exact weights from sums over parts: gaps that matches leave, variances, covariances, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate.effects._curved.arm_fit import MOST_LEVERAGE, ArmFit
from segcate.effects._curved.imbalance import ArmSums, compared_arms, imbalance_notes
from segcate.effects._curved.reweighted import ALONE, Moved, Reweighted, variance_of_moves
from segcate.effects._curved.weighted_effects import DonorPart, WeightedEffects
from segcate.effects._curved.words import donor_note
from segcate.effects._matched.curved import beyond_note
from segcate.effects._table.segment_estimate import (
    FEWEST_EVENTS,
    RareEvents,
    SegmentEstimate,
    VarianceEstimate,
    rare_by_counts,
    with_effect,
)
from segcate.matching._support import FOCAL_ARMS
from segcate.scale._curves import Basis
from segcate.scale._estimate import SegmentFacts, without_estimate
from segcate.scale._exact import IMBALANCE, ArmPlan, ExactPlan
from segcate.scale._outcomes import OutcomeStep
from segcate.scale._sums import Sums

_NONE = np.empty(0)


@dataclass(frozen=True, slots=True)
class Regressions:
    """The curved regressions of the outcome.

    Attributes
    ----------
    basis : their columns
    order : segments in the order of their labels
    estimand, inference : str
    step : what their rows were added up by
    sums : of the rows, by segment
    donors : regressions of the arms that give donors
    focal : that of the focal arm, where its noise counts; else None
    """

    basis: Basis
    order: Sequence[int]
    estimand: str
    inference: str
    step: OutcomeStep
    sums: Mapping[int, Sums]
    donors: tuple[ArmFit, ...]
    focal: ArmFit | None

    @property
    def both(self) -> bool:
        """Tell whether rows of both arms are averaged over."""
        return self.estimand == "ate"


@dataclass(frozen=True, slots=True)
class Weighing:
    """What the matched sets of all segments weigh; arrays go by the order of the labels.

    Attributes
    ----------
    known : bool array of shape (n_segments,), segments with focal rows and donors
    total : weight of the focal rows
    mean, effect, difference : mean of the regression alone over focal rows, the effect, and the effect
        less that by other weights; NaN where it is not known
    donors, others : float64 arrays of shape (n_donor_arms, n_segments), weights of the donors
    gaps, moves : float64 arrays of shape (n_donor_arms, n_segments, n_columns)
    """

    known: Bool
    total: Float
    mean: Float
    effect: Float
    difference: Float
    donors: Float
    others: Float
    gaps: Float
    moves: Float

    @property
    def share(self) -> Float:
        """Share of the segments in the average of all."""
        mass = self.total * self.known
        return np.asarray(mass / max(float(mass.sum()), 1e-300))


def weighing(found: Mapping[int, Sums], fits: Regressions) -> Weighing:
    """Find effects, and what matched sets leave unlike, from the sums of the first match."""
    n, m, n_arms = len(fits.order), fits.basis.curves.n_columns, len(fits.donors)
    out = Weighing(
        np.zeros(n, dtype=bool), np.zeros(n), *(np.full(n, np.nan) for _ in range(3)),
        *(np.zeros((n_arms, n)) for _ in range(2)), *(np.zeros((n_arms, n, m)) for _ in range(2)),
    )  # fmt: skip
    for place, code in enumerate(fits.order):
        sums = found.get(code)
        if sums is None:
            continue
        own, uses = np.stack([sums["weight_0"], sums["weight_1"]]).T
        out.total[place] = own.sum()
        if not own.any() or not all(uses[fit.arm] for fit in fits.donors):
            continue
        out.known[place] = True
        out.mean[place], out.effect[place], out.difference[place] = 0.0, 0.0, 0.0
        for k, fit in enumerate(fits.donors):
            _weigh_arm(out, k, fit, place, (sums, fits.sums[code]), fits)
    return out


def _weigh_arm(
    out: Weighing, k: int, fit: ArmFit, place: int, found: tuple[Sums, Sums], fits: Regressions
) -> None:
    """Add what the donors of one arm say of one segment."""
    sums, plain = found
    arm, sign, beside = fit.arm, 1.0 if fit.arm == 0 else -1.0, float(fits.both)
    slopes = fit.fit.slopes(place)
    centre = fits.step.centre[fits.order[place]]

    def residual(outcome: float, values: Float) -> float:
        gap = float((values - fit.sums.mean[place]) @ slopes)
        return centre + outcome - float(fit.sums.response_mean[place]) - gap

    total = out.total[place]
    focal = (sums["weighed_0"][0] + sums["weighed_1"][0]) / total
    mean = residual(
        float(sums["weighed_outcome_0"][0] + sums["weighed_outcome_1"][0]) / total, focal
    )
    own, uses = sums[f"weight_{arm}"].tolist()
    own_y, uses_y = sums[f"weighed_outcome_{arm}"].tolist()
    own_x, uses_x = sums[f"weighed_{arm}"]
    mass, first, _ = plain[f"response_{arm}"].tolist()
    donors, others = uses + beside * own, mass + beside * own
    of_donors = (uses_x + beside * own_x) / donors
    of_others = (plain[f"total_{arm}"] + beside * own_x) / others
    by_donors = residual((uses_y + beside * own_y) / donors, of_donors)
    by_others = residual((first + beside * own_y) / others, of_others)
    out.mean[place] += sign * mean
    out.effect[place] += sign * (mean - by_donors)
    out.difference[place] += sign * (by_others - by_donors)
    out.donors[k, place], out.others[k, place] = donors, others
    out.gaps[k, place], out.moves[k, place] = focal - of_donors, of_donors - of_others


def exact_plans(weighed: Weighing, fits: Regressions) -> dict[int, ExactPlan]:
    """Say what rows of every segment must know of all."""
    out = {}
    for place, code in enumerate(fits.order):
        arms = tuple(
            _arm_plan(fit, place, (weighed.gaps[k], weighed.moves[k]),
                      (weighed.donors[k, place], weighed.others[k, place]))
            for k, fit in enumerate(fits.donors) if fit.sums.mass[place] > 0
        )  # fmt: skip
        focal, is_known = fits.focal, bool(weighed.known[place])
        nothing = np.zeros((0, fits.basis.curves.n_columns))
        own = None
        if focal is not None and is_known:
            own = _arm_plan(focal, place, (nothing, nothing), (0.0, 0.0))
        out[code] = ExactPlan(
            fits.basis, place, arms, own, float(weighed.total[place]) if is_known else 0.0,
            float(weighed.mean[place]), weighed.share, fits.both,
        )  # fmt: skip
    return out


def _arm_plan(
    fit: ArmFit, place: int, gaps: tuple[Float, Float], weights: tuple[float, float]
) -> ArmPlan:
    directions = np.empty((gaps[0].shape[1], 0))
    if len(gaps[0]):
        directions = np.hstack([fit.fit.directions(place, gap) for gap in gaps])
    return ArmPlan(
        fit.arm, fit.sums.mean[place], float(fit.sums.response_mean[place]),
        float(fit.sums.mass[place]), fit.fit.slopes(place), fit.fit.inverse(place), directions, *map(float, weights),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CurvedFindings:
    """What the exact weights of all segments say; lists go by the order of the labels.

    Attributes
    ----------
    effects : with covariances and degrees of freedom
    second : the effects less those by other weights
    left : one text a segment, what its weights leave unlike between the arms
    """

    effects: WeightedEffects
    second: Reweighted
    left: Sequence[str]


def curved_findings(
    first: Mapping[int, Sums], exact: Mapping[int, Sums], weighed: Weighing, fits: Regressions
) -> CurvedFindings:
    """Put the sums of both matches together."""
    parts, moved = [], []
    for fit in fits.donors:
        part, moves = _donor_part(fit, exact, weighed.known, fits.order)
        parts.append(part)
        moved.append(moves)
    n_focal = np.zeros(len(fits.order), dtype=np.int64)
    variance = np.full(len(fits.order), np.nan)
    for place in np.flatnonzero(weighed.known).tolist():
        code = fits.order[place]
        n_focal[place] = int(first[code]["n_matched"].sum())
        variance[place] = _focal_variance(exact[code], weighed.total[place], n_focal[place], fits)
    effects = WeightedEffects(weighed.effect, _NONE, variance, tuple(parts), n_focal)
    second_variance, df = variance_of_moves(moved)
    for values in (second_variance, df):
        values[:-1][~weighed.known] = np.nan
    known = weighed.known
    together = float(weighed.share[known] @ weighed.difference[known])
    second = Reweighted(ALONE, np.append(weighed.difference, together), second_variance, df)
    return CurvedFindings(effects, second, _left(exact, weighed, fits))


def _shared_noise(sums: Sums, name: str) -> float:
    """Return the noise of rows that all but fit themselves."""
    square, spare = sums[name].tolist()
    return float(square / max(spare, 1.0 - MOST_LEVERAGE))


def _donor_part(
    fit: ArmFit, exact: Mapping[int, Sums], known: Bool, order: Sequence[int]
) -> tuple[DonorPart, Moved]:
    arm, n = fit.arm, len(known)
    covariance, powers = np.zeros((n, n)), np.zeros((2, n))
    variance, moved = np.zeros(n + 1), np.zeros((2, n + 1))
    for code in order:
        sums = exact.get(code, {})
        if f"covariance_{arm}" not in sums:
            continue
        covariance += sums[f"covariance_{arm}"]
        powers += sums[f"powers_{arm}"]
        variance += sums[f"moved_variance_{arm}"]
        moved += sums[f"moved_powers_{arm}"]
        if f"tight_covariance_{arm}" in sums:
            noise = _shared_noise(sums, f"square_{arm}")
            covariance += noise * sums[f"tight_covariance_{arm}"]
            variance += noise * sums[f"tight_moved_variance_{arm}"]
    covariance[~known], covariance[:, ~known] = np.nan, np.nan
    second, fourth = powers
    with np.errstate(divide="ignore", invalid="ignore"):
        part = DonorPart(fit, _NONE, covariance, second**2 / fourth, 1.0 / second)
    return part, Moved(variance, moved[0], moved[1])


def _focal_variance(sums: Sums, total: float, n_focal: int, fits: Regressions) -> float:
    """Return the variance of the mean over the focal rows."""
    if fits.inference == "sample":
        if fits.focal is None:
            return 0.0
        known, tight = sums["focal_noise"].tolist()
        shared = _shared_noise(sums, "focal_square") if tight else 0.0
        return float((known + shared * tight) / total**2)
    if n_focal < 2:
        return np.nan
    return float(sums["spread"][0] / total**2 * n_focal / (n_focal - 1))


def _left(exact: Mapping[int, Sums], weighed: Weighing, fits: Regressions) -> list[str]:
    """Name what the weights of each segment leave unlike."""
    places = np.flatnonzero(weighed.known).tolist()
    arms = {
        place: (_unlike(exact[fits.order[place]], 1), _unlike(exact[fits.order[place]], 0))
        for place in places
    }
    mass = {place: float(weighed.total[place]) for place in places}
    found = compared_arms(fits.basis.curves, arms, mass, len(fits.order))
    return imbalance_notes(found, fits.basis.levels.names)


def _unlike(sums: Sums, arm: int) -> ArmSums:
    total = float(sums[f"unlike_mass_{arm}"][0])
    line, pair, squares, *noise = (sums[f"unlike_{name}_{arm}"] for name in IMBALANCE)
    line_noise, pair_noise, quartic = (values / total**2 for values in noise)
    return ArmSums(
        line / total, pair / total, float(squares) / total**2, line_noise, pair_noise, quartic
    )


def curved_segment(
    place: int,
    first: Sums,
    exact: Sums,
    facts: SegmentFacts,
    found: CurvedFindings,
    basis: Basis,
) -> SegmentEstimate:
    """Estimate one segment."""
    effects, covariances = found.effects, np.asarray(found.effects.covariance[place])
    empty = replace(without_estimate(first, facts), covariances=covariances)
    if empty.status:
        return empty
    variance = VarianceEstimate(float(covariances[place]), "residual", float(effects.df[place]))
    n_rows = (empty.n_control, empty.n_treated)
    beyond = [
        beyond_note(arm, int(first["beyond"][arm]), int(first["n_matched"][arm]))
        for arm in (1, 0) if FOCAL_ARMS[facts.plan.estimand][arm]
    ]  # fmt: skip
    curved = [donor_note(basis.curves, effects, place, n_rows), *beyond, found.left[place]]
    notes = [facts.weight_note, facts.score_note, *curved]
    rare = _rare_events(exact)
    if facts.as_published:
        rare = replace(rare, variance=0.0)
    estimate = with_effect(
        empty, float(effects.effect[place]), variance, notes, first["largest_y"], rare
    )
    n_effective = float(effects.parts[0].n_effective[place])
    if effects.parts[0].arm.arm != 0:
        total, squares = exact["used_weight"][0].tolist()
        n_effective = total**2 / squares
    return replace(
        estimate,
        total_squares=float(first["squares"].sum()),
        n_eff_controls=n_effective,
        covariances=covariances,
    )


def _rare_events(exact: Sums) -> RareEvents:
    """Count the events of a 0/1 outcome among the rows that take part."""
    if exact["largest_is_measured"][0]:
        return RareEvents()
    n_rows, events = exact["used"].T
    total, squares = exact["used_weight"].T
    # treated first, as in memory
    return rare_by_counts(
        events[::-1].tolist(),
        [int(n) for n in n_rows[::-1]],
        (squares / total**2)[::-1].tolist(),
        3 * FEWEST_EVENTS,
    )
