"""Segment effects: which segments does a treatment help, by how much, and how sure are we."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcate._inputs.routing import routing
    from segcate._inputs.treatment import encode_treatment

__version__ = "0.1.0"

# Types that `skops.io.load` and MLflow must be told to trust, to store any pipeline of ours.
SKOPS_TRUSTED_TYPES: list[str] = [
    "hdbscan.hdbscan_.HDBSCAN",
    "joblib.memory.Memory",
    "numpy.dtype",
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
    "segcate.effects.FocalWeights",
    "segcate.effects.GroupScores",
    "segcate.effects.Heterogeneity",
    "segcate.effects.Overall",
    "segcate.effects.SecondEstimate",
    "segcate.effects.SegmentAIPW",
    "segcate.effects.SegmentMatching",
    "segcate.effects.SegmentRegression",
    "segcate.findings.BalanceRow",
    "segcate.findings.Candidate",
    "segcate.findings.Contrast",
    "segcate.findings.CrossCheck",
    "segcate.findings.CrossCheckRow",
    "segcate.findings.Description",
    "segcate.findings.Doubt",
    "segcate.findings.Findings",
    "segcate.findings.NotComputed",
    "segcate.findings.OverallFinding",
    "segcate.findings.Population",
    "segcate.findings.Profile",
    "segcate.findings.ProtectedFinding",
    "segcate.findings.ProtectedLevel",
    "segcate.findings.SearchFinding",
    "segcate.findings.SegmentBalance",
    "segcate.findings.SegmentFinding",
    "segcate.findings.SegmentOverlap",
    "segcate.findings.Statement",
    "segcate.findings.Targeting",
    "segcate.matching.Balance",
    "segcate.matching.BalanceSums",
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
    "segcate.temporal.Clock",
    "segcate.temporal.LinearGComputation",
    "segcate.temporal.MSM",
    "segcate.temporal.OutcomeScale",
    "segcate.temporal.Roles",
    "segcate.temporal.Scaling",
    "segcate.temporal.TemporalMean",
    "segcate.temporal.TrajectorySegmenter",
    "segcate.temporal.TreatmentCoding",
    "segcate.temporal.Zeros",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
]

__all__ = ["SKOPS_TRUSTED_TYPES", "__version__", "encode_treatment", "routing"]


def __getattr__(name: str) -> Any:
    """Load the functions of the package when they are first asked for."""
    if name not in ("encode_treatment", "routing"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from segcate._inputs.routing import routing
    from segcate._inputs.treatment import encode_treatment

    globals().update(encode_treatment=encode_treatment, routing=routing)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
