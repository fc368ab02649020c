"""From a design and an outcome to one estimate a segment: the numbers behind `SegmentMatching`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from segcate._statistics.intervals import freedom_of_rows
from segcate.effects._matched.abadie_imbens_2006 import (
    abadie_imbens_variance,
    common_variance,
    conditional_variances,
)
from segcate.effects._matched.abadie_imbens_2016 import (
    ScoreModel,
    estimated_score_correction,
    logit_score_model,
)
from segcate.effects._matched.adjustment import Adjusted, MatchedEffect, adjust, matched_effect
from segcate.effects._matched.clustered import (
    RowScores,
    difference_scores,
    pair_and_unit_variance,
    pair_variance,
    unit_scores,
)
from segcate.effects._matched.g_computation import g_computation
from segcate.effects._matched.view import SegmentView, segment_view
from segcate.effects._table.segment_estimate import (
    SegmentEstimate,
    VarianceEstimate,
    group_variance,
    grouped_rows,
    level_notes,
    rare_events,
    with_effect,
)
from segcate.effects._thin_segments import FEWEST_DONORS, too_few_rows
from segcate.matching._calipers import RowStatus
from segcate.matching._design import Design
from segcate.matching._shrunken_score import Blocks, split_blocks

Float = npt.NDArray[np.float64]

# Method of a segment for which the theory asked for does not hold.
NOT_VALID = "not valid"
_SCORE_AS_GIVEN = "standard error takes the score as given (scores of 0 or 1)"
# Below this many treated the 2016 correction undercovers and "auto" leaves it out.
_FEWEST_FOR_2016 = 100


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """How to turn matched sets into effects.

    With `as_published` the variance is that of the method named and nothing is added to it.
    """

    estimand: str
    adjustment: Any
    std_error: str
    inference: str
    n_variance_neighbors: int
    fewest: int = 2
    as_published: bool = False


def estimate_segments(
    design: Design, y: Float, options: EstimateOptions, n_jobs: int | None
) -> list[SegmentEstimate]:
    """Estimate every segment on its own.

    Segments run in threads where `n_jobs` asks for several: the kernels let go of Python's lock, and
    nothing is copied.
    """
    return list(
        Parallel(n_jobs=n_jobs, prefer="threads")(
            delayed(_estimate_segment)(design, y, code, options)
            for code in range(design.data.segment.n_segments)
        )
    )


def _estimate_segment(
    design: Design, y: Float, code: int, options: EstimateOptions
) -> SegmentEstimate:
    view = segment_view(design, y, code, options.estimand)
    empty = _without_estimate(design, view, options.fewest)
    if empty.status:
        return empty
    adjusted: Adjusted | None = None
    if isinstance(options.adjustment, str) and options.adjustment == "linear":
        found, scores = g_computation(view, design.encoded.values, options.inference)
    else:
        adjusted = _adjust(design, view, options.adjustment)
        found = matched_effect(view, adjusted)
        scores = None
    variance = _variance(design, view, adjusted, found, scores, options)
    used = np.flatnonzero((view.own > 0) | (view.uses > 0))
    is_treated = view.is_treated[used]
    if options.std_error != "group":
        variance = replace(variance, df=freedom_of_rows(_smaller_arm(is_treated)))
    notes = [
        view.weight_note,
        "" if design.support.sparse[code].any() else design.notes[code],
        adjusted.note if adjusted else "",
        *level_notes(design.support, code, _shrinks(design, options)),
    ]
    rare = rare_events(view.y[used], is_treated, view.own[used] + view.uses[used])
    if options.as_published:
        rare = replace(rare, variance=0.0)
    return with_effect(
        empty,
        found.effect,
        variance,
        notes,
        view.y,
        rare,
        total_squares=float(view.own @ view.own),
        n_donors=int(np.count_nonzero(view.uses)),
        max_uses=float(view.uses.max()),
        max_distance=view.widest_set(),
    )


def _shrinks(design: Design, options: EstimateOptions) -> bool:
    """Tell whether effects of sparse levels are shrunk: by our score, or by our bias regression."""
    is_bias = isinstance(options.adjustment, str) and options.adjustment == "bias"
    return is_bias or (design.propensity is not None and design.propensity.is_ours)


def _smaller_arm(is_treated: npt.NDArray[np.bool_]) -> int:
    """Count the rows of the smaller arm."""
    n_treated = int(is_treated.sum())
    return min(n_treated, len(is_treated) - n_treated)


def _adjust(design: Design, view: SegmentView, adjustment: Any) -> Adjusted:
    """Adjust by our own columns, or by the covariates as they came for a regressor handed in."""
    if adjustment is None or not isinstance(adjustment, str):
        return adjust(view, design.encoded.values, adjustment)
    columns = design.columns
    return adjust(
        view,
        columns.values,
        adjustment,
        _blocks(design, view),
        is_bounded=bool(columns.long_tails),
    )


def _blocks(design: Design, view: SegmentView) -> Blocks | None:
    """Return the segment's numbers and levels where a category is sparse in it, else None."""
    sparse = design.support.sparse[view.code]
    return split_blocks(design.columns, view.rows, sparse.tolist()) if sparse.any() else None


