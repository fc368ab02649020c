"""A small forest that finds the slopes of the effect that leaves cannot follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segcate._inputs.arrays import Float
from segcate.cate._forest.honest_forest import Forest, ForestShape, draw_bag, grow_forest, leaves_of
from segcate.cate._forest.rows import CentredRows
from segcate.cate._forest.trend import (
    TrendRows,
    beyond_a_constant,
    beyond_leaves,
    left_out_means,
)

# With many bags of few trees more bags leave out each row.
_N_TREES = 100
_BAG_SIZE = 2
# Smaller leaves would follow noise.
_FEWEST_IN_A_LEAF = 5


def grow_pilot(
    rows: CentredRows, shape: ForestShape, *, seed: int, n_jobs: int | None
) -> tuple[Forest, ForestShape]:
    """Grow a hundred trees on the outcome as it is; return them and how they were drawn."""
    small = replace(
        shape,
        n_trees=_N_TREES,
        bag_size=_BAG_SIZE,
        min_samples_leaf=max(shape.min_samples_leaf, _FEWEST_IN_A_LEAF),
    )
    return grow_forest(rows, small, seed=seed, n_jobs=n_jobs), small


def ask_for_trend(
    kind: str, rows: CentredRows, columns: Float, pilot: Forest, shape: ForestShape, seed: int
) -> TrendRows:
    """Return the rows on which bags fit their lines: whole lines, or the part leaves cannot follow.

    Parameters
    ----------
    kind : {"linear", "auto"}
    rows : CentredRows
    columns : float64 array of shape (n_rows, n_slopes)
    pilot, shape, seed : the small forest, how it was drawn, and the seed it was grown with
    """
    if kind == "linear":
        return beyond_a_constant(rows, columns)
    drawn = (
        tree
        for bag in range(shape.n_trees // shape.bag_size)
        for tree in draw_bag(np.random.default_rng([seed, 1, bag]), rows.unit, shape)
    )
    means = left_out_means(rows, columns, leaves_of(pilot, rows.X).T, drawn)
    return beyond_leaves(rows, columns, means, pilot.variation)
