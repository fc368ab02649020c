"""The one law by which estimates get intervals and p-values: Student's t, or the normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import nctdtrinc, stdtr, stdtrit

# From this many rows on the normal law serves; below it Student's t.
NORMAL_FROM = 100


@dataclass(frozen=True, slots=True)
class Law:
    """Student's t law; the normal law where the degrees of freedom are infinite.

    Attributes
    ----------
    df : float, or float64 array of shape (n_estimates,)
        Degrees of freedom, above 0. NaN and 0 give NaN everywhere: nothing is known of the error.

    Examples
    --------
    >>> import numpy as np
    >>> Law(np.array([5.0, np.inf])).quantile(0.95).round(2)
    array([2.57, 1.96])
    >>> low, high = Law(19.0).interval(1.0, 0.5, 0.95)
    >>> print(round(low, 2), round(high, 2))
    -0.05 2.05
    """

    df: Any

    def quantile(self, confidence_level: float) -> Any:
        """Return what a standard error is multiplied by for a two-sided interval."""
        return stdtrit(self.df, 0.5 + confidence_level / 2)

    def interval(self, value: Any, std_error: Any, confidence_level: float) -> tuple[Any, Any]:
        """Return the ends of the interval around a value."""
        half = self.quantile(confidence_level) * std_error
        return value - half, value + half

    def two_sided_p(self, statistic: Any) -> Any:
        """Return the chance of a statistic at least as far from 0; NaN stays NaN."""
        return 2.0 * stdtr(self.df, -np.abs(statistic))

    def one_sided_p(self, statistic: Any) -> Any:
        """Return the chance of a statistic at least as large; NaN stays NaN."""
        return stdtr(self.df, -np.asarray(statistic))

    def detectable(self, std_error: Any, level: float, power: float = 0.8) -> Any:
        """Return the smallest effect that a two-sided test at a level finds with a given chance.

        By the noncentral t law. A test that rejects on the wrong side does not count.
        """
        threshold = stdtrit(self.df, 1.0 - level / 2)
        return nctdtrinc(self.df, 1.0 - power, threshold) * std_error


def freedom_of_rows(n_smaller: int) -> float:
    """Return the degrees of freedom of a comparison whose smaller arm has that many rows.

    One less than the rows, and infinite from `NORMAL_FROM` of them on. The variance of an arm is
    known no better than its rows allow, and the smaller arm rules the error of a difference.
    """
    return float(max(n_smaller - 1, 1)) if n_smaller < NORMAL_FROM else np.inf


def satterthwaite(variance: npt.ArrayLike, df: npt.ArrayLike) -> Any:
    """Return the degrees of freedom of a sum of independent variance estimates.

    ``(sum v)^2 / sum(v^2 / df)`` over the last axis (Satterthwaite 1946, Biometrics Bulletin
    2:110-114); Welch's for the difference of two means.

    Parameters
    ----------
    variance : array-like of shape (..., n_parts), at least 0
    df : array-like of shape (n_parts,), degrees of freedom of each part, above 0

    Examples
    --------
    >>> import numpy as np
    >>> print(satterthwaite([1.0, 1.0], [5.0, 5.0]), satterthwaite([1.0, 0.0], [5.0, np.inf]))
    10.0 5.0
    """
    parts = np.asarray(variance, dtype=np.float64)
    largest = parts.max(axis=-1, keepdims=True, initial=0.0)
    shares = parts / np.where(largest > 0, largest, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.where(shares > 0, shares**2 / np.asarray(df, dtype=np.float64), 0.0)
        freedom = shares.sum(axis=-1) ** 2 / used.sum(axis=-1)
    return np.where(largest[..., 0] > 0, freedom, np.inf)[()]
