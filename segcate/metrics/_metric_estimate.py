"""A metric as one number, with its standard error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_in_unit_interval
from segcate.metrics._scored_rows import ScoredRows, mean_std_error, t_quantile, two_sided_p

__all__ = ["MetricEstimate", "estimate_mean", "make_estimate"]


@dataclass(frozen=True, slots=True)
class MetricEstimate:
    """A metric of predicted effects, and how sure it is.

    `float(estimate)` is the value, so the functions that return one serve as metrics of
    `make_uplift_scorer`.

    Attributes
    ----------
    value : float
        The metric; its unit is that of the function that made it.
    std_error : float
        Standard error over rows, or over clusters where `groups` were given.
    ci_low, ci_high : float
        Confidence interval, t law with n_units - 1 degrees of freedom.
    confidence_level : float
        Of the interval.
    n_units : int
        Rows, or clusters, whose weight is positive.
    """

    value: float
    std_error: float
    ci_low: float
    ci_high: float
    confidence_level: float
    n_units: int

    def __float__(self) -> float:
        """Return the value."""
        return self.value

    @property
    def p_value(self) -> float:
        """Two-sided p-value of "the metric is 0"; NaN where the standard error is 0."""
        if not self.std_error > 0:
            return float("nan")
        return float(two_sided_p(self.value / self.std_error, self.n_units - 1))

    def frame(self) -> pd.DataFrame:
        """Return a table of one row."""
        fields: dict[str, Any] = asdict(self)
        return pd.DataFrame([fields])


def make_estimate(
    owner: str, value: float, std_error: float, n_units: int, confidence_level: float
) -> MetricEstimate:
    """Put an interval around a value."""
    check_in_unit_interval(owner, "confidence_level", confidence_level)
    half = float(t_quantile(confidence_level, n_units - 1)) * std_error
    return MetricEstimate(
        value, std_error, value - half, value + half, float(confidence_level), n_units
    )


def estimate_mean(
    owner: str, values: Float, rows: ScoredRows, confidence_level: float
) -> MetricEstimate:
    """Estimate the weighted mean of one value a row."""
    value = rows.mean(values)
    std_error = mean_std_error(values - value, rows)
    return make_estimate(owner, value, std_error, rows.n_units, confidence_level)
