"""A forest of honest causal trees on centred data: drawing, growing and reading it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from segcate._validation import Float, Int

__all__ = ["Forest", "ForestShape", "draw_bag", "grow_forest", "read_forest"]

Half = npt.NDArray[np.int8]

# Rows whose leaves are looked up together, and bags grown in one task.
_ROWS_AT_ONCE = 1024
_BAGS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ForestShape:
    """How a forest is drawn and grown; see CausalForest for the meaning."""

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
    """Trees laid end to end.

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


def draw_bag(rng: np.random.Generator, unit: Int, shape: ForestShape) -> Iterator[tuple[Int, Half]]:
    """Draw half of the units, and from that half the rows of each tree in the bag.

    Yields the rows of a tree in ascending order, and what each does: 0 chooses splits, 1 fills
    leaves, 2 both. Units (rows, or whole groups) never part.
    """
    n_units = int(unit.max()) + 1
    half = rng.permutation(n_units)[: max(2, (n_units + 1) // 2)]
    n_wanted = min(len(half), max(2, round(shape.subsample * n_units)))
    for _ in range(shape.bag_size):
        drawn = rng.permutation(half)[:n_wanted]
        part = np.full(n_units, -1, dtype=np.int8)
        part[drawn] = np.arange(n_wanted) < n_wanted // 2 if shape.honest else 2
        part_of_row = part[unit]
        rows = np.flatnonzero(part_of_row >= 0)
        yield rows, part_of_row[rows]


def grow_forest(
    X: Float,
    t: Float,
    y: Float,
    weight: Float | None,
    unit: Int,
    shape: ForestShape,
    *,
    seed: int,
    n_jobs: int | None,
) -> Forest:
    """Grow all trees; the same ones for any `n_jobs`.

    Parameters
    ----------
    X : float64 array of shape (n_rows, n_columns), NaN for a missing value
    t, y : float64 arrays of shape (n_rows,)
        Treatment and outcome, each less its expectation given X.
    weight : float64 array of shape (n_rows,), > 0, or None
    unit : intp array of shape (n_rows,)
        What is drawn as a whole: the row's position, or its group, coded 0, 1, ...
    shape : ForestShape
    seed : int
    n_jobs : int or None
        Tasks that run at a time, in threads.
    """
    from segcate.cate._forest_bins import bin_columns, bin_edges

    edges = bin_edges(X, np.random.default_rng([seed, 0]))
    codes = bin_columns(X, edges)
    w = np.ones(len(t)) if weight is None else weight
    n_bags = shape.n_trees // shape.bag_size
    grown = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_grow_bags)(codes, t, y, w, unit, shape, seed, bags)
        for bags in np.array_split(np.arange(n_bags), -(-n_bags // _BAGS_AT_ONCE))
    )
    mean = np.average(t, weights=w)
    variation = float(np.average((t - mean) ** 2, weights=w))
    return _lay_end_to_end([tree for task in grown for tree in task], edges, shape, variation)


def _grow_bags(
    codes: npt.NDArray[np.uint8],
    t: Float,
    y: Float,
    w: Float,
    unit: Int,
    shape: ForestShape,
    seed: int,
    bags: Int,
) -> list[tuple[Any, ...]]:
    from segcate.cate._forest_grow import grow_tree

    depth = np.inf if shape.max_depth is None else shape.max_depth
    limits = np.array([shape.min_samples_leaf, depth, shape.min_balance], dtype=np.float64)
    trees = []
    for bag in bags:
        rng = np.random.default_rng([seed, 1, int(bag)])
        for rows, half in draw_bag(rng, unit, shape):
            trees.append(
                grow_tree(
                    codes[:, rows], t[rows], y[rows], w[rows], half, limits, shape.max_features, rng
                )
            )
    return trees


def _lay_end_to_end(
    trees: list[tuple[Any, ...]], edges: list[Float], shape: ForestShape, variation: float
) -> Forest:
    """Join the arrays of all trees, and turn bins into thresholds."""
    feature, bins, missing_left, child, moments, importance = zip(*trees, strict=True)
    sizes = np.array([len(f) for f in feature])
    start = np.concatenate([[0], np.cumsum(sizes)])
    leaves_before = np.cumsum([0, *(len(m) for m in moments[:-1])])
    columns = np.concatenate(feature)
    shift = np.where(columns < 0, np.repeat(leaves_before, sizes), np.repeat(start[:-1], sizes))
    # Past the last border lies nothing but a missing value.
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
    )


def read_forest(
    forest: Forest, X: Float, *, with_variance: bool, n_jobs: int | None
) -> tuple[Float, Float]:
    """Return the effect at each row of X, and the variance of its estimate (NaN unless wanted)."""
    n_tasks = max(1, -(-len(X) // _ROWS_AT_ONCE))
    parts = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_read_rows)(forest, np.ascontiguousarray(rows), with_variance)
        for rows in np.array_split(X, n_tasks)
    )
    effect, variance = zip(*parts, strict=True)
    return np.concatenate(effect), np.concatenate(variance)


def _read_rows(forest: Forest, X: Float, with_variance: bool) -> tuple[Float, Float]:
    from segcate.cate._forest_read import find_leaves, read_effects

    leaves = find_leaves(
        X, forest.start, forest.feature, forest.threshold, forest.missing_left, forest.child
    )
    bag_size = forest.bag_size if with_variance else 0
    effect, variance = read_effects(leaves, forest.moments, bag_size, forest.variation)
    return effect, variance
