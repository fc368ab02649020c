"""Who: segmenters that append a segment column to X, and the table that describes segments."""

from segcate._publishing import publish
from segcate.segmentation._cluster import ClusterSegmenter
from segcate.segmentation._clustering import Clustering
from segcate.segmentation._combined_profiles import combine_profiles
from segcate.segmentation._density_tree import DensityTree
from segcate.segmentation._gap_scaler import GapScaler
from segcate.segmentation._groups import GroupSegmenter
from segcate.segmentation._hdbscan import HDBSCANSegmenter
from segcate.segmentation._kmeans import KMeansSegmenter
from segcate.segmentation._merging import Merging
from segcate.segmentation._nearest_cluster import Metric, NearestCenter, NearestRow
from segcate.segmentation._profile import segment_profile
from segcate.segmentation._row_lookup import RowLookup
from segcate.segmentation._rules import RuleSegmenter

__all__ = [
    "ClusterSegmenter",
    "GroupSegmenter",
    "HDBSCANSegmenter",
    "KMeansSegmenter",
    "RuleSegmenter",
    "combine_profiles",
    "segment_profile",
]

publish(
    globals(),
    stored=[
        Clustering,
        DensityTree,
        GapScaler,
        Merging,
        Metric,
        NearestCenter,
        NearestRow,
        RowLookup,
    ],
)
