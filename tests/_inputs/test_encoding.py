"""Text columns are encoded for new rows as they were in the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate._inputs.encoding import fit_encoding


@pytest.fixture
def X():
    return pd.DataFrame(
        {
            "age": [30, 40, 50, 60],
            "plan": pd.Categorical(["pro", "basic", "plus", "basic"]),
            "city": ["b", None, "a", "b"],
            "new": [True, False, True, True],
        }
    )


def test_fit_and_encode_agree_and_name_their_columns(X):
    encoding, values = fit_encoding(X, range(4))
    assert encoding.names == ("age", "plan=plus", "plan=pro", "city=b", "city=<missing>", "new")
    assert encoding.source.tolist() == [0, 1, 1, 2, 2, 3]
    assert values.tolist()[:2] == [[30, 0, 1, 1, 0, 1], [40, 0, 0, 0, 1, 0]]
    np.testing.assert_array_equal(encoding.encode("Model", X), values)


def test_rows_without_some_levels_keep_every_column(X):
    encoding, values = fit_encoding(X, range(4))
    for i in range(4):
        np.testing.assert_array_equal(encoding.encode("Model", X.iloc[[i]]), values[[i]])


def test_polars_and_pandas_encode_alike(X):
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(X)
    encoding, values = fit_encoding(X, range(4))
    np.testing.assert_array_equal(encoding.encode("Model", frame), values)
    ours, theirs = fit_encoding(frame, range(4))
    np.testing.assert_array_equal(theirs, values)
    assert ours.names == encoding.names


def test_arrays_go_through():
    rows = np.array([[1.0, np.nan], [2.0, 3.0]])
    encoding, values = fit_encoding(rows, [1])
    assert encoding.names == ("x1",)
    np.testing.assert_array_equal(values, rows[:, [1]])
    np.testing.assert_array_equal(encoding.encode("Model", rows), rows[:, [1]])


def test_unseen_level_is_named_with_its_rows(X):
    encoding, _ = fit_encoding(X, range(4))
    new = X.assign(city=["c", "c", "a", None])
    with pytest.raises(ValueError, match=r"Model.predict: column 'city' of X holds 'c' in 2 of 4"):
        encoding.encode("Model", new)


def test_missing_value_is_unseen_where_the_fit_had_none(X):
    encoding, _ = fit_encoding(X, [1])
    new = X.assign(plan=["pro", None, "pro", "plus"])
    with pytest.raises(ValueError, match="holds '<missing>' in 1 of 4 rows"):
        encoding.encode("Model", new)


def test_numbers_that_became_text_are_named(X):
    encoding, _ = fit_encoding(X, range(4))
    with pytest.raises(
        ValueError,
        match=r"column 'age' of X held numbers in the fit and holds 'forty' now \(row 1;",
    ):
        encoding.encode("Model", X.assign(age=["30", "forty", "50", "60"]))


def test_numbers_that_became_text_are_read_as_numbers(X):
    encoding, values = fit_encoding(X, range(4))
    new = X.assign(age=["30", "40", "50", "60"])
    np.testing.assert_array_equal(encoding.encode("Model", new), values)


def test_columns_that_all_say_nothing_are_named():
    with pytest.raises(ValueError, match=r"Fit: every column of X is left out: 'a' \(constant\)"):
        fit_encoding(pd.DataFrame({"a": [1.0, 1.0]}), [0], owner="Fit")
