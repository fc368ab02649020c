import time

import numpy as np
import pandas as pd
import pytest
from hdbscan import HDBSCAN
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from segcate.exceptions import SegcateWarning
from segcate.segmentation import ClusterSegmenter, HDBSCANSegmenter

# A million rows are a benchmark; the tenth of it, in two columns, takes about two seconds idle.
SECONDS_FOR_1E5_ROWS = 20


def blobs(n, seed=0, n_columns=2, share_noise=0.05):
    rng = np.random.default_rng(seed)
    center = rng.uniform(-20, 20, (6, n_columns))
    truth = rng.integers(0, 6, n)
    X = center[truth] + rng.normal(size=(n, n_columns))
    is_noise = rng.random(n) < share_noise
    X[is_noise] = rng.uniform(-30, 30, (is_noise.sum(), n_columns))
    return X, np.where(is_noise, -1, truth)


@pytest.fixture
def X():
    return blobs(600)[0]


@pytest.mark.parametrize("parameters", [{}, {"noise": "nearest"}, {"max_fit_samples": 200}])
@pytest.mark.parametrize("decimals", [10, 0], ids=["continuous", "tied"])
def test_labels_equal_predict_of_the_training_rows(parameters, decimals):
    X = blobs(600)[0].round(decimals)
    segmenter = HDBSCANSegmenter(10, random_state=0, **parameters).fit(X)
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)
    order = np.random.default_rng(0).permutation(len(X))[:100]
    np.testing.assert_array_equal(segmenter.predict(X[order]), segmenter.labels_[order])
    alone = [segmenter.predict(X[i : i + 1])[0] for i in range(30)]
    np.testing.assert_array_equal(alone, segmenter.labels_[:30])


def test_labels_are_those_of_the_package(X):
    for scale, rows in ((False, X), (True, (X - X.mean(axis=0)) / X.std(axis=0))):
        segmenter = HDBSCANSegmenter(10, min_samples=4, scale=scale).fit(X)
        plain = HDBSCAN(min_cluster_size=10, min_samples=4, core_dist_n_jobs=1).fit(rows)
        np.testing.assert_array_equal(segmenter.labels_, plain.labels_)


def test_shapes_that_kmeans_cannot_find():
    X, truth = make_moons(400, noise=0.05, random_state=0)
    segmenter = HDBSCANSegmenter(15).fit(X)
    assert adjusted_rand_score(truth, segmenter.labels_) > 0.95
    new, new_truth = make_moons(300, noise=0.05, random_state=1)
    assert adjusted_rand_score(new_truth, segmenter.predict(new)) > 0.9


def test_noise_is_a_segment_that_comes_first(X):
    segmenter = HDBSCANSegmenter(10).fit(X)
    assert segmenter.segments_[0] == -1
    assert segmenter.n_segments_ == len(segmenter.segments_)
    assert segmenter.segment_sizes_.sum() == len(X)
    assert segmenter.predict([[500.0, 500.0]]).tolist() == [-1]


