"""Segment effects: which segments does a treatment help, by how much, and how sure are we."""

from segcate._inputs.routing import routing
from segcate._inputs.treatment import encode_treatment

__version__ = "0.1.0"

# Types that `skops.io.load` and MLflow must be told to trust, to store any pipeline of ours.
SKOPS_TRUSTED_TYPES: list[str] = [
    "hdbscan.hdbscan_.HDBSCAN",
    "joblib.memory.Memory",
    "segcate.base.ColumnEncoding",
    "segcate.base.ColumnKind",
    "segcate.base.Filling",
    "segcate.cate.CausalForest",
    "segcate.cate.CausalMLEstimator",
    "segcate.cate.EconMLEstimator",
    "segcate.cate.EffectShrinkage",
    "segcate.cate.Forest",
    "segcate.cate.InteractionFit",
    "segcate.cate.InteractionRegression",
    "segcate.cate.SegmentedCATE",
    "segcate.cate.TrendColumns",
    "segcate.effects.EffectTable",
    "segcate.effects.GroupScores",
    "segcate.effects.Overall",
    "segcate.effects.SegmentAIPW",
    "segcate.effects.SegmentMatching",
    "segcate.effects.SegmentRegression",
    "segcate.matching.Balance",
    "segcate.matching.MahalanobisMatcher",
    "segcate.matching.MatchedSample",
    "segcate.matching.PropensityMatcher",
    "segcate.metrics.PolicyValue",
    "segcate.model_selection.TargetingPolicy",
    "segcate.model_selection.TargetingRule",
    "segcate.segmentation.ClusterSegmenter",
    "segcate.segmentation.Clustering",
    "segcate.segmentation.DensityTree",
    "segcate.segmentation.GapScaler",
    "segcate.segmentation.GroupSegmenter",
    "segcate.segmentation.HDBSCANSegmenter",
    "segcate.segmentation.KMeansSegmenter",
    "segcate.segmentation.Merging",
    "segcate.segmentation.Metric",
    "segcate.segmentation.NearestCenter",
    "segcate.segmentation.NearestRow",
    "segcate.segmentation.RowLookup",
    "segcate.segmentation.RuleSegmenter",
    "segcate.temporal.MSM",
    "segcate.temporal.Roles",
    "segcate.temporal.Scaling",
    "segcate.temporal.TrajectorySegmenter",
    "segcate.temporal.TreatmentCoding",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
]

__all__ = ["SKOPS_TRUSTED_TYPES", "__version__", "encode_treatment", "routing"]
