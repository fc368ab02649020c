"""Effects by a curved ridge regression and weights of donors, written from the formulas: slow and plain.

All columns of all segments stand in one matrix, every inverse is made in full, every sum is a loop over
rows or segments. It shares nothing with the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID = [10.0**k for k in range(-1, 6)]


def weighted_quantile(values, weight, q):
    """Smallest value with at least a share q of the weight at or below it."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    total, reached = sum(weight), 0.0
    for i in order:
        reached += weight[i]
        if reached >= q * total * (1 - 1e-12):
            return values[i]
    return values[order[-1]]


def spread(values, weight):
    mean = sum(weight * values) / sum(weight)
    return np.sqrt(sum(weight * (values - mean) ** 2) / sum(weight))


def standardised(Z, weight):
    z = []
    for column in Z.T:
        mean = sum(weight * column) / sum(weight)
        if spread(column, weight) > 0:
            z.append((column - mean) / spread(column, weight))
    return z


def bends(z, weight):
    knots = sorted({weighted_quantile(z, weight, q) for q in (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)})
    found = [np.maximum(z - knot, 0) for knot in knots if min(z) < knot < max(z)]
    return [bend / spread(bend, weight) for bend in found]


def basis(Z, segment, weight):
    """Return the matrix of all columns and the block (0 to 3) of each."""
    z, n_segments = standardised(Z, weight), int(segment.max()) + 1
    numbers = [j for j in range(len(z)) if len(set(z[j])) > 2]
    columns, block = list(z), [0] * len(z)
    for j in numbers:
        found = bends(z[j], weight)
        columns += found
        block += [1] * len(found)
    near = [np.clip(column, -4, 4) for column in z]
    if len(z) <= 12:
        for a in range(len(z)):
            for b in range(a + 1, len(z)):
                columns.append(near[a] * near[b] / spread(near[a] * near[b], weight))
                block.append(1)
    for k in range(n_segments):
        for column in z:
            columns.append(np.where(segment == k, column, 0.0))
            block.append(2)
        for j in numbers:
            columns.append(np.where(segment == k, near[j] ** 2 / spread(near[j] ** 2, weight), 0.0))
            block.append(3)
    return np.column_stack(columns), np.array(block)


def demeaned(values, segment, at, weight):
    """Subtract the mean of the marked rows of each segment."""
    out = np.array(values, dtype=float)
    for k in range(int(segment.max()) + 1):
        here = at & (segment == k)
        if here.any():
            mean = (weight[here] @ values[here]) / weight[here].sum()
            out[segment == k] = values[segment == k] - mean
    return out


def gcv(A, r, v, penalty, n_free, gamma):
    G = A.T @ (A * v[:, None])
    inverse = np.linalg.inv(G + np.diag(penalty))
    beta = inverse @ (A.T @ (v * r))
    spare = n_free - gamma * np.trace(inverse @ G)
    return (v @ (r - A @ beta) ** 2) / spare**2 if spare > 0 else np.inf


def penalties(A, r, v, block, n_free, gamma=1.4):
    """Walk over the grid, one block at a time, a step while the criterion falls, two sweeps."""
    value = criterion_at(A, r, v, block, n_free, gamma)
    return np.array([GRID[i] for i in walked(value, [first_place(value)] * 4)])


def outcome_penalties(A, r, v, block, n_free):
    """The lower end of two walks, the second from segments that share all; bends and own slopes one place less."""
    value = criterion_at(A, r, v, block, n_free, 1.4)
    start = first_place(value)
    ends = [walked(value, [start] * 4), walked(value, [start, start, 6, 6])]
    at = min(ends, key=value)
    closer = [at[0], max(at[1] - 1, 0), max(at[2] - 1, 0), at[3]]
    return np.array([GRID[i] for i in (closer if np.isfinite(value(closer)) else at)])


def criterion_at(A, r, v, block, n_free, gamma):
    return lambda at: gcv(A, r, v, np.array([GRID[i] for i in at])[block], n_free, gamma)


def first_place(value):
    start = 2
    while not np.isfinite(value([start] * 4)) and start < 6:
        start += 1
    return start


