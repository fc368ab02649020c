"""Confidence intervals of individual effects, through a Pipeline or a search."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from segcate._inputs.arrays import Float
from segcate._inputs.last_step import last_step
from segcate._inputs.parameters import check_in_unit_interval


def predict_interval(estimator: Any, X: Any, *, confidence_level: float = 0.95) -> Float:
    """Return a confidence interval for the effect on each row.

    Use it where the model is the last step of a Pipeline or inside a search: these have no
    `predict_interval` of their own. On a model it equals the method of that name.

    Parameters
    ----------
    estimator : fitted effect estimator, Pipeline ending in one, or search over those
        `InteractionRegression` without a regressor handed in, `CausalForest`, `EconMLEstimator`
        where the wrapped model has intervals, or `SegmentedCATE` of those without shrinkage.
    X : frame or array-like of shape (n_samples, n_features)
        What `estimator` itself takes; the steps before the model transform it.
    confidence_level : float in (0, 1), default=0.95
        Of each interval on its own.

    Returns
    -------
    interval : float64 array of shape (n_samples, 2), low and high, in units of y
        With more than two arms of shape (n_samples, n_arms - 1, 2).

    Raises
    ------
    TypeError
        If the model has no intervals.
    NotFittedError
        If a search was not fitted, or was told not to refit.
    ValueError
        If `confidence_level` is outside (0, 1).

    Examples
    --------
    >>> import segcate
    >>> from segcate.cate import InteractionRegression, predict_interval
    >>> from segcate.datasets import make_uplift
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> data = make_uplift(1000, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), InteractionRegression())
    >>> with segcate.routing():
    ...     interval = predict_interval(pipe.fit(data.X, data.y, treatment=data.treatment), data.X)
    >>> interval[0].round(2)
    array([1.3 , 2.44])
    """
    check_in_unit_interval("predict_interval", "confidence_level", confidence_level)
    model, rows = _reach_model(estimator, X)
    if not hasattr(model, "predict_interval"):
        there = (
            " The interval of each segment stands in its `effects_`."
            if hasattr(type(model), "effects_")
            else ""
        )
        raise TypeError(
            f"predict_interval: {type(model).__name__} has no interval for the effect on a row."
            f"{there} Use InteractionRegression, CausalForest, or an EconMLEstimator of a model "
            "with intervals, such as CausalForestDML or LinearDML."
        )
    interval: Float = model.predict_interval(rows, confidence_level=confidence_level)
    return interval


def _reach_model(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the model at the end of pipelines and searches, and X as the steps before it transform it."""
    while True:
        if isinstance(estimator, Pipeline):
            if len(estimator.steps) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return last_step(estimator), X
