"""Find the effect estimator inside a Pipeline or a fitted search."""

from __future__ import annotations

from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline


def last_step(estimator: Any) -> Any:
    """Walk through searches to their best estimator, and through pipelines to their last step.

    Raises
    ------
    NotFittedError
        If a search was not fitted, or was told not to refit.
    """
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "refit") and hasattr(estimator, "scoring"):
            raise NotFittedError(
                f"{type(estimator).__name__} has no `best_estimator_`: it was not fitted, or with "
                "refit=False. Fit it with `refit=True`, or pass the estimator itself."
            )
        else:
            return estimator
