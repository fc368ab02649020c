"""Loops over ranked rows: blocks of equal predictions, and what each row adds to a score."""

from __future__ import annotations

import numpy as np

from segcate._kernels import kernel


@kernel
def take(values, order, taken):  # type: ignore[no-untyped-def]
    """Put ``values[order]`` into `taken`, for int32 five times as fast as numpy."""
    for i in range(len(order)):
        taken[i] = values[order[i]]


@kernel
def block_ends(values, order, bounds):  # type: ignore[no-untyped-def]
    """Return the last position of each run of equal values inside each slice of `order`.

    Parameters
    ----------
    values : float64 array of shape (n_rows,)
    order : int32 array of shape (n_ranked,), rows such that equal values of a slice stand together
    bounds : int64 array of shape (n_slices + 1,)
        Slice s is ``order[bounds[s]:bounds[s + 1]]``; none is empty.

    Returns
    -------
    int64 array of shape (n_runs,)
    """
    ends = np.empty(bounds[-1], np.int64)
    run = 0
    for s in range(len(bounds) - 1):
        before = values[order[bounds[s]]]
        for i in range(bounds[s] + 1, bounds[s + 1]):
            value = values[order[i]]
            if value != before:
                ends[run] = i - 1
                run += 1
                before = value
        ends[run] = bounds[s + 1] - 1
        run += 1
    return ends[:run].copy()


@kernel
def harmonic_to_go(ends):  # type: ignore[no-untyped-def]
    """Return H_n - H_K for the number K of rows down to each block, H the harmonic number."""
    to_go = np.empty(len(ends))
    total = 0.0
    for b in range(len(ends) - 1, -1, -1):
        to_go[b] = total
        first = ends[b - 1] + 1 if b > 0 else 0
        for i in range(ends[b], first - 1, -1):
            total += 1.0 / (i + 1.0)
    return to_go


@kernel
def distinct_qini_parts(psi, influence):  # type: ignore[no-untyped-def]
    """Make `own_and_rank_parts` of QINI where no ranks are tied and every row counts once.

    Returns the sum; the influences are put into `influence`.
    """
    n = len(psi)
    value, tail, psi_below, area = 0.0, 0.0, psi[n - 1], 0.0
    for i in range(n - 1, -1, -1):
        # `area` is A(i + 1); to the last bit as in `own_and_rank_parts`.
        tail += (0.5 - (i + 1.0) / n) * (psi[i] - psi_below)
        above = i * (n - i) / (2.0 * n)
        value += psi[i] * (area - above)
        influence[i] = tail
        area, psi_below = above, psi[i]
    return value


@kernel
def distinct_autoc_parts(psi, influence):  # type: ignore[no-untyped-def]
    """Make the same of AUTOC."""
    n = len(psi)
    value, tail, psi_below, area, to_go = 0.0, 0.0, psi[n - 1], 0.0, 0.0
    for i in range(n - 1, -1, -1):
        # `area` is A(i + 1), and `to_go` H_n - H_(i + 1).
        step = 1.0 / (i + 1)
        tail += (to_go - 1.0 + step) * (psi[i] - psi_below)
        to_go += step
        above = i * to_go
        value += psi[i] * (area - above)
        influence[i] = tail
        area, psi_below = above, psi[i]
    return value


@kernel
def own_and_rank_parts(psi, weight, ends, area, slope):  # type: ignore[no-untyped-def]
    """Return the sum of block mean times area step, and the influence of each row, not centred.

    Parameters
    ----------
    psi : float64 array of shape (n_ranked,), best rank first
    weight : float64 array of shape (n_ranked,), or of length 0 where every row counts once
    ends : int64 array of shape (n_blocks,), last rank of each block
    area : float64 array of shape (n_blocks,), area weight A collected by the end of each block
    slope : float64 array of shape (n_blocks,), slope of A there
    """
    influence = np.empty(len(psi))
    value, tail, mean_below = 0.0, 0.0, 0.0
    for b in range(len(ends) - 1, -1, -1):
        first = ends[b - 1] + 1 if b > 0 else 0
        mass, mean = _mass_and_mean(psi, weight, first, ends[b] + 1)
        step = area[b] - area[b - 1] if b > 0 else area[b]
        if b < len(ends) - 1:
            tail += slope[b] * (mean - mean_below)
        value += mean * step
        for i in range(first, ends[b] + 1):
            influence[i] = (psi[i] - mean) * (step / mass) + tail
        mean_below = mean
    return value, influence


@kernel
def _mass_and_mean(psi, weight, first, stop):  # type: ignore[no-untyped-def]
    if len(weight) == 0:
        mass = float(stop - first)
        if stop - first == 1:
            return mass, psi[first]
        total = 0.0
        for i in range(first, stop):
            total += psi[i]
        return mass, total / mass
    mass, total = 0.0, 0.0
    for i in range(first, stop):
        mass += weight[i]
        total += weight[i] * psi[i]
    return mass, total / mass
