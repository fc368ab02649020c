"""The numbers of a segment profile: means, and their distances from all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.kinds import described_name, read_column
from segcate._inputs.listing import listed
from segcate._inputs.weights import check_weights
from segcate.segmentation import segment_profile

_OWNER = "segment_profile"
_SIZE = ("n", "share")


@dataclass(frozen=True, slots=True)
class ProfileCells:
    """The heat map.

    Attributes
    ----------
    covariates, segments : names
    n : rows of each segment
    means : plain means or shares, of shape (n_covariates, n_segments)
    distances : the same as distances from all rows, in standard deviations; NaN where a covariate
        does not vary or a mean does not exist
    n_hidden : covariates left out
    is_exact : whether the standard deviation is that of rows rather than between segments
    """

    covariates: tuple[str, ...]
    segments: tuple[Any, ...]
    n: tuple[int, ...]
    means: Float
    distances: Float
    n_hidden: int
    is_exact: bool


def scale_of_rows(X: Any, profile: pd.DataFrame, sample_weight: Any) -> tuple[Float, Float]:
    """Return mean and standard deviation of all rows for each covariate of a profile of X.

    A share p has the deviation ``sqrt(p (1 - p))``; gaps in a numeric column are left out.
    """
    n_rows = frames.n_rows(X)
    weight = check_weights("segment_profile", sample_weight, X)
    mass = np.ones(n_rows) if weight is None else weight
    whole = segment_profile(X, np.zeros(n_rows, dtype=np.intp), sample_weight=sample_weight)
    read = [read_column(_OWNER, X, i, describe=True) for i in range(X.shape[1])]
    numeric = {described_name(kind): values for kind, values in read if kind.found != "category"}
    covariates = [name for name in profile.columns if name not in _SIZE]
    means = whole[covariates].to_numpy(dtype=np.float64)[0]
    spread = np.sqrt(np.clip(means * (1 - means), 0.0, None))
    for k, name in enumerate(covariates):
        values = numeric.get(name)
        if values is not None:
            present = ~np.isnan(values)
            gap = values[present] - means[k]
            total = mass[present].sum()
            spread[k] = np.sqrt((mass[present] * gap**2).sum() / total) if total > 0 else np.nan
            if spread[k] <= 1e-12 * abs(means[k]):
                spread[k] = 0.0
    return means, spread


def profile_cells(
    owner: str, profile: Any, overall: Any, scale: Any, order: str, limit: int
) -> ProfileCells:
    """Read a profile and put its means on a common scale."""
    _check_profile(owner, profile)
    covariates = [name for name in profile.columns if name not in _SIZE]
    means = profile[covariates].to_numpy(dtype=np.float64).T
    share = profile["share"].to_numpy(dtype=np.float64)
    is_exact = scale is not None
    if overall is None:
        weight = np.where(np.isnan(means), 0.0, share)
        overall = (np.nan_to_num(means) * weight).sum(axis=1) / weight.sum(axis=1)
    middle = _vector(owner, "overall", overall, len(covariates))
    if scale is None:
        gaps = np.nan_to_num(means - middle[:, None])
        scale = np.sqrt((share * gaps**2).sum(axis=1) / share.sum())
    spread = _vector(owner, "scale", scale, len(covariates))
    distances = np.divide(
        means - middle[:, None], spread[:, None], out=np.full(means.shape, np.nan),
        where=spread[:, None] > 0,
    )  # fmt: skip
    size = np.abs(np.nan_to_num(distances)).max(axis=1)
    ranked = np.argsort(-size, kind="stable")
    kept = ranked[:limit] if order == "spread" else np.sort(ranked[:limit])
    return ProfileCells(
        covariates=tuple(str(covariates[i]) for i in kept),
        segments=tuple(profile.index.tolist()),
        n=tuple(int(n) for n in profile["n"]),
        means=means[kept],
        distances=distances[kept],
        n_hidden=len(covariates) - len(kept),
        is_exact=is_exact,
    )


def _check_profile(owner: str, profile: Any) -> None:
    if not isinstance(profile, pd.DataFrame):
        raise TypeError(
            f"{owner}: `profile` must be a DataFrame with one row a segment; got "
            f"{type(profile).__name__}. Pass the table of `segment_profile`."
        )
    missing = [name for name in _SIZE if name not in profile.columns]
    if missing:
        raise ValueError(
            f"{owner}: `profile` lacks the columns {listed(missing)}; it has "
            f"{listed(profile.columns, 12)}. Pass the table of `segment_profile`."
        )
    if len(profile) == 0 or profile.shape[1] == len(_SIZE):
        raise ValueError(
            f"{owner}: `profile` has {len(profile)} segments and "
            f"{profile.shape[1] - len(_SIZE)} covariates; there is nothing to draw."
        )


def _vector(owner: str, name: str, values: Any, length: int) -> Float:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (length,):
        raise ValueError(
            f"{owner}: `{name}` must be one number for each of {length} covariates; got a "
            f"{type(values).__name__} of shape {np.shape(values) if np.ndim(values) else ()}."
        )
    return array
