"""Distribution of predicted effects by the values of a column."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.kinds import read_column
from segcate._inputs.labels import label_values
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_count, is_whole
from segcate._inputs.vectors import check_same_index
from segcate._inputs.weights import check_weights
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.plots._display import Display
from segcate.plots._drawing import (
    INK,
    MAIN,
    PALE,
    SECOND,
    fit_name,
    font_size,
    name_rows,
    plain,
    write_beside,
)
from segcate.plots._effect_groups import EffectGroup, cut_column, describe_groups
from segcate.plots._sources import (
    note_on_rows_without_effect,
    predicted_effects,
    read_effects,
    read_rows,
)

_ROW_INCHES = 0.42


@dataclass(eq=False, repr=False)
class EffectDistributionDisplay(Display):
    """Distribution of predicted effects by a column: one ridge a value.

    Use it to see who is predicted to benefit: by age, by plan, by segment. A ridge is a density,
    with the middle half of the rows as a bar, the median as a tick and the mean as a diamond. It
    shows predictions, not estimates; `segcate.metrics.clan` tests differences.

    Parameters
    ----------
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row in units of y; NaN for rows without one.
    by : array-like of shape (n_samples,)
        Column to split by. Numbers with more than 12 distinct values are cut at their quantiles.
    by_name : str, default=None
        Name of the column. None: the name that `by` carries, if any.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    n_bands : int, default=5
        Bands that numbers are cut into, at least 2; equal values stay together.
    max_groups : int, default=30
        Most values shown, at least 2; rarer ones are one group, which says how many they are.
    units : str, default=None
        Unit of y for the axis, such as ``"kg"``. None: "units of y".
    title : str, default=None
        None: a title that states column and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    ridge_ : list of PolyCollection (densities) or LineCollection (distinct effects), one a group
    half_, median_, mean_ : lists of Line2D, one a group: middle half, median and mean

    See Also
    --------
    SortedEffectDisplay : All effects, sorted.
    SegmentProfileDisplay : Who is in a segment.

    Notes
    -----
    Ridges are scaled row by row to the same height. Densities have a Gaussian kernel with
    Silverman's bandwidth on 400 bins, so any number of rows draws in the same time. Where a value
    has at most 12 distinct effects, as segment effects do, each is a line as high as its share.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.plots import EffectDistributionDisplay
    >>> plan = pd.Series(["free", "free", "gold", "gold"], name="plan")
    >>> display = EffectDistributionDisplay.from_predictions([0.1, 0.2, 0.5, 0.7], plan)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['free (2)', 'gold (2)']
    """

    prediction: Any
    by: Any
    _: KW_ONLY
    by_name: str | None = None
    sample_weight: Any = None
    n_bands: int = 5
    max_groups: int = 30
    units: str | None = None
    title: str | None = None

    ridge_: list[Any] = field(init=False)
    half_: list[Any] = field(init=False)
    median_: list[Any] = field(init=False)
    mean_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        by: Any,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> EffectDistributionDisplay:
        """Predict effects and draw their distribution by a column.

        Parameters
        ----------
        estimator : fitted effect estimator
            Or a Pipeline or fitted search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        by : str, int or array-like of shape (n_samples,)
            Column of X by name or position, or one value a row.
        sample_weight : array-like of shape (n_samples,), default=None
            See the class.
        **kwargs
            All else that `from_predictions` takes.

        Returns
        -------
        EffectDistributionDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        ValueError
            If X has no such column, or predictions are not one a row.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        check_same_index(owner, X=X, by=by, sample_weight=sample_weight)
        name, column = (None, by) if np.ndim(by) else _column(owner, X, by)
        return cls.from_predictions(
            predicted_effects(owner, estimator, X),
            column,
            **{"by_name": name, "sample_weight": sample_weight, **kwargs},
        )

    @classmethod
    def from_predictions(
        cls,
        prediction: Any,
        by: Any,
        *,
        by_name: str | None = None,
        sample_weight: Any = None,
        n_bands: int = 5,
        max_groups: int = 30,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> EffectDistributionDisplay:
        """Draw the distribution of predicted effects by a column.

        Parameters
        ----------
        prediction, by, by_name, sample_weight, n_bands, max_groups, units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Styles, see `plot`.

        Returns
        -------
        EffectDistributionDisplay

        Raises
        ------
        ValueError
            If arrays do not fit, predictions are infinite or all NaN, or a number is too small.
        ImportError
            If matplotlib is not installed.
        """
        display = cls(
            prediction,
            by,
            by_name=by_name,
            sample_weight=sample_weight,
            n_bands=n_bands,
            max_groups=max_groups,
            units=units,
            title=title,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        ridge_kw: dict[str, Any] | None = None,
        half_kw: dict[str, Any] | None = None,
        median_kw: dict[str, Any] | None = None,
        mean_kw: dict[str, Any] | None = None,
    ) -> EffectDistributionDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all groups.
        ridge_kw, half_kw, median_kw, mean_kw : dict, default=None
            Matplotlib properties of the ridges, the bars of the middle halves, the ticks of the
            medians and the diamonds of the means.

        Returns
        -------
        EffectDistributionDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError
            If a style is no dict.
        ValueError
            See `from_predictions`.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        for name in ("n_bands", "max_groups"):
            check_count(owner, name, getattr(self, name), 2)
        check_same_index(
            owner, prediction=self.prediction, by=self.by, sample_weight=self.sample_weight
        )
        effect = read_effects(owner, self.prediction)
        weight = check_weights(owner, self.sample_weight, self.prediction)
        column = read_rows(owner, "by", self.by, len(effect), "Pass a column of X.")
        codes, names, is_cut = cut_column(column, self.n_bands, self.max_groups)
        groups = describe_groups(effect, codes, names, weight)
        ax = self._open(
            ax, 1.3 + _ROW_INCHES * (len(groups) + 0.3),
            ridge=ridge_kw, half=half_kw, median=median_kw, mean=mean_kw,
        )  # fmt: skip
        size = font_size(ax, 1.6 * (len(groups) + 1))
        self._write_frame(groups, effect, size)
        for y, group in enumerate(groups):
            self._draw_group(group, float(y), size)
        self._write_figures(groups, size)
        n_without = int(np.isnan(effect).sum())
        notes = ["Bar: middle half of the rows. Tick: median. Diamond: mean."]
        self._write(
            f"predicted effect in {self._units}",
            [*notes, *note_on_rows_without_effect(n_without)],
            f"Predicted effect by {self._by_name()}"
            f"{' (cut at quantiles)' if is_cut else ''}, n = {len(effect) - n_without:,}",
        )
        return self

    def _by_name(self) -> str:
        name = self.by_name if self.by_name is not None else getattr(self.by, "name", None)
        return "group" if name is None else str(name)

    def _write_frame(self, groups: list[EffectGroup], effect: Any, size: float) -> None:
        """Set limits, name the groups, and mark 0 where it is near."""
        ax = self.ax_
        low, high = float(np.nanmin(effect)), float(np.nanmax(effect))
        margin = 0.03 * (high - low) if high > low else 0.5 * (abs(low) or 1.0)
        ax.set_xlim(low - margin, high + margin)
        ax.locator_params(axis="x", nbins=5)  # numbers of thousands must not run into each other
        ax.set_ylim(len(groups) - 0.7, -1.1)
        names = [f"{fit_name(group.name, 24)} ({group.n:,})" for group in groups]
        name_rows(ax, range(len(groups)), names, size)
        if ax.get_xlim()[0] < 0 < ax.get_xlim()[1]:
            ax.axvline(0.0, color=INK, linewidth=0.8, zorder=0)

    def _write_figures(self, groups: list[EffectGroup], size: float) -> None:
        """Write mean and middle half on the right, and headings above."""
        ax = self.ax_
        widths = [0.5 * (group.high - group.low) for group in groups if group.high > group.low]
        decimals = decimals_of([min(widths)] if widths else [group.mean for group in groups])
        left = f"{fit_name(self._by_name(), 20, 1)} (rows)"
        write_beside(ax, -0.02, -0.85, left, size, horizontalalignment="right", fontweight="bold")
        write_beside(ax, 1.03, -0.85, "mean (middle half)", size, fontweight="bold")
        for y, group in enumerate(groups):
            if np.isnan(group.mean):
                text = "no effect predicted"
            else:
                mean, low, high = (
                    write_decimals(value, decimals) for value in (group.mean, group.low, group.high)
                )
                text = f"{mean} ({low} to {high})"
            write_beside(ax, 1.03, y - 0.1, plain(text), size)

    def _draw_group(self, group: EffectGroup, y: float, size: float) -> None:
        """Draw ridge, middle half, median and mean of one group."""
        ax, foot = self.ax_, y + 0.15
        ax.axhline(foot, color="#d0d0d0", linewidth=0.6, zorder=0.5)
        if np.isnan(group.mean):
            return
        top = foot - 0.72 * group.height
        if group.is_discrete:
            self._mark("ridge", ax.vlines, group.at, foot, top, color=MAIN, linewidth=2.2)
        else:
            face = {"facecolor": PALE, "edgecolor": MAIN, "linewidth": 0.9}
            self._mark("ridge", ax.fill_between, group.at, foot, top, **face)
        half = {"color": MAIN, "linewidth": 4.0, "zorder": 3}
        self._mark("half", ax.plot, [group.low, group.high], [foot, foot], **half)
        tick = {"color": INK, "linewidth": 1.4, "zorder": 4}
        self._mark("median", ax.plot, [group.middle] * 2, [foot - 0.11, foot + 0.11], **tick)
        self._mark(
            "mean", ax.plot, [group.mean], [foot], marker="D", linestyle="none", color=SECOND,
            markeredgecolor="white", markeredgewidth=0.7, markersize=0.62 * size, zorder=5,
        )  # fmt: skip


def _column(owner: str, X: Any, by: Any) -> tuple[str, npt.NDArray[Any]]:
    """Return name and values of a column of X."""
    names = frames.column_names(X)
    if isinstance(by, str):
        if names is None or by not in names:
            found = "X is an array without names" if names is None else f"X has {listed(names, 12)}"
            raise ValueError(
                f"{owner}: `by` is {by!r}, and {found}. Name a column, its position, or pass one "
                "value a row."
            )
        return by, _values(owner, X, names.index(by))
    n_columns = np.shape(X)[1]
    if not is_whole(by):
        raise TypeError(
            f"{owner}: `by` must be the name or position of a column of X, or one value a row; got "
            f"{by!r}."
        )
    if not -n_columns <= by < n_columns:
        raise ValueError(f"{owner}: by={by} is not a column of X, which has {n_columns} columns.")
    position = int(by) % n_columns
    name = f"x{position}" if names is None else names[position]
    return name, _values(owner, X, position)


def _values(owner: str, X: Any, position: int) -> npt.NDArray[Any]:
    """Return numbers, however they are written, as numbers; dates as days, all else as it is."""
    kind, numbers = read_column(owner, X, position, describe=True)
    labels = label_values(owner, X, position)
    if kind.found == "number" and numbers is not None and labels.dtype.kind in "OUT":
        is_bool = isinstance(next(iter(labels.tolist()), None), bool | np.bool_)
        return labels if is_bool else numbers
    return labels
