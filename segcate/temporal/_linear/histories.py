"""What a linear model reads of a history: states, products with treatments, answers of the unit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int

# Changes of the outcome that a state keeps, and rows before of which marks are read.
N_CHANGES, N_MARKED = 3, 2
# How far below the mean, in standard deviations, a level still changes own answers.
_LOWEST = -2.0
# From where, and how far, a level bends what treatments do, in standard deviations above the mean.
_BEND, _HIGHEST = 1.0, 2.0
# What is left of a treatment after one more step, in the sum of those given long ago.
_LEFT = 0.5
# What may join: how far a level lies below and above the mean, and what treatments do there; what they do after
# others; what the last ones still do by the level; what those of long ago still do; and what treatments do to
# those who are full of them.
TERMS = (
    *("low", "treatment_low", "high", "treatment_high", "treatment_after"),
    *("before_level", "doses", "treatment_doses"),
)


@dataclass(frozen=True, slots=True)
class Widths:
    """Count the columns: outcomes, covariates, treatments, static, marks of what was missing.

    `terms` names what is read besides, in the order of `TERMS`; `zeros` counts the outcomes whose zeros stand apart.
    """

    outcome: int
    covariates: int
    treatment: int
    static: int
    marks: int = 0
    terms: tuple[str, ...] = ()
    zeros: int = 0

    @property
    def equations(self) -> int:
        """Count the equations, those of zeros that stand apart last."""
        return self.targets + self.zeros

    @property
    def targets(self) -> int:
        """Count the equations: changes of outcomes, then covariates."""
        return self.outcome + self.covariates

    @property
    def state(self) -> int:
        """Count the columns of a state."""
        return (2 + N_CHANGES) * self.outcome + 2 * self.covariates

    @property
    def moderators(self) -> Int:
        """Return the columns of a state by which treatments differ: all but older changes and mean covariates."""
        d_y, d_x = self.outcome, self.covariates
        mean = (1 + N_CHANGES) * d_y
        found: Int = np.r_[0 : 2 * d_y, mean : mean + d_y + d_x]
        return found

    @property
    def level(self) -> Int:
        """Return the columns of a state that tell the level: outcomes and their running means."""
        mean = (1 + N_CHANGES) * self.outcome
        found: Int = np.r_[0 : self.outcome, mean : mean + self.outcome]
        return found

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """List the pairs of treatments."""
        return list(combinations(range(self.treatment), 2))

    @property
    def features(self) -> int:
        """Count the features of a row, a unit's own answers among them."""
        return int(self.blocks()["own_pairs"].stop)

    def blocks(self) -> dict[str, slice]:
        """Return where each block of features stands; those of a unit's own come last."""
        d_a, d_v, d_y = self.treatment, self.static, self.outcome
        sizes = {
            "constant": 1,
            "treatment": d_a,
            "pairs": len(self.pairs),
            "state": self.state,
            "first": self.outcome,
            "static": d_v,
            "before": d_a,
            "earlier": d_a,
            "treatment_static": d_a * d_v,
            "treatment_state": d_a * len(self.moderators),
            "before_static": d_a * d_v,
            "earlier_static": d_a * d_v,
            "marks": self.marks,
            **{name: size if name in self.terms else 0 for name, size in self._of_terms()},
            "own": d_y * (1 + d_a),
            "own_level": d_y * d_a,
            "own_pairs": d_y * 2 * len(self.pairs),
        }
        ends = np.cumsum(list(sizes.values()))
        return {
            name: slice(int(end) - size, int(end))
            for (name, size), end in zip(sizes.items(), ends, strict=True)
        }

    def _of_terms(self) -> list[tuple[str, int]]:
        d_y, d_a = self.outcome, self.treatment
        of_level = (d_y, d_a * d_y, d_y, d_a * d_y, d_a**2)
        of_doses = (d_a * len(self.level), d_a * (1 + self.static), d_a**2)
        return list(zip(TERMS, of_level + of_doses, strict=True))