def _matched_focal(view: SegmentView) -> list[int]:
    """Count the matched rows of every focal arm."""
    return [
        int(np.count_nonzero((view.own > 0) & view.in_arm(arm)))
        for arm in (0, 1)
        if view.is_focal_arm(arm)
    ]


def _without_estimate(design: Design, view: SegmentView, fewest: int) -> SegmentEstimate:
    """Count the segment's rows and say why it has no estimate; an empty status means it has one."""
    n_control, n_treated = (int(count) for count in design.counts[view.code])
    n = n_control + n_treated
    n_matched = int((view.own > 0).sum())
    found = SegmentEstimate("", np.nan, np.nan, n, n_treated, n_control, n_matched, view.total)
    given = design.data.given
    if n_treated in (0, n) and given is not None and given.had_both_arms[view.code]:
        return replace(found, status="weights are zero")
    if n_treated == 0:
        return replace(found, status="no treated rows")
    if n_treated == n:
        return replace(found, status="no control rows")
    refusal = design.support.refusal(view.code, design.data.segment.codes)
    if refusal:
        return replace(found, status=refusal)
    if n_matched == 0:
        codes = design.sample.status[design.data.segment.codes == view.code]
        why = {
            RowStatus.CALIPER: "caliper took all matches",
            RowStatus.OUTSIDE_SUPPORT: "no overlap of scores",
            RowStatus.NO_DONOR: "no rows of both arms in any cell of the exact columns",
        }
        seen = [code for code in why if (codes == code).any()]
        return replace(found, status=why[seen[0]] if seen else "no matches")
    if _is_disjoint(view):
        return replace(found, status="no overlap of scores")
    thin = _too_thin(view, n_treated, n_control, fewest)
    return replace(found, status=thin) if thin else found


def _too_thin(view: SegmentView, n_treated: int, n_control: int, fewest: int) -> str:
    """Say so where the matches rest on too few rows; empty where they do not."""
    n_matched, n_donors = min(_matched_focal(view)), int(np.count_nonzero(view.uses))
    if min(n_matched, n_donors) >= 2:
        thin = too_few_rows(n_treated, n_control, fewest)
        if thin:
            return thin
    if n_matched < fewest:
        return "too few matched rows"
    return "too few distinct matches" if n_donors < min(fewest, FEWEST_DONORS) else ""


def _is_disjoint(view: SegmentView) -> bool:
    """Tell whether all scores of one arm lie above all of the other; never so without a score."""
    if len(view.score) == 0:
        return False
    treated, control = view.score[view.is_treated], view.score[~view.is_treated]
    return bool(treated.min() > control.max() or control.min() > treated.max())


