"""How good is a ranking by predicted effect: effect scores, ranking scores, scorers."""

from typing import Any

from segcate._inputs.routing import RoutedScorer
from segcate._publishing import publish
from segcate._ranking.estimates import MetricEstimate, RankScore
from segcate._ranking.rows import RankedRows
from segcate.metrics._blp import BestLinearPrediction, blp, blp_from_outcome
from segcate.metrics._calibration_error import calibration_error
from segcate.metrics._clan import Clan, clan
from segcate.metrics._compare_scores import ScoreComparison, compare_scores, rank_test
from segcate.metrics._curves import (
    GainCurve,
    cumulative_effect_curve,
    qini_curve,
    toc_curve,
    uplift_curve,
)
from segcate.metrics._effect_by_quantile import effect_by_group, effect_by_quantile
from segcate.metrics._effect_scores import effect_scores
from segcate.metrics._group_effects import (
    EffectByGroup,
    EffectByQuantile,
    GroupCalibration,
    Monotonicity,
)
from segcate.metrics._losses import dr_loss, dr_score, r_loss, r_score
from segcate.metrics._policy_value import PolicyValue, policy_value
from segcate.metrics._profit_curve import ProfitCurve, profit_curve
from segcate.metrics._renamed import renamed
from segcate.metrics._scorers import (
    EffectScoreMetric,
    ResidualMetric,
    autoc_experiment_scorer,
    autoc_scorer,
    get_scorer,
    make_uplift_scorer,
    neg_dr_loss_experiment_scorer,
    neg_dr_loss_scorer,
    neg_r_loss_experiment_scorer,
    neg_r_loss_scorer,
    qini_experiment_scorer,
    qini_scorer,
    uplift_at_k_experiment_scorer,
    uplift_at_k_scorer,
)
from segcate.metrics._scores import autoc_score, qini_score, uplift_at_k
from segcate.metrics._slope_curve import SlopeCurve, cumulative_slope_curve
from segcate.metrics._targeting_curve import TargetingCurve
from segcate.metrics._top_share import GainPolyline

__all__ = [
    "BestLinearPrediction",
    "Clan",
    "EffectByGroup",
    "EffectByQuantile",
    "GroupCalibration",
    "MetricEstimate",
    "Monotonicity",
    "PolicyValue",
    "ProfitCurve",
    "RankScore",
    "ScoreComparison",
    "TargetingCurve",
    "autoc_experiment_scorer",
    "autoc_score",
    "autoc_scorer",
    "blp",
    "blp_from_outcome",
    "calibration_error",
    "clan",
    "compare_scores",
    "cumulative_effect_curve",
    "cumulative_slope_curve",
    "dr_loss",
    "dr_score",
    "effect_by_group",
    "effect_by_quantile",
    "effect_scores",
    "get_scorer",
    "make_uplift_scorer",
    "neg_dr_loss_experiment_scorer",
    "neg_dr_loss_scorer",
    "neg_r_loss_experiment_scorer",
    "neg_r_loss_scorer",
    "policy_value",
    "profit_curve",
    "qini_curve",
    "qini_experiment_scorer",
    "qini_score",
    "qini_scorer",
    "r_loss",
    "r_score",
    "rank_test",
    "toc_curve",
    "uplift_at_k",
    "uplift_at_k_experiment_scorer",
    "uplift_at_k_scorer",
    "uplift_curve",
]


def __getattr__(name: str) -> Any:
    """Find scores by the names that they had before."""
    return renamed(name)


publish(
    globals(),
    stored=[
        EffectScoreMetric,
        GainCurve,
        GainPolyline,
        RankedRows,
        ResidualMetric,
        RoutedScorer,
        SlopeCurve,
    ],
)
