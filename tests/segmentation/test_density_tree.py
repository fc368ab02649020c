"""New rows and HDBSCAN's clusters, beside the package's own `approximate_predict`."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hdbscan import HDBSCAN, approximate_predict
from sklearn.datasets import make_blobs

from segcate.segmentation import _nearest_cluster
from segcate.segmentation._density_tree import plant_tree
from segcate.segmentation._nearest_cluster import Metric


def fitted(rows, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = HDBSCAN(prediction_data=True, core_dist_n_jobs=1, **parameters).fit(rows)
    tree = plant_tree(
        model.condensed_tree_.to_numpy(),
        rows,
        model.labels_,
        model.min_samples or model.min_cluster_size,
        Metric(model.metric),
    )
    return model, tree


def scene(seed):
    """Blobs and uniform noise, and rows beside them."""
    rng = np.random.default_rng(seed)
    rows, _ = make_blobs(300, n_features=3, centers=5, cluster_std=1.5, random_state=seed)
    rows = np.vstack([rows, rng.uniform(-12, 12, (40, 3))])
    near = rows[::3] + rng.normal(0, 0.4, rows[::3].shape)
    return rows, np.vstack([near, rng.uniform(-14, 14, (100, 3))])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "parameters",
    [
        {"min_cluster_size": 12},
        {"min_cluster_size": 5, "min_samples": 1},
        {"min_cluster_size": 8, "min_samples": 3, "metric": "manhattan"},
        {"min_cluster_size": 6, "min_samples": 4, "cluster_selection_method": "leaf"},
        {"min_cluster_size": 15, "min_samples": 10, "metric": "chebyshev"},
    ],
    ids=str,
)
def test_rule_is_that_of_approximate_predict(seed, parameters):
    rows, new = scene(seed)
    model, tree = fitted(rows, **parameters)
    # Only where the package's own prediction explains its labels: see the test below.
    assert (approximate_predict(model, rows)[0] == model.labels_).mean() > 0.95
    expected = approximate_predict(model, new)[0]
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(tree.label(new), expected)


def test_cluster_that_splits_before_losing_a_row_is_recognised():
    """hdbscan 0.8.44 takes such a cluster for its first child, and calls its other rows noise."""
    rng = np.random.default_rng(42)
    rows = np.concatenate([rng.normal(center, 0.02, (30, 1)) for center in (0.0, 1.0, 20.0, 21.0)])
    model, tree = fitted(rows, min_cluster_size=20, min_samples=2, cluster_selection_epsilon=5.0)
    assert set(model.labels_) == {0, 1}
    new = np.array([[0.001], [1.001], [20.001], [21.001], [60.0]])
    of_place = [model.labels_[np.abs(rows[:, 0] - place).argmin()] for place in new[:4, 0]]
    assert of_place[0] == of_place[1] != of_place[2] == of_place[3]
    assert tree.label(new).tolist() == [*of_place, -1]
    np.testing.assert_array_equal(tree.label(rows), model.labels_)


def test_selection_epsilon_is_honoured():
    """Older hdbscan predicts clusters that epsilon had merged (its issue 375)."""
    rows, _ = make_blobs(100, n_features=8, centers=10, random_state=42)
    model, tree = fitted(rows, min_cluster_size=5, cluster_selection_epsilon=12.0)
    assert model.labels_.max() == 6
    assert set(tree.label(rows + 1e-9)) <= set(model.labels_)


def test_all_noise_stays_noise():
    rows = np.random.default_rng(0).uniform(size=(30, 2))
    model, tree = fitted(rows, min_cluster_size=25)
    assert set(model.labels_) == {-1}
    assert set(tree.label(rows)) == {-1}


def test_fewer_rows_than_neighbours():
    rows = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
    model, tree = fitted(rows, min_cluster_size=3, min_samples=1)
    new = np.array([[0.05], [9.05], [0.15]])
    by_place = [model.labels_[0], model.labels_[3], model.labels_[0]]
    assert tree.label(new).tolist() == by_place
    # Six rows cannot give the twelve neighbours that the rule looks at.
    assert replace(tree, min_samples=6).label(new).shape == (3,)


def test_chunks_make_no_difference(monkeypatch):
    rows, new = scene(0)
    _, tree = fitted(rows, min_cluster_size=10)
    whole = tree.label(new)
    monkeypatch.setattr(_nearest_cluster, "_CHUNK", 17)
    np.testing.assert_array_equal(tree.label(new), whole)


@pytest.mark.parametrize("min_samples", [1, 4, 12])
def test_half_the_neighbours_assign_as_all_of_them_do(min_samples, monkeypatch):
    rows, new = scene(7)
    _, tree = fitted(rows, min_cluster_size=12, min_samples=min_samples)
    found = tree.label(new)
    asked = []
    monkeypatch.setattr(
        type(tree),
        "_may_reach_farther",
        lambda self, distance, at: asked.append(len(at)) or np.ones(len(at), bool),
    )  # all rows ask for twice as many
    np.testing.assert_array_equal(tree.label(new), found)
    assert asked == [len(new)]
