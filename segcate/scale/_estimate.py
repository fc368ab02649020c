"""From the sums of all parts of a segment to its estimate: the bias regression, the effect, its variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate._inputs.weights import COUNTS_NOTE
from segcate._statistics.columns import independent_in_gram
from segcate._statistics.intervals import freedom_of_rows
from segcate.effects._matched.abadie_imbens_2016 import (
    FEWEST_FOR_AUTO,
    NOT_VALID,
    corrected_variance,
    covariate_gaps,
    larger_variance,
    nearest_covariate_means,
)
from segcate.effects._matched.adjustment import affordable
from segcate.effects._matched.estimate import too_thin
from segcate.effects._table.segment_estimate import (
    RareEvents,
    SegmentEstimate,
    VarianceEstimate,
    rare_by_counts,
    with_effect,
)
from segcate.matching._support import FOCAL_ARMS
from segcate.scale._core import SegmentPlan
from segcate.scale._sums import Sums

# A column whose deviation is below this share of its distance from the shift is a constant.
_CONSTANT = 1e-12


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What is said of a segment beside its sums.

    Attributes
    ----------
    plan : how its parts were matched
    adjustment : None or "bias"
    std_error : "abadie-imbens", "abadie-imbens-2016" or "abadie-imbens-auto"
    fewest : rows of each arm that an estimate needs
    as_published : whether the variance is left as it is where events are rare
    weight_note, score_note : texts for the status
    varies : bool array of shape (n_columns,), covariates that are not constant in the segment
    """

    plan: SegmentPlan
    adjustment: Any
    std_error: str
    fewest: int
    as_published: bool
    weight_note: str
    score_note: str
    varies: Bool


@dataclass(frozen=True, slots=True)
class _Regression:
    """Outcomes less the bias regression are ``v' w``, for focal rows of each arm."""

    weights: dict[int, Float]
    note: str


def segment_estimate(sums: Sums, facts: SegmentFacts) -> SegmentEstimate:
    """Estimate one segment."""
    empty = without_estimate(sums, facts)
    if empty.status:
        return empty
    regression = _regression(sums, facts)
    effect = _effect(sums, regression, facts.plan)
    variance = _variance(sums, regression, effect, facts)
    rare = _rare_events(sums)
    if facts.as_published:
        rare = replace(rare, variance=0.0)
    notes = [facts.weight_note, facts.score_note, regression.note]
    found = with_effect(empty, effect, variance, notes, sums["largest_y"], rare)
    return replace(
        found,
        total_squares=float(sums["squares"].sum()),
        n_eff_controls=float(sums["share"][0] ** 2 / sums["share_squares"][0]),
    )


def _focal(plan: SegmentPlan) -> list[int]:
    return [arm for arm in (0, 1) if FOCAL_ARMS[plan.estimand][arm]]


def without_estimate(sums: Sums, facts: SegmentFacts) -> SegmentEstimate:
    """Count the rows, and say why there is no estimate; an empty status means there is one."""
    n_control, n_treated = (int(n) for n in sums["n"])
    n_matched = int(sums["n_matched"].sum())
    found = SegmentEstimate(
        "", np.nan, np.nan, n_control + n_treated, n_treated, n_control, n_matched,
        float(sums["total"].sum()),
    )  # fmt: skip
    low, high = sums["smallest_score"], sums["largest_score"]
    if n_treated == 0:
        return replace(found, status="no treated rows")
    if n_control == 0:
        return replace(found, status="no control rows")
    if n_matched == 0:
        return replace(found, status="caliper took all matches")
    if low[1] > high[0] or low[0] > high[1]:
        return replace(found, status="no overlap of scores")
    least = int(min(sums["n_matched"][arm] for arm in _focal(facts.plan)))
    n_donors = int(sums["n_donors"].sum())
    return replace(found, status=too_thin(least, n_donors, n_treated, n_control, facts.fewest))


