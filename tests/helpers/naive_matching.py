"""Matching written out: slow, plain, from the formulas, to hold the fast engine against.

Nothing here is shared with the package. Each unit gets one row of distances and a full sort; a
search of n units is O(n^2 log n). Two families:

* with replacement, ties kept (Abadie & Imbens 2006; R's Matching, Stata's teffects):
  `match_with_replacement`, `same_arm_sets`, `usage`;
* greedy without replacement (R's MatchIt): `match_greedily`, `rounds_to_sets`, `matchit_weights`.

A matched set is an integer array of row numbers; a design is a list of n sets, empty for rows that
are not focal (not looked for a match) or found none. What follows the match (effects, variances)
is in `naive_effects`.

Points. Every metric is squared Euclidean distance between rows of `points`; `scale_columns` and
`whiten` turn covariates into such rows, a score is its own point.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Set = np.ndarray
Design = list[np.ndarray]

# Matching::Match never tells apart squared distances closer than this, in squared SD of each column
# (ddof 0), whatever its distance.tolerance: it comes on top of that.
MATCHING_TIES = 1e-10


def scale_columns(X: np.ndarray, ddof: int = 0) -> np.ndarray:
    """Divide columns by their standard deviation: the inverse-variance metric."""
    X = _as_columns(X)
    return X / X.std(axis=0, ddof=ddof)


def whiten(X: np.ndarray, covariance: np.ndarray | None = None) -> np.ndarray:
    """Make squared Euclidean distance between rows the Mahalanobis distance (pooled covariance)."""
    X = _as_columns(X)
    covariance = np.cov(X, rowvar=False, ddof=1) if covariance is None else covariance
    precision = np.linalg.inv(np.atleast_2d(covariance))
    return X @ np.linalg.cholesky(precision)


def pooled_within_covariance(X: np.ndarray, treatment: np.ndarray) -> np.ndarray:
    """Covariance about each arm's own mean, n - 2 in the denominator (MatchIt's Mahalanobis)."""
    X = _as_columns(X)
    centred = X.astype(float).copy()
    for arm in (0, 1):
        centred[treatment == arm] -= X[treatment == arm].mean(axis=0)
    return centred.T @ centred / (len(X) - 2)


def squared_distances(points: np.ndarray, unit: int) -> np.ndarray:
    """Squared distance of one unit to all."""
    points = _as_columns(points)
    return ((points - points[unit]) ** 2).sum(axis=1)


def _as_columns(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X, dtype=float)
    return X[:, None] if X.ndim == 1 else X


def nearest(distance2: np.ndarray, candidates: np.ndarray, k: int, tie_tolerance: float) -> Set:
    """Return the k nearest candidates and all that are as near as the k-th, nearest first.

    With fewer than k candidates, all of them.
    """
    found = distance2[candidates]
    if len(found) == 0:
        return candidates
    last = np.sort(found)[min(k, len(found)) - 1]
    kept = np.flatnonzero(found <= last + tie_tolerance)
    return candidates[kept[np.argsort(found[kept], kind="stable")]]


def same_cell(exact: np.ndarray | None, unit: int, n: int) -> np.ndarray:
    """Mark the rows in the unit's exact-matching cell."""
    if exact is None:
        return np.ones(n, dtype=bool)
    cells = np.asarray(exact).reshape(n, -1)
    return (cells == cells[unit]).all(axis=1)


def match_with_replacement(
    points: np.ndarray,
    treatment: np.ndarray,
    k: int = 1,
    *,
    focal: str = "treated",
    tie_tolerance: float = 0.0,
    caliper: float | None = None,
    exact: np.ndarray | None = None,
    ties: bool = True,
) -> Design:
    """Match each focal unit to its k nearest of the other arm, with replacement.

    Parameters
    ----------
    points : array of shape (n,) or (n, n_columns)
    treatment : 0/1 array of shape (n,)
    k : matches a unit
    focal : "treated" (ATT), "control" (ATC) or "all" (ATE)
    tie_tolerance : added to the k-th squared distance; `MATCHING_TIES` for R's Matching
    caliper : largest distance (not squared), inclusive
    exact : array of shape (n,) or (n, n_columns) that must agree
    ties : keep all ties, or k only: the first rows among equals

    Returns
    -------
    list of n integer arrays, empty where not focal or without a candidate
    """
    treatment = np.asarray(treatment)
    n = len(treatment)
    design = []
    for i in range(n):
        if not _is_focal(treatment[i], focal):
            design.append(np.empty(0, dtype=int))
            continue
        distance2 = squared_distances(points, i)
        allowed = (treatment != treatment[i]) & same_cell(exact, i, n)
        if caliper is not None:
            allowed &= np.sqrt(distance2) <= caliper
        found = nearest(distance2, np.flatnonzero(allowed), k, tie_tolerance)
        design.append(found if ties else found[:k])
    return design


def _is_focal(arm: int, focal: str) -> bool:
    return focal == "all" or (arm == 1) == (focal == "treated")


