"""Estimators of the effect of a treatment on each row."""

from segcate._publishing import publish
from segcate.cate._adapters.causalml import CausalMLEstimator
from segcate.cate._adapters.econml import EconMLEstimator
from segcate.cate._causal_forest import CausalForest
from segcate.cate._forest.honest_forest import Forest
from segcate.cate._forest.shrinkage import EffectShrinkage
from segcate.cate._forest.trend import TrendColumns
from segcate.cate._interaction_regression import InteractionRegression
from segcate.cate._interval import predict_interval
from segcate.cate._robust_regression import InteractionFit
from segcate.cate._segmented_cate import SegmentedCATE

__all__ = [
    "CausalForest",
    "CausalMLEstimator",
    "EconMLEstimator",
    "InteractionRegression",
    "SegmentedCATE",
    "predict_interval",
]

publish(globals(), stored=[EffectShrinkage, Forest, InteractionFit, TrendColumns])
