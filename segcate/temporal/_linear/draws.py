"""Errors that simulated paths meet, drawn so that every unit and plan meets the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from segcate._inputs.arrays import Bool, Float, Int

# Levels of the outcome whose errors are kept apart, the fewest errors of one, and the most of all.
_MOST_LEVELS, _FEWEST_ERRORS, _MOST_ERRORS = 10, 200, 5000

# Rounds in which ranks are freed of correlation, and what keeps few paths from making it singular.
_ROUNDS, _JITTER = 5, 1e-6


@dataclass(frozen=True, slots=True)
class ErrorPool:
    """Errors on units left out, by the level of the first outcome that they followed.

    Attributes
    ----------
    errors : float64 array of shape (n_levels, n_errors, q)
        Those of a level sorted by the first outcome's.
    edges : float64 array of shape (n_levels - 1,)
        Levels that part one from the next.
    """

    errors: Float
    edges: Float

    def at(self, level: Float, rank: Float) -> Float:
        """Return the error of each path: its share of the errors of its level, from below.

        Parameters
        ----------
        level : float64 array of shape (n, n_paths)
        rank : float64 array of shape (n_paths,), in [0, 1)
        """
        here = np.searchsorted(self.edges, level)
        found: Float = self.errors[here, (rank * self.errors.shape[1]).astype(np.intp)]
        return found


def pool_errors(errors: Float, level: Float) -> ErrorPool:
    """Sort errors into levels of one size; what does not fill one is left out, evenly."""
    n_levels = int(np.clip(len(errors) // _FEWEST_ERRORS, 1, _MOST_LEVELS))
    size = min(len(errors) // n_levels, _MOST_ERRORS // n_levels)
    order = np.argsort(level, kind="stable")
    order = order[np.linspace(0, len(order) - 1, n_levels * size).astype(np.intp)]
    parts = []
    for some in order.reshape(n_levels, size):
        parts.append(errors[some[np.argsort(errors[some, 0], kind="stable")]])
    edges = level[order.reshape(n_levels, size)[1:, 0]]
    return ErrorPool(np.stack(parts), edges)


def draw_ranks(n_paths: int, horizon: int, seed: int) -> Float:
    """Draw which error each path meets at each step, as a share of all, (horizon, n_paths).

    The shares of a step lie in as many strata as there are paths, and normal scores of different steps hardly
    correlate (Iman & Conover, 1982), where paths are more than steps: what correlates by chance would move the spread
    of all futures alike. The same serve every unit and plan, so that a prediction does not depend on who else is
    asked about.
    """
    rng = np.random.RandomState(seed)
    order = np.stack([rng.permutation(n_paths) for _ in range(horizon)])
    if n_paths > horizon:
        order = _uncorrelated(order)
    return (order + rng.uniform(size=order.shape)) / n_paths


def _uncorrelated(order: Int) -> Int:
    """Put permutations (k, n) in the order of their normal scores once these do not correlate."""
    n = order.shape[1]
    scores = special.ndtri((np.arange(n) + 0.5) / n)
    for _ in range(_ROUNDS):
        met = scores[order]
        root = np.linalg.cholesky(met @ met.T + _JITTER * (scores @ scores) * np.eye(len(order)))
        order = np.argsort(np.argsort(np.linalg.solve(root, met), axis=1, kind="stable"), axis=1)
    return order


@dataclass(frozen=True, slots=True)
class Coins:
    """Outcomes that hold 0 and 1 alone: they are thrown, with the predicted probability.

    Attributes
    ----------
    columns : intp array of shape (k,)
    levels : float64 array of shape (2, k)
        What 0 and 1 are once scaled.
    ranks : float64 array of shape (horizon, n_paths, k), in [0, 1)
    """

    columns: Int
    levels: Float
    ranks: Float

    def throw(self, k: int, mean: Float) -> tuple[Float, Float]:
        """Return scaled probabilities and throws of a step; those with high ranks are 1."""
        low, high = self.levels
        chance = np.clip((mean - low) / (high - low), 0.0, 1.0)
        thrown = np.where(self.ranks[k] >= 1.0 - chance, high, low)
        return low + chance * (high - low), thrown


def find_coins(is_binary: Bool, levels: Float, ranks: Float, seed: int) -> Coins:
    """Say how binary outcomes are thrown; the first outcome goes with the errors of its step."""
    columns: Int = np.flatnonzero(is_binary)
    horizon, n_paths = ranks.shape
    drawn = [ranks if j == 0 else draw_ranks(n_paths, horizon, seed + 1 + j) for j in columns]
    return Coins(
        columns, levels[:, columns],
        np.stack(drawn, axis=-1) if drawn else np.empty((horizon, n_paths, 0)),
    )  # fmt: skip
