import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_selector

from segcate.segmentation import GroupSegmenter


@pytest.fixture
def X():
    return pd.DataFrame(
        {
            "region": ["south", "north", "south", "east", "north"],
            "paid": [1, 0, 0, 1, 0],
            "age": [20.5, 30.0, 40.0, 50.0, 60.0],
        }
    )


def test_single_column_gives_its_values(X):
    segmenter = GroupSegmenter("region").fit(X)
    assert segmenter.labels_.tolist() == X["region"].tolist()
    assert segmenter.segment_names_.tolist() == ["east", "north", "south"]
    assert segmenter.segment_sizes_.tolist() == [1, 2, 2]
    assert segmenter.n_segments_ == 3


def test_several_columns_give_their_observed_combinations(X):
    segmenter = GroupSegmenter(["region", "paid"]).fit(X)
    expected = ["south | 1", "north | 0", "south | 0", "east | 1", "north | 0"]
    assert segmenter.labels_.tolist() == expected
    assert segmenter.segment_names_.tolist() == sorted(set(expected))


def test_combinations_equal_those_of_pandas():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({c: rng.integers(0, 5, 1000) for c in "abcd"})
    segmenter = GroupSegmenter([0, 1, 2, 3]).fit(X.to_numpy())
    expected = X.groupby(list("abcd")).ngroup().to_numpy()
    np.testing.assert_array_equal(segmenter.labels_, expected)
    np.testing.assert_array_equal(segmenter.predict(X.to_numpy()[::-1]), expected[::-1])


def test_integers_stay_integers(X):
    assert GroupSegmenter("paid").fit(X).labels_.dtype == np.int64
    whole = GroupSegmenter("paid").fit(X.astype({"paid": float}))
    assert whole.labels_.tolist() == [1, 0, 0, 1, 0]
    assert whole.labels_.dtype == np.int64


def test_other_numbers_become_their_text(X):
    assert GroupSegmenter("age").fit(X).labels_.tolist()[:2] == ["20.5", "30.0"]


def test_dates_and_booleans_and_categories():
    X = pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-02", "2024-01-01"]),
            "flag": [True, False],
            "size": pd.Categorical(["S", "L"], categories=["S", "M", "L"]),
        }
    )
    assert GroupSegmenter("flag").fit(X).labels_.tolist() == [True, False]
    assert GroupSegmenter("size").fit(X).segment_names_.tolist() == ["L", "S"]
    by_day = GroupSegmenter("day").fit(X)
    assert [name[:10] for name in by_day.labels_] == ["2024-01-02", "2024-01-01"]
    np.testing.assert_array_equal(by_day.predict(X), by_day.labels_)


@pytest.mark.parametrize("by", ["region", ["region", "paid"], make_column_selector("^r|^p")])
def test_containers_agree(X, by):
    pandas = GroupSegmenter(by).fit(X)
    polars = GroupSegmenter(by).fit(pl.DataFrame(X.to_dict("list")))
    np.testing.assert_array_equal(pandas.labels_, polars.labels_)
    polars_out = polars.transform(pl.DataFrame(X.to_dict("list")))
    assert isinstance(polars_out, pl.DataFrame)
    assert polars_out["segment"].to_list() == pandas.transform(X)["segment"].tolist()


def test_array_gives_positions_in_the_names(X):
    values = X[["paid", "age"]].to_numpy()
    segmenter = GroupSegmenter(0).fit(values)
    assert segmenter.labels_.tolist() == [1, 0, 0, 1, 0]
    assert segmenter.transform(values)[:, -1].tolist() == [1, 0, 0, 1, 0]
    shifted = GroupSegmenter(0).fit(values + np.array([10, 0]))
    assert shifted.labels_.tolist() == [1, 0, 0, 1, 0]
    assert shifted.segment_names_.tolist() == [10, 11]


def test_row_order_does_not_matter(X):
    order = [3, 1, 4, 0, 2]
    whole = GroupSegmenter(["region", "paid"]).fit(X)
    turned = GroupSegmenter(["region", "paid"]).fit(X.iloc[order])
    assert turned.labels_.tolist() == whole.labels_[order].tolist()
    assert turned.segment_names_.tolist() == whole.segment_names_.tolist()