def _regression(sums: Sums, facts: SegmentFacts) -> _Regression:
    """Regress the outcomes of the donors on the covariates, on the score, or on nothing."""
    weights, note = {}, ""
    for arm in _focal(facts.plan):
        w = np.zeros(len(facts.plan.shift))
        w[0] = 1.0
        if facts.adjustment == "bias":
            found, said = _affordable(sums, 1 - arm, facts)
            columns = {"columns": slice(2, None), "score": slice(1, 2)}.get(found)
            if columns is not None:
                varies = np.append([True, True], facts.varies)
                w[columns] -= _slopes(sums[f"donors_{1 - arm}"], columns, varies)
            note = note or said
        weights[arm] = w
    return _Regression(weights, note)


def _affordable(sums: Sums, arm: int, facts: SegmentFacts) -> tuple[str, str]:
    """Say what the donors of an arm are enough for."""
    plain = sums[f"donors_plain_{arm}"]
    n_rows = int(plain[0, 0])
    n_donors = float(n_rows)
    if f"donor_weight_{arm}" in sums:
        total, squares = sums[f"donor_weight_{arm}"].tolist()
        is_counted = facts.weight_note == COUNTS_NOTE
        n_donors = total if is_counted else float(np.round(total**2 / squares, 6))
    varies = np.append([False, False], facts.varies)

    def rank() -> int:
        _, correlation, moves = _centred(plain, varies)
        return int(independent_in_gram(correlation, moves).sum())

    return affordable(n_rows, n_donors, len(facts.varies), rank)


def _centred(products: Float, candidates: Bool) -> tuple[Float, Float, Bool]:
    """Return covariances and correlations of columns from sums of ``(1, v)(1, v)'``, and which vary."""
    mass = products[0, 0]
    mean = products[0, 1:] / mass
    covariance = products[1:, 1:] / mass - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    varies = candidates & (deviation > _CONSTANT * np.maximum(np.abs(mean) + deviation, 1e-300))
    safe = np.where(varies, deviation, 1.0)
    correlation = covariance / safe / safe[:, None]
    correlation[~varies], correlation[:, ~varies] = 0.0, 0.0
    np.fill_diagonal(correlation, np.where(varies, 1.0, 0.0))
    return covariance, correlation, varies


def _slopes(products: Float, columns: slice, candidates: Bool) -> Float:
    """Regress the outcome on some columns; aliased ones, from the left, get 0."""
    covariance, correlation, varies = _centred(products, candidates)
    at = np.arange(len(covariance))[columns]
    kept = at[independent_in_gram(correlation[np.ix_(at, at)], varies[at])]
    out = np.zeros(len(covariance))
    scale = np.sqrt(np.diag(covariance)[kept])
    part = correlation[np.ix_(kept, kept)]
    out[kept] = np.linalg.solve(part, covariance[kept, 0] / scale) / scale
    return out[columns]


def _effect(sums: Sums, regression: _Regression, plan: SegmentPlan) -> float:
    """Average the differences between focal rows and their sets."""
    total = sum(
        _sign(arm) * float(sums[f"gap_{arm}"] @ regression.weights[arm]) for arm in _focal(plan)
    )
    return total / float(sums["total"].sum())


def _sign(arm: int) -> float:
    return 1.0 if arm == 1 else -1.0


def _variance(
    sums: Sums, regression: _Regression, effect: float, facts: SegmentFacts
) -> VarianceEstimate:
    """Estimate the variance by the method asked for."""
    df = freedom_of_rows(int(sums["n_used"].min()))
    value = _variance_2006(sums, regression, effect, facts.plan)
    base = VarianceEstimate(value, "abadie-imbens", df)
    if facts.std_error == "abadie-imbens":
        return base
    is_published = facts.std_error == "abadie-imbens-2016"
    if facts.plan.model is None:
        return VarianceEstimate(np.nan, NOT_VALID, df) if is_published else base
    if is_published:
        return corrected_variance(base, _correction(sums, regression, effect, facts.plan))
    if facts.plan.inference == "sample" or int(sums["n_matched"].sum()) < FEWEST_FOR_AUTO:
        return base
    return larger_variance(base, _correction(sums, regression, effect, facts.plan))


