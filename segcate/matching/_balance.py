"""Covariate balance between the arms, before and after matching, segment by segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segcate.matching._sort import sort_rows

Float = npt.NDArray[np.float64]


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


def balance(
    Z: Float,
    columns: tuple[str, ...],
    treatment: npt.NDArray[np.int8],
    segment: npt.NDArray[np.intp],
    n_segments: int,
    base_weight: Float | None,
    matched_weight: Float,
    estimand: str,
) -> Balance:
    """Compare the arms in every segment.

    The mean difference is divided by the standard deviation of the treated for the ATT, of the
    controls for the ATC, and by ``sqrt((s1^2 + s0^2) / 2)`` for the ATE, always of the raw sample;
    a 0/1 column has ``s = sqrt(p (1 - p))``. Variances divide by ``1 - sum(w^2)`` with weights of
    sum 1, which is n - 1 without weights.
    """
    shape = (n_segments, Z.shape[1], 2)
    out = {name: np.full(shape, np.nan) for name in ("m1", "m0", "smd", "vr", "ks")}
    cell = 2 * segment + treatment
    base = np.ones(len(cell)) if base_weight is None else base_weight
    zeros = np.zeros(len(cell), np.int8)
    for j in range(Z.shape[1]):
        z = Z[:, j]
        is_binary = bool(((z == 0) | (z == 1)).all())
        order, bounds = (None, None) if is_binary else sort_rows(segment, n_segments, zeros, z)
        scale = None
        for k, weight in enumerate((base, matched_weight)):
            mean, variance = _moments(z, weight, cell, 2 * n_segments, is_binary)
            if scale is None:
                scale = _scale(variance[1::2], variance[0::2], estimand)
            gap = mean[1::2] - mean[0::2]
            out["m1"][:, j, k], out["m0"][:, j, k] = mean[1::2], mean[0::2]
            with np.errstate(divide="ignore", invalid="ignore"):
                out["smd"][:, j, k] = np.where(gap == 0, 0.0, gap / scale)
                if not is_binary:
                    out["vr"][:, j, k] = variance[1::2] / variance[0::2]
            if order is None or bounds is None:
                out["ks"][:, j, k] = np.abs(gap)
            else:
                out["ks"][:, j, k] = _ks(z, order, bounds, treatment, weight)
    return Balance(columns, out["m1"], out["m0"], out["smd"], out["vr"], out["ks"])


def _moments(
    z: Float, weight: Float, cell: npt.NDArray[np.intp], n_cells: int, is_binary: bool
) -> tuple[Float, Float]:
    """Weighted mean and variance of z in every cell (NaN where a cell is empty)."""
    mass = np.bincount(cell, weight, n_cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(cell, weight * z, n_cells) / mass
        if is_binary:
            return mean, mean * (1 - mean)
        spread = np.bincount(cell, weight * (z - np.nan_to_num(mean)[cell]) ** 2, n_cells) / mass
        concentration = np.bincount(cell, weight**2, n_cells) / mass**2
        return mean, spread / (1 - concentration)


def _scale(treated: Float, control: Float, estimand: str) -> Float:
    by_estimand = {"att": treated, "atc": control, "ate": (treated + control) / 2}
    return np.sqrt(by_estimand[estimand])


def _ks(
    z: Float,
    order: npt.NDArray[np.int32],
    bounds: npt.NDArray[np.int64],
    treatment: npt.NDArray[np.int8],
    weight: Float,
) -> Float:
    """Kolmogorov-Smirnov distance between the arms in each segment, ties taken together."""
    out = np.full((len(bounds) - 1) // 2, np.nan)
    for s in range(len(out)):
        rows = order[bounds[2 * s] : bounds[2 * s + 1]]
        w, is_treated = weight[rows], treatment[rows] == 1
        mass = w[is_treated].sum(), w[~is_treated].sum()
        if min(mass) <= 0:
            continue
        gap = np.cumsum(np.where(is_treated, w / mass[0], -w / mass[1]))
        last_of_tie = np.append(z[rows][1:] != z[rows][:-1], True)
        out[s] = np.abs(gap[last_of_tie]).max()
    return out


def effective_sample_size(
    weight: Float, treatment: npt.NDArray[np.int8], segment: npt.NDArray[np.intp], n_segments: int
) -> Float:
    """Return ``(sum w)^2 / sum w^2`` of each segment and arm: shape (n_segments, 2), control first."""
    cell = 2 * segment + treatment
    total = np.bincount(cell, weight, 2 * n_segments)
    square = np.bincount(cell, weight**2, 2 * n_segments)
    return np.divide(total**2, square, out=np.zeros_like(total), where=square > 0).reshape(-1, 2)
