"""Averages of learners with the weights that predict best out of fold (short-stacking).

Ahrens, Hansen, Schaffer & Wiemann (2025), Journal of Applied Econometrics 40(3):249-269. Where rows are
many a race on some of them says first which learners need not run on all.
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

# With more rows than this learners race on this part of them, in two folds. Those with a smaller share
# of the average are left out. Chances, of which 0 and 1 say little, need twice as many rows: on 6,000
# the loss hardly rose without trees, and on 50,000 it was trees that followed the steps.
FEW_ROWS = 20_000
_IN_RACE = 6_000
_LEAST_SHARE = 0.1
# A race needs so many rows of the rarer value of 0 and 1; it is not worth it on a large part of the rows.
_RARER_IN_RACE = 600
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
    learners: list[tuple[str, ...]] = [LEARNERS] * len(responses)
    if n > FEW_ROWS:
        learners = _race(covariates, curves, responses, folds, weight, seeds, n_jobs)
    found = _run(covariates, curves, responses, learners, folds, weight, seeds, n_jobs)
    return [_averaged(table, one, weight) for table, one in zip(found, responses, strict=True)]


def _averaged(table: Float, response: Response, weight: Float | None) -> Float:
    rows = response.rows
    share = stack_shares(table[rows], response.values[rows], _part(weight, rows))
    return np.asarray(table @ share, dtype=np.float64)


def _run(
    covariates: Covariates,
    curves: Curves,
    responses: Sequence[Response],
    learners: Sequence[tuple[str, ...]],
    folds: Folds,
    weight: Float | None,
    seeds: Sequence[int],
    n_jobs: int | None,
) -> list[Float]:
    """Return the predictions of the learners of each response, one column each."""
    columns: list[dict[str, Float]] = [{} for _ in responses]
    for learner, n_needed in (("lines", 1), ("curves", curves.n_lines + 1)):
        ones = [place for place, names in enumerate(learners) if learner in names]
        if ones and curves.n_columns >= n_needed:
            parts = [responses[place] for place in ones]
            predicted = predict_by_curves(learner, curves, parts, folds, weight)
            for place, values in zip(ones, predicted, strict=True):
                columns[place][learner] = values
    jobs = [
        (place, fold)
        for place, names in enumerate(learners)
        if "trees" in names
        for fold in range(len(folds.test))
    ]
    predicted = Parallel(n_jobs=n_jobs)(
        delayed(_grow)(covariates.values, responses[i], folds, k, weight, seeds[i] + k)
        for i, k in jobs
    )
    for (place, fold), values in zip(jobs, predicted, strict=True):
        column = columns[place].setdefault("trees", np.empty(len(covariates.values)))
        column[folds.test[fold]] = values
    for place, one in enumerate(responses):
        columns[place]["mean"] = predict_by_means(one, folds, weight)
    return [
        np.column_stack([found[name] for name in LEARNERS if name in found]) for found in columns
    ]


def _grow(
    X: Float, response: Response, folds: Folds, fold: int, weight: Float | None, seed: int
) -> Float:
    """Predict one fold by trees."""
    rows = np.flatnonzero(response.rows & folds.train[fold])
    return predict_by_trees(
        X[rows], response.values[rows], X[folds.test[fold]], weight=_part(weight, rows),
        is_binary=response.is_chance, seed=seed % 2**31,
    )  # fmt: skip


def _race(
    covariates: Covariates,
    curves: Curves,
    responses: Sequence[Response],
    folds: Folds,
    weight: Float | None,
    seeds: Sequence[int],
    n_jobs: int | None,
) -> list[tuple[str, ...]]:
    """Name the learners of each response that are worth fitting on all rows."""
    keys = row_keys(covariates.values, weight)
    late = np.zeros(len(keys), dtype=bool)
    late[np.concatenate(folds.test[len(folds.test) // 2 :])] = True
    out: list[tuple[str, ...]] = []
    for response, seed in zip(responses, seeds, strict=True):
        rows = _racing_rows(response, keys, late)
        if rows is None:
            out.append(LEARNERS)
            continue
        halves = late[rows]
        part = Response(response.values[rows], np.ones(len(rows), dtype=bool), response.is_chance)
        two = Folds((~halves, halves), (np.flatnonzero(halves), np.flatnonzero(~halves)))
        inputs = covariates.take(rows), curves.take(rows)
        w = _part(weight, rows)
        (table,) = _run(*inputs, [part], [LEARNERS], two, w, [seed], n_jobs)
        names = [name for name in LEARNERS if name != "curves" or curves.n_columns > curves.n_lines]
        share = stack_shares(table, part.values, w)
        kept = [name for name, s in zip(names, share, strict=True) if s >= _LEAST_SHARE]
        out.append(tuple(dict.fromkeys([*kept, "mean"])))
    return out


def _racing_rows(
    response: Response, keys: npt.NDArray[np.uint64], late: npt.NDArray[np.bool_]
) -> Int | None:
    """Choose rows of both halves by their content; None where a race is not worth it."""
    known = np.flatnonzero(response.rows)
    most = float(_IN_RACE)
    if response.is_chance:
        share = float(response.values[known].mean())
        most = max(2 * most, _RARER_IN_RACE / max(min(share, 1 - share), 1e-12))
    if most > _MOST_IN_RACE * len(known):
        return None
    rows: Int = known[sampled(keys[known], int(most))]
    halves = late[rows]
    return rows if 0 < halves.sum() < len(rows) else None


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
