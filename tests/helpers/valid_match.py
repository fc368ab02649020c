"""One checker for every match: who may be matched with whom, how often, and what must add up."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate.matching import MatchedSample
from tests.helpers.naive_matching import Design

# Shares and weights are sums of at most some thousand terms.
RTOL = 1e-10
FOCAL = {"att": [1], "atc": [0], "ate": [0, 1]}
# status codes of rows that take part in no match
FIRST_LEFT_OUT = 2


def assert_valid_match(
    matched: MatchedSample,
    treatment: Any,
    *,
    n_neighbors: int,
    replacement: bool,
    segment: Any = None,
    exact: Any = None,
    score: Any = None,
    estimand: str = "att",
    caliper: Any = np.inf,
    sample_weight: Any = None,
) -> None:
    """Check everything that holds of any matched sample, whatever the method.

    Parameters
    ----------
    matched : the matched sample; its X must have had no index (rows are numbered)
    treatment : array of shape (n_rows,)
    segment, exact : arrays of shape (n_rows,) that matched rows must agree on
    score : array of shape (n_rows,), what was matched on; checks distances and that no nearer donor
        was passed over
    caliper : largest distance, a number or one value a row
    """
    n = len(treatment)
    treatment = np.asarray(treatment).astype(int)
    cell = _cells(n, segment, exact)
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    pairs = matched.pairs
    focal, match = pairs["focal"].to_numpy(), pairs["match"].to_numpy()

    assert set(treatment[focal]) <= set(FOCAL[estimand])
    assert (treatment[focal] != treatment[match]).all()
    assert (cell[focal] == cell[match]).all()
    assert not pairs.duplicated(["focal", "match"]).any()
    assert (weight[focal] > 0).all()
    assert (weight[match] > 0).all()
    limit = np.broadcast_to(np.asarray(caliper, dtype=float), n)
    assert (pairs["distance"].to_numpy() <= limit[focal]).all()
    _check_ranks(pairs)
    _check_reuse(matched, focal, match, n_neighbors, replacement)
    _check_weights(matched, pairs, treatment, weight, estimand)
    _check_rows_are_accounted_for(matched, focal, match, treatment, estimand)
    if score is not None:
        _check_distances(matched, pairs, np.asarray(score, dtype=float))
        if replacement:
            _check_nearest(matched, np.asarray(score, dtype=float), treatment, cell, weight, limit)


def _cells(n: int, *columns: Any) -> np.ndarray:
    cell = np.zeros(n, dtype=int)
    for column in columns:
        if column is not None:
            codes = np.unique(np.asarray(column).astype(str), return_inverse=True)[1]
            cell = cell * (codes.max() + 1) + codes
    return cell


def _check_ranks(pairs: Any) -> None:
    sets = pairs.groupby("focal", sort=False)
    assert (pairs["rank"] == sets.cumcount()).all()
    assert not (sets["distance"].diff() < 0).any()
    assert np.abs(sets["weight"].sum() - 1).max() < RTOL or len(pairs) == 0


def _check_reuse(
    matched: MatchedSample, focal: Any, match: Any, n_neighbors: int, replacement: bool
) -> None:
    assert matched.n_neighbors == n_neighbors
    assert matched.replacement is replacement
    if replacement:
        return
    assert len(np.unique(match)) == len(match)
    sizes = np.unique(focal, return_counts=True)[1]
    assert sizes.max(initial=0) <= n_neighbors


def _check_weights(
    matched: MatchedSample, pairs: Any, treatment: Any, weight: Any, estimand: str
) -> None:
    """K, K2 and the weights of the matched sample, from the list of pairs alone."""
    n = len(treatment)
    focal, match = pairs["focal"].to_numpy(), pairs["match"].to_numpy()
    share = pairs["weight"].to_numpy() * weight[focal]
    uses, squares = np.zeros(n), np.zeros(n)
    uses[matched.order], squares[matched.order] = matched.uses, matched.squared_uses
    np.testing.assert_allclose(uses, np.bincount(match, share, n), rtol=RTOL, atol=RTOL)
    np.testing.assert_allclose(squares, np.bincount(match, share**2, n), rtol=RTOL, atol=RTOL)
    own = np.zeros(n)
    own[np.unique(focal)] = weight[np.unique(focal)]
    np.testing.assert_allclose(matched.weights, own + uses, rtol=RTOL, atol=RTOL)
    for arm in FOCAL[estimand]:
        is_donor = treatment != arm
        assert abs(uses[is_donor].sum() - own[treatment == arm].sum()) <= RTOL * max(own.sum(), 1)


def _check_rows_are_accounted_for(
    matched: MatchedSample, focal: Any, match: Any, treatment: Any, estimand: str
) -> None:
    """Every row that looks for a match has found one or is listed once, with a reason."""
    unmatched = matched.unmatched
    assert unmatched["row"].is_unique
    assert not set(unmatched["row"]) & (set(focal) | set(match))
    looking = set(np.flatnonzero(np.isin(treatment, FOCAL[estimand])))
    assert set(focal) | set(unmatched["row"]) >= looking
    assert set(unmatched["reason"]) <= set(matched.reasons[FIRST_LEFT_OUT:])
    assert set(np.flatnonzero(matched.status == 0)) == set(focal)
    distances = matched.distances()
    has_distance = np.zeros(matched.n_rows, dtype=bool)
    has_distance[matched.order] = ~np.isnan(distances)
    assert set(np.flatnonzero(has_distance)) == set(focal)


def _check_distances(matched: MatchedSample, pairs: Any, score: np.ndarray) -> None:
    focal, match = pairs["focal"].to_numpy(), pairs["match"].to_numpy()
    np.testing.assert_array_equal(matched.score, score[matched.order])
    np.testing.assert_array_equal(pairs["distance"], np.abs(score[focal] - score[match]))
    farthest = pairs.groupby("focal")["distance"].max()
    found = np.full(matched.n_rows, np.nan)
    found[matched.order] = matched.distances()
    np.testing.assert_array_equal(found[farthest.index], farthest)


def _check_nearest(
    matched: MatchedSample, score: Any, treatment: Any, cell: Any, weight: Any, limit: Any
) -> None:
    """With replacement: no donor passed over is nearer than, or as near as, one that was taken."""
    takes_part = np.zeros(len(score), dtype=bool)
    takes_part[matched.order] = True
    for i, found in enumerate(design_of(matched)):
        if len(found) == 0:
            continue
        is_donor = takes_part & (treatment != treatment[i]) & (cell == cell[i])
        is_donor &= (weight > 0) & (np.abs(score - score[i]) <= limit[i])
        passed = np.setdiff1d(np.flatnonzero(is_donor), found)
        reach = np.abs(score[found] - score[i]).max()
        if len(passed):
            # squared distances decide, so that equal ones are equal to the last bit
            assert ((score[passed] - score[i]) ** 2).min() > reach**2 or not matched.replacement
        wanted = min(matched.n_neighbors, weight[is_donor].sum())
        assert weight[found].sum() >= wanted * (1 - RTOL)


def design_of(matched: MatchedSample) -> Design:
    """Return the matched set of every row, nearest first: what the naive code calls a design."""
    design: Design = [np.empty(0, dtype=int)] * matched.n_rows
    for row, found in matched.pairs.groupby("focal")["match"]:
        design[row] = found.to_numpy()
    return design


def pair_set(matched: MatchedSample) -> set[tuple[int, int]]:
    """Return all (focal, match) pairs."""
    pairs = matched.pairs
    return set(zip(pairs["focal"].tolist(), pairs["match"].tolist(), strict=True))
