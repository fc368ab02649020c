"""Odds of treatment as weights: what AIPW gives to rows in place of matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData
from segcate._nuisance.curves import Curves
from segcate._nuisance.segment_logit import fit_segment_logit
from segcate._writing.number_texts import write_count
from segcate.effects._unmatched.aipw_estimate import without_overlap
from segcate.effects._unmatched.rows import SegmentRows


def odds_propensity(curves: Curves, segments: Sequence[SegmentRows], data: EffectData) -> Float:
    """Return chances of treatment: those handed in, or of a penalised logit of all segments."""
    if data.propensity is not None:
        return data.propensity.copy()
    rows_of = [part.rows[:0] if part.counted.status else part.rows for part in segments]
    treatment = data.treatment.astype(np.float64)
    fit = fit_segment_logit(curves, rows_of, treatment, data.sample_weight)
    return np.asarray(expit(fit.log_odds(curves, rows_of, data.n_rows)), dtype=np.float64)


def odds_of_other_arm(chance: Float, data: EffectData) -> Float:
    """Return how many rows of the other arm a row stands for, times its weight."""
    own = np.where(data.treatment == 1, chance, 1.0 - chance)
    odds = np.nan_to_num((1.0 - own) / np.where(own > 0, own, np.nan))
    return odds if data.sample_weight is None else odds * data.sample_weight


def with_overlap(
    part: SegmentRows, chance: Float, is_clipped: npt.NDArray[np.bool_], telling: str
) -> SegmentRows:
    """Give a segment whose arms cannot be compared a status; count clipped chances in its note."""
    if part.counted.status:
        return part
    n_clipped = int(is_clipped[part.rows].sum())
    why = without_overlap(chance[part.rows], part.is_treated, n_clipped, telling)
    note = part.note
    if n_clipped:
        clipped = write_count(n_clipped, "propensity", "propensities")
        share = f"{clipped} clipped ({100 * n_clipped / len(part.rows):.2g} % of the rows)"
        note = "; ".join(text for text in (note, share) if text)
    return replace(part, counted=replace(part.counted, status=why), note=note)
