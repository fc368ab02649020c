"""Effect estimators under scikit-learn's checks, which never pass a treatment.

The shim makes the treatment of a row from its contents, so that repeating a row equals weighting it,
and takes all rows as one segment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import RegressorTags

from segcate._inputs import frames
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import MahalanobisMatcher, PropensityMatcher
from segcate.model_selection import TargetingPolicy


def treatment_of(X: Any) -> np.ndarray:
    """Treat about half of the rows, by what they hold; both arms occur if two rows differ."""
    values = np.nan_to_num(np.asarray(X, dtype=np.float64), posinf=0.0, neginf=0.0)
    mixed = np.sin(1e3 * np.round(values, 8) @ np.sin(1.0 + 7.0 * np.arange(values.shape[1])))
    arms = (mixed > 0).astype(int)
    if arms.min() == arms.max() and mixed.min() < mixed.max():
        arms = (mixed > np.median(np.unique(mixed))).astype(int)
    return arms


def _is_odd(X: Any) -> bool:
    """Tell containers that no treatment can be made of: complex numbers."""
    return getattr(getattr(X, "dtype", None), "kind", "") == "c"


def _usable_values(X: Any) -> np.ndarray | None:
    """Return X as finite numbers in two dimensions, None where it is not."""
    if _is_odd(X):
        return None
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    is_usable = values.ndim == 2 and 0 not in values.shape and np.isfinite(values).all()
    return values if is_usable else None


def propensity_of(X: Any) -> np.ndarray | None:
    """Hand in propensities where the rows are too few for any model not to separate the arms."""
    values = _usable_values(X)
    if values is None or len(np.unique(values, axis=0)) >= 3 * values.shape[1]:
        return None
    return _made_propensity(X)


def _made_propensity(X: Any) -> np.ndarray | None:
    """Make a propensity inside (0.2, 0.8) of what the rows hold."""
    values = _usable_values(X)
    if values is None:
        return None
    return 0.5 + 0.3 * np.sin(1e2 * np.round(values, 8) @ np.cos(np.arange(values.shape[1])))


def _safe_treatment(X: Any) -> Any:
    """Return a treatment where X can carry one; the estimator's own checks judge the rest."""
    if _is_odd(X):
        return np.arange(len(X)) % 2
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        return np.arange(len(X)) % 2 if hasattr(X, "__len__") else None
    if values.ndim != 2 or 0 in values.shape:
        return np.arange(len(values)) % 2 if values.ndim else None
    return treatment_of(values)


