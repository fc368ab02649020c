"""Prediction beside estimate, group by group of the predicted effect."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.vectors import check_same_index
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.metrics import effect_by_quantile
from segcate.plots._display import Display
from segcate.plots._drawing import (
    FONT,
    INK,
    MAIN,
    SECOND,
    SMALLEST_FONT,
    fit_name,
    text_size,
    write_side,
)
from segcate.plots._fonts import families_for
from segcate.plots._sources import predicted_effects

_NEEDED = ("n", "effect", "ci_low", "ci_high")
_SMALLEST_LABEL = 6.0
_ESTIMATE = {"marker": "s", "linestyle": "none", "color": MAIN, "markersize": 6}
_PREDICTION = {"marker": "o", "linestyle": "none", "color": SECOND, "markersize": 6}
_PREDICTION |= {"markerfacecolor": "white"}


@dataclass(eq=False, repr=False)
class EffectByQuantileDisplay(Display):
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
    point_ : list of Line2D, the estimates with an interval and those without
    errorbar_ : list of one LineCollection, the intervals
    prediction_ : list of Line2D, the mean predictions; empty where there are none

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

    effects: Any
    _: KW_ONLY
    units: str | None = None
    title: str | None = None

    point_: list[Any] = field(init=False)
    errorbar_: list[Any] = field(init=False)
    prediction_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        pseudo_outcome: Any,
        sample_weight: Any = None,
        groups: Any = None,
        **kwargs: Any,
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
        sample_weight, groups
            See `from_predictions`.
        **kwargs
            All else that `from_predictions` takes.

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
        rows = {"pseudo_outcome": pseudo_outcome, "sample_weight": sample_weight, "groups": groups}
        check_same_index(owner, X=X, **rows)
        prediction = predicted_effects(owner, estimator, X)
        return cls.from_predictions(prediction=prediction, **rows, **kwargs)

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
        **kwargs: Any,
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
        **kwargs
            Styles, see `plot`.

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
        return cls(effects, units=units, title=title).plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        point_kw: dict[str, Any] | None = None,
        errorbar_kw: dict[str, Any] | None = None,
        prediction_kw: dict[str, Any] | None = None,
    ) -> EffectByQuantileDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        point_kw, errorbar_kw, prediction_kw : dict, default=None
            Matplotlib properties of the estimates, their intervals and the mean predictions.

        Returns
        -------
        EffectByQuantileDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError, ValueError
            If `effects` is no result of the metric, or has no groups; or a style is no dict.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        table = _read(owner, self.effects)
        ax = self._open(ax, 3.9, point=point_kw, errorbar=errorbar_kw, prediction=prediction_kw)
        has_prediction = "mean_prediction" in table.columns
        is_quantile = {"low", "high"} <= set(table.columns)
        self._draw_groups(table, has_prediction)
        _set_limits(ax, table, has_prediction)
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
        write_side(ax, f"effect in {self._units}")
        level = f"{100 * self.effects.confidence_level:g} %"
        key = [(self._style("point", **_ESTIMATE), f"estimate, {level} interval")]
        if has_prediction:
            key.append((self._style("prediction", **_PREDICTION), "mean prediction"))
        self._write_key(key, 0.955, ax.transAxes)
        label = "group, lowest predicted effect first" if is_quantile else "group"
        noun = "group" if len(table) == 1 else "groups"
        by = f"{noun} of predicted effect" if is_quantile else noun
        what = "Estimated and predicted" if has_prediction else "Estimated"
        notes = _name_groups(ax, table, is_quantile)
        self._write(
            f"{label}{notes[0]}",
            notes[1:],
            f"{what} effect in {len(table)} {by}, n = {int(table['n'].sum()):,}",
        )
        return self

    def _draw_groups(self, table: pd.DataFrame, has_prediction: bool) -> None:
        """Draw estimates with intervals, and predictions to their right."""
        ax = self.ax_
        at = np.arange(len(table)) - (0.09 if has_prediction else 0.0)
        low, high = table["ci_low"].to_numpy(), table["ci_high"].to_numpy()
        sure = np.isfinite(low) & np.isfinite(high)
        interval = {"color": MAIN, "linewidth": 1.6}
        self._mark("errorbar", ax.vlines, at[sure], low[sure], high[sure], **interval)
        effect = table["effect"].to_numpy()
        self._mark("point", ax.plot, at[sure], effect[sure], **_ESTIMATE, zorder=3)
        hollow = {**_ESTIMATE, "markerfacecolor": "white"}
        self._mark("point", ax.plot, at[~sure], effect[~sure], **hollow, zorder=3)
        if has_prediction:
            prediction = table["mean_prediction"].to_numpy()
            style = {**_PREDICTION, "markeredgewidth": 1.4}
            self._mark("prediction", ax.plot, at + 0.18, prediction, **style, zorder=3)


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


def _set_limits(ax: Any, table: pd.DataFrame, has_prediction: bool) -> None:
    """Set limits that include 0 and all marks, with space for the key above."""
    names = ["effect", "ci_low", "ci_high", *(["mean_prediction"] if has_prediction else [])]
    values = np.append(table[names].to_numpy(dtype=np.float64).ravel(), 0.0)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    ax.set_ylim(low - 0.05 * span, high + 0.17 * span)
    ax.set_xlim(-0.6, len(table) - 0.4)


def _name_groups(ax: Any, table: pd.DataFrame, is_quantile: bool) -> list[str]:
    """Name the groups; return an addition to the label of the axis, then notes.

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
    ax.set_xticks(
        range(len(table)), labels, fontsize=max(size, SMALLEST_FONT), color=INK,
        family=families_for(*labels),
    )  # fmt: skip
    return added


def _span(n: pd.Series[Any]) -> str:
    low, high = int(n.min()), int(n.max())
    return f"{low:,} rows a group." if low == high else f"{low:,} to {high:,} rows a group."
