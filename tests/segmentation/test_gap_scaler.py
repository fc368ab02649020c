import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter
from segcate.segmentation._gap_scaler import GapScaler


def clusters(seed=0, share=0.2, n=600):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n)
    values = rng.normal(size=(n, 4)) + 4 * np.eye(3, 4)[label] * [1, 1, 1, 0]
    X = pd.DataFrame(values * [1, 10, 100, 1], columns=list("abcd"))
    return X.mask(rng.random(X.shape) < share), label


def test_the_mean_stands_in_and_the_gap_counts_one_unit():
    X = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 7.0], [5.0, 9.0]])
    scaler = GapScaler().fit(X)
    Z = scaler.transform(X)
    plain = np.nan_to_num(StandardScaler().fit_transform(X))
    np.testing.assert_array_equal(Z, np.column_stack([plain, [0, 0, 1, 0], [0, 1, 0, 0]]))
    np.testing.assert_allclose(scaler.inverse_transform(Z)[2], [3.0, 7.0])


def test_only_columns_with_gaps_in_fit_get_a_column():
    X = np.array([[1.0, 5.0], [3.0, np.nan], [4.0, 7.0]])
    Z = GapScaler().fit(X).transform(np.array([[np.nan, 6.0]]))
    assert Z.shape == (1, 3)
    assert Z[0, 0] == 0 == Z[0, 2]


@pytest.mark.parametrize("scale", [True, False])
def test_kmeans_clusters_rows_with_gaps(scale):
    X, label = clusters()
    if not scale:
        X = X / [1, 10, 100, 1]
    segmenter = KMeansSegmenter(3, scale=scale, random_state=0).fit(X)
    assert adjusted_rand_score(segmenter.labels_, label) > 0.6
    assert segmenter.cluster_centers_.shape == (3, 4)
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)
    np.testing.assert_array_equal(segmenter.predict(X[::-1]), segmenter.labels_[::-1])
    notes = segmenter.covariates_.set_index("column")["note"]
    assert notes["a"].endswith("% missing: counted in the distance")
    Z = (X - X.mean()) / (X.std(ddof=0) if scale else 1)
    filled = np.hstack([Z.fillna(0), X.isna()])
    by_hand = KMeans(3, n_init=10, random_state=0).fit(filled)
    assert adjusted_rand_score(segmenter.labels_, by_hand.labels_) > 0.99


def test_hdbscan_clusters_rows_with_gaps():
    X, _ = clusters(share=0.02)
    segmenter = HDBSCANSegmenter(25, noise="nearest").fit(X)
    assert segmenter.n_segments_ >= 2
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)


def test_starting_centres_are_in_the_units_of_the_columns():
    X, label = clusters()
    start = X.groupby(label).mean().to_numpy()
    segmenter = KMeansSegmenter(3, init=start).fit(X)
    assert adjusted_rand_score(segmenter.labels_, label) > 0.6


@pytest.mark.parametrize("segmenter", [KMeansSegmenter(3, random_state=0), HDBSCANSegmenter(25)])
def test_new_rows_with_gaps_are_read_likewise_where_fit_had_none(segmenter):
    X, _ = clusters(share=0)
    model = clone(segmenter).fit(X)
    hole = X.copy()
    hole.loc[0, "a"] = np.nan
    mean = X.copy()
    mean.loc[0, "a"] = X["a"].mean()
    assert model.predict(hole)[0] == model.predict(mean)[0]
    assert not model.covariates_["note"].str.contains("missing").any()


def test_gaps_that_tell_the_cluster_help():
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 600)
    X = rng.normal(size=(600, 3)) + 1.5 * label[:, None]
    X[(rng.random(600) < 0.6) & (label == 1), 0] = np.nan
    found = KMeansSegmenter(2, random_state=0).fit(X)
    mean = KMeansSegmenter(2, random_state=0).fit(np.where(np.isnan(X), np.nanmean(X, axis=0), X))
    assert adjusted_rand_score(found.labels_, label) > adjusted_rand_score(mean.labels_, label)
