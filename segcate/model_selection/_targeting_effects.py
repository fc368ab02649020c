"""Predicted effects for a policy: out of fold, checked, and averaged over segments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.part_of_rows import fold_of_rows
from segcate._inputs.routing import routing
from segcate._nuisance import folds
from segcate._nuisance.folds import Splits, check_splits, has_splits, splits_of, treatment_strata


def check_effects(owner: str, effects: Any, n_rows: int, n_arms: int) -> Float:
    """Check predicted effects; return one column for each arm beside control."""
    table = np.asarray(effects, dtype=np.float64).reshape(n_rows, -1)
    if table.shape[1] != n_arms - 1:
        raise ValueError(
            f"{owner}: `treatment` has {n_arms} arms, but the effect estimator predicts "
            f"{table.shape[1]} effects a row; {n_arms - 1} are needed. Use an effect estimator for "
            "several arms, such as segcate.cate.InteractionRegression."
        )
    n_bad = int((~np.isfinite(table)).any(axis=1).sum())
    if n_bad:
        raise ValueError(
            f"{owner}: the effect estimator predicts NaN or infinity in {n_bad} of {n_rows} rows, "
            "which cannot be decided on. Give every segment an effect (`on_empty='overall'`), or "
            "merge thin segments."
        )
    return table


def predict_each(
    owner: str,
    estimator: Any,
    X: Any,
    y: Float,
    given: dict[str, Any],
    fits: Iterable[tuple[Int, Int]],
    *,
    n_arms: int,
    n_jobs: int | None,
) -> list[Float]:
    """Fit a clone on the first rows of each pair, and predict the effects of the second."""
    fits = list(fits)
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_predict)(estimator, X, y, given, train, rows) for train, rows in fits
    )
    return [
        check_effects(owner, part, len(rows), n_arms)
        for part, (_, rows) in zip(parts, fits, strict=True)
    ]


def fit_child(estimator: Any, X: Any, y: Float, given: dict[str, Any]) -> Any:
    """Fit a clone; inside a Pipeline the metadata travels by routing."""
    with routing():
        return clone(estimator).fit(X, y, **given)


def _fit_predict(
    estimator: Any, X: Any, y: Float, given: dict[str, Any], train: Int, test: Int
) -> Any:
    """Fit on some rows, and predict others."""
    metadata = {name: values[train] for name, values in given.items()}
    with fold_of_rows():
        fitted = fit_child(estimator, frames.take_rows(X, train), y[train], metadata)
        return fitted.predict(frames.take_rows(X, test))


def taken(given: tuple[Any, Any, Any, Any], rows: Int) -> dict[str, Any]:
    """Take some rows of weights, groups, chances and effect scores, those that came, by keyword."""
    names = ("sample_weight", "groups", "propensity", "pseudo_outcome")
    came = {name: v for name, v in zip(names, given, strict=True) if v is not None}
    return {name: np.asarray(values)[rows] for name, values in came.items()}


def deal_folds(
    owner: str, arm: Int, groups: Int | None, cv: Any, rng: np.random.RandomState
) -> Splits:
    """Return training and test rows of each fold: given ones, or arms even and groups whole."""
    if has_splits(cv):
        return check_splits(owner, cv, len(arm))
    cv = int(cv)
    strata = treatment_strata(owner, arm, None, n_outcome_bins=1, min_rows=cv)
    return splits_of(folds.deal_folds(owner, strata, groups, cv, rng), cv)


def segment_means(effects: Float, weight: Float, codes: Int, n_segments: int) -> Float:
    """Return the weighted mean effects of the segments; a segment without weight counts rows."""
    total = np.bincount(codes, weights=weight, minlength=n_segments)
    weight = np.where(total[codes] > 0, weight, 1.0)
    total = np.bincount(codes, weights=weight, minlength=n_segments)
    sums = [np.bincount(codes, weights=weight * e, minlength=n_segments) for e in effects.T]
    means: Float = np.column_stack(sums) / np.maximum(total, 1e-300)[:, None]
    return means


def by_segment(effects: Float, weight: Float, codes: Int | None) -> Float:
    """Give each row the mean effects of its segment, where there are segments."""
    if codes is None:
        return effects
    means: Float = segment_means(effects, weight, codes, int(codes.max()) + 1)[codes]
    return means
