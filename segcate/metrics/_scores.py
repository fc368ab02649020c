"""Scores of a ranking by predicted effect: QINI, AUTOC and uplift at k."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, get_args

import numpy as np

from segcate._inputs.parameters import check_option
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_outcome, is_zero_one
from segcate._ranking.formulas import RankKind, area_value_and_influence
from segcate._ranking.rows import rank_rows
from segcate.exceptions import SegcateWarning
from segcate.metrics._rank_estimate import check_k, top_effect
from segcate.metrics._scored_rows import (
    Design,
    ScoredRows,
    check_rows,
    experiment_scores,
    mean_std_error,
)

Normalize = Literal["ate", "oracle"] | None


def qini_score(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    design: Design = "observational",
    treatment: Any = None,
    sample_weight: Any = None,
    normalize: Normalize = None,
    y: Any = None,
) -> float:
    r"""Score a ranking by the area between its gain curve and the chord (QINI).

    Treat the rows of highest predicted effect first; the gain is the effect collected by then, per
    row of all. QINI weighs the whole ranking alike; `autoc_score` looks at its head.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`; with design="experiment" the
        outcome itself.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    design : {"observational", "experiment"}, default="observational"
        "observational": scored on effect scores. "experiment": effect scores are made of the outcome
        and the means of the arms. Right when every row had the same chance of treatment, and only
        then: on observational data it prefers the wrong ranking.
    treatment : array-like of shape (n_samples,), values in {0, 1}, default=None
        Arm of each row, for design="experiment", and for `normalize="oracle"`. Both arms must occur.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    normalize : {None, "ate", "oracle"}, default=None
        None: in units of y. "ate": over the size of the average effect; only where that is clearly
        not 0. "oracle": over the area of the ranking that knows every outcome, as scikit-uplift
        divides; y in {0, 1} only. See Notes.
    y : array-like of shape (n_samples,), values in {0, 1}, default=None
        Outcome, for `normalize="oracle"` on effect scores.

    Returns
    -------
    float
        In units of y, or without unit where normalised. Chance is 0, a ranking upside down is
        negative.

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, or if a weight is negative; if, in an experiment, the treatment is missing, not
        0/1, or has one empty arm; if the divisor is 0.

    Warns
    -----
    SegcateWarning
        If `normalize="ate"` and the average effect is within two standard errors of 0.

    See Also
    --------
    rank_test : The same with standard error and p-value.

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

    A randomised experiment needs no model.

    >>> y, treatment = [1, 0, 0, 0], [1, 0, 1, 0]
    >>> qini_score(y, [0.9, 0.5, 0.2, 0.1], treatment=treatment, design="experiment")
    0.125
    """
    owner = "qini_score"
    check_option(owner, "normalize", normalize, [None, "ate", "oracle"])
    if y is not None and design == "experiment":
        raise ValueError(
            f"{owner}: `y` is for effect scores; with design='experiment' the outcome is the first "
            "argument. Leave `y` out."
        )
    by_oracle = normalize == "oracle"
    rows = _check(
        owner, design, pseudo_outcome, prediction, treatment, sample_weight, y=y,
        uses_treatment=by_oracle,
    )  # fmt: skip
    score = _area(rows, "qini")
    if normalize is None:
        return score
    if not by_oracle:
        return score / _size_of_ate(owner, rows)
    outcome = pseudo_outcome if design == "experiment" else y
    return score / _oracle_area(owner, rows, pseudo_outcome, outcome, treatment)


def autoc_score(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    design: Design = "observational",
    treatment: Any = None,
    sample_weight: Any = None,
) -> float:
    """Score a ranking by the area under its targeting operator curve (AUTOC).

    The curve is the mean effect in the top share q, less the mean effect of all; its area puts the
    weight on the head. Use it when few rows can be treated, or few respond.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`; with design="experiment" the
        outcome itself.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    design : {"observational", "experiment"}, default="observational"
        "observational": scored on effect scores. "experiment": effect scores are made of the outcome
        and the means of the arms. Right when every row had the same chance of treatment, and only
        then: on observational data it prefers the wrong ranking.
    treatment : array-like of shape (n_samples,), values in {0, 1}, default=None
        Arm of each row, for design="experiment". Both arms must occur.
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
        another index, or if a weight is negative; if, in an experiment, the treatment is missing, not
        0/1, or has one empty arm.

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
    rows = _check("autoc_score", design, pseudo_outcome, prediction, treatment, sample_weight)
    return _area(rows, "autoc")


