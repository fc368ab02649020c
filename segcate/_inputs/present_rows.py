"""Rows of weight 0 are not there: what a fit was given, without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.effect_data import EffectData
from segcate._inputs.weights import GivenRows, weight_note

__all__ = ["present_rows"]


def present_rows(data: EffectData) -> EffectData:
    """Leave out rows of weight 0."""
    if data.sample_weight is None or data.sample_weight.all():
        return data
    kept = np.flatnonzero(data.sample_weight)
    weight = data.sample_weight[kept]
    return replace(
        data,
        X=frames.take_rows(data.X, kept),
        treatment=data.treatment[kept],
        segment=replace(data.segment, codes=data.segment.codes[kept]),
        y=None if data.y is None else data.y[kept],
        sample_weight=weight if weight_note(weight) else None,
        groups=None if data.groups is None else data.groups[kept],
        propensity=None if data.propensity is None else data.propensity[kept],
        given=GivenRows(kept, data.n_rows, data.X, _segments_with_both_arms(data)),
    )


def _segments_with_both_arms(data: EffectData) -> npt.NDArray[np.bool_]:
    """Tell which segments have rows of both arms, of whatever weight."""
    cell = 2 * data.segment.codes + (data.treatment > 0)
    counts = np.bincount(cell, minlength=2 * data.segment.n_segments).reshape(-1, 2)
    return np.asarray((counts > 0).all(axis=1))
