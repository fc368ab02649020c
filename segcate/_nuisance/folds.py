"""Deal rows, or whole groups of rows, to folds so that both arms are everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int

# Positions of the rows to fit on and to predict, for each fold.
Splits = tuple[tuple[Int, Int], ...]

_MOST_DOSE_BANDS = 10


def treatment_strata(
    owner: str,
    treatment: npt.NDArray[Any],
    y: Float | None,
    *,
    n_outcome_bins: int,
    min_rows: int,
    cells: Int | None = None,
) -> Int:
    """Code the strata arm x outcome, inside `cells` where given, each with at least `min_rows` rows.

    `treatment` holds codes of arms, 0 the control. An outcome of few values is stratified by value,
    any other by its quantiles within the arm; bins become fewer until each is large enough, down to
    one. An arm of a cell may have fewer rows than that; an arm as a whole may not.
    """
    n_arms = max(int(treatment.max(initial=0)) + 1, 2)
    arm_of = treatment.astype(np.intp)
    counts = np.bincount(arm_of, minlength=n_arms)
    for arm in reversed(range(n_arms)):
        if counts[arm] < min_rows:
            word = ("control", "treated")[arm] if n_arms == 2 else f"arm {arm}"
            raise ValueError(
                f"{owner}: `treatment` has {counts[arm]} {word} rows, and every part needs at least "
                f"one, so at least {min_rows} are needed. Lower `cv`, or the number of splits or "
                "parts."
            )
    base = arm_of if cells is None else cells * n_arms + arm_of
    strata = base * n_outcome_bins
    if y is not None:
        order = np.argsort(base, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(base[order])) + 1):
            strata[rows] += _outcome_bins(y[rows], n_outcome_bins, min_rows)
    return strata if cells is None else np.unique(strata, return_inverse=True)[1]


def dose_bands(dose: Float, min_rows: int) -> Int:
    """Code the quantile bands of a continuous treatment: up to ten, of `min_rows` rows or more."""
    for k in range(min(_MOST_DOSE_BANDS, len(dose) // max(min_rows, 1)), 1, -1):
        edges = np.unique(np.quantile(dose, np.arange(1, k) / k))
        bands = np.unique(np.searchsorted(edges, dose), return_inverse=True)[1]
        if np.bincount(bands).min() >= min_rows:
            return bands
    return np.zeros(len(dose), dtype=np.intp)


def _outcome_bins(y: Float, n_bins: int, min_rows: int) -> Int:
    levels = np.unique(y)
    if len(levels) <= n_bins:
        bins = np.searchsorted(levels, y)
        if np.bincount(bins).min() >= min_rows:
            return bins
    for k in range(min(n_bins, len(y) // min_rows), 1, -1):
        edges = np.unique(np.quantile(y, np.arange(1, k) / k))
        bins = np.searchsorted(edges, y)
        counts = np.bincount(bins)
        if counts[counts > 0].min() >= min_rows:
            return bins
    return np.zeros(len(y), dtype=np.intp)


def has_splits(cv: Any) -> bool:
    """Tell whether `cv` holds the folds themselves, as pairs of row positions, and not their number."""
    return isinstance(cv, Iterable)


def check_splits(owner: str, cv: Any, n_rows: int) -> Splits:
    """Read pairs of row positions, to fit on and to predict; each row is predicted once."""
    wanted = "`cv` must be a number of folds, or pairs of arrays (rows to fit on, rows to predict)"
    try:
        splits = tuple(
            (np.asarray(train, dtype=np.intp), np.asarray(test, dtype=np.intp))
            for train, test in cv
        )
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner}: {wanted}; got {cv!r}.") from error
    tested = np.concatenate([np.empty(0, dtype=np.intp), *(test for _, test in splits)])
    times = np.bincount(tested[(tested >= 0) & (tested < n_rows)], minlength=n_rows)
    if len(tested) != n_rows or not (times == 1).all():
        raise ValueError(
            f"{owner}: {wanted} that predict each of the {n_rows} rows once; "
            f"{int((times == 0).sum())} rows are never predicted, {int((times > 1).sum())} more than "
            "once. Pass cv=5 to have folds dealt."
        )
    shared = sum(len(np.intersect1d(train, test)) for train, test in splits)
    if shared:
        raise ValueError(
            f"{owner}: {wanted} with no row in both; {shared} rows would be predicted by models that "
            "saw them. Leave them out of the first array."
        )
    return splits


def splits_of(fold: Int, n_folds: int) -> Splits:
    """Return the rows outside and inside each fold."""
    return tuple((np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds))


def deal_folds(
    owner: str,
    strata: Int,
    groups: Int | None,
    n_folds: int,
    rng: np.random.RandomState,
    *,
    remedy: str = "",
) -> Int:
    """Return the fold of each row: rows, or whole groups where there are any, are dealt evenly.

    `groups` holds codes 0 to n_groups - 1; `remedy` names what else helps where they are too few.
    """
    if groups is None:
        return deal_rows(strata, n_folds, rng)
    n_groups = int(groups.max()) + 1
    if n_groups < n_folds:
        raise ValueError(
            f"{owner}: `groups` holds {n_groups} groups, too few for cv={n_folds} folds of whole "
            f"groups. Lower `cv`{remedy}."
        )
    return deal_groups(strata, groups, np.full(n_folds, 1 / n_folds), rng)


def deal_rows(strata: Int, n_folds: int, rng: np.random.RandomState | None) -> Int:
    """Return the fold of each row: the rows of a stratum go to the folds in turn.

    Sizes of folds differ by one row at most. Without `rng` the turns follow the order of the rows,
    so that data sorted by anything spread over all folds.
    """
    start = np.arange(len(strata)) if rng is None else rng.permutation(len(strata))
    order = start[np.argsort(strata[start], kind="stable")]
    fold = np.empty(len(strata), dtype=np.intp)
    fold[order] = np.arange(len(strata)) % n_folds
    return fold


def deal_groups(strata: Int, groups: Int, shares: Float, rng: np.random.RandomState | None) -> Int:
    """Return the part of each row: whole groups go to parts of the wanted shares.

    Groups with the same count of rows in every stratum are dealt evenly at once; what is left over
    goes, large groups first, where the strata are furthest behind. Without `rng` ties follow the
    order of the group codes.

    Parameters
    ----------
    strata : intp array of shape (n_rows,)
        Stratum of each row.
    groups : intp array of shape (n_rows,), values 0 to n_groups - 1
        Group of each row.
    shares : float64 array of shape (n_parts,)
        Wanted share of each part; they sum to 1.
    rng : RandomState or None
        Breaks ties, and decides which of like groups goes where.
    """
    n_groups, n_strata = int(groups.max()) + 1, int(strata.max()) + 1
    counts = np.bincount(groups * n_strata + strata, minlength=n_groups * n_strata)
    profiles, profile_of = np.unique(
        counts.reshape(n_groups, n_strata), axis=0, return_inverse=True
    )
    n_like = np.bincount(profile_of.ravel(), minlength=len(profiles))
    n_in_part = _allot(profiles.astype(np.float64), n_like, shares, rng)

    start = np.arange(n_groups) if rng is None else rng.permutation(n_groups)
    members = start[np.argsort(profile_of.ravel()[start], kind="stable")]
    # Within a profile the parts take turns: slot j of c goes by (j + 1/2) / c.
    flat = n_in_part.ravel()
    first = np.cumsum(flat) - flat
    turn = (np.arange(n_groups) - np.repeat(first, flat) + 0.5) / np.repeat(flat, flat)
    order = np.lexsort((turn, np.repeat(np.arange(len(profiles)), n_like)))
    part = np.empty(n_groups, dtype=np.intp)
    part[members] = np.repeat(np.tile(np.arange(len(shares)), len(profiles)), flat)[order]
    return part[groups]


def _allot(
    profiles: Float, n_like: Int, shares: Float, rng: np.random.RandomState | None
) -> npt.NDArray[np.int64]:
    """Decide how many groups of each profile go to each part."""
    allotted: npt.NDArray[np.int64] = np.floor(n_like[:, None] * shares + 1e-9).astype(np.int64)
    left_over = n_like - allotted.sum(axis=1)
    totals = np.maximum(n_like @ profiles, 1.0)
    filled = allotted.T @ profiles
    # The largest share of any stratum goes first; shares within a factor of 2^(1/4) count as equal.
    first = np.arange(len(profiles)) if rng is None else rng.permutation(len(profiles))
    size = np.floor(4 * np.log2((profiles[first] / totals).max(axis=1)))
    for p in first[np.argsort(-size, kind="stable")]:
        scaled = profiles[p] / totals**2
        for _ in range(left_over[p]):
            surplus = 2 * (filled / shares[:, None] - totals) @ scaled
            cost = surplus + (profiles[p] @ scaled) / shares
            part = int(np.argmin(cost))
            allotted[p, part] += 1
            filled[part] += profiles[p]
    return allotted
