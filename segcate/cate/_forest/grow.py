"""Grow one honest causal tree: the compiled split search and partition.

Athey, S., Tibshirani, J., & Wager, S. (2019). Generalized random forests. Annals of Statistics,
47(2), 1148-1178, section 2.3 (gradient trees) and 6 (causal forests).
"""

from __future__ import annotations

import numpy as np

from segcate._kernels import kernel
from segcate.cate._forest.bins import MISSING, N_CODES

# Places in the sums that a split is judged by; a histogram holds the first three.
SCORE, WEIGHT, INFORMATION, ROWS, FILLS = 0, 1, 2, 3, 4
# A side has no effect to estimate if its treatment varies less than this share: that is rounding.
_LEAST_INFORMATION = 1e-9
# A split replaces an earlier one only if its gain is larger by more than rounding.
_BETTER = 1.0 + 1e-9
# Pseudo-outcomes below this share of their terms are rounding: the node is fitted exactly.
_ROUNDING = 1e-12
# Importance counts splits above this depth, deeper ones less.
_IMPORTANCE_DEPTH = 4


@kernel
def grow_tree(codes, t, y, w, half, limits, shares, max_features, rng):  # type: ignore[no-untyped-def]
    """Grow a tree on one half of the rows, and take the moments of its leaves from the other.

    Parameters
    ----------
    codes : uint8 array of shape (n_columns, n_rows)
        Bin of each value of the tree's own rows; `MISSING` where there is none.
    t, y, w : float64 arrays of shape (n_rows,)
        Treatment and outcome, both centred, and weight, > 0.
    half : int8 array of shape (n_rows,)
        0: chooses splits; 1: fills leaves; 2: both.
    limits : float64 array of shape (2,)
        Fewest rows of either half in a leaf; largest depth.
    shares : float64 array of shape (n_columns,)
        Smallest share of a node's weight, and of its treatment variation, on either side of a split
        by the column.
    max_features : int
        Columns tried at a split, drawn anew at each.
    rng : numpy Generator

    Returns
    -------
    feature : int32 array of shape (n_nodes,), column of the split, -1 for a leaf
    bins : int32 array of shape (n_nodes,), last bin that goes left
    missing_left : bool array of shape (n_nodes,)
    child : int32 array of shape (n_nodes,)
        Left child, the right one follows it; of a leaf its row in `moments`.
    moments : float64 array of shape (n_leaves, 4), means of t, y, t y and t t in each leaf
    importance : float64 array of shape (n_columns,)
    """
    chooses = np.flatnonzero(half != 1).astype(np.int32)
    fills = np.flatnonzero(half != 0).astype(np.int32)
    n_columns = codes.shape[0]
    capacity = 2 * max(1, len(chooses) // int(limits[0])) + 1
    feature = np.full(capacity, -1, np.int32)
    bins = np.zeros(capacity, np.int32)
    missing_left = np.zeros(capacity, np.bool_)
    child = np.zeros(capacity, np.int32)
    moments = np.empty((capacity, 4))
    importance = np.zeros(n_columns)
    columns = np.arange(n_columns)
    sums = np.zeros((N_CODES, 3))
    counts = np.zeros((N_CODES, 2), np.int32)
    scores = np.empty((len(chooses), 3))
    total = np.empty(5)
    # To do: node, its runs in `chooses` and `fills`, its depth.
    stack = np.empty((capacity, 6), np.int64)
    stack[0] = 0, 0, len(chooses), 0, len(fills), 0
    n_stack, n_nodes, n_leaves = 1, 1, 0
    while n_stack > 0:
        n_stack -= 1
        node, a, b, c, d, depth = stack[n_stack]
        found, at, is_left, gain = -1, 0, False, 0.0
        if _may_split(b - a, d - c, depth, limits) and _score_rows(
            chooses, a, b, t, y, w, scores, total
        ):
            _draw_columns(columns, max_features, rng)
            tried = columns[:max_features]
            found, at, is_left, gain = _best_split(
                codes,
                chooses[a:b],
                fills[c:d],
                scores,
                total,
                limits[0],
                shares,
                tried,
                sums,
                counts,
            )
        if found < 0:
            _fill_leaf(fills[c:d], t, y, w, moments[n_leaves])
            child[node] = n_leaves
            n_leaves += 1
            continue
        feature[node], bins[node], missing_left[node], child[node] = found, at, is_left, n_nodes
        if depth < _IMPORTANCE_DEPTH:
            importance[found] += gain / (1.0 + depth) ** 2
        middle = a + _partition(codes[found], chooses[a:b], at, is_left)
        center = c + _partition(codes[found], fills[c:d], at, is_left)
        stack[n_stack] = n_nodes + 1, middle, b, center, d, depth + 1
        stack[n_stack + 1] = n_nodes, a, middle, c, center, depth + 1
        n_stack += 2
        n_nodes += 2
    return (
        feature[:n_nodes].copy(),
        bins[:n_nodes].copy(),
        missing_left[:n_nodes].copy(),
        child[:n_nodes].copy(),
        moments[:n_leaves].copy(),
        importance,
    )


@kernel
def _may_split(n_chooses, n_fills, depth, limits):  # type: ignore[no-untyped-def]
    return min(n_chooses, n_fills) >= 2 * limits[0] and depth < limits[1]


@kernel
def _draw_columns(columns, n_wanted, rng):  # type: ignore[no-untyped-def]
    """Move a random choice of columns to the front."""
    n = len(columns)
    if n_wanted >= n:
        return
    for i in range(n_wanted):
        j = i + int(rng.random() * (n - i))
        columns[i], columns[j] = columns[j], columns[i]


@kernel
def _score_rows(rows, a, b, t, y, w, scores, total):  # type: ignore[no-untyped-def]
    """Write the weighted pseudo-outcome, weight and information of each row; False if all are 0.

    Pseudo-outcomes that are rounding beside their terms count as 0.

    The pseudo-outcome is the influence of the row on the effect in the node, equation (8) of the
    paper; the information of a row is its share of the node's treatment variation. `total` gets
    their sums and the number of rows.
    """
    weight = mean_t = mean_y = 0.0
    for i in range(a, b):
        r = rows[i]
        weight += w[r]
        mean_t += w[r] * t[r]
        mean_y += w[r] * y[r]
    mean_t /= weight
    mean_y /= weight
    tt = ty = 0.0
    for i in range(a, b):
        r = rows[i]
        tt += w[r] * (t[r] - mean_t) ** 2
        ty += w[r] * (t[r] - mean_t) * (y[r] - mean_y)
    if not tt > 0.0:
        return False
    effect, scale = ty / tt, weight / tt
    largest = largest_term = total_score = 0.0
    for i in range(a, b):
        r = rows[i]
        gap = t[r] - mean_t
        score = w[r] * gap * (y[r] - mean_y - gap * effect) * scale
        scores[i - a, SCORE] = score
        scores[i - a, WEIGHT] = w[r]
        scores[i - a, INFORMATION] = w[r] * gap * gap * scale
        total_score += score
        largest = max(largest, abs(score))
        largest_term = max(largest_term, abs(w[r] * gap * (y[r] - mean_y) * scale))
    total[SCORE], total[WEIGHT], total[INFORMATION] = total_score, weight, weight
    total[ROWS] = b - a
    return largest > _ROUNDING * largest_term


@kernel
def _best_split(  # type: ignore[no-untyped-def]
    codes, chooses, fills, scores, total, fewest, shares, columns, sums, counts
):
    """Return column, last bin on the left, side of missing values, and gain; column -1 for no split."""
    found, at, is_left, best = -1, 0, False, 0.0
    total[FILLS] = len(fills)
    for j in columns:
        low, high = _count_bins(codes[j], chooses, fills, scores, sums, counts)
        if counts[MISSING, 0] + counts[MISSING, 1] > 0:
            position, side, gain = _scan_with_missing(
                low, high, sums, counts, total, fewest, shares[j]
            )
        else:
            position, gain = _scan(
                low, high, sums, counts, 0.0, 0.0, 0.0, 0, 0, total, fewest, shares[j]
            )
            side = False
        if gain > best * _BETTER:
            found, at, is_left, best = j, position, side, gain
        sums[low : high + 1] = 0.0
        counts[low : high + 1] = 0
        sums[MISSING] = 0.0
        counts[MISSING] = 0
    return found, at, is_left, best


@kernel
def _count_bins(codes, chooses, fills, scores, sums, counts):  # type: ignore[no-untyped-def]
    """Sum the scores by bin; return the lowest and highest bin in use, the missing aside."""
    low, high = MISSING, -1
    for i in range(len(chooses)):
        b = codes[chooses[i]]
        sums[b, SCORE] += scores[i, SCORE]
        sums[b, WEIGHT] += scores[i, WEIGHT]
        sums[b, INFORMATION] += scores[i, INFORMATION]
        counts[b, 0] += 1
        if b != MISSING:
            low = min(low, b)
            high = max(high, b)
    for i in range(len(fills)):
        b = codes[fills[i]]
        counts[b, 1] += 1
        if b != MISSING:
            low = min(low, b)
            high = max(high, b)
    return low, high


@kernel
def _scan_with_missing(low, high, sums, counts, total, fewest, share):  # type: ignore[no-untyped-def]
    """Try every border with missing values on the right, on the left, and on a side of their own."""
    score, weight, information = sums[MISSING]
    rows, fills = counts[MISSING]
    at, gain = _scan(low, high, sums, counts, 0.0, 0.0, 0.0, 0, 0, total, fewest, share)
    left_at, left_gain = _scan(
        low, high, sums, counts, score, weight, information, rows, fills, total, fewest, share
    )
    alone = _gain(
        total[SCORE] - score,
        total[WEIGHT] - weight,
        total[INFORMATION] - information,
        total[ROWS] - rows,
        total[FILLS] - fills,
        total,
        fewest,
        share,
    )
    if alone > max(gain, left_gain) * _BETTER:
        return max(high, 0), False, alone
    if left_gain > gain * _BETTER:
        return left_at, True, left_gain
    return at, False, gain


@kernel
def _scan(  # type: ignore[no-untyped-def]
    low, high, sums, counts, score, weight, information, rows, fills, total, fewest, share
):
    """Try every border between occupied bins; between bins with a gap, the middle of the gap.

    The left side begins with what is handed in. Returns the last bin on the left, and the gain.
    """
    reached = np.empty(N_CODES, np.int32)  # rows that fill leaves, down to each bin
    at, best, last = 0, 0.0, -1
    for b in range(low, high + 1):
        if counts[b, 0] > 0:
            if last >= 0:
                middle = (last + b - 1) // 2
                gain = _gain(
                    score, weight, information, rows, reached[middle], total, fewest, share
                )
                if gain > best * _BETTER:
                    at, best = middle, gain
            score += sums[b, SCORE]
            weight += sums[b, WEIGHT]
            information += sums[b, INFORMATION]
            rows += counts[b, 0]
            last = b
        fills += counts[b, 1]
        reached[b] = fills
    return at, best


@kernel
def _gain(  # type: ignore[no-untyped-def]
    score, weight, information, rows, fills, total, fewest, share
):
    """Return the heterogeneity between two children, 0 where a limit forbids the split."""
    if min(rows, total[ROWS] - rows) < fewest or min(fills, total[FILLS] - fills) < fewest:
        return 0.0
    if min(weight, total[WEIGHT] - weight) * _BETTER < share * total[WEIGHT]:
        return 0.0
    other = total[INFORMATION] - information
    if not min(information, other) > _LEAST_INFORMATION * total[INFORMATION]:
        return 0.0
    if min(information, other) * _BETTER < share * total[INFORMATION]:
        return 0.0
    return score * score / information + (total[SCORE] - score) ** 2 / other


@kernel
def _partition(codes, rows, at, missing_left):  # type: ignore[no-untyped-def]
    """Move the rows that go left to the front; return how many they are."""
    i, j = 0, len(rows) - 1
    while i <= j:
        b = codes[rows[i]]
        goes_left = missing_left if b == MISSING else b <= at
        if goes_left:
            i += 1
        else:
            rows[i], rows[j] = rows[j], rows[i]
            j -= 1
    return i


@kernel
def _fill_leaf(rows, t, y, w, moments):  # type: ignore[no-untyped-def]
    """Write the weighted means of t, y, t y and t t."""
    total = mean_t = mean_y = mean_ty = mean_tt = 0.0
    for r in rows:
        total += w[r]
        mean_t += w[r] * t[r]
        mean_y += w[r] * y[r]
        mean_ty += w[r] * t[r] * y[r]
        mean_tt += w[r] * t[r] * t[r]
    moments[0] = mean_t / total
    moments[1] = mean_y / total
    moments[2] = mean_ty / total
    moments[3] = mean_tt / total
