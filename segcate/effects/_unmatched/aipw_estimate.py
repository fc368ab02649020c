"""From nuisances to one doubly robust estimate a segment.

Robins, Rotnitzky & Zhao (1994), JASA 89:846-866; Chernozhukov et al. (2018), Econometrics Journal
21:C1-C68, equations 5.3 (all rows) and 5.4 (the treated).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._nuisance.pseudo_outcomes import doubly_robust_scores
from segcate._statistics.intervals import freedom_of_rows
from segcate._statistics.sandwich import unit_factor
from segcate._writing.number_texts import write_count
from segcate.effects._table.segment_estimate import (
    SegmentEstimate,
    VarianceEstimate,
    group_variance,
    grouped_rows,
    rare_events,
    with_effect,
)
from segcate.effects._unmatched.aipw_nuisances import AIPWNuisances
from segcate.effects._unmatched.rows import SegmentRows

# A segment with a larger share of clipped propensities has no estimate.
MOST_CLIPPED = 0.5


def doubly_robust_effect(
    y: Float, is_treated: npt.NDArray[np.bool_], propensity: Float, mu: Float, own: Float, w: Float
) -> tuple[float, Float]:
    """Estimate the effect on the rows with `own` above 0, and what each row adds to its error.

    Parameters
    ----------
    y, propensity : float64 arrays of shape (n_rows,)
    is_treated : bool array of shape (n_rows,)
    mu : float64 array of shape (n_rows, 2)
        Expected outcome of controls and of treated; the latter is unused for the treated.
    own, w : float64 arrays of shape (n_rows,)
        Weights in the target population (all rows, or the treated) and of the rows.
    """
    if own.all():
        t = is_treated.astype(np.int8)
        psi = doubly_robust_scores(y, t, propensity, mu[:, 0], mu[:, 1])
    else:
        psi = np.where(is_treated, 1.0, -propensity / (1 - propensity)) * (y - mu[:, 0])
    total = float(own.sum())
    effect = float(w @ psi / total)
    return effect, (w * psi - own * effect) / total


def without_overlap(
    propensity: Float, is_treated: npt.NDArray[np.bool_], n_clipped: int, telling: str
) -> str:
    """Say why the arms of a segment cannot be compared; empty where they can.

    Weights of rows that a bound holds are made up, and where those rule the segment its standard
    error is far too small: 95 % intervals covered 55 % where a covariate told the arms apart.
    """
    treated, control = propensity[is_treated], propensity[~is_treated]
    if treated.min() > control.max() or control.min() > treated.max():
        return "no overlap of scores"
    if n_clipped > MOST_CLIPPED * len(propensity):
        return f"no overlap of scores ({n_clipped} of {len(propensity)} propensities clipped)"
    return f"no overlap of scores (covariate {telling!r} tells the arms apart)" if telling else ""


def aipw_segment(
    part: SegmentRows,
    nuisances: AIPWNuisances,
    groups: Int | None,
    n_clipped: int,
    telling: str = "",
) -> SegmentEstimate:
    """Estimate one segment, its standard error from the influence of rows or groups.

    `telling` names a covariate that tells its arms apart.
    """
    if part.counted.status:
        return part.counted
    rows = part.rows
    why = without_overlap(nuisances.propensity[rows], part.is_treated, n_clipped, telling)
    if why:
        return replace(part.counted, status=why)
    effect, scores = doubly_robust_effect(
        part.y,
        part.is_treated,
        nuisances.propensity[rows],
        nuisances.mu[rows],
        part.own,
        part.weight,
    )
    if groups is None:
        df = freedom_of_rows(part.n_smaller)
        value = unit_factor(len(rows)) * float(scores @ scores)
        variance = VarianceEstimate(value, "influence", df)
    else:
        grouped = grouped_rows(groups[rows], part.is_treated)
        sums = grouped.sums(scores)
        if grouped.leaves_out:
            sums = grouped.left_out_mean(scores, part.own)
        variance = group_variance(grouped, sums, part.own, 1)
    notes = [part.weight_note, part.note, ""]
    if n_clipped:
        share = 100 * n_clipped / len(rows)
        clipped = write_count(n_clipped, "propensity", "propensities")
        notes[2] = f"{clipped} clipped ({share:.2g} % of the rows)"
    rare = rare_events(part.y, part.is_treated, part.weight)
    return with_effect(part.counted, effect, variance, notes, part.y, rare)
