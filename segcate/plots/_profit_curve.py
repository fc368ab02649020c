"""Profit by the share of rows treated."""

from __future__ import annotations

from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.last_step import last_step
from segcate._inputs.listing import listed
from segcate._inputs.vectors import check_same_index
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.metrics import profit_curve
from segcate.metrics._profit_curve import check_budget, check_share
from segcate.plots._curve_band import (
    arrays_of,
    band_edges,
    band_limits,
    check_columns,
    draw_band,
    thin,
)
from segcate.plots._curve_labels import NamedCurve, label_curves, line_style
from segcate.plots._drawing import (
    INK,
    open_axes,
    write_side,
    write_texts,
)
from segcate.plots._sources import named, predicted_effects

_NEEDED = ("share", "profit", "ci_low", "ci_high")


class ProfitCurveDisplay:
    """Profit against the share of rows treated, highest predicted effect first.

    Use it to see how far down a ranking treatment pays. The diamond is the best point on these
    rows; since they chose it, its profit is too good, and `segcate.metrics.policy_value` on other
    rows tells what it is worth.

    Parameters
    ----------
    curves : ProfitCurve, or mapping of name to ProfitCurve
        Results of `segcate.metrics.profit_curve` on the same rows.
    budget : float, default=None
        The most that may be spent per row of all rows, for a line where it ends. It differs from
        curve to curve where costs differ from row to row; the line is that of the first.
    max_share : float, default=None
        The largest share that may be treated, in [0, 1], for a line.
    n_rows : int, default=None
        Rows, for the title. None: the independent units of the curve.
    units : str, default=None
        Unit of money for the axis, such as ``"EUR"``. None: "units of money".
    title : str, default=None
        None: a title that states rows and band; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    segcate.metrics.profit_curve : Makes the numbers.
    UpliftCurveDisplay : Gain in units of y, without costs.

    Notes
    -----
    A curve of more than 500 points is drawn at 500 equally spaced shares and its best point. The
    band is pointwise, for a threshold named in advance.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.plots import ProfitCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> psi = effect + rng.normal(size=500)
    >>> display = ProfitCurveDisplay.from_predictions(psi, effect, cost=0.5, units="EUR")
    >>> display.ax_.get_ylabel()
    'profit per row of all, in EUR'
    """

    def __init__(
        self,
        curves: Any,
        *,
        budget: float | None = None,
        max_share: float | None = None,
        n_rows: int | None = None,
        units: str | None = None,
        title: str | None = None,
    ) -> None:
        self.curves = curves
        self.budget = budget
        self.max_share = max_share
        self.n_rows = n_rows
        self.units = units
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        pseudo_outcome: Any,
        value: Any = 1.0,
        cost: Any = 0.0,
        budget: float | None = None,
        max_share: float | None = None,
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> ProfitCurveDisplay:
        """Predict effects and draw the profit of treating by them.

        Parameters
        ----------
        estimator : fitted effect estimator, or mapping of name to estimators
            Or Pipelines or fitted searches that end in one.
        X : array-like of shape (n_samples, n_features)
            Rows that no estimator was fitted on.
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        value, cost, budget, max_share, sample_weight, groups, confidence_level
            See `from_predictions`.
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        ProfitCurveDisplay

        Raises
        ------
        NotFittedError
            If an estimator, or the search around it, is not fitted.
        ValueError
            If arrays do not fit or hold NaN, or a number is out of range.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        check_same_index(
            owner, X=X, pseudo_outcome=pseudo_outcome, value=value, cost=cost,
            sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        predictions = {
            name or type(last_step(model)).__name__: predicted_effects(owner, model, X)
            for name, model in named(owner, estimator, "estimators").items()
        }
        return cls.from_predictions(
            pseudo_outcome,
            predictions,
            value=value,
            cost=cost,
            budget=budget,
            max_share=max_share,
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
        value: Any = 1.0,
        cost: Any = 0.0,
        budget: float | None = None,
        max_share: float | None = None,
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> ProfitCurveDisplay:
        """Draw the profit of treating by predicted effect.

        Parameters
        ----------
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        prediction : array-like of shape (n_samples,), or mapping of name to such
            What ranks the rows, of one model or of several.
        value, cost : float or array-like of shape (n_samples,), defaults=1.0 and 0.0
            Worth of a unit of y, and cost of treating a row.
        budget, max_share : float, default=None
            Limits on the best point, see the class.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of
            rows; of all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, for the bands.
        confidence_level : float, default=0.95
            Of the bands, inside (0, 1).
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        ProfitCurveDisplay

        Raises
        ------
        ValueError
            If arrays do not fit or hold NaN, or a number is out of range.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_predictions"
        check_same_index(
            owner, pseudo_outcome=pseudo_outcome, prediction=prediction, value=value, cost=cost,
            sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        curves = {
            name: profit_curve(
                pseudo_outcome,
                values,
                value=value,
                cost=cost,
                budget=budget,
                max_share=max_share,
                sample_weight=sample_weight,
                groups=groups,
                confidence_level=confidence_level,
            )
            for name, values in named(owner, prediction, "predictions").items()
        }
        display = cls(
            curves,
            budget=budget,
            max_share=max_share,
            n_rows=frames.n_rows(pseudo_outcome),
            units=units,
            title=title,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> ProfitCurveDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        ProfitCurveDisplay
            self, with `ax_` and `figure_`.

        Raises
        ------
        TypeError
            If a curve is none.
        ValueError
            If curves are of different rows, or a limit is out of range.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        check_budget(owner, self.budget)
        check_share(owner, self.max_share)
        curves = named(owner, self.curves, "curves")
        _check_same_rows(owner, curves)
        ax = open_axes(owner, ax, 4.1)
        self.ax_, self.figure_ = ax, ax.figure
        drawn = [
            _draw_curve(ax, name, curve, k, len(curves))
            for k, (name, curve) in enumerate(curves.items())
        ]
        _set_limits(ax, curves.values())
        first = next(iter(curves.values()))
        ends = _limits_of_treatment(first, self.budget, self.max_share)
        for at, _ in ends:
            ax.axvline(at, color=INK, linewidth=1.0, linestyle=":", zorder=0)
        write_side(ax, f"profit per row of all, in {self.units or 'units of money'}")
        n = first.n_units if self.n_rows is None else self.n_rows
        write_texts(
            ax, "share of rows treated, highest predicted effect first (%)",
            [*(f"Dotted line: {text}." for _, text in ends), _best_note(curves)], self.title,
            f"Profit by share treated, n = {n:,}; bands: "
            f"{100 * first.confidence_level:g} %, pointwise",
        )  # fmt: skip
        label_curves(
            ax,
            [curve for curve in drawn if curve.name],
            avoid=tuple(at for at, _ in ends),
            edges=band_edges(first) if len(curves) == 1 else (),
        )
        return self


def _check_same_rows(owner: str, curves: dict[str, Any]) -> None:
    for curve in curves.values():
        check_columns(owner, curve, _NEEDED, "profit_curve")
    ends = np.array([float(curve.profit[-1]) for curve in curves.values()])
    sizes = {curve.n_units for curve in curves.values()}
    if len(sizes) > 1 or np.ptp(ends) > 1e-9 + 1e-6 * float(np.abs(ends).max()):
        raise ValueError(
            f"{owner}: curves must be of the same rows and costs, and these have "
            f"{listed(sorted(sizes))} independent rows and end between {ends.min():.4g} and "
            f"{ends.max():.4g}. Make all of them from the same scores, weights and costs."
        )


def _draw_curve(ax: Any, name: str, curve: Any, k: int, n_curves: int) -> NamedCurve:
    """Draw curve, band and best point."""
    share, profit, low, high = arrays_of(curve, _NEEDED)
    at = np.union1d(thin(share), curve.best_idx)
    share, profit = share[at], profit[at]
    style = line_style(k)
    draw_band(ax, 100 * share, low[at], high[at], style["color"], n_curves == 1)
    ax.plot(100 * share, profit, **style, zorder=3)
    ax.plot(
        [100 * curve.best_share], [curve.best_profit], "D", color=style["color"], markersize=7,
        markeredgecolor="white", zorder=4, clip_on=False,
    )  # fmt: skip
    return NamedCurve(name, 100 * share, profit, style["color"])


def _set_limits(ax: Any, curves: Any) -> None:
    """Hold 0, all curves and their bands."""
    ends = [0.0]
    for curve in curves:
        share, profit, low, high = arrays_of(curve, _NEEDED)
        ends += band_limits(share, profit, low, high, 0.0)
    margin = 0.07 * (max(ends) - min(ends)) or 1.0
    ax.set_ylim(min(ends) - margin, max(ends) + margin)
    ax.set_xlim(0.0, 100.0)
    ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)


def _limits_of_treatment(
    curve: Any, budget: float | None, max_share: float | None
) -> list[tuple[float, str]]:
    """Return where budget and capacity end, in percent, and what to say of them."""
    ends = []
    if budget is not None:
        reached = float(np.interp(budget, curve.spend, curve.share))
        if budget >= curve.spend[-1]:
            ends.append((100.0, f"the budget of {budget:g} per row pays for all"))
        else:
            ends.append((100 * reached, f"end of the budget, {budget:g} per row of all"))
    if max_share is not None:
        ends.append((100.0 * max_share, f"capacity, {100 * max_share:g} % of the rows"))
    return ends


def _best_note(curves: dict[str, Any]) -> str:
    """Say where the diamonds are, and that they are too good."""
    parts = []
    for name, curve in curves.items():
        share = f"treat {100 * curve.best_share:.3g} %" if curve.best_share > 0 else "treat nobody"
        text = f"{share}, profit {write_decimals(curve.best_profit, decimals_of([curve.best_profit], 3))}"
        parts.append(f"{name}: {text}" if name else text)
    found = "; ".join(parts)
    return f"Diamond: best point, too good since these rows chose it. Here: {found}."
