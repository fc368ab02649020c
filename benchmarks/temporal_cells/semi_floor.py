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

from segcate.temporal import _semi_model as model
from segcate.temporal._covariates import _PERSISTENCE
from segcate.temporal._semi_rows import follow_plans, outcomes_by_day
from temporal_cells.scoring import Float, Int


class Floor:
    """Forecasts of someone who knows how a semi-synthetic cohort was made.

    Parameters
    ----------
    simulation : SemiSynthetic, of `standin_covariates`
    seed : the `random_state` it was made from
    """

    def __init__(self, simulation: Any, seed: int, is_centered: bool) -> None:
        self.simulation, self.is_centered = simulation, is_centered
        n_units, n_days = simulation.outcome.shape[:2]
        self.draws = model.draw_semi(n_units, n_days, check_random_state(seed), None)
        values = simulation.covariates
        self.correlation = np.corrcoef(values.reshape(-1, values.shape[2]).T)
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
        level = self._functions(model.OUTCOMES, self.draws.outcome_functions, unit, day, horizon)
        drift = self._functions(
            model.TREATMENTS, self.draws.treatment_functions, unit, day, horizon
        )
        weights = np.array([[m.spline, m.process, m.function] for m in model.OUTCOMES])
        untreated = (
            weights[:, 0] * self.spline[unit, day + 1 : day + 1 + horizon]
            + weights[:, 1] * self._processes(unit, day, horizon)
            + weights[:, 2] * level
        )
        return untreated, drift

    def _functions(self, models: Any, functions: Any, unit: Int, day: int, horizon: int) -> Float:
        """Return conditional means of functions of the covariates, (n, horizon, n_functions).

        Covariates are Gaussian with autoregressions, so that the mean of a cosine is that of the
        mean, damped by its variance.
        """
        simulation, names = self.simulation, list(self.simulation.covariate_names)
        found = np.empty((len(unit), horizon, len(models)))
        for j, (of, function) in enumerate(zip(models, functions, strict=True)):
            columns = [names.index(name) for name in of.covariates]
            values, frequencies = simulation.covariates[:, :, columns], function.frequencies
            correlation = self.correlation[np.ix_(columns, columns)]
            spread = np.einsum("if,ij,jf->f", frequencies, correlation, frequencies)
            for k in range(1, horizon + 1):
                kept = _PERSISTENCE**k
                damped = np.exp(-0.5 * (1 - kept**2) * spread) * function.weights
                phase = kept * values[unit, day] @ frequencies + function.phases
                found[:, k - 1, j] = np.sqrt(2 / len(spread)) * np.cos(phase) @ damped
            if self.is_centered:
                found[:, :, j] -= function(values).mean()
        return found

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
