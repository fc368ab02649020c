"""Slopes of the effect that leaves cannot follow, taken out before the trees of a forest grow.

Robinson, P. M. (1988). Root-N-consistent semiparametric regression. Econometrica, 56(4), 931-954.
Nie, X., & Wager, S. (2021). Quasi-oracle estimation of heterogeneous treatment effects.
Biometrika, 108(2), 299-319.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.cate._forest.rows import CentredRows

# Penalties tried, in units of the mean eigenvalue of the columns; infinity means no line.
_PENALTIES = np.append(10.0 ** np.arange(-3.0, 2.25, 0.25), np.inf)
# Around a row the treatment must vary by this share of its variance over all rows.
_LEAST_VARIATION = 1e-10


@dataclass(frozen=True, slots=True)
class TrendColumns:
    """Fills and scales that turn encoded columns into those of the line.

    Attributes
    ----------
    fill : float64 array of shape (n_columns,), medians of the fit
    marked : intp array of shape (n_marked,), columns with gaps in the fit, which get a 0/1 column
    center, scale : float64 arrays of shape (n_columns + n_marked,)
    """

    fill: Float
    marked: Int
    center: Float
    scale: Float

    def of(self, X: Float) -> Float:
        """Return the columns of the line, float64 of shape (n_rows, n_columns + n_marked)."""
        columns: Float = (_filled(X, self.fill, self.marked) - self.center) / self.scale
        return columns


def fit_trend_columns(X: Float, weight: Float | None) -> TrendColumns:
    """Learn medians, means and standard deviations of encoded columns."""
    is_missing = np.isnan(X)
    is_known = ~is_missing.all(axis=0)
    w = np.ones(len(X)) if weight is None else weight
    fill = np.zeros(X.shape[1])
    for j in np.flatnonzero(is_known):
        fill[j] = _median(X[~is_missing[:, j], j], w[~is_missing[:, j]])
    marked = np.flatnonzero(is_missing.any(axis=0) & is_known)
    columns = _filled(X, fill, marked)
    center = np.average(columns, axis=0, weights=weight)
    scale = np.sqrt(np.average((columns - center) ** 2, axis=0, weights=weight))
    # Rounding leaves a little spread in a column that is constant.
    is_constant = scale <= 1e-12 * np.abs(center)
    return TrendColumns(fill, marked, center, np.where(is_constant, np.inf, scale))


def _median(values: Float, weight: Float) -> float:
    """Return the lower weighted median."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _filled(X: Float, fill: Float, marked: Int) -> Float:
    is_missing = np.isnan(X)
    return np.column_stack([np.where(is_missing, fill, X), is_missing[:, marked]])


@dataclass(frozen=True, slots=True)
class TrendRows:
    """Residual rows on which each half-sample fits its own line.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_slopes)
    left_columns : float64 array of shape (n_rows, n_slopes)
        Treatment times column, less what a constant or leaves explain of it.
    left_y : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), mean 1; 0 where nothing is known of the row
    penalty : float
        Of the slopes on all rows; infinite where no line is the better one.
    """

    columns: Float
    left_columns: Float
    left_y: Float
    weight: Float
    penalty: float

    def slopes(self, is_in: npt.NDArray[np.bool_]) -> Float:
        """Fit the slopes on some of the rows, with their share of the penalty."""
        n_slopes = self.columns.shape[1]
        share = float(self.weight[is_in].sum() / self.weight.sum())
        if not np.isfinite(self.penalty) or not share > 0.0:
            return np.zeros(n_slopes)
        left = self.left_columns[is_in]
        weighted = self.weight[is_in][:, None] * left
        gram = weighted.T @ left + share * self.penalty * np.eye(n_slopes)
        return np.asarray(np.linalg.solve(gram, weighted.T @ self.left_y[is_in]), dtype=np.float64)


def beyond_a_constant(rows: CentredRows, columns: Float) -> TrendRows:
    """Return rows for the whole line: outcome and t * columns less the best constant effect."""
    t, y, weight = rows.t, rows.y, rows.weight
    size = weight @ (t * t)
    effect = (weight * t) @ y / size
    means = (weight * t * t) @ columns / size
    left_columns = t[:, None] * (columns - means)
    return _with_penalty(columns, left_columns, y - t * effect, weight, rows.unit)


