"""Put the segments' estimates together: covariances between them, and the effect for everyone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.intervals import freedom_of_rows, satterthwaite
from segcate.effects._table.effect_table import FEWEST_FOR_Q, EffectTable, FocalWeights, Overall
from segcate.effects._table.group_scores import GroupScores, collect_group_scores
from segcate.effects._table.segment_estimate import SegmentEstimate


def pool(
    estimates: Sequence[SegmentEstimate],
    labels: npt.NDArray[Any],
    *,
    inference: str,
    confidence_level: float,
    estimand: str = "",
    outcome: str = "",
    n_groups: int = 0,
) -> EffectTable:
    """Build the effect table of segments called `labels`, in their order.

    The overall effect weighs each segment by its matched focal rows. Its population variance has the
    spread of the effects between segments beside the segments' own variances,
    ``sum (n_k / N)^2 V_k + (1 / N^2) sum n_k (effect_k - effect)^2``; its sample variance has not.
    With groups both are sums of scores over groups, and segments that share groups have covariances.
    Its degrees of freedom follow from those of the segments after Satterthwaite.
    A segment whose outcomes do not vary adds nothing to either; where none varies there is none.
    """
    known = np.array([e.is_estimated for e in estimates])
    scores = collect_group_scores(estimates, n_groups)
    between = None if scores is not None else _between(estimates, known)
    n_matched = np.array([e.n_matched for e in estimates])
    return EffectTable(
        labels=labels,
        status=tuple(e.status for e in estimates),
        n=np.array([e.n for e in estimates]),
        n_treated=np.array([e.n_treated for e in estimates]),
        n_control=np.array([e.n_control for e in estimates]),
        n_matched=n_matched,
        effect=np.array([e.effect for e in estimates]),
        variance=np.array([e.variance for e in estimates]),
        df=np.array([e.df for e in estimates]),
        scores=scores,
        between=between,
        n_eff_controls=np.array([e.n_eff_controls for e in estimates]),
        usable=n_matched >= FEWEST_FOR_Q,
        overall=average(estimates, inference, scores, between),
        confidence_level=confidence_level,
        weights=FocalWeights(
            total=np.array([e.total for e in estimates], dtype=np.float64),
            squares=np.array([e.total_squares for e in estimates], dtype=np.float64),
            pooled_variance=np.array([e.pooled_variance for e in estimates]),
        ),
        methods=tuple(e.method for e in estimates),
        estimand=estimand,
        inference=inference,
        outcome=outcome,
    )


def _between(estimates: Sequence[SegmentEstimate], known: npt.NDArray[np.bool_]) -> Float | None:
    """Put the covariances of segments that share donors together, 0 on the diagonal; None for none."""
    rows = [e.covariances for e in estimates if e.covariances is not None]
    if len(rows) < len(estimates) or len(rows) < 2:
        return None
    found = np.where(np.outer(known, known), np.array(rows), 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def average(
    estimates: Sequence[SegmentEstimate],
    inference: str,
    scores: GroupScores | None,
    between: Float | None = None,
) -> Overall:
    """Average the effects by their matched focal rows."""
    known = np.array([e.is_estimated for e in estimates])
    if not known.any():
        return Overall(np.nan, np.nan, np.inf)
    chosen = [e for e, k in zip(estimates, known, strict=True) if k]
    total = np.array([e.total for e in chosen])
    share = total / total.sum()
    effect = np.array([e.effect for e in chosen])
    value = float(share @ effect)
    if not any(e.variance > 0 for e in chosen):
        return Overall(value, np.nan, np.inf)
    parts = share**2 * np.array([e.pooled_variance for e in chosen])
    df = np.array([e.df for e in chosen])
    spread = 0.0
    if inference == "population":
        squares = np.array([e.total_squares for e in chosen])
        spread = float(squares @ (effect - value) ** 2) / float(total.sum()) ** 2
    if scores is None:
        n_matched = sum(e.n_matched for e in chosen)
        freedom = satterthwaite([*parts, spread], [*df, freedom_of_rows(n_matched)])
        shared = 0.0 if between is None else float(share @ between[np.ix_(known, known)] @ share)
        return Overall(value, float(parts.sum()) + spread + shared, float(freedom))
    gap = effect - value if inference == "population" else np.zeros(len(chosen))
    sums = overall_group_sums(chosen, share, gap)
    together = scores.freedom_together(known[np.newaxis], np.array([e.df for e in estimates]))
    freedom = min(float(satterthwaite(parts, df)), float(together[0]))
    return Overall(value, float(sums @ sums), freedom)


def overall_group_sums(chosen: Sequence[SegmentEstimate], share: Float, gap: Float) -> Float:
    """Sum what each group, by its code, adds to the error of the average effect."""
    mass = sum(e.total for e in chosen)
    groups, sums = [], []
    for e, s, g in zip(chosen, share, gap, strict=True):
        if e.groups is not None and e.group_sums is not None and e.group_totals is not None:
            groups.append(e.groups)
            sums.append(s * e.group_sums + e.group_totals / mass * g)
    return np.bincount(np.concatenate(groups), np.concatenate(sums)).astype(np.float64)
