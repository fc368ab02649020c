"""A curve along a ranking: its points, its band, and its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import (
    check_count,
    check_number,
    check_option,
    check_seed,
)
from segcate._statistics.intervals import Law

Band = Literal["pointwise", "uniform"]

_DISPLAY_POINTS = 200
_MOST_UNIFORM_POINTS = 2000
_N_DRAWS = 5000
_COLUMNS = ("share", "value", "std_error", "ci_low", "ci_high")
_STARTS_AT_ZERO = ("uplift", "qini")

# A picture has fewer points, and a table of more fills the memory.
_MOST_POINTS = 1_000_000


class CurveSource(Protocol):
    """Ranked rows that a curve can be read from at any share."""

    def points(self, share: Float) -> tuple[Float, Float, Float]:
        """Return value, standard error and degrees of freedom at ascending shares in (0, 1].

        The last of them is 1.
        """


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

    Notes
    -----
    The curve keeps the ranked rows, some 20 bytes a row, so that `at` reads it at any share.
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
    _source: CurveSource = field(repr=False, compare=False)
    _level: float = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        kind: str,
        source: CurveSource,
        share: Float,
        level: float,
        confidence_level: float,
        band: str,
        n_rows: int,
    ) -> TargetingCurve:
        """Read a curve at some shares; `level` is that of the interval at each point."""
        share = np.append(0.0, share) if kind in _STARTS_AT_ZERO else share
        value, std_error, low, high = _read(source, share, level)
        return cls(
            kind=kind,
            share=share,
            value=value,
            std_error=std_error,
            ci_low=low,
            ci_high=high,
            confidence_level=float(confidence_level),
            band=band,
            n_rows=n_rows,
            _source=source,
            _level=level,
        )

    def frame(self) -> pd.DataFrame:
        """Return the table, one row a point."""
        return pd.DataFrame({name: getattr(self, name) for name in _COLUMNS})

    def at(self, share: float) -> dict[str, float]:
        """Return the curve at one share, as if the share were one of its points.

        Parameters
        ----------
        share : float
            Above 0 and at most 1; the curves that start at (0, 0) take 0, too. Inside a block of
            equal predictions a part of the block is in the top, by its mean: the value of
            `cumulative_effect_curve` is `uplift_at_k` there.

        Returns
        -------
        dict
            With the keys "share", "value", "std_error", "ci_low", "ci_high". A uniform band is that
            of the points of the curve.

        Raises
        ------
        ValueError
            If the share is no number, or outside the curve.
        """
        starts_at_zero = self.kind in _STARTS_AT_ZERO
        check_number(
            "TargetingCurve.at", "share", share, most=1,
            least=0 if starts_at_zero else None, above=None if starts_at_zero else 0,
            advice="0.3 reads the curve at the best 30 %.",
        )  # fmt: skip
        columns = self.share, *(getattr(self, name) for name in _COLUMNS[1:])
        at = int(np.searchsorted(self.share, share))
        if self.share[at] != share:
            shares = np.array([float(share), 1.0])
            columns, at = (shares, *_read(self._source, shares, self._level)), 0
        return {name: float(values[at]) for name, values in zip(_COLUMNS, columns, strict=True)}

    def refined(self) -> TargetingCurve:
        """Return the curve with 200 even shares beside its own points.

        Between two points a picture draws a straight line, and inside a block of equal predictions
        the curves that are means are bent.
        """
        share = np.union1d(self.share, np.arange(1.0, _DISPLAY_POINTS + 1.0) / _DISPLAY_POINTS)
        return TargetingCurve.of(
            self.kind, self._source, share[share > 0], self._level,
            self.confidence_level, self.band, self.n_rows,
        )  # fmt: skip


def _read(source: CurveSource, share: Float, level: float) -> tuple[Float, Float, Float, Float]:
    """Return value, standard error and both ends of the band at some shares, 0 at share 0."""
    value, std_error, half = np.zeros((3, len(share)))
    above = share > 0
    value[above], std_error[above], df = source.points(share[above])
    half[above] = _half_width(std_error[above], level, df)
    return value, std_error, value - half, value + half


def check_curve_options(owner: str, n_points: int | None, band: str) -> None:
    """Refuse options of a curve that are out of range."""
    check_option(owner, "band", band, get_args(Band))
    check_count(owner, "n_points", n_points, 1, _MOST_POINTS, optional=True)
    if band == "uniform" and n_points is not None and n_points > _MOST_UNIFORM_POINTS:
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


def level_of_each_point(
    owner: str, covariance: Float, std_error: Float, confidence_level: float, random_state: Any
) -> float:
    """Return the level of the intervals of single points that hold at all points at once.

    A multiplier bootstrap with normal multipliers gives the largest deviation of all points: draws
    from their covariance.
    """
    varies = std_error > 1e-12 * np.max(std_error, initial=0.0)
    if not varies.any():
        return float("nan")
    correlation = covariance[np.ix_(varies, varies)] / np.outer(
        std_error[varies], std_error[varies]
    )
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = check_seed(owner, random_state).standard_normal((_N_DRAWS, len(root))) @ root.T
    largest = np.quantile(np.abs(draws).max(axis=1), confidence_level)
    return 1.0 - float(Law(np.inf).two_sided_p(largest))


def _half_width(std_error: Float, level: float, df: Float) -> Float:
    """Return half the width of intervals by the t law of each point; NaN below one degree of freedom."""
    quantile = Law(np.where(df >= 1, df, np.nan)).quantile(level)
    half: Float = np.where(std_error == 0, 0.0, quantile * std_error)
    return half
