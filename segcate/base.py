"""What every estimator of segcate promises: effect estimators and segmenters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin, TransformerMixin

from segcate._ranking import rank_score
from segcate._routing import FIT_REQUEST, SCORE_REQUEST

__all__ = ["EffectEstimatorMixin", "SegmenterMixin"]


class EffectEstimatorMixin(RegressorMixin):
    """Promise of an effect estimator: `predict(X)` is the effect of the treatment on each row.

    `fit(X, y, *, treatment, sample_weight, groups, propensity)` asks for its keywords at class level,
    so that no user calls `set_fit_request`.
    """

    __metadata_request__fit = FIT_REQUEST
    __metadata_request__score = SCORE_REQUEST

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        treatment: Any = None,
        sample_weight: Any = None,
        pseudo_outcome: Any = None,
    ) -> float:
        """Score the ranking of rows by predicted effect: area between gain curve and chord (Qini).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to rank.
        y : array-like of shape (n_samples,), default=None
            Unused; present for scikit-learn.
        treatment : array-like of shape (n_samples,), default=None
            Unused; present so that a search may route it here.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.

        Returns
        -------
        float
            In units of y; 0 for a ranking by chance, larger is better.

        Raises
        ------
        ValueError
            If `pseudo_outcome` is missing.
        """
        if pseudo_outcome is None:
            raise ValueError(
                f"{type(self).__name__}.score needs `pseudo_outcome`: effects are never observed, so predictions are "
                "scored on effect scores. Make them once, `psi = segcate.metrics.effect_scores(X, y, "
                "treatment=treatment)`, and pass `pseudo_outcome=psi`; for a randomised experiment use "
                "`scoring=segcate.metrics.qini_experiment_scorer`, which needs the treatment alone."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        psi = np.asarray(pseudo_outcome, dtype=np.float64)
        return float(rank_score(np.asarray(self.predict(X)), psi, weight, kind="qini").value)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the effect of the treatment on each row."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        """Mark the estimator as a regressor whose R^2 on y means nothing."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SegmenterMixin(TransformerMixin):
    """Promise of a segmenter: `predict(X)` labels rows, `transform(X)` appends the labels to X."""
