"""Scorers for searches and cross-validation: they ask for what they need by metadata routing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from segcate._routing import how_to_pass, make_routed_scorer
from segcate._validation import Float, check_option, check_treatment, check_weights
from segcate.metrics._checks import check_prediction, check_vector
from segcate.metrics._scores import autoc_score, experiment_scores, qini_score

__all__ = [
    "autoc_experiment_scorer",
    "autoc_scorer",
    "get_scorer",
    "make_uplift_scorer",
    "qini_experiment_scorer",
    "qini_scorer",
]

_EFFECT_SCORE_REQUEST = {"treatment": True, "pseudo_outcome": True, "sample_weight": True}
_EXPERIMENT_REQUEST = {"treatment": True, "sample_weight": True}


@dataclass(frozen=True)
class _EffectScoreMetric:
    """A metric on effect scores as scikit-learn's scorers call it: func(y, prediction, ...)."""

    metric: Callable[..., float]
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
    func: Callable[..., float],
    *,
    design: Literal["observational", "experiment"] = "observational",
    greater_is_better: bool = True,
    **kwargs: Any,
) -> Any:
    """Make a scorer of a metric on effect scores, for searches and cross-validation.

    Parameters
    ----------
    func : callable
        ``func(pseudo_outcome, prediction, *, sample_weight=..., **kwargs) -> float``. It is called
        with checked float arrays; `sample_weight` comes only where there are weights. A
        module-level function, so that the scorer can be pickled.
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
    check_option("make_uplift_scorer", "design", design, ["observational", "experiment"])
    is_experiment = design == "experiment"
    return make_routed_scorer(
        _EffectScoreMetric(func, is_experiment, kwargs),
        _EXPERIMENT_REQUEST if is_experiment else _EFFECT_SCORE_REQUEST,
        response_method="predict",
        greater_is_better=greater_is_better,
    )


qini_scorer = make_uplift_scorer(qini_score)
autoc_scorer = make_uplift_scorer(autoc_score)
qini_experiment_scorer = make_uplift_scorer(qini_score, design="experiment")
autoc_experiment_scorer = make_uplift_scorer(autoc_score, design="experiment")

_SCORERS = {
    "qini": qini_scorer,
    "autoc": autoc_scorer,
    "qini_experiment": qini_experiment_scorer,
    "autoc_experiment": autoc_experiment_scorer,
}


def get_scorer(name: str) -> Any:
    """Return a scorer by name, for configuration files and command lines.

    Parameters
    ----------
    name : {"qini", "autoc", "qini_experiment", "autoc_experiment"}
        The names without "experiment" score on `pseudo_outcome`; the others on the treatment alone,
        for randomised experiments.

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
