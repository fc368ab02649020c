"""The score of every segment by Newton's method over sums: each pass brings all segments a step on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logit

from segcate._inputs.arrays import Bool, Float
from segcate._statistics.columns import Standard, independent_in_gram, standard_of
from segcate.matching._logit import (
    Derivatives,
    Likelihood,
    LogitFit,
    LogitRows,
    Minimum,
    fit_logit,
    logit_fit,
    newton_steps,
)
from segcate.matching._propensity import (
    DEPARTURE_SD,
    NOTE_SEPARATED,
    NOTE_SHRUNK,
    ROWS_PER_SLOPE,
    SEPARATION_PENALTY,
)
from segcate.matching._score_grid import ScoreGrid, linear_predictor, place_in_units, rest, unit_of
from segcate.scale._moments import Moments
from segcate.scale._rows import Reader, Rows


@dataclass(frozen=True, slots=True)
class Pooled:
    """Slopes common to all segments: what thin segments start from.

    Attributes
    ----------
    low : float64 array of shape (n_columns,), of all rows
    grid : the score of columns less `low`
    """

    low: Float
    grid: ScoreGrid

    def of(self, columns: Float) -> Float:
        """Return the common part of the log-odds of some rows."""
        return linear_predictor(columns - self.low, self.grid, np.arange(len(columns)))


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one segment.

    Attributes
    ----------
    fit : its logistic regression
    pooled : what is added to it; None where it stands alone
    note : what is special about it
    """

    fit: LogitFit
    pooled: Pooled | None
    note: str

    def of(self, columns: Float) -> Float:
        """Return the log-odds of some rows."""
        eta = linear_predictor(columns, self.fit.grid, np.arange(len(columns)))
        return eta if self.pooled is None else eta + self.pooled.of(columns)

    @property
    def is_exact(self) -> bool:
        """Tell whether it is the maximum of a likelihood without penalty."""
        return self.pooled is None and self.fit.converged and not self.fit.penalised

    def mean(self, moments: Moments) -> float:
        """Return about the mean of the score over the rows of the segment."""
        coef = self.coef
        return float(coef[0] + coef[1:] @ moments.plain_mean[1:])

    def deviation(self, moments: Moments, total: float) -> float:
        """Return the standard deviation of the score over rows that weigh `total`, by their moments."""
        if total <= 1:
            return 0.0
        slopes = self.coef[1:]
        return float(np.sqrt(slopes @ moments.covariance @ slopes * total / (total - 1)))

    @property
    def coef(self) -> Float:
        """Coefficients of the whole score, the constant first."""
        if self.pooled is None:
            return self.fit.coef
        common = self.pooled.grid.coef.copy()
        common[0] -= common[1:] @ self.pooled.low
        return self.fit.coef + common


@dataclass(slots=True)
class _Fit:
    """One regression on its way."""

    standard: Standard
    kept: Bool
    ridge: float
    steps: Generator[Float, Derivatives, Minimum]
    beta: Float
    pooled: Pooled | None = None
    found: Minimum | None = None
    _sums: list[Derivatives] = field(default_factory=list)

    def likelihood(self, rows: LogitRows) -> Likelihood:
        """Return the likelihood of some rows."""
        return Likelihood(rows, self.standard, self.kept, np.full(int(self.kept.sum()), self.ridge))

    def add(self, rows: LogitRows) -> None:
        """Take in the rows of a batch."""
        sums = self.likelihood(rows).sums(self.beta)
        if self._sums:
            known = self._sums.pop()
            sums = Derivatives(
                known.loss + sums.loss, known.gradient + sums.gradient, known.hessian + sums.hessian
            )
        self._sums.append(sums)

    def advance(self) -> None:
        """Take a step after a pass."""
        empty = LogitRows(
            np.empty((0, len(self.kept))), np.empty(0, np.int8), None, None, None, None
        )
        total = self.likelihood(empty).penalised(self._sums.pop(), self.beta)
        try:
            self.beta = self.steps.send(total)
        except StopIteration as end:
            self.found = end.value


def _fit(
    standard: Standard, ridge: float, start: LogitFit | None = None, pooled: Pooled | None = None
) -> _Fit:
    kept = independent_in_gram(standard.correlation, standard.varies)
    beta = np.zeros(1 + int(kept.sum()))
    if start is not None and (start.kept == kept).all():
        slopes = start.coef[1:]
        beta[1:] = slopes[kept] * standard.scale[kept]
        beta[0] = start.coef[0] + slopes @ (standard.origin + standard.mean)
    steps = newton_steps(beta)
    return _Fit(standard, kept, ridge, steps, next(steps), pooled)


