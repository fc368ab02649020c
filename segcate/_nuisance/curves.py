"""Curves of covariates: lines, bends and products for everyone, slopes and curvature by segment.

One basis serves models of the outcome and of the treatment. It is made for a block of rows at a time
and held for few rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._kernels import are_few, kernel
from segcate._statistics.columns import Standard, standardise

__all__ = ["Curves", "curves_of"]

# Quantiles of a column at which its slope may change. Without the outermost two, waves (sin 3x) were
# followed less closely: 91 % of the intervals held the truth, 93 % with them.
KNOTS = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
# Products and squares take standard deviations up to here: a few values far out would rule them. Where
# treatment and outcome follow a square, a bound of 2.5 left a bias of .4 standard errors in the tails
# (overall interval 78 %); 4 leaves .1 (93 %), and costs nothing where columns have long tails.
FARTHEST = 4.0
# Columns up to which all products of two are taken.
MOST_IN_PRODUCTS = 12
# Columns of one segment (shared and its own) beyond which curvature, products and bends are left out.
MOST_COLUMNS = 1_000
# Numbers of a block of rows: as many as stay in the processor's cache.
_BLOCK = 1 << 18
# Numbers of a basis that is held, where few rows are gone over often: 64 MB.
_MOST_HELD = 1 << 23
_CONSTANT = 1e-9
# Rows looked at before a column is compared with two values as a whole.
_GLANCE = 64


@dataclass(frozen=True, slots=True)
class Curves:
    """Columns of covariates, and which curves are made of them.

    The columns of a row, in this order: lines, bends, products, and squares. Lines, bends and products
    are shared by all segments; lines and squares are once more each segment's own.

    Attributes
    ----------
    columns : float64 array of shape (n_rows, n_covariates)
    standard : how they are standardised
    bent, knot : column and place of each bend, ``max(z - knot, 0)``
    first, second : columns of each product
    squared : columns of which a square is taken
    size : float64 array of shape (n_bends + n_products + n_squares,), standard deviations
    left_out : blocks that were left out because columns would be too many
    free : lines whose slopes in each segment an outcome regression does not penalise
    made : the columns of all rows, where they are held
    of_many : whether the rows are a few of many, for which a kernel is compiled anyway
    """

    columns: Float
    standard: Standard
    bent: Int
    knot: Float
    first: Int
    second: Int
    squared: Int
    size: Float
    left_out: tuple[str, ...] = ()
    free: Int = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    made: Float | None = None
    of_many: bool = False

    @property
    def n_lines(self) -> int:
        """Count the covariates that vary."""
        return int(self.standard.varies.sum())

    @property
    def n_shared(self) -> int:
        """Count the columns whose slopes all segments share."""
        return self.n_lines + len(self.bent) + len(self.first)

    @property
    def n_columns(self) -> int:
        """Count the columns of a row."""
        return self.n_shared + len(self.squared)

    @property
    def own(self) -> Int:
        """Places of the columns that have slopes of each segment's own."""
        return np.append(np.arange(self.n_lines), np.arange(self.n_shared, self.n_columns))

    def take(self, rows: Int) -> Curves:
        """Return the same curves of some of the rows."""
        return replace(self, columns=self.columns[rows], made=None)

    def held(self) -> Curves:
        """Return the same curves with the columns of all rows made, if they are few."""
        if self.made is not None or len(self.columns) * self.n_columns > _MOST_HELD:
            return self
        return replace(self, made=self.of(np.arange(len(self.columns))))

    def of(self, rows: Int) -> Float:
        """Make the columns of some rows."""
        if self.made is not None:
            return self.made[rows]
        standard, varying = self.standard, np.flatnonzero(self.standard.varies)
        if are_few(len(self.columns)) and not self.of_many:
            return self._of_few(standard.apply(self.columns[rows], standard.varies))
        out = np.empty((self.n_columns, len(rows)))
        _fill(
            self.columns, rows.astype(np.int64, copy=False), varying, standard.origin,
            standard.mean, standard.scale, self.bent, self.knot, self.first, self.second,
            self.squared, self.size, np.empty((len(varying), len(rows))), out,
        )  # fmt: skip
        return out.T

    def _of_few(self, z: Float) -> Float:
        """Make the same columns by numpy from standardised lines, equal to the last bit."""
        out = np.empty((self.n_columns, len(z)))
        lines, bends, products, squares = np.split(
            out, np.cumsum([self.n_lines, len(self.bent), len(self.first)])
        )
        lines[:] = z.T
        near = np.clip(lines, -FARTHEST, FARTHEST)
        np.maximum(lines[self.bent] - self.knot[:, None], 0.0, out=bends)
        np.multiply(near[self.first], near[self.second], out=products)
        np.square(near[self.squared], out=squares)
        out[self.n_lines :] *= 1.0 / self.size[:, None]
        return out.T

    def blocks(self, rows: Int) -> Iterator[tuple[Int, Float]]:
        """Yield some rows and their columns, as many at a time as stay in the processor's cache."""
        n = max(_BLOCK // max(self.n_columns, 1), 1)
        for begin in range(0, len(rows), n):
            at = rows[begin : begin + n]
            yield at, self.of(at)


def curves_of(
    columns: Float,
    weight: Float | None = None,
    kind: Int | None = None,
    free: Sequence[int] | Int = (),
    *,
    most_in_products: int = MOST_IN_PRODUCTS,
    whole: Standard | None = None,
) -> Curves:
    """Choose the curves of covariates, from all rows or from a sample of them.

    Parameters
    ----------
    columns : float64 array of shape (n_rows, n_covariates), finite
    weight : float64 array of shape (n_rows,), default=None
    kind : intp array of shape (n_covariates,), default=None
        Category that a 0/1 column is a level of, -1 for others: no products of two levels of one.
    free : columns that outcomes follow in each segment without a penalty
    most_in_products : int, default=12
        Columns up to which all products of two are taken.
    whole : how the columns of all rows are standardised, default=None
        Where the rows are a sample of these: for columns that are constant in it.
    """
    everyone = np.arange(len(columns))
    standard = standardise(columns, everyone, None, weight)
    if whole is not None:
        standard = _completed(standard, whole)
    z = standard.apply(columns, standard.varies)
    of_category = np.full(z.shape[1], -1) if kind is None else kind[standard.varies]
    numbers = np.flatnonzero([not _has_two_values(column) for column in z.T])
    knots = [_knots(z[:, j], weight) for j in numbers]
    pairs = _pairs(of_category, most_in_products)
    found = Curves(
        columns=columns,
        standard=standard,
        bent=np.repeat(numbers, [len(places) for places in knots]).astype(np.intp),
        knot=np.concatenate([*knots, np.empty(0)]),
        first=pairs[0],
        second=pairs[1],
        squared=numbers.astype(np.intp),
        size=np.empty(0),
        free=np.flatnonzero(np.isin(np.flatnonzero(standard.varies), free)),
    )
    return _scaled(_affordable(found), everyone, weight)


def _completed(standard: Standard, whole: Standard) -> Standard:
    """Standardise columns that are constant in a sample as in all rows."""
    sampled = standard.varies
    return Standard(
        np.where(sampled, standard.origin, whole.origin),
        np.where(sampled, standard.mean, whole.mean),
        np.where(sampled, standard.scale, whole.scale),
        standard.correlation,
        sampled | whole.varies,
    )


@kernel
def _fill(  # type: ignore[no-untyped-def]
    Z, rows, varying, origin, mean, scale, bent, knot, first, second, squared, size, near, out
):
    """Write the columns of some rows, one row of `out` each; `near` is room for the lines, bounded."""
    n, bends, products = len(varying), len(bent), len(first)
    for a in range(n):
        j = varying[a]
        from_origin, centre, unit = origin[j], mean[j], scale[j]
        for i in range(len(rows)):
            z = ((Z[rows[i], j] - from_origin) - centre) / unit
            out[a, i] = z
            near[a, i] = min(max(z, -FARTHEST), FARTHEST)
    for a in range(bends):
        line, place, share = bent[a], knot[a], 1.0 / size[a]
        for i in range(len(rows)):
            above = out[line, i] - place
            out[n + a, i] = (above if above > 0.0 else 0.0) * share
    for a in range(products):
        at, line, other = n + bends + a, first[a], second[a]
        share = 1.0 / size[bends + a]
        for i in range(len(rows)):
            out[at, i] = near[line, i] * near[other, i] * share
    for a in range(len(squared)):
        at, line, share = n + bends + products + a, squared[a], 1.0 / size[bends + products + a]
        for i in range(len(rows)):
            out[at, i] = near[line, i] * near[line, i] * share


def _has_two_values(z: Float) -> bool:
    if len(np.unique(z[:_GLANCE])) > 2:
        return False
    return bool(((z == z.min()) | (z == z.max())).all())


def _knots(z: Float, weight: Float | None) -> Float:
    """Quantiles (values of the column, so that counts and repeated rows agree) inside its range."""
    if weight is None:
        places = [max(int(np.ceil(round(q * len(z), 9))) - 1, 0) for q in KNOTS]
        at = np.partition(z, places)[places]
    else:
        order = np.argsort(z, kind="stable")
        reached = np.cumsum(weight[order])
        wanted = np.array(KNOTS) * reached[-1] * (1 - 1e-12)
        at = z[order][np.searchsorted(reached, wanted)]
    found = np.unique(at)
    return np.asarray(found[(found > z.min()) & (found < z.max())])


def _pairs(of_category: Int, most: int) -> npt.NDArray[np.intp]:
    if len(of_category) > most:
        return np.empty((2, 0), dtype=np.intp)
    pairs = np.array(np.triu_indices(len(of_category), k=1), dtype=np.intp)
    first, second = of_category[pairs[0]], of_category[pairs[1]]
    return np.ascontiguousarray(pairs[:, (first != second) | (first < 0)])


def _affordable(curves: Curves) -> Curves:
    """Leave out squares, then products, then bends, until the columns are few enough."""
    none = np.empty(0, dtype=np.intp)
    steps: dict[str, dict[str, Any]] = {
        "curvature": {"squared": none},
        "products": {"first": none, "second": none},
        "bends": {"bent": none, "knot": np.empty(0)},
    }
    left_out = []
    for name, change in steps.items():
        if curves.n_columns <= MOST_COLUMNS:
            break
        curves = replace(curves, **change)
        left_out.append(name)
    return replace(curves, left_out=tuple(left_out))


def _scaled(curves: Curves, rows: Int, weight: Float | None) -> Curves:
    """Measure the standard deviations of the curves, and leave out those that do not vary."""
    n = curves.n_lines
    curves = replace(curves, size=np.ones(curves.n_columns - n))
    mass, total, square = 0.0, np.zeros(curves.n_columns), np.zeros(curves.n_columns)
    for at, values in curves.blocks(rows):
        w = np.ones(len(at)) if weight is None else weight[at]
        mass, total, square = mass + float(w.sum()), total + w @ values, square + w @ values**2
    size = np.sqrt(np.maximum(square / mass - (total / mass) ** 2, 0.0))[n:]
    varies = size > _CONSTANT
    bends, products, squares = np.split(varies, np.cumsum([len(curves.bent), len(curves.first)]))
    return replace(
        curves,
        bent=curves.bent[bends],
        knot=curves.knot[bends],
        first=curves.first[products],
        second=curves.second[products],
        squared=curves.squared[squares],
        size=size[varies],
    )
