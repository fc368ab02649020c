import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from segcate.segmentation import ClusterSegmenter, KMeansSegmenter
from segcate.segmentation._clustering import last_step


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    center = rng.uniform(-8, 8, (4, 3))
    values = center[rng.integers(0, 4, 400)] + rng.normal(size=(400, 3))
    return pd.DataFrame(values * [1, 100, 0.01], columns=["a", "b", "c"])


def test_is_kmeans_of_the_scaled_columns(X):
    segmenter = KMeansSegmenter(4, n_init=2, random_state=0).fit(X)
    plain = KMeans(4, n_init=2, random_state=0).fit(StandardScaler().fit_transform(X))
    np.testing.assert_array_equal(segmenter.labels_, plain.labels_)
    assert segmenter.n_iter_ == plain.n_iter_


def test_without_scaling_is_kmeans_as_it_comes(X):
    segmenter = KMeansSegmenter(4, scale=False, columns=["c", "a"], n_init=2, random_state=0).fit(X)
    plain = KMeans(4, n_init=2, random_state=0).fit(X[["c", "a"]].to_numpy())
    np.testing.assert_array_equal(segmenter.labels_, plain.labels_)
    np.testing.assert_allclose(segmenter.cluster_centers_, plain.cluster_centers_)


def test_is_cluster_segmenter_with_parameters_at_hand(X):
    ours = KMeansSegmenter(4, scale=False, n_init=2, random_state=3).fit(X)
    wrapped = ClusterSegmenter(KMeans(4, n_init=2, random_state=3)).fit(X)
    np.testing.assert_array_equal(ours.labels_, wrapped.labels_)


def test_centres_are_means_in_the_units_of_x(X):
    segmenter = KMeansSegmenter(4, n_init=2, random_state=0).fit(X)
    np.testing.assert_allclose(segmenter.cluster_centers_, X.groupby(segmenter.labels_).mean())


def test_constant_column_changes_nothing(X):
    plain = KMeansSegmenter(4, n_init=2, random_state=0).fit(X)
    constant = KMeansSegmenter(4, n_init=2, random_state=0).fit(X.assign(d=7.0))
    np.testing.assert_array_equal(plain.labels_, constant.labels_)


def test_scaling_makes_units_irrelevant(X):
    start = X.iloc[[0, 1, 2, 3]].to_numpy()
    metres = KMeansSegmenter(4, init=start).fit(X)
    feet = KMeansSegmenter(4, init=start * [3.28, 1, 1]).fit(X * [3.28, 1, 1])
    np.testing.assert_array_equal(metres.labels_, feet.labels_)


def test_order_of_the_start_numbers_the_segments(X):
    start = KMeansSegmenter(4, n_init=2, random_state=0).fit(X).cluster_centers_
    first = KMeansSegmenter(4, init=start).fit(X)
    turned = KMeansSegmenter(4, init=start[[2, 0, 3, 1]]).fit(X)
    np.testing.assert_array_equal(np.array([2, 0, 3, 1])[turned.labels_], first.labels_)


def test_row_order_does_not_matter_from_a_given_start(X):
    start = X.iloc[[0, 1, 2, 3]].to_numpy()
    order = np.random.default_rng(1).permutation(len(X))
    whole = KMeansSegmenter(4, init=start).fit(X)
    turned = KMeansSegmenter(4, init=start).fit(X.iloc[order])
    np.testing.assert_array_equal(turned.labels_, whole.labels_[order])


def test_column_order_follows_the_parameter(X):
    first = KMeansSegmenter(4, columns=["a", "b"], init=X[["a", "b"]][:4].to_numpy()).fit(X)
    second = KMeansSegmenter(4, columns=["b", "a"], init=X[["b", "a"]][:4].to_numpy()).fit(X)
    np.testing.assert_array_equal(first.labels_, second.labels_)
    np.testing.assert_allclose(first.cluster_centers_, second.cluster_centers_[:, ::-1])


def test_random_state_reproduces(X):
    first = KMeansSegmenter(6, n_init=1, random_state=5).fit(X)
    np.testing.assert_array_equal(clone(first).fit(X).labels_, first.labels_)


def test_float32_gives_the_same_partition(X):
    wide = KMeansSegmenter(4, n_init=2, random_state=0).fit(X)
    narrow = KMeansSegmenter(4, n_init=2, random_state=0).fit(X.astype("float32"))
    assert adjusted_rand_score(wide.labels_, narrow.labels_) > 0.99