def walked(value, at):
    for _ in range(2):
        for b in range(4):
            for step in (1, -1):
                moved = False
                while 0 <= at[b] + step <= 6:
                    trial = list(at)
                    trial[b] += step
                    if not value(trial) < value(at):
                        break
                    at, moved = trial, True
                if moved:
                    break
    return at


@dataclass
class NaiveEffects:
    effect: np.ndarray
    covariance: np.ndarray
    df: np.ndarray
    n_eff_controls: np.ndarray
    weights: dict


def effects(Z, segment, y, treated, own, uses, weight, estimand, given=None):
    """Return effects, their covariance, degrees of freedom and the weights of all donors.

    `own` weighs the rows that are averaged over, `uses` the donors; `weight` are sample weights.
    """
    n_segments = int(segment.max()) + 1
    X, block = basis(Z, segment, weight)
    value = np.zeros(len(y))
    effect, focal = np.zeros(n_segments), np.zeros(n_segments)
    parts, n_eff = [], np.zeros(n_segments)
    for arm in {"att": [0], "atc": [1], "ate": [0, 1]}[estimand]:
        at = treated == arm
        x, r = demeaned(X, segment, at, weight), demeaned(y, segment, at, weight)
        A, v = x[at], weight[at]
        n_free = v.sum() - len(set(segment[at]))
        lam = (outcome_penalties(A, r[at], v, block, n_free) if given is None else given)[block]
        inverse = np.linalg.inv(A.T @ (A * v[:, None]) + np.diag(lam))
        e = r - x @ (inverse @ (A.T @ (v * r[at])))
        s = np.zeros(len(y))
        for j in np.flatnonzero(at):
            mass = weight[at & (segment == segment[j])].sum()
            h = weight[j] * (x[j] @ inverse @ x[j] + 1 / mass)
            s[j] = e[j] ** 2 / (1 - min(h, 0.95))
        c = np.zeros((n_segments, len(y)))
        for k in range(n_segments):
            here = segment == k
            o = np.where(at & here, uses + (own if estimand == "ate" else 0), 0.0)
            o = o / o.sum()
            f = np.where(here, own, 0.0) / own[here].sum()
            d = f @ x - o @ x
            c[k, at] = o[at] + v * (A @ inverse @ d)
            effect[k] += (1 if arm == 0 else -1) * (f @ e - o @ e)
        value += (1 if arm == 0 else -1) * e
        parts.append((c, s))
        if arm == 0:
            n_eff = 1 / (c**2).sum(axis=1)
    covariance = sum((c * s) @ c.T for c, s in parts)
    df = np.zeros(n_segments)
    for k in range(n_segments):
        here = (segment == k) & (own > 0)
        f, n = own[here] / own[here].sum(), here.sum()
        focal[k] = (f**2 @ (value[here] - f @ value[here]) ** 2) * n / (n - 1)
        total = focal[k] ** 2 / (n - 1)
        for c, s in parts:
            total += (c[k] ** 2 @ s) ** 2 / ((c[k] ** 2).sum() ** 2 / (c[k] ** 4).sum())
        covariance[k, k] += focal[k]
        df[k] = covariance[k, k] ** 2 / total
    return NaiveEffects(
        effect,
        covariance,
        df,
        n_eff,
        {
            arm: part[0]
            for arm, part in zip(
                {"att": [0], "atc": [1], "ate": [0, 1]}[estimand], parts, strict=True
            )
        },
    )


def log_odds(Z, segment, treated, weight):
    """Penalised logistic regression with free intercepts, by plain Newton steps on one large system."""
    n_segments = int(segment.max()) + 1
    X, block = basis(Z, segment, weight)
    t = treated.astype(float)
    everyone = np.ones(len(t), dtype=bool)
    A, r = demeaned(X, segment, everyone, weight), demeaned(t, segment, everyone, weight)
    lam = penalties(A, r, weight, block, weight.sum() - n_segments, gamma=1.0)
    lam = lam * (weight @ r**2) / weight.sum()
    design = np.column_stack([*(segment == k for k in range(n_segments)), X]).astype(float)
    ridge = np.concatenate([np.zeros(n_segments), lam[block]])
    b = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ b))
        gradient = design.T @ (weight * (p - t)) + ridge * b
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None]) + np.diag(ridge)
        b = b - np.linalg.solve(hessian, gradient)
    return design @ b
