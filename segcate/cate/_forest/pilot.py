"""The small forest that says which line the leaves of the large one would not follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.cate._forest.honest_forest import Forest, ForestShape, draw_bag, grow_forest, leaves_of
from segcate.cate._forest.trend import (
    TrendRows,
    beyond_a_constant,
    beyond_leaves,
    left_out_means,
)

__all__ = ["ask_for_trend", "grow_pilot"]

# Many bags of few trees tell more than few bags of many.
_N_TREES = 100
_BAG_SIZE = 2
# Leaves of the pilot are a little larger: what it explains is noise otherwise.
_FEWEST_IN_A_LEAF = 5


def grow_pilot(
    X: Float,
    t: Float,
    y: Float,
    weight: Float | None,
    unit: Int,
    shape: ForestShape,
    *,
    seed: int,
    n_jobs: int | None,
) -> tuple[Forest, ForestShape]:
    """Grow a hundred trees on the outcome as it is; return them and how they were drawn."""
    small = replace(
        shape,
        n_trees=_N_TREES,
        bag_size=_BAG_SIZE,
        min_samples_leaf=max(shape.min_samples_leaf, _FEWEST_IN_A_LEAF),
    )
    return grow_forest(X, t, y, weight, unit, small, seed=seed, n_jobs=n_jobs), small


def ask_for_trend(
    kind: str,
    columns: Float,
    X: Float,
    t: Float,
    y: Float,
    weight: Float | None,
    unit: Int,
    pilot: Forest,
    shape: ForestShape,
    seed: int,
) -> TrendRows:
    """Return what bags need to fit their lines: whole ones, or what leaves do not follow.

    Parameters
    ----------
    kind : {"linear", "auto"}
    columns : float64 array of shape (n_rows, n_slopes)
    pilot, shape, seed : the small forest, how it was drawn, and the seed it was grown with
    """
    w = np.ones(len(t)) if weight is None else weight
    if kind == "linear":
        return beyond_a_constant(columns, t, y, w, unit)
    drawn = (
        tree
        for bag in range(shape.n_trees // shape.bag_size)
        for tree in draw_bag(np.random.default_rng([seed, 1, bag]), unit, shape)
    )
    leaves = leaves_of(pilot, X).T
    means = left_out_means(columns, t, y, w, leaves, drawn)
    return beyond_leaves(columns, t, y, w, unit, means, pilot.variation)
