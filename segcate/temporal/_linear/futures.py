"""Futures of units under plans, simulated by the model of the next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.temporal._linear.draws import Coins, ErrorPool
from segcate.temporal._linear.histories import (
    N_CHANGES,
    N_MARKED,
    Histories,
    Widths,
    add_dose,
    doses_before,
    given_before,
    level_above,
    level_below,
    saturate,
)
from segcate.temporal._linear.step_model import StepModel

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
    doses : float64 array of shape (n, d_a)
        Sum of those given two rows before and earlier, as `doses_before` tells it.
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
    doses: Float
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
        doses_before(histories.treatment)[unit, origin],
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
class Given:
    """Treatments before a step: one and two rows before, and the sum of `doses_before`; (n, n_paths or 1, d_a)."""

    last: Float
    earlier: Float
    doses: Float

    def then(self, now: Float) -> Given:
        """Return what was given before the next step."""
        return Given(now, self.last, add_dose(self.doses, self.last))


@dataclass(frozen=True, slots=True)
class StepRule:
    """A model of the next step, ready to be followed from some starts.

    What does not change along a path is worked out once: `fixed` by unit, for no treatment and
    each treatment (n, 1 + d_a, q), `last`, `earlier` and `by_doses` for treatments of the step before, of that
    before it and of long ago (n, d_a, q), `pairs` for treatments given together (n, n_pairs, q), and `by_level`
    for each treatment what a level below the mean does (n, d_a, d_y, q). Zero where the term did not join: `low`
    and `high`, what a level below and high above the mean does, without and with each treatment
    (1 + d_a, d_y, q), `after` and `after_doses`, what each does after each (d_a, d_a, q), and `last_by_level`, what
    the last still does by the level (d_a, 2 d_y, q).
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
    last_by_level: Float
    by_doses: Float
    after_doses: Float

    @classmethod
    def of(cls, model: StepModel, widths: Widths, start: Start) -> StepRule:
        """Read the coefficients by block."""
        block = {name: model.coef[at] for name, at in widths.blocks().items()}
        q, d_a, d_y = widths.equations, widths.treatment, widths.outcome
        own = block["own"].reshape(1 + d_a, d_y, q)
        fixed = np.einsum("nyk,kyq->nkq", start.answers, own)
        fixed[:, 0] += block["constant"] + start.first @ block["first"]
        fixed[:, 0] += start.static @ block["static"]
        now, last, earlier = (
            block[name] + _by_static(start, block[f"{name}_static"], d_a)
            for name in ("treatment", "before", "earlier")
        )
        fixed[:, 1:] += now
        doses = _filled(block["doses"], (d_a * (1 + widths.static), q))
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
        after, after_doses = (
            _filled(block[f"treatment_{name}"], (d_a, d_a, q)) for name in ("after", "doses")
        )
        return cls(
            widths=widths,
            fixed=fixed,
            last=last,
            earlier=earlier,
            pairs=pairs,
            by_state=by_state,
            by_level=by_level,
            by_marks=by_marks,
            low=low,
            high=high,
            after=after,
            last_by_level=_filled(block["before_level"], (d_a, len(widths.level), q)),
            by_doses=doses[:d_a] + _by_static(start, doses[d_a:], d_a),
            after_doses=after_doses,
        )

    def next_targets(self, state: Float, now: Float, given: Given) -> Float:
        """Predict what the next step brings, (n, n_paths, q); treatments may be one for all paths."""
        found: Float = self.fixed[:, 0, None] + state @ self.by_state[0]
        level = level_below(state[..., : self.widths.outcome])
        for j in range(self.widths.treatment):
            here = self.fixed[:, 1 + j, None] + state @ self.by_state[1 + j]
            here += level @ self.by_level[:, j]
            found += now[..., j, None] * here
            found += given.last[..., j, None] * self.last[:, j, None]
            found += given.earlier[..., j, None] * self.earlier[:, j, None]
        for at, (i, j) in enumerate(self.widths.pairs):
            found += (now[..., i] * now[..., j])[..., None] * self.pairs[:, at, None]
        if self.widths.terms:
            self._add_terms(found, level, state, now, given)
        return found

    def _add_terms(self, found: Float, low: Float, state: Float, now: Float, given: Given) -> None:
        """Add what levels far off the mean do, treatments that follow others, and those of long ago."""
        high, level = (
            level_above(state[..., : self.widths.outcome]),
            state[..., self.widths.level],
        )
        full = saturate(given.last, given.doses)
        found += low @ self.low[0] + high @ self.high[0]
        for j in range(self.widths.treatment):
            bent = low @ self.low[1 + j] + high @ self.high[1 + j]
            bent += given.last @ self.after[j] + full @ self.after_doses[j]
            found += now[..., j, None] * bent
            found += given.last[..., j, None] * (level @ self.last_by_level[j])
            found += given.doses[..., j, None] * self.by_doses[:, j, None]


def _by_static(start: Start, coef: Float, d_a: int) -> Float:
    """Return what treatments do by the static columns of units, (n, d_a, q)."""
    d_v, q = start.static.shape[1], coef.shape[1]
    found: Float = np.einsum("nv,avq->naq", start.static, coef.reshape(d_a, d_v, q))
    return found


def _filled(coef: Float, shape: tuple[int, ...]) -> Float:
    """Return coefficients in a shape, zeros where the model has none."""
    return coef.reshape(shape) if coef.size else np.zeros(shape)


def _of_pairs(widths: Widths, answers: Float, common: Float, own: Float) -> Float:
    """Return what pairs of treatments do to each unit, (n, n_pairs, q)."""
    coef = own.reshape(len(widths.pairs), 2, widths.outcome, widths.equations)
    found = np.repeat(common[None], len(answers), axis=0)
    for at, pair in enumerate(widths.pairs):
        for which, j in enumerate(pair):
            found[:, at] += answers[..., 1 + j] @ coef[at, which]
    return found


def simulate(
    model: StepModel,
    widths: Widths,
    start: Start,
    pool: ErrorPool,
    ranks: Float,
    bounds: Float,
    coins: Coins,
    choose: Choice,
) -> tuple[Float, Float]:
    """Simulate futures with errors added, (n, n_paths, horizon, d_y), scaled, and chances of zeros that stand apart.

    Of binary outcomes it returns probabilities, while paths go on from throws. Chances of zeros have shape
    (n, n_paths, horizon, k); paths go on from the level.

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
    given = Given(start.treatment[:, None, 0], start.treatment[:, None, 1], start.doses[:, None])
    found = np.empty((n, n_paths, horizon, d_y))
    zeros = np.empty((n, n_paths, horizon, widths.zeros))
    for k in range(horizon):
        now = choose(k, state, given.last)
        reached = rule.next_targets(state, now, given)
        if k < rule.by_marks.shape[1]:
            reached += rule.by_marks[:, k, None]
        zeros[:, :, k] = np.clip(reached[..., widths.targets :], 0.0, 1.0)
        reached = reached[..., : widths.targets]
        chance, thrown = coins.throw(k, (reached[..., :d_y] + state[..., :d_y])[..., coins.columns])
        reached += pool.at(state[..., 0], ranks[k])
        reached[..., :d_y] += state[..., :d_y]
        reached = np.clip(reached, bounds[0], bounds[1])
        reached[..., coins.columns] = thrown
        state = _advance(widths, state, reached, (start.count + k)[:, None, None])
        found[:, :, k] = reached[..., :d_y]
        found[:, :, k, coins.columns] = chance
        given = given.then(now)
    return found, zeros


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
