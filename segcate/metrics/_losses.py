"""Losses of predicted effects: doubly robust and R-loss, with standard errors.

Nie, X., & Wager, S. (2021). Biometrika, 108(2), 299-319; Kennedy, E. H. (2023). Electronic Journal
of Statistics, 17(2), 3008-3049.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.groups import refuse_groups_that_are_arms
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_propensity, check_vector
from segcate._ranking.estimates import MetricEstimate
from segcate.metrics._scored_rows import (
    ScoredRows,
    check_rows,
    estimate_mean,
    mean_std_error,
)


def dr_loss(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> MetricEstimate:
    r"""Average the squared gap between effect score and predicted effect (DR loss).

    Use it to choose between models on the same effect scores: smaller is better. The level contains
    the noise of the scores and means little; differences do not contain it.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows. Finite.
    baseline : array-like of shape (n_samples,), default=None
        Another prediction: the result is the loss of `prediction` less that of `baseline`, with the
        standard error of the difference on the same rows. Negative: `prediction` is better.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    MetricEstimate
        In squared units of y, with `value`, `std_error` and interval; `float()` of it is the value,
        so `make_uplift_scorer(dr_loss, greater_is_better=False)` is a scorer.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index.

    See Also
    --------
    dr_score : Share of the loss of the best constant that the prediction saves.

    Notes
    -----
    :math:`\sum_i w_i (\psi_i - s_i)^2 / \sum_i w_i`. On scores of inverse propensity weighting this
    is the transformed-outcome loss; on mu1 - mu0 the plug-in (T) loss.

    References
    ----------
    Mahajan, D., Mitliagkas, I., Neal, B., & Syrgkanis, V. (2024). Empirical analysis of model
    selection for heterogeneous causal effect estimation. ICLR.

    Examples
    --------
    >>> from segcate.metrics import dr_loss
    >>> loss = dr_loss([2.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0])
    >>> loss.value, round(loss.std_error, 3)
    (0.5, 0.289)
    >>> dr_loss([2.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0], baseline=[0.0] * 4).value
    -1.0
    """
    owner = "dr_loss"
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, baseline=baseline,
        confidence_level=confidence_level,
    )  # fmt: skip
    losses = (rows.psi - rows.prediction) ** 2
    if baseline is not None:
        other = rows.keep(check_vector(owner, "baseline", baseline, pseudo_outcome))
        losses = losses - (rows.psi - other) ** 2
    return estimate_mean(losses, rows, confidence_level)


def dr_score(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> MetricEstimate:
    r"""Compare the DR loss with that of the best constant effect: 1 - loss / loss of the constant.

    Use it as `dr_loss` on a scale without units. Even the true effects score far below 1, because
    the noise of the effect scores is in both losses.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, from `effect_scores`.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows. Finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    MetricEstimate
        At most 1; 0 is as good as the mean effect score, negative is worse. Delta-method standard
        error.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, or all effect scores are equal.

    See Also
    --------
    dr_loss : The loss itself, and the difference of two losses.

    Examples
    --------
    >>> from segcate.metrics import dr_score
    >>> dr_score([2.0, 0.0, 1.0, 1.0], [1.5, 0.0, 1.0, 1.0]).value
    0.875
    """
    owner = "dr_score"
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, confidence_level=confidence_level
    )
    constant = rows.mean(rows.psi)
    losses, of_constant = (rows.psi - rows.prediction) ** 2, (rows.psi - constant) ** 2
    return _relative(owner, losses, of_constant, rows, confidence_level)


def r_loss(
    y: Any,
    prediction: Any,
    *,
    treatment: Any,
    propensity: Any,
    outcome: Any,
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> MetricEstimate:
    r"""Average the squared error of the outcome that the predicted effect leaves (R-loss).

    Use it as `dr_loss`; rows whose chance of treatment is near 0 or 1 count little.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows. Finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    propensity : array-like of shape (n_samples,), inside (0, 1)
        Chance of treatment e(x), known or fitted on other rows.
    outcome : array-like of shape (n_samples,)
        Expected outcome m(x) = E[y | x], whatever the arm, fitted on other rows.
    baseline : array-like of shape (n_samples,), default=None
        Another prediction: the result is the loss of `prediction` less that of `baseline`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    MetricEstimate
        In squared units of y; smaller is better. `float()` of it is the value.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, or a propensity is 0 or 1.

    See Also
    --------
    r_score : Share of the loss of the best constant effect that the prediction saves.

    Notes
    -----
    :math:`\sum_i w_i \{y_i - m_i - (t_i - e_i) s_i\}^2 / \sum_i w_i`, without a root.

    References
    ----------
    Nie, X., & Wager, S. (2021). Quasi-oracle estimation of heterogeneous treatment effects.
    Biometrika, 108(2), 299-319, equation 4. doi:10.1093/biomet/asaa076

    Examples
    --------
    >>> from segcate.metrics import r_loss
    >>> loss = r_loss([3.0, 1.0, 2.0, 0.0], [2.0, 2.0, 1.0, 1.0], treatment=[1, 0, 1, 0],
    ...               propensity=[0.5] * 4, outcome=[2.0, 2.0, 1.0, 1.0])
    >>> loss.value
    0.125
    """
    owner = "r_loss"
    rows = check_rows(
        owner, y, prediction, sample_weight, groups, name="y", treatment=treatment,
        propensity=propensity, outcome=outcome, baseline=baseline,
        confidence_level=confidence_level,
    )  # fmt: skip
    left, lever = _residuals(owner, rows, y, treatment, propensity, outcome)
    losses = (left - lever * rows.prediction) ** 2
    if baseline is not None:
        other = rows.keep(check_vector(owner, "baseline", baseline, y))
        losses = losses - (left - lever * other) ** 2
    return estimate_mean(losses, rows, confidence_level)


def r_score(
    y: Any,
    prediction: Any,
    *,
    treatment: Any,
    propensity: Any,
    outcome: Any,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> MetricEstimate:
    r"""Compare the R-loss with that of the best constant effect: 1 - loss / loss of the constant.

    Use it as `r_loss` on a scale without units.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Outcome.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows. Finite.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    propensity : array-like of shape (n_samples,), inside (0, 1)
        Chance of treatment e(x), known or fitted on other rows.
    outcome : array-like of shape (n_samples,)
        Expected outcome m(x) = E[y | x], whatever the arm, fitted on other rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    MetricEstimate
        At most 1; 0 is as good as the best constant effect. Delta-method standard error.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index, a propensity is 0 or 1, or no
        outcome differs from what a constant effect explains.

    See Also
    --------
    r_loss : The loss itself, and the difference of two losses.

    Examples
    --------
    >>> from segcate.metrics import r_score
    >>> score = r_score([3.0, 1.0, 2.0, 0.0], [2.0, 2.0, 1.0, 1.0], treatment=[1, 0, 1, 1],
    ...                 propensity=[0.5] * 4, outcome=[2.0, 2.0, 1.0, 1.0])
    >>> round(score.value, 3)
    0.167
    """
    owner = "r_score"
    rows = check_rows(
        owner, y, prediction, sample_weight, groups, name="y", treatment=treatment,
        propensity=propensity, outcome=outcome, confidence_level=confidence_level,
    )  # fmt: skip
    left, lever = _residuals(owner, rows, y, treatment, propensity, outcome)
    constant = rows.mean(left * lever) / rows.mean(lever**2)
    losses = (left - lever * rows.prediction) ** 2
    return _relative(owner, losses, (left - lever * constant) ** 2, rows, confidence_level)


def _residuals(
    owner: str, rows: ScoredRows, y: Any, treatment: Any, propensity: Any, outcome: Any
) -> tuple[Float, Float]:
    """Return y - m and t - e of the rows."""
    arm = check_treatment(owner, treatment, y)
    for name, values in (("propensity", propensity), ("outcome", outcome)):
        if values is None:
            raise ValueError(
                f"{owner}: `{name}` is None. Pass one value for every row, fitted on other rows, or "
                "use dr_loss on effect scores."
            )
    chance = np.asarray(check_propensity(owner, propensity, y), dtype=np.float64)
    expected = check_vector(owner, "outcome", outcome, y)
    refuse_groups_that_are_arms(owner, rows.clusters, rows.keep(arm))
    return rows.psi - rows.keep(expected), rows.keep(arm - chance)


def _relative(
    owner: str, losses: Float, of_constant: Float, rows: ScoredRows, confidence_level: float
) -> MetricEstimate:
    """Return 1 - mean(losses) / mean(of_constant), with the delta-method standard error.

    The constant minimises its loss, so that fitting it here changes nothing to first order.
    """
    total = rows.mean(of_constant)
    if total == 0:
        raise ValueError(
            f"{owner}: a constant effect leaves nothing unexplained, so there is nothing to compare "
            "with. Are the effect scores (or outcomes) all equal?"
        )
    ratio = rows.mean(losses) / total
    influence = (ratio * of_constant - losses) / total
    std_error = mean_std_error(influence, rows)
    return MetricEstimate(1.0 - ratio, std_error, rows.n_units, float(confidence_level))
