"""Group metrics, calibration and policies straight from their definitions, slow and plain."""

from __future__ import annotations

import itertools
import math

import numpy as np


def naive_quantile_groups(prediction, n_groups, weight=None):
    """Group of each row: floor of n_groups times the share below plus half the share at it."""
    weight = [1.0] * len(prediction) if weight is None else weight
    total = math.fsum(weight)
    groups = []
    for s in prediction:
        below = math.fsum(w for p, w in zip(prediction, weight, strict=True) if p < s)
        level = math.fsum(w for p, w in zip(prediction, weight, strict=True) if p == s)
        groups.append(math.floor(n_groups * (below + level / 2) / total + 1e-9))
    return groups


def naive_mean(psi, weight, cluster):
    """Weighted mean, and its standard error over clusters."""
    total = math.fsum(weight)
    mean = math.fsum(w * p for w, p in zip(weight, psi, strict=True)) / total
    sums = {}
    for p, w, c in zip(psi, weight, cluster, strict=True):
        sums[c] = sums.get(c, 0.0) + w * (p - mean)
    m = len(sums)
    if m < 2:
        return mean, math.nan
    return mean, math.sqrt(m / (m - 1) * math.fsum(v**2 for v in sums.values())) / total


def naive_calibration_error(psi, prediction, n_groups, weight=None, cluster=None):
    """Mean product of a row's gap and the gap of its group without the row's cluster."""
    n = len(psi)
    weight = [1.0] * n if weight is None else weight
    cluster = list(range(n)) if cluster is None else cluster
    group = naive_quantile_groups(prediction, n_groups, weight)
    total, mass = 0.0, 0.0
    for i in range(n):
        others = [j for j in range(n) if group[j] == group[i] and cluster[j] != cluster[i]]
        if not others:
            continue
        mean = sum(weight[j] * psi[j] for j in others) / sum(weight[j] for j in others)
        total += weight[i] * (psi[i] - prediction[i]) * (mean - prediction[i])
        mass += weight[i]
    return total / mass


def naive_isotonic(values, weight):
    """Pool adjacent violators, one at a time."""
    blocks = []
    for v, w in zip(values, weight, strict=True):
        blocks.append([v, w, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            v2, w2, n2 = blocks.pop()
            v1, w1, n1 = blocks.pop()
            blocks.append([(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2])
    return [v for v, _, n in blocks for _ in range(n)]


def naive_cluster_hc3(columns, y, weight, cluster):
    """Leave-one-cluster-out covariance times (G - 1) / G, from the definition with the hat matrix."""
    root = np.sqrt(weight)
    X, target = columns * root[:, None], y * root
    bread = np.linalg.inv(X.T @ X)
    residual = target - X @ (bread @ X.T @ target)
    hat = X @ bread @ X.T
    meat = np.zeros((X.shape[1], X.shape[1]))
    names = np.unique(cluster)
    for c in names:
        rows = np.flatnonzero(cluster == c)
        block = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        score = X[rows].T @ np.linalg.solve(block, residual[rows])
        meat += np.outer(score, score)
    return (len(names) - 1) / len(names) * bread @ meat @ bread


def naive_profit_curve(psi, prediction, value, cost, weight=None):
    """Share, threshold and profit at every distinct prediction, from treating nobody on."""
    n = len(psi)
    weight = [1.0] * n if weight is None else weight
    total = sum(weight)
    points = [(0.0, math.inf, 0.0)]
    for threshold in sorted(set(prediction), reverse=True):
        rows = [i for i in range(n) if prediction[i] >= threshold]
        share = sum(weight[i] for i in rows) / total
        profit = sum(weight[i] * (value * psi[i] - cost[i]) for i in rows) / total
        points.append((share, threshold, profit))
    return np.array(points)


def best_plan(effects, value, cost, budget):
    """Try every plan of arms for a handful of rows; return the most that the budget allows."""
    n, k = effects.shape
    best = 0.0
    for arms in itertools.product(range(k + 1), repeat=n):
        spend = sum(cost[a - 1] for a in arms if a) / n
        gain = sum(value * effects[i, a - 1] - cost[a - 1] for i, a in enumerate(arms) if a) / n
        if spend <= budget + 1e-12:
            best = max(best, gain)
    return best
