"""A second, slow and plain implementation of the models of individual effects, from the papers."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student_t


def design_row(d, z, moderators):
    """Write one row of the interaction regression: 1, D, Z, D x M, arm by arm."""
    products = [a * z[j] for a in d for j in moderators]
    return np.array([1.0, *d, *z, *products])


def interaction_effects(D, Z, moderators, y, weight, groups, kind, level, Z_new):
    """Return effects and intervals of the treatments on the rows of Z_new.

    D has one column a treatment. Robust covariance of weighted least squares as in MacKinnon &
    White (1985) and Liang & Zeger (1986), one row or one group after the other.
    """
    n = len(y)
    weight = np.ones(n) if weight is None else weight
    X = np.array([design_row(D[i], Z[i], moderators) for i in range(n)])
    A = np.linalg.inv(sum(weight[i] * np.outer(X[i], X[i]) for i in range(n)))
    beta = A @ sum(weight[i] * X[i] * y[i] for i in range(n))
    residual = y - X @ beta
    k = X.shape[1]
    meat = np.zeros((k, k))
    if kind == "group":
        labels = sorted(set(groups.tolist()))
        for label in labels:
            rows = [i for i in range(n) if groups[i] == label]
            score = sum(weight[i] * residual[i] * X[i] for i in rows)
            meat += np.outer(score, score)
        meat *= len(labels) / (len(labels) - 1) * (n - 1) / (n - k)
        dof = len(labels) - 1
    else:
        for i in range(n):
            leverage = weight[i] * X[i] @ A @ X[i]
            score = weight[i] * residual[i] * X[i]
            part = np.outer(score, score)
            if kind == "hc1":
                part *= n / (n - k)
            elif kind == "hc2":
                part /= 1 - leverage
            elif kind == "hc3":
                part /= (1 - leverage) ** 2
            meat += part
        dof = n - k
        codes = D @ np.arange(1, D.shape[1] + 1)
        if np.isin(D, (0, 1)).all():  # the smallest arm tells its own line: a mean and the slopes
            spare = min(int((codes == a).sum()) for a in range(D.shape[1] + 1)) - len(moderators)
            dof = min(dof, spare - 1) if spare < 100 else dof
    covariance = A @ meat @ A
    quantile = student_t.ppf(0.5 + level / 2, dof)
    n_treatments = D.shape[1]
    effects = np.empty((len(Z_new), n_treatments))
    intervals = np.empty((len(Z_new), n_treatments, 2))
    for i, z in enumerate(Z_new):
        for a in range(n_treatments):
            one = np.zeros(n_treatments)
            one[a] = 1.0
            gradient = design_row(one, z, moderators) - design_row(0 * one, z, moderators)
            effects[i, a] = gradient @ beta
            half = quantile * np.sqrt(gradient @ covariance @ gradient)
            intervals[i, a] = effects[i, a] - half, effects[i, a] + half
    return effects, intervals


def shrunken_weights(outcome, treatment, pooled, own, segment, weight, groups, n_folds):
    """Return the weights of own models: empirical Bayes, its factor by R-stacking with a garrote.

    Row by row and factor by factor; `treatment`, `pooled` and `own` have one column a treatment.
    """
    labels = sorted(set(segment.tolist()))
    weight = np.ones(len(outcome)) if weight is None else weight
    error = [outcome[i] - treatment[i] @ pooled[i] for i in range(len(outcome))]
    gap = [treatment[i] @ (own[i] - pooled[i]) for i in range(len(outcome))]
    noise, square, cross = [], [], []
    terms = {label: np.zeros(len(outcome)) for label in labels}
    for label in labels:
        rows = [i for i in range(len(outcome)) if segment[i] == label]
        mass = sum(weight[i] for i in rows)
        spread = sum(weight[i] * (error[i] - gap[i]) ** 2 for i in rows) / mass
        noise.append(spread / sum(weight[i] * treatment[i] @ treatment[i] for i in rows))
        square.append(sum(weight[i] * gap[i] ** 2 for i in rows))
        cross.append(sum(weight[i] * gap[i] * error[i] for i in rows))
        left = [weight[i] * gap[i] * (error[i] - gap[i]) for i in rows]
        for i, value in zip(rows, left, strict=True):
            terms[label][i] = value - np.mean(left)
    clusters = np.arange(len(outcome)) if groups is None else groups
    best = (np.inf, 0.0)
    for factor in [np.inf, *np.geomspace(1e4, 1e-4, 801) / np.median(noise), 0.0]:
        w = [1 / (1 + factor * v * n_folds / (n_folds - 1)) for v in noise]
        total = sum(w[k] * terms[label] for k, label in enumerate(labels))
        sums = dict.fromkeys(clusters.tolist(), 0.0)
        for i, c in enumerate(clusters.tolist()):
            sums[c] += total[i]
        variance = 4 * sum(value**2 for value in sums.values())
        t = sum(w[k] * cross[k] for k in range(len(w)))
        counted = t - variance / t if t > 0 and t * t > variance else 0.0
        loss = sum(w[k] ** 2 * square[k] for k in range(len(w))) - 2 * counted
        if loss < best[0]:
            best = (loss, factor)
    return best[1], np.array([1 / (1 + best[1] * v) for v in noise])
