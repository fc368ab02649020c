"""What a targeting policy is worth: gain over treating nobody, or over another policy.

Athey, S., & Wager, S. (2021). Policy learning with observational data. Econometrica, 89(1), 133-161.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.vectors import as_array, as_column, as_numbers, check_vector
from segcate._ranking.estimates import MetricEstimate
from segcate.metrics._scored_rows import check_rows, estimate_mean

_OWNER = "policy_value"


@dataclass(frozen=True, slots=True, repr=False)
class PolicyValue(MetricEstimate):
    """What a policy gains per row, and whom it treats.

    Beside the attributes of `MetricEstimate` (`value` per row of all rows, in units of y):

    Attributes
    ----------
    n_treated : int
        Rows, of weight above 0, that the policy treats.
    share : float
        Their share of the weight.
    arm_counts : tuple of int
        Rows in each arm under the policy, control first.
    """

    n_treated: int = field(kw_only=True)
    share: float = field(kw_only=True)
    arm_counts: tuple[int, ...] = field(kw_only=True)


def policy_value(
    pseudo_outcome: Any,
    policy: Any,
    *,
    cost: Any = 0.0,
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> PolicyValue:
    r"""Estimate what a policy gains per row: over treating nobody, or over another policy.

    Use it on rows that had no part in making the policy; on the rows that chose it the value is too
    good, and the interval with it.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,) or (n_samples, n_arms - 1)
        Effect scores of the rows against control, from `effect_scores`; with several arms one
        column an arm, in the order of their codes. Multiply them by what a unit of y is worth.
    policy : array-like of shape (n_samples,), or a single arm
        Whom to treat: 0/1 or bool; with several arms the code of the arm, 0 the control. A single
        code means that arm for everybody.
    cost : float or array-like, default=0.0
        Cost of treating, in the unit of the effect scores, >= 0. For one arm: a number, or one a
        row. For several arms: a number, one an arm, or an array (n_samples, n_arms - 1).
    baseline : array-like of shape (n_samples,), or a single arm, default=None
        Another policy: the result is the value of `policy` less its value, with the standard error
        of the difference. None is nobody; 1 is everybody.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    PolicyValue
        With `value`, `std_error` and interval per row of all rows; multiply by the number of rows
        for the total. Also `n_treated`, `share` and `arm_counts`.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if the policy names an arm that has no
        effect scores; if a cost is negative.

    See Also
    --------
    profit_curve : All policies that treat the highest predictions.
    segcate.model_selection.TargetingPolicy : Makes a policy, and values it on other rows.

    Notes
    -----
    :math:`\sum_i w_i d_i (\psi_i - c_i) / \sum_i w_i` for a policy d; with several arms
    :math:`\psi_i` and :math:`c_i` are those of the arm that it gives. The standard error is that of
    a mean, over rows or clusters.

    The mean outcome under the policy, in an experiment with chance :math:`p_i` of the arm that row
    i was in, is :math:`\sum_a P(d = a) \, \bar y_a`, with :math:`\bar y_a` the Hajek mean of the
    rows in arm a whom the policy gives a, :math:`\sum 1(t_i = d_i = a) y_i / p_i \big/ \sum
    1(t_i = d_i = a) / p_i` (causalml's `policy_risk` is one minus it, with one chance for all). This
    function gives the gain instead, which is what costs are compared with, and which has less noise
    with doubly robust scores.

    References
    ----------
    Athey, S., & Wager, S. (2021). Policy learning with observational data. Econometrica, 89(1),
    133-161. doi:10.3982/ECTA15732

    Examples
    --------
    >>> from segcate.metrics import policy_value
    >>> psi = [3.0, 1.0, -1.0, 1.0]
    >>> found = policy_value(psi, [1, 1, 0, 0], cost=0.5)
    >>> found.value, found.share
    (0.75, 0.5)
    >>> policy_value(psi, [1, 1, 0, 0], cost=0.5, baseline=1).value      # over treating everybody
    0.25
    """
    scores = check_scores(_OWNER, pseudo_outcome)
    rows = check_rows(
        _OWNER, pseudo_outcome if scores.shape[1] == 1 else _first_column(pseudo_outcome), None,
        sample_weight, groups, policy=policy, cost=cost, baseline=baseline,
        confidence_level=confidence_level,
    )  # fmt: skip
    gains = np.column_stack([np.zeros(len(scores)), scores - check_costs(_OWNER, cost, scores)])
    row = np.arange(len(gains))
    arm = _check_policy("policy", policy, gains.shape)
    gain = gains[row, arm]
    if baseline is not None:
        gain = gain - gains[row, _check_policy("baseline", baseline, gains.shape)]
    kept = rows.keep(arm)
    counts = np.bincount(kept, minlength=gains.shape[1])
    return PolicyValue(
        **asdict(estimate_mean(rows.keep(gain), rows, confidence_level)),
        n_treated=int(counts[1:].sum()),
        share=rows.mean((kept > 0).astype(np.float64)),
        arm_counts=tuple(counts.tolist()),
    )


def check_scores(owner: str, pseudo_outcome: Any) -> Float:
    """Check effect scores of one arm or several; return them as columns."""
    values = as_array(owner, "pseudo_outcome", pseudo_outcome)
    if values.ndim != 2:
        return check_vector(owner, "pseudo_outcome", values, values)[:, None]
    columns = [
        check_vector(owner, "pseudo_outcome", values[:, a], values) for a in range(values.shape[1])
    ]
    return np.column_stack(columns)


def check_costs(owner: str, cost: Any, scores: Float) -> Float:
    """Check costs; return an array that broadcasts against the columns of the effect scores."""
    costs = as_numbers(owner, "`cost`", as_array(owner, "cost", cost), "numbers, at least 0")
    n_rows, n_arms = scores.shape
    allowed = [(), (n_rows,), (n_rows, 1)] if n_arms == 1 else [(), (n_arms,), (n_rows, n_arms)]
    if costs.shape not in allowed:
        wanted = (
            f"one number, or one for each of the {n_rows} rows"
            if n_arms == 1
            else f"one number, one for each of the {n_arms} arms, or an array of shape "
            f"({n_rows}, {n_arms})"
        )
        raise ValueError(f"{owner}: `cost` must be {wanted}; got shape {costs.shape}.")
    is_bad = ~(costs >= 0) | np.isinf(costs)
    if is_bad.any():
        raise ValueError(
            f"{owner}: `cost` must be finite and at least 0; {int(is_bad.sum())} of {costs.size} "
            f"values are not ({listed(np.unique(costs[is_bad]))}). What a treatment earns belongs "
            "into the effect scores."
        )
    return costs[:, None] if costs.shape == (n_rows,) and n_arms == 1 else costs


def _check_policy(name: str, policy: Any, shape: tuple[int, ...]) -> Int:
    """Check arm codes, one a row or one for all."""
    n_rows, n_arms = shape
    given = as_array(_OWNER, name, policy)
    if given.ndim == 0:
        values: npt.NDArray[Any] = np.full(n_rows, given[()])
    else:
        values = as_column(_OWNER, name, policy)
    if len(values) != n_rows:
        raise ValueError(
            f"{_OWNER}: `{name}` has {len(values)} values for {n_rows} rows; one for every row is "
            "needed."
        )
    codes = as_numbers(_OWNER, f"`{name}`", values, f"arm codes from 0 to {n_arms - 1}")
    is_bad = ~np.isin(codes, np.arange(n_arms))
    if is_bad.any():
        raise ValueError(
            f"{_OWNER}: `{name}` must hold arm codes from 0 (control) to {n_arms - 1}; "
            f"{int(is_bad.sum())} of {n_rows} values are not ({listed(np.unique(codes[is_bad]))}). "
            "Turn predicted effects into a policy first, for example `prediction > cost`."
        )
    return codes.astype(np.intp)


def _first_column(values: Any) -> Any:
    """Return the first column with its index, so that others can be checked against it."""
    return values.iloc[:, 0] if hasattr(values, "iloc") else np.asarray(values)[:, 0]
