"""Segment effects: which segments does a treatment help, by how much, and how sure are we."""

from segcate._inputs.routing import routing
from segcate._inputs.treatment import encode_treatment

__version__ = "0.1.0"

# Types that `skops.io.load` and MLflow must be told to trust, to store any pipeline of ours.
SKOPS_TRUSTED_TYPES: list[str] = [
    "hdbscan.hdbscan_.HDBSCAN",
    "joblib.memory.Memory",
    "segcate._inputs.encoding.ColumnEncoding",
    "segcate._inputs.kinds.ColumnKind",
    "segcate._covariates.missing.Filling",
    "segcate.cate._causal_forest.CausalForest",
    "segcate.cate._adapters.causalml.CausalMLEstimator",
    "segcate.cate._adapters.econml.EconMLEstimator",
    "segcate.cate._forest.honest_forest.Forest",
    "segcate.cate._forest.shrinkage.EffectShrinkage",
    "segcate.cate._forest.trend.TrendColumns",
    "segcate.cate._interaction_regression.InteractionRegression",
    "segcate.cate._robust_regression.InteractionFit",
    "segcate.cate._segmented_cate.SegmentedCATE",
    "segcate.effects._table.effect_table.EffectTable",
    "segcate.effects._table.group_scores.GroupScores",
    "segcate.effects._segment_aipw.SegmentAIPW",
    "segcate.effects._segment_matching.SegmentMatching",
    "segcate.effects._segment_regression.SegmentRegression",
    "segcate.matching._balance.Balance",
    "segcate.matching._matcher.PropensityMatcher",
    "segcate.matching._sample.MatchedSample",
    "segcate.metrics._policy_value.PolicyValue",
    "segcate.model_selection._targeting_policy.TargetingPolicy",
    "segcate.model_selection._targeting_rule.TargetingRule",
    "segcate.segmentation._cluster.ClusterSegmenter",
    "segcate.segmentation._clustering.Clustering",
    "segcate.segmentation._density_tree.DensityTree",
    "segcate.segmentation._gap_scaler.GapScaler",
    "segcate.segmentation._groups.GroupSegmenter",
    "segcate.segmentation._hdbscan.HDBSCANSegmenter",
    "segcate.segmentation._kmeans.KMeansSegmenter",
    "segcate.segmentation._merging.Merging",
    "segcate.segmentation._nearest_cluster.Metric",
    "segcate.segmentation._nearest_cluster.NearestCenter",
    "segcate.segmentation._nearest_cluster.NearestRow",
    "segcate.segmentation._row_lookup.RowLookup",
    "segcate.segmentation._rules.RuleSegmenter",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
]

__all__ = ["SKOPS_TRUSTED_TYPES", "__version__", "encode_treatment", "routing"]
