"""Covariate balance between the arms, before and after matching, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._kernels import are_few, kernel
from segcate.matching._cell_order import sort_rows

if TYPE_CHECKING:
    import pandas as pd


# Means and deviations closer than this share of the mean differ by rounding only.
_ROUNDING = 1e-12
# One row has all the weight where the others have less than about this share of it.
_ALONE = 1e-14
# Values looked at before a column is compared with 0 and 1 as a whole.
_GLANCE = 64
# The fields of `Balance` that are a number for each segment and column, before and after.
_NUMBERS = ("mean_treated", "mean_control", "difference", "variance_ratio", "ks")


@dataclass(frozen=True, slots=True)
class BalanceSums:
    """What several balances need to become one.

    Attributes
    ----------
    mass, squares : float64 arrays of shape (n_segments, 2, 2)
        Sums of weights and of their squares: before and after matching, controls and treated.
    variance : float64 array of shape (n_segments, n_columns, 2, 2), in the same order
    is_binary : bool array of shape (n_columns,), columns of 0 and 1
    estimand : "att", "atc" or "ate"
    """

    mass: Float
    squares: Float
    variance: Float
    is_binary: npt.NDArray[np.bool_]
    estimand: str


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance statistics, each of shape (n_segments, n_columns, 2); last axis: before, after matching.

    Attributes
    ----------
    columns : names of the covariates
    mean_treated, mean_control : weighted means
    difference : standardised mean difference; the denominator is the raw sample's both times
    variance_ratio : treated over control; NaN for 0/1 columns
    ks : largest distance between the weighted distribution functions
    sums : what combining needs; None where it was not kept
    """

    columns: tuple[str, ...]
    mean_treated: Float
    mean_control: Float
    difference: Float
    variance_ratio: Float
    ks: Float
    sums: BalanceSums | None = None

    def in_order_of(self, columns: tuple[str, ...]) -> Balance:
        """Return the balance with its columns in another order."""
        at = [self.columns.index(name) for name in columns]
        sums = self.sums
        if sums is not None:
            sums = replace(sums, variance=sums.variance[:, at], is_binary=sums.is_binary[at])
        numbers = (getattr(self, name)[:, at] for name in _NUMBERS)
        return replace(Balance(columns, *numbers), sums=sums)

    def frame(self, segments: Sequence[Any]) -> pd.DataFrame:
        """Write the table `balance_` of a matcher, one row a segment and covariate."""
        import pandas as pd

        index = pd.MultiIndex.from_product([segments, self.columns], names=["segment", "covariate"])
        columns = {
            "mean_treated": self.mean_treated[..., 1],
            "mean_control": self.mean_control[..., 1],
        }
        for name in ("difference", "variance_ratio", "ks"):
            short = "smd" if name == "difference" else name
            for k, when in enumerate(("before", "after")):
                columns[f"{short}_{when}"] = getattr(self, name)[..., k]
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)


@dataclass(frozen=True, slots=True)
class SortedColumn:
    """A column with its rows in order: segment, controls before treated, ascending value.

    Attributes
    ----------
    values : float64 array of shape (n_positions,)
    before, after : weights at each position without and with matching
    bounds : int64 array of shape (2 * n_segments + 1,)
    """

    values: Float
    before: Float
    after: Float
    bounds: npt.NDArray[np.int64]


def sort_column(
    z: Float,
    treatment: npt.NDArray[np.int8],
    segment: npt.NDArray[np.intp],
    n_segments: int,
    base_weight: Float | None,
    matched_weight: Float,
) -> SortedColumn:
    """Sort a column for `measure_columns`."""
    order, bounds = sort_rows(segment, n_segments, treatment, z)
    before = np.ones(len(order)) if base_weight is None else base_weight[order]
    return SortedColumn(z[order], before, matched_weight[order], bounds)


class MeasuredColumn(NamedTuple):
    """One column of a balance.

    Attributes
    ----------
    numbers : float64 array of shape (5, n_segments, 2), in the order of `Balance`
    variance : float64 array of shape (n_segments, 2, 2): before and after, controls and treated
    is_binary : whether it holds 0 and 1
    """

    numbers: Float
    variance: Float
    is_binary: bool