def test_unseen_value_and_unseen_combination_are_named(X):
    segmenter = GroupSegmenter(["region", "paid"]).fit(X)
    new = X.assign(region=["west", "east", "north", "west", "north"], paid=[1, 0, 0, 1, 0])
    with pytest.raises(
        ValueError,
        match=r"3 of 5 rows have values of \(region, paid\).*'east \| 0', 'west \| 1'.*default=",
    ):
        segmenter.predict(new)


def test_default_collects_what_is_unseen(X):
    segmenter = GroupSegmenter("region", default="elsewhere").fit(X)
    assert segmenter.n_segments_ == 3
    new = X.assign(region=["west", "east", "north", "north", "x"])
    expected = ["elsewhere", "east", "north", "north", "elsewhere"]
    assert segmenter.predict(new).tolist() == expected
    coded = GroupSegmenter(0, default=-5).fit(X[["paid", "age"]].to_numpy())
    assert coded.segment_names_.tolist() == [0, 1, -5]
    assert coded.predict([[7.0, 0.0], [1.0, 0.0]]).tolist() == [2, 1]


def test_default_may_be_an_observed_segment(X):
    segmenter = GroupSegmenter("region", default="north").fit(X)
    assert segmenter.segment_names_.tolist() == ["east", "north", "south"]
    assert segmenter.predict(X.assign(region="mars")).tolist() == ["north"] * 5


def test_text_default_beside_integers_makes_text(X):
    segmenter = GroupSegmenter("paid", default="unknown").fit(X)
    assert segmenter.labels_.tolist() == ["1", "0", "0", "1", "0"]
    assert segmenter.predict(X.assign(paid=9)).tolist() == ["unknown"] * 5


def test_missing_values_are_counted(X):
    X.loc[[1, 2], "region"] = None
    with pytest.raises(ValueError, match=r"'region' has missing values \(NaN\) in 2 of 5 rows"):
        GroupSegmenter("region").fit(X)
    assert GroupSegmenter("paid").fit(X).n_segments_ == 2
    fitted = GroupSegmenter("region").fit(X.dropna())
    with pytest.raises(ValueError, match="has missing values"):
        fitted.predict(X)


def test_combinations_of_one_name_are_refused():
    X = pd.DataFrame({"a": ["x | y", "x"], "b": ["z", "y | z"]})
    with pytest.raises(ValueError, match=r"get the same name: 'x \| y \| z'"):
        GroupSegmenter(["a", "b"]).fit(X)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (None, "`by` must name"),
        ("planet", "no column 'planet' for `by`"),
        ([], "`by` chose no column"),
        ([7], "`by` holds positions 7"),
    ],
)
def test_bad_columns_are_named(X, by, message):
    with pytest.raises(ValueError, match=message):
        GroupSegmenter(by).fit(X)


def test_small_groups_go_to_the_default(X):
    segmenter = GroupSegmenter("region", default="other", min_size=2).fit(X)
    assert segmenter.labels_.tolist() == ["south", "north", "south", "other", "north"]
    assert segmenter.segment_names_.tolist() == ["east", "north", "south", "other"]
    assert segmenter.segment_sizes_.tolist() == [0, 2, 2, 1]
    assert segmenter.n_segments_ == 3
    new = X.assign(region=["east", "west", "north", "south", "east"])
    assert segmenter.predict(new).tolist() == ["other", "other", "north", "south", "other"]


def test_the_default_may_be_an_observed_group(X):
    segmenter = GroupSegmenter("region", default="north", min_size=2).fit(X)
    assert segmenter.labels_.tolist() == ["south", "north", "south", "north", "north"]
    assert segmenter.segment_sizes_.tolist() == [0, 3, 2]


def test_small_groups_need_a_default(X):
    with pytest.raises(ValueError, match=r"min_size=2 needs a segment .*default='other'"):
        GroupSegmenter("region", min_size=2).fit(X)
    with pytest.raises(ValueError, match="`min_size` must be a whole number of at least 1 or None"):
        GroupSegmenter("region", default="other", min_size=0).fit(X)
