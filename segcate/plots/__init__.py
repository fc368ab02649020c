"""Displays of effects: what people look at."""

from segcate.plots._segment_effect import SegmentEffectDisplay

__all__ = ["SegmentEffectDisplay"]
