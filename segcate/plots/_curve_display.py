"""Base class of displays with curves: the curves of one or several models, each with its band."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed
from segcate.plots._curve_labels import NamedCurve, label_curves, line_style
from segcate.plots._display import Display
from segcate.plots._drawing import INK

MOST_POINTS = 500


class CurveDisplay(Display):
    """Curves against the share of rows treated, with their bands.

    A subclass says which attribute of a curve holds its height and which function makes curves.
    """

    curves: Any
    line_: list[Any]
    band_: list[Any]
    _height: str
    _maker: str

    def _columns(self, curve: Any) -> tuple[Float, Float, Float, Float]:
        """Return share, height and both ends of the band."""
        names = ("share", self._height, "ci_low", "ci_high")
        share, height, low, high = (np.asarray(getattr(curve, name), float) for name in names)
        return share, height, low, high

    def _check_columns(self, owner: str, curves: list[Any]) -> None:
        """Check that curves have their arrays, of one length and with a point."""
        needed = ("share", self._height, "ci_low", "ci_high")
        for curve in curves:
            missing = [name for name in needed if not hasattr(curve, name)]
            if missing:
                raise TypeError(
                    f"{owner}: a {type(curve).__name__} is no curve; it lacks {listed(missing)}. Pass "
                    f"the result of `segcate.metrics.{self._maker}`, or arrays to `from_predictions`."
                )
            lengths = {name: len(np.atleast_1d(getattr(curve, name))) for name in needed}
            if len(set(lengths.values())) > 1 or 0 in lengths.values():
                raise ValueError(
                    f"{owner}: the arrays of a curve must have one length, at least 1; got {lengths}."
                )

    def _check_same_rows(
        self, owner: str, curves: list[Any], sizes: set[int], same: str, advice: str
    ) -> None:
        """Refuse curves of other rows: their sizes or their last values differ."""
        ends = [float(self._columns(curve)[1][-1]) for curve in curves]
        if len(sizes) > 1 or np.ptp(ends) > 1e-9 + 1e-6 * float(np.abs(ends).max()):
            raise ValueError(
                f"{owner}: curves must be of the same {same}, and these have "
                f"{listed(sorted(sizes))} and end between {min(ends):.4g} and {max(ends):.4g}. {advice}"
            )

    def _draw_curve(
        self, name: str, curve: Any, k: int, is_alone: bool, at: Any = ()
    ) -> NamedCurve:
        """Draw curve `k` and its band at up to 500 points and the points `at`.

        The band has edges where it is the only one; those of several look like curves.
        """
        points = np.union1d(thin(self._columns(curve)[0]), np.asarray(at, dtype=np.intp))
        share, height, low, high = (column[points] for column in self._columns(curve))
        percent, ax, style = 100 * share, self.ax_, line_style(k)
        band = {"color": style["color"], "alpha": 0.2 if is_alone else 0.12, "linewidth": 0}
        shade = self._mark("band", ax.fill_between, percent, low, high, **band)
        if is_alone:
            edges = {"color": shade.get_facecolor()[0][:3], "visible": shade.get_visible()}
            for edge in (low, high):
                ax.plot(percent, edge, linewidth=0.6, alpha=0.7, **edges)
        (line,) = self._mark("line", ax.plot, percent, height, **style, zorder=3)
        return NamedCurve(name, percent, height, line.get_color())

    def _set_limits(self, curves: list[Any], head: float = 0.0, *, zero: bool = True) -> None:
        """Set limits that include 0, all curves, and their bands from the share `head` on."""
        ax, ends = self.ax_, [0.0]
        for curve in curves:
            ends += band_limits(*self._columns(curve), head)
        margin = 0.07 * (max(ends) - min(ends)) or 1.0
        ax.set_ylim(min(ends) - margin, max(ends) + margin)
        ax.set_xlim(0.0, 100.0)
        if zero:
            ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)

    def _name_curves(
        self, drawn: list[NamedCurve], curves: list[Any], avoid: tuple[float, ...] = ()
    ) -> None:
        """Write names beside the curves; those of a single curve avoid the edges of its band."""
        edges: list[NamedCurve] = []
        if len(curves) == 1:
            share, _, low, high = self._columns(curves[0])
            edges = [NamedCurve("", 100 * share, edge, "") for edge in (low, high)]
        named = [curve for curve in drawn if curve.name]
        label_curves(self.ax_, named, avoid=avoid, edges=tuple(edges))


def thin(share: Float) -> npt.NDArray[np.intp]:
    """Return the points nearest to 500 equally spaced shares, both ends kept; all of fewer."""
    if len(share) <= MOST_POINTS:
        return np.arange(len(share))
    wanted = np.linspace(share[0], share[-1], MOST_POINTS)
    return np.unique(np.clip(np.searchsorted(share, wanted), 0, len(share) - 1))


def band_limits(
    share: Float, value: Float, low: Float, high: Float, head: float
) -> tuple[float, float]:
    """Return the range of a curve and of its band, the band without its first shares up to `head`.

    At the head few rows make a mean, and their intervals would squeeze all else into a line.
    """
    is_body = share >= head
    values = np.concatenate([value[share >= 0.2 * head], low[is_body], high[is_body]])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 0.0
    return float(values.min()), float(values.max())
