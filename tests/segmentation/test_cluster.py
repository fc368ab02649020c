import numpy as np
import pandas as pd
import pytest
from hdbscan import HDBSCAN as PackageHDBSCAN
from joblib import Memory
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    OPTICS,
    AgglomerativeClustering,
    Birch,
    BisectingKMeans,
    FeatureAgglomeration,
    KMeans,
    MeanShift,
    MiniBatchKMeans,
    SpectralClustering,
)
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from segcate.exceptions import SegcateWarning
from segcate.segmentation import ClusterSegmenter, HDBSCANSegmenter, KMeansSegmenter


def blobs(n=240, seed=0, decimals=10):
    rng = np.random.default_rng(seed)
    center = np.array([[0.0, 0.0], [12.0, 0.0], [0.0, 12.0]])
    truth = rng.integers(0, 3, n)
    return (center[truth] + rng.normal(size=(n, 2))).round(decimals), truth


@pytest.fixture
def X():
    return blobs()[0]


CLUSTERERS = [
    KMeans(3, n_init=2),
    MiniBatchKMeans(3, n_init=2),
    BisectingKMeans(3),
    GaussianMixture(3),
    BayesianGaussianMixture(n_components=3),
    Birch(n_clusters=3),
    MeanShift(bandwidth=4, bin_seeding=True),
    AgglomerativeClustering(3),
    DBSCAN(eps=1.5),
    OPTICS(min_samples=20),
    HDBSCAN(min_cluster_size=20, copy=True),
    SpectralClustering(3, affinity="nearest_neighbors"),
    PackageHDBSCAN(min_cluster_size=20),
    PackageHDBSCAN(min_cluster_size=20, allow_single_cluster=True),
    make_pipeline(StandardScaler(copy=False), KMeans(3, n_init=2)),
    make_pipeline(StandardScaler(), PCA(2), AgglomerativeClustering(3)),
    make_pipeline("passthrough", HDBSCAN(min_cluster_size=20, copy=True)),
]
OPTIONS = [{}, {"noise": "nearest", "min_size": 30}, {"max_fit_samples": 150, "min_size": 5}]


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("decimals", [10, 0], ids=["continuous", "tied"])
@pytest.mark.parametrize("clusterer", CLUSTERERS, ids=str)
def test_labels_equal_predict_of_the_training_rows(clusterer, decimals, options):
    X, truth = blobs(decimals=decimals)
    before = X.copy()
    segmenter = ClusterSegmenter(clusterer, random_state=0, **options).fit(X)
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)
    np.testing.assert_array_equal(segmenter.predict(X[::-1][:50])[::-1], segmenter.labels_[-50:])
    np.testing.assert_array_equal(X, before)
    assert segmenter.segment_sizes_.sum() == len(X)
    clustered = segmenter.labels_ >= 0
    if decimals:
        assert clustered.mean() > 0.6
        assert adjusted_rand_score(truth[clustered], segmenter.labels_[clustered]) > 0.6


@pytest.mark.parametrize(
    "clusterer", [AgglomerativeClustering(3), HDBSCAN(min_cluster_size=20, copy=True)], ids=str
)
def test_new_rows_of_a_clusterer_without_predict(clusterer):
    X, _ = blobs(600)
    new, truth = blobs(600, seed=1)
    segmenter = ClusterSegmenter(clusterer).fit(X)
    found = segmenter.predict(new)
    clustered = found >= 0
    assert clustered.mean() > 0.93
    assert adjusted_rand_score(truth[clustered], found[clustered]) > 0.99
    assert segmenter.predict([[6.0, 60.0]]).tolist() == [-1]
    assert clone(segmenter).set_params(noise="segment").fit(X).predict([[0.0, 12.0]])[0] >= 0


