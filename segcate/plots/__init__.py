"""Displays of designs, effects and rankings: what people look at."""

from segcate._publishing import publish
from segcate.plots._effect_by_quantile_display import EffectByQuantileDisplay
from segcate.plots._effect_distribution_display import EffectDistributionDisplay
from segcate.plots._love_plot_display import LovePlotDisplay
from segcate.plots._overlap_display import OverlapDisplay
from segcate.plots._profit_curve_display import ProfitCurveDisplay
from segcate.plots._representation_display import RepresentationDisplay
from segcate.plots._segment_effect_display import SegmentEffectDisplay
from segcate.plots._segment_profile_display import SegmentProfileDisplay
from segcate.plots._sorted_effect_display import SortedEffectDisplay
from segcate.plots._uplift_curve_display import UpliftCurveDisplay

__all__ = [
    "EffectByQuantileDisplay",
    "EffectDistributionDisplay",
    "LovePlotDisplay",
    "OverlapDisplay",
    "ProfitCurveDisplay",
    "RepresentationDisplay",
    "SegmentEffectDisplay",
    "SegmentProfileDisplay",
    "SortedEffectDisplay",
    "UpliftCurveDisplay",
]

publish(globals())
