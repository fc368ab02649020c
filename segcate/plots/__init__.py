"""Displays of designs, effects and rankings: what people look at."""

from segcate._publishing import publish
from segcate.plots._effect_by_quantile import EffectByQuantileDisplay
from segcate.plots._effect_distribution import EffectDistributionDisplay
from segcate.plots._love_plot import LovePlotDisplay
from segcate.plots._overlap import OverlapDisplay
from segcate.plots._profit_curve import ProfitCurveDisplay
from segcate.plots._segment_effect import SegmentEffectDisplay
from segcate.plots._segment_profile import SegmentProfileDisplay
from segcate.plots._sorted_effect import SortedEffectDisplay
from segcate.plots._uplift_curve import UpliftCurveDisplay

__all__ = [
    "EffectByQuantileDisplay",
    "EffectDistributionDisplay",
    "LovePlotDisplay",
    "OverlapDisplay",
    "ProfitCurveDisplay",
    "SegmentEffectDisplay",
    "SegmentProfileDisplay",
    "SortedEffectDisplay",
    "UpliftCurveDisplay",
]

publish(globals())
