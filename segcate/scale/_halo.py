"""Cut a segment along its score, and find the rows beyond its ends that a part must see: its halo.

A part owns the rows from its lower cut up to the next one. It sees every row, of both arms, from the h-th
nearest score below its lower cut up to the h-th nearest above its upper one. A focal row below the cut has
a donor of the part in its set only if fewer than k donors are nearer; its own set then reaches at most k - 1
donors beyond itself, so that 2 k donors of halo make the uses of the part's donors complete. Bounds are
scores: rows tied with the last one come along.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.matching._support import FOCAL_ARMS


class Near(NamedTuple):
    """Scores nearest to each cut, on one side, of one arm, and the places that they fill.

    Attributes
    ----------
    scores : for each cut the nearest first
    places : how many rows each counts as
    """

    scores: list[Float]
    places: list[Float]


class Halo(NamedTuple):
    """The parts of a segment.

    Attributes
    ----------
    cuts : float64 array of shape (n_parts - 1,), ascending
    low, high : float64 arrays of shape (n_parts,), the scores that a part sees, both inclusive
    """

    cuts: Float
    low: Float
    high: Float

    @property
    def n_parts(self) -> int:
        """Count the parts."""
        return len(self.low)

    def own_part(self, score: Float) -> Int:
        """Return the part that owns each row; equal scores fall together."""
        return np.asarray(np.searchsorted(self.cuts, score, side="right"), dtype=np.intp)

    def seen_by(self, score: Float) -> tuple[Int, Int]:
        """Return the first part that sees each row, and the one after the last."""
        first = np.searchsorted(self.high, score, side="left")
        last = np.searchsorted(self.low, score, side="right")
        return first.astype(np.intp), last.astype(np.intp)


def reach(
    estimand: str, n_neighbors: tuple[int, int], n_variance_neighbors: int
) -> tuple[int, int]:
    """Return how many controls, and how many treated, a halo holds on each side."""
    others = n_variance_neighbors + 1
    focal = FOCAL_ARMS[estimand]
    wanted = [max(2 * n_neighbors[arm], others) if focal[1 - arm] else others for arm in (0, 1)]
    return wanted[0], wanted[1]


def nearest_to_cuts(score: Float, places: Float | None, cuts: Float, n: int) -> tuple[Near, Near]:
    """Return the rows of one arm that are nearest below each cut, and nearest at or above it.

    Parameters
    ----------
    score : float64 array of shape (n_rows,)
    places : float64 array of shape (n_rows,), rows that each counts as; None: one
    cuts : float64 array of shape (n_cuts,)
    n : rows wanted on each side
    """
    order = np.argsort(score, kind="stable")
    score = score[order]
    mass = np.ones(len(score)) if places is None else places[order]
    at = np.searchsorted(score, cuts, side="left")
    below = [_enough(score[:i][::-1], mass[:i][::-1], n) for i in at.tolist()]
    above = [_enough(score[i:], mass[i:], n) for i in at.tolist()]
    return _near(below), _near(above)


def _enough(score: Float, places: Float, n: int) -> tuple[Float, Float]:
    """Keep the first rows that fill n places, or all."""
    wanted, size = min(n, len(score)), len(score)
    while wanted < size and places[:wanted].sum() < n:
        wanted = min(2 * wanted, size)
    filled = np.cumsum(places[:wanted])
    kept = min(int(np.searchsorted(filled, n * (1 - 1e-9))) + 1, wanted)
    return score[:kept].copy(), places[:kept].copy()


def _near(found: list[tuple[Float, Float]]) -> Near:
    return Near([scores for scores, _ in found], [places for _, places in found])


def merged_near(one: Near, other: Near, n: int, *, below: bool) -> Near:
    """Put what two batches found on one side of the cuts together."""
    out = []
    for a, b, p, q in zip(one.scores, other.scores, one.places, other.places, strict=True):
        score, places = np.concatenate([a, b]), np.concatenate([p, q])
        order = np.argsort(-score if below else score, kind="stable")
        out.append(_enough(score[order], places[order], n))
    return _near(out)


def halo_of(
    cuts: Float, below: tuple[Near, Near], above: tuple[Near, Near], n: tuple[int, int]
) -> Halo:
    """Bound what each part sees, by the nearest rows of the control and the treated arm."""
    low, high = np.full(len(cuts) + 1, -np.inf), np.full(len(cuts) + 1, np.inf)
    for i in range(len(cuts)):
        low[i + 1] = min(
            _bound(near, i, wanted, -np.inf) for near, wanted in zip(below, n, strict=True)
        )
        high[i] = max(
            _bound(near, i, wanted, np.inf) for near, wanted in zip(above, n, strict=True)
        )
    return Halo(cuts, low, high)


def _bound(near: Near, cut: int, wanted: int, otherwise: float) -> float:
    """Return the score at which enough places are filled; beyond all rows where there are too few."""
    score, places = near.scores[cut], near.places[cut]
    if places.sum() < wanted * (1 - 1e-9):
        return otherwise
    return float(score[-1])


def cuts_between(scores: Float, n_parts: int) -> Float:
    """Cut at quantiles of some scores, so that parts have about the same number of rows."""
    if n_parts < 2 or len(scores) == 0:
        return np.empty(0)
    ordered = np.sort(scores)
    at = (np.arange(1, n_parts) * len(ordered)) // n_parts
    cuts = np.unique(ordered[at])
    return np.asarray(cuts[cuts > ordered[0]])
