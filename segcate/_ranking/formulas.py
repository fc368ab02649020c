"""Rank-weighted average treatment effects (RATE): the value and standard error of a ranking.

Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., & Wager, S. (2025). Evaluating treatment
prioritization rules via rank-weighted average treatment effects. JASA, 120(549), 38-51.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from scipy.special import digamma

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_option
from segcate._inputs.vectors import count_not_finite
from segcate._inputs.weights import read_weights
from segcate._ranking.estimates import RankScore
from segcate._ranking.rows import RankedRows, cluster_codes, rank_rows
from segcate._statistics.sandwich import mean_std_error

RankKind = Literal["qini", "autoc"]


def rank_score(
    prediction: Any,
    psi: Any,
    sample_weight: Any = None,
    *,
    kind: RankKind = "qini",
    groups: Any = None,
    with_influence: bool = False,
    rank_term: bool = True,
) -> RankScore:
    r"""Score a ranking of rows, highest prediction first, by the effect scores it puts on top.

    Rows of equal prediction are one block: any order inside it gives the same score. A weight of 2
    is the row written twice.

    Parameters
    ----------
    prediction : array-like of shape (n_rows,)
        What ranks the rows; finite.
    psi : array-like of shape (n_rows,)
        Effect score (pseudo-outcome) of each row; finite.
    sample_weight : array-like of shape (n_rows,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    kind : {"qini", "autoc"}, default="qini"
        Area between the gain curve and its chord, or area under the targeting operator curve.
    groups : int array of shape (n_rows,), default=None
        Cluster of each row: the standard error lets rows of a cluster depend on each other.
    with_influence : bool, default=False
        Keep the influence of each row.
    rank_term : bool, default=True
        Count that ranks are estimated. False takes them as fixed, which is too wide when effects are
        predictable.

    Returns
    -------
    RankScore

    Raises
    ------
    ValueError
        If an array is not one-dimensional, of another length, or holds NaN or infinity; if a weight
        is negative or all are 0; for "autoc", if weights average below 0.1.

    Notes
    -----
    With :math:`K_g` the weight ranked at or above block g, :math:`W` the weight of all rows and
    :math:`A(K)` the area weight collected by then,

    .. math:: \frac1W \sum_g \bar\psi_g \{A(K_g) - A(K_{g-1})\}, \quad
        A(K) = \frac{K (W - K)}{2 W} \text{ (qini)}, \quad K (H_W - H_K) \text{ (autoc)},

    :math:`H` the harmonic number. The influence of a row in block b is

    .. math:: (\psi_i - \bar\psi_b) \frac{A(K_b) - A(K_{b-1})}{K_b - K_{b-1}} +
        \sum_{g \ge b} a(K_g) (\bar\psi_g - \bar\psi_{g+1}),

    centred, with slope :math:`a(K) = 1/2 - K/W` (qini) or :math:`A(K) - A(K - 1)` (autoc): its
    first term is the row's own score, its second what the row does to the ranks below it.
    """
    check_option("rank_score", "kind", kind, get_args(RankKind))
    score = _vector("prediction", prediction, None)
    effect = _vector("psi", psi, score.shape)
    weight = None if sample_weight is None else _checked_weight(sample_weight, score.shape)
    clusters = None if groups is None else np.asarray(groups)
    if clusters is not None and clusters.shape != score.shape:
        raise ValueError(
            f"A ranking score needs `groups` as one vector with the shape {score.shape} of "
            f"`prediction`; its shape is {clusters.shape}."
        )
    ranked = rank_rows(score, effect, weight, clusters)
    value, influence = area_value_and_influence(ranked, kind, rank_term=rank_term)
    std_error, n_units = mean_std_error(influence, ranked.weight, ranked.clusters)
    in_rows = ranked.in_row_order(influence) if with_influence else None
    return RankScore(value, std_error, n_units, influence=in_rows)


def rank_difference(
    ours: RankScore, theirs: RankScore, sample_weight: Any = None, *, groups: Any = None
) -> RankScore:
    """Return one score less another on the same rows, psi, weights and groups.

    Both must come with their influence.
    """
    if ours.influence is None or theirs.influence is None:
        raise ValueError("rank_difference: both scores need `with_influence=True`.")
    influence = ours.influence - theirs.influence
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    clusters = None if groups is None else np.asarray(groups)
    if weight is not None and not weight.all():
        present = weight > 0
        influence, weight = influence[present], weight[present]
        clusters = None if clusters is None else clusters[present]
    codes = None if clusters is None else cluster_codes(clusters)
    std_error, n_units = mean_std_error(influence, weight, codes)
    return RankScore(ours.value - theirs.value, std_error, n_units)


def area_value_and_influence(
    ranked: RankedRows, kind: RankKind, *, rank_term: bool = True
) -> tuple[float, Float]:
    """Score ranked rows; the influence comes back in rank order, centred."""
    from segcate._ranking.kernels import (
        distinct_autoc_parts,
        distinct_qini_parts,
        own_and_rank_parts,
    )

    if ranked.is_distinct and ranked.weight is None and rank_term:
        parts = distinct_qini_parts if kind == "qini" else distinct_autoc_parts
        influence = np.empty(ranked.n_ranked)
        value = parts(ranked.psi, influence)
        influence -= influence.mean()
        return float(value) / ranked.n_ranked, influence
    reached = ranked.reached()
    total = float(reached[-1])
    area, slope = _area_weight(ranked, reached, kind)
    value, influence = own_and_rank_parts(
        ranked.psi, ranked.weight_or_empty, ranked.ends, area, slope
    )
    if not rank_term:
        step = np.diff(area, prepend=0.0) / np.diff(reached, prepend=0.0)
        influence = ranked.psi * np.repeat(step, np.diff(ranked.ends, prepend=-1))
    influence -= np.average(influence, weights=ranked.weight)
    return float(value) / total, influence


def _area_weight(ranked: RankedRows, reached: Float, kind: RankKind) -> tuple[Float, Float]:
    """Return A, the area weight of the ranks down to `reached` (0 at both ends), and its slope."""
    from segcate._ranking.kernels import harmonic_to_go

    total = float(reached[-1])
    if kind == "qini":
        return reached * (total - reached) / (2.0 * total), 0.5 - reached / total
    if ranked.weight is None:
        to_go: Float = harmonic_to_go(ranked.ends)
    else:
        to_go = float(digamma(total + 1.0)) - digamma(reached + 1.0)
    return reached * to_go, to_go - 1.0 + 1.0 / np.maximum(reached, 1.0)


def _vector(name: str, values: Any, shape: tuple[int, ...] | None) -> Float:
    """Check a finite vector, of the shape of `prediction` where that is given."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or (shape is not None and array.shape != shape):
        wanted = (
            "one value for every row" if shape is None else f"the shape {shape} of `prediction`"
        )
        raise ValueError(
            f"A ranking score needs `{name}` as one vector with {wanted}; its shape is "
            f"{array.shape}."
        )
    if len(array) == 0:
        raise ValueError(f"A ranking score needs at least one row; `{name}` has none.")
    n_bad = count_not_finite(array)
    if n_bad:
        advice = (
            "Rows without an effect cannot be ranked: give every segment one "
            "(`on_empty='overall'`), merge thin segments, or leave those rows out of all arrays."
            if name == "prediction"
            else "Every row needs an effect score; see segcate.metrics.effect_scores."
        )
        raise ValueError(f"`{name}` is NaN or infinite in {n_bad} of {len(array)} rows. {advice}")
    return array


def _checked_weight(sample_weight: Any, shape: tuple[int, ...]) -> Float | None:
    """Check weights; None when every row counts once."""
    weight = _vector("sample_weight", sample_weight, shape)
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError(
            "`sample_weight` must not be negative, and not 0 everywhere; "
            f"{int((weight < 0).sum())} of {len(weight)} weights are negative. "
            "Drop rows that should not count."
        )
    return read_weights(weight)
