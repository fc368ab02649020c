"""Futures of units under plans, simulated by the model of the next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate.temporal._linear.histories import (
    N_CHANGES,
    N_MARKED,
    Histories,
    Widths,
    given_before,
    level_above,
    level_below,
)
from segcate.temporal._linear.step_model import StepModel

# Levels of the outcome whose errors are kept apart, the fewest errors of one, and the most of all.
_MOST_LEVELS, _FEWEST_ERRORS, _MOST_ERRORS = 10, 200, 5000

# Treatments of every path at a step: step, state, treatments of the step before -> (n, n_paths, d_a).
Choice = Callable[[int, Float, Float], Float]


@dataclass(frozen=True, slots=True)
class Start:
    """Where the futures of units begin.

    Attributes
    ----------
    state : float64 array of shape (n, state)
    treatment : float64 array of shape (n, 2, d_a)
        Given one and two rows before.
    first : float64 array of shape (n, d_y)
        Outcome of the first row.
    static : float64 array of shape (n, d_v)
    answers : float64 array of shape (n, d_y, 1 + d_a)
        What is known of the unit's own answers; it stays so.
    count : float64 array of shape (n,)
        Rows seen.
    marks : float64 array of shape (n, 2, n_marks)
        What was missing before the origin, and before the row after it; from then on nothing is.
    """

    state: Float
    treatment: Float
    first: Float
    static: Float
    answers: Float
    count: Float
    marks: Float

    def take(self, rows: slice) -> Start:
        """Return some of the starts."""
        return Start(*(getattr(self, part.name)[rows] for part in fields(self)))


def start_at(
    model: StepModel, histories: Histories, columns: Float, unit: Int, origin: Int
) -> Start:
    """Read the histories of units up to origins, one origin for each entry of `unit`.

    `columns` are the `features` of the histories.
    """
    answers = model.answers(histories, columns)
    last = [given_before(histories.treatment, k)[unit, origin] for k in (1, 2)]
    return Start(
        histories.states()[unit, origin],
        np.stack(last, axis=1),
        histories.outcome[unit, 0],
        histories.static[unit],
        answers[unit, origin],
        (origin + 1).astype(np.float64),
        _marks_after(histories, unit, origin),
    )


def _marks_after(histories: Histories, unit: Int, origin: Int) -> Float:
    """Return the marks that the first steps read; the treatment at the origin is the plan's."""
    if histories.marks is None:
        return np.empty((len(unit), N_MARKED, 0))
    now = histories.marks[unit, origin]
    before = [given_before(histories.marks, k)[unit, origin] for k in range(1, N_MARKED + 1)]
    after = [now * [0.0, 1.0], *before[:-1]]
    return np.stack([np.concatenate(part, axis=1) for part in (before, after)], axis=1)


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

    The shares of a step lie in as many strata as there are paths. The same serve every unit and
    plan, so that a prediction does not depend on who else is asked about.
    """
    rng = np.random.RandomState(seed)
    drawn = [
        (rng.permutation(n_paths) + rng.uniform(size=n_paths)) / n_paths for _ in range(horizon)
    ]
    return np.stack(drawn)


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


@dataclass(frozen=True, slots=True)
class StepRule:
    """A model of the next step, ready to be followed from some starts.

    What does not change along a path is worked out once: `fixed` by unit, for no treatment and
    each treatment (n, 1 + d_a, q), `last` for treatments of the step before (n, d_a, q), `pairs`
    for treatments given together (n, n_pairs, q), and `by_level` for each treatment what a level below
    the mean does (n, d_a, d_y, q). Zero where nothing bends: `low` and `high`, what a level below and high above
    the mean does, without and with each treatment (1 + d_a, d_y, q), and `after`, what each does after each
    (d_a, d_a, q).
    """

    widths: Widths
    fixed: Float
    last: Float
    earlier: Float
    pairs: Float
    by_state: Float
    by_level: Float
    by_marks: Float
    low: Float
    high: Float
    after: Float

    @classmethod
    def of(cls, model: StepModel, widths: Widths, start: Start) -> StepRule:
        """Read the coefficients by block."""
        block = {name: model.coef[at] for name, at in widths.blocks().items()}
        q, d_a, d_y = widths.targets, widths.treatment, widths.outcome
        own = block["own"].reshape(1 + d_a, d_y, q)
        fixed = np.einsum("nyk,kyq->nkq", start.answers, own)
        fixed[:, 0] += block["constant"] + start.first @ block["first"]
        fixed[:, 0] += start.static @ block["static"]
        by_static = [block[name].reshape(d_a, widths.static, q) for name in _BY_STATIC]
        fixed[:, 1:] += block["treatment"] + np.einsum("nv,avq->naq", start.static, by_static[0])
        last = block["before"] + np.einsum("nv,avq->naq", start.static, by_static[1])
        by_state = np.zeros((1 + d_a, widths.state, q))
        by_state[0] = block["state"]
        moderated = block["treatment_state"].reshape(d_a, len(widths.moderators), q)
        by_state[1:, widths.moderators] = moderated
        by_level = np.einsum(
            "nya,ayq->nayq", start.answers[..., 1:], block["own_level"].reshape(d_a, d_y, q)
        )
        pairs = _of_pairs(widths, start.answers, block["pairs"], block["own_pairs"])
        by_marks = start.marks @ block["marks"]
        low, high = (
            np.stack(
                [
                    _filled(block[name], (d_y, q)),
                    *_filled(block[f"treatment_{name}"], (d_a, d_y, q)),
                ]
            )
            for name in ("low", "high")
        )
        after = _filled(block["treatment_after"], (d_a, d_a, q))
        return cls(
            widths,
            fixed,
            last,
            block["earlier"],
            pairs,
            by_state,
            by_level,
            by_marks,
            low,
            high,
            after,
        )

    def next_targets(self, state: Float, now: Float, last: Float, earlier: Float) -> Float:
        """Predict what the next step brings, (n, n_paths, q); treatments may be one for all paths."""
        found: Float = self.fixed[:, 0, None] + state @ self.by_state[0]
        level = level_below(state[..., : self.widths.outcome])
        for j in range(self.widths.treatment):
            here = self.fixed[:, 1 + j, None] + state @ self.by_state[1 + j]
            here += level @ self.by_level[:, j]
            found += now[..., j, None] * here
            found += last[..., j, None] * self.last[:, j, None]
        found += earlier @ self.earlier
        for at, (i, j) in enumerate(self.widths.pairs):
            found += (now[..., i] * now[..., j])[..., None] * self.pairs[:, at, None]
        if self.widths.bends:
            self._bend(found, level, level_above(state[..., : self.widths.outcome]), now, last)
        return found

    def _bend(self, found: Float, low: Float, high: Float, now: Float, last: Float) -> None:
        """Add what levels far off the mean do, and treatments that follow others."""
        found += low @ self.low[0] + high @ self.high[0]
        for j in range(self.widths.treatment):
            bent = low @ self.low[1 + j] + high @ self.high[1 + j] + last @ self.after[j]
            found += now[..., j, None] * bent


def _filled(coef: Float, shape: tuple[int, ...]) -> Float:
    """Return coefficients in a shape, zeros where the model has none."""
    return coef.reshape(shape) if coef.size else np.zeros(shape)


def _of_pairs(widths: Widths, answers: Float, common: Float, own: Float) -> Float:
    """Return what pairs of treatments do to each unit, (n, n_pairs, q)."""
    coef = own.reshape(len(widths.pairs), 2, widths.outcome, widths.targets)
    found = np.repeat(common[None], len(answers), axis=0)
    for at, pair in enumerate(widths.pairs):
        for which, j in enumerate(pair):
            found[:, at] += answers[..., 1 + j] @ coef[at, which]
    return found


_BY_STATIC = ("treatment_static", "before_static")


def simulate(
    model: StepModel,
    widths: Widths,
    start: Start,
    pool: ErrorPool,
    ranks: Float,
    bounds: Float,
    coins: Coins,
    choose: Choice,
) -> Float:
    """Simulate futures with errors added, (n, n_paths, horizon, d_y), scaled.

    Of binary outcomes it returns probabilities, while paths go on from throws.

    Parameters
    ----------
    ranks : float64 array of shape (horizon, n_paths)
    bounds : float64 array of shape (2, q)
        Smallest and largest outcome and covariate; paths stay inside.
    """
    horizon, n_paths = ranks.shape
    n, d_y = len(start.state), widths.outcome
    rule = StepRule.of(model, widths, start)
    state = np.repeat(start.state[:, None], n_paths, axis=1)
    last, earlier = start.treatment[:, None, 0], start.treatment[:, None, 1]
    found = np.empty((n, n_paths, horizon, d_y))
    for k in range(horizon):
        now = choose(k, state, last)
        reached = rule.next_targets(state, now, last, earlier)
        if k < rule.by_marks.shape[1]:
            reached += rule.by_marks[:, k, None]
        chance, thrown = coins.throw(k, (reached[..., :d_y] + state[..., :d_y])[..., coins.columns])
        reached += pool.at(state[..., 0], ranks[k])
        reached[..., :d_y] += state[..., :d_y]
        reached = np.clip(reached, bounds[0], bounds[1])
        reached[..., coins.columns] = thrown
        state = _advance(widths, state, reached, (start.count + k)[:, None, None])
        found[:, :, k] = reached[..., :d_y]
        found[:, :, k, coins.columns] = chance
        last, earlier = now, last
    return found


def _advance(widths: Widths, state: Float, reached: Float, count: Float) -> Float:
    """Return the state after one more row."""
    d_y, d_x = widths.outcome, widths.covariates
    z, x = reached[..., :d_y], reached[..., d_y:]
    at = (1 + N_CHANGES) * d_y
    mean, mean_x = state[..., at : at + d_y], state[..., at + d_y + d_x :]
    return np.concatenate(
        [
            z,
            z - state[..., :d_y],
            state[..., d_y : N_CHANGES * d_y],
            mean + (z - mean) / (count + 1.0),
            x,
            mean_x + (x - mean_x) / (count + 1.0),
        ],
        axis=-1,
    )
