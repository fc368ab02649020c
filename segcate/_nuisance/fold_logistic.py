"""Logistic regressions of all folds together, in a few passes over the rows.

A row counts ``p (1 - p)``, so that the penalty of a line on 0 and 1 is multiplied by their variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate._nuisance.fold_sums import Cells, Sums, sums_of

__all__ = ["Line", "fit_logistic"]

# A regression is solved when a step moves the log-odds by no more, in root mean square.
_TOLERANCE = 1e-5
_MOST_STEPS = 50
# Where a step is more than this share of the one before, folds are steered by chances of where they have come
# to: after so many steps at the least, and so often at most. A sum of cross products takes as long as ten steps.
_SLOW, _FEW_STEPS, _MOST_LOOKS = 0.5, 3, 3
# So many steps together before folds are solved one by one; at once where a step is so much longer than
# the shortest.
_MOST_TOGETHER, _ASTRAY = 40, 10.0
# Steps before the present one that it is extrapolated from.
_MEMORY = 8
# To begin with chances stay away from 0 and 1 by this part of the shares of both, and log-odds nearer
# to 0 than this.
_CAUTION = 0.2
_FARTHEST = 8.0
# A step is halved until it lowers the loss by this part of what its slope promises.
_PROMISE, _SHORTEST = 1e-4, 2.0**-20
_ALL_ALIKE = 1e-12


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted regression.

    Attributes
    ----------
    coef : float64 array of shape (n_columns,)
    level : what is predicted where all columns are at their `mean`
    mean : float64 array of shape (n_columns,)
    penalty : the ridge penalty of slopes that are divided by their `scale`
    scale : float64 array of shape (n_columns,)
    constant : the chance of all rows where only one value was seen, else NaN
    """

    coef: Float
    level: float
    mean: Float
    penalty: float
    scale: Float
    constant: float = np.nan

    @property
    def intercept(self) -> float:
        """What is predicted where all columns are 0."""
        return self.level - float(self.mean @ self.coef)


def fit_logistic(
    curves: Curves, cells: Cells, weight: Float | None, values: Float, lines: Sequence[Line]
) -> list[Line]:
    """Fit a logistic regression in every fold.

    Parameters
    ----------
    cells : rows that the folds are fitted on
    lines : linear regressions of `values`, 0 and 1, in each fold

    Notes
    -----
    All folds take Newton's steps together, with one Hessian at chances that folds have on average. It is
    taken anew where steps stay long. It steers the steps and does not move the solution, so that no fold
    learns from its own rows. Steps are extrapolated from those before (Anderson 1965, Journal of the ACM
    12:547-560), so that a Hessian that fits a fold badly costs steps, and a step costs little. Where even
    that does not do (few rows, or arms far apart) a fold is solved alone.
    """
    share = np.array([line.level for line in lines])
    penalty = np.array([line.penalty for line in lines]) * share * (1 - share)
    out = [
        replace(line, coef=np.zeros_like(line.coef), level=0.0, constant=round(line.level))
        for line in lines
    ]
    active = np.flatnonzero((share > _ALL_ALIKE) & (share < 1 - _ALL_ALIKE)).tolist()
    if not active:
        return out
    cells = cells.of_models(active)
    scale = np.column_stack([lines[k].scale for k in active])
    start = [lines[k] for k in active]
    near = _working_sums(curves, cells, weight, values, _mean_line(start), None)
    steps = _Steps.begin(near, penalty[active], scale)
    n_looks = 0
    while not steps.is_done.all() and not steps.are_astray:
        rate = steps.step(curves, cells, weight, values)
        if n_looks < _MOST_LOOKS and steps.n_steps >= _FEW_STEPS and rate > _SLOW:
            near = _working_sums(curves, cells, weight, values, steps.mean_line, _FARTHEST)
            steps.steer(near)
            n_looks += 1
    for j, k in enumerate(active):
        coef, level, mean = steps.coef[:, j], float(steps.level[j]), steps.sums[j].mean
        if not steps.is_done[j]:
            rows = np.concatenate(
                [r for r, serves in zip(cells.rows, cells.serves[:, j], strict=True) if serves]
            )
            problem = _Problem(curves, rows, weight, values, float(penalty[k]), scale[:, j])
            coef, level = problem.solve(float(logit(share[k])), coef, level - float(mean @ coef))
            mean = np.zeros_like(mean)
        out[k] = replace(lines[k], coef=coef, level=level, mean=mean)
    return out


def _mean_line(lines: Sequence[Line]) -> tuple[Float, float]:
    """Return the mean of slopes and intercepts."""
    coef = np.mean([line.coef for line in lines], axis=0)
    return np.asarray(coef), float(np.mean([line.intercept for line in lines]))


