"""The score of every segment by Newton's method over sums: each pass brings all segments a step on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Protocol

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
from segcate.scale._rows import Rows
from segcate.scale._runner import Runner
from segcate.scale._sums import Sums, merged, merged_all


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


class RowScore(Protocol):
    """The score of one segment, however it was made."""

    @property
    def note(self) -> str:
        """What is special about it."""

    @property
    def is_exact(self) -> bool:
        """Tell whether it is the maximum of a likelihood without penalty."""

    def of(self, columns: Float) -> Float:
        """Return the log-odds of some rows."""

    def mean(self, moments: Moments) -> float:
        """Return about the mean of the score over the rows of the segment."""


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

    @property
    def coef(self) -> Float:
        """Coefficients of the whole score, the constant first."""
        if self.pooled is None:
            return self.fit.coef
        common = self.pooled.grid.coef.copy()
        common[0] -= common[1:] @ self.pooled.low
        return self.fit.coef + common


@dataclass(frozen=True, slots=True)
class _At:
    """A regression and the coefficients that a pass evaluates.

    Attributes
    ----------
    standard, kept, ridge : its columns and its penalty
    beta : float64 array of shape (1 + n_kept,)
    pooled : what its score is added to, or None
    mass : what weights are multiplied by
    """

    standard: Standard
    kept: Bool
    ridge: float
    beta: Float
    pooled: Pooled | None
    mass: float = 1.0

    def likelihood(self, rows: LogitRows) -> Likelihood:
        """Return the likelihood of some rows."""
        return Likelihood(rows, self.standard, self.kept, np.full(int(self.kept.sum()), self.ridge))

    def sums(self, rows: LogitRows) -> Derivatives:
        """Add up some rows."""
        return self.likelihood(rows).sums(self.beta)

    def of(self, rows: Rows) -> Derivatives:
        """Add up some rows of the segment."""
        weight = None if rows.weight is None else rows.weight * self.mass
        offset = None if self.pooled is None else self.pooled.of(rows.columns)
        return self.sums(LogitRows(rows.columns, rows.treatment, None, weight, offset, None))


@dataclass(slots=True)
class _Fit:
    """One regression on its way."""

    at: _At
    steps: Generator[Float, Derivatives, Minimum]
    found: Minimum | None = None

    def advance(self, sums: Derivatives) -> None:
        """Take a step after a pass."""
        n_columns = len(self.at.kept)
        empty = LogitRows(np.empty((0, n_columns)), np.empty(0, np.int8), None, None, None, None)
        total = self.at.likelihood(empty).penalised(sums, self.at.beta)
        try:
            self.at = replace(self.at, beta=self.steps.send(total))
        except StopIteration as end:
            self.found = end.value


def _fit(
    standard: Standard,
    ridge: float,
    start: LogitFit | None = None,
    pooled: Pooled | None = None,
    mass: float = 1.0,
) -> _Fit:
    kept = independent_in_gram(standard.correlation, standard.varies)
    beta = np.zeros(1 + int(kept.sum()))
    if start is not None and (start.kept == kept).all():
        slopes = start.coef[1:]
        beta[1:] = slopes[kept] * standard.scale[kept]
        beta[0] = start.coef[0] + slopes @ (standard.origin + standard.mean)
    steps = newton_steps(beta)
    return _Fit(_At(standard, kept, ridge, next(steps), pooled, mass), steps)


@dataclass(frozen=True, slots=True)
class _Units:
    """Units of the columns of one set of rows: found in the first pass, checked in the second."""

    low: Float
    high: Float
    unit: Float
    is_first: bool = True

    def of(self, columns: Float) -> Float:
        """Return the units after some rows; 0 for none."""
        out = self.unit.copy()
        for j in np.flatnonzero(out > 0).tolist():
            low, high, values = float(self.low[j]), float(self.high[j]), columns[:, j]
            if self.is_first:
                out[j] = unit_of(values[:64], low, high, float(out[j]))[0]
            if out[j] > 0:
                unit, limits = unit_of(values, low, high, float(out[j]))
                is_off = not self.is_first and (rest(values - low, unit) > limits.rounding).any()
                out[j] = 0.0 if is_off else unit
        return out

    def merged(self, one: Float, other: Float) -> Float:
        """Return the largest units that two results are multiples of."""
        out = np.minimum(one, other)
        for j in np.flatnonzero((out > 0) & (one != other)).tolist():
            low, high = float(self.low[j]), float(self.high[j])
            out[j] = unit_of(np.array([low + one[j]]), low, high, float(other[j]))[0]
        return out


def _units(low: Float, high: Float) -> _Units:
    return _Units(low, high, np.where(high > low, high - low, 0.0))


@dataclass(frozen=True, slots=True)
class _Level:
    """The pooled regression as it takes the rows of one segment.

    Attributes
    ----------
    offset : log-odds of the segment
    centre : float64 array of shape (n_columns,), means of the segment less the smallest values of all
    """

    offset: float
    centre: Float


@dataclass(frozen=True, slots=True)
class ScoreStep:
    """Evaluates all regressions that have not ended, and looks for the units of columns.

    Attributes
    ----------
    active : regressions by segment
    units : by segment; empty once they are known
    pooled : the regression of all segments, or None
    pooled_units : of columns less the smallest values of all; None once they are known
    levels : by segment, for the pooled regression
    low : float64 array of shape (n_columns,), smallest values of all
    """

    active: dict[int, _At]
    units: dict[int, _Units]
    pooled: _At | None
    pooled_units: _Units | None
    levels: dict[int, _Level]
    low: Float

    def of(self, code: int, rows: Rows) -> Sums | None:
        """Evaluate some rows of one segment."""
        if code not in self.levels:
            return None
        out: Sums = {}
        if code in self.units:
            out["unit"] = self.units[code].of(rows.columns)
        if self.pooled is not None:
            moved, level = rows.columns - self.low, self.levels[code]
            if self.pooled_units is not None:
                out["pooled_unit"] = self.pooled_units.of(moved)
            centre = (np.zeros(len(moved), dtype=np.intp), level.centre[None])
            offset = np.full(len(moved), level.offset)
            of_all = LogitRows(moved, rows.treatment, None, rows.weight, offset, centre)
            out |= _named("pooled_", self.pooled.sums(of_all))
        if code in self.active:
            out |= _named("", self.active[code].of(rows))
        return out

    def merged(self, code: int, one: Sums, other: Sums) -> Sums:
        """Put two results of one segment together."""
        out = merged(one, other)
        if "unit" in one:
            out["unit"] = self.units[code].merged(one["unit"], other["unit"])
        if "pooled_unit" in one and self.pooled_units is not None:
            out["pooled_unit"] = self.pooled_units.merged(one["pooled_unit"], other["pooled_unit"])
        return out


def _named(prefix: str, found: Derivatives) -> Sums:
    return {
        f"{prefix}loss": np.array(found.loss),
        f"{prefix}gradient": found.gradient,
        f"{prefix}hessian": found.hessian,
    }


def _read(prefix: str, sums: Sums) -> Derivatives:
    loss, gradient, hessian = (sums[prefix + name] for name in ("loss", "gradient", "hessian"))
    return Derivatives(float(loss), gradient, hessian)


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How scores are made."""

    pool_propensity: bool
    has_weights: bool
    are_counts: bool


