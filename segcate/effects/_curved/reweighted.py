"""The same regression with other weights: a second estimate of every segment, and how far it may be by chance.

Rows that are averaged over, and the regression, are shared: the two estimates differ by weights on
outcomes of donors that are known exactly. If the regression is right any weights are, so that a
difference beyond chance says that it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._statistics.sandwich import unit_factor
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.weighted_effects import DonorPart, WeightedEffects

__all__ = [
    "ALONE",
    "BY_ODDS",
    "Moved",
    "Reweighted",
    "combine_reweighted",
    "reweighted",
    "variance_of_moves",
]


ALONE = "the regression alone, with equal weights"
BY_ODDS = "the same regression with odds of treatment as weights"


@dataclass(frozen=True, slots=True)
class Reweighted:
    """Effects less those by other weights; the last entry is that of all segments together.

    Attributes
    ----------
    method : what gave the other weights, in words
    difference : float64 array of shape (n_segments + 1,); NaN where there is no effect
    variance, df : float64 arrays of the same shape
    """

    method: str
    difference: Float
    variance: Float
    df: Float


@dataclass
class Moved:
    """What the donors of an arm add: squares of the weights that differ, and what groups add."""

    variance: Float
    second: Float
    fourth: Float
    groups: Float | None = None


def reweighted(
    curves: Curves,
    comparison: Comparison,
    found: WeightedEffects,
    uses: Float,
    method: str,
    groups: Int | None = None,
) -> Reweighted:
    """Compare each effect with that by other weights of donors.

    Parameters
    ----------
    found : the effects of `comparison`
    uses : float64 array of shape (n_rows,), other weights of the rows as donors
    groups : intp codes of shape (n_rows,), default=None
    """
    other = replace(comparison, uses=uses)
    known = np.isfinite(found.effect) & _has_donors(other)
    mass = np.array([comparison.own[rows].sum() for rows in comparison.rows_of]) * known
    share = mass / max(float(mass.sum()), 1e-300)
    difference, sums = np.where(known, 0.0, np.nan), []
    for part in found.parts:
        rows_of = comparison.arm_rows(part.arm.arm)
        moves = [
            other.donor_weight(rows) - comparison.donor_weight(rows) if known[code] else None
            for code, rows in enumerate(rows_of)
        ]
        for code, (rows, move) in enumerate(zip(rows_of, moves, strict=True)):
            if move is not None:
                difference[code] += part.sign * float(move @ part.arm.residual[rows])
        sums.append(_add_up(curves, comparison, part, moves, share, groups))
    variance, df = _variance(sums, groups, comparison)
    for values in (variance, df):
        values[:-1][~known] = np.nan
    total = float(share[known] @ difference[known])
    return Reweighted(method, np.append(difference, total), variance, df)


def _has_donors(comparison: Comparison) -> npt.NDArray[np.bool_]:
    """Mark the segments in which other weights leave donors."""
    found = np.ones(len(comparison.rows_of), dtype=bool)
    for arm in comparison.donor_arms:
        found &= [bool(comparison.uses[rows].any()) for rows in comparison.arm_rows(arm)]
    return found


def _add_up(
    curves: Curves,
    comparison: Comparison,
    part: DonorPart,
    moves: Sequence[Float | None],
    share: Float,
    groups: Int | None,
) -> Moved:
    """Find by how much the exact weights of the donors of an arm differ, and add up what matters."""
    arm, n = part.arm, len(share) + 1
    rows_of = comparison.arm_rows(arm.arm)
    gaps = np.zeros((len(share), curves.n_columns))
    for code, (rows, move) in enumerate(zip(rows_of, moves, strict=True)):
        if move is not None:
            gaps[code] = -_total(curves, rows, move)
    by_group = None if groups is None else np.zeros((n, int(groups.max()) + 1))
    sums = Moved(np.zeros(n), np.zeros(n), np.zeros(n), by_group)
    for code, (rows, move) in enumerate(zip(rows_of, moves, strict=True)):
        if len(rows) == 0:
            continue
        directions, start = arm.fit.directions(code, gaps), 0
        middle = arm.sums.mean[code] @ directions
        for at, values in curves.blocks(rows):
            gap = values @ directions - middle
            if comparison.weight is not None:
                gap *= comparison.weight[at][:, None]
            if move is not None:
                gap[:, code] += move[start : start + len(at)]
            start += len(at)
            gap = np.column_stack([gap, gap @ share])
            square = gap**2
            sums.variance += arm.noise[at] @ square
            sums.second += square.sum(axis=0)
            sums.fourth += (square**2).sum(axis=0)
            if sums.groups is not None and groups is not None:
                np.add.at(sums.groups.T, groups[at], part.sign * gap * arm.residual[at][:, None])
    return sums


def _total(curves: Curves, rows: Int, weight: Float) -> Float:
    out, start = np.zeros(curves.n_columns), 0
    for at, values in curves.blocks(rows):
        out += weight[start : start + len(at)] @ values
        start += len(at)
    return out


def _variance(
    sums: Sequence[Moved], groups: Int | None, comparison: Comparison
) -> tuple[Float, Float]:
    """Return variances and degrees of freedom: after Satterthwaite, or of groups."""
    if groups is None:
        return variance_of_moves(sums)
    used = np.unique(groups[np.concatenate(list(comparison.rows_of))])
    together = sum(part.groups for part in sums if part.groups is not None)
    factor = unit_factor(len(used), leaves_out=False)
    variance = (np.asarray(together) ** 2).sum(axis=1) * factor
    return variance, np.full(len(variance), max(len(used) - 1.0, 1.0))


def variance_of_moves(sums: Sequence[Moved]) -> tuple[Float, Float]:
    """Return the variances of weights that differ, and their degrees of freedom after Satterthwaite."""
    parts = np.array([part.variance for part in sums])
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.array([part.second**2 / part.fourth for part in sums])
        df = parts.sum(axis=0) ** 2 / (parts**2 / freedom).sum(axis=0)
    return parts.sum(axis=0), df


def combine_reweighted(found: Sequence[Reweighted]) -> Reweighted:
    """Combine imputations: the mean difference, and Rubin's variance of it."""
    if len(found) == 1:
        return found[0]
    differences = np.array([one.difference for one in found])
    within = np.mean([one.variance for one in found], axis=0)
    between = differences.var(axis=0, ddof=1) * (1.0 + 1.0 / len(found))
    df = np.min([one.df for one in found], axis=0)
    return Reweighted(found[0].method, differences.mean(axis=0), within + between, df)
