"""The numbers of a distribution plot: groups of rows, quartiles and densities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._writing.number_texts import decimals_of, write_decimals

_N_BINS = 400
_FEW_VALUES = 12


@dataclass(frozen=True, slots=True)
class EffectGroup:
    """Predicted effects of the rows with one value of a column.

    Attributes
    ----------
    name : value, or range of values
    n : rows
    mean, low, middle, high : mean and quartiles, NaN where no row has an effect
    at, height : where the density (or, with few distinct effects, each of them) stands, and how
        high, scaled to a largest of 1; empty where no row has an effect
    is_discrete : whether `at` are distinct effects rather than points of a density
    """

    name: str
    n: int
    mean: float
    low: float
    middle: float
    high: float
    at: Float
    height: Float
    is_discrete: bool


def cut_column(
    values: npt.NDArray[Any], n_bands: int, max_groups: int
) -> tuple[npt.NDArray[np.intp], list[str], bool]:
    """Code the values of a column, and name the codes; missing values come last.

    Numbers of more than `max_groups` distinct values (or more than 12) are cut at their quantiles
    into `n_bands` bands, equal values in one band, named by the smallest and largest value in
    them. Of more than `max_groups` other values the most frequent stay and the rest is one group.

    Returns
    -------
    codes, names, and whether the column was cut into bands
    """
    is_missing = np.asarray(pd.isna(values), dtype=bool)
    present = values[~is_missing]
    is_number = _holds_numbers(present)
    codes, levels = frames.sorted_codes(present.astype(np.float64) if is_number else present)
    is_cut = is_number and len(levels) > min(max_groups, _FEW_VALUES)
    if is_cut:
        codes, names = _cut_numbers(present.astype(np.float64), n_bands)
    else:
        names = [_write(level) for level in levels.tolist()]
        if len(names) > max_groups:
            codes, names = _keep_frequent(codes, names, max_groups)
    out = np.full(len(values), len(names), dtype=np.intp)
    out[~is_missing] = codes
    return out, [*names, *(["<missing>"] if is_missing.any() else [])], is_cut


def _holds_numbers(values: npt.NDArray[Any]) -> bool:
    if values.dtype.kind in "iuf":
        return True
    kinds = ("integer", "floating", "mixed-integer-float", "decimal")
    return values.dtype.kind == "O" and pd.api.types.infer_dtype(values) in kinds


def _cut_numbers(values: Float, n_bands: int) -> tuple[npt.NDArray[np.intp], list[str]]:
    last = (np.arange(1, n_bands) * len(values) + n_bands - 1) // n_bands - 1
    edges = np.unique(np.sort(values)[last])
    codes = np.searchsorted(edges, values, side="left").astype(np.intp)
    present, codes = np.unique(codes, return_inverse=True)
    lows = np.full(len(present), np.inf)
    highs = np.full(len(present), -np.inf)
    np.minimum.at(lows, codes, values)
    np.maximum.at(highs, codes, values)
    names = [
        f"{_write(a)} to {_write(b)}" for a, b in zip(lows.tolist(), highs.tolist(), strict=True)
    ]
    return codes.astype(np.intp), names


def _keep_frequent(
    codes: npt.NDArray[np.intp], names: list[str], limit: int
) -> tuple[npt.NDArray[np.intp], list[str]]:
    counts = np.bincount(codes, minlength=len(names))
    kept = np.sort(np.argsort(-counts, kind="stable")[: limit - 1])
    new = np.full(len(names), len(kept), dtype=np.intp)
    new[kept] = np.arange(len(kept))
    return new[codes], [*(names[i] for i in kept), f"{len(names) - len(kept)} other values"]


def _write(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < 1e4:
        return write_decimals(value, 0)
    return write_decimals(value, decimals_of([value], 3))


def describe_groups(
    effect: Float, codes: npt.NDArray[np.intp], names: list[str], weight: Float | None
) -> list[EffectGroup]:
    """Describe the effects of each group; rows whose effect is NaN count in `n` alone."""
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    span = float(np.nanmin(effect)), float(np.nanmax(effect))
    groups = []
    for k, name in enumerate(names):
        rows = order[ends[k] : ends[k + 1]]
        mass = np.ones(len(rows)) if weight is None else weight[rows]
        groups.append(_describe(name, effect[rows], mass, span))
    return groups


def _describe(name: str, effect: Float, mass: Float, span: tuple[float, float]) -> EffectGroup:
    n, counts = len(effect), ~np.isnan(effect) & (mass > 0)
    effect, mass = effect[counts], mass[counts]
    if len(effect) == 0:
        nan = float("nan")
        return EffectGroup(name, n, nan, nan, nan, nan, np.empty(0), np.empty(0), False)
    order = np.argsort(effect, kind="stable")
    effect, mass = effect[order], mass[order]
    share = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    low, middle, high = np.interp([0.25, 0.5, 0.75], share, effect).tolist()
    values, first = np.unique(effect, return_index=True)
    if len(values) <= _FEW_VALUES:
        height = np.add.reduceat(mass, first)
        at, is_discrete = values, True
    else:
        at, height = _density(effect, mass, *span)
        is_discrete = False
    mean = float(np.average(effect, weights=mass))
    return EffectGroup(name, n, mean, low, middle, high, at, height / height.max(), is_discrete)


def _density(effect: Float, mass: Float, low: float, high: float) -> tuple[Float, Float]:
    """Gaussian kernel density on a grid, cut at the smallest and largest effect.

    The bandwidth is Silverman's (1986, eq. 3.31); rows are counted into 400 bins first, so that the
    time does not depend on their number.
    """
    counts, edges = np.histogram(effect, _N_BINS, (low, high), weights=mass)
    middle = 0.5 * (edges[1:] + edges[:-1])
    mean = np.average(effect, weights=mass)
    spread = float(np.sqrt(np.average((effect - mean) ** 2, weights=mass)))
    share = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    quartiles = np.interp([0.25, 0.75], share, effect)
    robust = float(quartiles[1] - quartiles[0]) / 1.34
    n_rows = float(mass.sum() ** 2 / (mass**2).sum())
    step = (high - low) / _N_BINS
    width = max(0.9 * (min(spread, robust) if robust > 0 else spread) * n_rows**-0.2, step)
    reach = int(np.ceil(4 * width / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    height = np.convolve(counts, kernel)[reach : reach + _N_BINS]
    inside = (middle >= effect[0] - step) & (middle <= effect[-1] + step)
    return middle[inside], height[inside]
