"""The closest that any forecast can come on the semi-synthetic data with stand-in covariates.

It knows the functions behind outcomes and treatments, each unit's spline and the law of its covariates
and of its Gaussian process; of days to come it knows the plan alone. Outcomes without treatment are
replaced by their conditional means given the history, and the plan is followed from there. The one
step that is not exact is that chances of treatment are taken at these means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Matern
from sklearn.utils import check_random_state
from temporal_cells.scoring import Float, Int

from segcate.temporal._simulators import semi_model as model
from segcate.temporal._simulators.covariates import _PERSISTENCE
from segcate.temporal._simulators.semi_rows import follow_plans, outcomes_by_day


class _Forecast:
    """Means of a function of covariates on days to come.

    Covariates are Gaussian with autoregressions, so that the mean of a cosine is the cosine of the
    mean, damped by the variance.
    """

    def __init__(self, simulation: Any, names: Any, function: Any, is_centered: bool) -> None:
        columns = [simulation.covariate_names.index(name) for name in names]
        self.function, self.values = function, simulation.covariates[:, :, columns]
        correlation = np.corrcoef(self.values.reshape(-1, len(columns)).T)
        frequencies = function.frequencies
        self.spread = np.einsum("if,ij,jf->f", frequencies, correlation, frequencies)
        self.level = float(function(self.values).mean()) if is_centered else 0.0

    def ahead(self, unit: Int, day: int, horizon: int) -> Float:
        """Return the means given a day's covariates, (n, horizon)."""
        kept = _PERSISTENCE ** np.arange(1, horizon + 1)[:, None]
        damping = np.exp(-0.5 * (1 - kept**2) * self.spread)
        now = self.values[unit, day] @ self.function.frequencies
        features = np.cos(kept * now[:, None] + self.function.phases) * damping
        found: Float = np.sqrt(2 / len(self.spread)) * features @ self.function.weights
        return found - self.level


class Floor:
    """Forecasts of someone who knows how a semi-synthetic cohort was made.

    Parameters
    ----------
    simulation : SemiSynthetic, of `standin_covariates`
    seed : the `random_state` it was made from
    """

    def __init__(self, simulation: Any, seed: int, is_centered: bool) -> None:
        self.simulation = simulation
        n_units, n_days = simulation.outcome.shape[:2]
        self.draws = model.draw_semi(n_units, n_days, check_random_state(seed), None)
        self.levels, self.drifts = (
            [
                _Forecast(simulation, of.covariates, function, is_centered)
                for of, function in zip(models, functions, strict=True)
            ]
            for models, functions in (
                (model.OUTCOMES, self.draws.outcome_functions),
                (model.TREATMENTS, self.draws.treatment_functions),
            )
        )
        spline = model._SPLINE_ROWS[self.draws.spline_row] @ model.spline_basis(n_days).T
        self.spline = np.moveaxis(spline, 1, 2)

    def forecast(self, rows: Any, chosen: Int, units: Int) -> Float:
        """Forecast counterfactual rows of some units, (n_rows, horizon, n_outcomes)."""
        horizon = rows.plan.shape[1]
        found = np.empty((len(chosen), horizon, len(model.OUTCOMES)))
        paths = self.simulation._paths(units)
        for day, outcome in enumerate(outcomes_by_day(paths)):
            (at,) = np.nonzero(rows.origin[chosen] == day)
            if len(at) == 0:
                continue
            which = rows.unit[chosen[at]]
            unit = units[which]
            later = slice(day + 1, day + 1 + horizon)
            expected, drift = outcome[which], self.simulation.drift[unit]
            untreated, drift[:, later] = self._ahead(unit, day, horizon)
            expected[:, later] += untreated - paths.untreated[which, later]
            plans = rows.plan[chosen[at]][:, None]
            found[at] = follow_plans(expected, drift, day, plans)[:, 0]
        return found

    def _ahead(self, unit: Int, day: int, horizon: int) -> tuple[Float, Float]:
        """Return the means of outcomes without treatment, and of the treatments' functions."""
        level, drift = (
            np.stack([f.ahead(unit, day, horizon) for f in functions], axis=2)
            for functions in (self.levels, self.drifts)
        )
        weights = np.array([[m.spline, m.process, m.function] for m in model.OUTCOMES])
        untreated = (
            weights[:, 0] * self.spline[unit, day + 1 : day + 1 + horizon]
            + weights[:, 1] * self._processes(unit, day, horizon)
            + weights[:, 2] * level
        )
        return untreated, drift

    def _processes(self, unit: Int, day: int, horizon: int) -> Float:
        """Return conditional means of the Gaussian processes, (n, horizon, n_outcomes)."""
        kernel = Matern(nu=2.5, length_scale=model._LENGTH_SCALE)
        days = np.arange(day + 1 + horizon)[:, None]
        covariance = kernel(days)
        past = slice(None, day + 1)
        found = []
        for j, of in enumerate(model.OUTCOMES):
            noisy = covariance[past, past] + of.white_noise * np.eye(day + 1)
            weights = np.linalg.solve(noisy, covariance[past, day + 1 :])
            found.append(self.draws.process[unit][:, past, j] @ weights)
        return np.stack(found, axis=2)
