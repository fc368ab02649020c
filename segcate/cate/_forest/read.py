"""Read a forest: the moments around a point, the effect there, and its variance.

Athey, S., Tibshirani, J., & Wager, S. (2019). Generalized random forests. Annals of Statistics,
47(2), 1148-1178, sections 2.1 (weights) and 4.1 (variance).
Sexton, J., & Laake, P. (2009). Standard errors for bagged and random forest estimators.
Computational Statistics & Data Analysis, 53(3), 801-811.
"""

from __future__ import annotations

import math

import numpy as np

from segcate._kernels import kernel

# Around a point the treatment must vary by this share of its variance over all rows, else the effect is NaN.
_LEAST_VARIATION = 1e-10


@kernel
def find_leaves(X, start, feature, threshold, missing_left, child):  # type: ignore[no-untyped-def]
    """Return the leaf of each row in each tree, as rows of `moments`: int32 (n_rows, n_trees)."""
    n_rows, n_trees = X.shape[0], len(start) - 1
    leaves = np.empty((n_rows, n_trees), np.int32)
    for b in range(n_trees):
        root = start[b]
        for i in range(n_rows):
            node = root
            while feature[node] >= 0:
                value = X[i, feature[node]]
                goes_left = missing_left[node] if math.isnan(value) else value <= threshold[node]
                node = child[node] if goes_left else child[node] + 1
            leaves[i, b] = child[node]
    return leaves


@kernel
def read_effects(leaves, moments, lines, bag_size, variation, with_variance):  # type: ignore[no-untyped-def]
    """Return effect and variance of each row: float64 arrays of shape (n_rows,).

    Parameters
    ----------
    leaves : int32 array of shape (n_rows, n_trees)
    moments : float64 array of shape (n_leaves, 4), means of t, y, t y and t t in each leaf
    lines : float64 array of shape (n_rows, n_bags)
        The line of the effect that was subtracted for a bag, at each row. It is added as if the
        outcomes in the leaf were those of rows at this point: y + t * line.
    bag_size : int
        Trees grown on one half-sample.
    variation : float
        Variance of the treatment over all rows.
    with_variance : bool
        Otherwise the variance is NaN.

    Notes
    -----
    A row that sees no variation of treatment has the effect NaN.
    """
    n_rows = len(leaves)
    effect = np.full(n_rows, np.nan)
    variance = np.full(n_rows, np.nan)
    everything = np.ones(lines.shape[1], np.bool_)
    for i in range(n_rows):
        t, y, ty, tt = _mean_moments(leaves[i], moments, lines[i], everything, bag_size)
        spread = tt - t * t
        if not spread > _LEAST_VARIATION * variation:
            continue
        effect[i] = (ty - t * y) / spread
        if with_variance:
            score = _score_variance(leaves[i], moments, lines[i], bag_size, effect[i], t, y)
            variance[i] = score / spread**2
    return effect, variance


@kernel
def read_left_out_effects(leaves, moments, lines, is_out, bag_size, variation):  # type: ignore[no-untyped-def]
    """Return the effect of each row by the bags that it is out of, as `read_effects` does.

    `is_out` is a bool array of shape (n_rows, n_bags); a row that is out of none gets NaN.
    """
    effect = np.full(len(leaves), np.nan)
    for i in range(len(leaves)):
        t, y, ty, tt = _mean_moments(leaves[i], moments, lines[i], is_out[i], bag_size)
        spread = tt - t * t
        if spread > _LEAST_VARIATION * variation:
            effect[i] = (ty - t * y) / spread
    return effect


@kernel
def _mean_moments(leaves, moments, lines, counts, bag_size):  # type: ignore[no-untyped-def]
    """Average the moments around a point over the trees of the bags that count; else all are 0."""
    t = y = ty = tt = 0.0
    n_trees = 0
    for g in range(len(lines)):
        if not counts[g]:
            continue
        line = lines[g]
        for b in range(g * bag_size, (g + 1) * bag_size):
            m = moments[leaves[b]]
            t += m[0]
            y += m[1] + m[0] * line
            ty += m[2] + m[3] * line
            tt += m[3]
        n_trees += bag_size
    n_trees = max(n_trees, 1)
    return t / n_trees, y / n_trees, ty / n_trees, tt / n_trees


@kernel
def _score_variance(leaves, moments, lines, bag_size, effect, t, y):  # type: ignore[no-untyped-def]
    """Return the variance of the forest's score at a point, by comparing bags of trees.

    Trees of a bag share a half-sample. The variance between bags, less the noise of the trees inside
    bags, is that of the score over half-samples. The noise that remains in the mean over all bags
    is added; it vanishes with more trees.
    """
    n_bags = len(leaves) // bag_size
    base = y - t * effect
    between = within = 0.0
    for g in range(n_bags):
        total = squares = 0.0
        beyond = effect - lines[g]
        for k in range(bag_size):
            m = moments[leaves[g * bag_size + k]]
            residual = m[1] - m[0] * beyond - base
            score = m[2] - m[3] * beyond - m[0] * base - t * residual
            total += score
            squares += score * score
        between += (total / bag_size) ** 2
        within += squares - total * total / bag_size
    between /= n_bags
    noise = within / (n_bags * bag_size * (bag_size - 1))
    return _positive_mean(between, noise, n_bags) + noise / n_bags


@kernel
def _positive_mean(between, noise, n_bags):  # type: ignore[no-untyped-def]
    """Return the mean of a positive variance whose estimate is `between` - `noise`, about normal.

    The estimate itself can be negative. Under a flat prior on positive values the variance
    follows a normal distribution cut off at 0; this is its mean (section 4.1 of the paper).
    """
    estimate = between - noise
    std_error = max(between, noise) * math.sqrt(2.0 / n_bags)
    if not std_error > 0.0:
        return 0.0
    z = estimate / std_error
    tail = 0.5 * math.erfc(-z / math.sqrt(2.0))
    if tail < 1e-300:
        return 0.0
    return estimate + std_error * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / tail
