"""A metric as one number: its standard error, interval and p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._statistics.intervals import Law, freedom_of_rows


@dataclass(frozen=True, slots=True, repr=False)
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
    n_units : int
        Rows, or clusters, whose weight is positive.
    confidence_level : float
        Of the interval, inside (0, 1).
    """

    value: float
    std_error: float
    n_units: int
    confidence_level: float = 0.95

    def __repr__(self) -> str:
        """Return the value with its interval, and what else there is, by name."""
        cells = ", ".join(f"{name}={value!r}" for name, value in self._cells().items())
        return f"{type(self).__name__}({cells})"

    def __float__(self) -> float:
        """Return the value."""
        return self.value

    @property
    def ci_low(self) -> float:
        """Lower end of the confidence interval of the value."""
        return float(self._law.interval(self.value, self.std_error, self.confidence_level)[0])

    @property
    def ci_high(self) -> float:
        """Upper end of the confidence interval of the value."""
        return float(self._law.interval(self.value, self.std_error, self.confidence_level)[1])

    @property
    def p_value(self) -> float:
        """Two-sided p-value of "the metric is 0"; NaN where the standard error is 0."""
        if not self.std_error > 0:
            return math.nan
        return float(self._law.two_sided_p(self.value / self.std_error))

    def frame(self) -> pd.DataFrame:
        """Return a table of one row."""
        return pd.DataFrame([self._cells()])

    def _cells(self) -> dict[str, object]:
        """Return the value, its errors and all else by name."""
        shown = [f.name for f in fields(self) if f.repr]
        names = [*shown[:2], "ci_low", "ci_high", "p_value", *shown[2:]]
        return {name: getattr(self, name) for name in names}

    @property
    def _law(self) -> Law:
        """Student's t law with n_units - 1 degrees of freedom."""
        return Law(self.n_units - 1)


@dataclass(frozen=True, slots=True, repr=False)
class RankScore(MetricEstimate):
    """How well a prediction ranks rows by their effect.

    Beside the attributes of `MetricEstimate` (`value` in units of the outcome: 0 for a ranking by
    chance, negative for one that is upside down; `std_error` 0 when every row has the same
    prediction, NaN with fewer than two independent units):

    Attributes
    ----------
    influence : float64 array of shape (n_rows,) or None
        What each row adds to the value (weighted mean 0), where it was asked for. The difference of
        two scores on the same rows has the difference of their influences.
    """

    influence: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    @property
    def _law(self) -> Law:
        """Student's t law below 100 rows or clusters, the normal one from there on."""
        return Law(freedom_of_rows(self.n_units))