def test_labels_of_tied_rows_do_not_depend_on_the_batch():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (5000, 7)).astype(float)
    segmenter = KMeansSegmenter(9, scale=False, n_init=1, random_state=0).fit(X)
    alone = np.concatenate([segmenter.predict(X[i : i + 41]) for i in range(0, 5000, 41)])
    np.testing.assert_array_equal(alone, segmenter.labels_)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"init": np.zeros((3, 3))}, r"= \(4, 3\); got shape \(3, 3\)"),
        ({"init": np.full((4, 3), np.nan)}, "12 values that are not finite"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_init": -1}, "n_init"),
        ({"init": "best"}, "init"),
        ({"n_clusters": 1000}, "should be >= n_clusters=1000"),
    ],
)
def test_bad_parameters_are_named(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        KMeansSegmenter(**{"n_clusters": 4, **parameters}).fit(X)


def test_one_row_cannot_make_many_clusters():
    with pytest.raises(ValueError, match="n_samples=1"):
        KMeansSegmenter(2).fit(np.zeros((1, 2)))
    assert KMeansSegmenter(1, n_init=1).fit(np.zeros((1, 2))).labels_.tolist() == [0]


def test_small_segments_merge_into_the_nearest(X):
    plain = KMeansSegmenter(12, random_state=0).fit(X)
    assert plain.segment_sizes_.min() < 40
    merged = KMeansSegmenter(12, min_size=40, random_state=0).fit(X)
    assert merged.segment_sizes_.min() >= 40
    assert merged.n_segments_ == len(merged.segments_) < 12
    assert merged.cluster_centers_.shape == (12, 3)
    np.testing.assert_array_equal(merged.predict(X), merged.labels_)
    whole = ClusterSegmenter(
        clone(plain.clusterer_), columns=["a", "b", "c"], min_size=40, random_state=0
    ).fit(X)
    np.testing.assert_array_equal(merged.labels_, whole.labels_)
    # whole clusters merge: rows that were together stay together
    assert len(set(zip(plain.labels_, merged.labels_, strict=True))) == 12


@pytest.mark.parametrize("bad", [0, 2.5, True])
def test_min_size_is_a_count(X, bad):
    with pytest.raises(ValueError, match="`min_size` must be a whole number of at least 1 or None"):
        KMeansSegmenter(3, min_size=bad).fit(X)


def clouds(n, seed=0):
    """Return rows of six clouds of unequal size, in units far apart."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(6, 4)) * 4
    at = rng.choice(6, n, p=[0.4, 0.3, 0.15, 0.1, 0.03, 0.02])
    return (centre[at] + rng.normal(size=(n, 4))) * [1, 100, 0.01, 1]


@pytest.mark.parametrize("scale", [True, False])
def test_starts_on_a_sample_end_as_well_as_starts_on_all_rows(scale):
    X = clouds(6000)
    on_all = KMeansSegmenter(6, scale=scale, random_state=0).fit(X)
    sampled = KMeansSegmenter(6, scale=scale, max_fit_samples=1500, random_state=0).fit(X)
    inertia = [last_step(model.clusterer_).inertia_ for model in (on_all, sampled)]
    assert inertia[1] < 1.001 * inertia[0]
    np.testing.assert_array_equal(sampled.labels_, sampled.predict(X))
    assert len(sampled.labels_) == len(X)
    centre = [X[sampled.labels_ == k].mean(axis=0) for k in range(6)]
    assert np.abs((sampled.cluster_centers_ - centre) / X.std(axis=0)).max() < 0.01


def test_a_sample_is_drawn_from_many_rows_and_as_large_as_asked_for(monkeypatch):
    seen, single = [], []

    def watched(self, rows, *args, **kwargs):
        seen.append((len(rows), self.n_init))
        single.append(rows.dtype == np.float32)
        return original(self, rows, *args, **kwargs)

    original = KMeans.fit
    monkeypatch.setattr(KMeans, "fit", watched)
    X = clouds(120_000)
    KMeansSegmenter(3, n_init=2, random_state=0).fit(X)
    assert seen == [(20_000, 2), (120_000, 1), (120_000, 1)]
    assert single == [False, True, False]
    seen.clear()
    KMeansSegmenter(3, n_init=2, max_fit_samples=120_000, random_state=0).fit(X)
    KMeansSegmenter(3, n_init=2, max_fit_samples=400, random_state=0).fit(X[:5000])
    KMeansSegmenter(3, n_init=2, random_state=0).fit(X[:5000])
    KMeansSegmenter(3, init=X[:3], max_fit_samples=400).fit(X[:5000])
    assert seen == [(120_000, 2), (400, 2), (5000, 1), (5000, 2), (5000, 1)]


@pytest.mark.parametrize("scale", [True, False])
def test_single_precision_on_the_way_costs_no_digits_far_from_zero(scale):
    X = clouds(120_000) + np.array([1e9, 0, 0, 0])
    model = KMeansSegmenter(6, scale=scale, n_init=2, random_state=0).fit(X)
    centre = [X[model.labels_ == k].mean(axis=0) for k in range(6)]
    assert np.abs((model.cluster_centers_ - centre) / X.std(axis=0)).max() < 0.01


def test_a_sample_with_too_few_different_rows_is_not_used():
    X = np.zeros((5000, 1))
    X[:3, 0] = [1, 2, 3]
    model = KMeansSegmenter(4, max_fit_samples=50, random_state=0).fit(X)
    assert model.n_segments_ == 4


def test_sampled_starts_are_reproducible_and_count_gaps():
    X = clouds(3000)
    X[::7, 1] = np.nan
    one, other = (KMeansSegmenter(5, max_fit_samples=500, random_state=3).fit(X) for _ in range(2))
    np.testing.assert_array_equal(one.labels_, other.labels_)
    assert one.cluster_centers_.shape == (5, 4)


@pytest.mark.parametrize("bad", [1, 0, 2.5, True, "many"])
def test_max_fit_samples_is_a_count(X, bad):
    with pytest.raises((ValueError, TypeError), match="max_fit_samples"):
        KMeansSegmenter(2, max_fit_samples=bad).fit(X)
