"""The base of the estimators of individual effects: it checks the rows of a fit and reads new rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from segcate._covariates.late_columns import check_late_columns
from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import EffectData, check_effect_data
from segcate._inputs.encoding import ColumnEncoding, fit_encoding
from segcate._inputs.features import check_features
from segcate._inputs.parameters import check_in_unit_interval
from segcate._inputs.segments import Segment
from segcate._inputs.treatment import TreatmentKind
from segcate.base import EffectEstimatorMixin


class CATEEstimator(EffectEstimatorMixin, BaseEstimator):
    """Base of the estimators whose covariates are the columns of X, all but a segment column.

    A subclass says by `_takes_missing` whether X may hold NaN. Its `fit` calls `_check_rows` and
    `_encode_rows`, its `predict` calls `_read`.

    Attributes
    ----------
    arms_ : int64 array of shape (n_arms - 1,), codes of the arms but the control; empty for doses
    late_columns_ : dict of str, what was found about each conspicuous column of X
    """

    arms_: Int
    late_columns_: dict[str, str]
    _encoding: ColumnEncoding
    _allows_missing: bool

    def _takes_missing(self) -> bool:
        """Tell whether X may hold NaN."""
        raise NotImplementedError

    def _check_rows(
        self,
        X: Any,
        y: Any,
        kind: TreatmentKind,
        *,
        segment: Segment = None,
        allow_missing: bool | None = None,
        **given: Any,
    ) -> EffectData:
        """Check all that `fit` was given; to be called by `fit` itself, as its warnings point there.

        Parameters
        ----------
        X, y : as `fit` got them
        kind : {"binary", "arms", "continuous"}
        segment : column of X that is no covariate
        allow_missing : bool or None
            Whether X may hold NaN; None: where `_takes_missing` says so.
        **given : treatment, sample_weight, groups and propensity, as `fit` got them
        """
        self._allows_missing = self._takes_missing()
        data = check_effect_data(
            self,
            X,
            y,
            segment=segment,
            allow_missing=self._allows_missing if allow_missing is None else allow_missing,
            treatment_kind=kind,
            **given,
        )
        owner = type(self).__name__
        self.late_columns_ = check_late_columns(owner, data)
        return data

    def _encode_rows(self, X: Any, *, may_be_empty: bool = False) -> Float:
        """Turn the columns of a fit into numbers, and remember how."""
        self._encoding, values = fit_encoding(
            X, range(X.shape[1]), owner=type(self).__name__, may_be_empty=may_be_empty
        )
        self._columns = self._encoding.kinds
        return values

    def _read(self, X: Any) -> tuple[Any, Float]:
        """Check new rows; return them as they came and as the numbers that the model knows."""
        check_is_fitted(self, "_encoding")
        X = check_features(self, X, reset=False, allow_missing=self._allows_missing)
        return X, self._encoding.encode(type(self).__name__, X)

    def _by_arm(self, values: Float) -> Float:
        """Drop the second axis, that of the arms, where there are only two arms."""
        return values if len(self.arms_) > 1 else values[:, 0]

    def _level(self, wanted: float | None) -> float:
        """Return the checked level of an interval; None is that of the constructor."""
        level = self.confidence_level if wanted is None else wanted
        check_in_unit_interval(f"{type(self).__name__}.predict_interval", "confidence_level", level)
        return float(level)

    def __sklearn_tags__(self) -> Any:
        """Say that X may hold NaN where the models inside take it."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_missing()
        return tags


def treated_arms(treatment: npt.NDArray[Any]) -> Int:
    """Return the codes of the arms but the control; of doses, which are floats, there are none."""
    return np.arange(1, 1 if treatment.dtype.kind == "f" else int(treatment.max()) + 1)
