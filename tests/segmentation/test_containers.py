"""What every segmenter promises, whatever holds the rows: containers, names, state, storage."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from hdbscan import HDBSCAN as PackageHDBSCAN
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import DBSCAN, AgglomerativeClustering, BisectingKMeans, KMeans
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import segcate
from segcate.segmentation import (
    ClusterSegmenter,
    GroupSegmenter,
    HDBSCANSegmenter,
    KMeansSegmenter,
    RuleSegmenter,
)
from tests.helpers.names import stable_name

NUMERIC = ["age", "visits"]


def make_frame(n=120):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "age": kind * 30 + rng.normal(30, 3, n),
            "plan": np.where(kind == 1, "gold", "free"),
            "visits": kind * 9 + rng.integers(0, 4, n),
        }
    )


def is_grown(X):
    return X["visits"] > 6


ENCODED = make_pipeline(
    make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["plan"]), (StandardScaler(), ["age"])
    ),
    KMeans(2),
)
ON_FRAMES = [
    KMeansSegmenter(3, random_state=0),
    KMeansSegmenter(2, columns=["visits"], scale=False, random_state=0, column="cluster"),
    HDBSCANSegmenter(10),
    HDBSCANSegmenter(10, noise="nearest", scale=False, metric="manhattan"),
    HDBSCANSegmenter(5, max_fit_samples=60, random_state=0),
    ClusterSegmenter(AgglomerativeClustering(4), min_size=20),
    ClusterSegmenter(DBSCAN(eps=2.0)),
    ClusterSegmenter(GaussianMixture(2), random_state=0),
    ClusterSegmenter(BisectingKMeans(3), random_state=0),
    ClusterSegmenter(PackageHDBSCAN(min_cluster_size=10)),
    ClusterSegmenter(ENCODED, columns=["age", "plan"], random_state=0),
    RuleSegmenter({"grown": is_grown, "young": "age < 28 and plan == 'free'"}),
    GroupSegmenter("plan"),
    GroupSegmenter(["plan", "visits"], default="new"),
    GroupSegmenter("visits"),
]
ON_ARRAYS = [s for s in ON_FRAMES[:10] if s.columns is None] + [
    RuleSegmenter({"grown": "x1 > 6"}),
    GroupSegmenter([1]),
]
on_frames = pytest.mark.parametrize("segmenter", ON_FRAMES, ids=stable_name)
on_arrays = pytest.mark.parametrize("segmenter", ON_ARRAYS, ids=stable_name)


@on_frames
def test_pandas_gets_a_last_column_and_is_left_alone(segmenter):
    X = make_frame()
    X.index = np.arange(120) // 2
    before = X.copy()
    out = clone(segmenter).fit_transform(X)
    pd.testing.assert_frame_equal(X, before)
    assert out.columns.tolist() == [*X.columns, segmenter.column]
    pd.testing.assert_frame_equal(out[X.columns.tolist()], before)
    assert out[segmenter.column].nunique() > 1


@on_frames
def test_polars_gets_the_same_labels(segmenter):
    X = make_frame()
    in_pandas = clone(segmenter).fit(X)
    frame = pl.DataFrame(X.to_dict("list"))
    in_polars = clone(segmenter).fit(frame)
    np.testing.assert_array_equal(in_polars.labels_, in_pandas.labels_)
    out = in_polars.transform(frame)
    assert isinstance(out, pl.DataFrame)
    assert out.columns == [*frame.columns, segmenter.column]
    assert out.drop(segmenter.column).equals(frame)
    assert out[segmenter.column].to_list() == in_pandas.labels_.tolist()


@on_frames
def test_labels_equal_predict_and_transform(segmenter):
    X = make_frame()
    fitted = clone(segmenter).fit(X)
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(fitted.predict(X[::-1])[::-1], fitted.labels_)
    out = fitted.transform(X)
    assert out[fitted.column].tolist() == fitted.labels_.tolist()
    pd.testing.assert_frame_equal(clone(segmenter).fit_transform(X), out)
    assert fitted.get_feature_names_out().tolist() == out.columns.tolist()


@on_arrays
def test_array_gets_integer_codes(segmenter):
    X = make_frame()[NUMERIC].to_numpy()
    fitted = clone(segmenter).fit(X)
    assert fitted.labels_.dtype == np.int64
    out = fitted.transform(X)
    np.testing.assert_array_equal(out[:, :2], X)
    np.testing.assert_array_equal(out[:, 2], fitted.labels_)
    assert fitted.get_feature_names_out().tolist() == ["x0", "x1", "segment"]
    integers = np.round(X).astype(int)
    assert clone(segmenter).fit_transform(integers).dtype.kind == "i"
    np.testing.assert_array_equal(clone(segmenter).fit_transform(X.tolist()), out)


@on_arrays
def test_frame_and_array_make_one_partition(segmenter):
    X = make_frame()[NUMERIC]
    of_array = clone(segmenter).fit(X.to_numpy()).labels_
    if isinstance(segmenter, RuleSegmenter):
        X = X.rename(columns={"visits": "x1"})
    fitted = clone(segmenter).fit(X)
    names = getattr(fitted, "segment_names_", None)
    of_frame = fitted.labels_
    expected = of_array if names is None else names[of_array]
    np.testing.assert_array_equal(of_frame, expected)


@on_frames
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_set_output(segmenter, kind):
    X = make_frame()
    out = clone(segmenter).set_output(transform=kind).fit_transform(X)
    assert isinstance(out, pd.DataFrame if kind == "pandas" else pl.DataFrame)
    assert list(out.columns) == [*X.columns, segmenter.column]
    assert list(out[segmenter.column]) == clone(segmenter).fit(X).labels_.tolist()
    with config_context(transform_output=kind):
        again = clone(segmenter).fit_transform(X)
    assert type(again) is type(out)


@on_frames
def test_pickle_and_skops_keep_the_segments(segmenter):
    X = make_frame()
    new = X.assign(age=X["age"] + 0.1)
    fitted = clone(segmenter).fit(X)
    stored = skops.io.dumps(make_pipeline(fitted))
    untrusted = skops.io.get_untrusted_types(data=stored)
    packages = ("segcate.", "hdbscan.", "joblib.")
    ours = {name for name in untrusted if name.startswith(packages)}
    assert ours <= set(segcate.SKOPS_TRUSTED_TYPES)
    copies = [pickle.loads(pickle.dumps(fitted)), skops.io.loads(stored, trusted=untrusted)[0]]
    for copy in copies:
        np.testing.assert_array_equal(copy.predict(new), fitted.predict(new))
        np.testing.assert_array_equal(copy.labels_, fitted.labels_)
        np.testing.assert_array_equal(copy.predict(X), fitted.labels_)


def holds_a_frame(value, seen=None):
    """Look for frames and indexes in fitted state, through estimators, slots and containers."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index | pl.DataFrame | pl.Series):
        return True
    if isinstance(value, dict):
        return any(holds_a_frame(v, seen) for v in value.values())
    if isinstance(value, list | tuple):
        return any(holds_a_frame(v, seen) for v in value)
    inside = list(getattr(value, "__dict__", {}).values())
    inside += [getattr(value, name) for name in getattr(type(value), "__slots__", ())]
    is_ours = isinstance(value, BaseEstimator) or type(value).__module__.startswith("segcate")
    return is_ours and any(holds_a_frame(v, seen) for v in inside)


