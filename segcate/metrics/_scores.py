"""Scores of a ranking by predicted effect: QINI and AUTOC, with their standard errors."""

from __future__ import annotations

from typing import Any

from segcate._ranking import RankKind, RankScore, rank_difference, rank_score
from segcate._validation import (
    Float,
    check_groups,
    check_option,
    check_outcome,
    check_treatment,
    check_weights,
)
from segcate.metrics._checks import check_prediction, check_vector
from segcate._pseudo_outcomes import arm_centred_scores

__all__ = [
    "autoc_experiment_score",
    "autoc_score",
    "qini_experiment_score",
    "qini_score",
    "rank_test",
]


def qini_score(pseudo_outcome: Any, prediction: Any, *, sample_weight: Any = None) -> float:
    """Score a ranking by the area between its gain curve and the chord (QINI).

    Treat the rows of highest predicted effect first; the gain is the effect collected by then, per
    row of all. QINI weighs the whole ranking alike; `autoc_score` looks at its head.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; a weight of 2 is the row twice.

    Returns
    -------
    float
        In units of y. Chance is 0, a ranking upside down is negative.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, or if a weight is negative.

    See Also
    --------
    rank_test : The same with standard error and p-value.
    qini_experiment_score : From outcome and treatment of a randomised experiment.

    Notes
    -----
    RATE with weight 1/2 - u at quantile u of the ranking (Yadlowsky et al., 2025), as in grf with
    `target="QINI"`. Rows of equal prediction share their mean, so their order is irrelevant; when
    all are equal the score is 0. It is not divided by anything: a score relative to the average
    effect explodes where that is near 0.

    References
    ----------
    Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., & Wager, S. (2025). Evaluating treatment
    prioritization rules via rank-weighted average treatment effects. JASA, 120(549), 38-51.
    doi:10.1080/01621459.2024.2393466

    Examples
    --------
    >>> from segcate.metrics import qini_score
    >>> psi = [3.0, 1.0, 0.0, 0.0]
    >>> qini_score(psi, [0.9, 0.5, 0.2, 0.1])
    0.3125
    >>> qini_score(psi, [0.1, 0.2, 0.5, 0.9])
    -0.3125
    """
    return _score_of("qini_score", "qini", pseudo_outcome, prediction, sample_weight)


def autoc_score(pseudo_outcome: Any, prediction: Any, *, sample_weight: Any = None) -> float:
    """Score a ranking by the area under its targeting operator curve (AUTOC).

    The curve is the mean effect in the top share q, less the mean effect of all; its area puts the
    weight on the head. Use it when few rows can be treated, or few respond.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; a weight of 2 is the row twice. AUTOC sums over ranks, so weights
        should average about 1.

    Returns
    -------
    float
        In units of y. Chance is 0, a ranking upside down is negative.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, if a weight is negative, or if weights average below 0.1.

    See Also
    --------
    rank_test : The same with standard error and p-value.
    qini_score : Weighs the whole ranking alike.

    Notes
    -----
    RATE with weight -log(u) - 1 at quantile u of the ranking (Yadlowsky et al., 2025), summed over
    ranks as in grf with `target="AUTOC"`.

    References
    ----------
    Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., & Wager, S. (2025). Evaluating treatment
    prioritization rules via rank-weighted average treatment effects. JASA, 120(549), 38-51.
    doi:10.1080/01621459.2024.2393466

    Examples
    --------
    >>> from segcate.metrics import autoc_score
    >>> round(autoc_score([3.0, 1.0, 0.0, 0.0], [0.9, 0.5, 0.2, 0.1]), 6)
    0.833333
    """
    return _score_of("autoc_score", "autoc", pseudo_outcome, prediction, sample_weight)


def qini_experiment_score(
    y: Any, prediction: Any, *, treatment: Any, sample_weight: Any = None
) -> float:
    """Score a ranking on a randomised experiment by QINI, without any model.

    Effect scores are made of the outcome and the means of the arms. Right when every row had the
    same chance of treatment, and only then: on observational data it prefers the wrong ranking.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row; both must occur.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0; a weight of 2 is the row twice.

    Returns
    -------
    float
        In units of y. Chance is 0; adding a constant to y changes nothing.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, of another length or with another index, if the
        treatment is missing or not 0/1, or if one arm is empty.

    See Also
    --------
    qini_score : For observational data, with scores from `effect_scores`.

    Examples
    --------
    >>> from segcate.metrics import qini_experiment_score
    >>> qini_experiment_score([1, 0, 0, 0], [0.9, 0.5, 0.2, 0.1], treatment=[1, 0, 1, 0])
    0.125
    """
    psi = experiment_scores("qini_experiment_score", y, treatment, sample_weight)
    return _score_of("qini_experiment_score", "qini", psi, prediction, sample_weight)


