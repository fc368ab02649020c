"""Loops over the rows of an experiment with two arms."""

from __future__ import annotations

import numpy as np

from segcate._kernels import kernel


@kernel
def arm_totals(y, treatment, weight):  # type: ignore[no-untyped-def]
    """Return weight and weighted sum of y, of all rows and of the treated ones.

    Parameters
    ----------
    y : float64 array of shape (n_rows,)
    treatment : int array of shape (n_rows,), values 0 and 1
    weight : float64 array of shape (n_rows,), or of length 0 where every row counts once
    """
    mass, treated_mass, total, treated_total = 0.0, 0.0, 0.0, 0.0
    for i in range(len(y)):
        w = weight[i] if len(weight) else 1.0
        mass += w
        total += w * y[i]
        treated_mass += w * treatment[i]
        treated_total += w * treatment[i] * y[i]
    return mass, treated_mass, total, treated_total


@kernel
def arm_lines(y, treatment, mu0, mu1, share):  # type: ignore[no-untyped-def]
    """Return mu1 - mu0 + (y - mu1) / share if treated, mu1 - mu0 - (y - mu0) / (1 - share) if not."""
    scores = np.empty(len(y))
    slope = np.array([-1.0 / (1.0 - share), 1.0 / share])
    middle = np.array([mu0, mu1])
    for i in range(len(y)):
        arm = treatment[i]
        scores[i] = mu1 - mu0 + slope[arm] * (y[i] - middle[arm])
    return scores
