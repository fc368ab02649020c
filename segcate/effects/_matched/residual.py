"""The variance of residuals: what is left of the outcomes after a curved regression, by exact weights."""

from __future__ import annotations

from segcate.effects._matched.estimated_segment import EstimatedSegment
from segcate.effects._table.segment_estimate import VarianceEstimate

__all__ = ["by_residual"]


def by_residual(segment: EstimatedSegment) -> VarianceEstimate:
    """Take the variance of the weights that the estimate gives to outcomes; t after Satterthwaite."""
    if segment.curved is None:
        raise ValueError("std_error='residual' needs adjustment='auto'")
    found, code = segment.curved.found, segment.view.code
    return VarianceEstimate(float(found.covariance[code, code]), "residual", float(found.df[code]))