def _variance_2006(sums: Sums, regression: _Regression, effect: float, plan: SegmentPlan) -> float:
    """Return the variance of matching with replacement, the score taken as known."""
    noise, total = float(sums["noise"][0]), float(sums["total"].sum())
    if plan.n_variance_neighbors == 0:
        noise *= _common_variance(sums, regression, effect, plan)
    if plan.inference == "population":
        for arm in _focal(plan):
            w, sign = regression.weights[arm], _sign(arm)
            noise += float(w @ sums[f"gap_squares_{arm}"] @ w)
            noise -= 2.0 * sign * effect * float(sums[f"gap_by_weight_{arm}"] @ w)
            noise += effect**2 * float(sums["squares"][arm])
    return noise / total**2


def _common_variance(
    sums: Sums, regression: _Regression, effect: float, plan: SegmentPlan
) -> float:
    """Return one variance for all rows, half the mean of squared pair differences less the effect."""
    total = 0.0
    for arm in _focal(plan):
        w, sign = regression.weights[arm], _sign(arm)
        total += float(w @ sums[f"gap_weighted_{arm}"] @ w)
        total -= 2.0 * sign * effect * float(sums[f"gap_{arm}"] @ w)
        total += effect**2 * float(sums["total"][arm])
        within = sums[f"donors_{1 - arm}"][1:, 1:] - sums[f"set_means_{arm}"]
        total += float(w @ within @ w)
    return 0.5 * total / float(sums["total"].sum())


def _correction(sums: Sums, regression: _Regression, effect: float, plan: SegmentPlan) -> float:
    """Return what the estimation of the score adds to the variance."""
    assert plan.model is not None
    covariance = plan.model.covariance
    if plan.estimand == "ate":
        c = (
            regression.weights[0] @ sums["derivative_1"]
            + regression.weights[1] @ sums["derivative_0"]
        )
        c = c / sums["n"].sum()
        return -float(c @ covariance @ c)
    focal = 1 if plan.estimand == "att" else 0
    w, total = regression.weights[focal], float(sums["total"].sum())
    c = (w @ sums[f"derivative_{focal}"] - effect * _sign(focal) * sums["slope"]) / total
    b = _covariate_term(sums, plan, lambda values: (values - plan.shift) @ w, effect) / total
    return float(b @ covariance @ b) - float(c @ covariance @ c)


def _covariate_term(
    sums: Sums, plan: SegmentPlan, adjusted: Callable[[Float], Float], effect: float
) -> Float:
    """Return the term of 2016 that looks for rows near on the covariates, from rows that stand for all."""
    assert plan.model is not None
    out = np.zeros(len(plan.model.covariance))
    for arm in (0, 1):
        rows, donors = sums[f"listed_rows_{arm}"], sums[f"listed_donors_{1 - arm}"]
        own = plan.model.of(rows[:, 2:], rows[:, 1])
        other = plan.model.of(donors[:, 2:], donors[:, 1])
        assert own.points is not None
        assert other.points is not None
        mean = nearest_covariate_means(
            own.points, other.points, adjusted(donors), max(plan.n_neighbors)
        )
        share = float(sums["n"][arm]) / len(rows)
        out += share * covariate_gaps(
            own.regressors, own.slope, adjusted(rows), mean, _sign(arm), effect
        )
    return out


def _rare_events(sums: Sums) -> RareEvents:
    """Count the events of a 0/1 outcome among the rows that are used."""
    if sums["largest_is_measured"][0]:
        return RareEvents()
    concentration = sums["share_squares"] / sums["share"] ** 2
    # treated first, as in memory
    return rare_by_counts(
        sums["events"][::-1].tolist(),
        [int(n) for n in sums["n_used"][::-1]],
        concentration[::-1].tolist(),
    )
