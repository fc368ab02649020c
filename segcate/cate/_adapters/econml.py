"""EconMLEstimator: a model of EconML as an effect estimator."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._inputs.parameters import check_in_unit_interval, check_seed
from segcate._inputs.routing import refuse_positional
from segcate._inputs.treatment import TreatmentKind
from segcate.cate._adapters.wrapping import WrappingEstimator, fit_arguments, library_of
from segcate.cate._estimator import treated_arms

# Models that would estimate the propensity have one of these parameters.
_PROPENSITY_PARAMETERS = ("model_t", "model_propensity", "propensity_model")
# Models whose `allow_missing` lets X hold NaN. In all others, subclasses of these included, it is
# about further controls alone.
_TAKES_MISSING_X = (
    "SLearner", "TLearner", "XLearner", "DomainAdaptationLearner", "DML", "NonParamDML", "DRLearner",
)  # fmt: skip


class EconMLEstimator(WrappingEstimator):
    """Wrap a model of EconML as an effect estimator.

    Use it to put CausalForestDML, LinearDML, DRLearner and EconML's S-, T- and X-learners into a
    Pipeline or a search beside others. Needs the extra: ``pip install segcate[econml]``. Never
    changes `model`.

    Parameters
    ----------
    model : object of EconML, not fitted
        One that is fitted with outcome, treatment and X alone (no instruments, no panels). Its
        parameters are reached as ``model__...``: ``model__min_samples_leaf``,
        ``model__model_y__max_depth``; of a list by position, ``model__models__0__alpha``.
    inference : str, object of EconML or None, default=None
        How EconML makes intervals: "bootstrap", "auto", an object of ``econml.inference``. None:
        what the model does by itself (S-, T- and X-learners: nothing).
    confidence_level : float in (0, 1), default=0.95
        Of the intervals.
    random_state : int, RandomState instance or None, default=None
        Seed of each `random_state` inside `model` that is None.

    Attributes
    ----------
    model_ : object of EconML
        The fitted copy of `model`.
    arms_ : int64 array of shape (n_arms - 1,)
        Codes of the arms but the control; empty for a continuous treatment.
    late_columns_ : dict of str
        For each column of X that tells the outcome or the treatment, what was found.
    covariates_ : DataFrame, one row a column of X: kind, treatment, note, share_missing
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    CausalMLEstimator : The same for causalml.

    Notes
    -----
    A model with ``discrete_treatment=False`` (the default of LinearDML and CausalForestDML) takes the
    treatment as a number; its effect is that of raising it from 0 to 1. With
    ``discrete_treatment=True`` and in all other models the treatment codes arms.

    Every column of X is both a covariate and something the effect may depend on; text and categories
    become 0/1 columns. EconML models the propensity itself, so a propensity handed in is an error,
    except for S- and T-learners, which use none.

    Examples
    --------
    >>> from econml.dml import LinearDML  # doctest: +SKIP
    >>> from segcate.cate import EconMLEstimator
    >>> from segcate.datasets import make_uplift
    >>> data = make_uplift(500, random_state=0)
    >>> model = EconMLEstimator(LinearDML(discrete_treatment=True), random_state=0)  # doctest: +SKIP
    >>> model.fit(data.X, data.y, treatment=data.treatment).predict_interval(data.X).shape  # doctest: +SKIP
    (500, 2)
    """

    def __init__(
        self,
        model: Any,
        *,
        inference: Any = None,
        confidence_level: float = 0.95,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.inference = inference
        self.confidence_level = confidence_level
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        *more: Any,
        treatment: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        propensity: Any = None,
    ) -> EconMLEstimator:
        """Fit a copy of the model.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Covariates; every column counts.
        y : array-like of shape (n_samples,)
            Outcome.
        *more
            Nothing. Arguments after y go by name, as `treatment=`; others are refused.
        treatment : array-like of shape (n_samples,)
            Codes of arms 0, 1, ..., 0 the control; numbers if the model takes the treatment so.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0; an error if the model's fit takes none. Equal weights are none;
            whole numbers from 1 are counts of rows; of all others only ratios count; a row of
            weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, kept whole in EconML's folds. Its intervals take rows as
            independent, so `predict_interval` raises then. Unused by S-, T- and X-learners, which
            have no folds.
        propensity : array-like of shape (n_samples,), inside (0, 1), default=None
            An error where the model would estimate it; unused by S- and T-learners.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `model` is not an object of EconML, a class, or needs more than X in fit.
        ImportError
            If EconML is not installed.
        ValueError
            If an input is missing, misaligned or out of range; if `model` was fitted before, or
            cannot take what was passed.
        OverlapError
            If a column of X decides a 0/1 treatment, or an arm against the control, and no
            `propensity` says otherwise.

        Warns
        -----
        SegcateWarning
            If X has columns that were probably measured after the treatment.
        """
        owner = type(self).__name__
        refuse_positional(owner, more)
        _check_model(owner, self.model)
        check_in_unit_interval(owner, "confidence_level", self.confidence_level)
        kind: TreatmentKind = "arms"
        if not getattr(self.model, "discrete_treatment", True):
            kind = "continuous"
        data = self._check_rows(
            X, y, kind, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip
        keywords = _fit_keywords(owner, self.model, data)
        if self.inference is not None:
            keywords["inference"] = self.inference
        values = self._encode_rows(data.X)
        seed = None if self.random_state is None else check_seed(owner, self.random_state)
        model = self._fresh_model(seed)
        model.fit(data.y, data.treatment, X=values, **keywords)
        self.arms_ = treated_arms(data.treatment)
        self.model_ = model
        self._has_groups = data.groups is not None
        return self

    def predict(self, X: Any) -> Float:
        """Return the effect of each arm against the control, for each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.

        Returns
        -------
        effect : float64 array of shape (n_samples,), or (n_samples, n_arms - 1)
            In units of y; with more than two arms one column an arm, in the order of `arms_`.
        """
        _, values = self._read(X)
        if len(self.arms_) == 0:
            return np.asarray(self.model_.effect(values, T0=0, T1=1), dtype=np.float64)
        # One column an arm; `effect` would do, but refuses NaN even where the model takes it.
        return self._by_arm(np.asarray(self.model_.const_marginal_effect(values), dtype=np.float64))

    def predict_interval(self, X: Any, *, confidence_level: float | None = None) -> Float:
        """Return a confidence interval for the effect on each row, as EconML makes it.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            With the columns of `fit`.
        confidence_level : float in (0, 1), default=None
            None: that of the constructor.

        Returns
        -------
        interval : float64 array of shape (n_samples, 2), or (n_samples, n_arms - 1, 2)
            Lower and upper bound, in units of y.

        Raises
        ------
        TypeError
            If the model was fitted without inference.
        ValueError
            If it was fitted on `groups`, or `confidence_level` is outside (0, 1).
        """
        owner = type(self).__name__
        _, values = self._read(X)
        level = self._level(confidence_level)
        if self._has_groups:
            raise ValueError(
                f"{owner}.predict_interval: fit was given `groups`, and EconML's intervals take rows as independent. "
                "Use InteractionRegression, whose intervals are clustered by group."
            )
        try:
            if len(self.arms_) == 0:
                bounds = self.model_.effect_interval(values, T0=0, T1=1, alpha=1 - level)
            else:
                bounds = self.model_.const_marginal_effect_interval(values, alpha=1 - level)
        except AttributeError as error:
            raise TypeError(
                f"{owner}.predict_interval: {type(self.model_).__name__} was fitted without inference ({error}). Set "
                "inference='bootstrap', or use CausalForestDML, LinearDML or LinearDRLearner, which have their own."
            ) from error
        interval = np.stack([np.asarray(bound, dtype=np.float64) for bound in bounds], axis=-1)
        return interval[:, 0] if len(self.arms_) == 1 else interval

    def _takes_missing(self) -> bool:
        """Tell whether the model was told that X may hold NaN."""
        is_told = bool(getattr(self.model, "allow_missing", False))
        return is_told and type(self.model).__name__ in _TAKES_MISSING_X


def _check_model(owner: str, model: Any) -> None:
    """Refuse all but an unfitted model of EconML, without importing EconML."""
    if isinstance(model, type):
        raise TypeError(
            f"{owner}: `model` must be an instance; got the class {model.__name__}. Make one: "
            f"{owner}({model.__name__}(...))."
        )
    if "econml" not in library_of(model) or not hasattr(model, "const_marginal_effect"):
        if importlib.util.find_spec("econml") is None:
            raise ImportError(
                f"{owner}: `model` must be an object of EconML, which is not installed here; got {model!r}. Install "
                "it with `pip install segcate[econml]`."
            )
        raise TypeError(
            f"{owner}: `model` must be an object of EconML that estimates effects (LinearDML(...), "
            f"CausalForestDML(...), DRLearner(...), TLearner(...)); got {model!r}. For causalml's models use "
            "CausalMLEstimator."
        )
    needed = [
        name
        for name, argument in fit_arguments(model).items()
        if argument.default is inspect.Parameter.empty
        and argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
    ]
    more = [name for name in needed if name not in ("Y", "T", "X")]
    if more:
        raise TypeError(
            f"{owner}: {type(model).__name__} needs {more} in fit beside outcome, treatment and X, which effect "
            "estimators here do not carry. Call it directly."
        )
    if hasattr(model, "_d_y"):
        raise ValueError(
            f"{owner}: `model`, {type(model).__name__}, was fitted before. Its fit would be thrown away: pass a "
            "fresh one with the same parameters."
        )
    categories = getattr(model, "categories", "auto")
    if not isinstance(categories, str) and len(categories) and categories[0] != 0:
        raise ValueError(
            f"{owner}: `model` has categories={list(categories)!r}, whose first is its control, but the control is "
            "always coded 0 here. Leave `categories` out, and code the arms with segcate.encode_treatment."
        )


def _fit_keywords(owner: str, model: Any, data: EffectData) -> dict[str, Any]:
    """Collect the further arguments of the model's fit; refuse those that it would ignore."""
    name, taken = type(model).__name__, fit_arguments(model)
    keywords: dict[str, Any] = {}
    if data.sample_weight is not None:
        if "sample_weight" not in taken:
            raise ValueError(
                f"{owner}: `sample_weight` was given, but {name} cannot weigh rows. Leave the weights out, or use "
                "LinearDML or CausalForestDML."
            )
        keywords["sample_weight"] = data.sample_weight
    if data.groups is not None and "groups" in taken:
        keywords["groups"] = data.groups
    estimated = [p for p in _PROPENSITY_PARAMETERS if hasattr(model, p)]
    if data.propensity is not None and estimated:
        raise ValueError(
            f"{owner}: `propensity` was given, but {name} estimates it with its own `{estimated[0]}`. Leave it out, "
            "or use CausalForest or, with CausalMLEstimator, a DR-learner."
        )
    return keywords
