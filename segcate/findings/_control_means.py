"""What the outcome would have been without treatment, and how it moves with the effect.

On the treated it is their mean outcome less the effect; on the controls their mean outcome; on all
rows a mean over controls, weighted as the estimator weighs them and adjusted by a regression on the
covariates. The regression also says how errors of the control mean and of the effect go together,
which an interval of their ratio needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import encode_columns
from segcate._statistics.least_squares import centre_columns, least_squares
from segcate._statistics.sandwich import unit_factor
from segcate.effects import SegmentMatching
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._design import arm_weights
from segcate.findings._source import OWNER, Source

Mask = npt.NDArray[np.bool_]

# The regression takes the covariates only where an arm has this many rows a coefficient.
_ROWS_A_COEFFICIENT = 5


@dataclass(frozen=True, slots=True)
class ControlMean:
    """The mean outcome of the rows of an estimand, had they not been treated.

    Attributes
    ----------
    mean : NaN where rows were left out of the estimate, so that nobody knows which
    std_error : of the mean
    correlation : of its error with that of the effect
    """

    mean: float
    std_error: float
    correlation: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment: its rows, and what each adds to the errors of control mean and effect.

    Attributes
    ----------
    rows : positions of the segment's rows
    mean, effect : the two estimates
    mass : weight of each row in the estimand, 0 for all others
    on_mean, on_effect : what each row adds to the errors
    """

    rows: Int
    mean: float
    effect: float
    mass: Float
    on_mean: Float
    on_effect: Float


def control_means(source: Source, rows: AnalysedRows) -> tuple[list[ControlMean], ControlMean]:
    """Return the control mean of each segment, and of everyone."""
    table = source.model.effects_
    Z = _covariates(rows)
    focal = _focal_rows(source, rows)
    weights = arm_weights(source, rows)
    parts: list[_Part | None] = []
    for i, status in enumerate(table["status"].tolist()):
        at = np.flatnonzero((rows.codes == i) & rows.is_used)
        is_whole = int(focal[at].sum()) == int(table["n_matched"].iloc[i])
        known = status.startswith("ok") and is_whole
        effect = float(table["effect"].iloc[i])
        parts.append(_part(source, rows, (Z, focal, weights), at, effect) if known else None)
    found = [
        ControlMean(np.nan, np.nan, np.nan) if part is None
        else _summed(part.mean, part.on_mean, part.on_effect, _groups(rows, part.rows))
        for part in parts
    ]  # fmt: skip
    estimated = [status.startswith("ok") for status in table["status"].tolist()]
    kept = [part for part, has in zip(parts, estimated, strict=True) if has]
    if any(part is None for part in kept):
        return found, ControlMean(np.nan, np.nan, np.nan)
    return found, _everyone(rows, [part for part in kept if part is not None])


def _covariates(rows: AnalysedRows) -> Float:
    """Return the covariates as numbers, gaps filled with the mean of the column."""
    if not rows.covariates:
        return np.empty((rows.n_rows, 0))
    Z = encode_columns(rows.labelled, rows.covariates, owner=OWNER).values
    is_gap = np.isnan(Z)
    if is_gap.any():
        n_known = np.maximum((~is_gap).sum(axis=0), 1)
        Z = np.where(is_gap, np.where(is_gap, 0.0, Z).sum(axis=0) / n_known, Z)
    return np.asarray(Z, dtype=np.float64)


def _focal_rows(source: Source, rows: AnalysedRows) -> Mask:
    """Mark the rows whose effect is estimated."""
    treated = rows.treatment == 1
    wanted = {"att": treated, "atc": ~treated}.get(
        source.model.estimand, np.ones(rows.n_rows, dtype=bool)
    )
    if isinstance(source.model, SegmentMatching):
        is_matched = source.model.matcher_.matched_.status == 0
        wanted = wanted & (rows.spread(is_matched.astype(np.float64), 0.0) > 0)
    return np.asarray(wanted & rows.is_used)


