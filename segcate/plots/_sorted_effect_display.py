"""Sorted effects: how much predicted effects differ, and how large those of both ends are."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_number
from segcate._inputs.vectors import check_same_index
from segcate._inputs.weights import check_weights
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.plots._curve_labels import NamedCurve, label_curves, line_style
from segcate.plots._display import Display
from segcate.plots._drawing import FONT, INK, write_side
from segcate.plots._sources import (
    note_on_rows_without_effect,
    predicted_effects,
    read_effects,
)

_N_POINTS = 500


@dataclass(frozen=True, slots=True)
class SortedEffects:
    """Effects in falling order, at 500 points at most.

    Attributes
    ----------
    share : share of the rows (of their weight) up to and with this one, ascending from 0 to 1
    effect : effect of the row there; at 0 that of the first
    cumulative_mean : mean effect of all rows up to there
    top, bottom : mean effect of the first and last share of rows
    mean : mean effect of all
    n_rows, n_without : rows with and without an effect
    """

    share: Float
    effect: Float
    cumulative_mean: Float
    top: float
    bottom: float
    mean: float
    n_rows: int
    n_without: int


def sort_effects(prediction: Float, weight: Float | None, mark: float) -> SortedEffects:
    """Sort effects, largest first, and thin them to equally spaced shares, both ends kept.

    Means are of all rows, not of the thinned ones; a row that straddles a mark counts in part.
    """
    has_effect = ~np.isnan(prediction)
    effect = prediction[has_effect]
    mass = np.ones(len(effect)) if weight is None else weight[has_effect]
    order = np.argsort(-effect, kind="stable")
    effect, mass = effect[order], mass[order]
    effect, mass = effect[mass > 0], mass[mass > 0]
    share = np.cumsum(mass) / mass.sum()
    gain = np.cumsum(mass * effect) / mass.sum()
    ends = np.concatenate([[0.0], share])
    top, rest = np.interp([mark, 1 - mark], ends, np.concatenate([[0.0], gain]))
    at = np.unique(np.searchsorted(share, np.linspace(0, 1, _N_POINTS + 1)[1:] - 1e-12))
    at = np.unique(np.concatenate([[0], np.minimum(at, len(share) - 1), [len(share) - 1]]))
    return SortedEffects(
        share=np.concatenate([[0.0], share[at]]),
        effect=effect[np.concatenate([[0], at])],
        cumulative_mean=np.concatenate([effect[:1], gain[at] / share[at]]),
        top=float(top / mark),
        bottom=float((gain[-1] - rest) / mark),
        mean=float(gain[-1]),
        n_rows=int(has_effect.sum()),
        n_without=int((~has_effect).sum()),
    )


@dataclass(eq=False, repr=False)
class SortedEffectDisplay(Display):
    """Predicted effects sorted from the largest down, with their cumulative mean.

    Use it to see how much predicted effects differ, and what treating only the most affected would
    give if the predictions were right. It shows predictions alone: whether they are right is the
    question of `EffectByQuantileDisplay` and `UpliftCurveDisplay`.

    Parameters
    ----------
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row in units of y; NaN for rows without one.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    mark : float, default=0.2
        Share of rows at both ends whose mean effect is written, inside (0, 0.5].
    units : str, default=None
        Unit of y for the axis, such as ``"kg"``. None: "units of y".
    title : str, default=None
        None: a title that states estimand and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_, mean_ : lists of one Line2D: the effects, and their cumulative mean

    See Also
    --------
    EffectDistributionDisplay : Who the rows with large effects are.

    Notes
    -----
    More than 500 rows are drawn at 500 equally spaced shares, both ends kept; all means are of all
    rows. Rows without an effect are counted below the axis.

    References
    ----------
    Chernozhukov, V., Fernandez-Val, I., & Luo, Y. (2018). The sorted effects method. Econometrica,
    86(6), 1911-1938. doi:10.3982/ECTA14415

    Examples
    --------
    >>> from segcate.plots import SortedEffectDisplay
    >>> display = SortedEffectDisplay.from_predictions([0.1, 0.5, 0.3, 0.9, -0.2])
    >>> [text.get_text() for text in display.ax_.texts][:2]
    ['top 20 %: mean 0.900', 'bottom 20 %: mean −0.200']
    """

    prediction: Any
    _: KW_ONLY
    sample_weight: Any = None
    mark: float = 0.2
    units: str | None = None
    title: str | None = None

    line_: list[Any] = field(init=False)
    mean_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> SortedEffectDisplay:
        """Predict effects and draw them sorted.

        Parameters
        ----------
        estimator : fitted effect estimator
            Or a Pipeline or fitted search that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        sample_weight : array-like of shape (n_samples,), default=None
            See the class.
        **kwargs
            All else that `from_predictions` takes.

        Returns
        -------
        SortedEffectDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        ValueError
            If it predicts several effects a row, or none for any.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        check_same_index(owner, X=X, sample_weight=sample_weight)
        prediction = predicted_effects(owner, estimator, X)
        return cls.from_predictions(prediction, sample_weight=sample_weight, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        prediction: Any,
        *,
        sample_weight: Any = None,
        mark: float = 0.2,
        units: str | None = None,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> SortedEffectDisplay:
        """Draw predicted effects sorted.

        Parameters
        ----------
        prediction, sample_weight, mark, units, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Styles, see `plot`.

        Returns
        -------
        SortedEffectDisplay

        Raises
        ------
        ValueError
            If predictions are infinite, all NaN or not one a row, or `mark` is outside (0, 0.5].
        ImportError
            If matplotlib is not installed.
        """
        display = cls(prediction, sample_weight=sample_weight, mark=mark, units=units, title=title)
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        mean_kw: dict[str, Any] | None = None,
    ) -> SortedEffectDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        line_kw, mean_kw : dict, default=None
            Matplotlib properties of the sorted effects and of their cumulative mean.

        Returns
        -------
        SortedEffectDisplay
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
        check_number(
            owner, "mark", self.mark, above=0, most=0.5, advice="Above 0.5 both ends would overlap."
        )
        check_same_index(owner, prediction=self.prediction, sample_weight=self.sample_weight)
        prediction = read_effects(owner, self.prediction)
        weight = check_weights(owner, self.sample_weight, self.prediction)
        found = sort_effects(prediction, weight, self.mark)
        ax = self._open(ax, 3.9, line=line_kw, mean=mean_kw)
        drawn = self._draw(found)
        self._write(
            "share of rows, largest predicted effect first (%)",
            note_on_rows_without_effect(found.n_without),
            f"Predicted effect of the treatment, sorted, n = {found.n_rows:,}; "
            f"mean {write_decimals(found.mean, decimals_of([found.mean], 3))}",
        )
        zero = NamedCurve("", np.array([0.0, 100.0]), np.zeros(2), "")
        label_curves(ax, drawn, avoid=(100 * self.mark, 100 - 100 * self.mark), edges=(zero,))
        return self

    def _draw(self, found: SortedEffects) -> list[NamedCurve]:
        """Draw both curves, the marks and the mean effects of both ends."""
        ax, percent = self.ax_, 100 * found.share
        drawn = []
        for k, (kind, name, y) in enumerate((
            ("line", "predicted effect", found.effect),
            ("mean", "mean of all rows up to here", found.cumulative_mean),
        )):  # fmt: skip
            (line,) = self._mark(kind, ax.plot, percent, y, **line_style(k))
            drawn.append(NamedCurve(name, percent, y, line.get_color()))
        low, high = min(0.0, found.effect.min()), max(0.0, found.effect.max())
        span = (high - low) or 1.0
        ax.set_xlim(0.0, 100.0)
        ax.set_ylim(low - 0.05 * span, high + 0.16 * span)
        ax.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
        style = {"fontsize": FONT, "color": INK, "verticalalignment": "top"}
        where = ax.get_xaxis_transform()
        share = f"{100 * self.mark:g} %"
        for at, name, value, side, x in (
            (100 * self.mark, "top", found.top, "left", 1.0),
            (100 - 100 * self.mark, "bottom", found.bottom, "right", 99.0),
        ):
            ax.axvline(at, ymax=0.9, color=INK, linewidth=0.8, linestyle=":", zorder=0)
            text = f"{name} {share}: mean {write_decimals(value, decimals_of([value], 3))}"
            ax.text(x, 0.985, text, transform=where, horizontalalignment=side, **style)
        write_side(ax, f"effect in {self._units}")
        return drawn
