"""Causal forests once more, slow and plain, from the paper's formulas.

Athey, S., Tibshirani, J., & Wager, S. (2019). Generalized random forests. Annals of Statistics,
47(2), 1148-1178.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.integrate import trapezoid

from segcate.cate._forest.honest_forest import draw_bag


def naive_leaf(forest, tree: int, x) -> int:
    """Walk one row down one tree, to the node it ends in."""
    node = int(forest.start[tree])
    while forest.feature[node] >= 0:
        value = x[forest.feature[node]]
        goes_left = (
            bool(forest.missing_left[node]) if np.isnan(value) else value <= forest.threshold[node]
        )
        node = int(forest.child[node]) + (0 if goes_left else 1)
    return node


def naive_weights(forest, X_fit, weight, unit, shape, seed, x) -> np.ndarray:
    """Forest weights of the fit's rows at a point, one row of weights a tree (equation 3).

    alpha_bi is the weight of row i within its leaf if tree b filled that leaf with it, else 0.
    """
    rows_of = []
    for bag in range(shape.n_trees // shape.bag_size):
        rng = np.random.default_rng([seed, 1, bag])
        rows_of += list(draw_bag(rng, unit, shape))
    alpha = np.zeros((shape.n_trees, len(X_fit)))
    for b, (rows, half) in enumerate(rows_of):
        leaf = naive_leaf(forest, b, x)
        beside = [i for i in rows[half != 0] if naive_leaf(forest, b, X_fit[i]) == leaf]
        alpha[b, beside] = weight[beside] / weight[beside].sum()
    return alpha


def naive_effect(alpha, t, y) -> float:
    """Slope of y on t with intercept, by weighted least squares (equation 2)."""
    root = np.sqrt(alpha.mean(axis=0))
    design = np.column_stack([np.ones(len(t)), t]) * root[:, None]
    return float(np.linalg.lstsq(design, y * root, rcond=None)[0][1])


def naive_variance(alpha, t, y, bag_size: int) -> float:
    """Variance by comparing bags of trees (section 4.1), from the scores of single trees."""
    average = alpha.mean(axis=0)
    effect = naive_effect(alpha, t, y)
    mean_t, mean_y = average @ t, average @ y
    spread = average @ (t - mean_t) ** 2
    residual = (y - mean_y) - effect * (t - mean_t)
    influence = (t - mean_t) * residual / spread
    by_bag = (alpha @ influence).reshape(-1, bag_size)
    n_bags = len(by_bag)
    between = float(np.mean(by_bag.mean(axis=1) ** 2))
    noise = float(by_bag.var(axis=1, ddof=1).mean()) / bag_size
    std_error = max(between, noise) * math.sqrt(2 / n_bags)
    # Mean of a normal distribution cut off at 0, by numerical integration.
    grid = np.linspace(0, between + noise + 12 * std_error, 400_001)
    density = np.exp(-0.5 * ((grid - between + noise) / std_error) ** 2)
    mean = trapezoid(grid * density, grid) / trapezoid(density, grid)
    return float(mean) + noise / n_bags


def naive_split(codes, t, y, w, chooses, fills, *, missing, min_samples_leaf, min_balance):
    """Best split of a node by trying every one.

    Parameters
    ----------
    codes : int array of shape (n_rows, n_columns), ranks of the values; `missing` for a gap
    chooses, fills : positions of the rows of either honest half

    Returns
    -------
    gain, column, rows that go left (a frozenset), and how many candidates were allowed
    """
    weight, treated = w[chooses], t[chooses]
    gap = t - np.average(treated, weights=weight)
    rise = y - np.average(y[chooses], weights=weight)
    effect = (w * gap * rise)[chooses].sum() / (w * gap**2)[chooses].sum()
    variance = np.average(gap[chooses] ** 2, weights=weight)
    rho = gap * (rise - gap * effect) / variance
    gain, column, left, n_allowed = 0.0, -1, frozenset(), 0
    for j in range(codes.shape[1]):
        for goes_left in _naive_sides(codes[:, j], chooses, fills, missing):
            sides = [goes_left, ~goes_left]
            if not _is_allowed(sides, chooses, fills, gap, w, min_samples_leaf, min_balance):
                continue
            n_allowed += 1
            found = 0.0
            for side in sides:
                rows = chooses[side[chooses]]
                found += (w * rho)[rows].sum() ** 2 / ((w * gap**2)[rows].sum() / variance)
            if found > gain * (1 + 1e-9):
                gain, column = found, j
                left = frozenset(np.flatnonzero(goes_left).tolist())
    return gain, column, left, n_allowed


def _naive_sides(codes, chooses, fills, missing):
    """List the rows that go left, for every border between values that choose.

    In a gap between two such values the border lies in the middle of the ranks.
    """
    values = sorted(set(codes[chooses].tolist()) - {missing})
    borders = [(a + b - 1) // 2 for a, b in itertools.pairwise(values)]
    is_missing = codes == missing
    sides = [(codes <= border) & ~is_missing for border in borders]
    if is_missing[np.concatenate([chooses, fills])].any():
        sides += [(codes <= border) | is_missing for border in borders]
        sides.append(~is_missing)
    return sides


def _is_allowed(sides, chooses, fills, gap, w, min_samples_leaf, min_balance) -> bool:
    """Tell whether both sides keep enough rows, weight and treatment variation."""
    variation = w * gap**2
    for side in sides:
        rows = chooses[side[chooses]]
        if min(len(rows), side[fills].sum()) < min_samples_leaf:
            return False
        if w[rows].sum() < min_balance * w[chooses].sum():
            return False
        if variation[rows].sum() < min_balance * variation[chooses].sum():
            return False
        if not variation[rows].sum() > 1e-9 * variation[chooses].sum():
            return False
    return True
