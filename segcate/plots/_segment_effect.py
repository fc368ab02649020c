"""Forest plot of the segments' effects."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from sklearn.exceptions import NotFittedError

from segcate._inputs.last_step import last_step
from segcate._inputs.parameters import check_in_unit_interval, check_option
from segcate.plots import _forest_plot
from segcate.plots._drawing import plain
from segcate.plots._forest_plot import Row
from segcate.plots._matplotlib import pyplot

_INK = "#222222"
_MAIN = "#1f4e79"
_ROW_INCHES = 0.27
_LARGEST_FONT, _SMALLEST_FONT = 9.0, 3.5


class SegmentEffectDisplay:
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

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

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

    def __init__(
        self,
        effects: pd.DataFrame,
        overall: Any = None,
        *,
        estimand: str = "att",
        units: str | None = None,
        confidence_level: float = 0.95,
    ) -> None:
        self.effects = effects
        self.overall = overall
        self.estimand = estimand
        self.units = units
        self.confidence_level = confidence_level

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        units: str | None = None,
        order: Literal["given", "effect"] = "given",
        ax: Any = None,
    ) -> SegmentEffectDisplay:
        """Draw the effects of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with `effects_`, or a Pipeline or fitted search that ends in
        one
            Anything that offers `effects_`, such as the result of `honest_effects`, will do.
        units : str, default=None
            Unit of y for the axis.
        order : {"given", "effect"}, default="given"
            Whether segments stand in the order of the table or by falling effect.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all segments.

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
        step = estimator if hasattr(estimator, "effects_") else last_step(estimator)
        effects = getattr(step, "effects_", None)
        if effects is None:
            name = type(step).__name__
            if hasattr(type(step), "effects_") or hasattr(step, "matcher"):
                raise NotFittedError(f"This {name} is not fitted yet; call `fit` before drawing.")
            raise TypeError(
                f"{cls.__name__}.from_estimator: the last step is a {name}, which has no "
                "`effects_` per segment. Pass an estimator such as SegmentMatching, or the table "
                "to `from_predictions`."
            )
        return cls.from_predictions(
            effects,
            overall=getattr(step, "overall_", None),
            estimand=getattr(step, "estimand", "att"),
            units=units,
            confidence_level=getattr(step, "confidence_level", 0.95),
            order=order,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        effects: pd.DataFrame,
        *,
        overall: Any = None,
        estimand: str = "att",
        units: str | None = None,
        confidence_level: float = 0.95,
        order: Literal["given", "effect"] = "given",
        ax: Any = None,
    ) -> SegmentEffectDisplay:
        """Draw a table of effects.

        Parameters
        ----------
        effects : DataFrame indexed by segment
            See the class.
        overall : mapping, Series or one-row DataFrame, default=None
            See the class.
        estimand : str, default="att"
            What the effects are.
        units : str, default=None
            Unit of y for the axis.
        confidence_level : float, default=0.95
            Coverage of the intervals, inside (0, 1).
        order : {"given", "effect"}, default="given"
            Whether segments stand in the order of the table or by falling effect.
        ax : matplotlib Axes, default=None
            Where to draw.

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
            effects, overall, estimand=estimand, units=units, confidence_level=confidence_level
        )
        return display.plot(order=order, ax=ax)

    def plot(
        self, *, order: Literal["given", "effect"] = "given", ax: Any = None
    ) -> SegmentEffectDisplay:
        """Draw the plot; of more than 50 segments those furthest from 0 for their intervals.

        Parameters
        ----------
        order : {"given", "effect"}, default="given"
            Whether segments stand in the order of the table or by falling effect; those without an
            estimate come last.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all segments.

        Returns
        -------
        SegmentEffectDisplay
            self, with `ax_` and `figure_`.

        Raises
        ------
        ValueError
            If a column is missing, the table has no rows, or `order` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        check_option(owner, "order", order, ["given", "effect"])
        check_in_unit_interval(owner, "confidence_level", self.confidence_level)
        rows, n_left_out = _forest_plot.most_telling(
            _forest_plot.segment_rows(owner, self.effects, order)
        )
        overall = _forest_plot.overall_row(owner, self.overall)
        plt = pyplot(f"{owner}.plot")
        shown = rows if overall is None else [*rows, overall]
        at = [i + 0.3 * row.is_overall for i, row in enumerate(shown)]
        if ax is None:
            height = 1.2 + _ROW_INCHES * len(shown)
            _, ax = plt.subplots(figsize=(6.4, height), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        size = _font_size(ax, at[-1] + 1.7)
        limits = _forest_plot.axis_limits(shown)
        ax.set_xlim(*limits)
        ax.locator_params(axis="x", nbins=6)
        ax.set_ylim(at[-1] + 0.6, -1.1)
        decimals = _forest_plot.decimals_for(shown)
        for row, y in zip(shown, at, strict=True):
            _draw_row(ax, row, y, limits, size)
            _write_figures(ax, row, y, decimals, size)
        if overall is not None and overall.has_estimate:
            ax.axvline(overall.effect, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        self._label(shown, at, size)
        if n_left_out:
            ax.set_title(
                f"the {len(rows)} segments furthest from 0 for their intervals; {n_left_out:,} more in the table",
                fontsize=size, color=_INK,
            )  # fmt: skip
        return self

    def _label(self, shown: list[Row], at: list[float], size: float) -> None:
        """Write axes and headings."""
        ax = self.ax_
        ax.axvline(0.0, color=_INK, linewidth=0.8, zorder=0)
        ax.set_yticks(at, [row.label for row in shown], fontsize=size, color=_INK)
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=max(size, 7.0))
        for side in ("left", "right", "top"):
            ax.spines[side].set_visible(False)
        level, estimand = f"{100 * self.confidence_level:g} %", str(self.estimand).upper()
        has_counts = any(row.n_treated is not None for row in shown)
        heading = {
            "transform": ax.get_yaxis_transform(),
            "fontsize": size,
            "fontweight": "bold",
            "verticalalignment": "center",
            "color": _INK,
        }
        left = "segment (treated)" if has_counts else "segment"
        ax.text(-0.02, -0.85, left, horizontalalignment="right", **heading)
        ax.text(1.03, -0.85, f"{estimand} [{level}]", horizontalalignment="left", **heading)
        label = f"{estimand} in {self.units or 'units of y'} ({level} interval)"
        text = "\n".join(filter(None, [label, _forest_plot.remarks(shown)]))
        ax.set_xlabel(plain(text), fontsize=8.5)


def _font_size(ax: Any, n_lines: float) -> float:
    """Return the largest size, in points, at which lines do not touch."""
    points_high = ax.get_window_extent().height / ax.figure.dpi * 72.0
    return float(min(_LARGEST_FONT, max(_SMALLEST_FONT, 0.72 * points_high / n_lines)))


def _draw_row(ax: Any, row: Row, y: float, limits: tuple[float, float], size: float) -> None:
    """Draw point and interval; an interval beyond the axis ends in an arrowhead."""
    if not row.has_estimate:
        return
    low, high = max(row.low, limits[0]), min(row.high, limits[1])
    if row.is_overall and row.has_interval:
        corners = [(low, y), (row.effect, y - 0.28), (high, y), (row.effect, y + 0.28)]
        ax.fill(*zip(*corners, strict=True), facecolor=_INK, edgecolor=_INK, linewidth=0.8)
        return
    if row.has_interval:
        ax.plot([low, high], [y, y], color=_MAIN, linewidth=1.4, solid_capstyle="butt")
        for end, cut, arrow in ((low, row.low < low, "<"), (high, row.high > high, ">")):
            mark = {"marker": arrow if cut else "|", "markersize": 0.6 * size}
            ax.plot([end], [y], color=_MAIN, clip_on=False, **mark)
    ax.plot(
        [row.effect], [y], marker="D" if row.is_overall else "s", color=_MAIN,
        markersize=0.6 * size, markeredgecolor=_MAIN,
        markerfacecolor=_MAIN if row.is_own else "white",
    )  # fmt: skip


def _write_figures(ax: Any, row: Row, y: float, decimals: int, size: float) -> None:
    """Write the numbers on the right, or in the row why there are none."""
    style = {
        "transform": ax.get_yaxis_transform(),
        "fontsize": size,
        "verticalalignment": "center",
        "color": _INK,
        "fontweight": "bold" if row.is_overall else "normal",
    }
    if row.has_estimate:
        ax.text(1.03, y, row.figures(decimals), **style)
    else:
        backing = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        ax.text(0.01, y, row.reason, fontstyle="italic", bbox=backing, **style)
