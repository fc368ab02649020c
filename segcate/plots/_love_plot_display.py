"""Love plot: how alike the arms are, covariate by covariate, before and after matching."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, check_number, check_option
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.plots._balance_lines import BalanceLine, balance_lines, order_lines
from segcate.plots._display import Display
from segcate.plots._drawing import (
    INK,
    MAIN,
    fit_name,
    font_size,
    name_rows,
    write_beside,
)
from segcate.plots._sources import fitted_with

Statistic = Literal["smd", "ks"]
Order = Literal["before", "after", "given"]

_INKS = {"before": "#6a6a6a", "after": MAIN}
_ROW_INCHES = 0.27
_NARROW = 5.0
_LABELS = {
    "smd": "standardised mean difference, in SD",
    "ks": "Kolmogorov-Smirnov distance between the arms, from 0 to 1",
}


@dataclass(eq=False, repr=False)
class LovePlotDisplay(Display):
    """Love plot: the difference between the arms, before and after matching.

    Use it to judge a design before any outcome is looked at. One row a covariate: an open circle
    before matching, a filled one after; with several segments the circle is their mean and a line
    reaches from the smallest to the largest of them, whose segment is named on the right.

    Parameters
    ----------
    balance : DataFrame indexed by segment and covariate
        Columns ``smd_before`` and ``smd_after`` (or ``ks_before`` and ``ks_after``), such as
        `PropensityMatcher.balance_`.
    statistic : {"smd", "ks"}, default="smd"
        Standardised mean difference, in standard deviations, or Kolmogorov-Smirnov distance.
    segment : label, default=None
        The one segment to show. None: all of them.
    absolute : bool, default=True
        Whether signs are left out. With signs, above 0 means larger among the treated.
    threshold : float or None, default=0.1
        Dotted line at the difference that is still called balanced. None: no line.
    n_rows : int, default=None
        Rows of the study, for the title.
    title : str, default=None
        None: a title that states covariates, segments and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    before_, after_ : lists of Line2D
        One a covariate with a finite value, from the first row to the last: a line over the
        segments with a circle at their mean.
    threshold_ : list of Line2D, empty without a threshold

    See Also
    --------
    segcate.matching.PropensityMatcher : Makes the table.
    OverlapDisplay : Whether there is anyone to match with.

    Notes
    -----
    The mean over segments counts every segment once. Values that do not exist (a segment without
    matches) or are infinite (an arm that is constant in the covariate) are counted below the axis.

    References
    ----------
    Love, T. E. (2002). Displaying covariate balance after adjustment for selection bias. Joint
    Statistical Meetings, New York. The threshold: Stuart, E. A. (2010). Matching methods for causal
    inference. Statistical Science, 25(1), 1-21. doi:10.1214/09-STS313

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.matching import PropensityMatcher
    >>> from segcate.plots import LovePlotDisplay
    >>> users = make_segmented_users(300, n_segments=2, n_features=2, random_state=0)
    >>> matcher = PropensityMatcher(segment=None).fit(users.X, treatment=users.treatment)
    >>> display = LovePlotDisplay.from_estimator(matcher)
    >>> print(display.ax_.get_title(loc="left"))
    Balance before and after matching: 2 covariates, 1 segment, n = 300
    """

    balance: pd.DataFrame
    _: KW_ONLY
    statistic: Statistic = "smd"
    segment: Any = None
    absolute: bool = True
    threshold: float | None = 0.1
    n_rows: int | None = None
    title: str | None = None

    before_: list[Any] = field(init=False)
    after_: list[Any] = field(init=False)
    threshold_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        segment: Any = None,
        **kwargs: Any,
    ) -> LovePlotDisplay:
        """Draw the balance of a fitted design.

        Parameters
        ----------
        estimator : fitted PropensityMatcher or SegmentMatching
            Or a Pipeline or fitted search that ends in one.
        segment : label, default=None
            The one segment to show. None: all of them.
        **kwargs
            All else that `from_predictions` takes.

        Returns
        -------
        LovePlotDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        TypeError
            If the last step has no `balance_`.
        ImportError
            If matplotlib is not installed.
        """
        step = fitted_with(
            f"{cls.__name__}.from_estimator",
            estimator,
            "balance_",
            "Pass a PropensityMatcher or SegmentMatching, or the table to `from_predictions`.",
        )
        matched = getattr(getattr(step, "matcher_", step), "matched_", None)
        n_rows = None if matched is None or segment is not None else matched.n_rows
        kwargs = {"n_rows": n_rows, **kwargs}
        return cls.from_predictions(step.balance_, segment=segment, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        balance: pd.DataFrame,
        *,
        statistic: Statistic = "smd",
        segment: Any = None,
        absolute: bool = True,
        threshold: float | None = 0.1,
        n_rows: int | None = None,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LovePlotDisplay:
        """Draw a table of balance.

        Parameters
        ----------
        balance, statistic, segment, absolute, threshold, n_rows, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Order, limit and styles, see `plot`.

        Returns
        -------
        LovePlotDisplay

        Raises
        ------
        TypeError, ValueError
            If the table is not one of balance, or an option is unknown.
        ImportError
            If matplotlib is not installed.
        """
        display = cls(
            balance,
            statistic=statistic,
            segment=segment,
            absolute=absolute,
            threshold=threshold,
            n_rows=n_rows,
            title=title,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        order: Order = "before",
        max_covariates: int = 40,
        before_kw: dict[str, Any] | None = None,
        after_kw: dict[str, Any] | None = None,
        threshold_kw: dict[str, Any] | None = None,
    ) -> LovePlotDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all rows.
        order : {"before", "after", "given"}, default="before"
            Largest mean before matching first, largest value of a segment after matching first, or
            as in the table. The propensity always comes first.
        max_covariates : int, default=40
            Most rows, at least 1; of more covariates those worst after matching are shown, and the
            picture says how many are not.
        before_kw, after_kw, threshold_kw : dict, default=None
            Matplotlib properties of the marks before and after matching, and of the dotted line.

        Returns
        -------
        LovePlotDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError, ValueError
            If the table is not one of balance, or an option is unknown; or a style is no dict.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        check_option(owner, "statistic", self.statistic, _LABELS)
        check_option(owner, "order", order, ["before", "after", "given"])
        check_count(owner, "max_covariates", max_covariates, 1)
        check_number(
            owner, "threshold", self.threshold, optional=True,
            advice="It is a distance between the arms; None draws no line.",
        )  # fmt: skip
        check_count(owner, "n_rows", self.n_rows, 0, optional=True)
        found = balance_lines(owner, self.balance, self.statistic, self.segment, self.absolute)
        lines, n_hidden = order_lines(found, order, max_covariates)
        names = [fit_name(line.covariate) for line in lines]
        lines_a_row = 2 if any("\n" in name for name in names) else 1
        height = 1.5 + (_ROW_INCHES + 0.1 * (lines_a_row - 1)) * (len(lines) + 1)
        ax = self._open(ax, height, before=before_kw, after=after_kw, threshold=threshold_kw)
        size = font_size(ax, (len(lines) + 1.6) * lines_a_row)
        limits = _limits(lines, self.threshold, self.absolute)
        ax.set_xlim(*limits)
        ax.set_ylim(len(lines) - 0.4, -1.1)
        for y, line in enumerate(lines):
            self._draw_line(line, float(y), limits, size)
        self._write_frame(names, size)
        self._write_figures(lines, size)
        self._write_key(
            [(self._style(when, **self._circle(when, size)), when) for when in _INKS],
            -0.85, ax.get_yaxis_transform(), size,
        )  # fmt: skip
        self._write(self._label(), self._notes(found, n_hidden), self._default_title(found))
        return self

    def _circle(self, when: str, size: float) -> dict[str, Any]:
        """Return how a circle is drawn: open before matching, filled after."""
        style = {"color": _INKS[when], "linewidth": 1.1, "marker": "o", "markersize": 0.58 * size}
        return style | ({"markerfacecolor": "white"} if when == "before" else {})

    def _draw_line(
        self, line: BalanceLine, y: float, limits: tuple[float, float], size: float
    ) -> None:
        """Draw one covariate: before above, after below the middle of its row."""
        for when, values, mean, shift in (
            ("before", line.before, line.mean_before, -0.14),
            ("after", line.after, line.mean_after, 0.14),
        ):
            plot, finite = self.ax_.plot, values[np.isfinite(values)]
            if len(finite):
                x = [finite.min(), mean, finite.max()]
                self._mark(
                    when, plot, x, [y + shift] * 3, markevery=[1], **self._circle(when, size)
                )
            if np.isinf(values).any():
                side = int(np.nanmax(values) == np.inf)
                arrow = {"marker": "<>"[side], "markersize": 0.5 * size, "clip_on": False}
                plot([limits[side]], [y + shift], color=_INKS[when], **arrow)

    def _write_frame(self, names: list[str], size: float) -> None:
        """Write names, and lines at 0 and at the threshold."""
        ax, ends = self.ax_, [len(names) - 0.4, -0.5]
        line = {"color": INK, "linewidth": 0.8, "zorder": 0}
        ax.plot([0.0, 0.0], ends, **line)
        if self.threshold is not None:
            for at in dict.fromkeys(
                [self.threshold, self.threshold * (1 if self.absolute else -1)]
            ):
                self._mark("threshold", ax.plot, [at, at], ends, linestyle=":", **line)
        name_rows(ax, range(len(names)), names, size)
        ax.grid(axis="y", color="#e3e3e3", linewidth=0.6, zorder=-1)
        ax.set_axisbelow(True)

    def _write_figures(self, lines: list[BalanceLine], size: float) -> None:
        """Write the worst value after matching and its segment."""
        is_one = len(lines[0].segments) == 1
        worst = [line.worst_after for line in lines]
        decimals = max(2, decimals_of([w[0] for w in worst if w is not None], 2))
        heading = "after" if is_one else "largest after (segment)"
        if not is_one and self.figure_.get_figwidth() < _NARROW:
            heading = "largest after"
        write_beside(self.ax_, 1.03, -0.85, heading, size, fontweight="bold")
        for y, found in enumerate(worst):
            text = "none" if found is None else _value(found[0], min(decimals, 3))
            if found is not None and not is_one:
                text += f" ({fit_name(found[1], 14, 1)})"
            write_beside(self.ax_, 1.03, y, text, size)

    def _label(self) -> str:
        size = "absolute " if self.absolute and self.statistic == "smd" else ""
        sign = "" if self.absolute else " (above 0: larger among the treated)"
        return f"{size}{_LABELS[self.statistic]}{sign}"

    def _notes(self, lines: list[BalanceLine], n_hidden: int) -> list[str]:
        notes = []
        if len(lines[0].segments) > 1:
            notes.append("Circle: mean over segments. Line: from the smallest to the largest.")
        if n_hidden:
            notes.append(f"{n_hidden} more covariates, all better balanced after, are not shown.")
        undefined = [line for line in lines if line.n_undefined]
        if undefined:
            cells = sum(line.n_undefined for line in undefined)
            total = len(lines) * len(lines[0].segments)
            notes.append(
                f"No finite value in {cells} of {total} pairs of covariate and segment "
                f"({listed((line.covariate for line in undefined), 3)})."
            )
        return notes

    def _default_title(self, lines: list[BalanceLine]) -> str:
        covariates = _count(sum(line.covariate != "propensity" for line in lines), "covariate")
        segments = lines[0].segments
        where = (
            f"segment {self.segment}"
            if self.segment is not None
            else _count(len(segments), "segment")
        )
        rows = "" if self.n_rows is None else f", n = {self.n_rows:,}"
        return f"Balance before and after matching: {covariates}, {where}{rows}"


def _value(value: float, decimals: int) -> str:
    return write_decimals(value, decimals) if np.isfinite(value) else "infinite"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _limits(
    lines: list[BalanceLine], threshold: float | None, absolute: bool = field(init=False)
) -> tuple[float, float]:
    """Return limits that include 0, the threshold and every finite value."""
    values = np.concatenate([np.concatenate([line.before, line.after]) for line in lines])
    values = values[np.isfinite(values)]
    marks = [0.0, *([] if threshold is None else [threshold])]
    if not absolute and threshold is not None:
        marks.append(-threshold)
    low, high = min([*marks, *values]), max([*marks, *values])
    margin = 0.04 * (high - low) if high > low else 1.0
    return low - margin, high + margin