def _variance(
    design: Design,
    view: SegmentView,
    adjusted: Adjusted | None,
    found: MatchedEffect,
    scores: RowScores | None,
    options: EstimateOptions,
) -> VarianceEstimate:
    """Estimate the variance by the method asked for.

    `adjusted` is None after g-computation, which brings its own `scores`.
    """
    method = options.std_error
    if adjusted is not None:
        if method.startswith("abadie-imbens"):
            return _abadie_imbens(design, view, adjusted, found, options)
        scores = difference_scores(view, adjusted, found)
    if scores is None:
        raise ValueError(f"std_error={method!r} has neither adjusted outcomes nor row scores")
    if method == "pair":
        return VarianceEstimate(pair_variance(view, scores), method)
    if method == "pair+unit":
        return VarianceEstimate(pair_and_unit_variance(view, scores), method)
    return _group_variance(design, view, scores, is_regression=adjusted is None)


def _group_variance(
    design: Design, view: SegmentView, scores: RowScores, is_regression: bool
) -> VarianceEstimate:
    groups = design.data.groups
    if groups is None:
        raise ValueError("std_error='group' needs groups")
    at = (view.own > 0) | (view.uses > 0)
    rows = grouped_rows(groups[view.rows[at]], view.is_treated[at])
    n_parameters = scores.n_parameters if is_regression else 1
    remedy = ": try adjustment='bias'" if is_regression else ""
    units = unit_scores(view, scores)[at]
    sums = rows.sums(units)
    if rows.leaves_out:
        weight = (view.own + view.uses)[at]
        arm = view.is_treated[at]
        sums = rows.left_out_mean(units * arm, weight * arm)
        sums = sums + rows.left_out_mean(units * ~arm, weight * ~arm)
    return group_variance(rows, sums, view.own[at], n_parameters, remedy)


def _abadie_imbens(
    design: Design,
    view: SegmentView,
    adjusted: Adjusted,
    found: MatchedEffect,
    options: EstimateOptions,
) -> VarianceEstimate:
    """Return the 2006 variance, the 2016 one, or (auto) the larger where both are valid."""
    if options.n_variance_neighbors == 0:
        sigma2 = common_variance(view, adjusted, found.effect)
    else:
        is_auto_sample = options.std_error.endswith("auto") and options.inference == "sample"
        sigma2 = conditional_variances(
            view, options.n_variance_neighbors, options.inference, detrend=is_auto_sample
        )
    base = abadie_imbens_variance(view, found, sigma2, options.inference)
    wants = options.std_error
    if wants == "abadie-imbens":
        return VarianceEstimate(base, wants)
    is_auto = wants == "abadie-imbens-auto"
    model = score_model(design, view, standardise=is_auto)
    if is_auto:
        n_focal = int((view.own > 0).sum())
        if model is None or n_focal < _FEWEST_FOR_2016 or options.inference == "sample":
            return VarianceEstimate(base, "abadie-imbens")
    if model is None:
        return VarianceEstimate(float("nan"), NOT_VALID)
    correction = estimated_score_correction(
        view, model, adjusted, found, design.sample.n_neighbors, options.n_variance_neighbors + 1
    )
    if not np.isfinite(correction):
        return VarianceEstimate(base, "abadie-imbens", note=_SCORE_AS_GIVEN)
    if is_auto and correction <= 0:
        return VarianceEstimate(base, "abadie-imbens")
    return VarianceEstimate(base + correction, "abadie-imbens-2016")


def score_model(
    design: Design, view: SegmentView, *, standardise: bool = True
) -> ScoreModel | None:
    """Return the segment's logit for the 2016 variance; None where that theory does not hold.

    It holds for an unpenalised logit fitted in this segment, unweighted, without caliper, common
    support or exact columns. Rows are near each other by their standardised covariates, or by the
    covariates as they came, as in Stata.
    """
    if design.propensity is None or view.points is not None:
        return None
    fit = design.propensity.logits[view.code]
    limited = np.isfinite(design.sample.caliper[view.code]) or len(view.bounds) != 3
    left_out = len(view.rows) < design.counts[view.code].sum()
    if fit is None or limited or left_out or len(view.weight):
        return None
    Z = design.columns.values[view.rows]
    standard = fit.standard.apply(Z, fit.kept)
    near = standard if standardise else (Z - fit.standard.origin)[:, fit.kept]
    linear = design.propensity.linear[view.rows]
    return logit_score_model(standard, linear, fit.standard_covariance, near)