@dataclass(frozen=True, slots=True)
class Histories:
    """Scaled histories, padded behind the last row of each unit.

    Attributes
    ----------
    outcome : float64 array of shape (n, t, d_y)
    covariates : float64 array of shape (n, t, d_x)
    treatment : float64 array of shape (n, t, d_a), 0 and 1
    static : float64 array of shape (n, d_v)
    n_steps : intp array of shape (n,)
    known : bool array of shape (n, t), or None
        Rows of whose step all is known; None: all.
    marks : float64 array of shape (n, t, 2), or None
        1 where the row's treatments, and where its outcomes or covariates, are missing.
    terms : tuple of str
        Which of `TERMS` features hold.
    zeros : float64 array of shape (n, t, k), or None
        1 where an outcome whose zeros stand apart is zero; its level holds the last one.
    watched : bool array of shape (n, t), or None
        Rows of whose step all is known but, where the next outcome is zero, its level.
    """

    outcome: Float
    covariates: Float
    treatment: Float
    static: Float
    n_steps: Int
    known: Bool | None = None
    marks: Float | None = None
    terms: tuple[str, ...] = ()
    zeros: Float | None = None
    watched: Bool | None = None

    @property
    def widths(self) -> Widths:
        """Count the columns."""
        return Widths(
            self.outcome.shape[2],
            self.covariates.shape[2],
            self.treatment.shape[2],
            self.static.shape[1],
            0 if self.marks is None else N_MARKED * self.marks.shape[2],
            self.terms,
            0 if self.zeros is None else self.zeros.shape[2],
        )

    @property
    def is_learned(self) -> Bool:
        """Tell the rows that a next row follows, all known of the step, (n, t)."""
        is_followed = np.arange(self.outcome.shape[1]) < (self.n_steps - 1)[:, None]
        return is_followed if self.known is None else is_followed & self.known

    def targets(self) -> Float:
        """Return what the next step brings, (n, t, d_y + d_x): changes of outcomes, covariates."""
        found = np.zeros((*self.outcome.shape[:2], self.widths.targets))
        d_y = self.widths.outcome
        found[:, :-1, :d_y] = np.diff(self.outcome, axis=1)
        found[:, :-1, d_y:] = self.covariates[:, 1:]
        return found

    def states(self) -> Float:
        """Return the state at every row: outcome, last changes, running means, covariates."""
        z, x = self.outcome, self.covariates
        changes = [before(z, k) - before(z, k + 1) for k in range(N_CHANGES)]
        count = np.arange(1, z.shape[1] + 1)[:, None]
        means = np.cumsum(z, axis=1) / count, np.cumsum(x, axis=1) / count
        return np.concatenate([z, *changes, means[0], x, means[1]], axis=2)


def before(values: Float, k: int) -> Float:
    """Return values `k` rows ago; the first row stands before itself."""
    if k == 0:
        return values
    return values[:, np.maximum(np.arange(values.shape[1]) - k, 0)]


def given_before(treatment: Float, k: int) -> Float:
    """Return treatments `k` rows ago; none was given before the first row."""
    found = np.zeros_like(treatment)
    found[:, k:] = treatment[:, : treatment.shape[1] - k]
    return found


def marks_before(histories: Histories) -> Float:
    """Return what was missing at the rows before each, the last one first, (n, t, marks)."""
    if histories.marks is None:
        return np.empty((*histories.outcome.shape[:2], 0))
    found = [given_before(histories.marks, k + 1) for k in range(N_MARKED)]
    return np.concatenate(found, axis=2)


