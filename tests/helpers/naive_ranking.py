"""QINI and AUTOC straight from their definitions, slow and plain."""

from __future__ import annotations

import numpy as np


def naive_rank_score(prediction, psi, kind="qini", repeats=None):
    """Mean over ranks k of TOC(k/N), times k/N for QINI; equal predictions share their mean psi.

    TOC(k/N) is the mean psi of the k rows of highest prediction, less the mean of all.
    `repeats` writes each row that many times.
    """
    if repeats is not None:
        prediction, psi = np.repeat(prediction, repeats), np.repeat(psi, repeats)
    n = len(psi)
    shared = [
        np.mean([psi[j] for j in range(n) if prediction[j] == prediction[i]]) for i in range(n)
    ]
    ranked = [shared[i] for i in sorted(range(n), key=lambda i: -prediction[i])]
    total = 0.0
    for k in range(1, n + 1):
        toc = np.mean(ranked[:k]) - np.mean(ranked)
        total += toc * k / n if kind == "qini" else toc
    return total / n


def jackknife_std_error(score, prediction, psi):
    """Standard error from leaving out one row at a time."""
    n = len(psi)
    left_out = [score(np.delete(prediction, i), np.delete(psi, i)) for i in range(n)]
    return np.sqrt((n - 1) / n * np.sum((left_out - np.mean(left_out)) ** 2))
