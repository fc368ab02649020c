"""Forest plot of the segments' effects."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import pandas as pd

from segcate._inputs.parameters import check_in_unit_interval, check_option
from segcate.plots import _forest_plot
from segcate.plots._display import Display
from segcate.plots._drawing import (
    INK,
    MAIN,
    fewer_ticks,
    fit_in_room,
    font_size,
    name_rows,
    write_beside,
)
from segcate.plots._forest_plot import Row
from segcate.plots._sources import fitted_with

_ROW_INCHES = 0.27
_SMALLEST_OF_TWO_LINES = 6.0


@dataclass(eq=False, repr=False)
class SegmentEffectDisplay(Display):
    """Forest plot: one row a segment, its effect and interval, the overall effect below.

    Use `from_estimator` on a fitted estimator, or a Pipeline or search around one;
    `from_predictions` on a table of effects. It shows how sure each estimate is; whether segments
    differ is the question of the heterogeneity test, not of intervals that do or do not overlap.

    Parameters
    ----------
    effects : DataFrame indexed by segment
        Columns ``effect``, ``ci_low``, ``ci_high`` in units of y; optional ``status`` and
        ``n_treated``. A row whose effect is NaN is shown with its status instead of a point.
    overall : mapping, Series or one-row DataFrame, default=None
        ``effect``, ``ci_low`` and ``ci_high`` of everyone together. None: not drawn.
    estimand : str, default="att"
        What the effects are, for the axis.
    units : str, default=None
        Unit of y for the axis, such as ``"kg"``. None: "units of y".
    confidence_level : float, default=0.95
        Coverage the intervals were made for, inside (0, 1), for the axis.
    title : str, default=None
        None: a title that states estimand and segments; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    point_ : list of Line2D, the squares of the segments with an estimate
    errorbar_ : list of Line2D
        The intervals of the segments: of each the line, then its left and its right end.
    overall_ : list of one Polygon, or Line2D without an interval; empty without `overall`

    See Also
    --------
    segcate.effects.SegmentMatching : Estimates the effects.

    Notes
    -----
    Filled squares are estimates with status "ok", open squares estimates with a remark, which
    stands below the axis. An interval much wider than the others is cut, and an arrowhead says so;
    the numbers on the right are always whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.plots import SegmentEffectDisplay
    >>> table = pd.DataFrame(
    ...     {"effect": [1.0, 2.5], "ci_low": [0.2, 1.9], "ci_high": [1.8, 3.1]},
    ...     index=pd.Index(["new", "loyal"], name="segment"),
    ... )
    >>> display = SegmentEffectDisplay.from_predictions(table, units="visits")
    >>> display.ax_.get_xlabel()
    'ATT in visits (95 % interval)'
    """

    effects: pd.DataFrame
    overall: Any = None
    _: KW_ONLY
    estimand: str = "att"
    units: str | None = None
    confidence_level: float = 0.95
    title: str | None = None

    point_: list[Any] = field(init=False)
    errorbar_: list[Any] = field(init=False)
    overall_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(cls, estimator: Any, **kwargs: Any) -> SegmentEffectDisplay:
        """Draw the effects of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with `effects_`
            Or a Pipeline or fitted search that ends in one. Anything that offers `effects_`, such as
            the result of `honest_effects`, will do.
        **kwargs
            All else that `from_predictions` takes. Overall effect, estimand and confidence level
            are those of the estimator.

        Returns
        -------
        SegmentEffectDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        TypeError
            If the last step has no effects per segment.
        ImportError
            If matplotlib is not installed.
        """
        step = fitted_with(
            f"{cls.__name__}.from_estimator",
            estimator,
            "effects_",
            "Pass an estimator such as SegmentMatching, or the table to `from_predictions`.",
        )
        found = {
            "overall": getattr(step, "overall_", None),
            "estimand": getattr(step, "estimand", "att"),
            "confidence_level": getattr(step, "confidence_level", 0.95),
        }
        return cls.from_predictions(step.effects_, **{**found, **kwargs})

    @classmethod
    def from_predictions(
        cls,
        effects: pd.DataFrame,
        *,
        overall: Any = None,
        estimand: str = "att",
        units: str | None = None,
        confidence_level: float = 0.95,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> SegmentEffectDisplay:
        """Draw a table of effects.

        Parameters
        ----------
        effects, overall, estimand, units, confidence_level, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Order and styles, see `plot`.

        Returns
        -------
        SegmentEffectDisplay

        Raises
        ------
        ValueError
            If a column is missing or the table has no rows.
        ImportError
            If matplotlib is not installed.
        """
        display = cls(
            effects,
            overall,
            estimand=estimand,
            units=units,
            confidence_level=confidence_level,
            title=title,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        order: Literal["given", "effect"] = "given",
        point_kw: dict[str, Any] | None = None,
        errorbar_kw: dict[str, Any] | None = None,
        overall_kw: dict[str, Any] | None = None,
    ) -> SegmentEffectDisplay:
        """Draw the plot; of more than 50 segments the 50 furthest from 0 for their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all segments.
        order : {"given", "effect"}, default="given"
            Whether segments stand in the order of the table or by falling effect; those without an
            estimate come last.
        point_kw, errorbar_kw, overall_kw : dict, default=None
            Matplotlib properties of the squares, the intervals and the diamond.

        Returns
        -------
        SegmentEffectDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError
            If a style is no dict.
        ValueError
            If a column is missing, the table has no rows, or `order` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        check_option(owner, "order", order, ["given", "effect"])
        check_in_unit_interval(owner, "confidence_level", self.confidence_level)
        found = _forest_plot.segment_rows(owner, self.effects, order)
        rows, n_left_out = _forest_plot.most_telling(found)
        overall = _forest_plot.overall_row(owner, self.overall)
        shown = rows if overall is None else [*rows, overall]
        labels = [row.label(2) for row in shown]
        is_long = any("\n" in label for label in labels)
        height = 1.4 + (_ROW_INCHES + 0.1 * is_long) * len(shown)
        ax = self._open(ax, height, point=point_kw, errorbar=errorbar_kw, overall=overall_kw)
        at = [i + 0.3 * row.is_overall for i, row in enumerate(shown)]
        size = font_size(ax, (at[-1] + 1.7) * (1.4 if is_long else 1.0))
        if is_long and size < _SMALLEST_OF_TWO_LINES:
            labels = [row.label(1) for row in shown]
            size = font_size(ax, at[-1] + 1.7)
        limits = _forest_plot.axis_limits(shown)
        ax.set_xlim(*limits)
        ax.locator_params(axis="x", nbins=6)
        ax.set_ylim(at[-1] + 0.6, -1.1)
        decimals = _forest_plot.decimals_for(shown)
        reasons = []
        for row, y in zip(shown, at, strict=True):
            self._draw_row(row, y, limits, size)
            if row.has_estimate:
                _write_figures(ax, row, y, decimals, size)
            else:
                reasons.append(_write_reason(ax, row, y, size))
        ax.axvline(0.0, color=INK, linewidth=0.8, zorder=0)
        if overall is not None and overall.has_estimate:
            ax.axvline(overall.effect, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        name_rows(ax, at, labels, size)
        self._write_headings(shown, size)
        notes = [_forest_plot.remarks(shown), _forest_plot.note_on_the_rest(len(rows), n_left_out)]
        noun = "segment" if len(found) == 1 else "segments"
        label = f"{self._estimand} in {self._units} ({self._level} interval)"
        self._write(label, notes, f"{self._estimand} by segment: {len(found):,} {noun}")
        for text in reasons:
            fit_in_room(ax, text)
        fewer_ticks(ax)
        return self

    @property
    def _estimand(self) -> str:
        return str(self.estimand).upper()

    @property
    def _level(self) -> str:
        return f"{100 * self.confidence_level:g} %"

    def _write_headings(self, rows: list[Row], size: float) -> None:
        """Write the headings above the names and above the figures."""
        has_counts = any(row.n_treated is not None for row in rows)
        style = {"fontweight": "bold"}
        left = "segment (treated)" if has_counts else "segment"
        write_beside(self.ax_, -0.02, -0.85, left, size, horizontalalignment="right", **style)
        write_beside(self.ax_, 1.03, -0.85, f"{self._estimand} [{self._level}]", size, **style)

    def _draw_row(self, row: Row, y: float, limits: tuple[float, float], size: float) -> None:
        """Draw point and interval; an interval beyond the axis ends in an arrowhead."""
        if not row.has_estimate:
            return
        ax, kind = self.ax_, "overall" if row.is_overall else "point"
        low, high = max(row.low, limits[0]), min(row.high, limits[1])
        if row.is_overall and row.has_interval:
            corners = [(low, y), (row.effect, y - 0.28), (high, y), (row.effect, y + 0.28)]
            face = {"facecolor": INK, "edgecolor": INK, "linewidth": 0.8}
            self._mark(kind, ax.fill, *zip(*corners, strict=True), **face)
            return
        if row.has_interval:
            line = {"color": MAIN, "linewidth": 1.4, "solid_capstyle": "butt"}
            self._mark("errorbar", ax.plot, [low, high], [y, y], **line)
            for end, cut, arrow in ((low, row.low < low, "<"), (high, row.high > high, ">")):
                mark = {"marker": arrow if cut else "|", "markersize": 0.6 * size}
                self._mark("errorbar", ax.plot, [end], [y], color=MAIN, clip_on=False, **mark)
        square = {"marker": "D" if row.is_overall else "s", "markersize": 0.6 * size}
        if not row.is_own:
            square["markerfacecolor"] = "white"
        self._mark(kind, ax.plot, [row.effect], [y], color=MAIN, linestyle="none", **square)


def _write_figures(ax: Any, row: Row, y: float, decimals: int, size: float) -> None:
    """Write the estimate on the right."""
    weight = "bold" if row.is_overall else "normal"
    write_beside(ax, 1.03, y, row.figures(decimals), size, fontweight=weight)


def _write_reason(ax: Any, row: Row, y: float, size: float) -> Any:
    """Write into the row why there is no estimate; the axes keep their width, however long it is."""
    text = write_beside(
        ax, 0.01, y, row.reason, size, fontstyle="italic",
        fontweight="bold" if row.is_overall else "normal",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip
    text.set_in_layout(False)
    return text
