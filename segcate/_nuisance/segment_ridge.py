"""Ridge regression on curves of covariates, all segments together, each with its own intercept.

Slopes are shared by all segments, and each segment's departures from them have a penalty of their own:
generalised cross-validation (Craven & Wahba 1979, Numerische Mathematik 31:377-403) says how far
segments differ. Departures of different segments meet in the shared columns alone, so that they are
eliminated segment by segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._statistics.penalties import walk_grids

__all__ = [
    "PENALTIES",
    "Ridge",
    "SegmentSums",
    "choose_penalties",
    "outcome_penalties",
    "raw_sums",
    "ridge",
    "segment_sums",
]

# Penalties of lines, of bends and products, of slopes by segment, and of curvature by segment.
PENALTIES = tuple(10.0**power for power in range(-1, 6))
_START = 2
_GRIDS = (len(PENALTIES),) * 4
# Of slopes that are as good as free; above 0, as a level may have no rows in a segment.
_FREE = 1e-3
# A parameter counts as so many in cross-validation (Kim & Gu 2004, JRSS-B 66:337-356).
_GAMMA = 1.4


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """Sums over the rows of a regression, less the means of their segment.

    Attributes
    ----------
    mass : float64 array of shape (n_segments,)
    mean : float64 array of shape (n_segments, n_columns)
    response_mean : float64 array of shape (n_segments,)
    shared_gram : float64 array of shape (n_shared, n_shared)
    own_gram : float64 array of shape (n_segments, n_own, n_own)
    cross_gram : float64 array of shape (n_segments, n_own, n_shared)
    shared_product, own_product : float64 arrays of shape (n_shared,) and (n_segments, n_own)
    square : sum of squares of the response
    n_lines : shared columns that are lines; as many of each segment's own are slopes
    free : slopes of each segment's own that have hardly a penalty
    """

    mass: Float
    mean: Float
    response_mean: Float
    shared_gram: Float
    own_gram: Float
    cross_gram: Float
    shared_product: Float
    own_product: Float
    square: float
    n_lines: int
    free: Int

    def penalties(self, penalty: Sequence[float]) -> tuple[Float, Float]:
        """Spread the four penalties over the shared columns and over those of a segment."""
        shared, own = np.full(len(self.shared_gram), penalty[1]), np.full(self.n_own, penalty[3])
        shared[: self.n_lines], own[: self.n_lines] = penalty[0], penalty[2]
        own[self.free] = _FREE
        return shared, own

    @property
    def n_own(self) -> int:
        """Count the columns that each segment has for itself."""
        return int(self.own_gram.shape[1])


def segment_sums(
    curves: Curves, rows_of: Sequence[Int], response: Float, weight: Float | None
) -> SegmentSums:
    """Add up the rows of each segment, block by block.

    Parameters
    ----------
    rows_of : rows of each segment that the regression is fitted on
    response : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,) or None
    """
    n, m, shared, own = len(rows_of), curves.n_columns, curves.n_shared, curves.own
    mass, centre, mean, square = np.zeros(n), np.zeros(n), np.zeros((n, m)), 0.0
    shared_gram, own_gram = np.zeros((shared, shared)), np.zeros((n, len(own), len(own)))
    cross_gram, products = np.zeros((n, len(own), shared)), np.zeros((n, m))
    for code, rows in enumerate(rows_of):
        if len(rows) == 0:
            continue
        y, w = response[rows], np.ones(len(rows)) if weight is None else weight[rows]
        mass[code] = w.sum()
        centre[code] = w @ y / mass[code]
        square += float(w @ (y - centre[code]) ** 2)
        gram, mean[code], products[code] = _sums_of(curves, rows, response, centre[code], weight)
        shared_gram += gram[:shared, :shared]
        own_gram[code], cross_gram[code] = gram[np.ix_(own, own)], gram[own, :shared]
    return SegmentSums(
        mass, mean, centre, shared_gram, own_gram, cross_gram,
        products[:, :shared].sum(axis=0), products[:, own], square, curves.n_lines,
        curves.free,
    )  # fmt: skip


def _sums_of(
    curves: Curves, rows: Int, response: Float, centre: float, weight: Float | None
) -> tuple[Float, Float, Float]:
    """Return cross products of the centred columns, their means, and products with the response."""
    gram, total, product, mass = raw_sums(curves, rows, response, centre, weight)
    return gram - np.outer(total, total) / mass, total / mass, product


def raw_sums(
    curves: Curves, rows: Int, response: Float, centre: float, weight: Float | None
) -> tuple[Float, Float, Float, float]:
    """Add up rows: products of columns, columns, their products with the response, and weights."""
    m = curves.n_columns
    gram, total, product, mass = np.zeros((m, m)), np.zeros(m), np.zeros(m), 0.0
    for at, values in curves.blocks(rows):
        w = None if weight is None else weight[at]
        weighted = values if w is None else values * w[:, None]
        gram += weighted.T @ values
        total += weighted.sum(axis=0)
        product += (response[at] - centre) @ weighted
        mass += len(at) if w is None else float(w.sum())
    return gram, total, product, mass


@dataclass(frozen=True, slots=True)
class Ridge:
    """A ridge regression: slopes, and the inverse of ``G + penalty`` in parts.

    Attributes
    ----------
    shared : float64 array of shape (n_shared,)
    own : float64 array of shape (n_segments, n_own)
    shared_inverse : float64 array of shape (n_shared, n_shared)
    own_inverse : float64 array of shape (n_segments, n_own, n_own)
        Inverse of a segment's own part alone.
    reach : float64 array of shape (n_segments, n_own, n_shared)
        How far a segment's own slopes give way to the shared ones: own inverse times cross products.
    own_columns : places of a segment's own slopes among the columns of a row
    n_parameters : effective number, the trace of the hat matrix, without intercepts
    left : residual sum of squares
    """

    shared: Float
    own: Float
    shared_inverse: Float
    own_inverse: Float
    reach: Float
    own_columns: Int
    n_parameters: float
    left: float

    def slopes(self, code: int) -> Float:
        """Return the slopes of the columns of a row of one segment."""
        return self._folded(self.shared, self.own[code])

    def inverse(self, code: int) -> Float:
        """Return the inverse for rows of one segment, by the columns of a row."""
        reach, own, n = self.reach[code], self.own_columns, len(self.shared)
        size = max(n, int(own.max(initial=-1)) + 1)
        out = np.zeros((size, size))
        crossed = reach @ self.shared_inverse
        out[:n, :n] = self.shared_inverse
        out[own, :n] -= crossed
        out[:n, own] -= crossed.T
        out[np.ix_(own, own)] += self.own_inverse[code] + crossed @ reach.T
        return out

    def directions(self, code: int, gaps: Float) -> Float:
        """Solve for a gap of every segment in the columns of a row, as rows of segment `code` see it.

        Parameters
        ----------
        code : segment of the rows that the solution multiplies
        gaps : float64 array of shape (n_segments, n_columns), gap of each segment in its own rows

        Returns
        -------
        float64 array of shape (n_columns, n_segments)
        """
        n = len(self.shared)
        own_gaps = gaps[:, self.own_columns]
        carried = np.einsum("kos,ko->ks", self.reach, own_gaps)
        shared = self.shared_inverse @ (gaps[:, :n] - carried).T
        own = -self.reach[code] @ shared
        own[:, code] += self.own_inverse[code] @ own_gaps[code]
        return self._folded(shared, own)

    def _folded(self, shared: Float, own: Float) -> Float:
        size = max(len(shared), int(self.own_columns.max(initial=-1)) + 1)
        out = np.zeros((size, *shared.shape[1:]))
        out[: len(shared)] = shared
        out[self.own_columns] += own
        return out


@dataclass(frozen=True, slots=True)
class _Eliminated:
    """What is left of the shared columns once each segment's own have given way to them.

    Attributes
    ----------
    own_inverse, reach : as in `Ridge`
    taken : float64 array of shape (n_shared, n_shared), what is to be taken off the shared cross products
    product : float64 array of shape (n_shared,)
    """

    own_inverse: Float
    reach: Float
    taken: Float
    product: Float


def _eliminated(sums: SegmentSums, of_own: Float) -> _Eliminated:
    own_inverse = np.asarray(np.linalg.inv(sums.own_gram + np.diag(of_own)), np.float64)
    reach = own_inverse @ sums.cross_gram
    crossed = np.swapaxes(sums.cross_gram, 1, 2)
    taken = (crossed @ reach).sum(axis=0)
    product = sums.shared_product - np.einsum("kos,ko->s", reach, sums.own_product)
    return _Eliminated(own_inverse, reach, taken, product)


def ridge(
    curves: Curves, sums: SegmentSums, penalty: Sequence[float], rest: _Eliminated | None = None
) -> Ridge:
    """Solve for the slopes: penalties of lines, bends and products, slopes and curvature by segment.

    `rest` spares the elimination to whoever has it: it depends on the last two penalties alone.
    """
    of_shared, of_own = sums.penalties(penalty)
    rest = _eliminated(sums, of_own) if rest is None else rest
    own_inverse, reach = rest.own_inverse, rest.reach
    gram = sums.shared_gram + np.diag(of_shared) - rest.taken
    shared_inverse = np.empty((0, 0))
    if len(gram):
        factor = cho_factor(gram, lower=True, check_finite=False)
        shared_inverse = cho_solve(factor, np.eye(len(gram)), check_finite=False)
    shared = shared_inverse @ rest.product
    own = np.einsum("kab,kb->ka", own_inverse, sums.own_product) - reach @ shared
    fitted = float(shared @ sums.shared_product) + float((own * sums.own_product).sum())
    shrunken = float(of_shared @ shared**2) + float((own**2 @ of_own).sum())
    own_diagonal = np.einsum("kaa->ka", own_inverse) + np.einsum(
        "kas,kas->ka", reach @ shared_inverse, reach
    )
    n_parameters = float((1.0 - of_shared * np.diag(shared_inverse)).sum())
    n_parameters += float((1.0 - own_diagonal * of_own).sum())
    return Ridge(
        shared, own, shared_inverse, own_inverse, reach, curves.own, n_parameters,
        max(sums.square - fitted - shrunken, 0.0),
    )  # fmt: skip


def choose_penalties(curves: Curves, sums: SegmentSums, gamma: float = _GAMMA) -> tuple[float, ...]:
    """Minimise generalised cross-validation over `PENALTIES`, one block at a time."""
    criterion = _criterion(curves, sums, gamma)
    return _at(walk_grids(criterion, _GRIDS, _first(criterion)))


def outcome_penalties(curves: Curves, sums: SegmentSums) -> tuple[float, ...]:
    """Choose the penalties of an outcome, which is followed more closely than predictions ask for.

    The criterion has valleys: curvature of each segment's own stands in for bends that all share.
    So a second walk begins where segments share everything, and the lower of both ends counts. From
    there the penalties of bends and products, and of slopes by segment, go down one place, because an
    average over many rows has less noise than a prediction and the same bias.
    """
    criterion = cache(_criterion(curves, sums, _GAMMA))
    start = _first(criterion)
    last = len(PENALTIES) - 1
    begins = (start, (*start[:2], last, last))
    ends = [walk_grids(criterion, _GRIDS, begin) for begin in begins]
    best = min(ends, key=criterion)
    closer = (best[0], max(best[1] - 1, 0), max(best[2] - 1, 0), best[3])
    return _at(closer if np.isfinite(criterion(closer)) else best)


def _criterion(
    curves: Curves, sums: SegmentSums, gamma: float
) -> Callable[[tuple[int, ...]], float]:
    """Return generalised cross-validation as a function of four places in `PENALTIES`."""
    free = float(sums.mass.sum()) - int((sums.mass > 0).sum())

    eliminated: dict[tuple[int, ...], _Eliminated] = {}

    def criterion(at: tuple[int, ...]) -> float:
        penalty, of_own = _at(at), at[2:]
        if of_own not in eliminated:
            eliminated[of_own] = _eliminated(sums, sums.penalties(penalty)[1])
        fit = ridge(curves, sums, penalty, eliminated[of_own])
        spare = free - gamma * fit.n_parameters
        return fit.left / spare**2 if spare > 0 else np.inf

    return criterion


def _first(criterion: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """Return where a walk begins: the least penalties from 10 on that leave rows to judge by."""
    places = range(_START, len(PENALTIES))
    start = next((p for p in places if np.isfinite(criterion((p,) * 4))), places[-1])
    return (start,) * 4


def _at(places: Sequence[int]) -> tuple[float, ...]:
    return tuple(PENALTIES[place] for place in places)