@pytest.mark.parametrize(
    "clusterer",
    [HDBSCAN(min_cluster_size=20, copy=True), OPTICS(min_samples=20), DBSCAN(eps=0.6)],
    ids=str,
)
def test_rows_of_fit_keep_the_label_of_the_clusterer(clusterer):
    X, _ = blobs(300)
    X[::10] += np.random.default_rng(1).uniform(-4, 4, (30, 2))
    segmenter = ClusterSegmenter(clusterer).fit(X)
    own = segmenter.clusterer_.labels_
    np.testing.assert_array_equal(segmenter.labels_, own)
    assert (own == -1).any()


class Picky(ClusterMixin, BaseEstimator):
    """Call the row at 2 noise, in the middle of a cluster."""

    def fit(self, X, y=None):
        self.labels_ = np.where(X[:, 0] == 2, -1, 0)
        return self


def test_noise_of_fit_stays_noise_inside_a_cluster():
    X = np.arange(5.0)[:, None]
    segmenter = ClusterSegmenter(Picky()).fit(X)
    assert segmenter.labels_.tolist() == [0, 0, -1, 0, 0]
    assert segmenter.predict(X).tolist() == [0, 0, -1, 0, 0]
    assert segmenter.predict([[2.0], [2.01]]).tolist() == [-1, 0]


def test_new_rows_of_dbscan_follow_its_own_rule():
    X = np.array([[0.0], [0.4], [0.8], [1.2], [5.0], [5.4], [5.8], [9.0]])
    segmenter = ClusterSegmenter(DBSCAN(eps=0.5, min_samples=3)).fit(X)
    assert segmenter.labels_.tolist() == [0, 0, 0, 0, 1, 1, 1, -1]
    # Core samples are 0.4, 0.8 and 5.4; rows beside a border row alone are noise.
    new = np.array([[0.0], [-0.05], [-0.2], [1.25], [1.35], [5.9], [5.95], [9.0], [9.1]])
    assert segmenter.predict(new).tolist() == [0, 0, -1, 0, -1, 1, -1, -1, -1]


@pytest.mark.parametrize(
    "clusterer",
    [AgglomerativeClustering(3), DBSCAN(eps=1.5), PackageHDBSCAN(min_cluster_size=20)],
    ids=str,
)
def test_nearest_leaves_no_new_row_noise(X, clusterer):
    segmenter = ClusterSegmenter(clusterer, noise="nearest").fit(X)
    assert segmenter.segments_.min() == 0
    corners = segmenter.predict([[0.0, 0.0], [12.0, 0.0], [0.0, 12.0]])
    assert len(set(corners)) == 3
    far = np.array([[-90.0, -90.0], [99.0, 0.0], [0.0, 99.0]])
    np.testing.assert_array_equal(segmenter.predict(far), corners)


def test_metric_of_the_clusterer_measures_new_rows():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [10.0, 10.0], [11.0, 10.0]])
    clusterer = AgglomerativeClustering(2, metric="manhattan", linkage="average")
    segmenter = ClusterSegmenter(clusterer).fit(X)
    # The widest gap is 1; (0.6, 0.6) lies 0.72 from (1, 0) straight, but 1.0 by blocks.
    inside, outside = segmenter.predict([[0.6, 0.55], [0.6, 0.7]])
    assert (inside, outside) == (segmenter.labels_[0], -1)
    euclidean = ClusterSegmenter(AgglomerativeClustering(2)).fit(X)
    assert euclidean.predict([[0.6, 0.7]])[0] == euclidean.labels_[0]


def test_fewer_rows_than_min_size_merge_by_mean():
    X = np.array([[0.0], [0.1], [0.2], [3.0], [10.0], [10.1], [10.2]])
    whole = ClusterSegmenter(AgglomerativeClustering(3)).fit(X)
    assert sorted(whole.segment_sizes_) == [1, 3, 3]
    merged = ClusterSegmenter(AgglomerativeClustering(3), min_size=2).fit(X)
    assert merged.n_segments_ == 2
    assert merged.labels_[3] == merged.labels_[0] != merged.labels_[4]
    assert merged.predict([[3.0]])[0] == merged.labels_[0]


