"""Curves along a ranking: uplift, Qini, cumulative effect and TOC, with confidence bands.

Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., & Wager, S. (2025). Evaluating treatment
prioritization rules via rank-weighted average treatment effects. JASA, 120(549), 38-51.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._ranking.rows import RankedRows, rank_rows
from segcate.metrics._scored_rows import check_rows
from segcate.metrics._targeting_curve import (
    Band,
    TargetingCurve,
    check_curve_options,
    level_of_each_point,
    points_of,
)
from segcate.metrics._top_share import GainPolyline, gain_polyline, top_shares

_ROUNDING = 1e-20


def uplift_curve(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    n_points: int | None = None,
    confidence_level: float = 0.95,
    band: Band = "pointwise",
    random_state: Any = None,
) -> TargetingCurve:
    r"""Collect the effect of treating the top share q, per row of all: g(q).

    Use it to read how much of the whole effect the best rows bring; its last point is the average
    effect of all rows. The other curves divide it by q, or compare it with a ranking by chance.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; shares are shares of the weight. Equal weights are none; whole
        numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
        there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    n_points : int, default=None
        That many shares 1/n_points, 2/n_points, ..., 1. None: the end of each block of equal
        predictions, which is the whole curve, or 200 even shares where there are more blocks.
    confidence_level : float, default=0.95
        Of the band, inside (0, 1).
    band : {"pointwise", "uniform"}, default="pointwise"
        "pointwise": at any one share named in advance the band holds the truth with that chance.
        "uniform": at all points at once, so that the curve may be searched; wider.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws behind a uniform band; a pointwise one needs none.

    Returns
    -------
    TargetingCurve
        Starts at (0, 0). In units of y, per row of all.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if `groups` holds one group; if an
        option is out of its range.

    See Also
    --------
    qini_curve : The gain less that of a ranking by chance.
    profit_curve : The gain less the cost of treatment.

    Notes
    -----
    :math:`g(q) = \frac1W \sum_i w_i \psi_i 1\{i \text{ among the top } q\}`. Rows of equal
    prediction share their mean, so the curve is straight across them.

    The standard error counts that the threshold is estimated: with :math:`\tau_q` the effect of the
    rows at the threshold, a row adds :math:`1\{\text{top}\} (\psi_i - \tau_q)`, less the mean.
    :math:`\tau_q` is the slope of g over n^(-1/3) of the rows to both sides. Intervals use t with
    one degree of freedom less than there are independent units in the top share, so the first few
    points are wide. Uniform bands come from a multiplier bootstrap with normal multipliers, drawn
    from the covariance of the points.

    Examples
    --------
    >>> from segcate.metrics import uplift_curve
    >>> curve = uplift_curve([3.0, 1.0, -1.0, 1.0], [0.9, 0.7, 0.2, 0.7])
    >>> curve.share.tolist(), curve.value.tolist()
    ([0.0, 0.25, 0.75, 1.0], [0.0, 0.75, 1.25, 1.0])
    """
    options = (n_points, confidence_level, band, random_state)
    return _curve("uplift", pseudo_outcome, prediction, sample_weight, groups, *options)


def qini_curve(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    n_points: int | None = None,
    confidence_level: float = 0.95,
    band: Band = "pointwise",
    random_state: Any = None,
) -> TargetingCurve:
    r"""Compare the gain of the top share with that of a ranking by chance: g(q) - q g(1).

    Use it to see where along the ranking a score is earned: the area under it is `qini_score`.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; shares are shares of the weight. Equal weights are none; whole
        numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
        there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    n_points : int, default=None
        As in `uplift_curve`.
    confidence_level : float, default=0.95
        Of the band, inside (0, 1).
    band : {"pointwise", "uniform"}, default="pointwise"
        As in `uplift_curve`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws behind a uniform band.

    Returns
    -------
    TargetingCurve
        Starts at (0, 0) and ends at (1, 0). In units of y, per row of all.

    Raises
    ------
    ValueError
        As in `uplift_curve`.

    See Also
    --------
    qini_score : The area under this curve.

    Notes
    -----
    The chord :math:`q g(1)` is what a ranking by chance gains. It is estimated on the same rows, and
    the standard error counts that: it is 0 at both ends.

    Examples
    --------
    >>> from segcate.metrics import qini_curve
    >>> qini_curve([3.0, 1.0, -1.0, 1.0], [0.9, 0.7, 0.2, 0.7]).value.tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    options = (n_points, confidence_level, band, random_state)
    return _curve("qini", pseudo_outcome, prediction, sample_weight, groups, *options)


