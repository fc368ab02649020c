import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from segcate.segmentation import _nearest_cluster
from segcate.segmentation._nearest_cluster import (
    Metric,
    NearestCenter,
    NearestRow,
    dense,
    gap_radius,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_centre_is_the_nearest_one(rng):
    rows, centers = rng.normal(size=(300, 4)), rng.normal(size=(6, 4))
    expected = cdist(rows, centers).argmin(axis=1)
    np.testing.assert_array_equal(NearestCenter(centers).label(rows), expected)
    np.testing.assert_array_equal(NearestCenter(centers).label(csr_matrix(rows)), expected)


def test_tie_goes_to_the_first_centre():
    centers = np.array([[1.0], [-1.0], [1.0]])
    assert NearestCenter(centers).label(np.array([[0.0], [1.0], [-2.0]])).tolist() == [0, 0, 1]


def test_label_of_a_row_does_not_depend_on_the_rows_beside(rng, monkeypatch):
    rows = rng.choice([0.1, 0.7, 1.3], (4000, 3)) @ np.eye(3, 20) + 0.1
    centers = rows[rng.choice(4000, 8)] * 0.5 + 0.3
    whole = NearestCenter(centers).label(rows)
    monkeypatch.setattr(_nearest_cluster, "_CHUNK", 37)
    np.testing.assert_array_equal(NearestCenter(centers).label(rows), whole)
    alone = [NearestCenter(centers).label(row[None])[0] for row in rows[:200]]
    np.testing.assert_array_equal(alone, whole[:200])


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_nearest_row_within_its_radius(rng, metric):
    rows, labels = rng.normal(size=(80, 3)), rng.integers(0, 4, 80)
    radius = rng.uniform(0.2, 1.0, 80)
    new = rng.normal(size=(200, 3)) * 1.5
    names = {"manhattan": "cityblock"}
    distance = cdist(new, rows, names.get(metric, metric))
    at = distance.argmin(axis=1)
    expected = np.where(distance[np.arange(200), at] <= radius[at], labels[at], -1)
    assert -1 in expected
    found = NearestRow(rows, labels, radius, Metric(metric)).label(new)
    np.testing.assert_array_equal(found, expected)


def test_chunks_make_no_difference(rng, monkeypatch):
    rows, labels = rng.normal(size=(80, 3)), rng.integers(0, 4, 80)
    nearest = NearestRow(rows, labels, np.full(80, 0.5), Metric())
    new = rng.normal(size=(101, 3))
    whole = nearest.label(new)
    monkeypatch.setattr(_nearest_cluster, "_CHUNK", 10)
    np.testing.assert_array_equal(nearest.label(new), whole)


def test_without_clustered_rows_all_is_noise():
    nearest = NearestRow(np.empty((0, 2)), np.empty(0, dtype=int), np.empty(0), Metric())
    assert nearest.label(np.zeros((3, 2))).tolist() == [-1, -1, -1]


def test_radius_is_the_widest_gap_between_different_rows_of_the_cluster():
    rows = np.array([[0.0], [0.0], [1.0], [3.0], [10.0], [10.5], [50.0], [50.0]])
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    # Cluster 0: gaps 1, 1, 2. Cluster 1: 0.5. Cluster 2 is one point and takes the widest, 2.
    expected = [2, 2, 2, 2, 0.5, 0.5, 2, 2]
    assert gap_radius(rows, labels, Metric()).tolist() == expected


def test_clusters_that_are_all_points_have_no_bound():
    radius = gap_radius(np.array([[0.0], [0.0], [7.0]]), np.array([0, 0, 1]), Metric())
    assert np.isinf(radius).all()


def test_a_new_row_of_a_cluster_lies_outside_about_once_in_its_size(rng):
    outside = 0
    for _ in range(150):
        rows = rng.normal(size=(40, 2))
        labels = np.zeros(39, dtype=int)
        radius = gap_radius(rows[:39], labels, Metric())
        outside += NearestRow(rows[:39], labels, radius, Metric()).label(rows[39:])[0] == -1
    # Binomial(150, 1/40): mean 3.75, SD 1.9; the bound is five SD.
    assert 0 < outside <= 13


def test_rows_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        dense(np.array([[np.nan]]))