def beyond_leaves(rows: CentredRows, columns: Float, means: Float, variation: float) -> TrendRows:
    """Return rows for the slopes that leaves miss: both sides less the fit of trees without the row.

    `means` are those of `left_out_means`. The forest is linear in the outcome, so what it would
    predict for t * column as outcome is what it explains of that column.
    """
    n_slopes = columns.shape[1]
    mean_t, spread = means[:, 0], means[:, 1] - means[:, 0] ** 2
    is_known = spread > _LEAST_VARIATION * variation
    spread = np.where(is_known, spread, 1.0)
    outcomes, products = means[:, 2 : 3 + n_slopes], means[:, 3 + n_slopes :]
    explained = (products - mean_t[:, None] * outcomes) / spread[:, None]
    explained[~is_known] = 0.0
    return _with_penalty(
        columns,
        rows.t[:, None] * (columns - explained[:, 1:]),
        rows.y - rows.t * explained[:, 0],
        np.where(is_known, rows.weight, 0.0),
        rows.unit,
    )


def left_out_means(
    rows: CentredRows,
    columns: Float,
    leaves: npt.NDArray[np.int32],
    drawn: Iterable[tuple[Int, npt.NDArray[np.int8]]],
) -> Float:
    """Return the means in the leaves of each row, over the trees that it is out of.

    Parameters
    ----------
    rows : CentredRows
    columns : float64 array of shape (n_rows, n_slopes)
    leaves : int32 array of shape (n_trees, n_rows)
    drawn : for each tree its rows, and what they do: 1 and 2 fill leaves

    Returns
    -------
    float64 array of shape (n_rows, 2 * (n_slopes + 2))
        Of t, t t, y, t * columns, t y, t t * columns; NaN for a row that is out of no tree.
    """
    t = rows.t
    outcomes = np.column_stack([rows.y, t[:, None] * columns])
    values = np.column_stack([t, t * t, outcomes, t[:, None] * outcomes])
    total, count = np.zeros(values.shape), np.zeros(len(t))
    for leaf, (seen, part) in zip(leaves, drawn, strict=True):
        fills = seen[part >= 1]
        out = np.ones(len(t), dtype=bool)
        out[seen] = False
        code = leaf - leaf.min()
        n_leaves = int(code.max()) + 1
        w, at = rows.weight[fills], code[fills]
        size = np.bincount(at, weights=w, minlength=n_leaves)
        reached = code[out]
        for j, column in enumerate(values.T):
            sums = np.bincount(at, weights=w * column[fills], minlength=n_leaves)
            total[out, j] += sums[reached] / size[reached]
        count += out
    total[count == 0] = np.nan
    return total / np.maximum(count, 1.0)[:, None]


def _with_penalty(
    columns: Float, left_columns: Float, left_y: Float, weight: Float, unit: Int
) -> TrendRows:
    """Choose the penalty whose generalised cross-validation error is least, on one decomposition.

    Units are counted, not rows: a weight of 2 is the row written twice in one unit.

    Golub, G. H., Heath, M., & Wahba, G. (1979). Technometrics, 21(2), 215-223.
    """
    n_known = len(np.unique(unit[weight > 0]))
    none = TrendRows(columns, left_columns, left_y, weight, np.inf)
    if n_known == 0:
        return none
    w = weight * (n_known / weight.sum())
    gram = left_columns.T @ (w[:, None] * left_columns)
    size, directions = np.linalg.eigh(gram)
    size = np.maximum(size, 0.0)[:, None]
    mean_size = float(size.mean()) if size.size else 0.0
    if not mean_size > 0.0:
        return none
    along = (directions.T @ (left_columns.T @ (w * left_y)))[:, None]
    penalties = _PENALTIES * mean_size
    coef = along / (size + penalties)
    loss = w @ left_y**2 - 2.0 * (along * coef).sum(axis=0) + (size * coef**2).sum(axis=0)
    spare = n_known - (size / (size + penalties)).sum(axis=0)
    error = np.where(spare > 0, loss, np.inf) / np.maximum(spare, 1e-9) ** 2
    return TrendRows(columns, left_columns, left_y, w, float(penalties[int(np.argmin(error))]))