def cumulative_effect_curve(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    n_points: int | None = None,
    confidence_level: float = 0.95,
    band: Band = "pointwise",
    random_state: Any = None,
) -> TargetingCurve:
    r"""Average the effect over the top share q: g(q) / q.

    Use it to tell how strong the effect is among those who would be treated; it falls from the best
    rows to the average effect of all.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; shares are shares of the weight. Equal weights are none; whole
        numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
        there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    n_points : int, default=None
        As in `uplift_curve`.
    confidence_level : float, default=0.95
        Of the band, inside (0, 1).
    band : {"pointwise", "uniform"}, default="pointwise"
        As in `uplift_curve`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws behind a uniform band.

    Returns
    -------
    TargetingCurve
        Starts at the first share above 0. In units of y, per treated row.

    Raises
    ------
    ValueError
        As in `uplift_curve`.

    See Also
    --------
    uplift_at_k : One point of this curve.
    cumulative_slope_curve : The same for a dose, where no effect scores exist.

    Examples
    --------
    >>> from segcate.metrics import cumulative_effect_curve
    >>> curve = cumulative_effect_curve([3.0, 1.0, -1.0, 1.0], [0.9, 0.7, 0.2, 0.7], n_points=2)
    >>> curve.share.tolist(), curve.value.tolist()
    ([0.5, 1.0], [2.0, 1.0])
    """
    options = (n_points, confidence_level, band, random_state)
    return _curve("cumulative_effect", pseudo_outcome, prediction, sample_weight, groups, *options)


def toc_curve(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    n_points: int | None = None,
    confidence_level: float = 0.95,
    band: Band = "pointwise",
    random_state: Any = None,
) -> TargetingCurve:
    r"""Compare the effect in the top share with that of all: g(q) / q - g(1).

    The targeting operator curve of Yadlowsky et al.; the area under it is `autoc_score`. Use it to
    see whether the head of the ranking stands out.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; shares are shares of the weight. Equal weights are none; whole
        numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
        there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    n_points : int, default=None
        As in `uplift_curve`.
    confidence_level : float, default=0.95
        Of the band, inside (0, 1).
    band : {"pointwise", "uniform"}, default="pointwise"
        As in `uplift_curve`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws behind a uniform band.

    Returns
    -------
    TargetingCurve
        Starts at the first share above 0 and ends at (1, 0). In units of y, per treated row.

    Raises
    ------
    ValueError
        As in `uplift_curve`.

    See Also
    --------
    autoc_score : The area under this curve.

    References
    ----------
    Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., & Wager, S. (2025). Evaluating treatment
    prioritization rules via rank-weighted average treatment effects. JASA, 120(549), 38-51.
    doi:10.1080/01621459.2024.2393466

    Examples
    --------
    >>> from segcate.metrics import toc_curve
    >>> toc_curve([3.0, 1.0, -1.0, 1.0], [0.9, 0.7, 0.2, 0.7], n_points=2).value.tolist()
    [1.0, 0.0]
    """
    options = (n_points, confidence_level, band, random_state)
    return _curve("toc", pseudo_outcome, prediction, sample_weight, groups, *options)


@dataclass(frozen=True, slots=True)
class GainCurve:
    """The curve a g(q) - b g(1) of ranked rows.

    Attributes
    ----------
    kind : {"uplift", "qini", "cumulative_effect", "toc"}
    ranked : the rows
    line : their gain
    """

    kind: str
    ranked: RankedRows
    line: GainPolyline

    def coefficients(self, share: Float) -> tuple[Float, Float]:
        """Return a and b."""
        one, nothing = np.ones_like(share), np.zeros_like(share)
        a = 1.0 / share if self.kind in ("cumulative_effect", "toc") else one
        b = {"uplift": nothing, "qini": share, "cumulative_effect": nothing, "toc": one}
        return a, b[self.kind]

    def points(self, share: Float) -> tuple[Float, Float, Float]:
        """Return value, standard error and degrees of freedom at each share."""
        ranked, line = self.ranked, self.line
        top = top_shares(ranked, share, line)
        a, b = self.coefficients(share)
        # The last gain is the mean itself, so that the centred curves end at 0.
        value = a * line.centred(share) + (a * share - b) * ranked.mean
        n_units = top.n_units_in()
        if self.kind in ("qini", "toc"):
            # Their error is that of the smaller side: at q near 1 few rows are below the threshold.
            n_units = np.minimum(n_units, top.n_units_below())
        variance = top.variance(a, b)
        # Below that it is rounding: a curve that cannot vary there, such as qini and toc at q = 1.
        smallest = _ROUNDING * (a**2 + b**2) * top.variance(0.0 * share, np.ones_like(share))
        return value, np.sqrt(np.where(variance > smallest, variance, 0.0)), n_units - 1.0

    def covariance(self, share: Float) -> Float:
        """Return the covariance of the points at all shares."""
        return top_shares(self.ranked, share, self.line).covariance(*self.coefficients(share))


def _curve(
    kind: str,
    pseudo_outcome: Any,
    prediction: Any,
    sample_weight: Any,
    groups: Any,
    n_points: int | None,
    confidence_level: float,
    band: Band,
    random_state: Any,
) -> TargetingCurve:
    owner = f"{kind}_curve"
    check_curve_options(owner, n_points, band)
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, confidence_level=confidence_level
    )
    ranked = rank_rows(rows.prediction, rows.psi, rows.weight, rows.clusters)
    source = GainCurve(kind, ranked, gain_polyline(ranked))
    share = points_of(source.line.reached, n_points)
    level = float(confidence_level)
    if band == "uniform":
        std_error = source.points(share)[1]
        covariance = source.covariance(share)
        level = level_of_each_point(owner, covariance, std_error, level, random_state)
    return TargetingCurve.of(kind, source, share, level, confidence_level, band, rows.n_rows)
