"""A curve along a ranking: its points, its band, and its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtrit
from sklearn.utils import check_random_state

from segcate._validation import Float, check_in_unit_interval, check_option

Band = Literal["pointwise", "uniform"]

__all__ = [
    "Band",
    "TargetingCurve",
    "check_curve_options",
    "critical_value",
    "half_width",
    "points_of",
]

_DISPLAY_POINTS = 200
_MOST_UNIFORM_POINTS = 2000
_N_DRAWS = 5000
_COLUMNS = ("share", "value", "std_error", "ci_low", "ci_high")
_STARTS_AT_ZERO = ("uplift", "qini")


@dataclass(frozen=True, slots=True)
class TargetingCurve:
    """A quantity of the top share of a ranking, for shares from the best rows to all.

    Attributes
    ----------
    kind : {"uplift", "qini", "cumulative_effect", "toc", "cumulative_slope"}
        The function that made it, without `_curve`.
    share : float64 array of shape (n_points,)
        Share of the weight that is in the top, ascending; the last is 1.
    value, std_error, ci_low, ci_high : float64 arrays of shape (n_points,)
        Curve, standard error and band, in units of y (slopes in units of y per unit of dose). NaN
        where the top share holds too few rows for a standard error.
    confidence_level : float
        Of the band.
    band : {"pointwise", "uniform"}
        Whether the band holds the truth at one share named in advance, or at all points at once.
    n_rows : int
        Rows of positive weight.
    """

    kind: str
    share: Float = field(repr=False)
    value: Float = field(repr=False)
    std_error: Float = field(repr=False)
    ci_low: Float = field(repr=False)
    ci_high: Float = field(repr=False)
    confidence_level: float
    band: str
    n_rows: int

    @classmethod
    def of(
        cls,
        kind: str,
        share: Float,
        value: Float,
        std_error: Float,
        half: Float,
        confidence_level: float,
        band: str,
        n_rows: int,
    ) -> TargetingCurve:
        """Put a band of half width `half` around a curve; some curves start at (0, 0)."""
        start = [0.0] if kind in _STARTS_AT_ZERO else []
        return cls(
            kind=kind,
            share=np.append(start, share),
            value=np.append(start, value),
            std_error=np.append(start, std_error),
            ci_low=np.append(start, value - half),
            ci_high=np.append(start, value + half),
            confidence_level=float(confidence_level),
            band=band,
            n_rows=n_rows,
        )

    def frame(self) -> pd.DataFrame:
        """Return the table, one row a point."""
        return pd.DataFrame({name: getattr(self, name) for name in _COLUMNS})

    def at(self, share: float) -> dict[str, float]:
        """Return the curve at one share, on the straight line between its two points.

        Parameters
        ----------
        share : float
            From the first share of the curve to 1.

        Returns
        -------
        dict
            With the keys "share", "value", "std_error", "ci_low", "ci_high". At a point of the curve
            it is that point; elsewhere make the curve with `n_points` such that the share is one.

        Raises
        ------
        ValueError
            If the share is outside the curve.
        """
        if not self.share[0] <= share <= 1:
            raise ValueError(
                f"TargetingCurve.at: `share` must be between {self.share[0]:g}, the first of the "
                f"curve, and 1; got {share!r}. Ask for more points with `n_points`."
            )
        return {name: float(np.interp(share, self.share, getattr(self, name))) for name in _COLUMNS}


def check_curve_options(
    owner: str, n_points: int | None, confidence_level: float, band: str
) -> None:
    """Refuse options of a curve that are out of range."""
    check_in_unit_interval(owner, "confidence_level", confidence_level)
    check_option(owner, "band", band, get_args(Band))
    if n_points is None:
        return
    is_count = isinstance(n_points, int | np.integer) and not isinstance(n_points, bool)
    if not is_count or n_points < 1:
        raise ValueError(
            f"{owner}: `n_points` must be a number of points, at least 1, or None; got {n_points!r}."
        )
    if band == "uniform" and n_points > _MOST_UNIFORM_POINTS:
        raise ValueError(
            f"{owner}: a uniform band takes at most {_MOST_UNIFORM_POINTS} points; got n_points="
            f"{n_points}. Ask for fewer, or for band='pointwise'."
        )


def points_of(reached: Float, n_points: int | None) -> Float:
    """Return the shares of a curve: even ones, or the end of each block where these are few."""
    if n_points is None and len(reached) - 1 <= _DISPLAY_POINTS:
        share: Float = reached[1:] / reached[-1]
        return share
    n = _DISPLAY_POINTS if n_points is None else int(n_points)
    return np.arange(1.0, n + 1.0) / n


def critical_value(
    covariance: Float | None, std_error: Float, confidence_level: float, random_state: Any
) -> float:
    """Return by how many standard errors a band reaches out: normal, or largest of all points.

    The largest is the quantile of a multiplier bootstrap whose multipliers are normal: draws from
    the covariance of the points.
    """
    if covariance is None:
        return float(ndtri(0.5 + confidence_level / 2))
    varies = std_error > 1e-12 * np.max(std_error, initial=0.0)
    if not varies.any():
        return float("nan")
    correlation = covariance[np.ix_(varies, varies)] / np.outer(
        std_error[varies], std_error[varies]
    )
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = check_random_state(random_state).standard_normal((_N_DRAWS, len(root))) @ root.T
    return float(np.quantile(np.abs(draws).max(axis=1), confidence_level))


def half_width(std_error: Float, critical: float, df: Float) -> Float:
    """Widen a normal critical value to the t law of each point; NaN without a degree of freedom."""
    quantile = stdtrit(np.where(df >= 1, df, np.nan), ndtr(critical))
    half: Float = np.where(std_error == 0, 0.0, quantile * std_error)
    return half
