"""From the rows of a segment to its effect by interacted regression, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.jobs import in_threads
from segcate._inputs.weights import SAMPLING_NOTE, effective_rows
from segcate._statistics.intervals import freedom_of_rows
from segcate._statistics.sandwich import row_factor
from segcate.effects._table.segment_estimate import (
    SegmentEstimate,
    VarianceEstimate,
    group_variance,
    grouped_rows,
    rare_events,
    with_effect,
)
from segcate.effects._thin_segments import too_few_rows
from segcate.effects._unmatched.interacted_regression import InteractedFit, interacted_regression
from segcate.effects._unmatched.rows import SegmentRows

# With fewer rows of an arm a coefficient the status says that the regression is thin.
ROWS_PER_COEFFICIENT = 5


@dataclass(frozen=True, slots=True)
class RegressionOptions:
    """How to make the standard error.

    Attributes
    ----------
    std_error : {"hc1", "hc2", "hc3", "group"}
    inference : {"population", "sample"}
    fewest : rows of each arm that an estimate needs
    """

    std_error: str
    inference: str
    fewest: int


def regress_segments(
    segments: Sequence[SegmentRows],
    Z: Float,
    groups: Int | None,
    options: RegressionOptions,
    n_jobs: int | None,
) -> list[SegmentEstimate]:
    """Estimate every segment on its own, several at a time in threads where `n_jobs` asks for it."""
    parts = ((part, Z, groups, options) for part in segments)
    return in_threads(_regress_segment, parts, n_jobs)


def _regress_segment(
    part: SegmentRows, Z: Float, groups: Int | None, options: RegressionOptions
) -> SegmentEstimate:
    counted = part.counted
    if counted.status:
        return counted
    weight = part.weight if part.is_weighted else None
    fit = interacted_regression(
        part.y, part.is_treated, Z.take(part.rows, axis=0), part.own, weight
    )
    if fit is None:
        return replace(counted, status="covariates tell the arms apart")
    n_arm = (int((~part.is_treated).sum()), int(part.is_treated.sum()))
    spare = min(n - rank for n, rank in zip(n_arm, fit.arm_ranks, strict=True))
    if spare < 1:
        need = _counted(fit.n_coefficients)
        return replace(counted, status=f"too few rows for {need} in each arm")
    thin = too_few_rows(n_arm[1], n_arm[0], options.fewest)
    if thin:
        return replace(counted, status=thin)
    if options.std_error == "group" and groups is not None:
        variance = _group_variance(part, fit, groups, options.inference)
    else:
        variance = _robust_variance(part, fit, options, freedom_of_rows(spare + 1))
    notes = [part.weight_note, part.note, *_notes(fit, _rows_in_arms(part))]
    rare = rare_events(part.y, part.is_treated, part.weight)
    return with_effect(counted, fit.effect, variance, notes, part.y, rare)


def _robust_variance(
    part: SegmentRows, fit: InteractedFit, options: RegressionOptions, df: float
) -> VarianceEstimate:
    """Sum the squared row scores; rows of leverage 1 add what their arm's spread says."""
    method = options.std_error
    factor = np.sqrt(row_factor(method, len(part.rows), fit.rank))
    scores = factor * (fit.scores(method) - fit.centring)
    if options.inference == "population":
        scores = scores + _small_sample(part) * fit.centring
    return VarianceEstimate(float(scores @ scores) + fit.alone_variance, method, df)


def _group_variance(
    part: SegmentRows, fit: InteractedFit, groups: Int, inference: str
) -> VarianceEstimate:
    """Sum the row scores within groups, CR1 or CR3; the covariates' mean moves for the population."""
    n, grouped = len(part.rows), grouped_rows(groups[part.rows], part.is_treated)
    centring = fit.centring if inference == "population" else np.zeros(n)
    if grouped.leaves_out and len(grouped.names) > fit.rank:
        sums = fit.scores_left_out(grouped.codes) + grouped.left_out_mean(centring, part.own)
    else:
        sums = grouped.sums(fit.influence * np.sqrt((n - 1) / max(n - fit.rank, 1)) + centring)
    return group_variance(grouped, sums, part.own, fit.rank, ": use fewer covariates")


def _small_sample(part: SegmentRows) -> float:
    """Root of n / (n - 1), n the rows of the target population."""
    n = part.counted.n_matched
    return float(np.sqrt(n / max(n - 1, 1)))


def _rows_in_arms(part: SegmentRows) -> tuple[int, int]:
    """Count the rows of either arm; with sampling weights the rows of equal weight they are worth."""
    arms = (~part.is_treated, part.is_treated)
    if part.weight_note != SAMPLING_NOTE:
        return int(arms[0].sum()), int(arms[1].sum())
    sizes = [int(effective_rows(part.weight[at], as_counts=False)) for at in arms]
    return sizes[0], sizes[1]


def _notes(fit: InteractedFit, n_arm: tuple[int, int]) -> list[str]:
    notes = []
    for arm, word in ((1, "treated"), (0, "controls")):
        if n_arm[arm] < ROWS_PER_COEFFICIENT * fit.arm_ranks[arm] and fit.arm_ranks[arm] > 1:
            notes.append(f"{n_arm[arm]} {word} for {_counted(fit.arm_ranks[arm])}")
    if fit.n_common:
        what = "covariate has" if fit.n_common == 1 else "covariates have"
        notes.append(f"{fit.n_common} {what} one slope for both arms (no own variation in one)")
    if fit.n_alone:
        what = "row alone decides" if fit.n_alone == 1 else "rows alone decide"
        notes.append(f"{fit.n_alone} {what} a coefficient")
    return notes


def _counted(n_coefficients: int) -> str:
    return f"{n_coefficients} coefficient{'' if n_coefficients == 1 else 's'}"
