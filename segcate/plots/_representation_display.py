"""The representation of histories by treatment and, beside it, by the outcome that came next."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_count
from segcate.plots._display import Display
from segcate.plots._drawing import INK, MAIN, PALE, SECOND, fit_name

_HEIGHT = 4.0
_APART = 1.12
_MOST_POINTS, _MOST_TREATMENTS, _NAME = 1500, 4, 16
_TREATED = (
    {"marker": "o", "color": PALE}, {"marker": "^", "color": MAIN}, {"marker": "s", "color": SECOND},
    {"marker": "D", "color": INK}, {"marker": "x", "color": "#7a7a7a"},
)  # fmt: skip
# From small to large outcomes: from pale to dark.
_SHADES = ("#cfdae4", "#9fb6ca", "#6f92b0", "#3f6f98", "#12305f")
_FIELDS = ("representation", "treatment", "outcome", "explained", "std_error")


@dataclass(eq=False, repr=False)
class RepresentationDisplay(Display):
    """The representation of histories, by treatment on the left and by the next outcome on the right.

    Use it to see what a network over time has kept of a history, and whether balancing took away what
    tells the treatment. Both panels show the same points: the first two principal components of the
    standardised representation. Trust the sentence below them more than the eye.

    Parameters
    ----------
    probe : TreatmentProbe
        What `probe_treatment` of a network returns.
    outcome : int, default=0
        Number of the outcome on the right, counted from 0.
    title : str, default=None
        None: a title that counts the histories; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    treatment_ : list of Line2D
        On the left: the points of each combination of treatments.
    outcome_ : list of Line2D
        On the right: the points of each fifth of the outcome.

    Notes
    -----
    The four most common combinations of treatments have marks of their own, all others share one. Of more
    than 1,500 units evenly spaced ones are drawn, and all are counted.

    Examples
    --------
    >>> from segcate.plots import RepresentationDisplay
    >>> from segcate.temporal import GNet, Training, tumor_growth
    >>> panel = tumor_growth(60, gamma=2, random_state=0).panel
    >>> model = GNet(["chemo", "radio"], "volume", horizon=2, outcome_transform="cbrt",
    ...              training=Training(n_epochs=2), random_state=0).fit(panel)
    >>> display = RepresentationDisplay.from_estimator(model, panel, origin=10)
    >>> display.ax_.get_xlabel().splitlines()[0][:30]
    'two principal components, the '
    """

    probe: Any
    _: KW_ONLY
    outcome: int = 0
    title: str | None = None

    treatment_: list[Any] = field(init=False)
    outcome_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls, estimator: Any, panel: Any, *, origin: int, **kwargs: Any
    ) -> RepresentationDisplay:
        """Draw the representations of a fitted network over time.

        Parameters
        ----------
        estimator : fitted CausalTransformer, CRN, RMSN or GNet
        panel : frame
            Histories, as in `predict`.
        origin : int
            The row up to which histories are read. Its treatment is shown on the left, and the outcome of
            the row after it on the right.
        **kwargs
            `outcome`, `title`, `ax` and styles, as in `from_predictions`.

        Returns
        -------
        RepresentationDisplay

        Raises
        ------
        TypeError
            If the estimator has no representation.
        ValueError
            If fewer than ten units are known at the origin and after it.
        ImportError
            If matplotlib is not installed.
        """
        if not hasattr(estimator, "probe_treatment"):
            raise TypeError(
                f"{cls.__name__}.from_estimator: a {type(estimator).__name__} has no representation of "
                "histories. Pass a fitted CausalTransformer, CRN, RMSN or GNet."
            )
        return cls.from_predictions(estimator.probe_treatment(panel, origin=origin), **kwargs)

    @classmethod
    def from_predictions(
        cls,
        probe: Any,
        *,
        outcome: int = 0,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> RepresentationDisplay:
        """Draw the representations that a probe has looked at.

        Parameters
        ----------
        probe, outcome, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Styles, see `plot`.

        Returns
        -------
        RepresentationDisplay

        Raises
        ------
        TypeError
            If `probe` is no TreatmentProbe.
        ValueError
            If `outcome` is not the number of an outcome.
        ImportError
            If matplotlib is not installed.
        """
        return cls(probe, outcome=outcome, title=title).plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        treatment_kw: dict[str, Any] | None = None,
        outcome_kw: dict[str, Any] | None = None,
    ) -> RepresentationDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        treatment_kw, outcome_kw : dict, default=None
            Matplotlib properties of the points on the left, and on the right.

        Returns
        -------
        RepresentationDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError
            If a style is no dict, or `probe` is no TreatmentProbe.
        ValueError
            If `outcome` is not the number of an outcome.
        ImportError
            If matplotlib is not installed.
        """
        values = self._check(type(self).__name__)
        ax = self._open(ax, _HEIGHT, treatment=treatment_kw, outcome=outcome_kw)
        points, share = _project(np.asarray(self.probe.representation, dtype=np.float64))
        shown = np.unique(np.linspace(0, len(points) - 1, _MOST_POINTS).astype(int))
        ax.set(xlim=(-0.03, 1.03 + _APART), ylim=(-0.03, 1.26), xticks=[], yticks=[])
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        codes, names = _common(self.probe.treatment)
        self._draw_points("treatment", points[shown], codes[shown], _TREATED[: len(names)])
        fifths = _fifths(values)
        shades = [{"marker": "o", "color": shade} for shade in _SHADES]
        self._draw_points("outcome", points[shown] + [_APART, 0.0], fifths[shown], shades)
        words = [fit_name(name, _NAME, 1) for name in names]
        self._write_line("left, treatment:", list(zip(_TREATED, words, strict=False)), 1.2)
        ends = [(shades[0], "lowest fifth"), (shades[-1], "highest fifth")]
        self._write_line("right, outcome of the next row:", ends, 1.11)
        label = (
            f"two principal components, the same on both sides: {100 * share:.0f} % of the variance"
        )
        default = f"What a network keeps of {len(points):,} histories"
        self._write(label, self._notes(len(points), len(shown)), default)
        return self

    def _draw_points(self, kind: str, points: Float, codes: Int, styles: Any) -> None:
        """Draw the points of each code in a style of its own."""
        for code, style in enumerate(styles):
            x, y = points[codes == code].T
            default = {"linestyle": "none", "markersize": 3.2, "markeredgewidth": 0.7, **style}
            self._mark(kind, self.ax_.plot, x, y, **default)

    def _write_line(self, first: str, entries: list[tuple[dict[str, Any], str]], y: float) -> None:
        """Say in one line which mark is which."""
        silent = {"marker": "none", "linestyle": "none", "color": INK}
        styles = [{**style, "linestyle": "none", "markersize": 4.5} for style, _ in entries]
        texts = [text for _, text in entries]
        # Words in ink, as pale marks have pale colours.
        key = [(silent, first), *zip(styles, texts, strict=True)]
        self._write_key(key, y, self.ax_.get_yaxis_transform())
        for text in self.ax_.texts:
            text.set_color(INK)

    def _notes(self, n: int, n_shown: int) -> list[str]:
        """Say what a probe tells of the treatment, and what is left out."""
        explained, error = float(self.probe.explained), float(self.probe.std_error)
        told = (
            "Too few units had another treatment than most for a probe."
            if np.isnan(explained)
            else f"A fresh logistic probe on all {np.shape(self.probe.representation)[1]} dimensions explains "
            f"{100 * explained:.1f} % (standard error {100 * error:.1f}) of the treatment's entropy on units "
            "held out; at 0 % or less it finds nothing."
        )
        return [told, f"{n_shown:,} of {n:,} units are drawn."] if n_shown < n else [told]

    def _check(self, owner: str) -> Float:
        """Return the outcome to be shown; refuse what is no probe."""
        missing = [name for name in _FIELDS if not hasattr(self.probe, name)]
        if missing:
            raise TypeError(
                f"{owner}: `probe` must be a TreatmentProbe; got {type(self.probe).__name__}, which has "
                f"no {', '.join(missing)}. Pass what `model.probe_treatment(panel, origin=...)` returns."
            )
        check_count(owner, "outcome", self.outcome, 0)
        outcomes = np.asarray(self.probe.outcome, dtype=np.float64)
        if self.outcome >= outcomes.shape[1]:
            raise ValueError(
                f"{owner}: `outcome` must be below {outcomes.shape[1]}, the number of outcomes; got "
                f"{self.outcome}."
            )
        found: Float = outcomes[:, self.outcome]
        return found