@on_frames
def test_fitted_state_holds_no_frame(segmenter):
    assert not holds_a_frame(clone(segmenter).fit(make_frame()))
    assert holds_a_frame({"a": [make_frame()]})


@on_frames
def test_html_repr_works_before_and_after_fit(segmenter):
    name = type(segmenter).__name__
    assert name in clone(segmenter)._repr_html_()
    assert name in clone(segmenter).fit(make_frame())._repr_html_()


@on_frames
def test_unfitted_says_so(segmenter):
    for call in (clone(segmenter).predict, clone(segmenter).transform):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(make_frame())


@on_frames
def test_columns_must_be_those_of_fit(segmenter):
    X = make_frame()
    fitted = clone(segmenter).fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(X.rename(columns={"age": "years"}))
    with pytest.raises(ValueError, match="feature"):
        fitted.transform(X.assign(more=1))


@on_frames
def test_column_that_is_there_already_is_refused(segmenter):
    X = make_frame().assign(**{segmenter.column: 1})
    with pytest.raises(ValueError, match=f"X already has a column '{segmenter.column}'"):
        clone(segmenter).fit(X)
    with pytest.raises(ValueError, match="X already has a column 'age'"):
        clone(segmenter).set_params(column="age").fit(make_frame())


@on_frames
@pytest.mark.parametrize("column", ["", None, 3])
def test_column_must_be_a_name(segmenter, column):
    with pytest.raises(ValueError, match="`column` must be a string that is not empty"):
        clone(segmenter).set_params(column=column).fit(make_frame())


