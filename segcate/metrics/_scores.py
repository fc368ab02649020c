"""Scores of a ranking by predicted effect: QINI, AUTOC and uplift at k."""

from __future__ import annotations

from typing import Any

from segcate._inputs.arrays import Float
from segcate._inputs.outcome import check_outcome
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_prediction, check_same_index, check_vector
from segcate._inputs.weights import check_weights
from segcate._nuisance.pseudo_outcomes import arm_centred_scores
from segcate._ranking.formulas import RankKind, rank_score
from segcate._ranking.rows import rank_rows
from segcate.metrics._normalization import Normalize, qini_divisor
from segcate.metrics._rank_estimate import check_k, top_effect

__all__ = [
    "autoc_experiment_score",
    "autoc_score",
    "qini_experiment_score",
    "qini_score",
    "uplift_at_k",
    "uplift_at_k_experiment_score",
]


def qini_score(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    normalize: Normalize = None,
    y: Any = None,
    treatment: Any = None,
) -> float:
    r"""Score a ranking by the area between its gain curve and the chord (QINI).

    Treat the rows of highest predicted effect first; the gain is the effect collected by then, per
    row of all. QINI weighs the whole ranking alike; `autoc_score` looks at its head.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    normalize : {None, "ate", "oracle"}, default=None
        None: in units of y. "ate": over the size of the average effect; only where that is clearly
        not 0. "oracle": over the area of the ranking that knows every outcome, as scikit-uplift
        divides; y in {0, 1} only. See Notes.
    y : array-like of shape (n_samples,), values in {0, 1}, default=None
        Outcome, needed by `normalize="oracle"` alone.
    treatment : array-like of shape (n_samples,), values in {0, 1}, default=None
        Arm of each row, needed by `normalize="oracle"` alone.

    Returns
    -------
    float
        In units of y, or without unit where normalised. Chance is 0, a ranking upside down is
        negative.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, or if a weight is negative; if what is divided by is 0.

    Warns
    -----
    SegcateWarning
        If `normalize="ate"` and the average effect is within two standard errors of 0.

    See Also
    --------
    rank_test : The same with standard error and p-value.
    qini_experiment_score : From outcome and treatment of a randomised experiment.

    Notes
    -----
    RATE with weight 1/2 - u at quantile u of the ranking (Yadlowsky et al., 2025), as in grf with
    `target="QINI"`. Rows of equal prediction share their mean, so their order is irrelevant; when
    all are equal the score is 0. It is not divided by anything unless asked: a score relative to the
    average effect explodes where that is near 0. The oracle's area is
    :math:`\{p_1 (1 - x_1) + p_0 (1 - x_0)\} / 2` with :math:`p_t` the share of arm t that responds
    and :math:`x_t` the share of all rows that are responders of arm t. It is an area of counts: on
    effect scores the oracle's own ranking reaches half of it in an experiment with equal arms.

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
    owner = "qini_score"
    check_same_index(
        owner, pseudo_outcome=pseudo_outcome, prediction=prediction, sample_weight=sample_weight,
        y=y, treatment=treatment,
    )  # fmt: skip
    value = _score_of(owner, "qini", pseudo_outcome, prediction, sample_weight)
    return value / qini_divisor(owner, normalize, pseudo_outcome, sample_weight, y, treatment)


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
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.

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
    y: Any,
    prediction: Any,
    *,
    treatment: Any,
    sample_weight: Any = None,
    normalize: Normalize = None,
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
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    normalize : {None, "ate", "oracle"}, default=None
        As in `qini_score`.

    Returns
    -------
    float
        In units of y, or without unit where normalised. Chance is 0; adding a constant to y changes nothing.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, of another length or with another index, if the
        treatment is missing or not 0/1, if one arm is empty, or if what is divided by is 0.

    See Also
    --------
    qini_score : For observational data, with scores from `effect_scores`.

    Examples
    --------
    >>> from segcate.metrics import qini_experiment_score
    >>> qini_experiment_score([1, 0, 0, 0], [0.9, 0.5, 0.2, 0.1], treatment=[1, 0, 1, 0])
    0.125
    """
    owner = "qini_experiment_score"
    check_same_index(
        owner, y=y, prediction=prediction, treatment=treatment, sample_weight=sample_weight,
    )  # fmt: skip
    psi = experiment_scores(owner, y, treatment, sample_weight)
    value = _score_of(owner, "qini", psi, prediction, sample_weight)
    return value / qini_divisor(owner, normalize, psi, sample_weight, y, treatment)


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
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.

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
    owner = "autoc_experiment_score"
    check_same_index(
        owner, y=y, prediction=prediction, treatment=treatment, sample_weight=sample_weight,
    )  # fmt: skip
    psi = experiment_scores(owner, y, treatment, sample_weight)
    return _score_of(owner, "autoc", psi, prediction, sample_weight)


