"""The curved regression of the outcome: sums of the rows of each segment and arm, and its fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segcate._nuisance.segment_ridge import (
    SegmentSums,
    outcome_penalties,
    raw_sums,
    ridge,
)
from segcate.effects._curved.arm_fit import ArmFit
from segcate.scale._curves import Basis
from segcate.scale._rows import Rows
from segcate.scale._sums import Sums, merged

_NONE = np.empty(0)


@dataclass(frozen=True, slots=True)
class OutcomeStep:
    """Adds up the rows that outcomes are regressed on.

    Attributes
    ----------
    basis : columns of the regression
    taking : segments and arms whose rows take part
    centre : by segment, outcomes are taken less this
    """

    basis: Basis
    taking: frozenset[tuple[int, int]]
    centre: Mapping[int, float]

    def of(self, code: int, rows: Rows) -> Sums | None:
        """Add up some rows of one segment."""
        out: Sums = {}
        curves = None
        for arm in (0, 1):
            at = np.flatnonzero(rows.treatment == arm)
            if (code, arm) not in self.taking or len(at) == 0:
                continue
            curves = curves or self.basis.of(rows.columns)
            found = raw_sums(curves, at, rows.y, self.centre[code], rows.weight)
            y = rows.y[at] - self.centre[code]
            w = np.ones(len(at)) if rows.weight is None else rows.weight[at]
            gram, total, product, mass = found
            out |= {
                f"gram_{arm}": gram,
                f"total_{arm}": total,
                f"product_{arm}": product,
                f"response_{arm}": np.array([mass, w @ y, w @ y**2]),
            }
        return out or None

    def merged(self, code: int, one: Sums, other: Sums) -> Sums:
        """Put two results of one segment together."""
        return merged(one, other)


def fitted_arm(
    basis: Basis, found: Mapping[int, Sums], order: Sequence[int], step: OutcomeStep, arm: int
) -> ArmFit:
    """Fit the regression of one arm; what belongs to single rows is empty.

    Parameters
    ----------
    found : what the step gave, by segment
    order : segments in the order of their labels
    """
    curves = basis.curves
    n, m, n_shared, own = len(order), curves.n_columns, curves.n_shared, curves.own
    mass, centre, mean, square = np.zeros(n), np.zeros(n), np.zeros((n, m)), 0.0
    shared_gram, own_gram = np.zeros((n_shared, n_shared)), np.zeros((n, len(own), len(own)))
    cross_gram, products = np.zeros((n, len(own), n_shared)), np.zeros((n, m))
    for place, code in enumerate(order):
        sums = found.get(code, {})
        if f"gram_{arm}" not in sums:
            continue
        total = sums[f"total_{arm}"]
        mass[place], first, second = sums[f"response_{arm}"].tolist()
        gap = first / mass[place]
        centre[place], mean[place] = step.centre[code] + gap, total / mass[place]
        square += second - first * gap
        products[place] = sums[f"product_{arm}"] - gap * total
        gram = sums[f"gram_{arm}"] - np.outer(total, total) / mass[place]
        shared_gram += gram[:n_shared, :n_shared]
        own_gram[place], cross_gram[place] = gram[np.ix_(own, own)], gram[own, :n_shared]
    sums_of = SegmentSums(
        mass, mean, centre, shared_gram, own_gram, cross_gram,
        products[:, :n_shared].sum(axis=0), products[:, own], square, curves.n_lines, curves.free,
    )  # fmt: skip
    fit = ridge(curves, sums_of, outcome_penalties(curves, sums_of))
    return ArmFit(arm, sums_of, fit, _NONE, _NONE)
