"""Uplift, Qini, targeting operator and cumulative effect curves, with bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from segcate._inputs.last_step import last_step
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.vectors import check_same_index
from segcate.metrics import cumulative_effect_curve, qini_curve, toc_curve, uplift_curve
from segcate.metrics._targeting_curve import refine
from segcate.plots._curve_band import (
    arrays_of,
    band_edges,
    band_limits,
    check_columns,
    draw_band,
    thin,
)
from segcate.plots._curve_labels import NamedCurve, label_curves, line_style
from segcate.plots._drawing import INK, open_axes, write_side, write_texts
from segcate.plots._sources import named, predicted_effects

Kind = Literal["uplift", "qini", "toc", "cumulative_effect"]

_NAMES = {
    "uplift": "Uplift curve",
    "qini": "Qini curve",
    "toc": "Targeting operator curve",
    "cumulative_effect": "Cumulative effect curve",
    "cumulative_slope": "Cumulative slope curve",
}
_LABELS = {
    "uplift": "gain per row of all, in",
    "qini": "gain over a random choice, per row of all, in",
    "toc": "effect of those treated less that of all, in",
    "cumulative_effect": "effect of those treated, in",
    "cumulative_slope": "effect of a unit of dose on the top share, in",
}
# Inside a block of equal predictions these are no straight lines: shares are put between its ends.
_BENT = ("toc", "cumulative_effect", "cumulative_slope")
_MAKERS: dict[str, Callable[..., Any]] = {
    "uplift": uplift_curve,
    "qini": qini_curve,
    "toc": toc_curve,
    "cumulative_effect": cumulative_effect_curve,
}
# Means of the first rows scatter widely; sums do not.
_HEADS = {"uplift": 0.0, "qini": 0.0}
_HEAD_OF_MEANS = 0.05
_NEEDED = ("share", "value", "ci_low", "ci_high")


class UpliftCurveDisplay:
    """Curves of what treating the highest predicted effects first brings, with their bands.

    Use it to see whether a ranking is better than chance, and which of several models ranks best.
    ``"uplift"`` is the gain collected by treating a share of the rows, ``"qini"`` the same less
    what as many rows picked at random would bring; ``"cumulative_effect"`` is the mean effect of
    the share treated and ``"toc"`` the same less the mean effect of all.

    Parameters
    ----------
    curves : TargetingCurve, or mapping of name to TargetingCurve
        Results of one function, such as `segcate.metrics.qini_curve`, on the same rows.
    units : str, default=None
        Unit of y for the axis, such as ``"kg"``. None: "units of y".
    title : str, default=None
        None: a title that states curve, rows and band; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    segcate.metrics.rank_test : Whether a ranking is better than chance, as a test.
    EffectByQuantileDisplay : Whether predictions are right, not only their order.
    ProfitCurveDisplay : The gain in money, costs taken off.

    Notes
    -----
    The grey line is treating rows at random. A curve of more than 500 points is drawn at 500
    equally spaced shares. Of the two curves that are means, the band of the first 5 % of the rows
    does not set the limits of the axis and may be cut. Bands of two models overlap more than their
    difference is unsure, since both are made of the same rows: compare models by
    `segcate.metrics.compare_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.plots import UpliftCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> psi = effect + rng.normal(size=500)
    >>> display = UpliftCurveDisplay.from_predictions(psi, effect, kind="qini", units="kg")
    >>> display.ax_.get_ylabel()
    'gain over a random choice, per row of all, in kg'
    """

    def __init__(self, curves: Any, *, units: str | None = None, title: str | None = None) -> None:
        self.curves = curves
        self.units = units
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        pseudo_outcome: Any,
        kind: Kind = "uplift",
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        band: str = "pointwise",
        random_state: Any = None,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> UpliftCurveDisplay:
        """Predict effects and draw the curve of their ranking.

        Parameters
        ----------
        estimator : fitted effect estimator, or mapping of name to estimators
            Or Pipelines or fitted searches that end in one.
        X : array-like of shape (n_samples, n_features)
            Rows that no estimator was fitted on.
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        kind, sample_weight, groups, confidence_level, band, random_state
            See `from_predictions`.
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        UpliftCurveDisplay

        Raises
        ------
        NotFittedError
            If an estimator, or the search around it, is not fitted.
        ValueError
            If arrays do not fit, hold NaN, or `kind` or `band` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        check_same_index(
            owner, X=X, pseudo_outcome=pseudo_outcome, sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        models = named(owner, estimator, "estimators")
        predictions = {
            name or type(last_step(model)).__name__: predicted_effects(owner, model, X)
            for name, model in models.items()
        }
        return cls.from_predictions(
            pseudo_outcome,
            predictions,
            kind=kind,
            sample_weight=sample_weight,
            groups=groups,
            confidence_level=confidence_level,
            band=band,
            random_state=random_state,
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
        kind: Kind = "uplift",
        sample_weight: Any = None,
        groups: Any = None,
        confidence_level: float = 0.95,
        band: str = "pointwise",
        random_state: Any = None,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
    ) -> UpliftCurveDisplay:
        """Draw the curve of a ranking by predicted effect.

        Parameters
        ----------
        pseudo_outcome : array-like of shape (n_samples,)
            Effect scores of the rows, from `segcate.metrics.effect_scores`.
        prediction : array-like of shape (n_samples,), or mapping of name to such
            Predicted effect of each row, of one model or of several.
        kind : {"uplift", "qini", "toc", "cumulative_effect"}, default="uplift"
            Which curve.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of
            rows; of all others only ratios count; a row of weight 0 is not there.
        groups : array-like of shape (n_samples,), default=None
            Clusters of dependent rows, for the bands.
        confidence_level : float, default=0.95
            Of the bands, inside (0, 1).
        band : {"pointwise", "uniform"}, default="pointwise"
            Whether a band holds the truth at one share named in advance, or at all at once.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws behind a uniform band.
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.

        Returns
        -------
        UpliftCurveDisplay

        Raises
        ------
        ValueError
            If arrays do not fit, hold NaN, or `kind` or `band` is unknown.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_predictions"
        check_option(owner, "kind", kind, _MAKERS)
        check_same_index(
            owner, pseudo_outcome=pseudo_outcome, prediction=prediction,
            sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        make = _MAKERS[kind]
        curves = {
            name: make(
                pseudo_outcome,
                values,
                sample_weight=sample_weight,
                groups=groups,
                confidence_level=confidence_level,
                band=band,
                random_state=random_state,
            )
            for name, values in named(owner, prediction, "predictions").items()
        }
        return cls(curves, units=units, title=title).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> UpliftCurveDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        UpliftCurveDisplay
            self, with `ax_` and `figure_`.

        Raises
        ------
        TypeError
            If a curve is none.
        ValueError
            If curves are of different kinds or rows.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        curves = named(owner, self.curves, "curves")
        kind = _common_kind(owner, curves)
        if kind in _BENT:
            curves = {name: refine(curve) for name, curve in curves.items()}
        ax = open_axes(owner, ax, 3.9)
        self.ax_, self.figure_ = ax, ax.figure
        drawn = [
            _draw_curve(ax, name, curve, k, len(curves))
            for k, (name, curve) in enumerate(curves.items())
        ]
        first = next(iter(curves.values()))
        drawn.append(_draw_chance(ax, kind, float(np.asarray(first.value)[-1])))
        _set_limits(ax, curves.values(), kind)
        write_side(ax, f"{_LABELS[kind]} {self.units or 'units of y'}")
        level = f"{100 * first.confidence_level:g} %"
        write_texts(
            ax, "share of rows treated, largest predicted effect first (%)", [], self.title,
            f"{_NAMES[kind]}, n = {first.n_rows:,}; bands: {level}, {first.band}",
        )  # fmt: skip
        edges = band_edges(first) if len(curves) == 1 else ()
        label_curves(ax, [curve for curve in drawn if curve.name], edges=edges)
        return self


def _common_kind(owner: str, curves: dict[str, Any]) -> str:
    """Check that curves belong into one picture, and return what they are."""
    for curve in curves.values():
        check_columns(owner, curve, _NEEDED, "uplift_curve")
    kinds = {str(curve.kind) for curve in curves.values()}
    if len(kinds) > 1 or not kinds <= set(_NAMES):
        raise ValueError(
            f"{owner}: curves must be of one kind out of {list(_NAMES)}; got "
            f"{listed(sorted(kinds))}. Draw each kind into axes of its own."
        )
    sizes = {curve.n_rows for curve in curves.values()}
    ends = np.array([float(np.asarray(curve.value)[-1]) for curve in curves.values()])
    if len(sizes) > 1 or np.ptp(ends) > 1e-6 * max(1e-12, float(np.abs(ends).max())) + 1e-9:
        raise ValueError(
            f"{owner}: curves must be of the same rows, and these have {listed(sorted(sizes))} "
            f"rows and end between {ends.min():.4g} and {ends.max():.4g}. Score all models with "
            "the same `pseudo_outcome` and weights."
        )
    return kinds.pop()


def _draw_curve(ax: Any, name: str, curve: Any, k: int, n_curves: int) -> NamedCurve:
    """Draw curve and band."""
    share, value, low, high = arrays_of(curve, _NEEDED)
    at = thin(share)
    share, value = share[at], value[at]
    style = line_style(k)
    draw_band(ax, 100 * share, low[at], high[at], style["color"], n_curves == 1)
    ax.plot(100 * share, value, **style, zorder=3)
    return NamedCurve(name, 100 * share, value, style["color"])


def _draw_chance(ax: Any, kind: str, end: float) -> NamedCurve:
    """Draw what treating rows at random brings."""
    heights = {"uplift": [0.0, end], "qini": [0.0, 0.0], "toc": [0.0, 0.0]}
    y = np.array(heights.get(kind, [end, end]))
    x = np.array([0.0, 100.0])
    ax.plot(x, y, color="#6b6b6b", linewidth=1.1, zorder=2)
    return NamedCurve("at random", x, y, "#4a4a4a")


def _set_limits(ax: Any, curves: Any, kind: str) -> None:
    """Hold 0, all curves and their bands, but not the bands of the first means."""
    ends = [0.0]
    for curve in curves:
        share, value, low, high = arrays_of(curve, _NEEDED)
        ends += band_limits(share, value, low, high, _HEADS.get(kind, _HEAD_OF_MEANS))
    margin = 0.07 * (max(ends) - min(ends)) or 1.0
    ax.set_ylim(min(ends) - margin, max(ends) + margin)
    ax.set_xlim(0.0, 100.0)
    if kind not in ("qini", "toc"):
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