def _part(
    source: Source, rows: AnalysedRows, parts: tuple[Float, Mask, Float], at: Int, effect: float
) -> _Part:
    """Estimate the control mean of one segment, and what each row adds to its error."""
    Z, focal, weights = parts
    y, treated, own = rows.y[at], rows.treatment[at] == 1, rows.own_weight[at]
    mass = np.where(focal[at], own, 0.0)
    mass = mass / mass.sum()
    arm_weight = weights[at]
    lines = [_line(Z[at], y, arm, own) for arm in (~treated, treated)]
    gap = lines[1] - lines[0]
    errors = []
    for arm, line in zip((~treated, treated), lines, strict=True):
        share = np.where(arm, arm_weight, 0.0)
        errors.append(share / max(share.sum(), 1e-300) * (y - line))
    estimand = source.model.estimand
    if estimand == "att":
        errors[1] = mass * (y - lines[1])
        mean = float(mass @ y) - effect
    elif estimand == "atc":
        errors[0] = mass * (y - lines[0])
        mean = float(mass @ y)
    else:
        mean = float(mass @ lines[0] + errors[0].sum())
    errors = [
        e - (e.sum() / max(a.sum(), 1)) * a
        for e, a in zip(errors, (~treated, treated), strict=True)
    ]
    on_effect = mass * (gap - mass @ gap) + errors[1] - errors[0]
    on_mean = mass * (lines[0] - mass @ lines[0]) + errors[0]
    return _Part(at, mean, effect, np.where(focal[at], own, 0.0), on_mean, on_effect)


def _line(Z: Float, y: Float, arm: Mask, weight: Float) -> Float:
    """Predict the outcome of an arm for all rows of a segment; its mean where the arm is thin."""
    n = int(arm.sum())
    centred = centre_columns(Z) if Z.shape[1] and n else np.empty((len(y), 0))
    if n < _ROWS_A_COEFFICIENT * (centred.shape[1] + 1):
        centred = np.empty((len(y), 0))
    design = np.column_stack([np.ones(len(y)), centred])
    if n == 0:
        return np.zeros(len(y))
    fit = least_squares(design[arm], y[arm], weight[arm])
    return np.asarray(design @ fit.coef)


def _groups(rows: AnalysedRows, at: Int) -> Int | None:
    return None if rows.groups is None else rows.groups[at]


def _summed(mean: float, on_mean: Float, on_effect: Float, groups: Int | None) -> ControlMean:
    """Sum squares and products of what rows, or groups of them, add to the errors."""
    if groups is not None:
        codes = np.unique(groups, return_inverse=True)[1]
        sums = [np.bincount(codes, weights).astype(np.float64) for weights in (on_mean, on_effect)]
        on_mean, on_effect = sums
    n = int(((on_mean != 0) | (on_effect != 0)).sum())
    factor = float(unit_factor(n))
    variance, other = factor * float(on_mean @ on_mean), factor * float(on_effect @ on_effect)
    product = factor * float(on_mean @ on_effect)
    spread = np.sqrt(variance * other)
    return ControlMean(mean, float(np.sqrt(variance)), product / spread if spread > 0 else 0.0)


def _everyone(rows: AnalysedRows, parts: list[_Part]) -> ControlMean:
    """Average the segments by their weight in the estimand."""
    if not parts:
        return ControlMean(np.nan, np.nan, np.nan)
    mass = np.array([part.mass.sum() for part in parts])
    share = mass / mass.sum()
    mean = float(share @ np.array([part.mean for part in parts]))
    effect = float(share @ np.array([part.effect for part in parts]))
    on_mean, on_effect = np.zeros(rows.n_rows), np.zeros(rows.n_rows)
    for part, s in zip(parts, share.tolist(), strict=True):
        own = part.mass / mass.sum()
        on_mean[part.rows] = s * part.on_mean + own * (part.mean - mean)
        on_effect[part.rows] = s * part.on_effect + own * (part.effect - effect)
    return _summed(mean, on_mean, on_effect, rows.groups)