def test_min_size_counts_all_rows_not_the_sample(X):
    segmenter = ClusterSegmenter(
        KMeans(3, n_init=2), min_size=60, max_fit_samples=30, random_state=0
    )
    assert segmenter.fit(X).n_segments_ == 3


def test_random_state_seeds_the_clusterer_where_it_has_none(X):
    first = ClusterSegmenter(KMeans(9, n_init=1), random_state=0).fit(X)
    np.testing.assert_array_equal(clone(first).fit(X).labels_, first.labels_)
    own = ClusterSegmenter(KMeans(9, n_init=1, random_state=4), random_state=0).fit(X)
    assert own.clusterer_.random_state == 4
    deep = ClusterSegmenter(make_pipeline(PCA(1), KMeans(9, n_init=1)), random_state=0).fit(X)
    assert deep.clusterer_[0].random_state is not None
    np.testing.assert_array_equal(clone(deep).fit(X).labels_, deep.labels_)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_folder_of_pickles_is_refused(X, tmp_path, as_text):
    memory = str(tmp_path) if as_text else Memory(tmp_path, verbose=0)
    for clusterer in (PackageHDBSCAN(memory=memory), make_pipeline(PackageHDBSCAN(memory=memory))):
        with pytest.raises(ValueError, match=r"`memory` of HDBSCAN keeps pickles in .*Leave"):
            ClusterSegmenter(clusterer).fit(X)


def test_clusterer_is_cloned(X):
    clusterer = KMeans(3, n_init=1)
    ClusterSegmenter(clusterer, random_state=0).fit(X)
    assert not hasattr(clusterer, "labels_")
    assert clusterer.random_state is None


