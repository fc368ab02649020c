"""The slope of outcome on dose among the best rows of a ranking, share by share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.treatment import check_dose
from segcate._ranking.rows import RankedRows, rank_rows
from segcate._statistics.sandwich import cluster_factor, row_factor
from segcate.metrics._scored_rows import check_rows
from segcate.metrics._targeting_curve import TargetingCurve, check_curve_options, points_of
from segcate.metrics._top_share import GainPolyline, TopShares, cut_cells, gain_polyline

_OWNER = "cumulative_slope_curve"
# Powers of dose and outcome whose sums make the slope, and its robust variance.
_FIRST = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1))
_SQUARE = tuple((d, v) for d in range(5) for v in range(3) if d + v <= 4)


def cumulative_slope_curve(
    y: Any,
    prediction: Any,
    *,
    treatment: Any,
    sample_weight: Any = None,
    groups: Any = None,
    n_points: int | None = None,
    confidence_level: float = 0.95,
) -> TargetingCurve:
    r"""Estimate the effect of a dose in the top share q by the slope of y on the dose there.

    The cumulative effect curve for a continuous treatment, where no effect scores exist. Right when
    the dose was given at random; otherwise hand in y and dose less what covariates predict of them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows, or any number to rank by,
        highest first. Finite.
    treatment : array-like of shape (n_samples,)
        Dose of each row, such as a price or a discount; at least two different ones.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; shares are shares of the weight. Equal weights are none; whole
        numbers from 1 are counts of rows; of all others only ratios count; a row of weight 0 is not
        there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    n_points : int, default=None
        As in `uplift_curve`.
    confidence_level : float, default=0.95
        Of the band, which is pointwise; inside (0, 1).

    Returns
    -------
    TargetingCurve
        In units of y per unit of dose. NaN at points whose rows all had the same dose.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if all doses are equal; if an option is
        out of its range.

    See Also
    --------
    cumulative_effect_curve : For a treatment of two arms.

    Notes
    -----
    Ordinary least squares of y on an intercept and the dose among the top share, from running sums,
    O(n log n) in all. The standard error is robust to heteroskedasticity (HC1; CR1 with groups),
    plus what the estimated threshold adds: :math:`q (1 - q) \bar s_q^2`, with :math:`\bar s_q` the
    mean of :math:`(t - \bar t)(y - \hat y)` over the rows at the threshold. At q = 1 it is the
    robust standard error of the regression on all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import cumulative_slope_curve
    >>> rng = np.random.default_rng(0)
    >>> price, taste = rng.uniform(1, 2, 4000), rng.uniform(0, 2, 4000)
    >>> sales = -taste * (price - 1.5) + 0.1 * rng.normal(size=4000)
    >>> curve = cumulative_slope_curve(sales, -taste, treatment=price, n_points=2)
    >>> curve.value.round(1).tolist()
    [-0.5, -1.0]
    """
    check_curve_options(_OWNER, n_points, "pointwise")
    rows = check_rows(
        _OWNER, y, prediction, sample_weight, groups, name="y", treatment=treatment, needs_units=3,
        confidence_level=confidence_level,
    )  # fmt: skip
    dose = check_dose(_OWNER, treatment, y)
    ranked = rank_rows(rows.prediction, rows.psi, rows.weight, rows.clusters)
    kept = rows.keep(dose)[ranked.order]
    if kept.min() == kept.max():
        raise ValueError(
            f"{_OWNER}: `treatment` is {kept[0]:g} in all {len(kept)} rows; a slope needs at least two "
            "doses."
        )
    source = SlopeCurve(
        ranked, gain_polyline(ranked), kept - np.average(kept, weights=ranked.weight)
    )
    return TargetingCurve.of(
        "cumulative_slope", source, points_of(source.line.reached, n_points),
        float(confidence_level), confidence_level, "pointwise", rows.n_rows,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SlopeCurve:
    """The slopes of outcome on dose in the top shares of ranked rows.

    Attributes
    ----------
    ranked : the rows, their outcomes in place of effect scores
    line : their gain
    dose : float64 array of shape (n_ranked,), in rank order, less its mean
    """

    ranked: RankedRows
    line: GainPolyline
    dose: Float

    def points(self, share: Float) -> tuple[Float, Float, Float]:
        """Return slope, standard error and degrees of freedom at each share; the last is 1."""
        line = self.line
        cells = cut_cells(self.ranked, line.reached, share)
        top = TopShares(share, np.zeros_like(share), np.zeros_like(share), cells, self.ranked)
        fit = _Slopes.of(top, self.dose)
        half = line.half_window(share, self.ranked.n_units)
        low = np.clip(share - half, 0.0, 1.0)
        std_error, df = fit.std_error(fit.score_between(low, share + half, line.reached))
        return fit.slope, std_error, df


@dataclass(frozen=True, slots=True)
class _Slopes:
    """Regressions of outcome on dose in the top share of each point, both less their mean.

    Attributes
    ----------
    top : the top shares
    dose : float64 array of shape (n_ranked,), in rank order
    dose_mean, outcome_mean, dose_squares, slope : float64 arrays of shape (n_points,)
        Means in the top share, sum of squared deviations of the dose, and the slope.
    """

    top: TopShares
    dose: Float
    dose_mean: Float
    outcome_mean: Float
    dose_squares: Float
    slope: Float

    @classmethod
    def of(cls, top: TopShares, dose: Float) -> _Slopes:
        """Fit a line in each top share."""
        empty = np.zeros_like(top.share)
        blank = cls(top, dose, empty, empty, empty, empty)
        s1, sd, sv, sdd, sdv = blank.running(_FIRST)
        squares = sdd - sd**2 / s1
        # Below that the doses of the top share are equal but for rounding.
        varies = squares > 1e-12 * sdd[-1] * s1 / s1[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.where(varies, (sdv - sd * sv / s1) / squares, np.nan)
        return replace(
            blank, dose_mean=sd / s1, outcome_mean=sv / s1, dose_squares=squares, slope=slope
        )

    def running(self, powers: Any, weight_power: int = 1) -> Iterator[Float]:
        """Sum w dose^a outcome^b over each top share, by the part of a cut cell that is in it."""
        cells, cut = self.top.cells, self.top.cells.n_full
        for in_cell in self._in_cells(powers, weight_power):
            before = np.append(0.0, np.cumsum(in_cell))[cut]
            yield before + cells.part**weight_power * in_cell[cut]

    def _in_cells(self, powers: Any, weight_power: int) -> Iterator[Float]:
        ranked, start = self.top.ranked, self.top.cells.start
        for a, b in powers:
            values = self.dose**a * ranked.psi**b
            if ranked.weight is not None:
                values = values * ranked.weight**weight_power
            yield np.add.reduceat(values, start)

    def score(self, s1: Any, sd: Any, sv: Any, sdd: Any, sdv: Any) -> Any:
        """Return the sum of (dose - mean) times residual over rows with those sums."""
        d, v = self.dose_mean, self.outcome_mean
        return sdv - v * sd - d * sv + d * v * s1 - self.slope * (sdd - 2 * d * sd + d**2 * s1)

    def score_between(self, low: Float, high: Float, reached: Float) -> Float:
        """Average (dose - mean) times residual over the rows between two shares."""
        edges = np.maximum(np.concatenate([low, np.minimum(high, 1.0)]), np.finfo(float).tiny)
        cells = cut_cells(self.top.ranked, reached, edges)
        moved = replace(self, top=replace(self.top, share=edges, cells=cells))
        sums = [values[len(low) :] - values[: len(low)] for values in moved.running(_FIRST)]
        score: Float = np.divide(
            self.score(*sums), sums[0], out=np.zeros_like(low), where=sums[0] > 0
        )
        return score

    def std_error(self, at_threshold: Float) -> tuple[Float, Float]:
        """Return robust standard errors, and degrees of freedom."""
        top, clusters = self.top, self.top.ranked.clusters
        n_rows = replace(top, ranked=replace(top.ranked, clusters=None)).n_units_in()
        n_units = top.n_units_in()
        with np.errstate(invalid="ignore", divide="ignore"):
            if clusters is None:
                squares = self._row_squares(at_threshold) * row_factor("hc1", n_rows, 2)
                df = n_rows - 2
            else:
                parts = self._cluster_parts(at_threshold)
                factor = cluster_factor(n_units, n_rows, 2)
                squares = sum((p**2).sum(axis=0) for p in parts) * factor
                df = n_units - 1
            std_error = np.sqrt(np.where(df > 0, squares, np.nan)) / self.dose_squares
        return np.where(np.isnan(self.slope), np.nan, std_error), df

    def _row_squares(self, at_threshold: Float) -> Float:
        """Sum squared scores of rows from running sums of powers, plus the threshold's part."""
        moments = dict(zip(_SQUARE, self.running(_SQUARE, weight_power=2), strict=True))

        def about_mean(a: int, b: int) -> Float:
            total = np.zeros_like(self.slope)
            for i in range(a + 1):
                for j in range(b + 1):
                    shift = (-self.dose_mean) ** (a - i) * (-self.outcome_mean) ** (b - j)
                    total += comb(a, i) * comb(b, j) * shift * moments[i, j]
            return total

        own = (
            about_mean(2, 2) - 2 * self.slope * about_mean(3, 1) + self.slope**2 * about_mean(4, 0)
        )
        weight, share = self.top.ranked.weight, self.top.share
        square = float(self.top.ranked.n_ranked if weight is None else weight @ weight)
        return np.maximum(own, 0.0) + share * (1.0 - share) * at_threshold**2 * square

    def _cluster_parts(self, at_threshold: Float) -> Iterator[Float]:
        """Sum the scores of each cluster, threshold included: blocks of (n_clusters, n_points)."""
        ranked, included = self.top.ranked, self.top.cells.inclusion()
        weight = np.ones(ranked.n_ranked) if ranked.weight is None else ranked.weight
        powers = [weight * self.dose**a * ranked.psi**b for a, b in _FIRST]
        for sums in self.top.cluster_sums(powers):
            in_top = [values @ included for values in sums]
            beyond = self.top.share * sums[0].sum(axis=1, keepdims=True) - in_top[0]
            yield self.score(*in_top) + at_threshold * beyond
