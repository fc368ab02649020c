"""What every estimator of segcate promises: effect estimators and segmenters."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from segcate._covariates.missing import Filling
from segcate._inputs import frames
from segcate._inputs.encoding import ColumnEncoding
from segcate._inputs.features import check_features
from segcate._inputs.kinds import ColumnKind
from segcate._inputs.listing import listed
from segcate._inputs.records import RecordedColumns
from segcate._inputs.routing import FIT_REQUEST, SCORE_REQUEST, how_to_pass
from segcate._inputs.vectors import check_prediction, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._publishing import publish
from segcate._ranking.formulas import rank_score

__all__ = ["EffectEstimatorMixin", "SegmenterMixin"]


class EffectEstimatorMixin(RecordedColumns):
    """Promise of an effect estimator: `predict(X)` is the effect of the treatment on each row.

    `fit(X, y, *, treatment, sample_weight, groups, propensity)` asks for its keywords at class level,
    so that no user calls `set_fit_request`. It carries no mark of a regressor: a tool that finds one
    (MLflow's autolog) compares predictions with y, and effects are no predictions of y.
    """

    __metadata_request__fit = FIT_REQUEST
    __metadata_request__score = SCORE_REQUEST

    # Parameters that hold an estimator or None, and how each is given one.
    _children: ClassVar[dict[str, str]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of an estimator inside (`matcher__caliper`) need an instance of it.

        Parameters
        ----------
        **params : dict
            Parameter names and their values.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter, or it belongs to an estimator that is None.
        """
        for child, example in self._children.items():
            nested = [name for name in params if name.startswith(f"{child}__")]
            if nested and params.get(child, getattr(self, child)) is None:
                raise ValueError(
                    f"{type(self).__name__}: {listed(nested)} cannot be set because `{child}` is None. Give it an "
                    f"instance, for example {example}."
                )
        super().set_params(**params)  # type: ignore[misc]
        return self

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
            Weight of each row. Equal weights are none; whole numbers from 1 are counts of rows; of
            all others only ratios count; a row of weight 0 is not there.
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.

        Returns
        -------
        float
            In units of y; 0 for a ranking by chance, larger is better.

        Raises
        ------
        ValueError
            If `pseudo_outcome` is missing, or an array has NaN, another length or another index.
        """
        if pseudo_outcome is None:
            raise ValueError(
                f"{type(self).__name__}.score needs `pseudo_outcome`: effects are never observed, so predictions are "
                "scored on effect scores. Make them once, `psi = segcate.metrics.effect_scores(X, y, "
                "treatment=treatment)`, and pass `pseudo_outcome=psi`; for a randomised experiment use "
                "`scoring=segcate.metrics.qini_experiment_scorer`, which needs the treatment alone. "
                f"{how_to_pass('pseudo_outcome')}"
            )
        owner = f"{type(self).__name__}.score"
        check_same_index(
            owner, X=X, y=y, treatment=treatment, sample_weight=sample_weight,
            pseudo_outcome=pseudo_outcome,
        )  # fmt: skip
        psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, X)
        weight = check_weights(owner, sample_weight, X)
        prediction = check_prediction(owner, self.predict(X), X)
        return float(rank_score(prediction, psi, weight, kind="qini").value)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the effect of the treatment on each row."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        """Say that fit needs y."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.required = True
        return tags


class SegmenterMixin(RecordedColumns, OneToOneFeatureMixin, TransformerMixin):
    """Promise of a segmenter: `predict(X)` labels rows, `transform(X)` appends the labels to X.

    A segmenter's `fit(X, y=None)` calls `check_features` and `_check_column` and stores `labels_`;
    `_label_rows(X)` labels checked rows, in the way of the container: names on a frame, integer codes
    on an array. `labels_` must equal `predict` of the rows it was fitted on: `fit_transform`
    appends it without labelling them twice.

    Attributes
    ----------
    column : str
        Name of the appended column.
    labels_ : array of shape (n_samples,)
        Segments of the rows seen in fit, as `predict` gives them.
    """

    column: str
    labels_: npt.NDArray[Any]

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the segment of each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to label; the columns seen in fit, in the same order.

        Returns
        -------
        array of shape (n_samples,)
            What `transform` writes into the segment column: labels for a frame; for an array
            integers (of a named segment the position in `segment_names_`).
        """
        check_is_fitted(self)
        return self._label_rows(check_features(self, X, reset=False))

    def transform(self, X: Any) -> Any:
        """Return X with one more, last column: the segment of each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to label; they stay as they are.

        Returns
        -------
        array or DataFrame of shape (n_samples, n_features + 1)
            The container that X came in; a pandas index is kept.
        """
        return self._append_segment(X, self.predict(X))

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit, and return X with its segments: the same as `fit(X).transform(X)`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to find segments in.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        array or DataFrame of shape (n_samples, n_features + 1)
            The container that X came in; a pandas index is kept.
        """
        return self._append_segment(X, self.fit(X, y).labels_)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Return the names of the columns of X, then the name of the segment column.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; None means the names seen in fit, or `x0`, `x1`, ...

        Returns
        -------
        object array of shape (n_features + 1,)
            Names of the columns that `transform` returns.
        """
        names = super().get_feature_names_out(input_features)
        self._check_new_name(names)
        return np.append(names, np.array([self.column], dtype=object))

    def _label_rows(self, X: Any) -> npt.NDArray[Any]:
        raise NotImplementedError

    def _append_segment(self, X: Any, labels: npt.NDArray[Any]) -> Any:
        if not frames.is_frame(X):
            values = np.asarray(X)
            values = values.astype(np.float64) if values.dtype.kind == "O" else values
            return frames.append_column(values, self.column, labels)
        self._check_column(X)
        if isinstance(X, pd.DataFrame) and not all(isinstance(name, str) for name in X.columns):
            raise ValueError(
                f"{type(self).__name__}.transform: the columns of X are not named by strings (the "
                f"first is {X.columns[0]!r}), and a column {self.column!r} beside them would make "
                "names that scikit-learn refuses. Rename them, `X.columns = "
                "X.columns.astype(str)`, or pass X.to_numpy()."
            )
        return frames.append_column(X, self.column, labels)

    def _check_column(self, X: Any) -> None:
        """Refuse a name that is no name, or that X has already."""
        if not isinstance(self.column, str) or not self.column:
            raise ValueError(
                f"{type(self).__name__}: `column` must be a string that is not empty; got "
                f"{self.column!r}. It names the column that transform appends."
            )
        self._check_new_name(frames.column_names(X) or [])

    def _check_new_name(self, names: Any) -> None:
        if self.column in list(names):
            raise ValueError(
                f"{type(self).__name__}: X already has a column {self.column!r}, the name of the "
                "column that transform appends. Drop or rename it, or pass another name, "
                "`column='segment_2'`."
            )


publish(globals(), stored=[ColumnEncoding, ColumnKind, Filling])
