"""Leave out the rows of weight 0 that a fit was given."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from segcate._inputs.effect_data import DesignData
from segcate._inputs.weights import GivenRows, weight_note

Data = TypeVar("Data", bound=DesignData)


def present_rows(data: Data) -> Data:
    """Leave out rows of weight 0."""
    if data.sample_weight is None or data.sample_weight.all():
        return data
    kept = np.flatnonzero(data.sample_weight)
    weight = data.sample_weight[kept]
    return replace(
        data.take(kept),
        sample_weight=weight if weight_note(weight) else None,
        given=GivenRows(kept, data.n_rows, data.X, _segments_with_both_arms(data)),
    )


def _segments_with_both_arms(data: DesignData) -> npt.NDArray[np.bool_]:
    """Tell which segments have rows of both arms, of whatever weight."""
    cell = 2 * data.segment.codes + (data.treatment > 0)
    counts = np.bincount(cell, minlength=2 * data.segment.n_segments).reshape(-1, 2)
    return np.asarray((counts > 0).all(axis=1))
