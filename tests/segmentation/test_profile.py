import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.segmentation import KMeansSegmenter, segment_profile


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, 200),
            "paid": rng.integers(0, 2, 200).astype(bool),
            "plan": rng.choice(["free", "gold", "silver"], 200),
        }
    )


@pytest.fixture
def segment():
    return np.random.default_rng(1).choice([-1, 0, 3], 200)


def test_equals_a_groupby(X, segment):
    profile = segment_profile(X, segment)
    groups = X.groupby(segment)
    assert profile.columns.tolist() == [
        "n",
        "share",
        "age",
        "paid",
        "plan=free",
        "plan=gold",
        "plan=silver",
    ]
    assert profile.index.tolist() == [-1, 0, 3]
    assert profile.index.name == "segment"
    assert profile["n"].tolist() == groups.size().tolist()
    np.testing.assert_allclose(profile["share"], groups.size() / 200)
    np.testing.assert_allclose(profile["age"], groups["age"].mean())
    np.testing.assert_allclose(profile["paid"], groups["paid"].mean())
    shares = pd.crosstab(segment, X["plan"], normalize="index")
    np.testing.assert_allclose(profile[["plan=free", "plan=gold", "plan=silver"]], shares)


def test_weights_count_rows(X, segment):
    weight = np.random.default_rng(2).integers(0, 4, 200)
    weighted = segment_profile(X, segment, sample_weight=weight)
    at = np.repeat(np.arange(200), weight)
    repeated = segment_profile(X.iloc[at].reset_index(drop=True), segment[at])
    columns = [c for c in repeated if c != "n"]
    pd.testing.assert_frame_equal(weighted[columns], repeated[columns])
    assert (
        weighted["n"].tolist() == segment_profile(X[weight > 0], segment[weight > 0])["n"].tolist()
    )


def test_column_of_x_holds_the_segments(X, segment):
    inside = segment_profile(X.assign(segment=segment), "segment")
    pd.testing.assert_frame_equal(inside, segment_profile(X, segment))
    values = np.column_stack([X["age"], segment])
    by_position = segment_profile(values, -1)
    assert by_position.columns.tolist() == ["n", "share", "x0"]
    np.testing.assert_allclose(by_position["x0"], inside["age"])


def test_containers_and_row_order_agree(X, segment):
    expected = segment_profile(X, segment)
    pd.testing.assert_frame_equal(
        segment_profile(pl.DataFrame(X.to_dict("list")), segment), expected
    )
    order = np.random.default_rng(3).permutation(200)
    pd.testing.assert_frame_equal(segment_profile(X.iloc[order], segment[order]), expected)
    text = segment_profile(X.to_numpy(dtype=object), segment)
    assert text.columns.tolist() == ["n", "share", "x0", "x1", "x2=free", "x2=gold", "x2=silver"]
    np.testing.assert_allclose(text, expected)


def test_missing_values_show_up():
    X = pd.DataFrame(
        {
            "age": [20.0, np.nan, 40.0, np.nan],
            "visits": pd.array([1, 2, None, 4], dtype="Int64"),
            "plan": ["a", None, "b", "a"],
        }
    )
    profile = segment_profile(X, [0, 0, 1, 1])
    assert profile["age"].tolist() == [20, 40]
    assert profile["age=<missing>"].tolist() == [0.5, 0.5]
    assert profile["visits"].tolist() == [1.5, 4]
    assert profile["visits=<missing>"].tolist() == [0, 0.5]
    assert profile["plan=<missing>"].tolist() == [0.5, 0]
    assert profile["plan=a"].tolist() == [0.5, 0.5]


def test_mean_of_nothing_is_nan():
    profile = segment_profile(pd.DataFrame({"age": [1.0, np.nan, np.nan]}), [0, 1, 1])
    assert profile["age"].tolist()[0] == 1
    assert np.isnan(profile["age"].tolist()[1])


def test_labels_of_a_segmenter(X):
    segmenter = KMeansSegmenter(3, random_state=0).fit(X)
    profile = segment_profile(X, segmenter.labels_)
    assert profile["n"].tolist() == segmenter.segment_sizes_.tolist()
    np.testing.assert_allclose(profile[["age", "paid"]], segmenter.cluster_centers_, atol=1e-12)


def test_x_is_left_alone(X, segment):
    before = X.copy()
    segment_profile(X, segment)
    pd.testing.assert_frame_equal(X, before)


@pytest.mark.parametrize(
    ("change", "segment", "weight", "message"),
    [
        ({}, [0, 1], None, "`segment` has 2 labels, but X has 200 rows"),
        ({}, "cluster", None, "no column 'cluster' for `segment`"),
        ({}, np.full(200, 0.5), None, "holds fractions"),
        ({}, [None] * 200, None, "missing values in 200 of 200 rows"),
        ({}, pd.Series(0, index=range(200, 0, -1)), None, "index of `segment` differs"),
        ({"age": np.inf}, np.zeros(200), None, "'age' is infinite in 200 of 200 rows"),
        ({"n": 1}, np.zeros(200), None, "two columns of the table would be called 'n'"),
        ({}, np.repeat([0, 1], 100), np.repeat([0, 1], 100), "is 0 in every row of the segments 0"),
        ({}, np.zeros(200), -np.ones(200), "`sample_weight` must be finite and not negative"),
    ],
)
def test_bad_input_is_named(X, change, segment, weight, message):
    with pytest.raises(ValueError, match=message):
        segment_profile(X.assign(**change), segment, sample_weight=weight)


def test_no_rows_and_too_many_levels():
    with pytest.raises(ValueError, match=r"at least one row; got shape \(0, 1\)"):
        segment_profile(pd.DataFrame({"a": []}), [])
    many = pd.DataFrame({"id": [f"u{i}" for i in range(1500)]})
    with pytest.raises(ValueError, match="'id' has 1500 levels; a profile shows at most 1000"):
        segment_profile(many, np.zeros(1500))
