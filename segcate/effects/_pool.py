"""Put the segments' estimates together: covariances between them, and the effect for everyone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segcate._validation import SegmentCodes
from segcate.effects._effect_table import FEWEST_FOR_Q, NORMAL_FROM, EffectTable
from segcate.effects._segment_estimate import SegmentEstimate

Float = npt.NDArray[np.float64]


def pool(
    estimates: Sequence[SegmentEstimate],
    segment: SegmentCodes,
    *,
    inference: str,
    confidence_level: float,
) -> EffectTable:
    """Build the effect table.

    The overall effect weighs each segment by its matched focal rows. Its population variance has the
    spread of the effects between segments beside the segments' own variances,
    ``sum (n_k / N)^2 V_k + (1 / N^2) sum n_k (effect_k - effect)^2``; its sample variance has not.
    With groups both are sums of scores over groups, and segments that share groups have covariances.
    A segment whose outcomes do not vary adds nothing to either; where none varies there is none.
    """
    effect = np.array([e.effect for e in estimates])
    covariance = np.diag([e.variance for e in estimates])
    known = np.array([e.is_estimated for e in estimates])
    by_group = any(e.group_sums is not None for e in estimates)
    if by_group:
        for i, a in enumerate(estimates):
            for j, b in enumerate(estimates):
                if i != j and a.group_sums is not None and b.group_sums is not None:
                    covariance[i, j] = float(a.group_sums @ b.group_sums)
    n_matched = np.array([e.n_matched for e in estimates])
    n_groups = np.array([e.n_groups for e in estimates])
    smaller = n_groups if by_group else np.array([e.n_smaller_focal for e in estimates])
    return EffectTable(
        labels=segment.labels,
        status=tuple(e.status for e in estimates),
        n=np.array([e.n for e in estimates]),
        n_treated=np.array([e.n_treated for e in estimates]),
        n_control=np.array([e.n_control for e in estimates]),
        n_matched=n_matched,
        effect=effect,
        covariance=covariance,
        df=_degrees_of_freedom(smaller, by_group),
        usable=n_matched >= FEWEST_FOR_Q,
        overall=_overall(estimates, effect, known, inference, by_group),
        confidence_level=confidence_level,
    )


def _degrees_of_freedom(counts: npt.NDArray[np.int64], by_group: bool) -> Float:
    """Student's t with count - 1: always over groups, over rows below 100 of them."""
    df = np.maximum(counts - 1, 1).astype(np.float64)
    return df if by_group else np.where(counts < NORMAL_FROM, df, np.inf)


def _overall(
    estimates: Sequence[SegmentEstimate],
    effect: Float,
    known: npt.NDArray[np.bool_],
    inference: str,
    by_group: bool,
) -> tuple[float, float, float]:
    """Return effect, variance and degrees of freedom for everyone."""
    if not known.any():
        return np.nan, np.nan, np.inf
    chosen = [e for e, k in zip(estimates, known, strict=True) if k]
    total = np.array([e.total for e in chosen])
    share = total / total.sum()
    value = float(share @ effect[known])
    gap = effect[known] - value
    if not any(e.variance > 0 for e in chosen):
        return value, np.nan, np.inf
    if by_group:
        sums = _overall_group_sums(chosen, share, gap, inference)
        n_groups = int((np.array([e.group_totals for e in chosen]) > 0).any(axis=0).sum())
        return value, float(sums @ sums), float(max(n_groups - 1, 1))
    variance = float(share**2 @ np.array([e.pooled_variance for e in chosen]))
    if inference == "population":
        squares = np.array([e.total_squares for e in chosen])
        variance += float(squares @ gap**2) / total.sum() ** 2
    n = sum(e.n_smaller_focal for e in chosen)
    return value, variance, float(n - 1) if n < NORMAL_FROM else np.inf


def _overall_group_sums(
    chosen: Sequence[SegmentEstimate], share: Float, gap: Float, inference: str
) -> Float:
    sums = sum(
        s * e.group_sums for s, e in zip(share, chosen, strict=True) if e.group_sums is not None
    )
    out = np.asarray(sums, dtype=np.float64)
    if inference == "population":
        mass = sum(e.total for e in chosen)
        for e, g in zip(chosen, gap, strict=True):
            if e.group_totals is not None:
                out = out + e.group_totals / mass * g
    return out
