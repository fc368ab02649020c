"""Prediction beside estimate, group by group of the predicted effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.vectors import check_same_index
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.metrics import effect_by_quantile
from segcate.plots._drawing import (
    FONT,
    INK,
    MAIN,
    SECOND,
    SMALLEST_FONT,
    fit_name,
    open_axes,
    text_size,
    write_side,
    write_texts,
)
from segcate.plots._sources import predicted_effects

_NEEDED = ("n", "effect", "ci_low", "ci_high")
_SMALLEST_LABEL = 6.0


class EffectByQuantileDisplay:
    """Estimated effect beside mean prediction, by quantile of the predicted effect.

    Use it to see whether users with a higher predicted effect have one (do the squares rise?) and
    whether predictions are about right (do intervals hold the circles?). Rows must be others than
    those the model was fitted on.

    Parameters
    ----------
    effects : EffectByQuantile or EffectByGroup
        From `segcate.metrics.effect_by_quantile` or `effect_by_group`, or anything with their
        `frame()` and `confidence_level`.
    units : str, default=None
        Unit of y for the axis, such as ``"kg"``. None: "units of y".
    title : str, default=None
        None: a title that states groups and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    segcate.metrics.effect_by_quantile : Makes the numbers, and tests of order and calibration.
    UpliftCurveDisplay : The whole ranking.

    Notes
    -----
    An interval is for one group, not for all at once, and overlapping ones may still differ. A
    group without an interval (a single row) is an open square.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.plots import EffectByQuantileDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> psi = effect + rng.normal(size=500)
    >>> display = EffectByQuantileDisplay.from_predictions(psi, effect, n_groups=4, units="kg")
    >>> print(display.ax_.get_title(loc="left"))
    Estimated and predicted effect in 4 groups of predicted effect, n = 500
    """

    def __init__(self, effects: Any, *, units: str | None = None, title: str | None = None) -> None:
        self.effects = effects
        self.units = units
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        pseudo_outcome: Any,
        n_groups: int = 5,
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> EffectByQuantileDisplay:
        """Predict effects, cut rows at their quantiles and draw.

        Parameters
        ----------
        estimator : fitted effect estimator
            Or a Pipeline or fitted search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows that the estimator was not fitted on.
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        n_groups, sample_weight, groups, confidence_level
            See `from_predictions`.
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        EffectByQuantileDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        ValueError
            If arrays do not fit or hold NaN, or `n_groups` is out of range.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        check_same_index(
            owner, X=X, pseudo_outcome=pseudo_outcome, sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        return cls.from_predictions(
            pseudo_outcome,
            predicted_effects(owner, estimator, X),
            n_groups=n_groups,
            sample_weight=sample_weight,
            groups=groups,
            confidence_level=confidence_level,
            units=units,
            title=title,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        pseudo_outcome: Any,
        prediction: Any,
        *,
        n_groups: int = 5,
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> EffectByQuantileDisplay:
        """Cut rows at quantiles of their predicted effect and draw.

        Parameters
        ----------
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        prediction : array-like of shape (n_samples,)
            Predicted effect of each row.
        n_groups : int, default=5
            Number of quantile groups.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of
            rows; of all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, for the intervals.
        confidence_level : float, default=0.95
            Of the intervals, inside (0, 1).
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        EffectByQuantileDisplay

        Raises
        ------
        ValueError
            If arrays do not fit or hold NaN, or `n_groups` is out of range.
        ImportError
            If matplotlib is not installed.
        """
        effects = effect_by_quantile(
            pseudo_outcome,
            prediction,
            n_groups=n_groups,
            sample_weight=sample_weight,
            groups=groups,
            confidence_level=confidence_level,
        )
        return cls(effects, units=units, title=title).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> EffectByQuantileDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        EffectByQuantileDisplay
            self, with `ax_` and `figure_`.

        Raises
        ------
        TypeError, ValueError
            If `effects` is no result of the metric, or has no groups.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        table = _read(owner, self.effects)
        ax = open_axes(owner, ax, 3.9)
        self.ax_, self.figure_ = ax, ax.figure
        has_prediction = "mean_prediction" in table.columns
        is_quantile = {"low", "high"} <= set(table.columns)
        _draw_groups(ax, table, has_prediction)
        _set_limits(ax, table, has_prediction)
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
        write_side(ax, f"effect in {self.units or 'units of y'}")
        _draw_key(ax, self.effects.confidence_level, has_prediction)
        label = "group, lowest predicted effect first" if is_quantile else "group"
        noun = "group" if len(table) == 1 else "groups"
        by = f"{noun} of predicted effect" if is_quantile else noun
        what = "Estimated and predicted" if has_prediction else "Estimated"
        notes = _name_groups(ax, table, is_quantile)
        write_texts(
            ax, f"{label}{notes[0]}", notes[1:], self.title,
            f"{what} effect in {len(table)} {by}, n = {int(table['n'].sum()):,}",
        )  # fmt: skip
        return self


def _read(owner: str, effects: Any) -> pd.DataFrame:
    """Read the table of the result."""
    if not hasattr(effects, "frame") or not hasattr(effects, "confidence_level"):
        raise TypeError(
            f"{owner}: `effects` must be the result of `segcate.metrics.effect_by_quantile`; got "
            f"{type(effects).__name__}. Pass that, or arrays to `from_predictions`."
        )
    table: pd.DataFrame = effects.frame()
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing or len(table) == 0:
        raise ValueError(
            f"{owner}: the table of effects has {len(table)} groups and lacks the columns "
            f"{listed(missing) or 'none'}. Pass the result of `effect_by_quantile`."
        )
    return table


def _draw_groups(ax: Any, table: pd.DataFrame, has_prediction: bool) -> None:
    """Draw estimates with intervals, and predictions to their right."""
    at = np.arange(len(table)) - (0.09 if has_prediction else 0.0)
    low, high = table["ci_low"].to_numpy(), table["ci_high"].to_numpy()
    has_interval = np.isfinite(low) & np.isfinite(high)
    ax.vlines(at[has_interval], low[has_interval], high[has_interval], color=MAIN, linewidth=1.6)
    effect = table["effect"].to_numpy()
    for mask, face in ((has_interval, MAIN), (~has_interval, "white")):
        ax.plot(
            at[mask], effect[mask], "s", color=MAIN, markerfacecolor=face, markersize=6, zorder=3
        )
    if has_prediction:
        prediction = table["mean_prediction"].to_numpy()
        ax.plot(
            at + 0.18, prediction, "o", color=SECOND, markerfacecolor="white", markersize=6,
            markeredgewidth=1.4, zorder=3,
        )  # fmt: skip


def _set_limits(ax: Any, table: pd.DataFrame, has_prediction: bool) -> None:
    """Hold 0 and everything drawn, with room for the key above."""
    names = ["effect", "ci_low", "ci_high", *(["mean_prediction"] if has_prediction else [])]
    values = np.append(table[names].to_numpy(dtype=np.float64).ravel(), 0.0)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    ax.set_ylim(low - 0.05 * span, high + 0.17 * span)
    ax.set_xlim(-0.6, len(table) - 0.4)


def _draw_key(ax: Any, level: float, has_prediction: bool) -> None:
    """Say which mark is which, above all groups."""
    entries = [("s", MAIN, MAIN, f"estimate, {100 * level:g} % interval")]
    if has_prediction:
        entries.append(("o", SECOND, "white", "mean prediction"))
    x = 0.02
    for mark, ink, face, text in entries:
        ax.plot(
            [x], [0.955], mark, transform=ax.transAxes, color=ink, markerfacecolor=face,
            markersize=6,
        )  # fmt: skip
        ax.text(
            x + 0.025, 0.955, text, transform=ax.transAxes, fontsize=FONT, color=ink,
            verticalalignment="center",
        )  # fmt: skip
        ax.figure.draw_without_rendering()
        x += 0.07 + text_size(ax, text, FONT)[0] / ax.get_window_extent().width


def _name_groups(ax: Any, table: pd.DataFrame, is_quantile: bool) -> list[str]:
    """Name the groups; return what the label of the axis must add, then notes.

    The range of predictions and the rows are written below each group where there is room.
    """
    names = [fit_name(name, max(3, int(66 / len(table))), 3) for name in table.index]
    counts = [f"n={n:,}" for n in table["n"]]
    layouts: list[tuple[list[list[str]], list[str]]] = [
        ([names, counts], ["; rows"]),
        ([names], ["", _span(table["n"])]),
    ]
    if is_quantile:
        ends = table[["low", "high"]].to_numpy(dtype=np.float64)
        widths = ends[:, 1] - ends[:, 0]
        decimals = decimals_of([widths[widths > 0].min()] if (widths > 0).any() else ends)
        ranges = [
            f"{write_decimals(low, decimals)}\nto {write_decimals(high, decimals)}"
            for low, high in ends
        ]
        layouts.insert(0, ([names, ranges, counts], ["; range of predictions; rows"]))
    room = ax.get_window_extent().width / (len(table) + 0.2)
    fits = []
    for rows, added in layouts:
        labels = ["\n".join(parts) for parts in zip(*rows, strict=True)]
        wide = max(text_size(ax, label, FONT)[0] for label in labels)
        fits.append((labels, min(FONT, FONT * 0.94 * room / wide), added))
    labels, size, added = next((fit for fit in fits if fit[1] >= _SMALLEST_LABEL), fits[-1])
    ax.set_xticks(range(len(table)), labels, fontsize=max(size, SMALLEST_FONT), color=INK)
    return added


def _span(n: pd.Series[Any]) -> str:
    low, high = int(n.min()), int(n.max())
    return f"{low:,} rows a group." if low == high else f"{low:,} to {high:,} rows a group."
