"""How much: effects per segment, with standard errors that simulation has shown to be right."""

from segcate._publishing import publish
from segcate.effects._compare_estimators import EstimatorComparison, compare_estimators
from segcate.effects._e_value import EValue, e_value
from segcate.effects._rosenbaum import RosenbaumBounds, pair_differences, rosenbaum_bounds
from segcate.effects._segment_aipw import SegmentAIPW
from segcate.effects._segment_matching import SegmentMatching
from segcate.effects._segment_regression import SegmentRegression
from segcate.effects._table.change import EffectChange
from segcate.effects._table.effect_table import (
    EffectTable,
    FocalWeights,
    Overall,
    SegmentContrasts,
)
from segcate.effects._table.group_scores import GroupScores
from segcate.effects._table.heterogeneity import Heterogeneity
from segcate.effects._table.second_estimate import SecondEstimate

__all__ = [
    "EValue",
    "EffectChange",
    "EffectTable",
    "EstimatorComparison",
    "Heterogeneity",
    "RosenbaumBounds",
    "SecondEstimate",
    "SegmentAIPW",
    "SegmentContrasts",
    "SegmentMatching",
    "SegmentRegression",
    "compare_estimators",
    "e_value",
    "pair_differences",
    "rosenbaum_bounds",
]

publish(globals(), stored=[FocalWeights, GroupScores, Overall])
