import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.segmentation._row_lookup import build_lookup, distinct_rows, fingerprints


@pytest.fixture
def rows(rng=None):
    return np.random.default_rng(0).integers(0, 4, (500, 3)).astype(float)


def naive_label(rows, labels, row):
    own = labels[(rows == row).all(axis=1)]
    values, counts = np.unique(own, return_counts=True)
    return values[counts.argmax()]


def test_equal_rows_get_their_most_frequent_label_and_the_smallest_in_a_tie(rows):
    labels = np.random.default_rng(1).integers(-1, 3, len(rows))
    is_known, found = build_lookup(rows, labels).find(rows)
    assert is_known.all()
    np.testing.assert_array_equal(found, [naive_label(rows, labels, row) for row in rows])


def test_order_of_rows_does_not_matter(rows):
    labels = np.random.default_rng(1).integers(-1, 3, len(rows))
    order = np.random.default_rng(2).permutation(len(rows))
    first = build_lookup(rows, labels).find(rows)[1]
    second = build_lookup(rows[order], labels[order]).find(rows)[1]
    np.testing.assert_array_equal(first, second)


def test_unknown_rows_stay_unknown(rows):
    lookup = build_lookup(rows, np.zeros(len(rows), dtype=int))
    mixed = np.vstack([rows[:2] + 1e-15, rows[2:3], rows[3:4][:, ::-1] + 10, rows[4:5] + 5])
    mixed[1] = [np.nextafter(v, 9) if v else 5e-324 for v in rows[1]]
    is_known, found = lookup.find(mixed)
    seen = {tuple(row) for row in rows}
    assert is_known.tolist() == [tuple(row) in seen for row in mixed]
    assert len(found) == is_known.sum()


def test_columns_are_told_apart():
    keys, _ = fingerprints(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    assert keys[0] == keys[2] != keys[1]


def test_negative_zero_is_zero():
    keys, checks = fingerprints(np.array([[0.0], [-0.0]]))
    assert keys[0] == keys[1]
    assert checks[0] == checks[1]


def test_containers_and_widths_agree():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
    as_polars = pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", None]})
    for ours, theirs in zip(fingerprints(frame), fingerprints(as_polars), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    narrow = fingerprints(np.array([[1], [2]], dtype=np.float32))
    wide = fingerprints(np.array([[1], [2]], dtype=np.int64))
    np.testing.assert_array_equal(narrow, wide)


def test_no_collision_among_many_rows():
    grid = np.stack(np.meshgrid(*[np.arange(100.0)] * 2, np.arange(20.0)), axis=-1).reshape(-1, 3)
    keys, checks = fingerprints(grid)
    assert len(np.unique(keys)) == len(np.unique(checks)) == len(grid)


def test_distinct_rows_are_the_first_of_each_kind(rows):
    kept = distinct_rows(rows)
    expected = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    np.testing.assert_array_equal(kept, expected)
