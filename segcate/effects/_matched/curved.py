"""Matches with a curved regression: weights of the matched sets, and the standard error of residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.curves import Curves
from segcate.effects._curved.comparison import Comparison
from segcate.effects._curved.imbalance import imbalance_left, imbalance_notes
from segcate.effects._curved.reweighted import ALONE, Reweighted, reweighted
from segcate.effects._curved.row_scores import Weighted
from segcate.effects._curved.weighted_effects import WeightedEffects, weighted_effects
from segcate.effects._curved.words import donor_note
from segcate.effects._matched.adjustment import Adjusted
from segcate.effects._matched.view import SegmentView
from segcate.matching._design import Design
from segcate.matching._model_columns import curves_for

__all__ = [
    "BEYOND",
    "CurvedDesign",
    "adjusted_by_curves",
    "beyond_note",
    "curved_design",
    "curved_note",
]

# A focal row lies beyond the donors where its log-odds are above all of theirs by so much (odds 1.5
# times as high). It is told where the share of such rows is above this beyond chance, by a one-sided
# binomial test at the same level. In 240 segments a design (six of each of 40 draws; truly lacking
# are those with a tenth of the treated at chances above .95): of a linear one of 800 rows 1 % are named
# (26-30 % by a fifth of a standard deviation and no test, which this replaces), of no effect with 40
# rows a segment 9 % (67 %), of curves 2 % (27 %), of 3,000 rows with chances of 5 % none (11 %). Of the
# lacking segments are named 91 % with poor overlap in 800 rows (100 %) and 75 % with squares and no
# overlap (89 %), where errors are 1.25 times the standard errors; 33 % with nine of ten rows treated (77 %).
BEYOND, _MOST_BEYOND = 0.4, 0.05


@dataclass(frozen=True, slots=True)
class CurvedDesign:
    """A design whose outcomes were regressed on curves.

    Attributes
    ----------
    curves : the columns of the regression
    comparison : the weights of the matched sets
    found : effects of all segments
    left : one text a segment, what its weights leave unlike between the arms
    second : the effects by the regression alone
    log_odds : float64 array of shape (n_rows,), of treatment; None where there is no score
    """

    curves: Curves
    comparison: Comparison
    found: WeightedEffects
    left: tuple[str, ...]
    second: Reweighted
    log_odds: Float | None

    @property
    def weighted(self) -> Weighted:
        """The effects with what they are made of."""
        return Weighted(self.curves, self.comparison, self.found)

    def covariances(self, code: int) -> Float:
        """Return the covariances of the effect of a segment with those of all."""
        return np.asarray(self.found.covariance[code])

    def is_donor(self, view: SegmentView) -> npt.NDArray[np.bool_]:
        """Mark the positions of a segment whose outcomes are in a regression."""
        arms = [part.arm.arm for part in self.found.parts]
        return np.isin(view.is_treated, arms)

    def unit_scores(self, view: SegmentView) -> Float:
        """Return what each position adds to the error of the effect, by its exact weight."""
        return self.found.unit_scores(self.comparison, view.rows.astype(np.intp))

    def exact_weights(self, view: SegmentView) -> Float:
        """Return the weight of each position in the mean of its arm that the effect compares."""
        return self.found.exact_weights(self.comparison, view.rows.astype(np.intp))


def curved_design(design: Design, y: Float, estimand: str, inference: str) -> CurvedDesign:
    """Regress the outcomes of all segments together, and estimate each with its matched sets."""
    data = design.data
    columns = design.columns
    curves = None if design.propensity is None else design.propensity.curves
    if curves is None:
        curves = curves_for(columns, data, design.support.sparse)
    comparison = _comparison(design, y, estimand)
    found = weighted_effects(curves, comparison, inference=inference)
    left = imbalance_notes(imbalance_left(curves, comparison, found), columns.every_name)
    equal = np.ones(data.n_rows) if data.sample_weight is None else data.sample_weight
    second = reweighted(curves, comparison, found, equal, ALONE, data.groups)
    log_odds = None if design.propensity is None else design.propensity.linear
    return CurvedDesign(curves, comparison, found, tuple(left), second, log_odds)


def _comparison(design: Design, y: Float, estimand: str) -> Comparison:
    sample, data = design.sample, design.data
    own, uses = np.zeros(data.n_rows), np.zeros(data.n_rows)
    matched = (sample.stop > sample.start).astype(np.float64)
    own[sample.order] = matched if sample.sample_weight is None else matched * sample.sample_weight
    uses[sample.order] = sample.uses
    return Comparison(
        rows_of=_rows_of(design),
        y=y,
        is_treated=data.treatment == 1,
        own=own,
        uses=uses,
        weight=data.sample_weight,
        estimand=estimand,
    )


def _rows_of(design: Design) -> list[Int]:
    """Rows of each segment that take part in the design, ascending."""
    sample = design.sample
    parts = [sample.order[sample.segment_slice(k)] for k in range(design.data.segment.n_segments)]
    return [np.sort(part).astype(np.intp) for part in parts]


def adjusted_by_curves(view: SegmentView, curved: CurvedDesign) -> Adjusted:
    """Outcomes of one segment less the regression of the donors' arm."""
    residual: list[Float | None] = [None, None]
    for part in curved.found.parts:
        residual[1 - part.arm.arm] = part.arm.residual[view.rows]
    return Adjusted((residual[0], residual[1]), "")


def curved_note(view: SegmentView, curved: CurvedDesign) -> str:
    """Say where an estimate rests on few donors, or on the regression beyond them."""
    n_treated = int(view.is_treated.sum())
    n_rows = (len(view.rows) - n_treated, n_treated)
    notes = [
        donor_note(curved.curves, curved.found, view.code, n_rows),
        _beyond_donors(view, curved.log_odds),
        curved.left[view.code],
    ]
    return "; ".join(note for note in notes if note)


def _beyond_donors(view: SegmentView, log_odds: Float | None) -> str:
    """Count the focal rows whose scores lie beyond those of all donors."""
    if log_odds is None:
        return ""
    notes = []
    for arm in (1, 0):
        if view.is_focal_arm(arm):
            score = log_odds[view.rows] if arm == 1 else -log_odds[view.rows]
            focal = score[(view.own > 0) & view.in_arm(arm)]
            n_beyond = int((focal > score[view.in_arm(1 - arm)].max() + BEYOND).sum())
            notes.append(beyond_note(arm, n_beyond, len(focal)))
    return "; ".join(note for note in notes if note)


def beyond_note(arm: int, n_beyond: int, n_focal: int) -> str:
    """Say how many focal rows of an arm lie beyond the scores of all donors, where chance does not explain it."""
    if not n_beyond or bdtrc(n_beyond - 1, n_focal, _MOST_BEYOND) >= _MOST_BEYOND:
        return ""
    who, donors = ("treated", "controls") if arm == 1 else ("controls", "treated")
    return (
        f"{100 * n_beyond / n_focal:.0f} % of the {who} lie beyond the scores of all {donors}: the "
        "estimate rests on the regression there"
    )