def _project(representation: Float) -> tuple[Float, float]:
    """Return two principal components, each from 0 to 1, and their share of the variance."""
    scaled = StandardScaler().fit_transform(representation)
    if scaled.shape[1] == 1:
        scaled = np.column_stack([scaled, np.zeros(len(scaled))])
    projection = PCA(2, random_state=0)
    found = projection.fit_transform(scaled)
    low, spread = found.min(axis=0), np.ptp(found, axis=0)
    points: Float = (found - low) / np.where(spread > 0, spread, 1.0)
    return points, float(np.nansum(projection.explained_variance_ratio_))


def _common(treatment: Any) -> tuple[Int, list[str]]:
    """Code the most common treatments from 0 on, and all others as one."""
    labels, codes, counts = np.unique(
        np.asarray(treatment, dtype=str), return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(labels), dtype=np.intp)
    place[order] = np.minimum(np.arange(len(labels)), _MOST_TREATMENTS)
    names = [str(labels[i]) for i in order[:_MOST_TREATMENTS]]
    if len(labels) > _MOST_TREATMENTS:
        names.append("others")
    return place[codes], names


def _fifths(values: Float) -> Int:
    """Code values by fifths, 0 the lowest; equal values share one."""
    edges = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
    found: Int = np.searchsorted(edges, values, side="left")
    return found