class ScorePasses:
    """Fits all segments; `run` reads the source until all are done.

    Parameters
    ----------
    moments : by segment
    options : how scores are made
    sample : rows of each segment
    whole : segments of few rows, with all their rows: no pass is made for them alone
    """

    def __init__(
        self,
        moments: dict[int, Moments],
        options: ScoreOptions,
        sample: dict[int, Rows],
        whole: dict[int, Rows],
    ) -> None:
        self.moments = {code: m for code, m in moments.items() if m.has_both_arms}
        self.options, self.sample, self._whole = options, sample, whole
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
        self._units = {code: _units(m.low, m.high) for code, m in self.moments.items()}
        self._pooled: _Fit | None = None
        self._pooled_units = _units(np.zeros(len(self.low)), self.high - self.low)
        for code in self.moments:
            if not self.borrows[code]:
                self._active[code] = self._begun(code, self._start(code))
        if any(self.borrows.values()):
            self._pooled = _fit(self._pooled_standard(), 0.0)

    def _begun(self, code: int, start: LogitFit | None = None, ridge: float = 0.0) -> _Fit:
        return _fit(self.moments[code].standard, ridge, start, mass=self._mass_factor(code))

    def run(self, runner: Runner) -> dict[int, Score]:
        """Read the source as often as it takes."""
        while self.moments and (self._active or self._pooled is not None or self.n_passes < 2):
            found = self._found(runner)
            self.n_passes += 1
            self._see_units(found)
            self._advance(found)
        return {code: self._finished(code) for code in self.moments}

    def _found(self, runner: Runner) -> dict[int, Sums]:
        """Evaluate the segments whose rows are here, and read the source for the others that need it."""
        step, whole = self._step(), self._whole
        known = ((code, step.of(code, rows)) for code, rows in whole.items())
        found = {code: sums for code, sums in known if sums is not None}
        others = {code: level for code, level in step.levels.items() if code not in whole}
        is_pooling = step.pooled is not None or self.n_passes < 2
        if others and (is_pooling or not step.active.keys() <= whole.keys()):
            found |= runner.fold(replace(step, levels=others))
        return found

    def _step(self) -> ScoreStep:
        """Return the next pass."""
        is_seeking = self.n_passes < 2
        return ScoreStep(
            active={code: fit.at for code, fit in self._active.items()},
            units=self._units if is_seeking else {},
            pooled=None if self._pooled is None else self._pooled.at,
            pooled_units=self._pooled_units if is_seeking else None,
            levels={code: self._level(m) for code, m in self.moments.items()},
            low=self.low,
        )

    def _level(self, m: Moments) -> _Level:
        share = float(m.mass[1] / m.mass.sum())
        return _Level(float(logit(share)), m.mean[1:] - self.low)

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

    def _see_units(self, found: dict[int, Sums]) -> None:
        """Keep the units that two passes have found and checked."""
        if self.n_passes > 2:
            return
        for code, sums in found.items():
            self._units[code] = replace(self._units[code], unit=sums["unit"], is_first=False)
        pooled = [sums["pooled_unit"] for sums in found.values() if "pooled_unit" in sums]
        if pooled:
            unit = reduce(self._pooled_units.merged, pooled)
            self._pooled_units = replace(self._pooled_units, unit=unit, is_first=False)

    def _advance(self, found: dict[int, Sums]) -> None:
        """Take a step everywhere, and start what can start now."""
        for code, fit in list(self._active.items()):
            fit.advance(_read("", found[code]))
            if fit.found is not None:
                self._end(code, fit)
        if self._pooled is not None:
            total = merged_all(
                {name: v for name, v in sums.items() if name.startswith("pooled_")}
                for sums in found.values()
            )
            self._pooled.advance(_read("pooled_", total))
            if self._pooled.found is not None and self.n_passes >= 2:
                self._start_borrowers(self._pooled)
                self._pooled = None

    def _start_borrowers(self, fit: _Fit) -> None:
        assert fit.found is not None
        slopes = np.zeros(len(self.low))
        kept = fit.at.kept
        slopes[kept] = fit.found.beta[1:] / fit.at.standard.scale[kept]
        none, units = np.zeros(len(self.low)), self._pooled_units
        grid = place_in_units(units.low, units.high, units.unit, none, 0.0, slopes)
        pooled = Pooled(self.low, grid)
        for code, borrow in self.borrows.items():
            if borrow:
                self._active[code] = _fit(
                    self.moments[code].standard, 1 / DEPARTURE_SD**2, pooled=pooled,
                    mass=self._mass_factor(code),
                )  # fmt: skip

    def _end(self, code: int, fit: _Fit) -> None:
        """Keep a fit, or start again with a ridge where the arms can be separated."""
        assert fit.found is not None
        del self._active[code]
        if fit.at.pooled is None and fit.at.ridge == 0.0 and not fit.found.converged:
            self._active[code] = self._begun(code, ridge=SEPARATION_PENALTY)
            return
        self._ended[code] = fit

    def _finished(self, code: int) -> Score:
        fit, m = self._ended[code], self.moments[code]
        assert fit.found is not None
        at = fit.at
        found = logit_fit(
            fit.found, at.standard, at.kept, at.ridge > 0, m.low, m.high, self._units[code].unit
        )
        note = ""
        if at.pooled is not None and not self.options.pool_propensity:
            note = NOTE_SHRUNK
        elif at.pooled is None and found.penalised:
            note = NOTE_SEPARATED
        return Score(found, at.pooled, note)
