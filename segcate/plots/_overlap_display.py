"""Overlap plot: which propensities occur in both arms."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.special import logit

from segcate._inputs import frames
from segcate._inputs.arrays import Bool, Float
from segcate._inputs.last_step import last_step
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.segments import SegmentCodes, code_segments
from segcate._inputs.treatment import check_treatment
from segcate._inputs.vectors import check_same_index
from segcate._inputs.weights import check_weights
from segcate.plots._display import Display
from segcate.plots._drawing import (
    INK,
    MAIN,
    PALE,
    fit_name,
    font_size,
    name_rows,
    write_beside,
)
from segcate.plots._overlap_counts import ArmBars, bin_edges, one_segment, panel_bars
from segcate.plots._sources import fitted_with, read_numbers, read_rows

Scale = Literal["probability", "logit"]

_ROW_INCHES = 0.62
_ALONE_INCHES = 2.4
_HATCH = "/////"
_ADVICE = (
    "Pass a PropensityMatcher, a SegmentMatching or a classifier with `predict_proba`, or "
    "propensities to `from_predictions`."
)


@dataclass(eq=False, repr=False)
class OverlapDisplay(Display):
    """Overlap plot: the propensity of the treated above, of the controls below.

    Use it before any outcome is looked at: where one side is empty there is nobody to compare with.
    Bars are shares of the arm, so that arms of different size can be compared; hatched parts found
    no match. With segments there is one row a segment.

    Parameters
    ----------
    propensity : array-like of shape (n_samples,), values inside (0, 1)
        Probability of treatment of each row.
    treatment : array-like of shape (n_samples,), values in {0, 1}
        Arm of each row.
    segment : array-like of shape (n_samples,), default=None
        Segment of each row. None: all rows together.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    reason : array-like of str of shape (n_samples,), default=None
        Why a row found no match, "" for all other rows: `MatchedSample.unmatched_reason`. None:
        nothing was matched.
    score_scale : {"probability", "logit"}, default="probability"
        Axis: the probability, or its log-odds, which spread out what is near 0 and 1.
    title : str, default=None
        None: a title that states arms and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    treated_, control_ : lists of StepPatch, the bars of an arm in one segment each
    unmatched_ : list of StepPatch, the parts of them without a match

    See Also
    --------
    LovePlotDisplay : Whether matched arms are alike.

    Notes
    -----
    A row is "beyond the other arm" when its propensity lies below the smallest or above the largest
    one of the other arm in its segment. That is a fact of this sample, not a test. Any number of
    rows is drawn as at most 40 bars an arm.

    References
    ----------
    Austin, P. C. (2011). An introduction to propensity score methods for reducing the effects of
    confounding in observational studies. Multivariate Behavioral Research, 46(3), 399-424.
    doi:10.1080/00273171.2011.568786

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.plots import OverlapDisplay
    >>> users = make_segmented_users(300, random_state=0)
    >>> display = OverlapDisplay.from_predictions(users.propensity, users.treatment)
    >>> display.ax_.get_xlabel().splitlines()[0]
    'propensity (probability of treatment)'
    """

    propensity: Any
    treatment: Any
    _: KW_ONLY
    segment: Any = None
    sample_weight: Any = None
    reason: Any = None
    score_scale: Scale = "probability"
    title: str | None = None

    treated_: list[Any] = field(init=False)
    control_: list[Any] = field(init=False)
    unmatched_: list[Any] = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        treatment: Any,
        segment: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> OverlapDisplay:
        """Draw the propensities of a fitted design or classifier.

        Parameters
        ----------
        estimator : fitted PropensityMatcher or SegmentMatching, or a classifier
            Or a Pipeline or fitted search that ends in one. A matcher shows the propensities of the
            rows it was fitted on, and which of them found no match.
        X : array-like of shape (n_samples, n_features), default=None
            Rows for a classifier with `predict_proba`. A matcher does not look at it.
        treatment : array-like of shape (n_samples,), values in {0, 1}
            Arm of each row, in the order of the fit or of X.
        segment, sample_weight : array-like of shape (n_samples,), default=None
            See the class.
        **kwargs
            All else that `from_predictions` takes.

        Returns
        -------
        OverlapDisplay

        Raises
        ------
        NotFittedError
            If the estimator, or the search around it, is not fitted.
        TypeError
            If there are neither propensities nor `predict_proba`, as with a design that matches on
            covariates.
        ValueError
            If arrays do not fit, or a classifier comes without X.
        ImportError
            If matplotlib is not installed.
        """
        owner = f"{cls.__name__}.from_estimator"
        rows = {"segment": segment, "sample_weight": sample_weight}
        check_same_index(owner, X=X, treatment=treatment, **rows)
        step = last_step(getattr(estimator, "pipeline", estimator))
        if hasattr(step, "predict_proba"):
            propensity = _classified(owner, estimator, X)
        else:
            matcher = fitted_with(owner, getattr(step, "matcher_", step), "matched_", _ADVICE)
            propensity = matcher.propensity_
            if propensity is None:
                raise TypeError(f"{owner}: a {type(matcher).__name__} has no propensity. {_ADVICE}")
            kwargs = {"reason": matcher.matched_.unmatched_reason, **kwargs}
        return cls.from_predictions(propensity, treatment, **rows, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        propensity: Any,
        treatment: Any,
        *,
        segment: Any = None,
        sample_weight: Any = None,
        reason: Any = None,
        score_scale: Scale = "probability",
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> OverlapDisplay:
        """Draw propensities.

        Parameters
        ----------
        propensity, treatment, segment, sample_weight, reason, score_scale, title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Styles, see `plot`.

        Returns
        -------
        OverlapDisplay

        Raises
        ------
        ValueError
            If arrays do not fit, a propensity is outside [0, 1] (on log-odds: outside (0, 1)), or
            no row has one.
        ImportError
            If matplotlib is not installed.
        """
        display = cls(
            propensity,
            treatment,
            segment=segment,
            sample_weight=sample_weight,
            reason=reason,
            score_scale=score_scale,
            title=title,
        )
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        treated_kw: dict[str, Any] | None = None,
        control_kw: dict[str, Any] | None = None,
        unmatched_kw: dict[str, Any] | None = None,
    ) -> OverlapDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, high enough for all segments.
        treated_kw, control_kw, unmatched_kw : dict, default=None
            Matplotlib properties of the bars of the treated, of the controls, and of the parts of
            both without a match.

        Returns
        -------
        OverlapDisplay
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
        check_option(owner, "score_scale", self.score_scale, ["probability", "logit"])
        score, is_treated, codes, edges, panels = self._count_rows(owner)
        pitch = _ALONE_INCHES if len(panels) == 1 else _ROW_INCHES
        height = 1.1 + pitch * len(panels)
        ax = self._open(
            ax, height, treated=treated_kw, control=control_kw, unmatched=unmatched_kw
        )  # fmt: skip
        size = font_size(ax, 3.0 * len(panels))
        tallest = max(float(arm.share.max()) for panel in panels for arm in panel) or 1.0
        for y, panel in enumerate(panels):
            self._draw_panel(edges, panel, float(y), tallest)
            _write_counts(ax, panel, float(y), size)
        self._write_frame(codes, edges, size)
        self._write(
            _LABELS[self.score_scale],
            self._notes(panels, int(np.isnan(score).sum())),
            f"Overlap of the arms: {int(is_treated.sum()):,} treated above, "
            f"{int((~is_treated).sum()):,} controls below",
        )
        return self

    def _count_rows(
        self, owner: str
    ) -> tuple[Float, Bool, SegmentCodes, Float, list[tuple[ArmBars, ArmBars]]]:
        """Check the rows and count them into bins: scores, arms, segments, edges, and the bars."""
        check_same_index(
            owner, propensity=self.propensity, treatment=self.treatment, segment=self.segment,
            sample_weight=self.sample_weight, reason=self.reason,
        )  # fmt: skip
        score = _check_score(owner, self.propensity, self.score_scale)
        is_treated = check_treatment(owner, self.treatment, self.propensity) == 1
        weight = check_weights(owner, self.sample_weight, self.propensity)
        codes = _segments(owner, self.segment, self.propensity)
        reason = _check_reason(owner, self.reason, len(score))
        known = ~np.isnan(score)
        smallest = max(1, min(int(is_treated[known].sum()), int((~is_treated[known]).sum())))
        edges = bin_edges(score[known], smallest // codes.n_segments + 1)
        panels = []
        for code in range(codes.n_segments):
            at = np.flatnonzero((codes.codes == code) & known)
            mass, why = (None if v is None else v[at] for v in (weight, reason))
            panels.append(panel_bars(score[at], is_treated[at], mass, why, edges))
        return score, is_treated, codes, edges, panels

    def _draw_panel(
        self, edges: Float, panel: tuple[ArmBars, ArmBars], y: float, tallest: float
    ) -> None:
        """Draw the arms of one segment: treated upwards, controls downwards."""
        ax, line = self.ax_, {"baseline": y, "fill": True, "edgecolor": INK, "linewidth": 0.5}
        for arm, kind, side, face in zip(
            panel, ("treated", "control"), (-1.0, 1.0), (MAIN, PALE), strict=True
        ):
            scale = 0.44 * side / tallest
            self._mark(kind, ax.stairs, y + scale * arm.share, edges, facecolor=face, **line)
            if arm.unmatched.any():
                hatched = {**line, "facecolor": "white", "hatch": _HATCH}
                self._mark("unmatched", ax.stairs, y + scale * arm.unmatched, edges, **hatched)
        ax.plot([edges[0], edges[-1]], [y, y], color=INK, linewidth=0.8)

    def _write_frame(self, codes: SegmentCodes, edges: Float, size: float) -> None:
        """Name the segments and set limits."""
        ax = self.ax_
        margin = 0.02 * (edges[-1] - edges[0])
        ax.set_xlim(edges[0] - margin, edges[-1] + margin)
        is_one = codes.n_segments == 1
        if not is_one:
            ax.set_ylim(codes.n_segments - 0.5, -0.5)
        else:
            ax.invert_yaxis()
        names = ["" if is_one else fit_name(label, 24) for label in codes.labels.tolist()]
        name_rows(ax, range(codes.n_segments), names, size)

    def _notes(self, panels: list[tuple[ArmBars, ArmBars]], n_without: int) -> list[str]:
        notes = ["Bars: share of the arm, on one scale."]
        reasons: dict[str, int] = {}
        for arm in (arm for panel in panels for arm in panel):
            for reason, n in arm.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + n
        if reasons:
            why = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
            notes[0] += f" Hatched: without a match; {why}."
        if n_without:
            notes.append(
                f"{n_without:,} rows without a propensity (their segment has one arm only) are not "
                "drawn."
            )
        return notes


_LABELS = {
    "probability": "propensity (probability of treatment)",
    "logit": "propensity (log-odds of treatment)",
}


def _classified(owner: str, estimator: Any, X: Any) -> Any:
    """Predict the probability of class 1."""
    if X is None:
        raise ValueError(
            f"{owner}: a classifier needs rows to score. Pass X, those that `treatment` belongs to."
        )
    probability = np.asarray(estimator.predict_proba(X))
    if probability.ndim != 2 or probability.shape[1] != 2:
        raise ValueError(
            f"{owner}: the classifier gives probabilities of shape {probability.shape}; two "
            "classes are needed. For one of several arms pass its column to `from_predictions`, "
            "with `treatment == arm`."
        )
    return probability[:, 1]


def _check_score(owner: str, propensity: Any, scale: str) -> Float:
    """Check propensities (NaN stays) and put them on the scale of the axis."""
    advice = "Pass the probability of being treated."
    values = read_numbers(owner, "propensity", propensity, advice)
    with np.errstate(invalid="ignore"):
        is_bad = (values < 0) | (values > 1)
        is_edge = (values == 0) | (values == 1)
    if is_bad.any():
        raise ValueError(
            f"{owner}: `propensity` must lie inside [0, 1]; {int(is_bad.sum())} of {len(values)} "
            f"values do not ({listed(np.unique(values[is_bad]))}). Pass probabilities, not "
            "log-odds."
        )
    if scale == "logit" and is_edge.any():
        raise ValueError(
            f"{owner}: `propensity` is exactly 0 or 1 in {int(is_edge.sum())} of {len(values)} "
            "rows, and log-odds of those are infinite. Draw with `score_scale='probability'`."
        )
    return np.asarray(logit(values), dtype=np.float64) if scale == "logit" else values


def _segments(owner: str, segment: Any, reference: Any) -> SegmentCodes:
    n_rows = frames.n_rows(reference)
    if segment is None:
        return one_segment(n_rows)
    labels = read_rows(owner, "segment", segment, n_rows, "Pass such as `X['segment']`.")
    return code_segments(owner, labels[:, None], 0, may_look_like_ids=True)


def _check_reason(owner: str, reason: Any, n_rows: int) -> Any:
    if reason is None:
        return None
    advice = "Pass `matcher.matched_.unmatched_reason`."
    texts = read_rows(owner, "reason", reason, n_rows, advice).astype(object)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"{owner}: `reason` must hold texts, '' for rows that are not without a match; got "
            f"{listed(text for text in texts if not isinstance(text, str))}. {advice}"
        )
    return texts


def _write_counts(ax: Any, panel: tuple[ArmBars, ArmBars], y: float, size: float) -> None:
    """Write on the right how many rows each arm has, and how many have no counterpart."""
    for arm, name, shift in zip(panel, ("treated", "control"), (-0.24, 0.24), strict=True):
        text = f"{arm.n:,} {name}\n{arm.n_outside:,} beyond the other arm"
        if arm.reasons:
            text += f"\n{sum(arm.reasons.values()):,} without a match"
        write_beside(ax, 1.02, y + shift, text, 0.85 * size, linespacing=1.05)
