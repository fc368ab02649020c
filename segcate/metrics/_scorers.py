"""Scorers for searches and cross-validation: they ask for what they need by metadata routing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, SupportsFloat, get_args

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_option
from segcate._inputs.routing import how_to_pass, make_routed_scorer
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import as_array, check_prediction, check_vector
from segcate._inputs.weights import check_weights
from segcate.metrics._losses import dr_loss, r_loss
from segcate.metrics._scored_rows import Design, experiment_scores
from segcate.metrics._scores import autoc_score, qini_score, uplift_at_k

_EFFECT_SCORE_REQUEST = {"treatment": True, "pseudo_outcome": True, "sample_weight": True}
_EXPERIMENT_REQUEST = {"treatment": True, "sample_weight": True}
# Names of their own: `propensity` would also reach the fit of every effect estimator.
_RESIDUAL_REQUEST = {
    "treatment": True,
    "sample_weight": True,
    "outcome_prediction": True,
    "treatment_prediction": True,
}


@dataclass(frozen=True)
class EffectScoreMetric:
    """A metric on effect scores as scikit-learn's scorers call it: func(y, prediction, ...)."""

    metric: Callable[..., SupportsFloat]
    is_experiment: bool
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def __name__(self) -> str:
        """The name that a scorer's repr shows."""
        return str(getattr(self.metric, "__name__", type(self.metric).__name__))

    def __call__(
        self,
        y: Any,
        prediction: Any,
        *,
        treatment: Any = None,
        pseudo_outcome: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """Score predicted effects of rows by their effect scores."""
        owner = f"Scoring by {self.__name__}"
        if self.is_experiment:
            psi = experiment_scores(owner, y, treatment, sample_weight)
        else:
            psi = _handed_in(owner, y, treatment, pseudo_outcome)
        weight = check_weights(owner, sample_weight, y)
        keywords = self.options if weight is None else {**self.options, "sample_weight": weight}
        return float(self.metric(psi, check_prediction(owner, prediction, y), **keywords))


@dataclass(frozen=True)
class ResidualMetric:
    """The R-loss as scikit-learn's scorers call it, which no effect scores stand in for."""

    is_experiment: bool
    __name__: str = "r_loss"

    def __call__(
        self,
        y: Any,
        prediction: Any,
        *,
        treatment: Any = None,
        outcome_prediction: Any = None,
        treatment_prediction: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """Score predicted effects by what they leave of the outcome."""
        owner = "Scoring by r_loss"
        if as_array(owner, "y", y).ndim == 0:
            raise TypeError(f"{owner}: `y` must hold one value for every row; got {y!r}.")
        effect = check_prediction(owner, prediction, y)
        if self.is_experiment:
            experiment_scores(owner, y, treatment, sample_weight)
            weight = check_weights(owner, sample_weight, y)
            outcome = np.full(
                len(effect), np.average(check_vector(owner, "y", y, y), weights=weight)
            )
            arm = check_treatment(owner, treatment, y)
            chance = np.full(len(effect), np.average(arm, weights=weight))
        else:
            outcome = _residual_of(owner, "outcome_prediction", outcome_prediction, y)
            chance = _residual_of(owner, "treatment_prediction", treatment_prediction, y)
        keywords = {"propensity": chance, "outcome": outcome, "sample_weight": sample_weight}
        return float(r_loss(y, effect, treatment=treatment, **keywords))


def _residual_of(owner: str, name: str, values: Any, y: Any) -> Float:
    if values is None:
        raise ValueError(
            f"{owner} needs `{name}`, but none came: the R-loss compares outcome and treatment with "
            "what covariates predict of them. Two ways out. Predict both once, on other rows: "
            "`outcome_prediction = cross_val_predict(regressor, X, y)` and `treatment_prediction = "
            "cross_val_predict(classifier, X, treatment, method='predict_proba')[:, 1]`, and hand "
            "them to the search (`search.fit(..., outcome_prediction=..., "
            "treatment_prediction=...)`). Or, if treatment was randomised, score by "
            "segcate.metrics.neg_r_loss_experiment_scorer, which needs the treatment alone. "
            f"{how_to_pass(name)}"
        )
    return check_vector(owner, name, values, y)


def _handed_in(owner: str, y: Any, treatment: Any, pseudo_outcome: Any) -> Float:
    if pseudo_outcome is None:
        raise ValueError(
            f"{owner} needs `pseudo_outcome`, but none came: no row shows its own effect, so "
            "predictions are scored on effect scores. Two ways out. Make them once, `psi = "
            "segcate.metrics.effect_scores(X, y, treatment=treatment)`, and hand them to the "
            "search (`search.fit(..., pseudo_outcome=psi)`; in cross_validate "
            "`params={'pseudo_outcome': psi, ...}`). Or, if treatment was randomised, score by the "
            "twin that needs the treatment alone, such as segcate.metrics.qini_experiment_scorer. "
            f"{how_to_pass('pseudo_outcome')}"
        )
    if treatment is not None:
        check_treatment(owner, treatment, y)
    return check_vector(
        owner,
        "pseudo_outcome",
        pseudo_outcome,
        y,
        "Every row needs an effect score; see segcate.metrics.effect_scores.",
    )


def make_uplift_scorer(
    func: Callable[..., SupportsFloat],
    *,
    design: Design = "observational",
    greater_is_better: bool = True,
    **kwargs: Any,
) -> Any:
    """Make a scorer of a metric on effect scores, for searches and cross-validation.

    Parameters
    ----------
    func : callable
        ``func(pseudo_outcome, prediction, *, sample_weight=..., **kwargs)``; what it returns is
        taken by `float()`. It is called with checked float arrays; `sample_weight` comes only where
        there are weights. A module-level function, so that the scorer can be pickled.
    design : {"observational", "experiment"}, default="observational"
        "observational": the scorer asks for `pseudo_outcome`, made by `effect_scores`.
        "experiment": it makes arm-centred effect scores from outcome and treatment of the fold.
    greater_is_better : bool, default=True
        False for a loss: the scorer flips its sign.
    **kwargs : Any
        Further arguments of `func`.

    Returns
    -------
    scorer : callable
        Asks for `treatment`, `sample_weight` and (observational) `pseudo_outcome` by itself.

    Raises
    ------
    TypeError
        If `func` is not callable.
    ValueError
        If `design` is unknown.

    See Also
    --------
    get_scorer : The scorers that are there, by name.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import make_uplift_scorer
    >>> def top_effect(pseudo_outcome, prediction, *, share=0.1):
    ...     return pseudo_outcome[prediction >= np.quantile(prediction, 1 - share)].mean()
    >>> make_uplift_scorer(top_effect, share=0.3)
    make_scorer(top_effect, response_method='predict')
    """
    if not callable(func):
        raise TypeError(f"make_uplift_scorer: `func` must be callable; got {func!r}.")
    check_option("make_uplift_scorer", "design", design, get_args(Design))
    is_experiment = design == "experiment"
    return make_routed_scorer(
        EffectScoreMetric(func, is_experiment, kwargs),
        _EXPERIMENT_REQUEST if is_experiment else _EFFECT_SCORE_REQUEST,
        response_method="predict",
        greater_is_better=greater_is_better,
    )


def _make_residual_scorer(is_experiment: bool) -> Any:
    return make_routed_scorer(
        ResidualMetric(is_experiment),
        _EXPERIMENT_REQUEST if is_experiment else _RESIDUAL_REQUEST,
        response_method="predict",
        greater_is_better=False,
    )


qini_scorer = make_uplift_scorer(qini_score)
autoc_scorer = make_uplift_scorer(autoc_score)
uplift_at_k_scorer = make_uplift_scorer(uplift_at_k)
neg_dr_loss_scorer = make_uplift_scorer(dr_loss, greater_is_better=False)
neg_r_loss_scorer = _make_residual_scorer(is_experiment=False)
qini_experiment_scorer = make_uplift_scorer(qini_score, design="experiment")
autoc_experiment_scorer = make_uplift_scorer(autoc_score, design="experiment")
uplift_at_k_experiment_scorer = make_uplift_scorer(uplift_at_k, design="experiment")
neg_dr_loss_experiment_scorer = make_uplift_scorer(
    dr_loss, design="experiment", greater_is_better=False
)
neg_r_loss_experiment_scorer = _make_residual_scorer(is_experiment=True)

_SCORERS = {
    "qini": qini_scorer,
    "autoc": autoc_scorer,
    "uplift_at_k": uplift_at_k_scorer,
    "neg_dr_loss": neg_dr_loss_scorer,
    "neg_r_loss": neg_r_loss_scorer,
    "qini_experiment": qini_experiment_scorer,
    "autoc_experiment": autoc_experiment_scorer,
    "uplift_at_k_experiment": uplift_at_k_experiment_scorer,
    "neg_dr_loss_experiment": neg_dr_loss_experiment_scorer,
    "neg_r_loss_experiment": neg_r_loss_experiment_scorer,
}


def get_scorer(name: str) -> Any:
    """Return a scorer by name, for configuration files and command lines.

    Parameters
    ----------
    name : {"qini", "autoc", "uplift_at_k", "neg_dr_loss", "neg_r_loss"}
        Scored on `pseudo_outcome`; "neg_r_loss" on `outcome_prediction` and `treatment_prediction`.
        Each with "_experiment" behind it scores on the treatment alone, for randomised experiments.
        "uplift_at_k" is at 0.3; another share by ``make_uplift_scorer(uplift_at_k, k=0.1)``.

    Returns
    -------
    scorer : callable
        A copy, which may be changed.

    Raises
    ------
    ValueError
        If there is no scorer of that name.

    Examples
    --------
    >>> from segcate.metrics import get_scorer
    >>> get_scorer("qini")
    make_scorer(qini_score, response_method='predict')
    """
    if not isinstance(name, str) or name not in _SCORERS:
        raise ValueError(
            f"get_scorer: there is no scorer {name!r}; the names are {sorted(_SCORERS)}. For a "
            "metric of your own use make_uplift_scorer(func)."
        )
    return copy.deepcopy(_SCORERS[name])