@on_frames
@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_no_rows_are_refused(segmenter, container):
    X = container(make_frame().to_dict("list"))
    with pytest.raises(ValueError, match="0 rows"):
        clone(segmenter).fit(X[:0])
    with pytest.raises(ValueError, match="0 rows"):
        clone(segmenter).fit(X).predict(X[:0])


@on_frames
def test_one_row_can_be_predicted(segmenter):
    X = make_frame()
    fitted = clone(segmenter).fit(X)
    for i in (0, 57):
        assert fitted.predict(X[i : i + 1]).tolist() == [fitted.labels_[i]]


@on_frames
def test_infinity_is_refused(segmenter):
    X = make_frame()
    X.loc[4, "age"] = np.inf
    with pytest.raises(ValueError, match=r"infinity in column 'age' \(1 rows\)"):
        clone(segmenter).fit(X)


CLUSTERED = [s for s in ON_FRAMES if hasattr(s, "columns") and s.columns is None]


@pytest.mark.parametrize("segmenter", CLUSTERED, ids=stable_name)
def test_gaps_in_clustered_columns_are_named_and_others_pass(segmenter):
    X = make_frame()
    broken = X.copy()
    broken.loc[[1, 2, 3], "age"] = np.nan
    for call in (clone(segmenter).fit, clone(segmenter).fit(X).predict):
        if isinstance(segmenter, KMeansSegmenter | HDBSCANSegmenter):  # they fill gaps
            call(broken)
            continue
        with pytest.raises(
            ValueError, match=r"missing values \(NaN\), in rows of 120: 'age' \(3\)"
        ):
            call(broken)
    beside = clone(segmenter).set_params(columns=["visits"])
    out = beside.fit_transform(broken)
    assert out["age"].isna().sum() == 3


@pytest.mark.parametrize("segmenter", [KMeansSegmenter(2), GroupSegmenter([0])], ids=stable_name)
def test_frame_with_numbers_for_names_is_refused_by_transform(segmenter):
    X = pd.DataFrame(np.repeat(np.eye(2), 5, axis=0))
    assert len(clone(segmenter).fit(X).labels_) == 10
    with pytest.raises(ValueError, match="the columns of X are not named by strings"):
        clone(segmenter).fit_transform(X)


def test_segments_chain_under_different_names():
    pipe = make_pipeline(
        KMeansSegmenter(2, columns=NUMERIC, random_state=0, column="cluster"),
        GroupSegmenter(["cluster", "plan"]),
    )
    out = pipe.fit_transform(make_frame())
    assert out.columns.tolist() == ["age", "plan", "visits", "cluster", "segment"]
    assert pipe.get_feature_names_out().tolist() == out.columns.tolist()
    assert set(out["segment"]) <= {"0 | free", "1 | gold", "0 | gold", "1 | free"}