def test_nearest_moves_noise_and_nothing_else(X):
    kept = HDBSCANSegmenter(10, scale=False).fit(X)
    moved = HDBSCANSegmenter(10, scale=False, noise="nearest").fit(X)
    is_noise = kept.labels_ == -1
    np.testing.assert_array_equal(moved.labels_[~is_noise], kept.labels_[~is_noise])
    clustered, own = X[~is_noise], kept.labels_[~is_noise]
    squared = ((X[is_noise][:, None] - clustered[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(moved.labels_[is_noise], own[squared.argmin(axis=1)])
    assert moved.predict([[500.0, 500.0]])[0] >= 0


def test_wrapped_package_does_the_same(X):
    ours = HDBSCANSegmenter(10, min_samples=3, scale=False).fit(X)
    wrapped = ClusterSegmenter(HDBSCAN(min_cluster_size=10, min_samples=3)).fit(X)
    np.testing.assert_array_equal(ours.labels_, wrapped.labels_)
    new = X + 0.3
    np.testing.assert_array_equal(ours.predict(new), wrapped.predict(new))


def test_row_order_renumbers_at_most():
    X, _ = blobs(500, share_noise=0.0)
    order = np.random.default_rng(1).permutation(500)
    first = HDBSCANSegmenter(20, min_samples=1).fit(X)
    turned = HDBSCANSegmenter(20, min_samples=1).fit(X[order])
    assert adjusted_rand_score(first.labels_[order], turned.labels_) > 0.99


def test_sample_is_reproducible_and_drawn_once(X):
    first = HDBSCANSegmenter(5, max_fit_samples=150, random_state=1).fit(X)
    np.testing.assert_array_equal(clone(first).fit(X).labels_, first.labels_)
    assert len(first.clusterer_[-1].labels_) == 150
    other = HDBSCANSegmenter(5, max_fit_samples=150, random_state=2).fit(X)
    assert (other.labels_ != first.labels_).any()


def test_sample_as_large_as_the_rows_changes_nothing(X):
    whole = HDBSCANSegmenter(10).fit(X)
    same = HDBSCANSegmenter(10, max_fit_samples=600, random_state=0).fit(X)
    np.testing.assert_array_equal(whole.labels_, same.labels_)


def test_a_hundred_thousand_rows_are_quick():
    X, truth = blobs(100_000)
    start = time.process_time()
    segmenter = HDBSCANSegmenter(30, min_samples=5, max_fit_samples=4000, random_state=0).fit(X)
    assert time.process_time() - start < SECONDS_FOR_1E5_ROWS
    clear = (truth >= 0) & (segmenter.labels_ >= 0)
    assert clear.mean() > 0.9
    assert adjusted_rand_score(truth[clear], segmenter.labels_[clear]) > 0.9


def test_all_noise_warns():
    X = np.random.default_rng(0).uniform(size=(30, 2))
    with pytest.warns(SegcateWarning, match="found no cluster; all 30 rows are noise"):
        segmenter = HDBSCANSegmenter(25).fit(X)
    assert segmenter.segments_.tolist() == [-1]
    assert segmenter.predict(X + 1).tolist() == [-1] * 30


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_cluster_size": 1}, "`min_cluster_size` must be a whole number of at least 2; got 1"),
        ({"min_cluster_size": None}, "`min_cluster_size` must be a whole number"),
        ({"min_samples": 0}, "`min_samples` must be a whole number of at least 1 or None; got 0"),
        ({"max_fit_samples": 1.5}, "`max_fit_samples` must be a whole number of at least 2"),
        ({"metric": "precomputed"}, "`metric` must be one of"),
        ({"cluster_selection_method": "best"}, "`cluster_selection_method` must be one of"),
        ({"noise": "drop"}, r"`noise` must be one of \['segment', 'nearest'\]; got 'drop'"),
        ({"cluster_selection_epsilon": -1}, "`cluster_selection_epsilon` must be a number"),
        ({"cluster_selection_epsilon": np.nan}, "`cluster_selection_epsilon` must be a number"),
    ],
)
def test_bad_parameters_are_named(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        HDBSCANSegmenter(**parameters).fit(X)


def test_one_row_is_too_few():
    with pytest.raises(ValueError, match="n_samples=1 row"):
        HDBSCANSegmenter().fit(np.zeros((1, 2)))


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "canberra", "braycurtis", "cosine"])
def test_metrics(metric):
    rng = np.random.default_rng(0)
    angle = np.repeat([0.3, 1.2], 60) + rng.normal(0, 0.03, 120)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(1, 1.2, (120, 1))
    segmenter = HDBSCANSegmenter(20, metric=metric, scale=False).fit(X)
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)
    clustered = segmenter.labels_ >= 0
    assert adjusted_rand_score(np.repeat([0, 1], 60)[clustered], segmenter.labels_[clustered]) > 0.9
    assert clustered.mean() > 0.8


def test_frame_keeps_its_index_and_columns(X):
    frame = pd.DataFrame(X, columns=["a", "b"], index=np.arange(600) // 2).assign(name="x")
    out = HDBSCANSegmenter(10, columns=["a", "b"]).fit_transform(frame)
    pd.testing.assert_frame_equal(out[["a", "b", "name"]], frame)
    assert out["segment"].dtype == np.int64


def test_small_segments_merge_and_noise_stays():
    X = blobs(600)[0]
    plain = HDBSCANSegmenter(10).fit(X)
    least = int(np.sort(plain.segment_sizes_[plain.segments_ != -1])[1]) + 1
    merged = HDBSCANSegmenter(10, min_size=least).fit(X)
    np.testing.assert_array_equal(merged.labels_ == -1, plain.labels_ == -1)
    assert merged.segment_sizes_[merged.segments_ != -1].min() >= least
    assert merged.n_segments_ < plain.n_segments_
    np.testing.assert_array_equal(merged.predict(X), merged.labels_)
