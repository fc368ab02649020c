"""Uplift, Qini, targeting operator and cumulative effect curves, with bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import numpy as np

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.vectors import check_same_index
from segcate.metrics import cumulative_effect_curve, qini_curve, toc_curve, uplift_curve
from segcate.plots._curve_display import CurveDisplay
from segcate.plots._curve_labels import NamedCurve
from segcate.plots._drawing import write_side
from segcate.plots._sources import named, predicted_by_each

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


@dataclass(eq=False, repr=False)
class UpliftCurveDisplay(CurveDisplay):
    """Uplift, Qini, TOC or cumulative effect curves of a ranking, with their bands.

    Use it to see whether a ranking is better than chance, and which of several models ranks best.
    Rows with the highest predicted effects are treated first. ``"uplift"`` is the gain from treating
    a share of the rows, ``"qini"`` that gain less the gain from as many rows picked at random;
    ``"cumulative_effect"`` is the mean effect of the share treated and ``"toc"`` that less the mean
    effect of all.

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
    line_, band_ : lists of Line2D and PolyCollection, one a curve
    chance_level_ : list of one Line2D

    See Also
    --------
    segcate.metrics.rank_test : Whether a ranking is better than chance, as a test.
    EffectByQuantileDisplay : Whether predictions are right, not only their order.
    ProfitCurveDisplay : The gain in money, costs taken off.

    Notes
    -----
    The grey line is treating rows at random. A curve of more than 500 points is drawn at 500
    equally spaced shares. Of the two curves that are means, the band of the first 5 % of the rows
    does not set the limits of the axis and may be cut. Bands of two models may overlap although
    one model is better, since both are made of the same rows: compare models by
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

    curves: Any
    _: KW_ONLY
    units: str | None = None
    title: str | None = None

    chance_level_: list[Any] = field(init=False)
    _height = "value"
    _maker = "uplift_curve"

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
        sample_weight, groups : array-like of shape (n_samples,), default=None
            See `from_predictions`.
        **kwargs
            All else that `from_predictions` takes.

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
        rows = {"pseudo_outcome": pseudo_outcome, "sample_weight": sample_weight, "groups": groups}
        check_same_index(owner, X=X, **rows)
        prediction = predicted_by_each(owner, estimator, X)
        return cls.from_predictions(prediction=prediction, **rows, **kwargs)

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
        **kwargs: Any,
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
            "pointwise": the band holds the truth at one share that was named in advance. "uniform": it
            holds the truth at all shares at once.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws behind a uniform band.
        units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Styles, see `plot`.

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
        rows = {"sample_weight": sample_weight, "groups": groups}
        check_same_index(owner, pseudo_outcome=pseudo_outcome, prediction=prediction, **rows)
        options = {"confidence_level": confidence_level, "band": band, "random_state": random_state}
        curves = {
            name: _MAKERS[kind](pseudo_outcome, values, **rows, **options)
            for name, values in named(owner, prediction, "predictions").items()
        }
        return cls(curves, units=units, title=title).plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        chance_level_kw: dict[str, Any] | None = None,
    ) -> UpliftCurveDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        line_kw, band_kw, chance_level_kw : dict, default=None
            Matplotlib properties of the curves, the bands and the line of random treatment.

        Returns
        -------
        UpliftCurveDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError
            If a style is no dict, or a curve is none.
        ValueError
            If curves are of different kinds or rows.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        models = named(owner, self.curves, "curves")
        kind = self._common_kind(owner, list(models.values()))
        if kind in _BENT:
            models = {name: curve.refined() for name, curve in models.items()}
        curves = list(models.values())
        self._open(ax, 3.9, line=line_kw, band=band_kw, chance_level=chance_level_kw)
        drawn = [
            self._draw_curve(name, curve, k, len(curves) == 1)
            for k, (name, curve) in enumerate(models.items())
        ]
        first = curves[0]
        drawn.append(self._draw_chance(kind, float(np.asarray(first.value)[-1])))
        self._set_limits(curves, _HEADS.get(kind, _HEAD_OF_MEANS), zero=kind not in ("qini", "toc"))
        write_side(self.ax_, f"{_LABELS[kind]} {self._units}")
        level = f"{100 * first.confidence_level:g} %"
        self._write(
            "share of rows treated, largest predicted effect first (%)",
            [],
            f"{_NAMES[kind]}, n = {first.n_rows:,}; bands: {level}, {first.band}",
        )
        self._name_curves(drawn, curves)
        return self

    def _common_kind(self, owner: str, curves: list[Any]) -> str:
        """Check that curves are of one kind and of the same rows; return the kind."""
        self._check_columns(owner, curves)
        kinds = {str(curve.kind) for curve in curves}
        if len(kinds) > 1 or not kinds <= set(_NAMES):
            raise ValueError(
                f"{owner}: curves must be of one kind out of {list(_NAMES)}; got "
                f"{listed(sorted(kinds))}. Draw each kind into axes of its own."
            )
        advice = "Score all models with the same `pseudo_outcome` and weights."
        self._check_same_rows(owner, curves, {curve.n_rows for curve in curves}, "rows", advice)
        return kinds.pop()

    def _draw_chance(self, kind: str, end: float) -> NamedCurve:
        """Draw the curve of treating rows at random."""
        heights = {"uplift": [0.0, end], "qini": [0.0, 0.0], "toc": [0.0, 0.0]}
        x, y = np.array([0.0, 100.0]), np.array(heights.get(kind, [end, end]))
        style = {"color": "#6b6b6b", "linewidth": 1.1, "zorder": 2}
        self._mark("chance_level", self.ax_.plot, x, y, **style)
        return NamedCurve("at random", x, y, "#4a4a4a")
