"""Profit by the share of rows treated."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.parameters import check_number
from segcate._inputs.vectors import check_same_index
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.metrics import profit_curve
from segcate.plots._curve_display import CurveDisplay
from segcate.plots._drawing import INK, write_side
from segcate.plots._sources import named, predicted_by_each


@dataclass(eq=False, repr=False)
class ProfitCurveDisplay(CurveDisplay):
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
    line_, band_, best_ : lists of Line2D, PolyCollection and Line2D, one a curve

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

    curves: Any
    _: KW_ONLY
    budget: float | None = None
    max_share: float | None = None
    n_rows: int | None = None
    units: str | None = None
    title: str | None = None

    best_: list[Any] = field(init=False)
    _height = "profit"
    _maker = "profit_curve"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        pseudo_outcome: Any,
        value: Any = 1.0,
        cost: Any = 0.0,
        sample_weight: Any = None,
        groups: Any = None,
        **kwargs: Any,
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
        value, cost, sample_weight, groups
            See `from_predictions`.
        **kwargs
            All else that `from_predictions` takes.

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
        rows = {"pseudo_outcome": pseudo_outcome, "value": value, "cost": cost}
        rows |= {"sample_weight": sample_weight, "groups": groups}
        check_same_index(owner, X=X, **rows)
        prediction = predicted_by_each(owner, estimator, X)
        return cls.from_predictions(prediction=prediction, **rows, **kwargs)

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
        **kwargs: Any,
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
        **kwargs
            Styles, see `plot`.

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
        rows = {"value": value, "cost": cost, "sample_weight": sample_weight, "groups": groups}
        check_same_index(owner, pseudo_outcome=pseudo_outcome, prediction=prediction, **rows)
        limits = {"budget": budget, "max_share": max_share}
        curves = {
            name: profit_curve(
                pseudo_outcome, values, confidence_level=confidence_level, **rows, **limits
            )
            for name, values in named(owner, prediction, "predictions").items()
        }
        n_rows = frames.n_rows(pseudo_outcome)
        display = cls(curves, n_rows=n_rows, units=units, title=title, **limits)
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        best_kw: dict[str, Any] | None = None,
    ) -> ProfitCurveDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        line_kw, band_kw, best_kw : dict, default=None
            Matplotlib properties of the curves, the bands and the diamonds at the best points.

        Returns
        -------
        ProfitCurveDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError
            If a style is no dict, or a curve is none.
        ValueError
            If curves are of different rows, or a limit is out of range.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        advice = "It is money per row of all rows: divide a total by the number of rows."
        check_number(owner, "budget", self.budget, least=0, optional=True, advice=advice)
        check_number(owner, "max_share", self.max_share, least=0, most=1, optional=True)
        models = named(owner, self.curves, "curves")
        curves = list(models.values())
        self._check_columns(owner, curves)
        sizes = {curve.n_units for curve in curves}
        advice = "Make all of them from the same scores, weights and costs."
        self._check_same_rows(owner, curves, sizes, "rows and costs", advice)
        ax = self._open(ax, 4.1, line=line_kw, band=band_kw, best=best_kw)
        drawn = []
        for k, (name, curve) in enumerate(models.items()):
            drawn.append(self._draw_curve(name, curve, k, len(curves) == 1, [curve.best_idx]))
            self._draw_best(curve, drawn[-1].colour)
        self._set_limits(curves)
        ends = _limits_of_treatment(curves[0], self.budget, self.max_share)
        for x, _ in ends:
            ax.axvline(x, color=INK, linewidth=1.0, linestyle=":", zorder=0)
        write_side(ax, f"profit per row of all, in {self.units or 'units of money'}")
        n = curves[0].n_units if self.n_rows is None else self.n_rows
        self._write(
            "share of rows treated, highest predicted effect first (%)",
            [*(f"Dotted line: {text}." for _, text in ends), _best_note(models)],
            f"Profit by share treated, n = {n:,}; bands: "
            f"{100 * curves[0].confidence_level:g} %, pointwise",
        )
        self._name_curves(drawn, curves, tuple(x for x, _ in ends))
        return self

    def _draw_best(self, curve: Any, colour: Any) -> None:
        """Draw a diamond at the best point of a curve."""
        style = {"marker": "D", "markersize": 7, "markeredgecolor": "white", "linestyle": "none"}
        style |= {"color": colour, "zorder": 4, "clip_on": False}
        self._mark("best", self.ax_.plot, [100 * curve.best_share], [curve.best_profit], **style)


def _limits_of_treatment(
    curve: Any, budget: float | None, max_share: float | None = field(init=False)
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
    """Say where the diamonds are, and that their profit is too good."""
    parts = []
    for name, curve in curves.items():
        share = f"treat {100 * curve.best_share:.3g} %" if curve.best_share > 0 else "treat nobody"
        text = f"{share}, profit {write_decimals(curve.best_profit, decimals_of([curve.best_profit], 3))}"
        parts.append(f"{name}: {text}" if name else text)
    found = "; ".join(parts)
    return f"Diamond: best point, too good since these rows chose it. Here: {found}."
