"""The balance table from sums: moments exactly, distances between distributions from counts in bins."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate.matching._balance import Balance, BalanceSums, compare_moments, weighted_variance
from segcate.scale._sums import Sums

# Distributions are compared at all values of a column up to so many, else at so many quantiles.
_MOST_VALUES, _QUANTILES = 4_096, 512
# A spread below this share of the squares it is the difference of is rounding.
_ROUNDING = 1e-14


def bins_of(values: Float) -> Float:
    """Return where to compare distributions: the values of a column with few, else quantiles of a sample."""
    found = np.unique(values)
    if len(found) > _MOST_VALUES:
        ordered = np.sort(values)
        at = np.linspace(0, len(ordered) - 1, _QUANTILES).round().astype(np.intp)
        found = np.unique(ordered[at])
    return np.asarray(found)


def balance_sums(
    columns: Float,
    shift: Float,
    is_treated: Bool,
    before: Float,
    after: Float,
    bins: tuple[Float, ...],
) -> Sums:
    """Add up some rows.

    Parameters
    ----------
    columns : float64 array of shape (n_rows, n_columns), the propensity first
    shift : float64 array of shape (n_columns,), near the means
    is_treated : bool array of shape (n_rows,)
    before, after : float64 arrays of shape (n_rows,), weights without and with matching
    bins : one array a column, ascending
    """
    by_arm = [[w * at for w in (before, after)] for at in (~is_treated, is_treated)]
    weights = np.array(by_arm)  # arm, before and after, row
    values = columns - shift
    out: Sums = {
        "balance_mass": weights.sum(axis=2),
        "balance_squares": np.einsum("abi,abi->ab", weights, weights),
        "balance_first": weights @ values,
        "balance_second": weights @ values**2,
    }
    is_plain = bool((before == 1.0).all())  # rows are counted then
    for j, edges in enumerate(bins):
        column = np.ascontiguousarray(columns[:, j])
        place = np.searchsorted(edges, column, side="left")
        between = np.append(edges, np.nan)[place] != column
        size = len(edges) + 1
        key = 2 * (place + size * is_treated) + between
        counts = np.array(
            [np.bincount(key, w, 4 * size) for w in (None if is_plain else before, after)]
        ).reshape(2, 2, size, 2)
        # rows in a bin, and those of them that are not at its end; before and after, arm, bin
        out[f"balance_bins_{j}"] = np.array([counts.sum(axis=3), counts[..., 1]])
    return out


class MeasuredBalance(NamedTuple):
    """The balance of all segments.

    Attributes
    ----------
    balance : the table's numbers
    sizes : effective sample sizes, shape (n_segments, 2)
    ks_error : largest share of an arm inside one bin: how far a distance may be too small
    """

    balance: Balance
    sizes: Float
    ks_error: float


def measured_balance(
    sums: list[Sums | None],
    shifts: list[Float],
    names: tuple[str, ...],
    is_binary: Bool,
    estimand: str,
) -> MeasuredBalance:
    """Make the balance of sums; None stands for a segment without one of the arms.

    Parameters
    ----------
    sums : one a segment
    shifts : one a segment, as in `balance_sums`
    names : of the columns, the propensity first
    is_binary : bool array of shape (n_columns,), columns of 0 and 1
    estimand : "att", "atc" or "ate"
    """
    out = np.full((5, len(sums), len(names), 2), np.nan)
    masses, variances = (
        np.zeros((2, len(sums), 2, 2)),
        np.full((len(sums), len(names), 2, 2), np.nan),
    )
    sizes, error = np.zeros((len(sums), 2)), 0.0
    for s, found in enumerate(sums):
        if found is None:
            continue
        mass, squares = found["balance_mass"], found["balance_squares"]
        sizes[s] = np.divide(
            mass[:, 1] ** 2, squares[:, 1], out=np.zeros(2), where=squares[:, 1] > 0
        )
        masses[:, s] = mass.T, squares.T
        for j in range(len(names)):
            out[:4, s, j], variances[s, j], (out[4, s, j], widest) = _column(
                found, j, float(shifts[s][j]), bool(is_binary[j]), estimand
            )
            error = max(error, widest)
    kept = BalanceSums(masses[0], masses[1], variances, np.asarray(is_binary), estimand)
    return MeasuredBalance(replace(Balance(names, *out), sums=kept), sizes, error)


def _column(
    sums: Sums, j: int, shift: float, is_binary: bool, estimand: str
) -> tuple[Float, Float, tuple[Float, float]]:
    """Compare the arms of one segment on one column; its variances come second."""
    mass, squares = sums["balance_mass"].T, sums["balance_squares"].T  # before and after, arm
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(mass > 0, sums["balance_first"][..., j].T / mass, np.nan)
    second = sums["balance_second"][..., j].T
    spread = second - mass * mean**2
    spread = np.where(spread <= _ROUNDING * second, 0.0, spread)
    variance = weighted_variance(mean + shift, spread, mass, squares)
    found = compare_moments(mean + shift, variance, estimand, is_binary=is_binary)
    return found[:, 0], variance, _distances(sums[f"balance_bins_{j}"])


def _distances(bins: Float) -> tuple[Float, float]:
    """Return the distances before and after matching, and what they miss at most."""
    counts, inside = bins
    with np.errstate(invalid="ignore", divide="ignore"):
        total = counts.sum(axis=2, keepdims=True)
        share, hidden = counts / total, inside / total
    gap = np.abs(np.cumsum(share[:, 1], axis=1) - np.cumsum(share[:, 0], axis=1))
    return np.asarray(gap.max(axis=1)), float(np.nan_to_num(hidden).max())