def features(histories: Histories) -> Float:
    """Return the features of every row but a unit's own answers, (n, t, p)."""
    widths, state = histories.widths, histories.states()
    n, t = state.shape[:2]
    now = histories.treatment
    last, earlier = given_before(now, 1), given_before(now, 2)
    static = np.broadcast_to(histories.static[:, None], (n, t, widths.static))
    first = np.broadcast_to(histories.outcome[:, :1], (n, t, widths.outcome))
    parts = [
        np.ones((n, t, 1)),
        now,
        _pairs(now, widths),
        state,
        first,
        static,
        last,
        earlier,
        _times(now, static),
        _times(now, state[:, :, widths.moderators]),
        _times(last, static),
        _times(earlier, static),
        marks_before(histories),
    ]
    return np.concatenate([*parts, *_of_terms(histories, state, static, last)], axis=2)


def _of_terms(histories: Histories, state: Float, static: Float, last: Float) -> list[Float]:
    """Return the columns of the terms that joined."""
    if not histories.terms:
        return []
    now, level = histories.treatment, state[:, :, histories.widths.level]
    low, high = level_below(histories.outcome), level_above(histories.outcome)
    doses = doses_before(now)
    found = (
        *(low, _times(now, low), high, _times(now, high), _times(now, last)),
        *(_times(last, level), np.concatenate([doses, _times(doses, static)], axis=2)),
        _times(now, saturate(last, doses)),
    )
    return [x for name, x in zip(TERMS, found, strict=True) if name in histories.terms]


def doses_before(treatment: Float) -> Float:
    """Sum the treatments given two rows ago and before, halved with each more step."""
    found = np.zeros_like(treatment)
    for t in range(2, treatment.shape[1]):
        found[:, t] = add_dose(found[:, t - 1], treatment[:, t - 2])
    return found


def saturate(last: Float, doses: Float) -> Float:
    """Return how full of treatments a unit is: d / (1 + d), d the last and what is left of those before."""
    dose = last + _LEFT * doses
    found: Float = dose / (1.0 + dose)
    return found


def add_dose(doses: Float, treatment: Float) -> Float:
    """Return the sum of treatments given long ago, one step later."""
    return _LEFT * doses + treatment


def level_below(outcome: Float) -> Float:
    """Return how far scaled outcomes lie below the mean, two standard deviations at most."""
    found: Float = np.clip(outcome, _LOWEST, 0.0)
    return found


def level_above(outcome: Float) -> Float:
    """Return how far scaled outcomes lie beyond a standard deviation above the mean, two at most."""
    found: Float = np.clip(outcome - _BEND, 0.0, _HIGHEST)
    return found


def own_features(answers: Float, treatment: Float, outcome: Float) -> Float:
    """Return a unit's own answers as features: by itself, under each treatment and each pair.

    Parameters
    ----------
    answers : float64 array of shape (n, t, d_y, 1 + d_a)
    treatment : float64 array of shape (n, t, d_a)
    outcome : float64 array of shape (n, t, d_y)

    Returns
    -------
    float64 array of shape (n, t, d_y * (1 + d_a + d_a + 2 * n_pairs))
        Drift; the answer to each treatment given; the same times the level below the mean; the
        answers to both treatments of each pair that was given together.
    """
    d_a = treatment.shape[2]
    given = [treatment[..., j, None] * answers[..., 1 + j] for j in range(d_a)]
    parts = [answers[..., 0], *given, *(part * level_below(outcome) for part in given)]
    for i, j in combinations(range(d_a), 2):
        parts += [given[i] * treatment[..., j, None], given[j] * treatment[..., i, None]]
    return np.concatenate(parts, axis=2)


def _pairs(treatment: Float, widths: Widths) -> Float:
    found = [treatment[..., i] * treatment[..., j] for i, j in widths.pairs]
    return np.stack(found, axis=-1) if found else np.empty((*treatment.shape[:-1], 0))


def _times(treatment: Float, values: Float) -> Float:
    """Multiply each treatment with each value, treatments first."""
    products = treatment[..., :, None] * values[..., None, :]
    return products.reshape(*treatment.shape[:-1], -1)
