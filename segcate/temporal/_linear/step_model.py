"""The linear model of the next step: a pooled ridge, each unit's own answers, and a ridge with both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float, Int
from segcate.temporal._linear.histories import Histories, Widths, features, own_features
from segcate.temporal._linear.own_answers import AnswerLaw, are_long, filter_answers, fit_answers
from segcate.temporal._linear.ridge import RidgeFit, fit_ridge, held_out_errors, sums_by_fold

# Steps of EM: from scratch, and for a resample, which begins at the law of all units.
_EM_STEPS, _EM_STEPS_AGAIN = 15, 5


@dataclass(frozen=True, slots=True)
class StepModel:
    """Coefficients of the next step.

    Attributes
    ----------
    pooled : float64 array of shape (p, d_y)
        Of the changes of outcomes, without a unit's own answers.
    covariance : float64 array of shape (d_y, 1 + d_a, 1 + d_a)
    noise : float64 array of shape (d_y,)
        Law of the own answers, an outcome at a time.
    coef : float64 array of shape (p + own, d_y + d_x + k)
        Of the changes of outcomes, of the next covariates, and of chances of zeros that stand apart; own answers
        last.
    """

    pooled: Float
    covariance: Float
    noise: Float
    coef: Float

    def answers(self, histories: Histories, columns: Float) -> Float:
        """Return what is known of each unit's own answers before each row, (n, t, d_y, 1 + d_a)."""
        d_y = histories.widths.outcome
        errors = histories.targets()[..., :d_y] - columns @ self.pooled
        laws = [AnswerLaw(*law) for law in zip(self.covariance, self.noise, strict=True)]
        return _filtered(histories, errors, laws)


@dataclass(frozen=True, slots=True)
class FittedSteps:
    """Models of the next step, of all units and of resamples of them.

    Attributes
    ----------
    models : list of StepModel
        That of all units first.
    penalty : float64 array of shape (d_y + d_x,)
    errors : float64 array of shape (n_rows, d_y + d_x)
        Of the first model, on folds left out, in the order of units and rows.
    """

    models: list[StepModel]
    penalty: Float
    errors: Float


def fit_steps(
    histories: Histories, fold: Int, weights: Float, row_weights: Float | None = None
) -> FittedSteps:
    """Fit the model of the next step for each weighing of units.

    Parameters
    ----------
    fold : intp array of shape (n,)
    weights : float64 array of shape (n_models, n)
        How often each unit counts; the first row is ones.
    row_weights : float64 array of shape (n, t), or None
        How much each row counts in the regressions; None: all the same.
    """
    widths, is_learned = histories.widths, histories.is_learned
    read = features(histories)
    pooled = read * is_learned[..., None]
    targets = histories.targets() * is_learned[..., None]
    columns = np.concatenate([pooled, targets], axis=2)
    root = 1.0 if row_weights is None else np.sqrt(row_weights)[..., None]
    sums = sums_by_fold(columns * root, fold, weights)
    chances = _fit_zeros(histories, read, fold, weights, root)
    models: list[StepModel] = []
    laws: list[AnswerLaw] | None = None
    has_tails = np.zeros(widths.outcome, dtype=bool)
    penalty, errors = np.empty(0), np.empty(0)
    for i, weight in enumerate(weights):
        first = _fit_pooled(sums[i], widths)
        rest = held_out_errors(_of_outcomes(columns, widths), first, fold)
        if laws is None:
            has_tails = _find_tails(
                histories, rest, _fit_laws(histories, rest, weight, None, has_tails)
            )
        laws = _fit_laws(histories, rest, weight, laws, has_tails)
        answers = _filtered(histories, rest, laws[: widths.outcome])
        own = own_features(answers, histories.treatment, histories.outcome) * is_learned[..., None]
        full = _fit_full(sums[i], columns * root, own * root, fold, weight, widths)
        models.append(
            StepModel(
                first.coef,
                np.stack([law.covariance for law in laws]),
                np.array([law.noise for law in laws]),
                np.concatenate([full.coef, chances[i]], axis=1),
            )
        )
        if i == 0:
            penalty = full.penalty
            everything = np.concatenate([pooled, own, targets], axis=2)
            errors = held_out_errors(everything, full, fold)[is_learned]
    return FittedSteps(models, penalty, errors)


