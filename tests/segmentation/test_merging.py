import numpy as np
import pytest

from segcate.segmentation._merging import plan_merging


def naive_merge(space, labels, min_size):
    """Merge row by row, recomputing every mean from the rows."""
    labels = labels.copy()
    while True:
        found, sizes = np.unique(labels[labels != -1], return_counts=True)
        if len(found) < 2 or sizes.min() >= min_size:
            return labels
        small = found[sizes.argmin()]
        others = found[found != small]
        means = np.array([space[labels == other].mean(axis=0) for other in others])
        distance = ((means - space[labels == small].mean(axis=0)) ** 2).sum(axis=1)
        labels[labels == small] = others[distance.argmin()]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_size", [1, 5, 12, 40, 10_000])
def test_merging_is_that_of_the_plain_loop(seed, min_size):
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(200, 2))
    labels = rng.choice([-1, 0, 1, 4, 5, 9, 11], 200, p=[0.1, 0.02, 0.03, 0.05, 0.1, 0.3, 0.4])
    merged = plan_merging(space, labels, min_size).apply(labels, space)
    np.testing.assert_array_equal(merged, naive_merge(space, labels, min_size))


def test_noise_neither_merges_nor_receives():
    space = np.array([[0.0], [0.1], [5.0], [5.1], [0.05]])
    labels = np.array([0, 0, 1, 1, -1])
    assert plan_merging(space, labels, 3).apply(labels, space).tolist() == [1, 1, 1, 1, -1]


def test_label_unseen_in_fit_goes_by_the_nearest_mean():
    space = np.array([[0.0], [0.0], [10.0], [10.0], [11.0]])
    plan = plan_merging(space, np.array([0, 0, 2, 2, 5]), 2)
    new = np.array([[0.5], [9.0], [30.0]])
    assert plan.apply(np.array([7, 7, -1]), new).tolist() == [0, 2, -1]


def test_nothing_but_noise():
    labels = np.array([-1, -1])
    assert plan_merging(np.zeros((2, 1)), labels, 5).apply(labels, np.zeros((2, 1))).tolist() == [
        -1,
        -1,
    ]


def test_means_move_as_segments_grow():
    # The row at 1.9 joins the two at 0. Their mean, 0.63, is nearer to 3.9 than to -3; 0 is not.
    space = np.repeat([[0.0], [1.9], [3.9], [-3.0]], [2, 1, 10, 10], axis=0)
    labels = np.repeat([0, 1, 2, 3], [2, 1, 10, 10])
    merged = plan_merging(space, labels, 4).apply(labels, space)
    assert merged.tolist() == [2] * 13 + [3] * 10
