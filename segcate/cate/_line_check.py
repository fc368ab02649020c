"""Whether an effect that was adjusted for by lines changes once columns may bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._statistics.least_squares import least_squares
from segcate._statistics.sandwich import corrected
from segcate.cate._robust_regression import interaction_design

# Of robust standard deviations; beyond it a square is flat, so that no single row decides.
_FURTHEST = 3.0
# Interquartile range of a normal law with standard deviation 1.
_RANGE = 1.349
# Rows looked at; a bend that moves the effect of more rows by its standard error shows on these.
_MOST_ROWS = 20_000
_FEWEST_ROWS_A_TERM = 10
# Of standard errors: how far noise gets in 1 of 15,000 regressions without bends, and how far chance
# gets in 1 of 20 where columns bend and the treatment was drawn by lot.
_FURTHEST_BY_NOISE, _FURTHEST_BY_LOT = 4.0, 2.0


@dataclass(frozen=True, slots=True)
class BentEffect:
    """The mean effect of an arm (or a unit of dose) by lines, and with bends beside them.

    Attributes
    ----------
    arm : position of the arm among the columns of the treatment
    by_lines, with_bends : mean effect over the rows
    difference_error, error : standard errors of the difference of the two, and of the first
    given_rows : standard error of the difference were only outcomes drawn again; where nothing bends
        both effects are then the same on average
    column : position in Z of the column that bends most
    """

    arm: int
    by_lines: float
    with_bends: float
    difference_error: float
    error: float
    given_rows: float
    column: int

    @property
    def matters(self) -> bool:
        """Tell whether bends are there, move the effect on other rows too, and by more than its error."""
        gap = abs(self.by_lines - self.with_bends)
        bends = gap > _FURTHEST_BY_NOISE * self.given_rows
        return bends and gap > _FURTHEST_BY_LOT * self.difference_error and gap > self.error > 0


def bent_effects(
    D: Float, Z: Float, moderators: Int, y: Float, weight: Float | None, groups: Int | None
) -> list[BentEffect]:
    """Compare mean effects by lines with those with bends; [] where rows are too few to tell.

    Each column of Z with more than two values gets two more: asinh of its distance from the
    median in robust standard deviations, and the square of that, flat beyond 3. Both regressions are
    on the same rows, so the error of the difference is that of the differences of their scores.
    """
    at = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0)
    if len(at) > _MOST_ROWS:
        at = at[np.linspace(0, len(at) - 1, _MOST_ROWS).astype(np.intp)]
    D, Z, y = D[at], Z[at], y[at]
    weight = None if weight is None else weight[at]
    bends, source = _bends(Z)
    n_terms = (1 + D.shape[1]) * (1 + Z.shape[1]) + bends.shape[1]
    groups = None if groups is None else groups[at]
    n_units = len(y) if groups is None else len(np.unique(groups))
    if not len(source) or n_units < _FEWEST_ROWS_A_TERM * n_terms:
        return []
    lines = _fit(D, Z, moderators, y, weight)
    wider = _fit(D, np.column_stack([Z, bends]), moderators, y, weight)
    first = 1 + D.shape[1] + Z.shape[1]
    spread = np.sqrt(np.sum(wider.scores[:, first : first + len(source)] ** 2, axis=0))
    size = np.divide(
        np.abs(wider.coef[first : first + len(source)]),
        spread,
        out=np.zeros(len(source)),
        where=spread > 0,
    )
    column = int(source[np.argmax(size)])
    found = []
    for arm in range(D.shape[1]):
        own, other = lines.scores[:, 1 + arm], wider.scores[:, 1 + arm]
        noise = (lines.along[:, 1 + arm] - wider.along[:, 1 + arm]) * wider.residual
        found.append(
            BentEffect(
                arm,
                float(lines.coef[1 + arm]),
                float(wider.coef[1 + arm]),
                _error(own - other, groups),
                _error(own, groups),
                _error(noise, groups),
                column,
            )
        )
    return found


def _bends(Z: Float) -> tuple[Float, Int]:
    """Return the bent columns, and the column of Z that each came from."""
    made, source = [], []
    for j, column in enumerate(Z.T):
        if len(np.unique(column)) <= 2:
            continue
        low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
        scale = (high - low) / _RANGE
        if not scale > 0:  # more than half of the rows share a value
            scale = float(column.std())
        z = (column - middle) / scale
        made += [np.arcsinh(z), np.clip(z, -_FURTHEST, _FURTHEST) ** 2]
        source += [j, j]
    columns = np.column_stack(made) if made else np.empty((len(Z), 0))
    return columns, np.array(source, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class _Fit:
    coef: Float
    along: Float
    residual: Float

    @property
    def scores(self) -> Float:
        """What each row adds to the error of each coefficient."""
        return np.asarray(self.along * self.residual[:, None])


def _fit(D: Float, Z: Float, moderators: Int, y: Float, weight: Float | None) -> _Fit:
    """Regress on ``1, D, Z, D x Z[:, moderators]``; residuals are made up for leverage (HC3)."""
    Z = Z - np.average(Z, axis=0, weights=weight)
    design = interaction_design(D, Z, moderators)
    fit = least_squares(design, y, weight)
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    residual = (y - design @ fit.coef) * root
    along = (design * root[:, None]) @ fit.bread
    leverage = np.einsum("ij,ij->i", along, design * root[:, None])
    return _Fit(fit.coef, along, corrected(residual, leverage, "hc3"))


def _error(scores: Float, groups: Int | None) -> float:
    """Return the standard error of a sum of independent scores, or of sums over groups."""
    sums = scores if groups is None else np.bincount(groups, weights=scores)
    return float(np.sqrt(sums @ sums))
