"""The rows ranked into the top share q: their gain, and how sure it is.

The gain g(q) is the effect collected in the top share, per row of all. Every curve is a g(q) - b g(1)
for some a and b, and so is its standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._ranking.rows import RankedRows
from segcate._statistics.sandwich import unit_factor

# Clusters are taken in blocks of so many clusters times cells, 32 MiB.
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True, slots=True)
class GainPolyline:
    """The gain as a polyline: straight inside a block of equal predictions.

    Attributes
    ----------
    reached : float64 array of shape (n_blocks + 1,), weight ranked, 0 first
    collected : float64 array of shape (n_blocks + 1,), weighted sum of scores less their mean
    mean : mean of the scores
    """

    reached: Float
    collected: Float
    mean: float

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(self.reached[-1])

    def __call__(self, share: Float) -> Float:
        """Return g at each share."""
        return self.centred(share) + self.mean * share

    def centred(self, share: Float) -> Float:
        """Return g of scores less their mean."""
        at: Float = np.interp(share * self.total, self.reached, self.collected) / self.total
        return at

    def half_window(self, share: Float, n_units: int) -> Float:
        """Return half the width of the window that estimates the effect at the threshold.

        It is n_units^(-1/3) / 2 of the rows to both sides, and less near the ends. The rows of a
        block of equal predictions have one effect; in a block wider than the window, half the width
        is at most one standard deviation of the share ranked above the block.
        """
        half = np.minimum(n_units ** (-1 / 3) / 2, np.minimum(share, 1.0 - share) / 2)
        block = np.searchsorted(self.reached[1:], share * self.total * (1.0 - 1e-12))
        width = (self.reached[block + 1] - self.reached[block]) / self.total
        varies = np.sqrt(share * (1.0 - share) / n_units)
        window: Float = np.where(width > 2.0 * half, np.minimum(half, varies), half)
        return window

    def slope(self, share: Float, n_units: int) -> Float:
        """Return the effect at the threshold, less the mean: the slope of g around each share."""
        half = self.half_window(share, n_units)
        step = self.centred(share + half) - self.centred(share - half)
        slope: Float = np.divide(step, 2.0 * half, out=np.zeros_like(share), where=half > 0)
        return slope


def gain_polyline(ranked: RankedRows) -> GainPolyline:
    """Collect the scores of ranked rows block by block."""
    weighted = ranked.psi if ranked.weight is None else ranked.psi * ranked.weight
    reached, collected = np.zeros((2, len(ranked.ends) + 1))
    reached[1:] = ranked.reached()
    # All rows together differ from their mean by rounding alone.
    collected[1:-1] = np.cumsum(weighted)[ranked.ends[:-1]]
    return GainPolyline(reached, collected, ranked.mean)


@dataclass(frozen=True, slots=True)
class Cells:
    """Runs of ranks: a point of a curve includes the same part of every row of a run.

    Attributes
    ----------
    start : intp array of shape (n_cells,), first rank of each cell
    n_full : intp array of shape (n_points,), cells that are in the top share as a whole
    part : float64 array of shape (n_points,), part of the next cell that is in it, in (0, 1]
    """

    start: Int
    n_full: Int
    part: Float

    def inclusion(self) -> Float:
        """Return the part of each cell in the top share of each point, (n_cells, n_points)."""
        cell = np.arange(len(self.start))[:, None]
        included = (cell < self.n_full).astype(np.float64)
        included[self.n_full, np.arange(len(self.n_full))] = self.part
        return included


def cut_cells(ranked: RankedRows, reached: Float, share: Float) -> Cells:
    """Cut ranked rows where the inclusion of any point changes; shares are inside (0, 1]."""
    wanted = share * reached[-1]
    block = np.minimum(np.searchsorted(reached[1:], wanted), len(ranked.ends) - 1)
    part = (wanted - reached[block]) / (reached[block + 1] - reached[block])
    first = np.where(block > 0, ranked.ends[block - 1] + 1, 0)
    after = ranked.ends[block] + 1
    start = np.unique(np.concatenate([[0], first, after[after < ranked.n_ranked]]))
    return Cells(start, np.searchsorted(start, first), np.clip(part, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class TopShares:
    """The gain at the points of a curve, and what each cell of ranks adds to its variance.

    Attributes
    ----------
    share : float64 array of shape (n_points,), inside (0, 1]
    gain : float64 array of shape (n_points,), g(q)
    threshold_effect : float64 array of shape (n_points,)
        Effect of the rows at the threshold, less the mean of all.
    cells : cells of the points
    ranked : the rows
    """

    share: Float
    gain: Float
    threshold_effect: Float
    cells: Cells
    ranked: RankedRows

    def n_units_in(self) -> Float:
        """Count the independent units in each top share."""
        ranked, cells = self.ranked, self.cells
        size = np.diff(cells.start, append=ranked.n_ranked).astype(np.float64)
        if ranked.clusters is None:
            return _before(size, cells.n_full) + cells.part * size[cells.n_full]
        first_seen = np.empty(ranked.n_units, dtype=np.intp)
        first_seen[ranked.clusters[::-1]] = np.arange(ranked.n_ranked)[::-1]
        cell = np.searchsorted(cells.start, first_seen, side="right") - 1
        return _before(np.bincount(cell, minlength=len(size)), cells.n_full + 1)

    def n_units_below(self) -> Float:
        """Count the independent units that have rows below each top share."""
        ranked, cells = self.ranked, self.cells
        if ranked.clusters is None:
            return np.maximum(ranked.n_units - self.n_units_in(), 0.0)
        last_seen = np.empty(ranked.n_units, dtype=np.intp)
        last_seen[ranked.clusters] = np.arange(ranked.n_ranked)
        cell = np.searchsorted(cells.start, last_seen, side="right") - 1
        is_in = np.bincount(cell, minlength=len(cells.start))
        return ranked.n_units - _before(is_in, cells.n_full + (cells.part >= 1.0))

    def variance(self, a: Float, b: Float) -> Float:
        """Return the variance of a g(q) - b g(1) at each point."""
        if self.ranked.clusters is not None:
            parts = self._cluster_parts(a, b)
            return self._scaled(sum(((part**2).sum(axis=0) for part in parts), np.zeros(len(a))))
        s0, s1, s2 = self._cell_moments()
        centre = self._centre(a)
        cut = self.cells.n_full
        total = np.zeros(len(a))
        for included, (n, first, second) in (
            (1.0, [_before(s, cut) for s in (s0, s1, s2)]),
            (self.cells.part, [s[cut] for s in (s0, s1, s2)]),
            (0.0, [_before(s[::-1], len(s0) - 1 - cut) for s in (s0, s1, s2)]),
        ):
            alpha = a * included - b
            beta = -a * included * self.threshold_effect - centre
            total += alpha**2 * second + 2 * alpha * beta * first + beta**2 * n
        return self._scaled(total)

    def covariance(self, a: Float, b: Float) -> Float:
        """Return the covariance of a g(q) - b g(1) between all pairs of points."""
        if self.ranked.clusters is not None:
            parts = self._cluster_parts(a, b)
            return self._scaled(sum((part.T @ part for part in parts), np.zeros((len(a), len(a)))))
        s0, s1, s2 = self._cell_moments()
        alpha, beta = self._cell_lines(a, b)
        mixed = alpha.T @ (s1[:, None] * beta)
        squares = alpha.T @ (s2[:, None] * alpha) + beta.T @ (s0[:, None] * beta)
        return self._scaled(squares + mixed + mixed.T)

    def _centre(self, a: Float) -> Float:
        """Return the mean of a times the influence on g(q); that on g(1) has mean 0."""
        collected = self.gain - self.ranked.mean * self.share
        centre: Float = a * (collected - self.share * self.threshold_effect)
        return centre

    def _cell_moments(self) -> tuple[Float, Float, Float]:
        """Sum w^2, w^2 psi and w^2 psi^2 in each cell."""
        psi, weight, start = self.ranked.psi, self.ranked.weight, self.cells.start
        if weight is None:
            size = np.diff(start, append=self.ranked.n_ranked).astype(np.float64)
            return size, np.add.reduceat(psi, start), np.add.reduceat(psi**2, start)
        square = weight**2
        moments = (np.add.reduceat(v, start) for v in (square, square * psi, square * psi**2))
        s0, s1, s2 = moments
        return s0, s1, s2

    def _cell_lines(self, a: Float, b: Float) -> tuple[Float, Float]:
        """Return alpha and beta of each cell and point: a row of score psi adds alpha psi + beta."""
        included = a * self.cells.inclusion()
        return included - b, -included * self.threshold_effect - self._centre(a)

    def _cluster_parts(self, a: Float, b: Float) -> Iterator[Float]:
        """Sum the influences of each cluster: blocks of (n_clusters, n_points)."""
        ranked = self.ranked
        weight = np.ones(ranked.n_ranked) if ranked.weight is None else ranked.weight
        alpha, beta = self._cell_lines(a, b)
        for first, zeroth in self.cluster_sums([weight * ranked.psi, weight]):
            yield first @ alpha + zeroth @ beta

    def cluster_sums(self, values: list[Float]) -> Iterator[list[Float]]:
        """Sum each of several values in each cluster and cell: blocks of (n_clusters, n_cells)."""
        ranked, n_cells = self.ranked, len(self.cells.start)
        clusters = np.zeros(0, np.intp) if ranked.clusters is None else ranked.clusters
        cell = np.repeat(np.arange(n_cells), np.diff(self.cells.start, append=ranked.n_ranked))
        order = np.argsort(clusters, kind="stable")
        bounds = np.searchsorted(clusters[order], np.arange(ranked.n_units + 1))
        step = max(1, _MOST_NUMBERS // n_cells)
        for begin in range(0, ranked.n_units, step):
            end = min(begin + step, ranked.n_units)
            rows = order[bounds[begin] : bounds[end]]
            at = (clusters[rows] - begin) * n_cells + cell[rows]
            size = (end - begin) * n_cells
            yield [
                np.asarray(np.bincount(at, v[rows], size), np.float64).reshape(-1, n_cells)
                for v in values
            ]

    def _scaled(self, squares: Float) -> Float:
        """Turn sums of squared parts into variances."""
        n_units, weight = self.ranked.n_units, self.ranked.weight
        total = float(self.ranked.n_ranked if weight is None else weight.sum())
        scaled: Float = squares * (unit_factor(n_units) / total**2)
        return scaled


def top_shares(ranked: RankedRows, share: Float, line: GainPolyline | None = None) -> TopShares:
    """Describe the top shares of ranked rows; shares are inside (0, 1]."""
    line = gain_polyline(ranked) if line is None else line
    slope = line.slope(share, ranked.n_units)
    return TopShares(share, line(share), slope, cut_cells(ranked, line.reached, share), ranked)


def _before(values: npt.NDArray[Any], n: Int) -> Float:
    """Sum the first n values, for several n."""
    sums: Float = np.append(0.0, np.cumsum(values))[n]
    return sums
