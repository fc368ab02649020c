"""For whom: the effect of a treatment on each row, on one contract."""

from segcate.cate._adapters.causalml import CausalMLEstimator
from segcate.cate._adapters.econml import EconMLEstimator
from segcate.cate._causal_forest import CausalForest
from segcate.cate._interaction_regression import InteractionRegression
from segcate.cate._interval import predict_interval
from segcate.cate._segmented_cate import SegmentedCATE

__all__ = [
    "CausalForest",
    "CausalMLEstimator",
    "EconMLEstimator",
    "InteractionRegression",
    "SegmentedCATE",
    "predict_interval",
]
