"""Fitted pipelines survive clone, pickle and skops, and show themselves in a notebook."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import segcate
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import MahalanobisMatcher, PropensityMatcher
from segcate.segmentation import HDBSCANSegmenter, KMeansSegmenter


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(600, n_segments=2, categories=True, random_state=0)


@pytest.fixture(
    scope="module",
    params=[
        (KMeansSegmenter(2, random_state=0), PropensityMatcher(caliper=1.0)),
        (
            HDBSCANSegmenter(min_cluster_size=40, min_samples=5, scale=False, noise="nearest"),
            PropensityMatcher(caliper=1.0),
        ),
        (KMeansSegmenter(2, random_state=0), MahalanobisMatcher()),
    ],
    ids=["kmeans", "hdbscan", "mahalanobis"],
)
def fitted(request, users):
    segmenter, matcher = request.param
    model = SegmentMatching(clone(matcher), on_empty="overall")
    pipe = make_pipeline(clone(segmenter), model)
    with segcate.routing():
        return pipe.fit(users.X, users.y, treatment=users.treatment)


def assert_same(one, other, X) -> None:
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    pd.testing.assert_frame_equal(one[-1].effects_, other[-1].effects_)
    pd.testing.assert_frame_equal(one[-1].balance_, other[-1].balance_)
    pd.testing.assert_frame_equal(
        one[-1].matcher_.matched_.pairs, other[-1].matcher_.matched_.pairs
    )
    assert one[-1].summary() == other[-1].summary()


def test_pickle_round_trip(fitted, users):
    assert_same(fitted, pickle.loads(pickle.dumps(fitted)), users.X)


def test_skops_round_trip_with_our_trusted_types(fitted, users):
    skops_io = pytest.importorskip("skops.io")
    stored = skops_io.dumps(fitted)
    assert set(skops_io.get_untrusted_types(data=stored)) <= set(segcate.SKOPS_TRUSTED_TYPES)
    assert_same(fitted, skops_io.loads(stored, trusted=segcate.SKOPS_TRUSTED_TYPES), users.X)


def test_clone_is_unfitted_and_refits_to_the_same(fitted, users):
    again = clone(fitted)
    assert not hasattr(again[-1], "matcher_")
    with segcate.routing():
        again.fit(users.X, users.y, treatment=users.treatment)
    assert_same(fitted, again, users.X)


def test_html_representation_names_the_steps(fitted):
    html = fitted._repr_html_()
    assert "SegmentMatching" in html
    assert type(fitted[-1].matcher_).__name__ in html


def test_fitted_state_holds_no_frames(fitted):
    def walk(value, path="model"):
        assert not isinstance(value, pd.DataFrame | pd.Series | pd.Index), path
        if hasattr(value, "__dict__"):
            for name, inner in vars(value).items():
                walk(inner, f"{path}.{name}")
        for name in getattr(type(value), "__slots__", ()):
            walk(getattr(value, name, None), f"{path}.{name}")

    walk(fitted[-1])
