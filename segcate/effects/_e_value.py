"""E-values: how strong a hidden confounder would have to be to explain an estimate away.

VanderWeele, T. J., & Ding, P. (2017). Sensitivity analysis in observational research: introducing the
E-value. Annals of Internal Medicine 167:268-274.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from segcate._inputs.parameters import check_number, check_option

_OWNER = "e_value"
# Of a difference in standard deviations, and of its standard error (VanderWeele & Ding 2017, table 2).
_LOG_RATIO, _LOG_RATIO_ERROR = 0.91, 1.78


@dataclass(frozen=True, slots=True)
class EValue:
    """An E-value, and what it was made from.

    Attributes
    ----------
    value : float, at least 1
        On the scale of risk ratios: a confounder must go with both treatment and outcome at least so
        strongly, beside the covariates, to explain the estimate away.
    limit : float, at least 1
        The same for the end of the interval nearer to no effect; 1 where the interval holds it, NaN
        without an interval.
    risk_ratio, low, high : float
        The estimate and its interval as (approximate) risk ratios; NaN where not given.
    """

    value: float
    limit: float
    risk_ratio: float
    low: float
    high: float


def e_value(
    estimate: float,
    low: float | None = None,
    high: float | None = None,
    *,
    measure: str = "risk ratio",
    is_rare: bool = False,
    std_error: float | None = None,
    std_dev: float = 1.0,
) -> EValue:
    r"""Compute the E-value of an estimate and of its confidence interval.

    Parameters
    ----------
    estimate : float
        A ratio above 0, or a difference in units of y.
    low, high : float, default=None
        Ends of its interval. Of a difference they are not needed: the interval is made from
        `std_error`.
    measure : {"risk ratio", "odds ratio", "hazard ratio", "difference"}, default="risk ratio"
        What the estimate is.
    is_rare : bool, default=False
        Whether fewer than about 15 % of rows have the outcome: odds and hazard ratios are then taken as
        risk ratios as they are.
    std_error : float, default=None
        Of a difference, in units of y.
    std_dev : float, above 0, default=1.0
        Standard deviation of y, which a difference is divided by.

    Returns
    -------
    EValue

    Raises
    ------
    ValueError
        If a ratio is not above 0, an interval does not hold the estimate, or the measure is unknown.

    Notes
    -----
    For a risk ratio R of at least 1, :math:`R + \sqrt{R (R - 1)}`; below 1 of its inverse. A common
    outcome's odds ratio is taken as its square root, a hazard ratio h as
    :math:`(1 - 0.5^{\sqrt h}) / (1 - 0.5^{1 / \sqrt h})`, a difference of d standard deviations as
    :math:`\exp(0.91 d)`, with the interval :math:`\exp(0.91 d \pm 1.78 s)`.

    References
    ----------
    VanderWeele & Ding (2017), Annals of Internal Medicine 167:268-274. doi:10.7326/M16-2607

    Examples
    --------
    >>> from segcate.effects import e_value
    >>> found = e_value(3.9, 1.8, 8.7)
    >>> round(found.value, 2), round(found.limit, 2)
    (7.26, 3.0)
    """
    check_option(_OWNER, "measure", measure, (*_AS_RISK_RATIO, "difference"))
    if measure == "difference":
        ratio, ends = _from_difference(estimate, std_error, std_dev)
    else:
        turn = float if is_rare else _AS_RISK_RATIO[measure]
        given = {"estimate": estimate, "low": low, "high": high}
        for name, value in given.items():
            check_number(
                _OWNER, name, value, above=0, optional=name != "estimate",
                advice="Ratios are above 0; for a difference pass measure='difference'.",
            )  # fmt: skip
        if (low is not None and low > estimate) or (high is not None and high < estimate):
            raise ValueError(
                f"{_OWNER}: the interval from `low` to `high`, {low} to {high}, does not hold the `estimate` "
                f"{estimate}. Pass the ends in their order."
            )
        ratio = turn(estimate)
        ends = (_turned(low, turn), _turned(high, turn))
    return EValue(_strength(ratio), _limit(ratio, *ends), ratio, *ends)


def _from_difference(
    estimate: float, std_error: float | None, std_dev: float
) -> tuple[float, tuple[float, float]]:
    """Return a difference as a risk ratio, and the ends of its interval."""
    check_number(_OWNER, "estimate", estimate)
    check_number(_OWNER, "std_error", std_error, least=0, optional=True)
    check_number(_OWNER, "std_dev", std_dev, above=0)
    middle = _LOG_RATIO * estimate / std_dev
    reach = math.nan if std_error is None else _LOG_RATIO_ERROR * std_error / std_dev
    return _exp(middle), (_exp(middle - reach), _exp(middle + reach))


def _exp(value: float) -> float:
    """Return e to a power, infinity where that is too large."""
    return math.exp(value) if value < 700 or math.isnan(value) else math.inf


def _turned(end: float | None, turn: Callable[[float], float]) -> float:
    return math.nan if end is None else turn(end)


def _strength(ratio: float) -> float:
    """Return the E-value of a risk ratio."""
    if ratio <= 0:
        return math.inf
    ratio = max(ratio, 1.0 / ratio)
    return ratio + math.sqrt(ratio * (ratio - 1.0)) if math.isfinite(ratio) else math.inf


def _limit(ratio: float, low: float, high: float) -> float:
    """Return the E-value of the end nearer to 1; 1 where the interval holds 1."""
    end = low if ratio >= 1 else high
    if math.isnan(end):
        return math.nan
    is_apart = end > 1 if ratio >= 1 else end < 1
    return _strength(end) if is_apart else 1.0


def _of_hazards(ratio: float) -> float:
    """Return the risk ratio that goes with a hazard ratio of a common outcome."""
    root = math.sqrt(ratio)
    survival, other = math.pow(0.5, root), math.pow(0.5, 1.0 / root)
    return (1.0 - survival) / (1.0 - other)


_AS_RISK_RATIO: dict[str, Callable[[float], float]] = {
    "risk ratio": float,
    "odds ratio": math.sqrt,
    "hazard ratio": _of_hazards,
}
