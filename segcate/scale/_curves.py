"""Curves of covariates and the score on them, from the rows that a fit in memory takes for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from segcate._inputs.arrays import Float
from segcate._kernels import are_few
from segcate._nuisance.curves import Curves, curves_of
from segcate._nuisance.segment_logit import (
    MOST_ROWS,
    SegmentLogit,
    fit_all_rows,
    fit_segment_logit,
)
from segcate._statistics.columns import Standard, standard_of
from segcate._statistics.row_sample import share_of
from segcate.matching import _model_columns
from segcate.scale._chosen import (
    ChosenRows,
    all_rows,
    chosen_keys,
    keyed_rows,
    smallest,
)
from segcate.scale._levels import EveryLevel
from segcate.scale._moments import Moments
from segcate.scale._runner import Runner


@dataclass(frozen=True, slots=True)
class Basis:
    """Curves of encoded columns.

    Attributes
    ----------
    levels : how columns get one for every level
    curves : of no rows
    """

    levels: EveryLevel
    curves: Curves

    def of(self, columns: Float) -> Curves:
        """Return the curves of some rows."""
        return replace(self.curves, columns=self.levels.of(columns))


@dataclass(frozen=True, slots=True)
class CurvedScore:
    """The penalised score of all segments, as rows of one have it.

    Attributes
    ----------
    basis : its columns
    logit : of all segments, in the order of their labels
    place : of the segment
    note : what is special about it
    is_exact : whether it is the maximum of a likelihood without penalty
    """

    basis: Basis
    logit: SegmentLogit
    place: int
    note: ClassVar[str] = ""
    is_exact: ClassVar[bool] = False

    def of(self, columns: Float) -> Float:
        """Return the log-odds of some rows."""
        everyone = np.arange(len(columns))
        rows_of = [everyone[:0]] * self.place + [everyone]
        return self.logit.log_odds(self.basis.of(columns), rows_of, len(columns))

    def mean(self, moments: Moments) -> float:
        """Return about the mean of the score over the rows of the segment."""
        return float(self.logit.sums.response_mean[self.place])


def made_curves(
    runner: Runner,
    levels: EveryLevel,
    moments: Mapping[int, Moments],
    order: Sequence[int],
    *,
    has_weights: bool,
) -> tuple[Basis, SegmentLogit | None]:
    """Choose curves, and fit the score on them; None where no segment has both arms.

    Parameters
    ----------
    order : segments in the order of their labels
    """
    n_rows = int(sum(m.n.sum() for m in moments.values()))
    if n_rows <= _model_columns.MOST_DECIDING:
        found = all_rows(runner, levels, has_weights=has_weights)
        curves = _curves(levels, [found[code, arm] for code in order for arm in (0, 1)], None)
        return Basis(levels, _of_no_rows(curves, n_rows)), _logit(curves, found, moments, order)
    whole = _whole(levels, moments)
    share = _model_columns.MOST_DECIDING / n_rows
    n_both = int(sum(m.n.sum() for m in moments.values() if m.has_both_arms))
    of_score = MOST_ROWS / max(n_both, 1)
    listed = chosen_keys(runner, levels, moments, max(share, of_score))
    strata = [(code, arm) for code in order for arm in (0, 1)]
    n = {(code, arm): int(moments[code].n[arm]) for code, arm in strata}
    deciding = [smallest(listed[s], share_of(n[s], share)) for s in strata]
    scored = {s: smallest(listed[s], share_of(n[s], of_score)) for s in strata}
    rows = keyed_rows(runner, levels, [*deciding, *scored.values()], has_weights=has_weights)
    curves = _curves(levels, [rows.of(keys) for keys in deciding], whole)
    chosen = {s: rows.of(keys) for s, keys in scored.items()}
    return Basis(levels, _of_no_rows(curves, n_rows)), _logit(curves, chosen, moments, order)


def _of_no_rows(curves: Curves, n_rows: int) -> Curves:
    """Keep the curves alone, for batches of so many rows."""
    return replace(curves.take(np.arange(0)), of_many=not are_few(n_rows))


def _curves(levels: EveryLevel, parts: Sequence[ChosenRows], whole: Standard | None) -> Curves:
    columns, weight = _joined(parts)
    if whole is None:
        return curves_of(columns, weight, levels.kind)
    _refuse_constant_tails(levels, columns)
    return curves_of(columns, _rounded(weight), levels.kind, whole=whole)


def _refuse_constant_tails(levels: EveryLevel, columns: Float) -> None:
    """Refuse long tails of so few rows that none is among those that decide on curves."""
    tamed = np.flatnonzero(~np.abs(levels.matrix()).any(axis=1))
    constant = tamed[(columns[:, tamed] == columns[0, tamed]).all(axis=0)]
    if len(constant):
        raise ValueError(
            f"scale.fit: column {levels.names[constant[0]]!r} has hardly a value beside its common one. Make it a 0/1 "
            "column in the source, or leave it out: columns=[...]."
        )


def _rounded(weight: Float | None) -> Float | None:
    """Return weights as `rounded_weight` gives them."""
    return None if weight is None else weight.astype(np.float32).astype(np.float64)


def _joined(parts: Sequence[ChosenRows]) -> tuple[Float, Float | None]:
    columns = np.ascontiguousarray(np.concatenate([part.columns for part in parts]))
    weights = [part.weight for part in parts if part.weight is not None]
    return columns, np.concatenate(weights) if weights else None


def _logit(
    curves: Curves,
    rows: Mapping[tuple[int, int], ChosenRows],
    moments: Mapping[int, Moments],
    order: Sequence[int],
) -> SegmentLogit | None:
    """Fit the score on the rows of the segments that have both arms."""
    both = [moments[code].has_both_arms for code in order]
    parts = [
        rows[code, arm] for code, is_whole in zip(order, both, strict=True) if is_whole
        for arm in (0, 1)
    ]  # fmt: skip
    if not parts:
        return None
    columns, weight = _joined(parts)
    sizes = iter([len(part.columns) for part in parts])
    arms = np.repeat(np.tile([0.0, 1.0], len(parts) // 2), [len(part.columns) for part in parts])
    lengths = [next(sizes) + next(sizes) if is_whole else 0 for is_whole in both]
    rows_of = np.split(np.arange(len(columns)), np.cumsum(lengths)[:-1])
    curves = replace(curves, columns=columns)
    if sum(int(m.n.sum()) for m in moments.values()) <= _model_columns.MOST_DECIDING:
        return fit_segment_logit(curves, rows_of, arms, weight)
    return fit_all_rows(curves, rows_of, arms, _rounded(weight))


def _whole(levels: EveryLevel, moments: Mapping[int, Moments]) -> Standard:
    """Standardise the columns of all rows by the moments of the segments."""
    found = list(moments.values())
    mass = np.array([m.mass.sum() for m in found])
    share = mass / mass.sum()
    means = np.array([m.mean[1:] for m in found])
    mean = share @ means
    gaps = means - mean
    covariance = np.tensordot(share, np.array([m.covariance for m in found]), axes=1)
    covariance += (gaps * share[:, None]).T @ gaps
    matrix = levels.matrix()
    is_first = np.arange(len(matrix)) >= len(matrix) - len(levels.places)
    low = np.abs(matrix) @ np.min([m.low for m in found], axis=0)
    high = np.abs(matrix) @ np.max([m.high for m in found], axis=0)
    low[is_first], high[is_first] = 0.0, 1.0
    size = np.maximum(np.abs(low), np.abs(high))
    return standard_of(low, matrix @ mean + is_first - low, matrix @ covariance @ matrix.T, size)
