"""How good is a ranking by predicted effect: effect scores, ranking scores, scorers."""

from segcate._ranking import RankScore
from segcate.metrics._effect_scores import effect_scores
from segcate.metrics._scorers import (
    autoc_experiment_scorer,
    autoc_scorer,
    get_scorer,
    make_uplift_scorer,
    qini_experiment_scorer,
    qini_scorer,
)
from segcate.metrics._scores import (
    autoc_experiment_score,
    autoc_score,
    qini_experiment_score,
    qini_score,
    rank_test,
)

__all__ = [
    "RankScore",
    "autoc_experiment_score",
    "autoc_experiment_scorer",
    "autoc_score",
    "autoc_scorer",
    "effect_scores",
    "get_scorer",
    "make_uplift_scorer",
    "qini_experiment_score",
    "qini_experiment_scorer",
    "qini_score",
    "qini_scorer",
    "rank_test",
]
