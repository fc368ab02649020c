"""scikit-learn's own checks, on every segmenter and on many clusterers behind one."""

import numpy as np
import pytest
from hdbscan import HDBSCAN as PackageHDBSCAN
from sklearn.base import clone
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    KMeans,
    MiniBatchKMeans,
)
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segcate.segmentation import (
    ClusterSegmenter,
    GroupSegmenter,
    HDBSCANSegmenter,
    KMeansSegmenter,
    RuleSegmenter,
)
from tests.helpers.names import stable_name
from tests.helpers.sklearn_checks import checks_of, checks_to_run, name_of


def first_is_positive(X):
    return np.asarray(X)[:, 0] > 0


SEGMENTERS = [
    KMeansSegmenter(n_clusters=3, n_init=2, random_state=0),
    KMeansSegmenter(n_clusters=2, scale=False, n_init=1),
    HDBSCANSegmenter(min_cluster_size=3),
    HDBSCANSegmenter(min_cluster_size=3, noise="nearest", max_fit_samples=15, random_state=0),
    ClusterSegmenter(KMeans(3, n_init=2)),
    ClusterSegmenter(MiniBatchKMeans(3, n_init=2), min_size=3, random_state=1),
    ClusterSegmenter(BisectingKMeans(3), max_fit_samples=20, random_state=1),
    ClusterSegmenter(GaussianMixture(2), random_state=1),
    ClusterSegmenter(AgglomerativeClustering(2)),
    ClusterSegmenter(AgglomerativeClustering(3, metric="manhattan", linkage="average"), min_size=2),
    ClusterSegmenter(DBSCAN(eps=0.8, min_samples=3)),
    ClusterSegmenter(DBSCAN(eps=0.8, min_samples=3), noise="nearest"),
    ClusterSegmenter(HDBSCAN(min_cluster_size=3, copy=True), noise="nearest"),
    ClusterSegmenter(PackageHDBSCAN(min_cluster_size=3)),
    ClusterSegmenter(make_pipeline(StandardScaler(), PCA(1), DBSCAN(eps=0.5))),
    ClusterSegmenter(make_pipeline(StandardScaler(), KMeans(3, n_init=2))),
    RuleSegmenter({"high": first_is_positive, "middle": "x0 > -0.5"}),
    GroupSegmenter(by=[0], default="new"),
]

# On scikit-learn 1.6, the oldest supported; fewer mean that checks went missing.
LEAST_CHECKS = 45


def cases():
    """List all checks; `parametrize_with_checks` of 1.6 gives no list, as new pytest wants."""
    for i, segmenter in enumerate(SEGMENTERS):
        for check in checks_to_run(segmenter):
            name = name_of(check)
            yield pytest.param(segmenter, check, id=f"{i}-{type(segmenter).__name__}-{name}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("segmenter", "check"), list(cases()))
def test_segmenter_passes(segmenter, check):
    check(clone(segmenter))


@pytest.mark.parametrize("segmenter", SEGMENTERS, ids=stable_name)
def test_enough_checks_ran(segmenter):
    assert len(checks_of(segmenter)) >= LEAST_CHECKS
