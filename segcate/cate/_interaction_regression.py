"""InteractionRegression: regress the outcome on treatment, covariates and their products."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from segcate._covariates.missing import treat_missing
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData
from segcate._inputs.features import check_features, takes_missing
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_in_unit_interval, check_number, check_option
from segcate._inputs.part_of_rows import is_part_of_rows
from segcate._inputs.routing import refuse_positional
from segcate._statistics.intervals import Law
from segcate._writing.number_texts import write_number
from segcate.cate._children import (
    check_child,
    fit_regressor,
    regressor_predict,
)
from segcate.cate._estimator import CATEEstimator, treated_arms
from segcate.cate._line_check import BentEffect, bent_effects
from segcate.cate._robust_regression import (
    InteractionFit,
    effect_std_error,
    effects_of,
    fit_interactions,
    raw_terms,
)
from segcate.cate._treatment_kind import treatment_kind_of
from segcate.exceptions import SegcateWarning
from segcate.segmentation._columns import resolve_columns

STD_ERRORS = ("auto", "hc0", "hc1", "hc2", "hc3", "group")


class InteractionRegression(CATEEstimator):
    """Regress the outcome on the treatment, the covariates and their products.

    The simplest model of individual effects, with intervals: the effect is a line in the
    covariates. Use it as a first look, as the baseline of a flexible model, and for doses. It adjusts
    for X by a line: on observational data it is biased where the outcome is not a line in X, unless
    a flexible regressor stands in its place.

    Parameters
    ----------
    estimator : regressor, default=None
        None: least squares, whose effect has an interval. Any other regressor (or a classifier of
        0/1 outcomes, or a Pipeline) is fitted on the same columns, and its effect is a difference
        of predictions (an S-learner), without an interval.
    treatment_kind : {"auto", "binary", "arms", "continuous"}, default="auto"
        "auto": values 0 and 1 are binary, whole numbers 0 to K - 1 (up to ten) are arms, fractions
        are doses; other whole numbers need a word.
    interactions : column name, position, list of those or selector, default=None
        Columns of X that may change the effect, the moderators; None: all of them. An empty list:
        the same effect for everyone under least squares.
    std_error : {"auto", "hc0", "hc1", "hc2", "hc3", "group"}, default="auto"
        Robust covariance of the coefficients, of least squares only. "auto" is "group" (clustered,
        Stata's small-sample factor) where `groups` are given and "hc3" otherwise.
    confidence_level : float in (0, 1), default=0.95
        Of the intervals.
    step : float > 0, default=1.0
        Doses only: the effect is that of so many units more.
    at : float, default=None
        Doses only, and no matter to least squares: the dose from which the step is taken. None:
        the (weighted) mean dose.
    missing : {"auto", "indicator", "drop"}, default="auto"
        What is done about missing numbers and dates (a missing category is a level of its own).
        "auto": where at most 5 % of the rows have one, the mean and a 0/1 column; more is an error,
        unless the regressor takes them. "indicator": the same for any share; new rows are read
        likewise. "drop": only rows without a missing value.

    Attributes
    ----------
    treatment_kind_ : {"binary", "arms", "continuous"}
    arms_ : int64 array of shape (n_arms - 1,), codes of the arms but the control; empty for doses
    coefficients_ : DataFrame, one row a term
        coef, std_error, t, p_value, ci_low, ci_high; NaN for an aliased term. Least squares only.
    std_error_method_ : str; None for a regressor handed in
    at_ : float; None unless for doses
    estimator_ : the fitted regressor; None for least squares
    late_columns_ : dict of str
        For each column of X that tells the outcome or the treatment, what was found.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    predict_interval : The interval through a Pipeline or a search.
    SegmentedCATE : One model per segment.

    Notes
    -----
    With D the dose, or a 0/1 column for each arm but the control, Z the encoded columns of X and M
    the moderators among them, y is regressed on ``1, D, Z, D x M``. The effect of least squares is
    the derivative ``b_D + M b_DM``; for an arm that is ``f(1, x) - f(0, x)``, for a dose ``step``
    times dy/dt, whatever the dose, as the model is a line in it. A regressor handed in gives
    ``f(1, x) - f(0, x)``, or the one-step difference ``f(at + step, x) - f(at, x)``: with the
    default step of 1, y(t + 1) - y(t) at the mean dose. `predict` never needs the treatment.

    Every column of X is a covariate, a segment column too: labels that are text become 0/1 columns,
    and so each segment gets its own effect; labels that are integers are taken as a number, so turn
    them into categories first (``astype("category")``) or use `SegmentedCATE`. Strings and categories become 0/1
    columns, with the first level as reference; a level that `fit` did not see is an error at
    `predict`. Terms that follow from those to their left are left out, as in R.

    Intervals are by the delta method with Student's t, n - rank degrees of freedom (groups: the
    number of groups less 1). They are pointwise, and hold for the line that fits best. HC2 and HC3
    know no variance for a level that only one row has: what depends on it is NaN. Weights say how
    much a row counts: coefficients are those of repeated rows, the covariance is that of weighted
    least squares (a row of weight 2 is one observation).

    References
    ----------
    Lin, W. (2013). Agnostic notes on regression adjustments to experimental data. Annals of Applied
    Statistics, 7(1), 295-318. doi:10.1214/12-AOAS583
    MacKinnon, J. G., & White, H. (1985). Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties. Journal of Econometrics, 29(3), 305-325.
    Kuenzel, S. R., et al. (2019). Metalearners for estimating heterogeneous treatment effects.
    PNAS, 116(10), 4156-4165. doi:10.1073/pnas.1804597116

    Examples
    --------
    >>> from segcate.cate import InteractionRegression
    >>> from segcate.datasets import make_uplift
    >>> data = make_uplift(2000, random_state=0)
    >>> model = InteractionRegression().fit(data.X, data.y, treatment=data.treatment)
    >>> model.predict(data.X[:3]).round(2)
    array([2.09, 1.18, 1.39])
    >>> model.predict_interval(data.X[:1]).round(2)
    array([[1.7 , 2.48]])
    >>> model.coefficients_.loc[["treatment", "treatment:x0", "treatment:x1"], "coef"].round(2)
    term
    treatment       0.98
    treatment:x0    0.36
    treatment:x1   -0.06
    Name: coef, dtype: float64
    """

    _children: ClassVar[dict[str, str]] = {"estimator": "InteractionRegression(Ridge())"}

    def __init__(
        self,
        estimator: Any = None,
        *,
        treatment_kind: str = "auto",
        interactions: Any = None,
        std_error: str = "auto",
        confidence_level: float = 0.95,
        step: float = 1.0,
        at: float | None = None,
        missing: str = "auto",
    ) -> None:
        self.estimator = estimator
        self.treatment_kind = treatment_kind
        self.interactions = interactions
        self.std_error = std_error
        self.confidence_level = confidence_level
        self.step = step
        self.at = at
        self.missing = missing

    def fit(
        self,
        X: Any,
        y: Any,
        *more: Any,
        treatment: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        propensity: Any = None,
    ) -> InteractionRegression:
        """Fit the regression.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates, all of them; a segment column counts as one.
        y : array-like of shape (n_samples,)
            Outcome, 0/1 or measured.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,)
            0/1 or bool; integer codes of arms, 0 the control; or doses.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0. Equal weights are none; whole numbers from 1 are counts of rows; of
            all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, for the standard error. A regressor handed in has none and
            leaves them unused.
        propensity : array-like of shape (n_samples,), default=None
            The regression adjusts for X itself and does not use it; that it is known says that both
            arms could have come about where a column seems to decide the treatment.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an input or parameter is missing, misaligned or out of range.
        TypeError
            If `estimator` is not a regressor.
        OverlapError
            If a column of X decides a 0/1 treatment, or an arm against the control, and no
            `propensity` says otherwise.

        Warns
        -----
        SegcateWarning
            If least squares has no rows left for the variance, so that intervals are NaN; if X has
            columns that were probably measured after the treatment; or if the mean effect changes by
            more than its standard error, and beyond chance, once columns of numbers may bend.
        """
        owner = type(self).__name__
        refuse_positional(owner, more)
        self._check_parameters(owner)
        kind = treatment_kind_of(owner, self.treatment_kind, treatment)
        data = self._check_rows(
            X, y, kind, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity, allow_missing=True,
        )  # fmt: skip
        data, self._filling = treat_missing(
            owner,
            data,
            self.missing,
            takes_missing=self._regressor_takes_missing(),
            allowed=("auto", "indicator", "drop"),
        )
        D = _treatment_columns(owner, data, kind)
        moderators = self._moderators(owner, data.X)
        Z = self._encode_rows(data.X, may_be_empty=True)
        self._moderators_idx = np.flatnonzero(np.isin(self._encoding.source, moderators))
        if self._filling is not None:
            self._columns = self._filling.records(self._columns)
        self.treatment_kind_ = kind
        self.arms_ = treated_arms(data.treatment)
        self.at_ = self._start(data) if kind == "continuous" else None
        self.estimator_: Any = None
        self.std_error_method_: str | None = None
        self._fit: InteractionFit | None = None
        if self.estimator is None:
            self._fit_least_squares(owner, data, D, Z)
        else:
            design = _columns(D, Z, self._moderators_idx)
            self.estimator_ = fit_regressor(
                owner, self.estimator, design, data.y, data.sample_weight
            )
        return self

    def predict(self, X: Any) -> Float:
        """Return the effect of the treatment on each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.

        Returns
        -------
        effect : float64 array of shape (n_samples,), in units of y
            With more than two arms of shape (n_samples, n_arms - 1), columns in the order of
            `arms_`, each against the control. For doses the effect of `step` units more.
        """
        Z = self._encode(X)
        return self._by_arm(
            self._differences(Z) if self._fit is None else self._slopes(self._fit, Z)
        )

    def predict_interval(self, X: Any, *, confidence_level: float | None = None) -> Float:
        """Return a confidence interval of the effect on each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.
        confidence_level : float in (0, 1), default=None
            None: that of the constructor.

        Returns
        -------
        interval : float64 array of shape (n_samples, 2), low and high, in units of y
            With more than two arms of shape (n_samples, n_arms - 1, 2). NaN where the data cannot
            tell the variance.

        Raises
        ------
        TypeError
            If a regressor was handed in: differences of its predictions have no interval.
        """
        level = self._level(confidence_level)
        Z = self._encode(X)
        fit = self._least_squares("predict_interval")
        effects = self._slopes(fit, Z)
        ends = Law(fit.effect_dof).interval(effects, effect_std_error(fit, Z) * self._unit(), level)
        return self._by_arm(np.stack(ends, axis=2))

    @property
    def coefficients_(self) -> pd.DataFrame:
        """Table of the coefficients of least squares, in the units of X."""
        check_is_fitted(self)
        try:
            fit = self._least_squares("coefficients_")
        except TypeError as error:
            raise AttributeError(str(error)) from None
        coef, std_error = raw_terms(fit)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = coef / std_error
        law = Law(fit.dof)
        low, high = law.interval(coef, std_error, self.confidence_level)
        columns = {
            "coef": coef,
            "std_error": std_error,
            "t": t,
            "p_value": law.two_sided_p(t),
            "ci_low": low,
            "ci_high": high,
        }
        return pd.DataFrame(columns, index=pd.Index(self._term_names(), name="term"))

    def _takes_missing(self) -> bool:
        return self._regressor_takes_missing() or self.missing == "indicator"

    def _regressor_takes_missing(self) -> bool:
        return self.estimator is not None and takes_missing(self.estimator)

    def _check_parameters(self, owner: str) -> None:
        check_option(owner, "std_error", self.std_error, STD_ERRORS)
        check_in_unit_interval(owner, "confidence_level", self.confidence_level)
        if self.estimator is not None:
            check_child(owner, self.estimator, "a regressor")
        check_number(owner, "step", self.step, above=0, advice="It is in units of the dose.")
        check_number(owner, "at", self.at, optional=True, advice="It is a dose.")

    def _moderators(self, owner: str, X: Any) -> Int:
        if self.interactions is None:
            return np.arange(X.shape[1])
        is_list = isinstance(self.interactions, list | tuple | np.ndarray)
        if is_list and len(self.interactions) == 0:
            return np.zeros(0, dtype=np.intp)
        return resolve_columns(owner, X, self.interactions, argument="interactions")

    def _fit_least_squares(self, owner: str, data: EffectData, D: Float, Z: Float) -> None:
        method = _choose_std_error(owner, self.std_error, data)
        fit = fit_interactions(
            D,
            Z,
            self._moderators_idx,
            data.y,
            weight=data.sample_weight,
            groups=data.groups,
            kind=method,
        )
        self._fit, self.std_error_method_ = fit, method
        if fit.dof <= 0:
            warnings.warn(
                f"{owner}: {fit.n_rows} rows (or their groups) leave nothing for the variance "
                f"beside {int(fit.kept.sum())} parameters, so intervals are NaN. Use fewer columns "
                "or `interactions`, or more rows.",
                SegcateWarning,
                stacklevel=3,
            )
        if is_part_of_rows():  # the model of all rows says it once
            return
        found = bent_effects(D, Z, self._moderators_idx, data.y, data.sample_weight, data.groups)
        for bent in (one for one in found if one.matters):
            warnings.warn(self._say_bent(owner, bent), SegcateWarning, stacklevel=3)

    def _say_bent(self, owner: str, bent: BentEffect) -> str:
        """Say that bends of columns move the mean effect."""
        arm = f" of arm {self.arms_[bent.arm]}" if len(self.arms_) > 1 else ""
        lines, bends = write_number(bent.by_lines), write_number(bent.with_bends)
        return (
            f"{owner}: the mean effect{arm} is {lines} by lines, and {bends} once columns of numbers may bend "
            f"(standard error of the difference {write_number(bent.difference_error, 2)}; "
            f"{self._encoding.names[bent.column]!r} bends most). The outcome is no line in X, and the "
            "arms differ in columns that bend, which lines do not take out. Add columns such as "
            "np.arcsinh(x) and x ** 2, or take CausalForest, or SegmentRegression(segment=None)."
        )

    def _start(self, data: EffectData) -> float:
        """Return the dose from which the step is taken."""
        mean = np.average(data.treatment, weights=data.sample_weight)
        return float(mean if self.at is None else self.at)

    def _slopes(self, fit: InteractionFit, Z: Float) -> Float:
        """Return the effects by least squares."""
        return effects_of(fit, Z) * self._unit()

    def _encode(self, X: Any) -> Float:
        check_is_fitted(self)
        owner, filling = type(self).__name__, self._filling
        fills = filling is not None and filling.how != "drop"
        takes = self._regressor_takes_missing() and self.missing == "auto"
        X = check_features(self, X, reset=False, allow_missing=takes or fills)
        Z = self._encoding.encode(
            owner, X if filling is None or not fills else filling.apply(owner, X)
        )
        if fills and np.isnan(Z).any():
            at = np.flatnonzero(np.isnan(Z).any(axis=0))
            raise ValueError(
                f"{owner}.predict: Input X contains NaN in the columns {listed(self._encoding.names[i] for i in at)}, "
                "which had none in the fit. Fill them, or leave those rows out."
            )
        return Z

    def _differences(self, Z: Float) -> Float:
        """Return f(treated) - f(untreated), or the one-step difference, by the regressor."""
        n_columns = 1 if self.treatment_kind_ == "continuous" else len(self.arms_)
        start = np.full((len(Z), n_columns), self.at_ or 0.0)
        before = self._expected(start, Z)
        effects = np.empty((len(Z), n_columns))
        for k in range(n_columns):
            treated = start.copy()
            treated[:, k] += self._unit()
            effects[:, k] = self._expected(treated, Z) - before
        return effects

    def _expected(self, D: Float, Z: Float) -> Float:
        design = _columns(D, Z, self._moderators_idx)
        return regressor_predict(type(self).__name__, self.estimator_, design)

    def _unit(self) -> float:
        return float(self.step) if self.treatment_kind_ == "continuous" else 1.0

    def _term_names(self) -> list[str]:
        treatments = ["treatment"]
        if len(self.arms_) > 1:
            treatments = [f"arm {arm}" for arm in self.arms_.tolist()]
        names = list(self._encoding.names)
        products = [f"{d}:{names[j]}" for d in treatments for j in self._moderators_idx]
        return ["intercept", *treatments, *names, *products]

    def _least_squares(self, what: str) -> InteractionFit:
        """Return the fit of least squares; raise if a regressor was handed in."""
        if self._fit is None:
            owner = type(self).__name__
            raise TypeError(
                f"{owner}.{what}: least squares alone has it, and `estimator` is "
                f"{type(self.estimator_).__name__}. Use {owner}(estimator=None), or CausalForest "
                "for intervals of a flexible model."
            )
        return self._fit


def _treatment_columns(owner: str, data: EffectData, kind: str) -> Float:
    """Return the dose, or a 0/1 column for each arm but the control; arms need weight."""
    weight = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
    if kind == "continuous":
        used = data.treatment[weight > 0]
        if (used == used[0]).all():
            raise ValueError(
                f"{owner}: `treatment` is {used[0]:g} in all {len(used)} rows of positive weight; "
                "an effect needs doses that differ."
            )
        dose: Float = data.treatment[:, None].astype(np.float64)
        return dose
    codes = data.treatment.astype(np.intp)
    empty = np.flatnonzero(np.bincount(codes, weights=weight) == 0)
    if len(empty):
        raise ValueError(
            f"{owner}: `treatment` has no rows of positive weight in arm {empty[0]}; an effect "
            "needs every arm. Leave the arm out, or change `sample_weight`."
        )
    columns: Float = (codes[:, None] == np.arange(1, codes.max() + 1)).astype(np.float64)
    return columns


def _columns(D: Float, Z: Float, moderators: Int) -> Float:
    """Return the columns a regressor is fitted on: treatment, covariates, products."""
    products = [D[:, [k]] * Z[:, moderators] for k in range(D.shape[1])]
    return np.column_stack([D, Z, *products])


def _choose_std_error(owner: str, wanted: str, data: EffectData) -> str:
    if wanted == "auto":
        return "hc3" if data.groups is None else "group"
    if wanted == "group" and data.groups is None:
        raise ValueError(f"{owner}: std_error='group' needs `groups=` in fit.")
    if wanted != "group" and data.groups is not None:
        raise ValueError(
            f"{owner}: std_error={wanted!r} takes rows as independent, but `groups` were given. "
            "Use 'group' (or 'auto'), or leave the groups out."
        )
    return wanted
