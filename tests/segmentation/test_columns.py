import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_selector

from segcate.segmentation._columns import numeric_matrix, resolve_columns


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "age": [20, 30, 40],
            "plan": ["a", "b", "a"],
            "visits": [1.5, 2.5, 3.5],
            "paid": [True, False, True],
        }
    )


CHOICES = [
    (None, [0, 2, 3]),
    ("age", [0]),
    (["visits", "age"], [2, 0]),
    (2, [2]),
    ([-1, 0], [3, 0]),
    (np.array([0, 2]), [0, 2]),
    (pd.Index(["age", "paid"]), [0, 3]),
    ([True, False, False, True], [0, 3]),
    (make_column_selector(pattern="age|visits"), [0, 2]),
    (make_column_selector(dtype_include="number"), [0, 2]),
    (lambda X: ["visits"], [2]),
]


@pytest.mark.parametrize(("columns", "positions"), CHOICES)
@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_columns_resolve_to_positions(frame, container, columns, positions):
    X = container(frame.to_dict("list"))
    assert resolve_columns("Owner", X, columns).tolist() == positions


def test_selector_sees_categories_of_polars():
    X = pl.DataFrame({"a": [1.0], "b": ["x"]}, schema_overrides={"b": pl.Categorical})
    selector = make_column_selector(dtype_include="category")
    assert resolve_columns("Owner", X, selector).tolist() == [1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age", "height"], "no column 'height' for `columns`"),
        ([0, 9], "positions 9, but X has 4 columns"),
        ([], "chose no column"),
        (lambda X: [], "chose no column"),
        (["age", "age"], "names columns twice: 'age'"),
        ([0, "age"], "must hold column names, or positions"),
        (3.5, "must hold column names, or positions"),
        ([True, False], "mask in `columns` has 2 values"),
    ],
)
def test_bad_columns_are_named(frame, columns, message):
    with pytest.raises((ValueError, TypeError), match=message):
        resolve_columns("Owner", frame, columns)


def test_names_need_a_frame():
    with pytest.raises(ValueError, match="array without column names"):
        resolve_columns("Owner", np.zeros((2, 2)), ["age"])


def test_no_numeric_column():
    with pytest.raises(ValueError, match="X has none; its columns are 'plan'"):
        resolve_columns("Owner", pd.DataFrame({"plan": ["a"]}), None)


def test_matrix_is_the_same_in_every_container(frame):
    positions = np.array([2, 0, 3])
    expected = frame[["visits", "age", "paid"]].to_numpy(dtype=float)
    narrow = frame.astype({"visits": "float32", "age": "Int64", "paid": "boolean"})
    for X in (frame, narrow, pl.DataFrame(frame.to_dict("list"))):
        values = numeric_matrix("Owner", X, positions)
        assert values.dtype == np.float64
        assert values.flags.c_contiguous
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"a": [1.0, np.nan, np.nan], "b": [1.0, 2.0, 3.0]}),
        pd.DataFrame({"a": pd.array([1, None, None], dtype="Int64"), "b": [1.0, 2.0, 3.0]}),
        pl.DataFrame({"a": [1, None, None], "b": [1.0, 2.0, 3.0]}),
    ],
    ids=["pandas", "nullable", "polars"],
)
def test_missing_values_are_counted_by_column(X):
    with pytest.raises(ValueError, match=r"missing values \(NaN\), in rows of 3: 'a' \(2\)\."):
        numeric_matrix("Owner", X, np.array([0, 1]))


def test_infinity_is_counted_by_column():
    X = pd.DataFrame({"a": [1.0, np.inf], "b": pd.array([-np.inf, None], dtype="Float64")})
    with pytest.raises(ValueError, match=r"missing values.*'b' \(1\)"):
        numeric_matrix("Owner", X, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"infinity, in rows of 2: 'a' \(1\), 'b' \(1\)"):
        numeric_matrix("Owner", X.fillna(0.0), np.array([0, 1]))


def test_many_bad_columns_are_cut_short():
    X = np.full((2, 8), np.nan)
    with pytest.raises(ValueError, match=r"'x4' \(2\) and 3 more"):
        numeric_matrix("Owner", X, np.arange(8))


def test_text_is_refused_with_a_way_out(frame):
    with pytest.raises(ValueError, match=r"columns 'plan' are not numeric.*make_pipeline"):
        numeric_matrix("Owner", frame, np.array([0, 1]))
