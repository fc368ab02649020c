"""Covariate balance between the arms, before and after matching, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._kernels import are_few, kernel
from segcate.matching._cell_order import sort_rows

if TYPE_CHECKING:
    import pandas as pd


# Means and deviations closer than this share of the mean differ by rounding only.
_ROUNDING = 1e-12
# Values looked at before a column is compared with 0 and 1 as a whole.
_GLANCE = 64


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
    """

    columns: tuple[str, ...]
    mean_treated: Float
    mean_control: Float
    difference: Float
    variance_ratio: Float
    ks: Float

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


def measure_column(column: SortedColumn, estimand: str) -> Float:
    """Compare the arms on one column in every segment.

    The mean difference is divided by the standard deviation of the treated for the ATT, of the
    controls for the ATC, and by ``sqrt((s1^2 + s0^2) / 2)`` for the ATE, always of the raw sample;
    a 0/1 column has ``s = sqrt(p (1 - p))``. Variances divide by ``1 - sum(w^2)`` with weights of
    sum 1, which is n - 1 without weights.

    Returns
    -------
    float64 array of shape (5, n_segments, 2)
        mean_treated, mean_control, difference, variance_ratio, ks; last axis: before, after.
    """
    z, bounds = column.values, column.bounds
    weights = (column.before, column.after)
    found = [_moments(z, weight, bounds) for weight in weights]
    mean, variance = (np.array(part) for part in zip(*found, strict=True))
    gaps = [_largest_gap(z, weight, bounds) for weight in weights]
    of_moments = compare_moments(mean, variance, estimand, is_binary=is_binary_column(z))
    return np.concatenate([of_moments, np.stack(gaps, axis=-1)[None]])


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
    """Return variances of sums: of squared gaps, of weights and of their squares; 0 for rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        left = 1 - squares / mass**2
        variance = np.where((mass > 0) & (left > 1e-15), spread / mass / left, np.nan)
        variance[spread <= mass * (_ROUNDING * mean) ** 2] = 0.0
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
