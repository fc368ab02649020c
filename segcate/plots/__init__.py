"""Displays of effects: what people look at."""

from segcate.plots._love_plot import LovePlotDisplay
from segcate.plots._overlap import OverlapDisplay
from segcate.plots._segment_effect import SegmentEffectDisplay

__all__ = ["LovePlotDisplay", "OverlapDisplay", "SegmentEffectDisplay"]
