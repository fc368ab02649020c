"""Log-odds of treatment as a curve of the covariates: penalised, all segments together.

Each segment has its own intercept; penalties are those of the linear probability model, so that no arm
can be told apart to infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._nuisance.segment_ridge import (
    Ridge,
    SegmentSums,
    choose_penalties,
    ridge,
    segment_sums,
)
from segcate._statistics.row_sample import rounded_weight, row_keys, sampled_in_strata

__all__ = ["SegmentLogit", "fit_all_rows", "fit_segment_logit"]

# Rows beyond which a part of them stands for all: matches do not need more.
MOST_ROWS = 10_000
_MOST_STEPS = 12
_TOLERANCE = 1e-8
_DECIMALS = 9
_LEAST_WEIGHT = 1e-10


@dataclass(frozen=True, slots=True)
class SegmentLogit:
    """Log-odds of treatment: slopes, and an intercept of each segment.

    Attributes
    ----------
    fit : slopes of the last step
    sums : of the last step, with its means
    """

    fit: Ridge
    sums: SegmentSums

    def log_odds(self, curves: Curves, rows_of: Sequence[Int], n_rows: int) -> Float:
        """Return the log-odds of the rows of each segment; NaN for rows of none.

        They are rounded, so that rows alike in their covariates are tied.
        """
        out = np.full(n_rows, np.nan)
        for code, rows in enumerate(rows_of):
            slopes = self.fit.slopes(code)
            level = self.sums.response_mean[code] - self.sums.mean[code] @ slopes
            for at, values in curves.blocks(rows):
                out[at] = level + values @ slopes
        return np.round(out, _DECIMALS)


def fit_segment_logit(
    curves: Curves, rows_of: Sequence[Int], treatment: Float, weight: Float | None
) -> SegmentLogit:
    """Fit by Newton's method.

    Parameters
    ----------
    rows_of : rows of each segment; those of a segment without both arms are to be left out
    treatment : float64 array of shape (n_rows,), values 0 and 1
    weight : float64 array of shape (n_rows,) or None

    Notes
    -----
    The penalties minimise generalised cross-validation of the linear probability model; they are
    multiplied by the mean squared residual around the segment's share, the scale of its noise.
    """
    if sum(len(rows) for rows in rows_of) > MOST_ROWS:
        rows_of = _part_of_many(curves, rows_of, treatment, weight)
        used = np.concatenate(rows_of)
        curves, treatment = curves.take(used), treatment[used]
        weight = rounded_weight(weight, used)
        ends = np.cumsum([len(rows) for rows in rows_of])
        rows_of = np.split(np.arange(len(used)), ends[:-1])
    return fit_all_rows(curves, rows_of, treatment, weight)


def fit_all_rows(
    curves: Curves, rows_of: Sequence[Int], treatment: Float, weight: Float | None
) -> SegmentLogit:
    """Fit by Newton's method on all rows, however many."""
    # A level with rows of one arm has no finite log-odds.
    curves = replace(curves, free=curves.free[:0]).held()
    linear = segment_sums(curves, rows_of, treatment, weight)
    chosen = choose_penalties(curves, linear, gamma=1.0)
    # Without rows of both arms in any segment there is nothing to scale by, and nothing to fit.
    noise = linear.square / float(linear.mass.sum()) if linear.square > 0 else 1.0
    penalty = [one * noise for one in chosen]
    eta = np.zeros(len(treatment))
    for code, rows in enumerate(rows_of):
        if len(rows):
            eta[rows] = logit(linear.response_mean[code])
    for _ in range(_MOST_STEPS):
        fit, sums = _step(curves, rows_of, treatment, weight, eta, penalty)
        found = SegmentLogit(fit, sums)
        new = found.log_odds(curves, rows_of, len(treatment))
        moved = max((float(np.abs(new[r] - eta[r]).max()) for r in rows_of if len(r)), default=0.0)
        eta = new
        if moved < _TOLERANCE:
            break
    return found


def _step(
    curves: Curves,
    rows_of: Sequence[Int],
    treatment: Float,
    weight: Float | None,
    eta: Float,
    penalty: Sequence[float],
) -> tuple[Ridge, SegmentSums]:
    """Regress the working response with working weights."""
    chance = expit(eta)
    working = np.maximum(chance * (1.0 - chance), _LEAST_WEIGHT)
    response = eta + (treatment - chance) / working
    sums = segment_sums(curves, rows_of, response, working if weight is None else working * weight)
    return ridge(curves, sums, penalty), sums


def _part_of_many(
    curves: Curves, rows_of: Sequence[Int], treatment: Float, weight: Float | None
) -> list[Int]:
    """Take the same share of each segment and arm, rows that `row_sample` chooses by their content."""
    arms = [rows[treatment[rows] == arm] for rows in rows_of for arm in (0, 1)]
    everyone = np.arange(len(treatment))
    keys = row_keys(curves.columns, rounded_weight(weight, everyone))
    taken = sampled_in_strata(keys, arms, MOST_ROWS)
    return [np.concatenate(taken[2 * k : 2 * k + 2]) for k in range(len(rows_of))]