def _working_sums(
    curves: Curves,
    cells: Cells,
    weight: Float | None,
    values: Float,
    line: tuple[Float, float],
    farthest: float | None,
) -> list[Sums]:
    """Sum up with the weights and responses of Newton's step from a line of log-odds, or of chances.

    `farthest` is where log-odds are cut off, None for a line of chances.
    """
    coef, level = line
    share = float(np.mean(np.concatenate([values[rows] for rows in cells.rows])))
    response, working = np.zeros((len(values), 1)), np.zeros(len(values))
    for rows in cells.rows:
        for at, columns in curves.blocks(rows):
            chance = columns @ coef + level
            if farthest is None:
                chance = np.clip(chance, _CAUTION * share, 1 - _CAUTION * (1 - share))
                eta = logit(chance)
            else:
                eta = np.clip(chance, -farthest, farthest)
                chance = expit(eta)
            working[at] = chance * (1 - chance)
            response[at, 0] = eta + (values[at] - chance) / working[at]
    weighted = working if weight is None else working * weight
    return sums_of(curves, cells, weighted, response, [0] * cells.serves.shape[1])


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one regression stands: scaled slopes and level, the step from there, and the gradient."""

    at: Float
    change: Float
    gradient: Float

    def extrapolated(self, past: Sequence[_Place]) -> Float:
        """Return where the steps so far, of here and of places before, would have no length."""
        if not past:
            return np.asarray(self.at + self.change)
        moves = np.column_stack([one.at - self.at for one in past])
        bends = np.column_stack([one.change - self.change for one in past])
        slopes = np.column_stack([one.gradient - self.gradient for one in past])
        share = np.linalg.lstsq(slopes.T @ bends, -slopes.T @ self.change, rcond=1e-12)[0]
        return np.asarray(self.at + self.change + (moves + bends) @ share)


@dataclass(slots=True)
class _Steps:
    """Where the regressions of all folds stand, and how they are steered.

    Attributes
    ----------
    sums : of each fold, with working weights
    penalty, level, moved : float64 arrays of shape (n_folds,)
    scale, coef : float64 arrays of shape (n_columns, n_folds)
    factor : Cholesky factor of each fold's ``gram + penalty``
    past : places that each fold came by, with the same factor
    n_steps, shortest : steps with the same factor, and the longest of a fold where they were shortest
    """

    sums: Sequence[Sums]
    penalty: Float
    scale: Float
    coef: Float
    level: Float
    moved: Float
    factor: list[tuple[Float, bool]]
    past: list[list[_Place]]
    n_steps: int = 0
    shortest: float = np.inf

    @classmethod
    def begin(cls, sums: Sequence[Sums], penalty: Float, scale: Float) -> _Steps:
        """Solve for the first step."""
        factor = _factors(sums, penalty, scale)
        coef = [
            by * cho_solve(one, by * s.product)
            for one, s, by in zip(factor, sums, scale.T, strict=True)
        ]
        level, moved = np.array([one.response_mean for one in sums]), np.full(len(sums), np.inf)
        return cls(
            sums, penalty, scale, np.column_stack(coef), level, moved, factor, [[] for _ in sums]
        )

    @property
    def mean_line(self) -> tuple[Float, float]:
        """Slopes and intercept on average over the folds."""
        levels = [
            level - float(one.mean @ coef)
            for level, one, coef in zip(self.level, self.sums, self.coef.T, strict=True)
        ]
        return np.asarray(self.coef.mean(axis=1)), float(np.mean(levels))

    @property
    def is_done(self) -> Float:
        """Tell which folds are solved."""
        return np.asarray(self.moved <= _TOLERANCE)

    @property
    def are_astray(self) -> bool:
        """Tell whether steps grow longer, or do not end."""
        longest = float(self.moved.max())
        is_long = self.n_steps > 0 and not longest <= _ASTRAY * self.shortest
        return is_long or self.n_steps >= _MOST_TOGETHER

    def steer(self, sums: Sequence[Sums]) -> None:
        """Take other sums to steer by, from where the folds stand."""
        for j, (old, new) in enumerate(zip(self.sums, sums, strict=True)):
            self.level[j] += float((new.mean - old.mean) @ self.coef[:, j])
        self.sums, self.factor = sums, _factors(sums, self.penalty, self.scale)
        self.moved = np.full(len(sums), np.inf)
        self.past = [[] for _ in sums]
        self.n_steps, self.shortest = 0, np.inf

    def step(self, curves: Curves, cells: Cells, weight: Float | None, values: Float) -> float:
        """Take one step in every fold; return the largest share that a step is of the one before."""
        product, total = self._left(curves, cells, weight, values)
        before = self.moved.copy()
        self.n_steps += 1
        for j, one in enumerate(self.sums):
            scale = self.scale[:, j]
            at = self.coef[:, j] / np.where(scale > 0, scale, 1.0)
            gradient = scale * (product[:, j] - one.mean * total[j]) - self.penalty[j] * at
            change = cho_solve(self.factor[j], gradient)
            now = _Place(
                np.append(at, self.level[j]),
                np.append(change, total[j] / one.mass),
                np.append(gradient, total[j]),
            )
            goal = now.extrapolated(self.past[j])
            self.past[j] = [*self.past[j][1 - _MEMORY :], now]
            self.coef[:, j], self.level[j] = scale * goal[:-1], goal[-1]
            self.moved[j] = np.sqrt(max(float(now.change @ now.gradient), 0.0) / one.mass)
        self.shortest = min(self.shortest, float(self.moved.max()))
        return float(np.where(self.is_done, 0.0, self.moved / before).max())

    def _left(
        self, curves: Curves, cells: Cells, weight: Float | None, values: Float
    ) -> tuple[Float, Float]:
        """Return the products of columns with what chances leave of the values, and its total."""
        mean = np.column_stack([one.mean for one in self.sums])
        offset = self.level - (mean * self.coef).sum(axis=0)
        product, total = np.zeros_like(self.coef), np.zeros(len(self.level))
        for rows, serves in zip(cells.rows, cells.serves, strict=True):
            for at, columns in curves.blocks(rows):
                left = values[at, None] - expit(columns @ self.coef + offset)
                left *= serves if weight is None else serves * weight[at, None]
                product += columns.T @ left
                total += left.sum(axis=0)
        return product, total


@dataclass(frozen=True, slots=True)
class _Problem:
    """One logistic regression, solved by Newton's method with steps that are halved where needed."""

    curves: Curves
    rows: Int
    weight: Float | None
    values: Float
    penalty: float
    scale: Float

    def solve(self, intercept: float, near: Float, level: float) -> tuple[Float, float]:
        """Return the slopes and the intercept.

        Begin without slopes at `intercept`, or at the slopes `near` and the intercept `level` if these fit
        better.
        """
        at = np.append(np.zeros(self.curves.n_columns), intercept)
        loss = self._loss(at)
        other = np.append(near / np.where(self.scale > 0, self.scale, 1.0), level)
        if self._loss(other) < loss:
            at, loss = other, self._loss(other)
        for _ in range(_MOST_STEPS):
            gradient, hessian = self._derivatives(at)
            change = -cho_solve(cho_factor(hessian, lower=True), gradient)
            slope, size = float(gradient @ change), 1.0
            while self._loss(at + size * change) > loss + _PROMISE * size * slope:
                size /= 2
                if size < _SHORTEST:
                    return self.scale * at[:-1], float(at[-1])
            at = at + size * change
            loss = self._loss(at)
            if -slope <= _TOLERANCE**2 * len(self.rows):
                break
        return self.scale * at[:-1], float(at[-1])

    def _blocks(self) -> Iterator[tuple[Float, Float, Float]]:
        """Yield scaled columns and 1, values, and weights."""
        for rows, columns in self.curves.blocks(self.rows):
            weight = np.ones(len(rows)) if self.weight is None else self.weight[rows]
            columns = np.column_stack([columns * self.scale, np.ones(len(rows))])
            yield columns, self.values[rows], weight

    def _loss(self, at: Float) -> float:
        loss = self.penalty * float(at[:-1] @ at[:-1]) / 2
        for columns, values, weight in self._blocks():
            eta = columns @ at
            loss += float(weight @ (np.logaddexp(0.0, eta) - values * eta))
        return loss

    def _derivatives(self, at: Float) -> tuple[Float, Float]:
        shrunken = np.append(np.full(len(at) - 1, self.penalty), 0.0)
        gradient, hessian = shrunken * at, np.diag(shrunken)
        for columns, values, weight in self._blocks():
            chance = expit(columns @ at)
            gradient += columns.T @ (weight * (chance - values))
            root = (
                columns * np.sqrt(weight * np.maximum(chance * (1 - chance), _ALL_ALIKE))[:, None]
            )
            hessian += root.T @ root
        return gradient, hessian


def _factors(sums: Sequence[Sums], penalty: Float, scale: Float) -> list[tuple[Float, bool]]:
    """Factor the Hessian of each fold."""
    return [
        cho_factor(one.gram * by[:, None] * by + at * np.eye(len(by)), lower=True)
        for one, at, by in zip(sums, penalty, scale.T, strict=True)
    ]