class AsRegressor:
    """Mark an effect estimator as a regressor, so that the checks of regressors run too."""

    def __sklearn_tags__(self):
        """Say so in the tags."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags(poor_score=True)
        return tags


class CheckedSegmentMatching(AsRegressor, SegmentMatching):
    """SegmentMatching that finds its treatment in X."""

    def __init__(
        self,
        matcher: PropensityMatcher | None = None,
        *,
        estimand: str = "att",
        adjustment: Any = "bias",
        std_error: str = "auto",
        inference: str = "population",
        confidence_level: float = 0.95,
        segment: Any = None,
        on_empty: str = "overall",
        min_per_arm: int | None = 2,
        n_variance_neighbors: int = 2,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            matcher, estimand=estimand, adjustment=adjustment, std_error=std_error,
            inference=inference, confidence_level=confidence_level, segment=segment,
            on_empty=on_empty, min_per_arm=min_per_arm,
            n_variance_neighbors=n_variance_neighbors, n_jobs=n_jobs,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        if propensity is None:
            propensity = propensity_of(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedSegmentRegression(AsRegressor, SegmentRegression):
    """SegmentRegression that finds its treatment in X, and takes no more covariates than rows allow."""

    def __init__(
        self,
        *,
        estimand: str = "ate",
        adjustment: str = "linear",
        std_error: str = "auto",
        inference: str = "population",
        confidence_level: float = 0.95,
        segment: Any = None,
        on_empty: str = "overall",
        min_per_arm: int | None = 2,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            estimand=estimand, adjustment=adjustment, std_error=std_error,
            inference=inference,
            confidence_level=confidence_level, segment=segment, on_empty=on_empty, min_per_arm=min_per_arm,
            n_jobs=n_jobs,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip

    def _estimate(self, owner, data, plan):
        """Take the first columns, one for every four different rows of the smaller arm."""
        weight = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
        kept = data.treatment[weight > 0], np.asarray(data.X, dtype=np.float64)[weight > 0]
        n_rows = [len(np.unique(kept[1][kept[0] == arm], axis=0)) for arm in (0, 1)]
        taken = data.covariates[: max(min(n_rows) // 4 - 1, 0)]
        return super()._estimate(owner, replace(data, X=frames.select_columns(data.X, taken)), plan)

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedSegmentAIPW(AsRegressor, SegmentAIPW):
    """SegmentAIPW that finds its treatment in X; without a propensity model, the propensity too."""

    def __init__(
        self,
        outcome_model: Any = None,
        propensity_model: Any = None,
        *,
        estimand: str = "ate",
        pool_nuisances: bool = True,
        cv: int = 2,
        clip: float = 0.01,
        confidence_level: float = 0.95,
        segment: Any = None,
        on_empty: str = "overall",
        min_per_arm: int | None = 2,
        n_jobs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            outcome_model, propensity_model, estimand=estimand, pool_nuisances=pool_nuisances,
            cv=cv, clip=clip, confidence_level=confidence_level, segment=segment,
            on_empty=on_empty, min_per_arm=min_per_arm,
            n_jobs=n_jobs, random_state=random_state,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment, and without a propensity model a propensity, made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        if propensity is None and self.propensity_model is None:
            propensity = _made_propensity(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
        )  # fmt: skip

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedCausalForest(AsRegressor, CausalForest):
    """CausalForest that finds its treatment in X, and draws rows of the same contents as a whole.

    So a weight of 2 and the row written twice come with the same draws. Among the few rows of the
    checks some of a pilot's hundred trees meet splits that are equally good but for rounding, and
    decide otherwise for weights than for copies: hence no pilot for the line.
    """

    def __init__(
        self,
        n_estimators: int = 20,
        *,
        outcome_model: Any = None,
        propensity_model: Any = None,
        treatment_kind: str = "auto",
        min_samples_leaf: int = 1,
        max_depth: int | None = None,
        max_features: Any = None,
        subsample: float = 0.5,
        honest: bool = True,
        bag_size: int = 10,
        min_balance: float = 0.05,
        trend: str | None = "linear",
        shrink: bool = True,
        cv: int = 2,
        clip: float = 0.01,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            n_estimators, outcome_model=outcome_model, propensity_model=propensity_model,
            treatment_kind=treatment_kind, min_samples_leaf=min_samples_leaf, max_depth=max_depth,
            max_features=max_features, subsample=subsample, honest=honest, bag_size=bag_size,
            min_balance=min_balance, trend=trend, shrink=shrink, cv=cv, clip=clip,
            random_state=random_state, n_jobs=n_jobs,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment, propensity and groups made of the rows."""
        values = _usable_values(X)
        if treatment is None:
            treatment = _safe_treatment(X)
        if propensity is None and self.propensity_model is None:
            propensity = _made_propensity(X)
        if groups is None and values is not None and len(values) > 1:
            groups = np.unique(values, axis=0, return_inverse=True)[1].ravel()
        folds = self.cv
        self.cv = folds if isinstance(folds, int) else 2  # a constant model is the same in any fold
        try:
            return super().fit(
                X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
                propensity=propensity,
            )  # fmt: skip
        finally:
            self.cv = folds

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedInteractionRegression(AsRegressor, InteractionRegression):
    """InteractionRegression that finds its treatment in X."""

    def __init__(
        self, estimator=None, *, treatment_kind="auto", interactions=None, std_error="auto",
        confidence_level=0.95, step=1.0, at=None,
    ):  # fmt: skip
        super().__init__(
            estimator, treatment_kind=treatment_kind, interactions=interactions,
            std_error=std_error, confidence_level=confidence_level, step=step, at=at,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        return super().fit(X, y, treatment=treatment, sample_weight=sample_weight, groups=groups)

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedSegmentedCATE(AsRegressor, SegmentedCATE):
    """SegmentedCATE that finds its treatment in X."""

    def __init__(
        self, estimator=None, *, segment=None, treatment_kind="auto", min_per_arm=50,
        shrinkage="auto", on_empty="overall", cv=5, random_state=None, n_jobs=None,
    ):  # fmt: skip
        super().__init__(
            estimator, segment=segment, treatment_kind=treatment_kind, min_per_arm=min_per_arm,
            shrinkage=shrinkage, on_empty=on_empty, cv=cv, random_state=random_state, n_jobs=n_jobs,
        )  # fmt: skip

    def fit(self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        folds = self.cv
        self.cv = folds if isinstance(folds, int) else 2  # one segment is never cross-fitted
        try:
            return super().fit(
                X, y, treatment=treatment, sample_weight=sample_weight, groups=groups
            )
        finally:
            self.cv = folds

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)


class CheckedPropensityMatcher(PropensityMatcher):
    """PropensityMatcher that finds its treatment in X."""

    def __init__(
        self, estimator=None, *, n_neighbors=3, replacement=True, caliper=None, caliper_scale="sd",
        score_scale="logit", pool_propensity=False, order="largest", exact=None,
        common_support=None, segment=None, n_jobs=None, random_state=None,
    ):  # fmt: skip
        super().__init__(
            estimator, n_neighbors=n_neighbors, replacement=replacement, caliper=caliper,
            caliper_scale=caliper_scale, score_scale=score_scale, pool_propensity=pool_propensity,
            order=order, exact=exact, common_support=common_support, segment=segment, n_jobs=n_jobs,
            random_state=random_state,
        )  # fmt: skip

    def fit(self, X, y=None, *, treatment=None, sample_weight=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        if propensity is None:
            propensity = propensity_of(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, propensity=propensity
        )


class CheckedMahalanobisMatcher(MahalanobisMatcher):
    """MahalanobisMatcher that finds its treatment in X."""

    def __init__(
        self, covariance="pooled", *, n_neighbors=3, replacement=True, caliper=None,
        caliper_scale="sd", score_scale="logit", estimator=None, order="data", exact=None,
        segment=None, n_jobs=None, random_state=None,
    ):  # fmt: skip
        super().__init__(
            covariance, n_neighbors=n_neighbors, replacement=replacement, caliper=caliper,
            caliper_scale=caliper_scale, score_scale=score_scale, estimator=estimator, order=order,
            exact=exact, segment=segment, n_jobs=n_jobs, random_state=random_state,
        )  # fmt: skip

    def fit(self, X, y=None, *, treatment=None, sample_weight=None, propensity=None):
        """Fit with a treatment made of the rows."""
        if treatment is None:
            treatment = _safe_treatment(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, propensity=propensity
        )


class CheckedTargetingPolicy(TargetingPolicy):
    """TargetingPolicy that finds its treatment in X."""

    def __init__(
        self, effect_estimator=None, *, value=1.0, cost=0.0, budget=None, max_share=None, by="user",
        segment="auto", threshold="cost", cv=None, confidence_level=0.95, random_state=0, n_jobs=None,
    ):  # fmt: skip
        super().__init__(
            effect_estimator, value=value, cost=cost, budget=budget, max_share=max_share, by=by,
            segment=segment, threshold=threshold, cv=cv, confidence_level=confidence_level,
            random_state=random_state, n_jobs=n_jobs,
        )  # fmt: skip

    def fit(
        self, X, y, *, treatment=None, sample_weight=None, groups=None, propensity=None,
        pseudo_outcome=None,
    ):  # fmt: skip
        """Fit with treatment and propensities made of the rows, and y in place of effect scores."""
        if treatment is None:
            treatment = _safe_treatment(X)
        if propensity is None:
            propensity = propensity_of(X)
        return super().fit(
            X, y, treatment=treatment, sample_weight=sample_weight, groups=groups,
            propensity=propensity,
            pseudo_outcome=np.asarray(y) if pseudo_outcome is None else pseudo_outcome,
        )  # fmt: skip

    def score(self, X, y=None, *, treatment=None, sample_weight=None, pseudo_outcome=None):
        """Score on y in place of effect scores."""
        psi = y if pseudo_outcome is None else pseudo_outcome
        return super().score(X, y, sample_weight=sample_weight, pseudo_outcome=psi)