def uplift_at_k(
    pseudo_outcome: Any, prediction: Any, *, k: float = 0.3, sample_weight: Any = None
) -> float:
    r"""Average the effect over the share k of rows with the highest predictions.

    Use it when capacity fixes how many can be treated. It says how strong the effect is among
    those, not how well the rest is ranked, and chance is the average effect, not 0.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    k : float, default=0.3
        Share of the weight that is treated, in (0, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.

    Returns
    -------
    float
        In units of y.

    Raises
    ------
    ValueError
        If `k` is outside (0, 1]; if an array is NaN or infinite somewhere, not one-dimensional, of
        another length or with another index, or if a weight is negative.

    See Also
    --------
    rank_test : The same with standard error, as `kind="uplift_at_k"`.
    cumulative_effect_curve : The same for every share.

    Notes
    -----
    :math:`g(k) / k`, :math:`g` the gain of `uplift_curve`. A block of equal predictions that the
    share cuts comes in by its mean, so the order of its rows is irrelevant.

    Examples
    --------
    >>> from segcate.metrics import uplift_at_k
    >>> uplift_at_k([3.0, 1.0, 0.0, 0.0], [0.9, 0.5, 0.2, 0.1], k=0.5)
    2.0
    """
    return _top_effect("uplift_at_k", pseudo_outcome, prediction, k, sample_weight)


def uplift_at_k_experiment_score(
    y: Any, prediction: Any, *, treatment: Any, k: float = 0.3, sample_weight: Any = None
) -> float:
    """Average the effect over the best share k of a randomised experiment, without any model.

    Effect scores are made of the outcome and the means of the arms. Right when every row had the
    same chance of treatment, and only then.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row; both must occur, but not among the best rows.
    k : float, default=0.3
        Share of the weight that is treated, in (0, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.

    Returns
    -------
    float
        In units of y.

    Raises
    ------
    ValueError
        If `k` is outside (0, 1]; if an array is NaN or infinite somewhere, of another length or with
        another index; if the treatment is missing or not 0/1, or if one arm is empty.

    See Also
    --------
    uplift_at_k : For observational data, with scores from `effect_scores`.

    Examples
    --------
    >>> from segcate.metrics import uplift_at_k_experiment_score
    >>> uplift_at_k_experiment_score([3, 1, 1, 1], [4, 3, 2, 1], treatment=[1, 0, 1, 0], k=0.5)
    2.0
    """
    owner = "uplift_at_k_experiment_score"
    check_same_index(
        owner, y=y, prediction=prediction, treatment=treatment, sample_weight=sample_weight,
    )  # fmt: skip
    psi = experiment_scores(owner, y, treatment, sample_weight)
    return _top_effect(owner, psi, prediction, k, sample_weight)


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
    check_same_index(
        owner, pseudo_outcome=pseudo_outcome, prediction=prediction, sample_weight=sample_weight,
    )  # fmt: skip
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    ranking = check_prediction(owner, prediction, pseudo_outcome)
    return rank_score(ranking, psi, weight, kind=kind).value


def _top_effect(
    owner: str, pseudo_outcome: Any, prediction: Any, k: Any, sample_weight: Any
) -> float:
    check_k(owner, k)
    check_same_index(
        owner, pseudo_outcome=pseudo_outcome, prediction=prediction, sample_weight=sample_weight,
    )  # fmt: skip
    psi = check_vector(owner, "pseudo_outcome", pseudo_outcome, pseudo_outcome)
    weight = check_weights(owner, sample_weight, pseudo_outcome)
    ranking = check_prediction(owner, prediction, pseudo_outcome)
    return top_effect(rank_rows(ranking, psi, weight), float(k))