def measure_column(column: SortedColumn, estimand: str) -> MeasuredColumn:
    """Compare the arms on one column in every segment.

    The mean difference is divided by the standard deviation of the treated for the ATT, of the
    controls for the ATC, and by ``sqrt((s1^2 + s0^2) / 2)`` for the ATE, always of the raw sample;
    a 0/1 column has ``s = sqrt(p (1 - p))``. Variances divide by ``1 - sum(w^2)`` with weights of
    sum 1, which is n - 1 without weights.

    """
    z, bounds = column.values, column.bounds
    weights = (column.before, column.after)
    found = [_moments(z, weight, bounds) for weight in weights]
    mean, variance = (np.array(part) for part in zip(*found, strict=True))
    gaps = [_largest_gap(z, weight, bounds) for weight in weights]
    is_binary = is_binary_column(z)
    of_moments = compare_moments(mean, variance, estimand, is_binary=is_binary)
    numbers = np.concatenate([of_moments, np.stack(gaps, axis=-1)[None]])
    return MeasuredColumn(numbers, variance.reshape(2, -1, 2).swapaxes(0, 1), is_binary)


def weight_sums(column: SortedColumn) -> tuple[Float, Float]:
    """Sum weights, and squared weights: shape (n_segments, 2, 2), before and after, arm."""
    weights = (column.before, column.after)
    found = [[_sums(w, column.bounds), _sums(w * w, column.bounds)] for w in weights]
    both = np.array(found).reshape(2, 2, -1, 2).transpose(1, 2, 0, 3)
    return both[0], both[1]


def joined_balance(
    holders: Sequence[Sequence[tuple[Balance, int]]], is_binary: npt.NDArray[np.bool_]
) -> Balance:
    """Make one balance of several.

    Parameters
    ----------
    holders : for each segment the balances that have it, with its place; columns in one order
    is_binary : columns of 0 and 1 in all of them
    """
    columns, sums = holders[0][0][0].columns, [_joined_sums(one) for one in holders]
    mass, squares, mean, variance = (np.stack(part) for part in zip(*sums, strict=True))
    given = holders[0][0][0].sums
    estimand = "att" if given is None else given.estimand
    out = np.full((len(_NUMBERS), len(holders), len(columns), 2), np.nan)
    for j, binary in enumerate(is_binary.tolist()):
        by_arm = [part[:, j].swapaxes(0, 1).reshape(2, -1) for part in (mean, variance)]
        out[:4, :, j] = compare_moments(by_arm[0], by_arm[1], estimand, is_binary=binary)
    for s, one in enumerate(holders):
        if len(one) == 1:
            out[:, s] = [getattr(one[0][0], name)[one[0][1]] for name in _NUMBERS]
    kept = BalanceSums(mass, squares, variance, is_binary, estimand)
    return replace(Balance(columns, *out), sums=kept)


def _joined_sums(holders: Sequence[tuple[Balance, int]]) -> tuple[Float, Float, Float, Float]:
    """Return mass, squared weights, mean and variance of one segment in several balances."""
    kept = [(b, b.sums, i) for b, i in holders if b.sums is not None]
    mass = np.array([sums.mass[i] for _, sums, i in kept])[:, None]
    squares = np.array([sums.squares[i] for _, sums, i in kept])[:, None]
    means = np.array(
        [np.stack([b.mean_control[i], b.mean_treated[i]], axis=-1) for b, _, i in kept]
    )
    variances = np.array([sums.variance[i] for _, sums, i in kept])
    total = mass.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(total > 0, np.nansum(mass * means, axis=0) / total, np.nan)
        spreads = variances * mass * (1 - squares / mass**2) + mass * (means - mean) ** 2
        alone = mass * (means - mean) ** 2
    spread = np.nansum(np.where(np.isnan(variances), alone, spreads), axis=0)
    variance = weighted_variance(mean, spread, total, squares.sum(axis=0))
    return total[0], squares.sum(axis=0)[0], mean, variance