def uplift_at_k(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    k: float = 0.3,
    design: Design = "observational",
    treatment: Any = None,
    sample_weight: Any = None,
) -> float:
    r"""Average the effect over the share k of rows with the highest predictions.

    Use it when capacity fixes how many can be treated. It says how strong the effect is among
    those, not how well the rest is ranked, and chance is the average effect, not 0.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`; with design="experiment" the
        outcome itself.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, or any number to rank by, highest first. Finite.
    k : float, default=0.3
        Share of the weight that is treated, in (0, 1].
    design : {"observational", "experiment"}, default="observational"
        "observational": scored on effect scores. "experiment": effect scores are made of the outcome
        and the means of the arms. Right when every row had the same chance of treatment, and only
        then: on observational data it prefers the wrong ranking.
    treatment : array-like of shape (n_samples,), values in {0, 1}, default=None
        Arm of each row, for design="experiment". Both arms must occur.
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
        another length or with another index, or if a weight is negative; if, in an experiment, the
        treatment is missing, not 0/1, or has one empty arm.

    See Also
    --------
    rank_test : The same with standard error, as `metric="uplift_at_k"`.
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
    owner = "uplift_at_k"
    check_k(owner, k)
    rows = _check(owner, design, pseudo_outcome, prediction, treatment, sample_weight)
    return top_effect(rank_rows(rows.prediction, rows.psi, rows.weight), float(k))


def _check(
    owner: str,
    design: Design,
    values: Any,
    prediction: Any,
    treatment: Any,
    sample_weight: Any,
    *,
    y: Any = None,
    uses_treatment: bool = False,
) -> ScoredRows:
    """Check the rows of a score; `values` are effect scores, or the outcomes of an experiment."""
    check_option(owner, "design", design, get_args(Design))
    if design == "experiment":
        psi = experiment_scores(owner, values, treatment, sample_weight)
        return check_rows(
            owner, psi, prediction, sample_weight, y=values, treatment=treatment, needs_units=1
        )
    rows = check_rows(
        owner, values, prediction, sample_weight, y=y, treatment=treatment, needs_units=1
    )
    if treatment is not None and not uses_treatment:
        raise ValueError(
            f"{owner}: `treatment` came, and effect scores need none. If the first argument is the "
            "outcome of a randomised experiment, say design='experiment'; else leave `treatment` out."
        )
    return rows


def _area(rows: ScoredRows, kind: RankKind) -> float:
    ranked = rank_rows(rows.prediction, rows.psi, rows.weight)
    return area_value_and_influence(ranked, kind)[0]


def _size_of_ate(owner: str, rows: ScoredRows) -> float:
    """Return the size of the average effect, and warn where it may be 0."""
    mean = rows.mean(rows.psi)
    if mean == 0:
        raise ValueError(
            f"{owner}: the average effect is 0, so nothing can be divided by it. Use normalize=None."
        )
    std_error = mean_std_error(rows.psi - mean, rows) if rows.n_rows > 1 else math.inf
    if abs(mean) < 2 * std_error:
        warnings.warn(
            f"{owner}: normalize='ate' divides by an average effect of {mean:.3g} with a standard "
            f"error of {std_error:.3g}, so the ratio says little. Use normalize=None.",
            SegcateWarning,
            stacklevel=3,
        )
    return abs(mean)


def _oracle_area(owner: str, rows: ScoredRows, reference: Any, y: Any, treatment: Any) -> float:
    """Return the area above the chord of a ranking that knows outcomes.

    Responders with treatment come first, those without it last, as scikit-uplift's perfect Qini
    curve with `negative_effect=True`, per row of all.
    """
    if y is None or treatment is None:
        raise ValueError(
            f"{owner}: normalize='oracle' needs `y` and `treatment`, for the responders of each arm; "
            f"{'`y`' if y is None else '`treatment`'} is None. Pass both, or normalize='ate'."
        )
    outcome = rows.keep(check_outcome(owner, y, reference))
    is_treated = rows.keep(check_treatment(owner, treatment, reference) == 1)
    weight = np.ones(rows.n_rows) if rows.weight is None else rows.weight
    if not is_zero_one(outcome):
        raise ValueError(
            f"{owner}: normalize='oracle' knows responders from others, so `y` must hold only 0 and "
            f"1; it has {len(np.unique(outcome))} values. Use normalize='ate' or None."
        )
    area = 0.0
    for arm in (is_treated, ~is_treated):
        responders, size = float((weight * outcome)[arm].sum()), float(weight[arm].sum())
        if size == 0:
            raise ValueError(
                f"{owner}: normalize='oracle' needs rows of both arms. Check `treatment`."
            )
        area += responders / size * (1.0 - responders / float(weight.sum())) / 2.0
    if area == 0:
        raise ValueError(
            f"{owner}: `y` is 0 in every row, so the oracle gains nothing. Use normalize=None."
        )
    return area
