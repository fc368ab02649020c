"""Draw, grow and read a forest of honest causal trees on centred data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from segcate._inputs.arrays import Float, Int
from segcate.cate._forest.rows import CentredRows
from segcate.cate._forest.trend import TrendRows

Half = npt.NDArray[np.int8]

# Rows read, and bags grown, in one task.
_ROWS_AT_ONCE = 1024
_BAGS_AT_ONCE = 8
# A column of two values has one border only, which noise cannot choose: a tenth of the share will do.
_OF_TWO_VALUES = 0.1


@dataclass(frozen=True, slots=True)
class ForestShape:
    """How a forest is drawn and grown: the checked parameters of CausalForest."""

    n_trees: int
    bag_size: int
    subsample: float
    honest: bool
    max_features: int
    min_samples_leaf: int
    max_depth: int | None
    min_balance: float


@dataclass(frozen=True, slots=True)
class Forest:
    """The nodes and leaves of all trees, in arrays one tree after the other.

    Attributes
    ----------
    start : int64 array of shape (n_trees + 1,)
        First node of each tree.
    feature : int32 array of shape (n_nodes,)
        Column of the split, -1 in a leaf.
    threshold : float64 array of shape (n_nodes,)
        Values up to it go left.
    missing_left : bool array of shape (n_nodes,)
    child : int32 array of shape (n_nodes,)
        Left child (the right one follows it); of a leaf its row in `moments`.
    moments : float64 array of shape (n_leaves, 4)
        Weighted means of t, y, t y and t t over the rows of a leaf, both centred.
    importance : float64 array of shape (n_columns,)
    bag_size : int
    variation : float
        Variance of the centred treatment over all rows.
    slopes : float64 array of shape (n_bags, n_slopes)
        The line of the effect that was taken out before the trees of a bag grew.
    """

    start: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    threshold: Float
    missing_left: npt.NDArray[np.bool_]
    child: npt.NDArray[np.int32]
    moments: Float
    importance: Float
    bag_size: int
    variation: float
    slopes: Float


def draw_half(rng: np.random.Generator, unit: Int) -> Int:
    """Draw half of the units, those of one bag; units (rows, or whole groups) never part."""
    n_units = int(unit.max()) + 1
    return rng.permutation(n_units)[: max(2, (n_units + 1) // 2)]


def draw_trees(
    rng: np.random.Generator, unit: Int, half: Int, shape: ForestShape
) -> Iterator[tuple[Int, Half]]:
    """Draw the rows of each tree in a bag, from its half of the units.

    Yields the rows of a tree in ascending order, and what each does: 0 chooses splits, 1 fills
    leaves, 2 both.
    """
    n_units = int(unit.max()) + 1
    n_wanted = min(len(half), max(2, round(shape.subsample * n_units)))
    for _ in range(shape.bag_size):
        drawn = rng.permutation(half)[:n_wanted]
        part = np.full(n_units, -1, dtype=np.int8)
        part[drawn] = np.arange(n_wanted) < n_wanted // 2 if shape.honest else 2
        part_of_row = part[unit]
        rows = np.flatnonzero(part_of_row >= 0)
        yield rows, part_of_row[rows]


def draw_bag(rng: np.random.Generator, unit: Int, shape: ForestShape) -> Iterator[tuple[Int, Half]]:
    """Draw half of the units, and from that half the rows of each tree in the bag."""
    return draw_trees(rng, unit, draw_half(rng, unit), shape)


def _rows_of_half(half: Int, unit: Int) -> npt.NDArray[np.bool_]:
    is_in = np.zeros(int(unit.max()) + 1, dtype=bool)
    is_in[half] = True
    found: npt.NDArray[np.bool_] = is_in[unit]
    return found


def grow_forest(
    rows: CentredRows,
    shape: ForestShape,
    *,
    seed: int,
    n_jobs: int | None,
    trend: TrendRows | None = None,
) -> Forest:
    """Grow all trees; the same ones for any `n_jobs`.

    Parameters
    ----------
    rows : CentredRows
    shape : ForestShape
    seed : int
    n_jobs : int or None
        Tasks that run at a time, in threads.
    trend : TrendRows, default=None
        Each bag fits this line on its half-sample and takes it out before its trees grow, so that
        what the line's chance adds shows between bags.
    """
    from segcate.cate._forest.bins import bin_columns, bin_edges

    edges = bin_edges(rows.X, np.random.default_rng([seed, 0]))
    codes = bin_columns(rows.X, edges)
    shares = _smallest_shares(edges, shape.min_balance)
    n_bags = shape.n_trees // shape.bag_size
    grown = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_grow_bags)(codes, rows, shape, shares, seed, bags, trend)
        for bags in np.array_split(np.arange(n_bags), -(-n_bags // _BAGS_AT_ONCE))
    )
    mean = np.average(rows.t, weights=rows.weight)
    variation = float(np.average((rows.t - mean) ** 2, weights=rows.weight))
    trees = [tree for task, _ in grown for tree in task]
    slopes = np.concatenate([line for _, line in grown])
    return _lay_end_to_end(trees, edges, shape, variation, slopes)


def _smallest_shares(edges: list[Float], min_balance: float) -> Float:
    """Return the smallest share on a side of a split by each column, smaller for two values."""
    has_two = np.array([len(borders) == 1 for borders in edges])
    return np.where(has_two, _OF_TWO_VALUES * min_balance, min_balance)


def _grow_bags(
    codes: npt.NDArray[np.uint8],
    rows: CentredRows,
    shape: ForestShape,
    shares: Float,
    seed: int,
    bags: Int,
    trend: TrendRows | None,
) -> tuple[list[tuple[Any, ...]], Float]:
    """Grow the trees of some bags; return them, and the slopes of the line of each bag."""
    from segcate.cate._forest.grow import grow_tree

    depth = np.inf if shape.max_depth is None else shape.max_depth
    limits = np.array([shape.min_samples_leaf, depth], dtype=np.float64)
    trees = []
    slopes = np.zeros((len(bags), 0 if trend is None else trend.columns.shape[1]))
    for i, bag in enumerate(bags):
        rng = np.random.default_rng([seed, 1, int(bag)])
        half = draw_half(rng, rows.unit)
        left = rows.y
        if trend is not None:
            slopes[i] = trend.slopes(_rows_of_half(half, rows.unit))
            left = rows.y - rows.t * (trend.columns @ slopes[i])
        for at, part in draw_trees(rng, rows.unit, half, shape):
            own = codes[:, at], rows.t[at], left[at], rows.weight[at]
            trees.append(grow_tree(*own, part, limits, shares, shape.max_features, rng))
    return trees, slopes


def _lay_end_to_end(
    trees: list[tuple[Any, ...]],
    edges: list[Float],
    shape: ForestShape,
    variation: float,
    slopes: Float,
) -> Forest:
    """Join the arrays of all trees, and turn bins into thresholds."""
    feature, bins, missing_left, child, moments, importance = zip(*trees, strict=True)
    sizes = np.array([len(f) for f in feature])
    start = np.concatenate([[0], np.cumsum(sizes)])
    leaves_before = np.cumsum([0, *(len(m) for m in moments[:-1])])
    columns = np.concatenate(feature)
    shift = np.where(columns < 0, np.repeat(leaves_before, sizes), np.repeat(start[:-1], sizes))
    # A split at the last bin sends all values left: only a missing one can go right.
    borders = np.concatenate([np.append(e, np.inf) for e in edges])
    first = np.cumsum([0, *(len(e) + 1 for e in edges[:-1])])
    threshold = np.full(len(columns), np.nan)
    inner = columns >= 0
    threshold[inner] = borders[first[columns[inner]] + np.concatenate(bins)[inner]]
    return Forest(
        start=start,
        feature=columns,
        threshold=threshold,
        missing_left=np.concatenate(missing_left),
        child=(np.concatenate(child) + shift).astype(np.int32),
        moments=np.concatenate(moments),
        importance=np.sum(importance, axis=0),
        bag_size=shape.bag_size,
        variation=variation,
        slopes=slopes,
    )


def read_forest(
    forest: Forest,
    X: Float,
    *,
    with_variance: bool,
    n_jobs: int | None,
    columns: Float | None = None,
) -> tuple[Float, Float]:
    """Return the effect at each row of X, and the variance of its estimate (NaN unless wanted).

    `columns` are those of the line, float64 of shape (n_rows, n_slopes); None where there is none.
    """
    parts = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_rows)(forest, X[rows], _lines(forest, columns, rows), with_variance)
        for rows in _blocks(len(X))
    )
    effect, variance = zip(*parts, strict=True)
    return np.concatenate(effect), np.concatenate(variance)


def read_left_out(
    forest: Forest,
    rows: CentredRows,
    *,
    seed: int,
    n_jobs: int | None,
    columns: Float | None = None,
) -> Float:
    """Return the effect at rows of the fit, from the bags that did not draw their unit.

    Parameters
    ----------
    rows, seed, columns : as `grow_forest` and `read_forest` got them

    Returns
    -------
    float64 array of shape (n_rows,), NaN for a row that all bags drew
    """
    n_bags = (len(forest.start) - 1) // forest.bag_size
    halves = (draw_half(np.random.default_rng([seed, 1, bag]), rows.unit) for bag in range(n_bags))
    is_out = np.column_stack([~_rows_of_half(half, rows.unit) for half in halves])
    parts = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_rows_left_out)(forest, rows.X[at], _lines(forest, columns, at), is_out[at])
        for at in _blocks(len(rows.X))
    )
    return np.concatenate(parts)


def _blocks(n_rows: int) -> list[slice]:
    edges = np.linspace(0, n_rows, max(1, -(-n_rows // _ROWS_AT_ONCE)) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _lines(forest: Forest, columns: Float | None, rows: slice) -> Float:
    """Return the line of each bag at some rows: float64 of shape (n_rows, n_bags)."""
    if columns is None:
        return np.zeros((rows.stop - rows.start, len(forest.slopes)))
    return np.ascontiguousarray(columns[rows] @ forest.slopes.T)


def _read_rows(forest: Forest, X: Float, lines: Float, with_variance: bool) -> tuple[Float, Float]:
    from segcate.cate._forest.read import read_effects

    effect, variance = read_effects(
        leaves_of(forest, X),
        forest.moments,
        lines,
        forest.bag_size,
        forest.variation,
        with_variance,
    )
    return effect, variance


def _read_rows_left_out(
    forest: Forest, X: Float, lines: Float, is_out: npt.NDArray[np.bool_]
) -> Float:
    from segcate.cate._forest.read import read_left_out_effects

    found: Float = read_left_out_effects(
        leaves_of(forest, X), forest.moments, lines, is_out, forest.bag_size, forest.variation
    )
    return found


def leaves_of(forest: Forest, X: Float) -> npt.NDArray[np.int32]:
    """Return the leaf of each row in each tree, as rows of the forest's moments."""
    from segcate.cate._forest.read import find_leaves

    found: npt.NDArray[np.int32] = find_leaves(
        np.ascontiguousarray(X),
        forest.start,
        forest.feature,
        forest.threshold,
        forest.missing_left,
        forest.child,
    )
    return found
