"""Check the parameters of a causal forest, and turn them into the shape of its trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._inputs.parameters import check_count, check_flag, check_number, is_number, is_whole
from segcate._nuisance.nuisances import check_cross_fitting
from segcate.cate._forest.honest_forest import ForestShape


def check_forest_parameters(owner: str, model: Any) -> None:
    """Refuse parameters that are out of range or do not fit together."""
    for name, least in (("n_estimators", 4), ("bag_size", 2), ("min_samples_leaf", 1)):
        check_count(owner, name, getattr(model, name), least)
    check_count(owner, "max_depth", model.max_depth, 1, optional=True)
    n_trees, size = int(model.n_estimators), int(model.bag_size)
    if n_trees % size or n_trees < 2 * size:
        nearest = max(2, round(n_trees / size)) * size
        raise ValueError(
            f"{owner}: `n_estimators` must be a multiple of `bag_size`, at least twice it; got "
            f"{n_trees} and {size}. Take n_estimators={nearest}, or another bag_size."
        )
    check_number(owner, "subsample", model.subsample, above=0, most=0.5)
    check_number(owner, "min_balance", model.min_balance, least=0, below=0.5)
    for name in ("honest", "shrink"):
        check_flag(owner, name, getattr(model, name))
    if model.trend is not None and model.trend not in ("auto", "linear"):
        raise ValueError(
            f"{owner}: `trend` must be 'auto', 'linear' or None; got {model.trend!r}. 'auto' lets the "
            "data say how much of a line there is."
        )
    check_cross_fitting(owner, model.cv, model.clip)


def forest_shape(owner: str, model: Any, n_columns: int) -> ForestShape:
    """Return how the trees of a forest with checked parameters are drawn and grown."""
    return ForestShape(
        n_trees=int(model.n_estimators),
        bag_size=int(model.bag_size),
        subsample=float(model.subsample),
        honest=bool(model.honest),
        max_features=_count_features(owner, model.max_features, n_columns),
        min_samples_leaf=int(model.min_samples_leaf),
        max_depth=None if model.max_depth is None else int(model.max_depth),
        min_balance=float(model.min_balance),
    )


def _count_features(owner: str, max_features: Any, n_columns: int) -> int:
    """Turn `max_features` into a number of encoded columns."""
    if max_features is None:
        return n_columns
    if isinstance(max_features, str) and max_features in ("sqrt", "log2"):
        root = np.sqrt(n_columns) if max_features == "sqrt" else np.log2(n_columns)
        return max(1, int(root))
    if is_whole(max_features):
        if 1 <= max_features <= n_columns:
            return int(max_features)
    elif is_number(max_features) and 0 < max_features <= 1:
        return max(1, int(max_features * n_columns))
    raise ValueError(
        f"{owner}: `max_features` must be a count from 1 to the {n_columns} columns of X (categories "
        "count one column for each level but the first), a share in (0, 1], 'sqrt', 'log2' or None; "
        f"got {max_features!r}. None tries all."
    )
