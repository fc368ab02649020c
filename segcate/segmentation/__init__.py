"""Who: segmenters that append a segment column to X, and the table that describes segments."""

from segcate.segmentation._cluster import ClusterSegmenter
from segcate.segmentation._groups import GroupSegmenter
from segcate.segmentation._hdbscan import HDBSCANSegmenter
from segcate.segmentation._kmeans import KMeansSegmenter
from segcate.segmentation._profile import segment_profile
from segcate.segmentation._rules import RuleSegmenter

__all__ = [
    "ClusterSegmenter",
    "GroupSegmenter",
    "HDBSCANSegmenter",
    "KMeansSegmenter",
    "RuleSegmenter",
    "segment_profile",
]
