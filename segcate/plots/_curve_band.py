"""Curves with bands: thinned to what a picture can show, and the range they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.listing import listed
from segcate.plots._curve_labels import NamedCurve
from segcate.plots._drawing import Float

MOST_POINTS = 500

__all__ = [
    "MOST_POINTS",
    "arrays_of",
    "band_edges",
    "band_limits",
    "check_columns",
    "draw_band",
    "thin",
]


def thin(share: Float) -> npt.NDArray[np.intp]:
    """Return the points nearest to 500 equally spaced shares, both ends kept; all of fewer."""
    if len(share) <= MOST_POINTS:
        return np.arange(len(share))
    wanted = np.linspace(share[0], share[-1], MOST_POINTS)
    return np.unique(np.clip(np.searchsorted(share, wanted), 0, len(share) - 1))


def arrays_of(curve: Any, names: tuple[str, ...]) -> list[Float]:
    """Return some attributes of a curve as arrays."""
    return [np.asarray(getattr(curve, name), dtype=np.float64) for name in names]


def draw_band(ax: Any, x: Float, low: Float, high: Float, colour: str, is_alone: bool) -> None:
    """Draw a band; with edges where it is the only one, since those of several look like curves."""
    opacity = 0.2 if is_alone else 0.12
    ax.fill_between(x, low, high, color=colour, alpha=opacity, linewidth=0)
    if is_alone:
        for edge in (low, high):
            ax.plot(x, edge, color=colour, linewidth=0.6, alpha=0.7)


def band_edges(curve: Any) -> tuple[NamedCurve, ...]:
    """Return the edges of a band as lines that labels should not cover."""
    share, low, high = arrays_of(curve, ("share", "ci_low", "ci_high"))
    return NamedCurve("", 100 * share, low, ""), NamedCurve("", 100 * share, high, "")


def check_columns(owner: str, curve: Any, needed: tuple[str, ...], maker: str) -> None:
    """Check that a result has the arrays of a curve, of one length and with a point."""
    missing = [name for name in needed if not hasattr(curve, name)]
    if missing:
        raise TypeError(
            f"{owner}: a {type(curve).__name__} is no curve; it lacks {listed(missing)}. Pass the "
            f"result of `segcate.metrics.{maker}`, or arrays to `from_predictions`."
        )
    lengths = {name: len(np.atleast_1d(getattr(curve, name))) for name in needed}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(
            f"{owner}: the arrays of a curve must have one length, at least 1; got {lengths}."
        )


def band_limits(
    share: Float, value: Float, low: Float, high: Float, head: float
) -> tuple[float, float]:
    """Return the range of a curve and of its band, the band without its first shares up to `head`.

    At the head few rows make a mean, and their intervals would squeeze all else into a line.
    """
    is_body = share >= head
    parts = [value[share >= 0.2 * head], low[is_body], high[is_body]]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 0.0
    return float(values.min()), float(values.max())