@pytest.mark.parametrize("noise", ["segment", "nearest"])
def test_text_and_gaps_go_through_a_pipeline(noise):
    rng = np.random.default_rng(0)
    plan = np.repeat(["free", "gold"], 60)
    spend = np.where(plan == "gold", 50.0, 5.0) + rng.normal(size=120)
    spend[3] = np.nan
    X = pd.DataFrame({"id": [f"u{i}" for i in range(120)], "plan": plan, "spend": spend})
    prepare = make_column_transformer(
        (OneHotEncoder(), ["plan"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["spend"]),
    )
    for clusterer in (KMeans(2, n_init=1, random_state=0), AgglomerativeClustering(2)):
        pipe = make_pipeline(prepare, clusterer)
        segmenter = ClusterSegmenter(pipe, columns=["plan", "spend"], noise=noise).fit(X)
        assert adjusted_rand_score(plan, segmenter.labels_) == 1
        np.testing.assert_array_equal(segmenter.predict(X[:7]), segmenter.labels_[:7])
        assert segmenter.transform(X).columns.tolist() == ["id", "plan", "spend", "segment"]


@pytest.mark.parametrize(
    "pipe",
    [
        make_pipeline(StandardScaler(), KMeans(2, n_init=1)),
        make_pipeline(StandardScaler(), GaussianMixture(2)),
        make_pipeline(VarianceThreshold(), AgglomerativeClustering(2)),
    ],
    ids=str,
)
def test_gaps_that_a_pipeline_cannot_take_are_named(pipe):
    X = pd.DataFrame(blobs()[0], columns=["a", "b"])
    broken = X.copy()
    broken.loc[[3, 5], "b"] = np.nan
    with pytest.raises(ValueError, match=r"missing values \(NaN\): 'b' \(2\) of 240 rows"):
        ClusterSegmenter(pipe).fit(broken)
    segmenter = ClusterSegmenter(pipe, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"missing values \(NaN\): 'b' \(2\)"):
        segmenter.predict(broken)
    with pytest.raises(ValueError, match=r"missing values \(NaN\): 'b' \(1\) of 1 rows"):
        segmenter.predict(broken[3:4])


def test_search_reaches_into_the_clusterer_and_chooses_it(X):
    def n_segments(estimator, X, y=None):
        return float(len(np.unique(estimator.predict(X))))

    grid = [
        {"clusterer__n_clusters": [2, 3]},
        {"clusterer": [AgglomerativeClustering(5), KMeans(4, n_init=1)]},
    ]
    search = GridSearchCV(ClusterSegmenter(KMeans(n_init=1)), grid, scoring=n_segments, cv=2)
    search.fit(X)
    assert search.cv_results_["mean_test_score"].tolist()[:2] == [2, 3]
    assert isinstance(search.best_params_["clusterer"], AgglomerativeClustering)


def test_named_segmenters_can_be_swapped_in_a_search(X):
    pipe = make_pipeline(KMeansSegmenter(2))
    pipe.set_params(kmeanssegmenter=HDBSCANSegmenter(20), kmeanssegmenter__min_samples=3)
    assert pipe.fit(X)[0].n_segments_ >= 3


class WrongLength(ClusterMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.labels_ = np.zeros(2, dtype=int)
        return self


class Fractional(ClusterMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.labels_ = np.full(len(X), 0.5)
        return self


@pytest.mark.parametrize(
    ("clusterer", "message"),
    [
        (
            KMeans,
            r"must be an instance; got the class KMeans. Write ClusterSegmenter\(KMeans\(\)\)",
        ),
        (None, "must be a clusterer.*got NoneType"),
        ("kmeans", "must be a clusterer.*got str"),
        (StandardScaler(), "must be a clusterer.*got StandardScaler"),
        (LogisticRegression(), "must be a clusterer.*got LogisticRegression"),
        (make_pipeline(StandardScaler()), "got a Pipeline ending in StandardScaler"),
        (make_pipeline(PCA(1), LinearRegression()), "got a Pipeline ending in LinearRegression"),
        (FeatureAgglomeration(), "must be a clusterer.*got FeatureAgglomeration"),
        (WrongLength(), r"WrongLength gave labels of shape \(2,\) for 240 rows"),
        (Fractional(), "Fractional gave labels of type float64; a clusterer gives integers"),
    ],
    ids=str,
)
def test_what_is_no_clusterer_is_named(X, clusterer, message):
    with pytest.raises(TypeError, match=message):
        ClusterSegmenter(clusterer).fit(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise": "drop"}, "`noise` must be one of"),
        ({"min_size": 0}, "`min_size` must be a whole number of at least 1 or None; got 0"),
        ({"min_size": 0.1}, "`min_size` must be a whole number"),
        ({"max_fit_samples": True}, "`max_fit_samples` must be a whole number"),
        ({"column": ""}, "`column` must be a string that is not empty"),
        (
            {"clusterer": DBSCAN(metric="precomputed")},
            "DBSCAN with 'precomputed' clusters distances",
        ),
        (
            {"clusterer": SpectralClustering(affinity="precomputed")},
            "new rows have none to the rows of fit",
        ),
        ({"clusterer": AgglomerativeClustering(400)}, "400"),
    ],
)
def test_bad_parameters_are_named(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        ClusterSegmenter(**{"clusterer": KMeans(2, n_init=1), **parameters}).fit(X)


def test_all_noise_warns_and_nearest_cannot_help(X):
    with pytest.warns(SegcateWarning, match="DBSCAN found no cluster; all 240 rows are noise"):
        segmenter = ClusterSegmenter(DBSCAN(eps=1e-9), noise="nearest").fit(X)
    assert set(segmenter.predict(X + 0.5)) == {-1}


def test_outlier_detectors_make_two_segments(X):
    segmenter = ClusterSegmenter(IsolationForest(n_estimators=5), random_state=0).fit(X)
    assert segmenter.segments_.tolist() == [-1, 1]
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)