def same_arm_sets(
    points: np.ndarray,
    treatment: np.ndarray,
    j: int,
    *,
    itself: str,
    tie_tolerance: float = 0.0,
    exact: np.ndarray | None = None,
    arm_of: int | None = None,
) -> Design:
    """Find each unit's neighbours in one arm, from which its conditional variance is estimated.

    Parameters
    ----------
    itself : "out": the j nearest others (Abadie & Imbens, eq. 14); "extra": the unit and its j
        nearest others, ties kept (Matching, teffects nnmatch); "counted": the j nearest, the unit
        among them, ties kept (teffects psmatch)
    arm_of : look in this arm whatever the unit's own; None means the unit's own
    """
    treatment = np.asarray(treatment)
    n = len(treatment)
    design = []
    for i in range(n):
        distance2 = squared_distances(points, i)
        arm = treatment[i] if arm_of is None else arm_of
        allowed = (treatment == arm) & same_cell(exact, i, n)
        if itself == "counted":
            design.append(nearest(distance2, np.flatnonzero(allowed), j, tie_tolerance))
            continue
        allowed[i] = False
        found = nearest(distance2, np.flatnonzero(allowed), j, tie_tolerance)
        design.append(found if itself == "out" else np.append(i, found))
    return design


def usage(design: Design, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return K and K2: how often each unit serves as a match, by 1/|J| and by 1/|J|^2."""
    k, k2 = np.zeros(n), np.zeros(n)
    for found in design:
        if len(found):
            k[found] += 1 / len(found)
            k2[found] += 1 / len(found) ** 2
    return k, k2


def match_greedily(
    score: np.ndarray,
    treatment: np.ndarray,
    k: int = 1,
    *,
    order: str = "largest",
    caliper: float | None = None,
    exact: np.ndarray | None = None,
    points: np.ndarray | None = None,
    forbidden: np.ndarray | None = None,
    reuse: int = 1,
    wanted: np.ndarray | None = None,
    tie_tolerance: float = 0.0,
) -> list[list[int]]:
    """Match treated to controls one after the other, without replacement, as MatchIt does.

    In round r every treated unit, in `order`, takes the nearest free control; nobody gets an r+1-th
    match before all had the chance of an r-th. Among controls at the same distance the one wins that
    is fewer places away where all rows of the cell, treated and taken ones too, are sorted by
    (score, row); of two that are equally many places away, the one on the left.

    Parameters
    ----------
    score : array of shape (n,)
    treatment : 0/1 array of shape (n,)
    k : matches a treated unit at most
    order : "largest", "smallest" (score; ties by row), "data", "closest" (the pair that is nearest
        of all goes first, looked up anew after each) or "farthest" (treated whose nearest control
        is farthest go first; looked up once, at the start of the round)
    caliper : largest |difference of scores|, inclusive
    exact : array of shape (n,) or (n, n_columns) that must agree
    points : match on these (squared Euclidean) and keep `score` for order and caliper; ties then go
        to the lowest row
    forbidden : array of shape (n,) that must NOT agree (MatchIt's antiexact)
    reuse : how often a control may be taken
    wanted : array of shape (n,), matches wanted by each treated unit, in place of k
    tie_tolerance : with `points`, by how much squared distances may differ and still tie

    Returns
    -------
    list of n lists, matches in the order of the rounds; empty for controls and unmatched
    """
    search = _Search(score, treatment, caliper, exact, points, forbidden, reuse, tie_tolerance)
    treated = np.flatnonzero(search.treatment == 1)
    most = np.full(len(score), k) if wanted is None else np.asarray(wanted)
    matches: list[list[int]] = [[] for _ in range(len(score))]
    for done in range(int(most[treated].max())):
        waiting = [i for i in treated if most[i] > done and len(matches[i]) == done]
        for i, j in search.one_round(waiting, order, matches):
            matches[i].append(j)
    return matches


class _Search:
    """What may still be matched with what."""

    def __init__(
        self, score, treatment, caliper, exact, points, forbidden, reuse, tie_tolerance=0.0
    ):
        self.tie_tolerance = tie_tolerance
        self.score = np.asarray(score, dtype=float)
        self.treatment = np.asarray(treatment)
        self.caliper, self.exact, self.points, self.forbidden = caliper, exact, points, forbidden
        self.left = np.where(self.treatment == 0, reuse, 0)
        self.in_order_of_score = np.argsort(self.score, kind="stable")

    def best(self, i: int, taken: Iterable[int]) -> tuple[int, float] | None:
        """Return the control that unit i takes if it is its turn, and the distance."""
        allowed = (self.left > 0) & same_cell(self.exact, i, len(self.score))
        allowed[list(taken)] = False
        if self.forbidden is not None:
            allowed &= self.forbidden != self.forbidden[i]
        gap = np.abs(self.score - self.score[i])
        if self.caliper is not None:
            allowed &= gap <= self.caliper
        free = np.flatnonzero(allowed)
        if len(free) == 0:
            return None
        if self.points is not None:
            distance2 = squared_distances(self.points, i)[free]
            first = int(np.argmax(distance2 <= distance2.min() + self.tie_tolerance))
            return int(free[first]), float(np.sqrt(distance2.min()))
        place = self._places(i)
        is_right = place[free] > place[i]
        steps = np.abs(place[free] - place[i])
        first = np.lexsort((is_right, steps, gap[free]))[0]
        return int(free[first]), float(gap[free[first]])

    def _places(self, i: int) -> np.ndarray:
        """Return the place of each row in the order (score, row) of the unit's cell, -1 outside."""
        order = self.in_order_of_score
        order = order[same_cell(self.exact, i, len(order))[order]]
        place = np.full(len(self.score), -1)
        place[order] = np.arange(len(order))
        return place

    def one_round(self, waiting: list[int], order: str, matches: list[list[int]]):
        """Yield the pairs of one round."""
        if order == "closest":
            yield from self._closest_first(waiting, matches)
            return
        for i in self.in_order(waiting, order, matches):
            found = self.best(i, matches[i])
            if found is not None:
                self.left[found[0]] -= 1
                yield i, found[0]

    def in_order(self, waiting: list[int], order: str, matches: list[list[int]]) -> list[int]:
        if order == "data":
            return sorted(waiting)
        if order == "farthest":
            found = {i: self.best(i, matches[i]) for i in waiting}
            return sorted(waiting, key=lambda i: (-found[i][1] if found[i] else 0.0, i))
        sign = -1 if order == "largest" else 1
        return sorted(waiting, key=lambda i: (sign * self.score[i], i))

    def _closest_first(self, waiting: list[int], matches: list[list[int]]):
        found = {i: self.best(i, matches[i]) for i in waiting}
        while found := {i: pair for i, pair in found.items() if pair is not None}:
            i = min(found, key=lambda i: (found[i][1], i))
            j = found.pop(i)[0]
            self.left[j] -= 1
            yield i, j
            if self.left[j] == 0:
                for other in [u for u, pair in found.items() if pair[0] == j]:
                    found[other] = self.best(other, matches[other])


def replay_excess(
    matches: dict[int, int],
    score: np.ndarray,
    treatment: np.ndarray,
    *,
    order: str,
    caliper: float | None = None,
    points: np.ndarray | None = None,
) -> float:
    """Return how far a 1:1 design without replacement is from greedy: 0 if it is, up to its ties.

    Treated take their turns in `order`. The largest squared distance by which any of them got less
    than the nearest free control; infinite if one went without though a control was free.
    """
    search = _Search(score, treatment, caliper, None, points, None, 1)
    space = search.score if points is None else points
    worst = 0.0
    for i in search.in_order(list(np.flatnonzero(search.treatment == 1)), order, []):
        found = search.best(i, [])
        if i not in matches:
            worst = max(worst, np.inf if found else 0.0)
            continue
        distance2 = squared_distances(space, i)[matches[i]]
        worst = max(worst, distance2 - found[1] ** 2 if search.left[matches[i]] else np.inf)
        search.left[matches[i]] -= 1
    return float(worst)


def variable_ratio(
    score: np.ndarray, treatment: np.ndarray, ratio: float, least: int, most: int
) -> np.ndarray:
    """Return matches wanted by each treated unit (Ming & Rosenbaum 2000, as MatchIt fills it).

    Of ratio * n_treated controls as many treated as possible get `most`, those with the lowest
    scores; one gets what is left over; the others get `least`.
    """
    treated = np.flatnonzero(np.asarray(treatment) == 1)
    n, total = len(treated), round(ratio * len(treated))
    n_most = (total - n * least) // (most - least)
    wanted = np.full(n, least)
    wanted[:n_most] = most
    if n_most < n:
        wanted[n_most] = total - most * n_most - least * (n - n_most - 1)
    found = np.zeros(len(score), dtype=int)
    found[treated[np.argsort(np.asarray(score)[treated], kind="stable")]] = wanted
    return found


def rounds_to_sets(matches: list[list[int]]) -> Design:
    """Turn the lists of `match_greedily` into a design."""
    return [np.array(found, dtype=int) for found in matches]


def pairs(design: Design) -> set[tuple[int, int]]:
    """Return all (focal, match) pairs."""
    return {(i, int(j)) for i, found in enumerate(design) for j in found}


def matchit_weights(design: Design, treatment: np.ndarray) -> np.ndarray:
    """Return MatchIt's weights: focal 1; a match sum of 1/|J|, rescaled to mean 1 over matches."""
    n = len(treatment)
    weight, _ = usage(design, n)
    used = weight > 0
    weight[used] *= used.sum() / weight.sum()
    for i, found in enumerate(design):
        if len(found):
            weight[i] = 1.0
    return weight


def pair_of_unit(design: Design) -> np.ndarray:
    """Return the matched set of each unit (-1: none) where no unit is used twice."""
    pair = np.full(len(design), -1)
    for i, found in enumerate(design):
        if len(found):
            pair[[i, *found]] = i
    return pair