def compare_moments(mean: Float, variance: Float, estimand: str, *, is_binary: bool) -> Float:
    """Compare the arms by the moments of a column.

    Parameters
    ----------
    mean, variance : float64 arrays of shape (2, 2 * n_segments)
        Before and after matching; of the controls and the treated of each segment.
    estimand : "att", "atc" or "ate"
    is_binary : whether the column holds 0 and 1

    Returns
    -------
    float64 array of shape (4, n_segments, 2)
        mean_treated, mean_control, difference, variance_ratio; last axis: before, after.
    """
    if is_binary:
        variance = mean * (1 - mean)
    treated, control = variance[0, 1::2], variance[0, 0::2]
    scale = np.sqrt({"att": treated, "atc": control}.get(estimand, (treated + control) / 2))
    out = np.full((4, mean.shape[1] // 2, 2), np.nan)
    for k in (0, 1):
        gap = mean[k, 1::2] - mean[k, 0::2]
        gap[np.abs(gap) <= _ROUNDING * np.abs(mean[k, 1::2])] = 0.0
        out[0, :, k], out[1, :, k] = mean[k, 1::2], mean[k, 0::2]
        with np.errstate(divide="ignore", invalid="ignore"):
            out[2, :, k] = np.where(gap == 0, 0.0, gap / scale)
            if not is_binary:
                out[3, :, k] = variance[k, 1::2] / variance[k, 0::2]
    return out


def is_binary_column(z: Float) -> bool:
    """Tell whether all values are 0 or 1."""
    return all(bool(((part == 0.0) | (part == 1.0)).all()) for part in (z[:_GLANCE], z[_GLANCE:]))


def _sums(values: Float, bounds: npt.NDArray[np.int64]) -> Float:
    """Add up the values of every slice."""
    out = np.zeros(len(bounds) - 1)
    is_there = bounds[1:] > bounds[:-1]
    if is_there.any():
        out[is_there] = np.add.reduceat(values, bounds[:-1][is_there])
    return out


def _moments(z: Float, weight: Float, bounds: npt.NDArray[np.int64]) -> tuple[Float, Float]:
    """Weighted mean and variance of every slice; NaN where it is empty or weighs nothing.

    The first value of each slice is taken off before, so that a constant one has variance 0.
    """
    size, mass = np.diff(bounds), _sums(weight, bounds)
    first = np.zeros(len(size))
    first[size > 0] = z[bounds[:-1][size > 0]]
    gap = z - np.repeat(first, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(mass > 0, _sums(weight * gap, bounds) / mass, np.nan)
        spread = _sums(weight * (gap - np.repeat(mean, size)) ** 2, bounds)
    return first + mean, weighted_variance(
        first + mean, spread, mass, _sums(weight * weight, bounds)
    )


def weighted_variance(mean: Float, spread: Float, mass: Float, squares: Float) -> Float:
    """Return variances of sums: of squared gaps, of weights and of their squares.

    0 for rounding, and where one row has all the weight, or all but rounding.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        left = 1 - squares / mass**2
        variance = spread / mass / left
        variance[(left <= _ALONE) | (spread <= mass * (_ROUNDING * mean) ** 2)] = 0.0
    return np.where(mass > 0, variance, np.nan)


def _largest_gap(z: Float, weight: Float, bounds: npt.NDArray[np.int64]) -> Float:
    """Kolmogorov-Smirnov distance between the arms of each segment; ties together.

    NaN for a segment with missing values, or with an arm that weighs nothing.
    """
    totals = _sums(weight, bounds)
    out = np.full(len(bounds) // 2, np.nan)
    if not are_few(len(z)):
        _merge(z, weight, bounds, totals, out)
        return out
    for s in np.flatnonzero((totals[::2] > 0) & (totals[1::2] > 0)).tolist():
        control, treated = (slice(bounds[i], bounds[i + 1]) for i in (2 * s, 2 * s + 1))
        both = np.concatenate([z[control], z[treated]])
        if not np.isnan(both).any():
            shares = [
                np.append(0.0, np.cumsum(weight[arm]))[np.searchsorted(z[arm], both, side="right")]
                / totals[2 * s + i]
                for i, arm in enumerate((control, treated))
            ]
            out[s] = np.abs(shares[1] - shares[0]).max()
    return out


@kernel
def _merge(z, weight, bounds, totals, out):  # type: ignore[no-untyped-def]
    """Walk through both arms at once, from the smallest value on."""
    for s in range(len(out)):
        c, c1, t, t1 = bounds[2 * s], bounds[2 * s + 1], bounds[2 * s + 1], bounds[2 * s + 2]
        mass_c, mass_t = totals[2 * s], totals[2 * s + 1]
        if not (mass_c > 0 and mass_t > 0):
            continue
        below_c, below_t, widest = 0.0, 0.0, 0.0
        while c < c1 or t < t1:
            at = z[c] if t == t1 or (c < c1 and z[c] <= z[t]) else z[t]
            if at != at:  # a missing value: it equals nothing, not even itself
                widest = np.nan
                break
            while c < c1 and z[c] == at:
                below_c += weight[c]
                c += 1
            while t < t1 and z[t] == at:
                below_t += weight[t]
                t += 1
            widest = max(widest, abs(below_t / mass_t - below_c / mass_c))
        out[s] = widest


def effective_sample_size(weight: Float, bounds: npt.NDArray[np.int64]) -> Float:
    """Return ``(sum w)^2 / sum w^2`` of each segment and arm: shape (n_segments, 2), control first."""
    totals, squares = _sums(weight, bounds), _sums(weight * weight, bounds)
    size = np.divide(totals**2, squares, out=np.zeros_like(totals), where=squares > 0)
    return np.asarray(size, dtype=np.float64).reshape(-1, 2)