def autoc_experiment_score(
    y: Any, prediction: Any, *, treatment: Any, sample_weight: Any = None
) -> float:
    """Score a ranking on a randomised experiment by AUTOC, without any model.

    Effect scores are made of the outcome and the means of the arms. Right when every row had the
    same chance of treatment, and only then.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row; both must occur.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0, about 1 on average; a weight of 2 is the row twice.

    Returns
    -------
    float
        In units of y. Chance is 0; adding a constant to y changes nothing.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, of another length or with another index, if the
        treatment is missing or not 0/1, or if one arm is empty.

    See Also
    --------
    autoc_score : For observational data, with scores from `effect_scores`.

    Examples
    --------
    >>> from segcate.metrics import autoc_experiment_score
    >>> score = autoc_experiment_score([1, 0, 0, 0], [0.9, 0.5, 0.2, 0.1], treatment=[1, 0, 1, 0])
    >>> round(score, 6)
    0.375
    """
    psi = experiment_scores("autoc_experiment_score", y, treatment, sample_weight)
    return _score_of("autoc_experiment_score", "autoc", psi, prediction, sample_weight)


def rank_test(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    kind: RankKind = "qini",
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
) -> RankScore:
    """Test whether a ranking beats chance, or another ranking of the same rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows.
    kind : {"qini", "autoc"}, default="qini"
        Score of the ranking: `qini_score` or `autoc_score`.
    baseline : array-like of shape (n_samples,), default=None
        Another prediction: the result is the score of `prediction` less that of `baseline`, with
        the standard error of the difference on the same rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows; at least two.

    Returns
    -------
    RankScore
        With `value` and `std_error` in units of y, `p_value` (two-sided, normal; NaN where every
        row has the same prediction) and `confidence_interval()`.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, or if `groups` holds a single group.

    Notes
    -----
    The standard error is that of the influence function, with the part that comes from ranks being
    estimated; without it, it is up to twice too wide. A weight is a sampling weight here: a row of
    weight 2 is one unit of evidence, as two equal rows of one group are. The spread of scores over
    folds is not a standard error.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import rank_test
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> test = rank_test(effect + rng.normal(size=500), effect)
    >>> round(test.value, 2), round(test.std_error, 2), test.p_value < 0.001
    (0.29, 0.02, True)
    """
    owner = "rank_test"
    check_option(owner, "kind", kind, ["qini", "autoc"])
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    clusters = check_groups(owner, groups, pseudo_outcome)
    ranking = check_prediction(owner, prediction, pseudo_outcome)
    if baseline is None:
        return rank_score(ranking, psi, weight, kind=kind, groups=clusters)
    other = check_vector(owner, "baseline", baseline, pseudo_outcome)
    ours = rank_score(ranking, psi, weight, kind=kind, groups=clusters, with_influence=True)
    theirs = rank_score(other, psi, weight, kind=kind, groups=clusters, with_influence=True)
    return rank_difference(ours, theirs, weight, groups=clusters)


def experiment_scores(owner: str, y: Any, treatment: Any, sample_weight: Any) -> Float:
    """Check the data of an experiment and make its effect scores."""
    outcome = check_outcome(owner, y, y)
    arm = check_treatment(owner, treatment, y)
    weight = check_weights(owner, sample_weight, y)
    counted = arm if weight is None else arm[weight > 0]
    n_treated = int(counted.sum())
    if n_treated in (0, len(counted)):
        raise ValueError(
            f"{owner}: of {len(counted)} rows to score on, {n_treated} are treated, and both arms "
            "are needed. In a search use cv=segcate.model_selection.TreatmentStratifiedKFold(), "
            "which keeps both arms in every fold."
        )
    return arm_centred_scores(outcome, arm, weight)


def _score_of(
    owner: str, kind: RankKind, pseudo_outcome: Any, prediction: Any, sample_weight: Any
) -> float:
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    ranking = check_prediction(owner, prediction, pseudo_outcome)
    return rank_score(ranking, psi, weight, kind=kind).value
