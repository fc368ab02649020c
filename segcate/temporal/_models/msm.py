"""Marginal structural model of Robins, Hernan & Brumback (2000), by stabilised weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_in_unit_interval, check_number, check_option
from segcate._statistics.sandwich import sums_by_group, unit_factor
from segcate.exceptions import SegcateWarning
from segcate.temporal._models.average_effects import interval_table
from segcate.temporal._models.estimator import (
    TemporalEstimator,
    check_treatments,
    find_transform,
    name_roles,
)
from segcate.temporal._models.staying import (
    LEAVING,
    count_panel,
    staying_weights,
    warn_of_leavers,
)
from segcate.temporal._models.treatment_weights import history_columns, of_given, step_weights
from segcate.temporal._panel.coding import check_transform, choose_coding, fit_scaling
from segcate.temporal._panel.panel import Panel, read_panel, with_steps

# Share of the units that weights should be worth.
_LEAST_SHARE = 0.8


@dataclass(eq=False, repr=False, kw_only=True)
class MSM(TemporalEstimator):
    """Predict outcomes under treatment plans by weighted linear regression, one a horizon.

    The classical baseline: right when outcomes are linear in the history and in how often each
    treatment is given, and the chance of treatment follows a logistic regression. Its effects are the
    same for all units of the same static columns, or with ``interactions=None`` for everyone. **When a
    treatment is given does not count**: plans ``[1, 0, 0]`` and ``[0, 0, 1]`` have one effect after three
    steps, and a contrast of such plans warns. Where the last step acts more than the first, compare plans by
    `LinearGComputation`.

    Parameters
    ----------
    treatment, outcome, covariates, static, id, time, horizon : as in `CausalTransformer`
    outcome_transform : "auto", None, "cbrt", "log1p" or pair of functions, default=None
        Scale on which the outcome is regressed, as in `CausalTransformer`. Only without a transform is
        the effect one number, with an interval.
    interactions : {None, "static"}, default="static"
        "static" lets effects differ by the static columns: the counts of the plan are multiplied with
        each of them, standardised. None: one effect for all.
    leaving : {None, "weigh"}, default=None
        "weigh" multiplies weights by the inverse of the chance that a unit stays, where units leave before the
        panel ends: an outcome is seen of those alone who stay until it, and the treatment may keep them.
    clip : float in [0, 0.5), default=0.01
        Weights are cut off at this quantile and at its mirror image; 0 cuts off none.

    Attributes
    ----------
    coef_ : list of float64 arrays of shape (n_terms, n_outcomes), one a horizon
        Constant, history (past counts, outcome and covariates now and before, static), counts of the
        plan and their products with static columns; of scaled variables.
    weights_ : float64 array of shape (n_units, n_steps)
        Stabilised weight of each step, with that of staying where it is asked for, 1 at the first and behind the last.
    coding_, scaling_ : how treatments and numbers were coded
    panel_counts_ : dict of str to int
        Units, rows and steps of the panel, those with gaps, and units that leave before its end.
    n_effective_ : float64 array of shape (horizon,)
        How many units the weights of each horizon are worth: (sum w)^2 / sum w^2, weights summed by unit.

    Notes
    -----
    The weight of step t is the product over treatments of P(A_t | past counts) / P(A_t | history).
    The regression for step tau weighs by the product over the steps of the plan, clipped.

    References
    ----------
    Robins, J. M., Hernan, M. A., & Brumback, B. (2000). Marginal structural models and causal
    inference in epidemiology. Epidemiology, 11(5), 550-560.

    Examples
    --------
    >>> from segcate.temporal import MSM, tumor_growth
    >>> panel = tumor_growth(100, gamma=2, random_state=0).panel
    >>> model = MSM(["chemo", "radio"], "volume", horizon=3).fit(panel)
    >>> plan, other = {"chemo": [1, 1, 1]}, {"radio": [1, 1, 1]}
    >>> list(model.effect_interval(panel, plan, other).columns)
    ['step', 'n', 'effect', 'std_error', 'ci_low', 'ci_high', 'df']
    """

    outcome_transform: Any = None
    interactions: str | None = "static"
    leaving: str | None = None
    clip: float = 0.01

    n_effective_: Float = field(init=False)

    def fit(self, panel: Any, y: Any = None) -> MSM:
        """Fit propensities, weights and one regression a horizon.

        Parameters
        ----------
        panel : frame
            One row a unit and time, in any order.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the panel or a parameter is not as it should be, or if a horizon has fewer rows than
            terms.

        Warns
        -----
        SegcateWarning
            If ten or more units leave before the panel ends, after outcomes that differ from those of other
            rows by more than chance has in one of a thousand panels, and `leaving` is None.
        """
        owner = type(self).__name__
        check_transform(owner, self.outcome_transform)
        check_option(owner, "interactions", self.interactions, (None, "static"))
        check_option(owner, "leaving", self.leaving, LEAVING)
        check_number(
            owner, "clip", self.clip, least=0, below=0.5, advice="With 0 no weight is cut off."
        )
        roles = name_roles(owner, self)
        data = with_steps(owner, read_panel(owner, panel, roles))
        check_treatments(owner, data, roles)
        self.panel_counts_ = count_panel(data)
        if self.leaving is None:
            warn_of_leavers(owner, data, roles.outcome, 3)
        self._roles, self._static_names, self._clock = roles, data.static_names, data.clock
        self.coding_ = choose_coding(len(roles.treatment), "flags", has_gaps=data.has_gaps)
        self.scaling_ = fit_scaling(
            owner, data, find_transform(owner, self.outcome_transform, data)
        )
        history, counts = self._history(data)
        self.weights_ = step_weights(data, history, counts, self._of_given)
        if self.leaving is not None:
            self.weights_ *= staying_weights(data, history, counts)
        fits = [self._fit_horizon(owner, data, history, tau) for tau in range(1, self.horizon + 1)]
        self.coef_ = [fit[0] for fit in fits]
        self._covariance = [fit[1] for fit in fits]
        self.n_effective_ = np.array([fit[2] for fit in fits])
        return self

    def effect_interval(
        self,
        panel: Any,
        plan: Any,
        reference: Any,
        *,
        origin: Any = "last",
        confidence_level: float = 0.95,
    ) -> pd.DataFrame:
        """Return the average effect of a plan over units, with a confidence interval, by step.

        Parameters
        ----------
        panel, plan, reference, origin : as in `effect`
        confidence_level : float in (0, 1), default=0.95

        Returns
        -------
        DataFrame, one row a step
            step, n, effect, std_error, ci_low, ci_high, df. Clustered by unit; the weights are taken
            as known, which is conservative.

        Raises
        ------
        ValueError
            If the outcome was transformed: effects then differ between units.

        Warns
        -----
        SegcateWarning
            If the weights of a step are worth less than 80 % of the units.
        """
        check_is_fitted(self)
        owner = type(self).__name__
        check_in_unit_interval(owner, "confidence_level", confidence_level)
        if self.scaling_.transform != "none":
            raise ValueError(
                f"{owner}: with `outcome_transform` effects differ between units and have no "
                "interval here. Fit without it."
            )
        found = self.effect(panel, plan, reference, origin=origin)
        effect = found.groupby("step")[list(self._effect_names())].mean().to_numpy()
        given = self._plan_contrast(panel, plan, reference)
        variance = [
            [difference @ block @ difference for block in blocks]
            for difference, blocks in zip(given, self._covariance, strict=False)
        ]
        std_error = np.sqrt(np.array(variance) * self.scaling_.outcome[1] ** 2)
        self._warn_of_weights(owner, len(given))
        n, df = found[self._roles.id].nunique(), self.weights_.shape[0] - 1.0
        return interval_table(self._roles.outcome, n, effect, std_error, df, confidence_level)

    def _contrast(self, panel: Panel, origins: Int, plan: Any, reference: Any) -> Float:
        found = super()._contrast(panel, origins, plan, reference)
        self._warn_of_order(panel, plan, reference)
        return found

    def _warn_of_order(self, panel: Panel, plan: Any, reference: Any) -> None:
        """Warn of steps by which both plans have given as many treatments, in another order."""
        ours, theirs = (
            self._plan_flags(panel, p, what)
            for p, what in ((plan, "plan"), (reference, "reference"))
        )
        differs = (ours != theirs).any(axis=(0, 2))
        has_differed = np.maximum.accumulate(differs)
        are_as_many = (np.cumsum(ours - theirs, axis=1) == 0).all(axis=(0, 2))
        steps = np.flatnonzero(has_differed & are_as_many) + 1
        if len(steps):
            warnings.warn(
                f"{type(self).__name__}: by step {listed(steps)} both plans give each treatment as often, in "
                "another order. Here treatments are counted and it does not matter when they are given, so that "
                "the effect is 0 whatever the truth. Compare such plans by LinearGComputation.",
                SegcateWarning,
                stacklevel=4,
            )

    def _warn_of_weights(self, owner: str, horizon: int) -> None:
        """Warn of steps for which few units carry most of the weight."""
        n_units = len(self.weights_)
        short = np.flatnonzero(self.n_effective_[:horizon] < _LEAST_SHARE * n_units)
        if len(short):
            listed = ", ".join(f"{self.n_effective_[k]:.0f} at step {k + 1}" for k in short)
            warnings.warn(
                f"{owner}: of {n_units} units the weights are worth {listed}, as treatment depends much on "
                "the history. Where they were worth two thirds to four fifths, 68 to 75 % of 95 % intervals held "
                "the truth in a simulation, through bias. Look at shorter plans, and compare with "
                "LinearGComputation.",
                SegcateWarning,
                stacklevel=3,
            )

    def _plan_contrast(self, panel: Any, plan: Any, reference: Any) -> list[Float]:
        """Return the difference of what the plans give, averaged over units, by step."""
        data = self._read(panel)
        ours, theirs = (
            self._plan_flags(data, p, what)
            for p, what in ((plan, "plan"), (reference, "reference"))
        )
        difference = np.cumsum(ours - theirs, axis=1)
        difference = np.broadcast_to(difference, (data.n_units, *difference.shape[1:]))
        static = self.scaling_.encode_static(data.static)[:, None]
        return list(self._doses(difference, static).mean(axis=0))

    def _doses(self, counts: Float, static: Float) -> Float:
        """Return counts of treatments (..., d_a), and their products with static columns if asked for."""
        if self.interactions is None:
            return counts
        products = counts[..., :, None] * static[..., None, :]
        # The width is said, as no rows leave nothing to reckon it from.
        width = counts.shape[-1] * static.shape[-1]
        return np.concatenate([counts, products.reshape(*counts.shape[:-1], width)], axis=-1)

    def _history(self, panel: Panel) -> tuple[Float, Float]:
        return history_columns(panel, self.scaling_, self.coding_)

    def _of_given(self, chance: Float, given: Float) -> Float:
        """Turn the chance of being treated into that of the treatment that was given."""
        return of_given(chance, given)

    def _fit_horizon(
        self, owner: str, panel: Panel, history: Float, tau: int
    ) -> tuple[Float, list[Float], float]:
        """Regress the outcome after `tau` steps.

        Returns coefficients, the plan's clustered covariance, and how many units the weights are worth.
        """
        # All is known of both ends, and what was given between them.
        n_used = max(panel.outcome.shape[1] - tau, 0)
        unknown: Int = np.cumsum(~panel.is_known, axis=1) - ~panel.is_known
        is_used = panel.is_seen[:, :n_used] & panel.is_seen[:, tau:]
        unit, at = np.nonzero(is_used & (unknown[:, :n_used] == unknown[:, tau:]))
        d_a = panel.treatment.shape[2]
        total = np.concatenate(
            [np.zeros((len(panel.ids), 1, d_a)), np.cumsum(panel.treatment, axis=1)], axis=1
        )
        static = self.scaling_.encode_static(panel.static)
        given = self._doses(total[unit, at + tau] - total[unit, at], static[unit])
        d_g = given.shape[1]
        design = np.column_stack([np.ones(len(unit)), history[unit, at], given])
        if len(unit) <= design.shape[1]:
            raise ValueError(
                f"{owner}: {len(unit)} rows reach {tau} steps on, too few for {design.shape[1]} "
                f"terms. Lower `horizon`, or pass more or longer units."
            )
        log_weights = np.concatenate(
            [np.zeros((len(panel.ids), 1)), np.cumsum(np.log(self.weights_), axis=1)], axis=1
        )
        weight = np.exp(log_weights[unit, at + tau] - log_weights[unit, at])
        weight = np.clip(weight, *np.quantile(weight, [self.clip, 1.0 - self.clip]))
        target = self.scaling_.encode_rows(panel)[unit, at + tau]
        bread = np.linalg.pinv((design * weight[:, None]).T @ design, hermitian=True)
        coef = bread @ (design.T @ (weight[:, None] * target))
        residual = target - design @ coef
        covariance = [
            _clustered(design * (weight * residual[:, j])[:, None], unit, bread)[-d_g:, -d_g:]
            for j in range(target.shape[1])
        ]
        by_unit = np.bincount(unit, weight)
        return coef, covariance, float(by_unit.sum() ** 2 / (by_unit**2).sum())

    def _simulate(self, panel: Panel, origins: Int, plans: Float) -> Float:
        history, _ = self._history(panel)
        at = np.minimum(origins, history.shape[1] - 1)
        known = np.take_along_axis(history, at[..., None], axis=1)
        static = self.scaling_.encode_static(panel.static)[:, None, None]
        given = self._doses(np.cumsum(plans, axis=2), static)
        n_known = known.shape[2]
        out = np.empty((*plans.shape[:3], panel.outcome.shape[2]))
        for k, coef in enumerate(self.coef_[: plans.shape[2]]):
            by_history = coef[0] + known @ coef[1 : 1 + n_known]
            out[:, :, k] = by_history + given[:, :, k] @ coef[1 + n_known :]
        return self.scaling_.decode_outcome(out)[None]


def _clustered(scores: Float, unit: Int, bread: Float) -> Float:
    """Return the sandwich covariance, scores summed by unit."""
    sums = sums_by_group(scores, unit)
    covariance: Float = bread @ (sums.T @ sums) @ bread * unit_factor(len(np.unique(unit)))
    return covariance