class _Units:
    """Units of the columns of one set of rows: found in the first pass, checked in the second."""

    def __init__(self, low: Float, high: Float) -> None:
        self.low, self.high = low, high
        self.unit = np.where(high > low, high - low, 0.0)
        self.is_first = True

    def add(self, columns: Float) -> None:
        for j in np.flatnonzero(self.unit > 0).tolist():
            low, high = float(self.low[j]), float(self.high[j])
            values = columns[:, j]
            if self.is_first:
                self.unit[j] = unit_of(values[:64], low, high, float(self.unit[j]))[0]
            if self.unit[j] > 0:
                unit, limits = unit_of(values, low, high, float(self.unit[j]))
                is_off = not self.is_first and (rest(values - low, unit) > limits.rounding).any()
                self.unit[j] = 0.0 if is_off else unit


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How scores are made."""

    pool_propensity: bool
    has_weights: bool
    are_counts: bool


class ScorePasses:
    """Fits all segments; `run` reads the source until all are done."""

    def __init__(
        self, moments: dict[int, Moments], options: ScoreOptions, sample: dict[int, Rows]
    ) -> None:
        self.moments = {code: m for code, m in moments.items() if m.has_both_arms}
        self.options, self.sample = options, sample
        self.low = np.min([m.low for m in moments.values()], axis=0)
        self.high = np.max([m.high for m in moments.values()], axis=0)
        several = len(moments) > 1
        self.borrows = {
            code: several and (options.pool_propensity or self._is_thin(m))
            for code, m in self.moments.items()
        }
        self._ended: dict[int, _Fit] = {}
        self.n_passes = 0
        self._active: dict[int, _Fit] = {}
        self._units = {code: _Units(m.low, m.high) for code, m in self.moments.items()}
        self._pooled: _Fit | None = None
        self._pooled_units = _Units(np.zeros(len(self.low)), self.high - self.low)
        for code, m in self.moments.items():
            if not self.borrows[code]:
                self._active[code] = _fit(m.standard, 0.0, self._start(code))
        if any(self.borrows.values()):
            self._pooled = _fit(self._pooled_standard(), 0.0)

    def run(self, reader: Reader) -> dict[int, Score]:
        """Read the source as often as it takes."""
        while self._active or self._pooled is not None or self.n_passes < 2:
            if not self.moments:
                break
            for code, rows in reader.by_segment():
                if code in self.moments:
                    self._take(code, rows)
            self.n_passes += 1
            self._advance()
        return {code: self._finished(code) for code in self.moments}

    def _is_thin(self, m: Moments) -> bool:
        """Tell whether the smaller arm has too few rows for own slopes."""
        smaller = m.smaller_arm(
            are_counts=self.options.are_counts, has_weights=self.options.has_weights
        )
        if smaller >= ROWS_PER_SLOPE * len(m.low):
            return False
        return smaller < ROWS_PER_SLOPE * m.rank

    def _start(self, code: int) -> LogitFit | None:
        """Fit the sampled rows of a segment: where Newton's method starts."""
        rows = self.sample.get(code)
        if rows is None or rows.treatment.min() == rows.treatment.max():
            return None
        found = fit_logit(rows.columns, rows.treatment, weight=rows.weight)
        return found if found.converged else None

    def _pooled_standard(self) -> Standard:
        """Standardise columns less the means of their segment."""
        found = list(self.moments.values())
        mass = np.array([m.mass.sum() for m in found])
        within = np.tensordot(mass, np.array([m.covariance for m in found]), axes=1) / mass.sum()
        none = np.zeros(len(self.low))
        return standard_of(none, none, within, self.high - self.low, of_means=True)

    def _mass_factor(self, code: int) -> float:
        """Return what brings the weights of a segment to one a row, unless they are counts."""
        if not self.options.has_weights or self.options.are_counts:
            return 1.0
        m = self.moments[code]
        return float(m.n.sum() / m.mass.sum())

    def _take(self, code: int, rows: Rows) -> None:
        """Take in the rows of one segment in one batch."""
        if self.n_passes < 2:
            self._units[code].add(rows.columns)
        if self._pooled is not None:
            m = self.moments[code]
            share = float(m.mass[1] / m.mass.sum())
            moved = rows.columns - self.low
            if self.n_passes < 2:
                self._pooled_units.add(moved)
            centre = (np.zeros(len(moved), dtype=np.intp), (m.mean[1:] - self.low)[None])
            level = np.full(len(moved), float(logit(share)))
            self._pooled.add(LogitRows(moved, rows.treatment, None, rows.weight, level, centre))
        fit = self._active.get(code)
        if fit is not None:
            weight = None if rows.weight is None else rows.weight * self._mass_factor(code)
            offset = None if fit.pooled is None else fit.pooled.of(rows.columns)
            fit.add(LogitRows(rows.columns, rows.treatment, None, weight, offset, None))

    def _advance(self) -> None:
        """Take a step everywhere, and start what can start now."""
        for units in (*self._units.values(), self._pooled_units):
            units.is_first = False
        for code, fit in list(self._active.items()):
            fit.advance()
            if fit.found is not None:
                self._end(code, fit)
        if self._pooled is not None:
            self._pooled.advance()
            if self._pooled.found is not None and self.n_passes >= 2:
                self._start_borrowers(self._pooled)
                self._pooled = None

    def _start_borrowers(self, fit: _Fit) -> None:
        assert fit.found is not None
        slopes = np.zeros(len(self.low))
        slopes[fit.kept] = fit.found.beta[1:] / fit.standard.scale[fit.kept]
        none, units = np.zeros(len(self.low)), self._pooled_units
        grid = place_in_units(units.low, units.high, units.unit, none, 0.0, slopes)
        pooled = Pooled(self.low, grid)
        for code, borrow in self.borrows.items():
            if borrow:
                standard = self.moments[code].standard
                self._active[code] = _fit(standard, 1 / DEPARTURE_SD**2, pooled=pooled)

    def _end(self, code: int, fit: _Fit) -> None:
        """Keep a fit, or start again with a ridge where the arms can be separated."""
        assert fit.found is not None
        del self._active[code]
        if fit.pooled is None and fit.ridge == 0.0 and not fit.found.converged:
            self._active[code] = _fit(fit.standard, SEPARATION_PENALTY)
            return
        self._ended[code] = fit

    def _finished(self, code: int) -> Score:
        fit, m = self._ended[code], self.moments[code]
        assert fit.found is not None
        found = logit_fit(
            fit.found, fit.standard, fit.kept, fit.ridge > 0, m.low, m.high, self._units[code].unit
        )
        note = ""
        if fit.pooled is not None and not self.options.pool_propensity:
            note = NOTE_SHRUNK
        elif fit.pooled is None and found.penalised:
            note = NOTE_SEPARATED
        return Score(found, fit.pooled, note)