def _fit_zeros(
    histories: Histories, read: Float, fold: Int, weights: Float, root: Float | float
) -> Float:
    """Fit the chance that the next outcome is zero, (n_models, p + own, k), by features `read` but no own answers."""
    widths = histories.widths
    found = np.zeros((len(weights), widths.features, widths.zeros))
    if histories.zeros is None or histories.watched is None:
        return found
    following = np.zeros_like(histories.zeros)
    following[:, :-1] = histories.zeros[:, 1:]
    columns = np.concatenate([read, following], axis=2)
    sums = sums_by_fold(columns * histories.watched[..., None] * root, fold, weights)
    p = columns.shape[2] - widths.zeros
    for i in range(len(weights)):
        found[i, :p] = fit_ridge(sums[i], widths.zeros, _free(p, widths)).coef
    return found


def held_out_changes(histories: Histories, fold: Int) -> Float:
    """Return the errors of changes of outcomes by the pooled model alone, (n_rows, d_y)."""
    is_learned = histories.is_learned
    both = np.concatenate([features(histories), histories.targets()], axis=2)
    columns = _of_outcomes(both * is_learned[..., None], histories.widths)
    sums = sums_by_fold(columns, fold, np.ones((1, len(fold))))[0]
    d_y = histories.widths.outcome
    fit = fit_ridge(sums, d_y, _free(columns.shape[2] - d_y, histories.widths))
    return held_out_errors(columns, fit, fold)[is_learned]


def _of_outcomes(columns: Float, widths: Widths) -> Float:
    """Leave the equations of covariates out."""
    return columns[..., : columns.shape[2] - widths.covariates]


def _free(p: int, widths: Widths) -> Bool:
    """Mark the features without penalty: constant, treatments and their pairs."""
    found: Bool = np.arange(p) < widths.blocks()["pairs"].stop
    return found


def _fit_pooled(sums: Float, widths: Widths) -> RidgeFit:
    p = widths.blocks()["own"].start
    kept = slice(0, p + widths.outcome)
    return fit_ridge(sums[:, kept, kept], widths.outcome, _free(p, widths))


def _fit_laws(
    histories: Histories,
    errors: Float,
    weight: Float,
    start: list[AnswerLaw] | None,
    has_tails: Bool,
) -> list[AnswerLaw]:
    regressors = _regressors(histories.treatment)
    return [
        fit_answers(
            errors[..., j], regressors, histories.is_learned, weight,
            n_steps=_EM_STEPS if start is None else _EM_STEPS_AGAIN,
            start=None if start is None else start[j],
            has_tails=bool(has_tails[j]),
        )
        for j in range(errors.shape[2])
    ]  # fmt: skip


def _find_tails(histories: Histories, errors: Float, laws: list[AnswerLaw]) -> Bool:
    """Tell the outcomes whose errors, given what was known of the unit, have long tails."""
    known = _filtered(histories, errors, laws)
    expected = (known * _regressors(histories.treatment)[:, :, None]).sum(axis=3)
    left = (errors - expected)[histories.is_learned]
    return np.array([are_long(left[:, j]) for j in range(left.shape[1])])


def _filtered(histories: Histories, errors: Float, laws: list[AnswerLaw]) -> Float:
    regressors = _regressors(histories.treatment)
    found = [
        filter_answers(errors[..., j], regressors, histories.is_learned, law)
        for j, law in enumerate(laws)
    ]
    return np.stack(found, axis=2)


def _regressors(treatment: Float) -> Float:
    return np.concatenate([np.ones((*treatment.shape[:2], 1)), treatment], axis=2)


def _fit_full(
    sums: Float, columns: Float, own: Float, fold: Int, weight: Float, widths: Widths
) -> RidgeFit:
    """Fit all equations on the pooled features and the unit's own answers."""
    p = widths.blocks()["own"].start
    size, d_o = columns.shape[2], own.shape[2]
    full = np.zeros((len(sums), size + d_o, size + d_o))
    at = np.r_[0:p, p + d_o : size + d_o]
    full[:, at[:, None], at] = sums
    inside = slice(p, p + d_o)
    for k, rows, counted in _by_fold(own, fold, weight):
        cross = counted.T @ columns[rows].reshape(-1, size)
        block = full[k]
        block[inside, at] = cross
        block[at, inside] = cross.T
        block[inside, inside] = counted.T @ own[rows].reshape(-1, d_o)
    return fit_ridge(full, widths.targets, _free(p + d_o, widths))


def _by_fold(own: Float, fold: Int, weight: Float) -> Iterator[tuple[int, Int, Float]]:
    for k in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold == k)
        counted = own[rows] * weight[rows, None, None]
        yield k, rows, counted.reshape(-1, own.shape[2])
