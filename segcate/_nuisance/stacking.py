"""Averages of learners with the weights that predict best out of fold (short-stacking).

Ahrens, Hansen, Schaffer & Wiemann (2025), Journal of Applied Econometrics 40(3):249-269. Where rows are
many a race on some of them says whether trees add to what curves predict.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from sklearn.utils.parallel import Parallel, delayed

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.covariates import Covariates
from segcate._nuisance.curves import Curves
from segcate._nuisance.default_models import (
    LEARNERS,
    Folds,
    predict_by_curves,
    predict_by_means,
    predict_by_trees,
)
from segcate._nuisance.fold_regression import Response
from segcate._statistics.row_sample import row_keys, sampled

__all__ = ["predict_stacked", "stack_shares"]

# With more rows than this trees are grown in all folds only where they win a race: grown once, on so many rows,
# to what the other learners leave, they predict it in the rows that are left. Chances, of which 0 and 1 say little,
# take twice as many: on 6,000 of 50,000 rows trees missed steps of the treatment in one of two draws.
FEW_ROWS = 20_000
_IN_RACE = 6_000
# A race is won where what they predict goes along with what is left by so many standard errors.
_CLEAR = 2.5
# A race needs so many rows of the rarer value of 0 and 1, and leaves so large a part of the rows.
_RARER_IN_RACE = 100
_MOST_IN_RACE = 0.5


def predict_stacked(
    covariates: Covariates,
    responses: Sequence[Response],
    folds: Folds,
    weight: Float | None,
    seeds: Sequence[int],
    n_jobs: int | None,
) -> list[Float]:
    """Predict every response out of fold by the average of the default models.

    Parameters
    ----------
    seeds : of the trees of each response and, one more each, of each fold
    """
    n = len(covariates.values)
    there = np.ones(n, dtype=bool) if weight is None else weight > 0
    curves = covariates.curves(np.flatnonzero(there), weight)
    columns = _smooth(curves, responses, folds, weight)
    rivals = list(range(len(responses)))
    if n > FEW_ROWS:
        keys = row_keys(covariates.values, weight)
        rivals = [
            place
            for place, one in enumerate(responses)
            if _trees_win(
                covariates.values,
                keys,
                one,
                _averaged(columns[place], one, weight),
                weight,
                seeds[place],
            )
        ]
    jobs = [(place, fold) for place in rivals for fold in range(len(folds.test))]
    predicted = Parallel(n_jobs=n_jobs)(
        delayed(_grow)(covariates.values, responses[i], folds, k, weight, seeds[i] + k)
        for i, k in jobs
    )
    for (place, fold), values in zip(jobs, predicted, strict=True):
        columns[place].setdefault("trees", np.empty(n))[folds.test[fold]] = values
    return [_averaged(found, one, weight) for found, one in zip(columns, responses, strict=True)]


def _averaged(found: dict[str, Float], response: Response, weight: Float | None) -> Float:
    rows = response.rows
    table = np.column_stack([found[name] for name in LEARNERS if name in found])
    share = stack_shares(table[rows], response.values[rows], _part(weight, rows))
    return np.asarray(table @ share, dtype=np.float64)


def _smooth(
    curves: Curves, responses: Sequence[Response], folds: Folds, weight: Float | None
) -> list[dict[str, Float]]:
    """Predict every response by lines, by curves and by means."""
    columns = [{"mean": predict_by_means(one, folds, weight)} for one in responses]
    for learner, n_needed in (("lines", 1), ("curves", curves.n_lines + 1)):
        if curves.n_columns >= n_needed:
            predicted = predict_by_curves(learner, curves, responses, folds, weight)
            for found, values in zip(columns, predicted, strict=True):
                found[learner] = values
    return columns


def _grow(
    X: Float, response: Response, folds: Folds, fold: int, weight: Float | None, seed: int
) -> Float:
    """Predict one fold by trees."""
    rows = np.flatnonzero(response.rows & folds.train[fold])
    return predict_by_trees(
        X[rows], response.values[rows], X[folds.test[fold]], weight=_part(weight, rows),
        is_binary=response.is_chance, seed=seed % 2**31,
    )  # fmt: skip


def _trees_win(
    X: Float,
    keys: npt.NDArray[np.uint64],
    response: Response,
    smooth: Float,
    weight: Float | None,
    seed: int,
) -> bool:
    """Tell whether trees are worth growing in all folds, beside learners that predict `smooth`."""
    rows = _racing_rows(response, keys)
    if rows is None:
        return True
    others = response.rows.copy()
    others[rows] = False
    left = response.values - smooth
    found = predict_by_trees(
        X[rows], left[rows], X[others], weight=_part(weight, rows), is_binary=False,
        seed=seed % 2**31,
    )  # fmt: skip
    along = found * left[others] if weight is None else found * left[others] * weight[others]
    return bool(along.sum() > _CLEAR * np.sqrt((along**2).sum()))


def _racing_rows(response: Response, keys: npt.NDArray[np.uint64]) -> Int | None:
    """Choose rows by their content; None where a race is not worth it."""
    known = np.flatnonzero(response.rows)
    if len(known) < _IN_RACE:
        return None
    most = _MOST_IN_RACE * len(known)
    size = min(float(_IN_RACE), most)
    if response.is_chance:
        share = float(response.values[known].mean())
        size = max(min(2 * size, most), _RARER_IN_RACE / max(min(share, 1 - share), 1e-12))
    if size > most:
        return None
    return np.asarray(known[sampled(keys[known], int(size))], dtype=np.intp)


def _part(weight: Float | None, rows: Int | npt.NDArray[np.bool_]) -> Float | None:
    """Return the weights of some rows; None where all are 1."""
    part = None if weight is None else weight[rows]
    return None if part is None or bool((part == 1.0).all()) else part


def stack_shares(columns: Float, values: Float, weight: Float | None) -> Float:
    """Return the weights of predictions whose average is nearest to the values.

    Weights are not negative and sum to 1. Each prediction being out of fold, a handful of weights
    fitted on all rows costs nothing that matters.
    """
    n = columns.shape[1]
    table = np.column_stack([columns, values])
    table = table - values.mean()
    if weight is not None:
        table *= np.sqrt(weight)[:, None]
    triangle: Float = np.asarray(np.linalg.qr(table, mode="r"))
    size = float(np.abs(triangle).max())
    if size == 0 or n == 1:
        return np.asarray(np.eye(n)[0], dtype=np.float64)
    # A row that outweighs all others makes the shares sum to 1.
    system: Float = np.vstack([triangle / size, np.full((1, n + 1), 1e4)])
    share = np.asarray(nnls(system[:, :-1], system[:, -1])[0], dtype=np.float64)
    out: Float = share / share.sum()
    return out
